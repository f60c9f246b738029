"""The commands that read: search, context, get, turns, sessions and stats."""

from __future__ import annotations

from typing import Annotated

import typer

from agentmem.cli.machine import (
    context_form,
    print_json,
    recall_form,
    session_form,
    stats_form,
    turn_form,
)
from agentmem.cli.options import (
    Agent,
    AsJson,
    AsOf,
    Dates,
    DatesName,
    Everyone,
    KnownAt,
    Mode,
    Model,
    ModeName,
    Now,
    Query,
    Session,
    Since,
    Store,
    Until,
    User,
    Where,
    filter_of,
    load_model,
    location,
    opened,
    scope_of,
)
from agentmem.types import Context, StoreStats

__all__ = ["context", "get", "search", "sessions", "stats", "turns"]


def search(
    query: Query,
    *,
    k: Annotated[int, typer.Option("--k", "-k", help="How many hits at most.")] = 10,
    mode: Mode = ModeName.HYBRID,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    now: Now = None,
    dates: Dates = DatesName.HINT,
    where: Where = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each score is made of, and why.")
    ] = False,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Find the turns that answer a question."""
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    matching = filter_of(where)
    with opened(store, model=model) as memory:
        if mode is not ModeName.LEXICAL:
            load_model(model)
        recall = memory.search(
            query,
            scope=scope,
            k=k,
            mode=mode.value,
            since=since,
            until=until,
            as_of=as_of,
            known_at=known_at,
            now=now,
            dates=dates.value,
            where=matching,
            explain=explain,
        )
    if as_json:
        print_json(recall_form(recall))
        return
    from agentmem.cli.render import make_console, recall_block

    make_console().print(recall_block(recall))


def context(
    query: Query,
    *,
    max_tokens: Annotated[int, typer.Option(help="The budget, never exceeded.")] = 1000,
    neighbours: Annotated[
        int | None,
        typer.Option(help="Turns to bring on each side of a hit. Default: what completes it."),
    ] = None,
    mode: Mode = ModeName.HYBRID,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    now: Now = None,
    dates: Dates = DatesName.HINT,
    where: Where = None,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Pack the turns that answer a question into a token budget.

    The text goes to standard output, the account of it to standard error.
    """
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    matching = filter_of(where)
    with opened(store, model=model) as memory:
        if mode is not ModeName.LEXICAL:
            load_model(model)
        packed = memory.context(
            query,
            max_tokens=max_tokens,
            neighbours="auto" if neighbours is None else neighbours,
            scope=scope,
            mode=mode.value,
            since=since,
            until=until,
            as_of=as_of,
            known_at=known_at,
            now=now,
            dates=dates.value,
            where=matching,
        )
    if as_json:
        print_json(context_form(packed))
    else:
        _print_context(packed)


def _print_context(packed: Context) -> None:
    from agentmem.cli.render import account, make_console, visible

    make_console().print(visible(packed.text, lines=True), soft_wrap=True)
    make_console(stderr=True).print(account(packed), style="dim")


def get(
    turn_id: Annotated[str, typer.Argument(metavar="ID", help="The turn's id.")],
    *,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Show one turn, whole."""
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    with opened(store, model=model) as memory:
        turn = memory.get(turn_id, scope=scope)
    if as_json:
        print_json(turn_form(turn))
        return
    from agentmem.cli.render import make_console, turn_block

    make_console().print(turn_block(turn))


def turns(
    *,
    where: Where = None,
    offset: Annotated[int, typer.Option(help="Turns to pass over.")] = 0,
    limit: Annotated[int, typer.Option(help="Turns to show at most.")] = 100,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """List turns in the order in which they were said."""
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    matching = filter_of(where)
    with opened(store, model=model) as memory:
        page = memory.turns(scope=scope, where=matching, offset=offset, limit=limit)
    if as_json:
        print_json([turn_form(turn) for turn in page])
        return
    from agentmem.cli.render import make_console, turns_block

    make_console().print(turns_block(page) if page else "No turns.")
    if len(page) == limit:
        next_page = f"There may be more: --offset {offset + limit} goes on."
        make_console(stderr=True).print(next_page, style="dim")


def sessions(
    *,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """List conversations, the earliest first."""
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    with opened(store, model=model) as memory:
        found = memory.sessions(scope=scope)
    if as_json:
        print_json([session_form(one) for one in found])
        return
    from agentmem.cli.render import make_console, sessions_table

    make_console().print(sessions_table(found) if found else "No sessions.")


def stats(*, store: Store = None, model: Model = None, as_json: AsJson = False) -> None:
    """Show size and state of the store; no content."""
    path = location(store)
    with opened(path, model=model) as memory:
        found = memory.stats()
    if as_json:
        print_json({"store": path, **stats_form(found)})
        return
    from agentmem.cli.render import make_console, pairs

    make_console().print(pairs({"store": path, **_figures(found)}))


def _figures(found: StoreStats) -> dict[str, str]:
    size = "not a local folder" if found.bytes is None else f"{found.bytes / 1e6:,.1f} MB"
    embeds = found.passport
    return {
        "turns": f"{found.turns:,}, embedded as {found.chunks:,} chunks",
        "sessions": f"{found.sessions:,}",
        "users": f"{found.users:,}",
        "size": size,
        "table": f"version {found.table_version}, {found.fragments:,} fragments, "
        f"schema {found.schema_version}",
        "model": f"{embeds.model}, {embeds.dimension} dimensions, window {embeds.window} tokens",
        "passport": embeds.id,
    }
