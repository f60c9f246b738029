"""The command `agentmem audit`: an audit log read back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Since, Until

if TYPE_CHECKING:
    from agentmem.types import AuditEvent

__all__ = ["audit"]

SHOWN_IDS = 3  # of an entry; --json has all that were kept


def audit(
    file: Annotated[
        Path,
        typer.Argument(envvar="AGENTMEM_AUDIT_LOG", metavar="FILE", help="The audit log."),
    ],
    *,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Of this user.")] = None,
    turn: Annotated[str | None, typer.Option(metavar="ID", help="That names this turn.")] = None,
    action: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this kind, such as delete.")
    ] = None,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="On this one's behalf.")] = None,
    since: Since = None,
    until: Until = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only calls that have no outcome.")
    ] = False,
    key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="AGENTMEM_AUDIT_KEY_FILE",
            metavar="FILE",
            help="The key of the log, to find --user and --turn in one that hides ids.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was asked of a store and what came of it, one line a call, the oldest first."""
    from agentmem.checks import utc
    from agentmem.telemetry.audit_log import key_of, pseudonym, read_audit_log

    key = None if key_file is None else key_of(key_file)
    wanted_user, wanted_turn = (
        one if one is None or key is None else pseudonym(one, key=key) for one in (user, turn)
    )
    first = None if since is None else utc(since, what="since")
    last = None if until is None else utc(until, what="until")
    found = [
        one
        for one in _latest(read_audit_log(file))
        if (wanted_user is None or one.user_id == wanted_user)
        and (wanted_turn is None or wanted_turn in one.ids)
        and (action is None or one.action == action)
        and (actor is None or one.actor == actor)
        and (first is None or one.at >= first)
        and (last is None or one.at < last)
        and not (unfinished and one.stage != "asked")
    ]
    if as_json:
        print_json([one.to_json() for one in found])
        return
    from agentmem.cli.render import make_console, visible

    console = make_console()
    for one in found:
        style = {"failed": "red", "asked": "yellow"}.get(one.stage)
        console.print(visible(_line(one)), style=style, soft_wrap=True)


def _latest(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    """Return the last that is known of each call, in the order in which they were asked."""
    return list({one.id: one for one in events}.values())


def _line(one: AuditEvent) -> str:
    """Return an entry in words: when, who, what, whose, how much, and what came of it."""
    scope = [
        f"{name}={value}"
        for name, value in (
            ("user", one.user_id),
            ("agent", one.agent_id),
            ("session", one.session_id),
        )
        if value is not None
    ]
    ids = ", ".join(one.ids[:SHOWN_IDS]) + (", …" if len(one.ids) > SHOWN_IDS else "")
    parts = [
        f"{one.at:%Y-%m-%d %H:%M:%S} UTC",
        one.actor or one.process,
        one.action,
        " ".join(scope) or "the whole store",
        "" if one.count is None else f"count {one.count:,}",
        f"[{ids}]" if ids else "",
        " ".join(f"{name}={value}" for name, value in one.detail.items()),
        {"asked": "no outcome", "done": "done"}.get(one.stage, f"failed: {one.error}"),
    ]
    return "  ".join(part for part in parts if part)
