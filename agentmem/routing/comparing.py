"""How given tools differ from the stored ones: the plan of a write, its report, its refusals.

Tools go by the key they are stored under. Pure: reads no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from agentmem.checks import shown
from agentmem.errors import ConcurrentWrite, DuplicateTool
from agentmem.storage.tool_schema import tool_key
from agentmem.toolspec import content_hash, views
from agentmem.types import CatalogueChange, Tool

__all__ = ["Status", "by_key", "change_of", "compared", "having", "name_taken", "unsettled"]

Status: TypeAlias = Literal["added", "changed", "unchanged", "removed"]

NAMED: Final = 3  # clashes described in full; the others are counted
SAID: Final = ("description", "parameters", "tags")
WRITTEN: Final = ("source", "original")  # differ wherever the above do, and alone say little


def by_key(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Return tools by the key that each is stored under."""
    return {tool_key(tool.name, namespace=tool.namespace): tool for tool in tools}


def compared(given: Mapping[str, Tool], stored: Mapping[str, str]) -> dict[str, Status]:
    """Return what storing each of the given tools would do.

    Args:
        given: The tools.
        stored: The content hash of each stored tool.
    """
    statuses: dict[str, Status] = {}
    for key, tool in given.items():
        if key not in stored:
            statuses[key] = "added"
        else:
            statuses[key] = "unchanged" if stored[key] == content_hash(tool) else "changed"
    return statuses


def having(status: Status, statuses: Mapping[str, Status]) -> list[str]:
    """Return the keys of that status."""
    return [key for key, one in statuses.items() if one == status]


def change_of(
    statuses: Mapping[str, Status],
    *,
    given: Mapping[str, Tool],
    names: Mapping[str, str],
    namespace: str,
    dry_run: bool = False,
) -> CatalogueChange:
    """Return the report of a write.

    Args:
        statuses: What was done to each tool.
        given: The tools that were given.
        names: The names of tools that were not.
        namespace: Where.
        dry_run: Whether nothing was done.
    """
    named = {**names, **{key: tool.name for key, tool in given.items()}}

    def sorted_names(status: Status) -> tuple[str, ...]:
        return tuple(sorted(named[key] for key in having(status, statuses)))

    written = having("added", statuses) + having("changed", statuses)
    return CatalogueChange(
        added=sorted_names("added"),
        changed=sorted_names("changed"),
        unchanged=sorted_names("unchanged"),
        removed=sorted_names("removed"),
        namespace=namespace,
        embedded=sum(2 + bool(views(given[key]).arguments) for key in written),
        dry_run=dry_run,
    )


def name_taken(clashes: Sequence[tuple[Tool, Tool]], *, rest: str) -> DuplicateTool:
    """Return the error that names are taken by other definitions.

    Args:
        clashes: Each stored tool with the given one of its name, at least one pair.
        rest: What became of the rest of the call.
    """
    described = "; ".join(_clash(stored, given) for stored, given in clashes[:NAMED])
    more = f"; and {len(clashes) - NAMED} more" if len(clashes) > NAMED else ""
    return DuplicateTool(
        f"namespace {shown(clashes[0][0].namespace)} already has another definition of "
        f"{described}{more}. Names are unique within a namespace, and {rest}. Give the new tool "
        "its own name or namespace, or pass on_conflict='replace' to put it in the old one's "
        "place."
    )


def _clash(stored: Tool, given: Tool) -> str:
    said = _differing(stored, given, fields=SAID)
    differing = said or _differing(stored, given, fields=WRITTEN)
    return (
        f"{shown(given.name)}, which differs in {' and '.join(differing)} (stored: "
        f"{shown(stored.description)}, given: {shown(given.description)})"
    )


def _differing(stored: Tool, given: Tool, *, fields: Sequence[str]) -> list[str]:
    return [name for name in fields if getattr(stored, name) != getattr(given, name)]


def unsettled(namespace: str, *, uri: str) -> ConcurrentWrite:
    """Return the error that others kept changing a namespace while it was synced."""
    return ConcurrentWrite(
        f"could not sync namespace {shown(namespace)} in {uri}: others kept changing it. What was "
        "given is registered, but tools of others may remain. Repair: call again, and let one "
        "process sync a namespace at a time."
    )
