"""What a person sees of tools: selections, changes, lessons and findings.

What a catalogue holds is as hostile here as what a memory holds: see `cli.render`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agentmem.cli.render import NAME_CHARS, bars, excerpt, pairs, terms_lines, timing, visible
from agentmem.types import CatalogueChange, Selection, Tool, ToolEvidence, ToolMatch

__all__ = [
    "account",
    "change_block",
    "label",
    "selection_block",
    "tool_block",
    "tools_table",
]

DESCRIPTION_CHARS: Final = 120  # two lines of a cell: says which tool it is
TERMS_CELLS: Final = 52  # what rank, score and probability leave of 80 columns
CHANGES_SHOWN: Final = 20  # tools of each kind: a screen; --json names them all
EXAMPLES_SHOWN: Final = 3  # nearest usage examples of a match
DEFAULT_NAMESPACE: Final = "default"  # goes without saying


def label(name: str, *, namespace: str) -> str:
    """Return a tool's name, with its namespace where that is not the default."""
    short = excerpt(name, limit=NAME_CHARS)
    if namespace == DEFAULT_NAMESPACE:
        return short
    return f"{short} in {excerpt(namespace, limit=NAME_CHARS)}"


def selection_block(selection: Selection) -> RenderableType:
    """Show a selection: the tools chosen, or that none fits and which came nearest."""
    blocks: list[RenderableType] = list(_verdict(selection))
    shown = selection.matches or selection.candidates
    if shown:
        blocks.append(_matches_table(shown))
    if selection.matches and selection.reason:
        blocks.append(Text(visible(selection.reason)))
    return Group(*blocks, Text(account(selection), style="dim"))


def _verdict(selection: Selection) -> Iterable[RenderableType]:
    """Say that nothing was chosen, and why; nothing where tools were."""
    if selection.matches:
        return
    heading = "No tool fits" if selection.abstained else "No tool was chosen"
    reason = f": {visible(selection.reason)}" if selection.reason else "."
    yield Text(f"{heading}{reason}", style="bold")
    if selection.unmatched_terms:
        words = ", ".join(visible(word) for word in selection.unmatched_terms)
        yield Text(f"Words that occur in no candidate: {words}")
    if selection.needs_tool:
        yield Text("For and against a fitting tool:")
        yield Text("\n".join(f"  {line}" for line in terms_lines(selection.needs_tool)))
    if selection.candidates:
        yield Text("Nearest, and not chosen:")


def account(selection: Selection) -> str:
    """Say how sure the router is, what the tools cost, and how long it took."""
    kind = "calibrated" if selection.calibrated else "the default, not calibrated"
    tools = f"{selection.catalogue:,} tool{'' if selection.catalogue == 1 else 's'} in sight"
    return (
        f"confidence {selection.confidence:.2f}, threshold {selection.threshold:.2f} ({kind})\n"
        f"{selection.tokens:,} tokens of schemas, {selection.tokens_saved:,} saved; {tools}\n"
        f"{timing(selection.milliseconds)}."
    )


def _matches_table(matches: Sequence[ToolMatch]) -> Table:
    widest = max((abs(value) for match in matches for value in match.terms.values()), default=0.0)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", justify="right")
    table.add_column("tool", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    for rank, match in enumerate(matches, 1):
        probability = f"{match.probability:.0%}"
        table.add_row(
            str(rank), _match_cell(match, widest=widest), f"{match.score:.2f}", probability
        )
    return table


def _match_cell(match: ToolMatch, *, widest: float) -> RenderableType:
    tool = match.tool
    cell: list[RenderableType] = [Text(label(tool.name, namespace=tool.namespace), style="bold")]
    if tool.description:
        cell.append(Text(excerpt(tool.description, limit=DESCRIPTION_CHARS)))
    if match.evidence is None:
        cell += [Text(line, style="dim") for line in terms_lines(match.terms, cells=TERMS_CELLS)]
    else:
        cell += [bars(match.terms, widest=widest), *_evidence(match.evidence)]
    return Group(*cell)


def _evidence(evidence: ToolEvidence) -> Iterable[RenderableType]:
    words = sorted(evidence.words.items(), key=lambda word: -word[1])
    shares = ", ".join(f"{visible(word)} {share:.2f}" for word, share in words) or "none"
    yield Text(f"cosine {evidence.similarity:.2f}  words in common: {shares}", style="dim")
    yield Text(f"best view: {excerpt(evidence.view, limit=DESCRIPTION_CHARS)}", style="italic")
    for query, cosine in evidence.examples[:EXAMPLES_SHOWN]:
        yield Text(f"used for {cosine:.2f}: {excerpt(query, limit=DESCRIPTION_CHARS)}")
    if evidence.succeeded or evidence.failed:
        yield Text(f"{evidence.succeeded:,} uses succeeded, {evidence.failed:,} failed")


def change_block(change: CatalogueChange) -> RenderableType:
    """Show what became, or would become, of the catalogue: + added, ~ changed, - removed."""
    lines = [
        *_changed("+", change.added, style="green"),
        *_changed("~", change.changed, style="yellow"),
        *_changed("-", change.removed, style="red"),
    ]
    return Group(*lines, Text(_summary(change)))


def _changed(sign: str, names: Sequence[str], *, style: str) -> list[Text]:
    lines = [Text(f"{sign} {visible(name)}", style=style) for name in names[:CHANGES_SHOWN]]
    if len(names) > CHANGES_SHOWN:
        lines.append(Text(f"{sign} … and {len(names) - CHANGES_SHOWN:,} more", style=style))
    return lines


def _summary(change: CatalogueChange) -> str:
    counts = {
        "added": change.added,
        "changed": change.changed,
        "removed": change.removed,
        "unchanged": change.unchanged,
    }
    parts = [f"{len(names):,} {kind}" for kind, names in counts.items() if names]
    where = "" if change.namespace == DEFAULT_NAMESPACE else f" in {visible(change.namespace)}"
    kept = "; nothing was written" if change.dry_run else ""
    return f"{', '.join(parts) or 'no tools'}{where}{kept}."


def tools_table(tools: Iterable[Tool]) -> Table:
    """Show the tools of a catalogue, one a row."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("tool", "description", "tags"):
        table.add_column(name, overflow="fold")
    for tool in tools:
        table.add_row(
            label(tool.name, namespace=tool.namespace),
            excerpt(tool.description, limit=DESCRIPTION_CHARS),
            visible(", ".join(tool.tags)),
        )
    return table


def tool_block(tool: Tool) -> RenderableType:
    """Show everything of one tool."""
    facts = {
        "name": tool.name,
        "namespace": tool.namespace,
        "tags": ", ".join(tool.tags),
        "made from": tool.source,
    }
    arguments = json.dumps(dict(tool.parameters), indent=2, ensure_ascii=False)
    return Group(
        pairs({name: value for name, value in facts.items() if value}),
        Text(f"\n{visible(tool.description, lines=True)}\n"),
        Padding(Text(visible(arguments, lines=True), style="dim"), (0, 0, 0, 2), expand=False),
    )
