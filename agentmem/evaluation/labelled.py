"""The `labelled` format: searches that people marked right or wrong, asked of today's turns.

Takes a folder of recorded traces and the store that they speak of, which is read and never
written, whatever embedder wrote it. Every label is asked in its own scope, with its own filter. An
id that is no longer there counts neither as found nor as missed; all of them are counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from agentmem.errors import InvalidInput
from agentmem.evaluation.datasets import Conversation, Dataset, Mistake, Question
from agentmem.transfer import turn_record
from agentmem.types import AllScopes, Scope, Turn

if TYPE_CHECKING:
    from agentmem.storage.turns import Store
    from agentmem.traces import Label

__all__ = ["CATEGORIES", "EXPECTED", "labels_of", "load_labelled", "nothing_left"]

EXPECTED: Final = (
    "the folder of recorded traces in which `agentmem traces label` keeps labels.jsonl, and the "
    "store that the labels speak of"
)
CATEGORIES: Final[Mapping[str, str]] = {"right": "was right", "wrong": "was wrong"}  # by verdict
_BATCH: Final = 1_000  # turns read at once
_OTHERS: Final = {
    "search": "selections of tools, which `agentmem eval router` asks",
    "selection": "searches, which `agentmem eval memory` asks",
}


def load_labelled(path: Path, *, store: str | os.PathLike[str]) -> Dataset:
    """Read the labelled searches of a folder of traces, with the turns of their scopes.

    Args:
        path: The folder, or its file of labels.
        store: The store, in any embedding space.

    Returns:
        One conversation for each scope. What people said should be found is the gold of a
        question; what they said should not is a mistake that may come back.

    Raises:
        InvalidInput: There is no label of a search, or nothing that a label names is left.
        StoreNotFound: There is no such folder, or no store.
        StoreError: The store could not be read.
    """
    from agentmem.storage.turns import Store  # here, so that other formats never load LanceDB

    notes: Counter[str] = Counter()
    labels = labels_of(path, kind="search", store=store, notes=notes)
    by_scope: dict[Scope | AllScopes, list[Label]] = {}
    for label in labels:
        if label.scope is None:  # written by hand: whose turns it may see is nobody's to guess
            notes["labels of searches without a scope, skipped"] += 1
        else:
            by_scope.setdefault(label.scope, []).append(label)
    with closing(Store.open(store, passport=None, create=False, read_only=True)) as stored:
        read = [
            _conversation(stored, one, scope=scope, notes=notes) for scope, one in by_scope.items()
        ]
    conversations = [one for one in read if one.questions or one.mistakes]
    if not conversations:
        raise nothing_left(len(labels), store=store, notes=notes)
    return Dataset("labelled", conversations, dict(+notes))


def labels_of(
    path: Path,
    *,
    kind: Literal["search", "selection"],
    store: str | os.PathLike[str],
    notes: Counter[str],
) -> list[Label]:
    """Return the labels of one kind that speak of a store; what is left out goes into the notes.

    Raises:
        InvalidInput: There is none.
        StoreNotFound: There is no such folder.
    """
    from agentmem.traces import read_labels

    given = read_labels(path)
    if not given:
        raise InvalidInput(
            f"{path} holds no labels. `agentmem traces label SPAN --right` or `--wrong` gives the "
            "first"
        )
    here = [label for label in given if not _is_elsewhere(label.store, store)]
    labels = [label for label in here if label.kind == kind]
    if not labels:
        raise InvalidInput(
            f"{path} holds no label of a {kind} in {os.fspath(store)!r}: of its {len(given)} "
            f"labels {len(given) - len(here)} speak of another store, and {len(here)} are of "
            f"{_OTHERS[kind]}"
        )
    notes["labels of other stores, left out"] += len(given) - len(here)
    notes[f"labels of {_OTHERS[kind]}"] += len(here) - len(labels)
    return labels


def _is_elsewhere(named: str | None, store: str | os.PathLike[str]) -> bool:
    """Whether a label names another folder that is there; a store that moved is taken for this."""
    mine = Path(store).expanduser()
    if not named or not mine.is_dir():
        return False
    its = Path(named).expanduser()
    return its.is_dir() and not its.samefile(mine)


def nothing_left(
    labels: int, *, store: str | os.PathLike[str], notes: Mapping[str, int]
) -> InvalidInput:
    """Return the error that labels leave nothing to measure."""
    told = "".join(f"; {reason}: {count}" for reason, count in notes.items() if count)
    return InvalidInput(
        f"none of the {labels} labels tells something that {os.fspath(store)!r} can still be "
        f"measured by{told}. Name the store that they speak of, or say with --expected what "
        "should have been found"
    )


def _conversation(
    stored: Store, labels: Sequence[Label], *, scope: Scope | AllScopes, notes: Counter[str]
) -> Conversation:
    turns = _turns(stored, scope)
    counts = Counter(turn.id for turn in turns)
    notes["ids that several turns of one scope share"] += sum(n > 1 for n in counts.values())
    questions: list[Question] = []
    mistakes: list[Mistake] = []
    for label in labels:
        where, mode = _where(label), label.mode or "hybrid"
        gold = _present(label.relevant, counts, notes=notes, what="relevant")
        wrong = _present(label.wrong, counts, notes=notes, what="wrong")
        if gold:
            questions.append(Question(label.query, gold, CATEGORIES[label.verdict], where, mode))
        elif label.relevant:
            notes["labels of which nothing relevant is left, skipped"] += 1
        if wrong:
            mistakes.append(Mistake(label.query, wrong, where, mode))
    messages = [turn_record(turn) for turn in turns] if questions or mistakes else []
    return Conversation(_called(scope), messages, questions, mistakes, scope)


def _turns(stored: Store, scope: Scope | AllScopes) -> list[Turn]:
    found = [turn for batch in stored.scan_turns(scope=scope, batch_turns=_BATCH) for turn in batch]
    return sorted(found, key=lambda turn: (turn.event_time, turn.ingested_at, turn.id))


def _present(
    ids: Sequence[str], there: Mapping[str, int], *, notes: Counter[str], what: str
) -> frozenset[str]:
    """Return the ids of turns that are still there, and count the others."""
    kept = frozenset(one for one in ids if one in there)
    notes[f"{what} turns that are gone from their scope"] += len(set(ids) - kept)
    return kept


def _where(label: Label) -> dict[str, Any] | None:
    """Return the filter of a search with its bounds of time, which a filter can say as well."""
    bounds: list[tuple[str, datetime | None]] = [("gte", label.since), ("lt", label.until)]
    parts = [] if label.where is None else [dict(label.where)]
    parts += [
        {"event_time": {test: moment.isoformat()}} for test, moment in bounds if moment is not None
    ]
    return {"and": parts} if len(parts) > 1 else (parts[0] if parts else None)


def _called(scope: Scope | AllScopes) -> str:
    if isinstance(scope, AllScopes):
        return "everyone"
    named = {name: getattr(scope, f"{name}_id") for name in ("user", "agent", "session")}
    return ", ".join(f"{name} {one!r}" for name, one in named.items() if one is not None)
