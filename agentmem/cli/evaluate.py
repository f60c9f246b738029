"""The `agentmem eval` commands, and of them `memory`: how well a memory finds evidence.

Parses options, calls `agentmem.evaluation`, prints. The report goes to standard output, the
progress bar to standard error.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentmem.cli.evaluate_router import router
from agentmem.cli.figures import (
    LabelledStore,
    as_text,
    check_out,
    depths,
    embedder_of,
    excerpt,
    figures_table,
    weights,
    wide_console,
    write,
)
from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model, embedder, location
from agentmem.cli.telling import say

if TYPE_CHECKING:
    from rich.console import Console

    from agentmem.evaluation import Dataset, Report, System

__all__ = ["app"]

app = typer.Typer(name="eval", help="Measure retrieval on data with known answers.")

_KS: Final = "1,5,10,20"
_MANY_GOLD: Final = 5  # evidence of more turns than a screen of hits shows: precision says more
_TRIED: Final = "tried"  # the product with the weights of --ranking, in tables
_TOP: Final = 3  # wrong hits shown beside what was missed


class _DatasetName(str, Enum):
    LOCOMO = "locomo"
    QMSUM = "qmsum"
    BFCL_MEMORY = "bfcl-memory"
    JSONL = "jsonl"
    LABELLED = "labelled"


@app.callback()
def _group() -> None:
    """Measure retrieval on data with known answers."""


@app.command()
def memory(
    path: Annotated[
        Path, typer.Argument(help="The publisher's file or folder; of labels, the traces'.")
    ],
    *,
    dataset: Annotated[
        _DatasetName,
        typer.Option(
            help="Format of PATH. jsonl: your own conversations, one a line. labelled: searches "
            "that were marked right or wrong with `agentmem traces label`."
        ),
    ],
    store: LabelledStore = None,
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
    ranking: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help='Also ask with these weights, such as {"context": 0}; the others as they are.',
        ),
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

    check_out(out)
    systems = _systems(ranking)
    chosen = FORMATS[dataset.value]
    data = load_dataset(dataset.value, path, store=location(store) if chosen.of_store else None)
    ks = depths(k, example=_KS) if k else chosen.ks
    embedder = embedder_of(model)
    report = evaluate(data, embedder=embedder, baselines=baselines, systems=systems, ks=ks)
    if as_json:
        print_json(report.to_dict(rows=False))
    else:
        _print(report, data=data, failures=failures)
    if out is not None:
        write(out, text=as_text(report.to_dict()))


def _systems(ranking: str | None) -> list[System]:
    """Return the product, and beside it the product with other weights."""
    from agentmem.evaluation import PRODUCT, weighted
    from agentmem.ranking import Ranking

    if ranking is None:
        return [PRODUCT]
    return [PRODUCT, weighted(weights(ranking, of=Ranking, hint="--ranking"), name=_TRIED)]


def _print(report: Report, *, data: Dataset, failures: int) -> None:
    console = wide_console()
    with_precision = _gold_per_question(report) > _MANY_GOLD
    rows = [
        row for row in report.table() if with_precision or not row.metric.startswith("precision")
    ]
    title = f"{report.dataset}: means and 95 % intervals"
    console.print(figures_table([*rows, *report.repetitions()], title=title))
    _print_facts(report, console=console)
    if failures:
        _print_failures(report, data=data, limit=failures, console=console)


def _gold_per_question(report: Report) -> float:
    rows = report.systems[0].rows
    return sum(len(row.gold) for row in rows) / max(len(rows), 1)


def _print_facts(report: Report, *, console: Console) -> None:
    times = ", ".join(
        f"{system.name} {system.milliseconds['total']:.1f} ms" for system in report.systems
    )
    console.print(
        f"{sum(report.questions.values())} questions on {report.turns} turns of "
        f"{report.conversations} conversations, model {report.passport['model']}.\n"
        "recall@k is fractional: the share of a question's evidence among the first k.\n"
        f"Turns added in {report.seconds_adding:.1f} s. Median search: {times}; "
        "questions are encoded once, for the first system."
    )
    if report.mistakes:
        console.print(
            f"{report.mistakes} past mistakes; repeated@k is the share of the turns marked wrong "
            "that are among the first k again: lower is better."
        )
    for reason, count in report.notes.items():
        console.print(f"{reason}: {count}")


def _print_failures(report: Report, *, data: Dataset, limit: int, console: Console) -> None:
    from agentmem.cli.render import visible

    texts = {conversation.id: conversation.contents() for conversation in data.conversations}
    for row in report.failures(limit):
        said = texts[row.group]
        console.print(f"\n[{visible(row.category)}] {visible(row.question)}", style="bold")
        for key in row.gold:
            rank = row.rank(key)
            place = f"rank {rank}" if rank else f"not in the first {max(report.ks)}"
            console.print(f"  missed {visible(key)} ({place}): {excerpt(said[key])}")
        for key in row.retrieved[:_TOP]:
            console.print(f"  found  {visible(key)}: {excerpt(said[key])}", style="dim")


app.command()(router)


@app.command()
def forgetting(*, model: Model = None, as_json: AsJson = False) -> None:
    """Measure what a memory still gives away of what was corrected, ended or erased.

    Self-written cases in six categories, on a store of its own. The exit code is 1 if anything
    leaked or was lost.
    """
    from tempfile import TemporaryDirectory

    from agentmem.evaluation.forgetting import CATEGORIES, evaluate

    with TemporaryDirectory() as folder:
        found = evaluate(Path(folder), embedder=embedder(model))
    if as_json:
        print_json([{**asdict(one), "score": one.score} for one in found])
    else:
        for one in found:
            say(f"{one.score:6.1%}  {one.category:<10}  {CATEGORIES[one.category]}")
            for fact in (*one.leaked, *one.lost):
                say(f"        {'leaked' if fact in one.leaked else 'lost'}: {fact}")
    if any(one.score < 1 for one in found):
        raise typer.Exit(1)
