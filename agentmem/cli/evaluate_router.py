"""`agentmem eval router`: how well a router finds the tools that queries need.

Parses options, calls `agentmem.evaluation.router`, prints. The report goes to standard output,
the progress bar to standard error.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentmem.cli.figures import (
    LabelledStore,
    as_text,
    cell,
    check_out,
    depths,
    embedder_of,
    excerpt,
    figures_table,
    plain_table,
    weights,
    wide_console,
    write,
)
from agentmem.cli.machine import print_json
from agentmem.cli.options import location

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from agentmem.evaluation import Estimate
    from agentmem.evaluation.router import Amount, RouterReport

__all__ = ["router"]

_KS: Final = "1,5,10"
_SEED: Final = 7
_ALPHA: Final = 0.05
_HIDDEN: Final = ("any@", "precision@")  # with a few tools a query they say nothing new
_LIVE: Final = {"bfcl": "bfcl-live"}
_PROBED: Final = (
    "AUROC",
    "coverage at 95 %",
    "refused, fits",
    "refused, none fits",
    "found@5, fits",
    "found@5, hidden",
)


class _RouterDataset(str, Enum):
    METATOOL = "metatool"
    METATOOL_MULTI = "metatool-multi"
    SEAL_TOOLS = "seal-tools"
    BFCL = "bfcl"
    BFCL_LIVE = "bfcl-live"
    BFCL_MULTI_TURN = "bfcl-multi-turn"
    BFCL_MULTI_TURN_POOLED = "bfcl-multi-turn-pooled"
    JSONL = "jsonl"
    LABELLED = "labelled"


_Path = Annotated[Path, typer.Argument(help="The publisher's folder, or one of its files.")]
_Dataset = Annotated[
    _RouterDataset,
    typer.Option(
        help="Format of PATH. jsonl: your own tools.jsonl and queries.jsonl in a folder. labelled: "
        "selections that were marked right or wrong with `agentmem traces label`."
    ),
]
_Examples = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Usage examples of each tool to learn from: numbers separated by commas, `all` for "
        "all of the training part. Default 0,all where there is a training part.",
    ),
]
_Curve = Annotated[bool, typer.Option("--curve", help="The same as --examples 0,5,20,60,all.")]
_Noise = Annotated[
    float,
    typer.Option(
        min=0, max=1, metavar="P", help="Give that share of the examples to a wrong tool."
    ),
]
_Seed = Annotated[
    int, typer.Option(help="Draws the training part, the wrong examples and the limit.")
]
_Ks = Annotated[str, typer.Option(help="Depths, separated by commas.")]
_Alpha = Annotated[
    float, typer.Option(metavar="P", help="Rate of wrong refusals to calibrate for.")
]
_Limit = Annotated[int | None, typer.Option(min=1, help="Ask at most so many test queries.")]
_Live = Annotated[
    bool, typer.Option("--live", help="With bfcl: the functions that users contributed.")
]
_Model = Annotated[
    str | None, typer.Option(help="Name or folder of a sentence-transformers model.")
]
_Routing = Annotated[
    str | None,
    typer.Option(
        metavar="JSON",
        help='Other weights to ask with, such as {"lexical": 0}; the others as they are.',
    ),
]
_Failures = Annotated[int, typer.Option(min=0, help="Show so many of the queries answered worst.")]
_Json = Annotated[
    bool, typer.Option("--json", help="Print the figures and the worst failures as JSON.")
]
_Out = Annotated[
    Path | None,
    typer.Option(help="Write figures, every failure and every answer to this JSON file."),
]


def router(
    path: _Path,
    *,
    dataset: _Dataset,
    store: LabelledStore = None,
    examples: _Examples = None,
    curve: _Curve = False,
    label_noise: _Noise = 0.0,
    seed: _Seed = _SEED,
    k: _Ks = _KS,
    alpha: _Alpha = _ALPHA,
    limit: _Limit = None,
    live: _Live = False,
    model: _Model = None,
    routing: _Routing = None,
    failures: _Failures = 5,
    as_json: _Json = False,
    out: _Out = None,
) -> None:
    """Measure how well a router finds the tools that queries need, and when it abstains."""
    from agentmem.evaluation.router import ROUTING_FORMATS, evaluate_router, load_routing
    from agentmem.ranking.tools import Routing

    check_out(out)
    tried = None if routing is None else weights(routing, of=Routing, hint="--routing")
    name = _format(dataset, live=live)
    where = location(store) if ROUTING_FORMATS[name].of_store else None
    task = load_routing(name, path, seed=seed, store=where)
    report = evaluate_router(
        task,
        embedder=embedder_of(model),
        examples=_amounts(examples, curve=curve),
        label_noise=label_noise,
        seed=seed,
        ks=depths(k, example=_KS),
        alpha=alpha,
        limit=limit,
        routing=tried,
    )
    if as_json:
        print_json(report.to_dict(rows=False))
    else:
        _print(report, failures=failures)
    if out is not None:
        write(out, text=as_text(report.to_dict()))


def _format(dataset: _RouterDataset, *, live: bool) -> str:
    if not live:
        return dataset.value
    if dataset.value in _LIVE:
        return _LIVE[dataset.value]
    raise typer.BadParameter(f"{dataset.value} has no live part; bfcl has", param_hint="--live")


def _amounts(examples: str | None, *, curve: bool) -> tuple[Amount, ...] | None:
    from agentmem.evaluation.router import CURVE

    if examples is not None and curve:
        raise typer.BadParameter("give either --examples or --curve", param_hint="--curve")
    if examples is None:
        return CURVE if curve else None
    try:
        return tuple("all" if part.strip() == "all" else int(part) for part in examples.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{examples!r} is no list of numbers; write them as 0,5,all", param_hint="--examples"
        ) from None


def _print(report: RouterReport, *, failures: int) -> None:
    console = wide_console()
    hidden = _HIDDEN if _several_gold(report) else (*_HIDDEN, "all@")
    rows = [row for row in report.table() if not row.metric.startswith(hidden)]
    rows += report.repetitions()
    console.print(figures_table(rows, title=f"{report.dataset}: means and 95 % intervals"))
    if report.history_gains:
        _print_gains(report, console=console)
    if report.probes:
        _print_probes(report, console=console)
    _print_calibrations(report, console=console)
    _print_facts(report, console=console)
    if failures:
        _print_failures(report, limit=failures, console=console)


def _several_gold(report: RouterReport) -> bool:
    return any(len(row.gold) > 1 for row in report.systems[0].rows)


def _print_gains(report: RouterReport, *, console: Console) -> None:
    from agentmem.cli.render import visible

    depth = report.usual_depth if report.usual_depth in report.ks else max(report.ks)
    metrics = [f"recall@{depth}", f"all@{depth}"]
    table = plain_table("What the history adds: told what went before, minus not told")
    table.add_column("system")
    table.add_column("category", overflow="fold")
    for metric in metrics:
        table.add_column(metric, justify="right")
    for gain in report.history_gains:
        parts = {**gain.categories, f"overall ({gain.conversations} conversations)": gain.overall}
        for place, (category, values) in enumerate(parts.items()):
            differences = (_signed(values[metric]) for metric in metrics)
            table.add_row("" if place else gain.told, visible(category), *differences)
        table.add_section()
    console.print(table)


def _signed(value: Estimate) -> Text:
    """Return a difference with its interval."""
    from rich.text import Text

    return Text.assemble(f"{value.mean:+.3f} ", (f"{value.low:+.3f} to {value.high:+.3f}", "dim"))


def _print_probes(report: RouterReport, *, console: Console) -> None:
    table = plain_table("Abstention: can confidence tell what a tool fits from what none fits?")
    table.add_column("probe")
    table.add_column("system")
    for heading in _PROBED:
        table.add_column(heading, justify="right")
    for one in report.probes:
        table.add_row(
            f"{one.probe} ({one.answerable}/{one.unanswerable})",
            one.system,
            cell(one.auroc),
            f"{one.coverage:.3f}",
            cell(one.wrongly_refused),
            cell(one.rightly_refused),
            cell(one.found) if one.found else "",
            cell(one.found_hidden) if one.found_hidden else "",
        )
    console.print(table)


def _print_calibrations(report: RouterReport, *, console: Console) -> None:
    for one in report.calibrations:
        console.print(
            f"{one.system} calibrated on {one.fitted_on} queries for {one.alpha:.1%} wrong "
            f"refusals (at most {one.upper_bound:.1%} with 95 % confidence): realised "
            f"{one.realised.mean:.1%} ({one.realised.low:.1%} to {one.realised.high:.1%}) of "
            f"{one.tested_on} test queries; refused with the right tool removed: "
            f"{one.refused.mean:.1%}."
        )


def _print_facts(report: RouterReport, *, console: Console) -> None:
    times = ", ".join(
        f"{system.name} {system.milliseconds['total']:.1f} ms" for system in report.systems
    )
    queries = sum(report.questions.values())
    lines = [f"{queries} queries to {report.tools} tools, {report.training} to learn from."]
    lines += [f"Tools registered in {report.seconds_registering:.1f} s. Per query: {times}."]
    lines += ["A query is encoded once, for the first system. Model: " + report.passport["model"]]
    lines += [f"{name}: {one.reason}" for name, one in report.teachings.items() if one.examples]
    if report.mistakes:
        lines.append(
            f"{report.mistakes} past mistakes; repeated@k is the share of the tools marked wrong "
            "that are among the first k again: lower is better."
        )
    lines += [f"{reason}: {count}" for reason, count in report.notes.items()]
    console.print("\n".join(lines))


def _print_failures(report: RouterReport, *, limit: int, console: Console) -> None:
    shown = list(report.teachings)[-1]
    console.print(f"\nAnswered worst by {shown}:", style="bold")
    for row in report.failures(limit, system=shown):
        gold = ", ".join(f"{name} ({_place(row.rank(name))})" for name in row.gold)
        console.print(
            f"  {excerpt(row.question)}\n    needs {gold}; first came "
            f"{', '.join(row.retrieved[:3])}"
        )


def _place(rank: int | None) -> str:
    return f"rank {rank}" if rank else "not found"
