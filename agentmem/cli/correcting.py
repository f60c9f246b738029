"""The commands that end what was said: supersede, update."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import (
    Agent,
    AsJson,
    Everyone,
    Model,
    Session,
    Store,
    User,
    Where,
    filter_of,
    load_model,
    opened,
    scope_of,
)
from agentmem.cli.telling import counted, say

__all__ = ["supersede", "update"]

NEVER = "never"


def supersede(
    turn_id: Annotated[str, typer.Argument(metavar="ID", help="The turn that is not true.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is true instead.")],
    *,
    new_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Of the correction. Default: a new one."),
    ] = None,
    role: Annotated[str, typer.Option(help="Who says it, as a chat request names it.")] = "user",
    valid_until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when the old one was. Default: now.")
    ] = None,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Correct a turn by another one, and print the id of the correction.

    The old turn stays as it was said, and is found by `search --as-of` a moment before.
    """
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    message = {"role": role, "content": text} | ({} if new_id is None else {"id": new_id})
    with opened(store, model=model, read_only=False) as memory:
        load_model(model)
        made = memory.supersede(turn_id, message, scope=scope, valid_until=valid_until)
    if as_json:
        print_json({"id": made})
    else:
        say(made)


def update(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which turns. Default: all.")
    ] = None,
    *,
    where: Where = None,
    valid_until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"From then on they are not true; {NEVER!r} undoes it."),
    ] = None,
    expires_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"From then on they are forgotten; {NEVER!r} undoes it."),
    ] = None,
    pinned: Annotated[
        bool | None,
        typer.Option("--pin/--unpin", help="Keep them, whatever their date and the policies say."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count them, and change nothing.")
    ] = False,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Change until when turns are true, and until when they are found."""
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    ending: dict[str, Any] = {
        name: None if value == NEVER else value
        for name, value in (("valid_until", valid_until), ("expires_at", expires_at))
        if value is not None
    }
    if pinned is not None:
        ending["pinned"] = pinned
    with opened(store, model=model, read_only=dry_run) as memory:
        done = memory.update(
            ids or None, scope=scope, where=filter_of(where), dry_run=dry_run, **ending
        )
    if as_json:
        print_json({"turns": done.turns, "missing": list(done.missing), "dry_run": done.dry_run})
        return
    from agentmem.cli.render import excerpt

    say(f"{counted(done.turns, 'turn')} {'would be ' if done.dry_run else ''}changed.")
    for one in done.missing:
        say(f"not there: {excerpt(one)}")
