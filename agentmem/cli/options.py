"""The options that commands share, and the memory that they lead to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentmem.cli.telling import say
from agentmem.errors import ScopeRequired, StoreNotFound
from agentmem.types import ALL, AllScopes, Scope

if TYPE_CHECKING:
    from agentmem.embedding import CachedEmbedder
    from agentmem.memory import Memory

__all__ = [
    "Agent",
    "AsJson",
    "AsOf",
    "Dates",
    "DatesName",
    "Everyone",
    "KnownAt",
    "Mode",
    "ModeName",
    "Model",
    "Now",
    "Query",
    "Session",
    "Since",
    "Store",
    "Until",
    "User",
    "Where",
    "embedder",
    "filter_of",
    "load_model",
    "location",
    "opened",
    "scope_of",
    "waiting",
]

_WHOSE: Final = "Whose turns"

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="AGENTMEM_STORE",
        metavar="PATH",
        help="Folder of the store, or an address such as s3://bucket/path. "
        "Without it: agentmem's folder among your user data.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="AGENTMEM_MODEL",
        metavar="NAME",
        help="Name or folder of a sentence-transformers model. Default all-MiniLM-L6-v2.",
    ),
]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="ID", help="The user.", rich_help_panel=_WHOSE),
]
Agent = Annotated[
    str | None, typer.Option("--agent", metavar="ID", help="The agent.", rich_help_panel=_WHOSE)
]
Session = Annotated[
    str | None,
    typer.Option("--session", metavar="ID", help="The conversation.", rich_help_panel=_WHOSE),
]
Everyone = Annotated[
    bool,
    typer.Option("--all", help="Everyone's turns, in place of an id.", rich_help_panel=_WHOSE),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Query = Annotated[str, typer.Argument(metavar="QUERY", help="The question, in words.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Said then or later, such as 2024-05-01T09:30:00Z."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Said before that.")]
_WHEN: Final = "When"
AsOf = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Answer from what was true then.", rich_help_panel=_WHEN),
]
KnownAt = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Leave out what the store learnt later.", rich_help_panel=_WHEN
    ),
]
Now = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help='The present, which "last week" is relative to. Default: the clock\'s.',
        rich_help_panel=_WHEN,
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="JSON",
        help='Only turns that match, such as {"role": "user", "metadata.n": {"gte": 3}}.',
    ),
]


class ModeName(str, Enum):
    """The values of `--mode`; a test holds them to `types.Mode`."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


class DatesName(str, Enum):
    """The values of `--dates`; a test holds them to `types.Dates`."""

    HINT = "hint"
    FILTER = "filter"
    IGNORE = "ignore"


Dates = Annotated[
    DatesName,
    typer.Option(
        help="What dates in the question are used for: to lift turns of that time, to leave out "
        "all others, or for nothing.",
        rich_help_panel=_WHEN,
    ),
]
Mode = Annotated[ModeName, typer.Option(help="By meaning and words, by meaning, or by words.")]


def scope_of(
    *, user: str | None, agent: str | None, session: str | None, everyone: bool
) -> Scope | AllScopes:
    """Return the scope that the options name.

    Raises:
        ScopeRequired: They name nobody.
    """
    scope = Scope(user, agent, session)
    if everyone and not scope.is_empty:
        raise typer.BadParameter("give either --all or ids, not both", param_hint="--all")
    if everyone:
        return ALL
    if scope.is_empty:
        raise ScopeRequired(
            "nobody was named, so this would reach every user's turns. Give --user, --agent or "
            "--session, or --all to mean everyone."
        )
    return scope


def filter_of(where: str | None, *, like: str = '{"role": "user"}') -> dict[str, Any] | None:
    """Read the JSON of `--where`; whether it is a filter is for the memory or router to say."""
    if where is None:
        return None
    try:
        value: dict[str, Any] = json.loads(where)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint="--where") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"write an object like {like}", param_hint="--where")
    return value


def location(store: str | None) -> str:
    """Return where the store is; the default is named on a terminal, so that nobody wonders."""
    if store is not None:
        return store
    from platformdirs import user_data_dir

    default = user_data_dir("agentmem", appauthor=False)
    if sys.stderr.isatty():
        say(f"store: {default} (--store or AGENTMEM_STORE names another)", err=True)
    return default


@contextmanager
def opened(
    store: str | None, *, model: str | None, read_only: bool = True, create: bool = False
) -> Iterator[Memory]:
    """Open the store for one command."""
    from agentmem.memory import Memory

    try:
        memory = Memory.open(
            location(store),
            embedder=embedder(model),
            create=create,
            read_only=read_only,
            on_mismatch="raise" if model else "serve_old",  # nobody said which: the store does
        )
    except StoreNotFound as error:
        raise StoreNotFound(f"{error} Here, `agentmem add` and `import` make one.") from error
    with memory:
        yield memory


def load_model(model: str | None) -> None:
    """Load a model now: its seconds are none of the milliseconds of what follows."""
    with waiting("loading the model"):
        embedder(model).split(["a question"], prefixes=[""])


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what is being waited for, while it lasts, where a person watches."""
    if not sys.stderr.isatty():
        yield
        return
    from agentmem.cli.render import make_console

    with make_console(stderr=True).status(what):
        yield


@lru_cache(maxsize=4)
def embedder(model: str | None) -> CachedEmbedder:
    """Return the embedder of a model, the same one for the life of the process."""
    from agentmem.embedding import CachedEmbedder, SentenceTransformerEmbedder

    return CachedEmbedder(SentenceTransformerEmbedder(model))
