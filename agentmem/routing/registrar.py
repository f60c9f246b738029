"""The write path of a catalogue: tools are registered, synced and removed, each in one commit.

What is given is compared with what is stored by content hash, and only what is new or changed
is embedded. Everything is read, checked and embedded before anything is written, so a bad
definition or a failing model leaves the catalogue as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import pyarrow as pa

from agentmem.checks import identifier, shown
from agentmem.errors import InvalidInput
from agentmem.protocols import Embedder, TokenCounter
from agentmem.routing.comparing import (
    Status,
    by_key,
    change_of,
    compared,
    having,
    name_taken,
    unsettled,
)
from agentmem.routing.lessons import checked_namespace
from agentmem.routing.preparing import ToolPreparer
from agentmem.routing.roster import Roster
from agentmem.storage.rows import Stamps
from agentmem.storage.tool_schema import tool_key, tool_rows
from agentmem.storage.tool_store import ToolStore
from agentmem.telemetry import Current, Operation, Tracing
from agentmem.toolspec import read_tools
from agentmem.types import CatalogueChange, Tool

__all__ = ["OnConflict", "Registrar"]

OnConflict: TypeAlias = Literal["error", "replace"]
Report: TypeAlias = Callable[[CatalogueChange], CatalogueChange]

ROUNDS: Final = 8  # of a sync whose namespace others keep changing; two syncs at once take two


class Registrar:
    """Writes the tools of one store. Safe for several threads.

    Args:
        store: Where to.
        roster: Reads the tools of that store.
        embedder: Of the space the store is written in.
        counter: Counts the tokens of definitions.
        reserve: Gives a moment such that it and so many microseconds after it are the caller's.
        tracing: Opens spans.
    """

    def __init__(
        self,
        store: ToolStore,
        *,
        roster: Roster,
        embedder: Embedder,
        counter: TokenCounter,
        reserve: Callable[[int], datetime],
        tracing: Tracing,
    ) -> None:
        self._store = store
        self._tracing = tracing
        self._catalogue = store.catalogue
        self._roster = roster
        self._preparer = ToolPreparer(embedder, counter=counter)
        self._reserve = reserve

    def register(
        self,
        tools: object,
        *,
        namespace: str,
        tags: object,
        on_conflict: OnConflict,
        expected: Sequence[str] = (),
    ) -> CatalogueChange:
        """Add tools to a namespace.

        Args:
            tools: What `read_tools` reads.
            namespace: Where to.
            tags: What `read_tools` takes.
            on_conflict: What to do with a name that is taken by another definition.
            expected: Names of tools that have to be there then.

        Raises:
            InvalidInput: A tool cannot be read.
            NotFound: An expected tool is neither given nor there; nothing was registered.
            DuplicateTool: A name is taken by another definition, or given twice.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The write failed.
        """
        if on_conflict not in ("error", "replace"):
            raise InvalidInput(f"on_conflict={shown(on_conflict)}: pass 'error' or 'replace'.")
        with self._operation("agentmem.router.register", namespace) as (current, report):
            with current.phase("read"):
                pending = given = by_key(read_tools(tools, namespace=namespace, tags=tags))
            self._check_expected(expected, given=given, namespace=namespace)
            outcome: dict[str, Status] = {}
            while pending:  # again for names that others took since they were looked up
                statuses = compared(pending, self._catalogue.hashes(namespace))
                if on_conflict == "error":
                    self._check_clashes(pending, statuses, late=bool(outcome))
                outcome |= statuses
                pending = {key: given[key] for key in self._add(pending, statuses, current)}
            return report(change_of(outcome, given=given, names={}, namespace=namespace))

    def sync(
        self, tools: object, *, namespace: str, tags: object, dry_run: bool
    ) -> CatalogueChange:
        """Make a namespace hold these tools and no others.

        Of several syncs at once, the last to commit has its way.

        Raises:
            InvalidInput: A tool cannot be read.
            DuplicateTool: A name is given twice.
            EmbeddingFailed: The model gave no usable vectors.
            ConcurrentWrite: Others kept changing the namespace.
            StoreError: The write failed; nothing was changed.
        """
        operation = self._operation("agentmem.router.sync", namespace, dry_run=dry_run)
        with operation as (current, report):
            with current.phase("read"):
                given = by_key(read_tools(tools, namespace=namespace, tags=tags))
            outcome: dict[str, Status] = {}
            names: dict[str, str] = {}
            for _ in range(ROUNDS):
                version = self._catalogue.version
                statuses = compared(given, self._catalogue.hashes(namespace))
                there = self._catalogue.names(namespace)
                names |= there
                statuses |= dict.fromkeys(there.keys() - given.keys(), "removed")
                outcome = _settled(outcome, statuses)
                if dry_run or self._put(given, statuses, current) in (None, version + 1):
                    break  # nobody wrote between the comparison and the commit
            else:
                raise unsettled(namespace, uri=self._store.name)
            return report(
                change_of(outcome, given=given, names=names, namespace=namespace, dry_run=dry_run)
            )

    def remove(
        self,
        names: str | Iterable[str],
        *,
        namespace: str,
        dry_run: bool,
        absent: bool = False,
    ) -> CatalogueChange:
        """Take tools out of a namespace.

        Args:
            names: Of the tools.
            namespace: Where they are.
            dry_run: Say what would be removed, and remove nothing.
            absent: Whether they may be gone already.

        Raises:
            NotFound: One of them is not there; nothing was removed.
            StoreError: The write failed; nothing was removed.
        """
        operation = self._operation("agentmem.router.remove", namespace, dry_run=dry_run)
        with operation as (current, report):
            wanted = _named(names, namespace=namespace)
            there = self._catalogue.names(namespace)
            missing = [name for key, name in wanted.items() if key not in there]
            if missing and not absent:
                raise self._roster.missing(missing, namespace=namespace)
            if wanted and not dry_run:
                with current.phase("commit"):
                    self._catalogue.rewrite(list(wanted), None)
            gone: dict[str, Status] = dict.fromkeys(wanted, "removed")
            return report(
                change_of(gone, given={}, names=wanted, namespace=namespace, dry_run=dry_run)
            )

    @contextmanager
    def _operation(
        self, name: Operation, namespace: str, *, dry_run: bool = False
    ) -> Iterator[tuple[Current, Report]]:
        """Open the span of a write; what it gives with it puts the report's counts on it."""
        checked_namespace(namespace)
        attributes = {
            "gen_ai.data_source.id": self._store.name,
            "agentmem.router.namespace": namespace,
        }
        with (
            self._tracing.operation(name, attributes) as current,
            self._store.audit.entry(
                name.rpartition(".")[2], detail={"namespace": namespace}, changes=not dry_run
            ) as entry,
        ):

            def report(change: CatalogueChange) -> CatalogueChange:
                counted = ("added", "changed", "unchanged", "removed")
                counts = {f"agentmem.router.{what}": len(getattr(change, what)) for what in counted}
                entry.note(**{what: len(getattr(change, what)) for what in counted})
                current.set({**counts, "agentmem.dry_run": change.dry_run})
                return change

            yield current, report

    def _check_expected(
        self, names: Sequence[str], *, given: Mapping[str, Tool], namespace: str
    ) -> None:
        """Refuse names of tools that would not be there after the registration."""
        wanted = _named(names, namespace=namespace)
        absent = {key: name for key, name in wanted.items() if key not in given}
        there = self._catalogue.names(namespace) if absent else {}
        missing = [name for key, name in absent.items() if key not in there]
        if missing:
            raise self._roster.missing(missing, namespace=namespace)

    def _check_clashes(
        self, tools: Mapping[str, Tool], statuses: Mapping[str, Status], *, late: bool
    ) -> None:
        """Refuse names that are taken by another definition.

        A definition that is stored as it is given, but was embedded by another version of
        agentmem, is no clash.
        """
        changed = having("changed", statuses)
        stored = self._roster.by_key(changed) if changed else {}
        clashes = [(there, tools[key]) for key, there in stored.items() if there != tools[key]]
        if clashes:
            rest = "whatever else the call held is registered" if late else "nothing was registered"
            raise name_taken(clashes, rest=rest)

    def _add(
        self, tools: Mapping[str, Tool], statuses: Mapping[str, Status], current: Current
    ) -> list[str]:
        """Store what is new or changed in one commit; return the keys others took meanwhile."""
        new, changed = having("added", statuses), having("changed", statuses)
        if not (new or changed):
            return []
        rows = self._rows([tools[key] for key in new + changed], current)
        with current.phase("commit"):
            if changed:
                self._catalogue.rewrite(changed, rows)
                return []
            return self._catalogue.insert_absent(rows)

    def _put(
        self, tools: Mapping[str, Tool], statuses: Mapping[str, Status], current: Current
    ) -> int | None:
        """Store what is new or changed and remove what is gone, in one commit.

        Returns:
            The version that holds it; None where there was nothing to do.
        """
        written = having("added", statuses) + having("changed", statuses)
        gone = having("removed", statuses)
        if not (written or gone):
            return None
        rows = self._rows([tools[key] for key in written], current) if written else None
        with current.phase("commit"):
            return self._catalogue.rewrite(gone + written, rows)

    def _rows(self, tools: Sequence[Tool], current: Current) -> pa.Table:
        rows = self._preparer.rows(tools, current=current)
        passport = self._store.passport
        now = self._reserve(len(rows))  # a microsecond a tool, so that their order is kept
        return tool_rows(
            rows,
            registered=[now + timedelta(microseconds=place) for place in range(len(rows))],
            stamps=Stamps.new(len(rows), passport_id=passport.id, at=now),
            dimension=passport.dimension,
        )


def _settled(before: dict[str, Status], now: dict[str, Status]) -> dict[str, Status]:
    """Join what two rounds found: a tool that the first one wrote is unchanged in the second."""
    return {**now, **before, **{key: one for key, one in now.items() if one != "unchanged"}}


def _named(names: object, *, namespace: str) -> dict[str, str]:
    """Return names as a caller gives them, each once, by key."""
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, Iterable):
        raise InvalidInput(f"names={shown(names)}: pass the name of a tool, or a list of them.")
    checked = [identifier(name, what="a tool's name") for name in listed]
    return {tool_key(name, namespace=namespace): name for name in checked}
