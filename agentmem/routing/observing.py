"""What a caller taught, read: examples, or feedback on a selection, to queries with their tools.

An observation is a query and a tool that was right for it, was wrong, or was called and failed.
Reads no store; which tools there are is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from agentmem.analysis import analyze
from agentmem.checks import clean_text, identifier, shown
from agentmem.errors import InvalidInput
from agentmem.routing.lessons import EVERYWHERE
from agentmem.storage.lesson_schema import FAILED, RIGHT, WRONG, Label, Observation
from agentmem.types import Selection, Tool

__all__ = [
    "Examples",
    "Feedback",
    "Find",
    "Place",
    "Taught",
    "read_examples",
    "read_feedback",
    "taught_examples",
]

Examples: TypeAlias = Mapping[str, Sequence[str]]
Place: TypeAlias = tuple[str, str]
"""Namespace and name of a tool."""

Find: TypeAlias = Callable[[Sequence[str], "str | None"], list[Place]]
"""Where tools of these names are, within a namespace or anywhere; raises where one is not."""

PASSED_OVER: Final = 3  # of the tools above the one used: further down nobody may have looked


@dataclass(frozen=True, slots=True)
class Taught:
    """What a lesson brings.

    Attributes:
        namespace: Of all of its tools, or `EVERYWHERE`.
        observations: What was seen.
        detail: What else is worth keeping, as JSON.
    """

    namespace: str
    observations: tuple[Observation, ...]
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tools(self) -> list[str]:
        """Names of the tools, each once, in the order in which they were given."""
        return list(dict.fromkeys(one.tool for one in self.observations))


@dataclass(frozen=True, slots=True)
class Feedback:
    """Feedback on a query or a selection, its arguments checked.

    Attributes:
        query: What was asked.
        selection: The selection, where one was given.
        used: Names of the tools that were used, each once.
        succeeded: Whether that went well, if known.
        namespace: Where the tools are, if known.
    """

    query: str
    selection: Selection | None
    used: tuple[str, ...]
    succeeded: bool | None
    namespace: str | None

    def taught(self, find: Find, *, known: Callable[[Tool], bool]) -> Taught:
        """Return what it teaches.

        Args:
            find: Raises `NotFound` for a tool that does not exist.
            known: Whether a tool that was shown is still in the catalogue.
        """
        offered = () if self.selection is None else self.selection.matches
        placed = [(match.tool.namespace, match.name) for match in offered if known(match.tool)]
        used = self._used(find, self._candidates(known))
        outcome: Label = FAILED if self.succeeded is False else RIGHT
        seen = [(place, outcome) for place in used]
        if self.succeeded is not False:  # a call that failed says nothing of those passed over
            seen += [(place, WRONG) for place in _passed_over(placed, used=used)]
        spaces = {namespace for (namespace, _), _ in seen} or {self.namespace or EVERYWHERE}
        lexemes = " ".join(analyze(self.query))
        return Taught(
            namespace=spaces.pop() if len(spaces) == 1 else EVERYWHERE,
            observations=tuple(
                Observation(
                    tool=name,
                    query=self.query,
                    lexemes=lexemes,
                    label=label,
                    succeeded=None if label == WRONG else self.succeeded,
                    namespace=namespace,
                )
                for (namespace, name), label in seen
            ),
            detail={"query": self.query, "used": list(self.used), **_circumstances(self.selection)},
        )

    def _candidates(self, known: Callable[[Tool], bool]) -> list[Place]:
        if self.selection is None:
            return []
        seen = [*self.selection.matches, *self.selection.candidates]
        return [(one.tool.namespace, one.name) for one in seen if known(one.tool)]

    def _used(self, find: Find, candidates: Sequence[Place]) -> list[Place]:
        """Return where the tools used are: those that were found for the query before others."""
        places: dict[Place, None] = {}
        for name in self.used:
            within = {of for of, one in candidates if one == name and self.namespace in (None, of)}
            namespace = within.pop() if len(within) == 1 else self.namespace
            places.update(dict.fromkeys(find([name], namespace)))
        return list(places)


def _passed_over(offered: Sequence[Place], *, used: Sequence[Place]) -> list[Place]:
    """Return the tools that were shown above one that was used, and not used themselves.

    Below the last one used nobody may have looked (Joachims, "Optimizing Search Engines using
    Clickthrough Data", KDD 2002). Where none was used, all were looked at.
    """
    if not used:
        return list(offered)
    last = max((at for at, one in enumerate(offered) if one in used), default=len(offered))
    return [one for one in offered[:last] if one not in used][:PASSED_OVER]


def _circumstances(selection: Selection | None) -> dict[str, Any]:
    if selection is None:
        return {}
    return {
        "shown": selection.names,
        "called": list(selection.called),
        "abstained": selection.abstained,
        "confidence": selection.confidence,
        "config_id": selection.config_id,
        "catalogue_version": selection.catalogue_version,
        "examples_version": selection.examples_version,
    }


def read_feedback(
    given: Selection | str, *, used: object, succeeded: object, namespace: str | None
) -> Feedback:
    """Read feedback as a caller gives it.

    Raises:
        InvalidInput: It cannot be used; the message says which argument and why.
    """
    if not isinstance(given, (str, Selection)):
        raise InvalidInput(
            f"feedback on {shown(given)}: pass the Selection that select() returned, or the query."
        )
    if succeeded not in (None, True, False):
        raise InvalidInput(f"succeeded={shown(succeeded)}: pass True, False, or None if unknown.")
    selection = given if isinstance(given, Selection) else None
    names = _used_names(used)
    if succeeded is not None and not names:
        raise InvalidInput(
            f"succeeded={succeeded} without a tool: name the one whose call it was in used=, or "
            "leave succeeded out."
        )
    query = given if isinstance(given, str) else given.query
    return Feedback(
        query=_text(query, what="the query"),
        selection=selection,
        used=names,
        succeeded=None if succeeded is None else bool(succeeded),
        namespace=_within(namespace, selection=selection),
    )


def _used_names(used: object) -> tuple[str, ...]:
    listed = [used] if isinstance(used, str) else [] if used is None else used
    if not isinstance(listed, Iterable):
        raise InvalidInput(
            f"used={shown(used)}: pass the name of the tool that was used, a list of them, or "
            "None if no tool was right."
        )
    return tuple(dict.fromkeys(identifier(name, what="a tool's name in used") for name in listed))


def _within(namespace: str | None, *, selection: Selection | None) -> str | None:
    """Return where the tools are, by the argument or by the selection."""
    if namespace is not None:
        identifier(namespace, what="namespace")
    searched = None if selection is None else selection.namespace
    if namespace is None or searched in (None, namespace):
        return searched if namespace is None else namespace
    raise InvalidInput(
        f"the selection was made in namespace {shown(searched)}, and namespace={shown(namespace)} "
        "was given. Leave it out."
    )


def read_examples(examples: object, *, namespace: str) -> dict[str, list[str]]:
    """Read usage examples as a caller gives them: each query once a tool, in their order.

    Raises:
        InvalidInput: They are no mapping of names to queries, or hold none.
    """
    identifier(namespace, what="namespace")
    if not isinstance(examples, Mapping):
        raise InvalidInput(
            f"examples={shown(examples)}: pass a dictionary from the name of a tool to a list of "
            'queries it is right for, such as {"get_weather": ["Will it rain in Turin?"]}.'
        )
    return {
        identifier(name, what="a tool's name in examples"): _queries(name, queries)
        for name, queries in examples.items()
    }


def _queries(name: str, queries: object) -> list[str]:
    if isinstance(queries, str) or not isinstance(queries, Iterable):
        raise InvalidInput(
            f"the examples of tool {shown(name)} are {shown(queries)}. Pass a list of queries."
        )
    what = f"an example of tool {shown(name)}"
    return list(dict.fromkeys(_text(query, what=what) for query in queries))


def _text(query: object, *, what: str) -> str:
    if not isinstance(query, str) or not clean_text(query, what=what).strip():
        raise InvalidInput(f"{what} is {shown(query)}. Pass what a user asked, as text.")
    return query


def taught_examples(examples: Mapping[str, Sequence[str]], *, namespace: str) -> Taught:
    """Return what usage examples teach."""
    return Taught(
        namespace=namespace,
        observations=tuple(
            Observation(tool=name, query=query, lexemes=" ".join(analyze(query)), label=RIGHT)
            for name, queries in examples.items()
            for query in queries
        ),
    )
