"""The options that the tool commands share, and the router that they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from agentmem.cli.options import embedder, location
from agentmem.errors import StoreNotFound

if TYPE_CHECKING:
    from agentmem.router import ToolRouter

__all__ = [
    "WHERE_LIKE",
    "By",
    "Exclude",
    "FormatName",
    "History",
    "MaxTokens",
    "Namespace",
    "NoGuard",
    "Where",
    "Within",
    "count_of",
    "opened_router",
]

WHERE_LIKE: Final = '{"tags": {"contains": "travel"}}'

Namespace = Annotated[
    str,
    typer.Option(
        "--namespace", metavar="NAME", help="Part of the catalogue, such as a server or a tenant."
    ),
]
Within = Annotated[
    str | None,
    typer.Option("--namespace", metavar="NAME", help="Only this namespace. Default: all of them."),
]
Where = Annotated[
    str | None,
    typer.Option(metavar="JSON", help=f"Only tools that match, such as {WHERE_LIKE}."),
]
MaxTokens = Annotated[
    int | None, typer.Option(help="Budget for the tools' schemas, never exceeded.")
]
History = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Messages of the conversation so far, as JSON or JSON lines; - reads standard input.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A tool to leave out. May be given several times."),
]
By = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who gives it, for the record in `history`.")
]
NoGuard = Annotated[
    bool,
    typer.Option(
        "--no-guard", help="Apply it even where it makes selections of held-out queries worse."
    ),
]


class FormatName(str, Enum):
    """The values of `--schemas`; a test holds them to `types.SchemaFormat`."""

    OPENAI = "openai"
    OPENAI_RESPONSES = "openai-responses"
    ANTHROPIC = "anthropic"
    MCP = "mcp"
    ORIGINAL = "original"


def count_of(text: str) -> int | Literal["auto"]:
    """Read the value of `-k`; whether the number will do is for the router to say."""
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number nor auto", param_hint="--k"
        ) from None


@contextmanager
def opened_router(
    store: str | None, *, model: str | None, read_only: bool = True, create: bool = False
) -> Iterator[ToolRouter]:
    """Open the store for one command."""
    from agentmem.router import ToolRouter

    try:
        router = ToolRouter.open(
            location(store), embedder=embedder(model), create=create, read_only=read_only
        )
    except StoreNotFound as error:
        raise StoreNotFound(f"{error} Here, `agentmem tools register` makes one.") from error
    with router:
        yield router
