"""Labelled queries as a caller gives them: what was asked, and the tools that were right for it.

Reads no store; which tools there are is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from agentmem.checks import clean_text, identifier, nearest, shown
from agentmem.errors import InvalidInput
from agentmem.ranking.tools.conformal import needed

__all__ = ["Label", "check_alpha", "places_of", "read_labelled"]

Label: TypeAlias = str | Sequence[str] | None
"""The name of a query's tool, several names, or None where no tool fits."""

NAMED: Final = 3  # unknown names in a message


def read_labelled(queries: object, labels: object) -> tuple[list[str], list[tuple[str, ...]]]:
    """Read queries, and the names of the tools of each.

    Raises:
        InvalidInput: They cannot be used, or are not as many.
    """
    texts = [_query(text) for text in _listed(queries, what="queries")]
    golds = [_label(label) for label in _listed(labels, what="labels")]
    if len(texts) != len(golds):
        raise InvalidInput(
            f"{len(texts):,} queries came with {len(golds):,} labels. Pass one label a query: the "
            "name of its tool, a list of names, or None where no tool fits."
        )
    return texts, golds


def places_of(
    golds: Sequence[Sequence[str]], *, tools: Mapping[str, frozenset[int]], where: str
) -> list[frozenset[int]]:
    """Return the places of the right tools of each query.

    Args:
        golds: Their names.
        tools: Places of the tools of each name; several namespaces may use one.
        where: What holds them, in the caller's words.

    Raises:
        InvalidInput: One of them is not there.
    """
    unknown = list(dict.fromkeys(name for gold in golds for name in gold if name not in tools))
    if unknown:
        more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
        raise InvalidInput(
            f"{where} has no tool {', '.join(map(shown, unknown[:NAMED]))}{more}, which the labels "
            f"name.{nearest(unknown[0], tools)} Pass None as the label of a query that no tool "
            "fits."
        )
    return [frozenset().union(*(tools[name] for name in gold)) for gold in golds]


def check_alpha(alpha: object, *, answerable: int) -> None:
    """Refuse a rate that is none, or that takes more answerable queries than there are.

    Raises:
        InvalidInput: It is one of these.
    """
    if (
        not isinstance(alpha, (int, float))
        or isinstance(alpha, bool)
        or not math.isfinite(alpha)
        or not 0 < alpha < 1
    ):
        raise InvalidInput(
            f"alpha={shown(alpha)}: pass the rate of wrong refusals to allow, above 0 and below 1, "
            "such as 0.05."
        )
    fewest = needed(alpha)
    if answerable < fewest:
        least = math.ceil(1_000 / (answerable + 1)) / 1_000
        offer = f": {answerable:,} suffice for alpha={least:g}" if least < 1 else ""
        raise InvalidInput(
            f"{answerable:,} of the queries have a tool that fits, and alpha={alpha:g} takes at "
            f"least {fewest:,}: fewer promise nothing. Pass more real queries, or allow more wrong "
            f"refusals{offer}."
        )


def _listed(values: object, *, what: str) -> list[object]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidInput(f"{what}={shown(values)}: pass a list, one for each query.")
    return list(values)


def _query(text: object) -> str:
    if not isinstance(text, str) or not clean_text(text, what="a query").strip():
        raise InvalidInput(f"one of the queries is {shown(text)}. Pass what users asked, as text.")
    return text


def _label(label: object) -> tuple[str, ...]:
    listed = [label] if isinstance(label, str) else [] if label is None else label
    if not isinstance(listed, Iterable):
        raise InvalidInput(
            f"one of the labels is {shown(label)}. Pass the name of the query's tool, a list of "
            "names, or None where no tool fits."
        )
    return tuple(identifier(name, what="a tool's name in labels") for name in listed)
