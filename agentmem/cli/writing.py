"""The commands that write: add, import, export and delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

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
from agentmem.errors import InvalidInput
from agentmem.types import AllScopes, Deletion, ImportReport, Scope, Turn

if TYPE_CHECKING:
    from agentmem.memory import Memory

__all__ = ["add", "delete", "export", "import_file"]

STDIN: Final = "-"
LEFT_OUT: Final = 1  # exit code: what was said is not stored
SHOWN: Final = 5  # turns shown before a deletion: enough to notice that they are the wrong ones


def add(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What was said; - reads standard input.")
    ],
    *,
    role: Annotated[str, typer.Option(help="Who spoke, as a chat request names it.")] = "user",
    name: Annotated[str | None, typer.Option(help="The speaker's name.")] = None,
    turn_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The turn's id. Default: a new one.")
    ] = None,
    created_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it was said. Default: now.")
    ] = None,
    allow_forgotten: Annotated[
        bool, typer.Option("--allow-forgotten", help="Store it although it was erased before.")
    ] = False,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    as_json: AsJson = False,
) -> None:
    """Store one turn, exactly as it is, and print its id.

    One that `forget` erased, or that a search of this memory handed out, is left out: then the exit
    code is 1.
    """
    content = _standard_input() if text == STDIN else text
    message: dict[str, Any] = {"role": role, "content": content}
    given = {"name": name, "id": turn_id, "created_at": created_at}
    message |= {key: value for key, value in given.items() if value is not None}
    with opened(store, model=model, read_only=False, create=True) as memory:
        load_model(model)
        ids = memory.add(
            message,
            user_id=user,
            agent_id=agent,
            session_id=session,
            allow_forgotten=allow_forgotten,
        )
    out = ids.left_out
    if as_json:
        print_json({"ids": ids, "left_out": [asdict(one) for one in out]})
    elif out:
        for one in out:
            say(f"left out, and not stored: {one.reason} ({one.by}). {one.detail}", err=True)
    else:
        say(ids[0])
    if out:
        raise typer.Exit(LEFT_OUT)


def _standard_input() -> str:
    """Read all of standard input, without the line feed that `echo` puts last."""
    data = typer.get_binary_stream("stdin").read()
    try:
        return data.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"standard input is not UTF-8 at byte {error.start}. Nothing was stored. Convert it, "
            "for example with  iconv -t UTF-8."
        ) from error


def import_file(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A .jsonl, .jsonl.gz or .parquet file; - reads JSONL."),
    ],
    *,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace turns whose id is taken by another content."),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew where an import was stopped.")
    ] = False,
    rejects: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="New file for bad records. Default: beside FILE."),
    ] = None,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    as_json: AsJson = False,
) -> None:
    """Store a file of messages. Bad records are set aside; a stopped import goes on.

    --user, --agent and --session hold where the records name none.
    """
    with opened(store, model=model, read_only=False, create=True) as memory:
        load_model(model)
        report = memory.import_turns(
            file,
            user_id=user,
            agent_id=agent,
            session_id=session,
            on_conflict="replace" if replace else "error",
            resume=not restart,
            rejects=rejects,
            progress=not as_json,
        )
    if as_json:
        print_json(
            {
                "stored": report.stored,
                "unchanged": report.unchanged,
                "rejected": report.rejected,
                "left_out": report.left_out,
                "resumed_at": report.resumed_at,
                "rejects_path": report.rejects_path,
            }
        )
    else:
        say(_summary(report))


def _summary(report: ImportReport) -> str:
    parts = [f"{report.stored:,} stored"]
    if report.unchanged:
        parts.append(f"{report.unchanged:,} already there")
    if report.rejected:
        where = f" in {report.rejects_path}" if report.rejects_path else ""
        parts.append(f"{report.rejected:,} set aside{where}")
    if report.left_out:
        parts.append(f"{report.left_out:,} left out by guards")
    if report.resumed_at:
        parts.append(f"resumed after record {report.resumed_at:,}")
    return ", ".join(parts) + "."


def export(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A .jsonl, .jsonl.gz or .parquet file.")
    ],
    *,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Write the vectors of each turn as well.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file of that name.")
    ] = False,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Write turns to a file that imports back identically."""
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    with opened(store, model=model) as memory:
        written = memory.export(
            file, scope=scope, vectors=vectors, overwrite=overwrite, progress=not as_json
        )
    if as_json:
        print_json({"turns": written, "path": file})
    else:
        say(f"{counted(written, 'turn')} written to {file}.")


def delete(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which turns. Default: all.")
    ] = None,
    *,
    where: Where = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go, and delete nothing.")
    ] = False,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Delete turns: shows what would go, and asks.

    With --json nothing is asked, and nothing deleted without --yes.
    """
    if yes and dry_run:
        raise typer.BadParameter("give either --yes or --dry-run, not both", param_hint="--yes")
    chosen = _Chosen(
        scope_of(user=user, agent=agent, session=session, everyone=everyone),
        ids=ids or None,
        where=filter_of(where),
    )
    keeping = dry_run or (as_json and not yes)
    with opened(store, model=model, read_only=keeping) as memory:
        if not (as_json or yes):
            would = chosen.delete(memory, dry_run=True)
            _show(chosen.some(memory), of=would.turns)
            if not dry_run and would.turns:
                typer.confirm("Delete them?", abort=True, err=True)
        done = chosen.delete(memory, dry_run=keeping)
    if as_json:
        print_json({"turns": done.turns, "missing": list(done.missing), "dry_run": done.dry_run})
    else:
        say(_outcome(done))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The turns that a deletion is about."""

    scope: Scope | AllScopes
    ids: list[str] | None
    where: dict[str, Any] | None

    def delete(self, memory: Memory, *, dry_run: bool) -> Deletion:
        return memory.delete(self.ids, scope=self.scope, where=self.where, dry_run=dry_run)

    def some(self, memory: Memory) -> list[Turn]:
        """Read the first of them."""
        among = [] if self.ids is None else [{"id": {"in": self.ids}}]
        parts = [*among, *([] if self.where is None else [self.where])]
        where = {"and": parts} if parts else None
        return memory.turns(scope=self.scope, where=where, limit=SHOWN)


def _show(some: Sequence[Turn], *, of: int) -> None:
    from agentmem.cli.render import make_console, turns_block

    console = make_console()
    console.print(turns_block(some))
    if of > len(some):
        console.print(f"… and {of - len(some):,} more.")


def _outcome(done: Deletion) -> str:
    verb = "would be deleted" if done.dry_run else "deleted"
    missing = f"; not there: {', '.join(done.missing)}" if done.missing else ""
    return f"{counted(done.turns, 'turn')} {verb}{missing}."
