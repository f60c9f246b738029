"""What the `agentmem eval` commands share: depths and files checked, figures in a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from agentmem.evaluation import Estimate, TableRow
    from agentmem.protocols import Embedder
    from agentmem.ranking import Ranking
    from agentmem.ranking.tools import Routing

__all__ = [
    "LabelledStore",
    "as_text",
    "cell",
    "check_out",
    "depths",
    "embedder_of",
    "excerpt",
    "figures_table",
    "plain_table",
    "weights",
    "wide_console",
    "write",
]

LabelledStore = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="AGENTMEM_STORE",
        metavar="PATH",
        help="With labelled: folder or address of the store that the labels speak of. It is only "
        "read. Without it: agentmem's folder among your user data.",
    ),
]
_Weights = TypeVar("_Weights", "Ranking", "Routing")

_INTERVAL_WIDTH: Final = (
    9  # "0.12–0.34" must never be cut; it goes below the mean where it is narrow
)
_FILE_WIDTH: Final = 140  # five systems side by side without a break, where no terminal limits it
_EXCERPT: Final = 160  # characters of a text that say which one it is


def depths(text: str, *, example: str) -> tuple[int, ...]:
    """Read depths separated by commas."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers; write them as {example}", param_hint="--k"
        ) from None


def check_out(out: Path | None) -> None:
    """Refuse a file in no folder: now rather than after minutes of embedding."""
    if out is not None and not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.absolute().parent}", param_hint="--out")


def embedder_of(model: str | None) -> Embedder | None:
    """Return the embedder of a model, or None for the default."""
    if model is None:
        return None
    from agentmem.embedding import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(model)


def weights(text: str, *, of: type[_Weights], hint: str) -> _Weights:
    """Read weights written as a JSON object; those that are left out keep their defaults.

    Args:
        text: Such as `{"context": 0}`.
        of: What they are the weights of.
        hint: The option, for errors.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint=hint) from None
    known = [field.name for field in fields(of)]
    if not isinstance(given, dict) or given.keys() - set(known):
        raise typer.BadParameter(
            f'write an object of weights like {{"{known[0]}": 1}}; there are {", ".join(known)}',
            param_hint=hint,
        )
    return of(**given)


def as_text(values: dict[str, Any]) -> str:
    """Return JSON for a person and a program alike."""
    return json.dumps(values, indent=2, ensure_ascii=False)


def write(path: Path, *, text: str) -> None:
    """Write the whole report."""
    try:
        path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")  # as JSON has it
    except OSError as error:
        raise typer.BadParameter(
            f"{path} cannot be written ({error.strerror})", param_hint="--out"
        ) from error


def wide_console() -> Console:
    """Return the console of the report, wide where no terminal limits it."""
    from agentmem.cli.render import make_console

    console = make_console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console


def plain_table(title: str) -> Table:
    """Return an empty table in the style of reports."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=title)


def figures_table(rows: Sequence[TableRow], *, title: str) -> Table:
    """Lay out measures, one line each, by category, with the systems side by side."""
    from agentmem.cli.render import visible

    table = plain_table(visible(title))
    table.add_column("category", overflow="fold")
    table.add_column("metric", no_wrap=True)
    for name in rows[0].values:
        table.add_column(name, justify="right", min_width=_INTERVAL_WIDTH)
    previous: object = object()
    for row in rows:
        opens = row.category != previous
        if opens and table.row_count:
            table.add_section()
        label = f"{row.category or 'overall'} ({row.questions})" if opens else ""
        table.add_row(visible(label), row.metric, *map(cell, row.values.values()))
        previous = row.category
    return table


def cell(value: Estimate) -> Text:
    """Return a mean with its interval."""
    from rich.text import Text

    return Text.assemble(f"{value.mean:.3f} ", (f"{value.low:.2f}–{value.high:.2f}", "dim"))


def excerpt(text: str) -> str:
    """Return the beginning of a text in one line."""
    from agentmem.cli.render import excerpt as shown

    return shown(text, limit=_EXCERPT)
