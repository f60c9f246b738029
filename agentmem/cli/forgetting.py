"""The commands of erasure: forget, receipts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    opened,
    scope_of,
)
from agentmem.cli.telling import counted, say
from agentmem.errors import InvalidInput

if TYPE_CHECKING:
    from agentmem.types import Receipt

__all__ = ["forget", "receipts"]

INCOMPLETE = 1  # exit code: something remains


def forget(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which turns. Default: all.")
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept, so it should name nobody.")],
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who asks for it.")] = None,
    where: Where = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its bytes sign the receipt (HMAC-SHA256)."),
    ] = None,
    traces: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Recorded traces to clean as well; may be repeated."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Erase without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and erase nothing.")] = False,
    store: Store = None,
    model: Model = None,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> None:
    """Erase turns from every file of the store, and print the receipt.

    Past versions are dropped as well, so that past searches cannot be replayed. With --json
    nothing is asked, and nothing erased without --yes. The exit code is 1 if something remains.
    """
    scope = scope_of(user=user, agent=agent, session=session, everyone=everyone)
    matching, key = filter_of(where), _key(key_file)
    keeping = dry_run or (as_json and not yes)
    with opened(store, model=model, read_only=keeping) as memory:
        if not (yes or keeping):
            would = memory.forget(
                ids or None, scope=scope, where=matching, reason=reason, dry_run=True
            )
            typer.confirm(f"Erase {counted(would.turns, 'turn')} for good?", abort=True, err=True)
        receipt = memory.forget(
            ids or None,
            scope=scope,
            where=matching,
            reason=reason,
            by=by,
            key=key,
            traces=traces or (),
            dry_run=keeping,
        )
    _show(receipt, as_json=as_json)
    if receipt.result == "incomplete":
        raise typer.Exit(INCOMPLETE)


def receipts(*, store: Store = None, model: Model = None, as_json: AsJson = False) -> None:
    """List what was erased from a store; the receipts name nobody."""
    with opened(store, model=model) as memory:
        found = memory.receipts()
    if as_json:
        print_json([one.to_json() for one in found])
        return
    for one in found:
        say(
            f"{one.at:%Y-%m-%d %H:%M} UTC  {counted(one.turns, 'turn')}  {one.result}  {one.id}"
            f"{'  signed' if one.signature else ''}"
        )


def _key(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes().strip()
    except OSError as error:
        raise InvalidInput(
            f"the key {str(file)!r} cannot be read: {error}. Nothing was erased. Check the path."
        ) from error


def _show(receipt: Receipt, *, as_json: bool) -> None:
    if as_json:
        print_json(receipt.to_json())
        return
    from agentmem.cli.render import make_console, pairs

    told = {
        "result": receipt.result,
        "turns": f"{receipt.turns:,}",
        "tombstones": f"{receipt.tombstones:,}",
        "past versions dropped": f"{receipt.versions_pruned:,}",
        "spans removed": f"{receipt.spans:,}",
        "looked for": f"{receipt.sought:,} byte strings, {receipt.shared:,} of others as well",
        "files read": f"{receipt.files_scanned:,} ({receipt.bytes_scanned:,} bytes)",
        "receipt": receipt.id,
        "signature": receipt.signature or "none",
    }
    told |= {f"remains: {one.file}": f"{one.what}: {one.why}" for one in receipt.remains}
    shown = ("result", "turns") if receipt.result == "preview" else tuple(told)
    make_console().print(pairs({name: told[name] for name in shown}))
