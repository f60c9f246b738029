"""What a person sees of spans: lists, trees with durations, results with score terms, labels.

What spans hold is as hostile here as what a memory holds: see `cli.render`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agentmem.cli.render import NAME_CHARS, bars, excerpt, pairs, visible
from agentmem.errors import InvalidInput
from agentmem.traces import RETRIEVALS, Branch, Label, SpanRow, SpanTree
from agentmem.traces.records import record_of_branch
from agentmem.types import Scored, SearchRecord, SelectionRecord

__all__ = ["labels_block", "retrieval_block", "spans_table", "tree_block"]

ID_CHARS: Final = 8  # two of 10,000 spans share them with a chance of 1 %; `show` asks for more
LANE_CELLS: Final = 20  # of the waterfall; with name and duration beside it, within 80 columns
QUERY_CHARS: Final = 200  # what the widest of terminals shows of a question


def spans_table(spans: Iterable[SpanRow]) -> Table:
    """Show spans, one a line: the last column is cut where the terminal ends."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    for name in ("span", "began (UTC)"):
        table.add_column(name, no_wrap=True)
    for name in ("ms", "best", "margin"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("came of it", overflow="ellipsis", no_wrap=True, ratio=1)
    for span in spans:
        table.add_row(
            visible(span.span_id[:ID_CHARS]),
            f"{span.started_at:%m-%d %H:%M:%S}",
            f"{span.milliseconds:,.1f}",
            _figure(span.top_score),
            _figure(span.margin),
            Text.assemble(_outcome(span), (f"  {excerpt(span.query or '', limit=QUERY_CHARS)}")),
        )
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _outcome(span: SpanRow) -> Text:
    """Say what came of an operation, and of which."""
    what = RETRIEVALS.get(span.operation or "", span.operation or "")
    if span.status == "ERROR":
        return Text(visible(f"{what}: {span.error_type or 'error'}"), "red")
    if span.abstained:
        return Text("no tool fits", "yellow")
    if span.results is None:
        return Text(visible(what))
    unit = "tool" if what == "selection" else "turn"
    count = f"{span.results:,} {unit}{'' if span.results == 1 else 's'}"
    return Text(count if span.is_retrieval else f"{visible(what)}: {count}", "bold")


def tree_block(found: Branch | SpanTree) -> RenderableType:
    """Show spans as a tree, each with its duration and its place in the whole."""
    spans = list(found.walk())
    start = min(span.started_at for _, span in spans)
    whole = max((span.ended_at - start for _, span in spans), default=timedelta(0))
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for depth, span in spans:
        style = "red" if span.status == "ERROR" else "bold" if span.is_operation else ""
        error = f"  {excerpt(span.error_type, limit=NAME_CHARS)}" if span.error_type else ""
        name = f"{'  ' * depth}{excerpt(span.name, limit=NAME_CHARS)}{error}"
        lane = Text(_lane(span.started_at - start, span.milliseconds, whole=whole), "green")
        table.add_row(Text(name, style), f"{span.milliseconds:,.2f} ms", lane)
    return Group(
        Text(f"trace {visible(spans[0][1].trace_id)}, from {start:%Y-%m-%d %H:%M:%S} UTC"), table
    )


def _lane(after: timedelta, milliseconds: float, *, whole: timedelta) -> str:
    """Draw when a span ran within the whole."""
    if not whole:
        return ""
    begin = min(LANE_CELLS - 1, int(LANE_CELLS * (after / whole)))
    cells = round(LANE_CELLS * (timedelta(milliseconds=milliseconds) / whole))
    return " " * begin + "█" * max(1, min(cells, LANE_CELLS - begin))


def retrieval_block(branch: Branch, *, label: Label | None = None) -> RenderableType:
    """Show what a retrieval was asked, at which versions, and what it found with which scores."""
    span = branch.span
    try:
        record = record_of_branch(branch)
    except InvalidInput as error:  # such as a batch of selections, which has no one answer
        return Text(
            f"{RETRIEVALS[span.operation or '']} {visible(span.span_id)}: {visible(str(error))}"
        )
    selected = isinstance(record, SelectionRecord)
    shown = record.candidates if isinstance(record, SelectionRecord) else record.hits
    blocks: list[RenderableType] = [pairs(_facts(record, span))]
    if label is not None:
        blocks.append(Text(_verdict(label), style="bold"))
    if shown:
        chosen = set(record.chosen) if isinstance(record, SelectionRecord) else set()
        blocks.append(_results(shown, chosen=chosen))
    else:
        blocks.append(Text("No tool was ranked." if selected else "Nothing was found."))
    again = f"agentmem replay {visible(span.span_id[:ID_CHARS])}"
    return Group(*blocks, Text(f"Run it again: {again}", style="dim"))


def _facts(record: SearchRecord | SelectionRecord, span: SpanRow) -> dict[str, str]:
    """Say what a retrieval was, in pairs."""
    what = "search" if isinstance(record, SearchRecord) else "selection"
    facts = {
        what: span.span_id,
        "query": "not recorded" if record.query is None else excerpt(record.query),
        "store": record.origin.store,
        "whose": ", ".join(_whose(span)),
        "k": str(record.k),
    }
    if isinstance(record, SearchRecord):
        facts |= {
            "mode": record.mode,
            "reranker": record.reranker or "",
            "found": f"{record.found:,} of {record.candidates:,} turns in sight",
            "turns": f"version {record.table_version}",
        }
    else:
        facts |= {
            "chosen": ", ".join(record.chosen) or "none",
            "abstained": "yes" if record.abstained else "",
            "confidence": f"{record.confidence:.2f}",
            "catalogue": f"version {record.catalogue_version}, {record.catalogue:,} tools in sight",
        }
    facts["weights"] = record.config_id
    facts["passport"] = record.passport_id
    facts["agentmem"] = record.origin.agentmem
    return {name: fact for name, fact in facts.items() if fact}


def _whose(span: SpanRow) -> Iterator[str]:
    if span.attributes.get("agentmem.scope.all") is True:
        yield "everyone"
    if span.user_id is not None:
        yield f"user {span.user_id}"
    if span.session_id is not None:
        yield f"session {span.session_id}"


def _results(results: Iterable[Scored], *, chosen: set[str]) -> Table:
    """Show results with the terms of their scores, where they were recorded."""
    listed = list(results)
    widest = max((abs(v) for one in listed for v in one.terms.values()), default=0.0)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", justify="right")
    table.add_column("id", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("made of", overflow="fold")
    for rank, one in enumerate(listed, 1):
        is_chosen = one.id.split("/", 1)[-1] in chosen
        table.add_row(
            f"{'✓ ' if is_chosen else ''}{rank}",
            visible(one.id),
            f"{one.score:.2f}",
            bars(one.terms, widest=widest) if one.terms else "",
        )
    return table


def labels_block(labels: Iterable[Label]) -> RenderableType:
    """Show labels, each with what it speaks of."""
    return Group(*(_label(label) for label in labels))


def _label(label: Label) -> RenderableType:
    heading = Text.assemble(
        (visible(label.span_id[:ID_CHARS]), "bold"),
        f"  {label.at:%Y-%m-%d %H:%M}  {label.kind}  ",
        (label.verdict, "green" if label.verdict == "right" else "red"),
        f"  {excerpt(label.by, limit=NAME_CHARS)}" if label.by else "",
    )
    parts = {
        "query": excerpt(label.query),
        "expected": ", ".join(label.relevant),
        "wrong": ", ".join(label.wrong),
        "note": label.note or "",
    }
    facts = pairs({name: part for name, part in parts.items() if part})
    return Group(heading, Padding(facts, (0, 0, 0, 2), expand=False))


def _verdict(label: Label) -> str:
    by = f" by {excerpt(label.by, limit=NAME_CHARS)}" if label.by else ""
    note = f": {excerpt(label.note)}" if label.note else ""
    return f"labelled {label.verdict}{by}{note}"
