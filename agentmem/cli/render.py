"""What a person sees: hits, turns, sessions and figures, on a terminal or in plain text.

Whatever comes from a store is hostile here. No text is read as markup, and what steers a terminal
or reorders its line is shown as symbols: by the blocks, which keep a text to its line, and once
more by the console, whatever is printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from textwrap import wrap
from typing import Final

from rich.console import (
    Console,
    ConsoleOptions,
    ConsoleRenderable,
    Group,
    RenderableType,
    RenderHook,
)
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from agentmem.types import Context, Evidence, Hit, Recall, Session, Turn
from agentmem.visible import visible

__all__ = [
    "account",
    "bars",
    "excerpt",
    "hit_block",
    "make_console",
    "pairs",
    "recall_block",
    "sessions_table",
    "terms_lines",
    "timing",
    "turn_block",
    "turns_block",
    "visible",
]

EXCERPT_CHARS: Final = 300  # about four lines of a terminal: says which turn it is
TURN_CHARS: Final = 2_000  # a screen; `get` shows a longer turn whole
NAME_CHARS: Final = 40  # of a speaker or an id in a heading
BAR_CELLS: Final = 28  # with name and number beside it, within 80 columns
INDENT: Final = 9  # below the score, so that ranks and scores stand out
TERMS_CELLS: Final = 80 - INDENT  # a terminal of the usual width


def excerpt(text: str, *, limit: int = EXCERPT_CHARS) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text[: 4 * limit].split())
    whole = len(line) <= limit and len(text) <= 4 * limit
    return visible(line if whole else line[: limit - 1] + "…")


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that reads no markup and prints no control; it respects NO_COLOR."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    console.push_render_hook(_Symbols())
    return console


class _Symbols(RenderHook):
    """Has a console show symbols for controls, also those that a block let through."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(one) for one in renderables]


@dataclass(frozen=True, slots=True)
class _Shown:
    """Something to print, without the controls of its texts; rich's own are no text."""

    inner: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for text, style, control in console.render(self.inner, options):
            yield Segment(text if control else visible(text, lines=True), style, control)


def recall_block(recall: Recall) -> RenderableType:
    """Show a recall: its hits, what it searched and how long that took."""
    widest = max((abs(v) for hit in recall for v in hit.terms.values()), default=0.0)
    blocks = [hit_block(hit, rank, widest=widest) for rank, hit in enumerate(recall, 1)]
    turns = f"{recall.candidates:,} turn{'' if recall.candidates == 1 else 's'} in sight"
    closing = f"{timing(recall.milliseconds)}; {turns}."
    if not blocks:
        return Text(f"Nothing found. {closing}")
    return Group(*blocks, Text(closing, style="dim"))


def timing(milliseconds: Mapping[str, float]) -> str:
    """Say how long encoding the question took, and how long everything else."""
    encoding = milliseconds.get("embeddings", 0.0)
    rest = sum(milliseconds.values()) - encoding
    return f"{encoding:.1f} ms encoding the question, {rest:.1f} ms everything else"


def hit_block(hit: Hit, rank: int, *, widest: float = 0.0, marked: bool = False) -> RenderableType:
    """Show one hit.

    Args:
        hit: The hit.
        rank: Its place, from 1.
        widest: The term that fills a bar; only used where the hit has evidence.
        marked: Whether it is known to hold the answer.
    """
    turn = hit.turn
    heading = Text.assemble(
        ("✓ " if marked else "  ", "bold green"),
        (f"{rank:2}", "bold"),
        f" {hit.score:5.2f} ",
        (_heading(turn), "dim"),
    )
    body: list[RenderableType] = [Text(excerpt(turn.content)), *_shared(turn)]
    if hit.evidence is None:
        body += [Text(line, style="dim") for line in terms_lines(hit.terms)]
    else:
        body += _explanation(hit, hit.evidence, widest=widest)
    return Group(heading, Padding(Group(*body), (0, 0, 0, INDENT), expand=False))


def _heading(turn: Turn) -> str:
    parts = [turn.event_time.date().isoformat(), turn.speaker, turn.id]
    return "  ".join(excerpt(part, limit=NAME_CHARS) for part in parts)


def _shared(turn: Turn) -> list[RenderableType]:
    """Show what was shared with a turn; a caption may be what was found."""
    return [
        Text(f"[{visible(one.type)}] {excerpt(one.caption or one.url or '')}", style="italic")
        for one in turn.attachments
    ]


def terms_lines(terms: Mapping[str, float], *, cells: int = TERMS_CELLS) -> list[str]:
    """Write the terms of a score, the largest first, without parting a name from its number."""
    largest = sorted(terms.items(), key=lambda term: -abs(term[1]))
    glued = "  ".join(f"{visible(name)}\N{NO-BREAK SPACE}{value:+.2f}" for name, value in largest)
    lines = wrap(glued, cells, break_on_hyphens=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _explanation(hit: Hit, evidence: Evidence, *, widest: float) -> list[RenderableType]:
    words = sorted(evidence.words.items(), key=lambda word: -word[1])
    shares = ", ".join(f"{visible(word)} {share:.2f}" for word, share in words) or "none"
    facts = f"cosine {evidence.similarity:.2f}  BM25 {evidence.bm25:.2f}  words in common: {shares}"
    shown: list[RenderableType] = [bars(hit.terms, widest=widest), Text(facts, style="dim")]
    if evidence.chunk != hit.turn.content:
        shown.append(Text(f"best part: {excerpt(evidence.chunk)}", style="italic"))
    return shown


def bars(terms: Mapping[str, float], *, widest: float) -> Table:
    """Draw the terms of a score, the largest first; they add up to it."""
    table = Table.grid(padding=(0, 1))
    for name, value in sorted(terms.items(), key=lambda term: -abs(term[1])):
        cells = round(BAR_CELLS * abs(value) / widest) if widest else 0
        bar = Text("█" * cells, "green") if value >= 0 else Text("░" * cells, "red")
        table.add_row(visible(name), Text(f"{value:+.2f}", justify="right"), bar)
    return table


def turns_block(turns: Sequence[Turn]) -> RenderableType:
    """Show turns in order, under a line for each session."""
    blocks: list[RenderableType] = []
    previous: object = object()
    for turn in turns:
        if turn.scope != previous:
            blocks.append(Text(_whose(turn), style="bold"))
            previous = turn.scope
        blocks.append(_said(turn))
    return Group(*blocks)


def _whose(turn: Turn) -> str:
    ids = {"session": turn.session_id, "user": turn.user_id, "agent": turn.agent_id}
    parts = [f"{name} {excerpt(one, limit=NAME_CHARS)}" for name, one in ids.items() if one]
    return f"{', '.join(parts) or 'in no session'} (times in UTC)"


def _said(turn: Turn) -> RenderableType:
    heading = Text.assemble(
        (f"{turn.event_time:%Y-%m-%d %H:%M} ", "dim"),
        (excerpt(turn.speaker, limit=NAME_CHARS), "cyan"),
        (f"  {excerpt(turn.id, limit=NAME_CHARS)}", "dim"),
    )
    text = visible(turn.content[:TURN_CHARS], lines=True)
    body: list[RenderableType] = [Text(text), *_shared(turn)]
    if len(turn.content) > TURN_CHARS:
        body.append(Text(f"… of {len(turn.content):,} characters; `get` shows all.", style="dim"))
    return Group(heading, Padding(Group(*body), (0, 0, 0, 2), expand=False))


def turn_block(turn: Turn) -> RenderableType:
    """Show everything of one turn."""
    facts = {
        "id": turn.id,
        "role": turn.role,
        "name": turn.name,
        "user": turn.user_id,
        "agent": turn.agent_id,
        "session": turn.session_id,
        "said": f"{turn.event_time:%Y-%m-%d %H:%M:%S} UTC",
        "stored": f"{turn.ingested_at:%Y-%m-%d %H:%M:%S} UTC",
        "importance": turn.importance,
        "true until": _moment(turn.valid_until),
        "corrected by": turn.superseded_by,
        "kept until": _moment(turn.expires_at),
        "pinned": "yes" if turn.pinned else None,
        "metadata": dict(turn.metadata) or None,
    }
    known = {name: str(value) for name, value in facts.items() if value is not None}
    for one in turn.attachments:
        known[f"shared {one.type}"] = "  ".join(filter(None, (one.caption, one.url)))
    return Group(pairs(known), Text(), Text(visible(turn.content, lines=True)))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def pairs(values: Mapping[str, str]) -> Table:
    """Show names and values in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(excerpt(name, limit=NAME_CHARS), visible(value))
    return table


def sessions_table(sessions: Iterable[Session]) -> Table:
    """Show conversations, one a row."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("session", "user", "agent"):
        table.add_column(name, overflow="fold")
    table.add_column("turns", justify="right")
    table.add_column("first (UTC)", no_wrap=True)
    table.add_column("last", no_wrap=True)
    for one in sessions:
        ids = (one.session_id, one.user_id, one.agent_id)
        table.add_row(
            *("" if value is None else visible(value) for value in ids),
            f"{one.turns:,}",
            f"{one.first:%Y-%m-%d %H:%M}",
            f"{one.last:%Y-%m-%d %H:%M}",
        )
    return table


def account(context: Context) -> str:
    """Say how much of its budget a context used, and what was left out."""
    left = Counter(one.reason for one in context.dropped)
    reasons = ", ".join(f"{count} ({reason})" for reason, count in sorted(left.items()))
    return (
        f"{context.tokens:,} of {context.max_tokens:,} tokens, {len(context.turns)} turns; "
        f"found and left out: {reasons or 'none'}."
    )
