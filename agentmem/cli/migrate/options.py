"""The embedder that a store is moved to, as options say it; and the store, whatever its space."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.options import location

if TYPE_CHECKING:
    from agentmem.memory import Memory
    from agentmem.protocols import Embedder

__all__ = [
    "DocumentPrompt",
    "Flip",
    "Labels",
    "QueryPrompt",
    "Revision",
    "ServiceModel",
    "Shadow",
    "Share",
    "To",
    "TruncateDim",
    "opened_whole",
    "target_of",
]

_NEW = "The new space"

To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="MODEL",
        help="The model to move to: a sentence-transformers name or folder, or the address of "
        "an OpenAI-compatible service such as http://127.0.0.1:8080/v1.",
        rich_help_panel=_NEW,
    ),
]
ServiceModel = Annotated[
    str | None,
    typer.Option("--service-model", help="Its name at that service.", rich_help_panel=_NEW),
]
Revision = Annotated[
    str | None, typer.Option(help="Commit or tag on the hub.", rich_help_panel=_NEW)
]
TruncateDim = Annotated[
    int | None,
    typer.Option(help="Keep only the first components (Matryoshka).", rich_help_panel=_NEW),
]
QueryPrompt = Annotated[
    str | None, typer.Option(help="Text put before a question.", rich_help_panel=_NEW)
]
DocumentPrompt = Annotated[
    str | None, typer.Option(help="Text put before a document.", rich_help_panel=_NEW)
]
Share = Annotated[
    float | None,
    typer.Option(
        help="Of the time in which it may compute; 1 takes every processor. Default: half of them, "
        "behind whatever else runs."
    ),
]
Shadow = Annotated[int, typer.Option(help="Live questions to ask of both spaces before the flip.")]
Labels = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Labelled traces: recall of them must not fall."),
]
Flip = Annotated[
    bool,
    typer.Option("--flip/--no-flip", help="Move readers over when the gates hold, or pause there."),
]


def target_of(
    to: str,
    *,
    service_model: str | None,
    revision: str | None,
    truncate_dim: int | None,
    query_prompt: str | None,
    document_prompt: str | None,
) -> Embedder:
    """Return the embedder that a store is to be moved to."""
    if to.startswith(("http://", "https://")):
        from agentmem.embedding import HttpEmbedder

        if service_model is None:
            raise typer.BadParameter("a service needs --service-model too", param_hint="--to")
        return HttpEmbedder(
            to,
            service_model,
            revision=revision,
            dimensions=truncate_dim,
            query_prompt=query_prompt or "",
            document_prompt=document_prompt or "",
        )
    from agentmem.embedding import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(
        to,
        revision=revision,
        truncate_dim=truncate_dim,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
    )


@contextmanager
def opened_whole(store: str | None, *, to: Embedder | None, read_only: bool) -> Iterator[Memory]:
    """Open a store in whichever space it is, with the embedder it may be moved to."""
    from agentmem.memory import Memory

    with Memory.open(
        location(store),
        standby=[] if to is None else [to],
        create=False,
        read_only=read_only,
        on_mismatch="serve_old",
    ) as memory:
        yield memory
