"""The tools of a catalogue as a person lists them: looked up, filtered and counted, not ranked.

Keeps the rows of the newest version in memory, without their vectors, and makes a `Tool` of a
row only when it is asked for.
"""

from __future__ import annotations

import difflib
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from agentmem.checks import shown
from agentmem.errors import NotFound
from agentmem.filters import Filter, matches
from agentmem.storage.arrow import strings
from agentmem.storage.catalogue import Catalogue
from agentmem.storage.tool_schema import tool_from_definition, tool_key
from agentmem.types import Tool

__all__ = ["Roster"]

NEAREST: Final = 3  # names offered in place of one that does not exist
NAMED: Final = 5  # of the missing ones, enough to recognise the mistake


class Roster:
    """Reads the tools of one store. Safe for several threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._version: int | None = None
        self._stored: pa.Table = pa.table({})

    def get(self, name: str, *, namespace: str) -> Tool:
        """Return one tool.

        Raises:
            NotFound: There is none of that name in the namespace.
        """
        found = self.by_key([tool_key(name, namespace=namespace)])
        if not found:
            raise self.missing([name], namespace=namespace)
        return next(iter(found.values()))

    def tools(self, *, namespace: str | None, where: Filter | None) -> list[Tool]:
        """Return the tools that match, in the order in which they were registered."""
        heads = self._heads()
        rows = zip(strings(heads["namespace"]), strings(heads["definition"]), strict=True)
        within = (tool_from_definition(text) for of, text in rows if namespace in (None, of))
        return [tool for tool in within if where is None or matches(where, tool)]

    def namespaces(self) -> dict[str, int]:
        """Return how many tools each namespace has, by its name."""
        return dict(sorted(Counter(strings(self._heads()["namespace"])).items()))

    def count(self) -> int:
        """Return how many tools there are."""
        return self._heads().num_rows

    def by_key(self, keys: Sequence[str]) -> dict[str, Tool]:
        """Return the tools with these keys, of those there are."""
        found = self._catalogue.definitions(keys)
        return {key: tool_from_definition(text) for key, text in found.items()}

    def missing(self, names: Sequence[str], *, namespace: str | None) -> NotFound:
        """Return the error that a namespace lacks these tools, with what may have been meant.

        Args:
            names: The tools.
            namespace: Where they were looked for; everywhere if None.
        """
        heads = self._heads()
        pairs = zip(strings(heads["namespace"]), strings(heads["name"]), strict=True)
        listed = ", ".join(shown(name) for name in names[:NAMED])
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        where = "the catalogue" if namespace is None else f"namespace {shown(namespace)}"
        return NotFound(
            f"{where} has no tool {listed}{more}. "
            + _suggestion(names[0], namespace=namespace, registered=list(pairs))
        )

    def _heads(self) -> pa.Table:
        """Return the row of every tool, as of now."""
        with self._lock:
            state = self._catalogue.read(self._version)
            if state is not None:
                self._version, self._stored = state.version, state.heads
            return self._stored


def _suggestion(name: str, *, namespace: str | None, registered: Sequence[tuple[str, str]]) -> str:
    """Say where the tool is, or which names are nearest, given namespace and name of all tools."""
    elsewhere = sorted({of for of, one in registered if one == name})
    if elsewhere:
        return f"Namespace {' and '.join(map(shown, elsewhere[:NAMED]))} has one of that name."
    here = {one.lower(): one for of, one in registered if namespace in (None, of)}
    close = difflib.get_close_matches(name.lower(), here, n=NEAREST)
    if close:
        return f"The nearest names are {', '.join(shown(here[one]) for one in close)}."
    if here:
        return "No name there is like it; list() returns them."
    known = ", ".join(map(shown, sorted({of for of, _ in registered})[:NAMED]))
    return f"It is empty; there are tools in {known}." if known else "The catalogue is empty."
