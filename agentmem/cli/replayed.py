"""What a replay looks like: to a person as a table and sentences, to a program as JSON values.

What a record and a store hold is hostile here: see `cli.render`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import zip_longest
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentmem.cli.machine import turn_form
from agentmem.cli.render import NAME_CHARS, excerpt, visible
from agentmem.cli.tools.machine import tool_form
from agentmem.types import AllScopes, Change, Replay, Replayed, Turn, Verdict

__all__ = ["replay_block", "replay_form"]

CELL_CHARS: Final = 90  # of a result: three lines of half a terminal, which says which it is
ROWS_SHOWN: Final = 20  # as many results as a span records
STYLES: Final[dict[Verdict, str]] = {
    "identical": "bold green",
    "different": "bold yellow",
    "impossible": "bold red",
}


def replay_form(replay: Replay) -> dict[str, Any]:
    """Return a replay as JSON values."""
    return {
        "verdict": replay.verdict,
        "reason": replay.reason,
        "largest_drift": replay.largest_drift,
        "replayed": [_result_form(one) for one in replay.replayed],
        "differences": [asdict(change) for change in replay.differences],
        "now": None if replay.now is None else [_result_form(one) for one in replay.now],
        "changes": [asdict(change) for change in replay.changes],
        "record": _values(asdict(replay.record)),
    }


def _result_form(result: Replayed) -> dict[str, Any]:
    item = result.item
    return {
        "id": result.id,
        "score": result.score,
        "terms": dict(result.terms),
        "state": result.state,
        "item": None if item is None else _item_form(item),
    }


def _item_form(item: Any) -> dict[str, Any]:
    return turn_form(item) if isinstance(item, Turn) else tool_form(item)


def _values(value: Any) -> Any:
    """Return a value of a record as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, AllScopes):
        return "all"
    if isinstance(value, dict):
        return {key: _values(one) for key, one in value.items()}
    return [_values(one) for one in value] if isinstance(value, (list, tuple)) else value


def replay_block(replay: Replay) -> RenderableType:
    """Show a replay: how it came out, then beside now, and what moved and why."""
    heading = Text.assemble((replay.verdict, STYLES[replay.verdict]), f": {visible(replay.reason)}")
    blocks: list[RenderableType] = [heading]
    if replay.replayed or replay.now:
        blocks += [Text(), _side_by_side(replay)]
    blocks += _told("Not as recorded:", replay.differences)
    blocks += _told("Moved since:", replay.changes)
    if replay.now is not None and not replay.changes and replay.verdict != "impossible":
        blocks += [Text(), Text("Nothing has moved since.")]
    return Group(*blocks)


def _side_by_side(replay: Replay) -> Table:
    """Lay the results of then beside those of today."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("then", ratio=1, overflow="fold")
    if replay.now is None:
        for rank, one in enumerate(replay.replayed[:ROWS_SHOWN], 1):
            table.add_row(str(rank), _cell(one))
    else:
        table.add_column("now", ratio=1, overflow="fold")
        pairs = zip_longest(replay.replayed[:ROWS_SHOWN], replay.now[:ROWS_SHOWN])
        for rank, (then, today) in enumerate(pairs, 1):
            table.add_row(str(rank), _cell(then), _cell(today))
    return table


def _cell(result: Replayed | None) -> Text:
    if result is None:
        return Text()
    state = "" if result.state == "unchanged" else f"  {result.state}"
    return Text.assemble(
        f"{result.score:.3f} ",
        (excerpt(result.id, limit=NAME_CHARS), "cyan"),
        (state, "yellow"),
        ("" if result.item is None else f"\n{_said(result.item)}", "dim"),
    )


def _said(item: Any) -> str:
    text = item.content if isinstance(item, Turn) else item.description
    return excerpt(text, limit=CELL_CHARS)


def _told(heading: str, changes: Sequence[Change]) -> Iterable[RenderableType]:
    """Say what differs, each with its cause."""
    if not changes:
        return
    yield Text()
    yield Text(heading, style="bold")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(no_wrap=True, style="yellow")
    table.add_column(overflow="fold")
    for change in changes[: 2 * ROWS_SHOWN]:
        name = excerpt(change.id, limit=NAME_CHARS)
        table.add_row(name, change.cause, visible(change.reason))
    yield table
    if len(changes) > 2 * ROWS_SHOWN:
        yield Text(f"… and {len(changes) - 2 * ROWS_SHOWN} more; --json shows all.", style="dim")
