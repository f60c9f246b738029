"""The `agentmem eval` commands: how well a memory finds evidence, measured on your machine.

Parses options, calls `agentmem.evaluation`, prints. The report goes to standard output, the
progress bar to standard error.
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from agentmem.evaluation import Dataset, Estimate, Report
    from agentmem.protocols import Embedder

__all__ = ["app"]

app = typer.Typer(name="eval", help="Measure retrieval on data with known answers.")

_KS: Final = "1,5,10,20"
_MANY_GOLD: Final = 5  # evidence of more turns than a screen of hits shows: precision says more
_INTERVAL_WIDTH: Final = (
    9  # "0.12–0.34" must never be cut; it goes below the mean where it is narrow
)
_FILE_WIDTH: Final = 140  # five systems side by side without a break, where no terminal limits it
_EXCERPT: Final = 160  # characters of a turn that say which one it is
_TOP: Final = 3  # wrong hits shown beside what was missed


class _DatasetName(str, Enum):
    LOCOMO = "locomo"
    QMSUM = "qmsum"
    BFCL_MEMORY = "bfcl-memory"
    JSONL = "jsonl"


@app.callback()
def _group() -> None:
    """Measure retrieval on data with known answers."""


@app.command()
def memory(
    path: Annotated[Path, typer.Argument(help="The publisher's file or folder.")],
    *,
    dataset: Annotated[
        _DatasetName,
        typer.Option(help="Format of PATH. jsonl: your own conversations, one a line."),
    ],
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Also dense only, lexical only, RRF and plain z-scores."),
    ] = False,
    k: Annotated[
        str | None,
        typer.Option(help=f"Depths, separated by commas. Default {_KS}, for qmsum also 50."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Name or folder of a sentence-transformers model."),
    ] = None,
    failures: Annotated[
        int, typer.Option(min=0, help="Show so many of the questions answered worst.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON, without single questions.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write figures and every single answer to this JSON file."),
    ] = None,
) -> None:
    """Measure how much of the evidence of questions a memory finds."""
    from agentmem.evaluation import FORMATS, evaluate, load_dataset

    if out is not None and not out.absolute().parent.is_dir():
        # Said now rather than after minutes of embedding.
        raise typer.BadParameter(f"there is no folder {out.absolute().parent}", param_hint="--out")
    data = load_dataset(dataset.value, path)
    ks = _depths(k) if k else FORMATS[dataset.value].ks
    report = evaluate(data, embedder=_embedder(model), baselines=baselines, ks=ks)
    if as_json:
        typer.echo(_json(report.to_dict(rows=False)))
    else:
        _print(report, data=data, failures=failures)
    if out is not None:
        _write(out, text=_json(report.to_dict()))


def _depths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers; write them as {_KS}", param_hint="--k"
        ) from None


def _embedder(model: str | None) -> Embedder | None:
    if model is None:
        return None
    from agentmem.embedding import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(model)


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False)


def _write(path: Path, *, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(
            f"{path} cannot be written ({error.strerror})", param_hint="--out"
        ) from error


def _print(report: Report, *, data: Dataset, failures: int) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    _print_figures(report, console=console)
    _print_facts(report, console=console)
    if failures:
        _print_failures(report, data=data, limit=failures, console=console)


def _print_figures(report: Report, *, console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title = f"{report.dataset}: means and 95 % intervals"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=title)
    table.add_column("category", overflow="fold")
    table.add_column("metric", no_wrap=True)
    for system in report.systems:
        table.add_column(system.name, justify="right", min_width=_INTERVAL_WIDTH)
    with_precision = _gold_per_question(report) > _MANY_GOLD
    shown = [
        row for row in report.table() if with_precision or not row.metric.startswith("precision")
    ]
    previous: object = object()
    for row in shown:
        opens = row.category != previous
        if opens and table.row_count:
            table.add_section()
        label = f"{row.category or 'overall'} ({row.questions})" if opens else ""
        table.add_row(escape(label), row.metric, *map(_cell, row.values.values()))
        previous = row.category
    console.print(table)


def _gold_per_question(report: Report) -> float:
    rows = report.systems[0].rows
    return sum(len(row.gold) for row in rows) / len(rows)


def _cell(value: Estimate) -> str:
    return f"{value.mean:.3f} [dim]{value.low:.2f}–{value.high:.2f}[/dim]"


def _print_facts(report: Report, *, console: Console) -> None:
    times = ", ".join(
        f"{system.name} {system.milliseconds['total']:.1f} ms" for system in report.systems
    )
    console.print(
        f"{sum(report.questions.values())} questions on {report.turns} turns of "
        f"{report.conversations} conversations, model {report.passport['model']}.\n"
        "recall@k is fractional: the share of a question's evidence among the first k.\n"
        f"Turns added in {report.seconds_adding:.1f} s. Median search: {times}; "
        "questions are encoded once, for the first system.",
        highlight=False,
        markup=False,
    )
    for reason, count in report.notes.items():
        console.print(f"{reason}: {count}", highlight=False, markup=False)


def _print_failures(report: Report, *, data: Dataset, limit: int, console: Console) -> None:
    texts = {conversation.id: conversation.contents() for conversation in data.conversations}
    for row in report.failures(limit):
        said = texts[row.conversation]
        console.print(
            f"\n[{row.category}] {row.question}", style="bold", highlight=False, markup=False
        )
        for key in row.gold:
            rank = row.rank(key)
            place = f"rank {rank}" if rank else f"not in the first {max(report.ks)}"
            console.print(
                f"  missed {key} ({place}): {_excerpt(said[key])}", highlight=False, markup=False
            )
        for key in row.retrieved[:_TOP]:
            console.print(
                f"  found  {key}: {_excerpt(said[key])}", style="dim", highlight=False, markup=False
            )


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"
