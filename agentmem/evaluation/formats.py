"""The formats an evaluation can read, by name, and the one door through which they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from agentmem.errors import AgentmemError, InvalidInput
from agentmem.evaluation.bfcl_memory import load_bfcl_memory
from agentmem.evaluation.datasets import Dataset
from agentmem.evaluation.labelled import EXPECTED, load_labelled
from agentmem.evaluation.locomo import load_locomo
from agentmem.evaluation.own_data import load_own
from agentmem.evaluation.qmsum import load_qmsum

__all__ = ["FORMATS", "Format", "load_dataset", "read_expecting", "reader"]

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Format:
    """How one source is read.

    Attributes:
        read: From a path to a Dataset; with the keyword `store` where it is about a store.
        expects: The publisher's file or folder, for people.
        ks: Depths that its results are usually read at.
        of_store: Whether it says nothing without the store that it is about.
    """

    read: Callable[..., Dataset]
    expects: str
    ks: tuple[int, ...] = (1, 5, 10, 20)
    of_store: bool = False


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "locomo": Format(
            load_locomo,
            "LoCoMo's locomo10.json (github.com/snap-research/locomo): a JSON list of samples "
            "with `sample_id`, `conversation` and `qa`",
        ),
        "qmsum": Format(
            load_qmsum,
            "a file of QMSum's data/ALL/jsonl (github.com/Yale-LILY/QMSum): JSON lines with "
            "`meeting_transcripts` and `specific_query_list`",
            ks=(1, 5, 10, 20, 50),  # evidence is 23 turns long in the median
        ),
        "bfcl-memory": Format(
            load_bfcl_memory,
            "the data folder of the Berkeley Function-Calling Leaderboard v4 (package bfcl-eval): "
            "BFCL_v4_memory.json, possible_answer/ and memory_prereq_conversation/",
        ),
        "jsonl": Format(
            load_own,
            "JSON lines, one conversation each: `id`, `messages` as Memory.add takes them, and "
            "`questions` with `question`, `gold` (ids of messages) and optionally `category`",
        ),
        "labelled": Format(load_labelled, EXPECTED, of_store=True),
    }
)


def load_dataset(
    name: str, path: str | Path, *, store: str | os.PathLike[str] | None = None
) -> Dataset:
    """Read a data set from the publisher's own file or folder.

    Args:
        name: One of `FORMATS`.
        path: Where it lies; see `Format.expects`.
        store: The store that `labelled` searches speak of, which is only read.

    Returns:
        The data set, with at least one question or past mistake.

    Raises:
        InvalidInput: The name is unknown, the path does not hold that format, or a store is
            missing or given for nothing.
        StoreNotFound: There is no store.
    """
    if name not in FORMATS:
        raise InvalidInput(f"{name!r} is no known data set; choose one of {', '.join(FORMATS)}")
    chosen = FORMATS[name]
    expected = f"Expected for {name!r}: {chosen.expects}."
    read = reader(chosen.read, of_store=chosen.of_store, store=store, name=name)
    dataset = read_expecting(read, Path(path), expected=expected)
    if not (dataset.questions or dataset.mistakes):
        raise InvalidInput(f"{path} holds no question with evidence. {expected}")
    return dataset


def reader(
    read: Callable[..., _Read],
    *,
    of_store: bool,
    store: str | os.PathLike[str] | None,
    name: str,
) -> Callable[[Path], _Read]:
    """Return what reads a path, given the store where one is needed.

    Raises:
        InvalidInput: A store is missing, or given for nothing.
    """
    if of_store and store is None:
        raise InvalidInput(f"data set {name!r} is about a store: pass store=, its folder")
    if store is not None and not of_store:
        raise InvalidInput(f"data set {name!r} is about no store; leave store= out")
    return partial(read, store=store) if of_store else read


def read_expecting(read: Callable[[Path], _Read], path: Path, *, expected: str) -> _Read:
    """Read a path, and say what was expected where it cannot be read.

    Raises:
        InvalidInput: The path does not hold that format.
    """
    try:
        return read(path)
    except InvalidInput as error:
        raise InvalidInput(f"{error}. {expected}") from error
    except AgentmemError:
        raise  # such as two tools of one name, which says itself what to do
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # Loaders read fields as the publisher writes them; whatever is missing or of another
        # type means that this is another file.
        what = f"{type(error).__name__}: {error}"
        raise InvalidInput(
            f"{path} does not have the expected fields ({what}). {expected}"
        ) from error
