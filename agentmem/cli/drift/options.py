"""The options that the drift and passport commands share, and what they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.options import Store, location, opened
from agentmem.cli.tools.options import opened_router
from agentmem.types import DriftKind, DriftSubject

if TYPE_CHECKING:
    from agentmem.memory import Memory
    from agentmem.router import ToolRouter
    from agentmem.storage.turns import Store as Turns

__all__ = [
    "DryRun",
    "KindName",
    "Kinds",
    "Of",
    "Store",
    "SubjectName",
    "kinds_of",
    "opened_subjects",
    "opened_turns",
]


class KindName(str, Enum):
    """The values of `--kind`; a test holds them to `types.DriftKind`."""

    MODEL = "model"
    TEXTS = "texts"
    CONTENT = "content"
    QUESTIONS = "questions"
    ANSWERS = "answers"
    LANGUAGE = "language"
    LENGTH = "length"


class SubjectName(str, Enum):
    """The values of `--of`; a test holds them to `types.DriftSubject`."""

    MEMORY = "memory"
    ROUTER = "router"


Kinds = Annotated[
    list[KindName] | None,
    typer.Option("--kind", help="Only this kind. May be given several times. Default: all."),
]
Of = Annotated[
    SubjectName | None,
    typer.Option("--of", help="Only of turns, or of tools. Default: whatever the store holds."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and write nothing.")
]


def kinds_of(kinds: Sequence[KindName] | None) -> list[DriftKind] | None:
    """Return the kinds that are wanted; None for all."""
    return [one.value for one in kinds] if kinds else None


@contextmanager
def opened_turns(store: str | None) -> Iterator[Turns]:
    """Open a store to read what it says of itself, without a model."""
    from agentmem.storage.turns import Store as Opened

    found = Opened.open(location(store), passport=None, create=False, read_only=True)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def opened_subjects(
    store: str | None, *, of: SubjectName | None, model: str | None, read_only: bool = False
) -> Iterator[dict[DriftSubject, Memory | ToolRouter]]:
    """Open what a store holds: a memory, a router, or both, for one command."""
    wanted = _subjects(store) if of is None else [of]
    found: dict[DriftSubject, Memory | ToolRouter] = {}
    with ExitStack() as stack:
        if SubjectName.MEMORY in wanted:
            found["memory"] = stack.enter_context(opened(store, model=model, read_only=read_only))
        if SubjectName.ROUTER in wanted:
            found["router"] = stack.enter_context(
                opened_router(store, model=model, read_only=read_only)
            )
        yield found


def _subjects(store: str | None) -> list[SubjectName]:
    """Return what a store holds anything of; a memory, if nothing yet."""
    with opened_turns(store) as turns:
        held = {held for held, one in turns.watching.renewals().items() if one.count()}
    found = [SubjectName.MEMORY] if "turns" in held else []
    found += [SubjectName.ROUTER] if held & {"tools", "tool_examples"} else []
    return found or [SubjectName.MEMORY]
