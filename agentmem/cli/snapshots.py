"""The group `agentmem snapshot`: states of a store that are kept, listed, dropped and put back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentmem.cli.machine import plain, print_json
from agentmem.cli.options import AsJson, Store, location

if TYPE_CHECKING:
    from agentmem.types.backup import Restoration, Snapshot

__all__ = ["app"]

app = typer.Typer(
    name="snapshot",
    help="Keep a store as it is under a name, and put it back.",
    no_args_is_help=True,
)

Tag = Annotated[str, typer.Argument(metavar="TAG", help="Name of the snapshot.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


@app.command()
def make(
    tag: Tag,
    *,
    note: Annotated[str | None, typer.Option(help="What to write down with it.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Keep the store as it is now, while others go on writing."""
    from agentmem.backup import open_archive

    with open_archive(location(store), read_only=False) as archive:
        _show([archive.snapshot(tag, note=note)], as_json=as_json)


@app.command("list")
def listed(*, store: Store = None, as_json: AsJson = False) -> None:
    """List the snapshots, the oldest first."""
    from agentmem.backup import open_archive

    with open_archive(location(store), read_only=True) as archive:
        _show(archive.snapshots(), as_json=as_json)


@app.command()
def drop(
    tag: Tag,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Remove a snapshot; the store itself stays as it is. With --json only with --yes."""
    from agentmem.backup import open_archive

    only_look = dry_run or (as_json and not yes)
    with open_archive(location(store), read_only=only_look) as archive:
        found = archive.drop_snapshot(tag, dry_run=True)
        if not (only_look or yes):
            _show([found], as_json=False)
            typer.confirm("Drop it?", abort=True, err=True)
        if not only_look:
            archive.drop_snapshot(tag, dry_run=False)
        _show([found], as_json=as_json)


@app.command()
def restore(
    tag: Tag,
    *,
    dry_run: DryRun = False,
    safety: Annotated[
        bool, typer.Option("--safety/--no-safety", help="Make a snapshot of the present before.")
    ] = True,
    yes: Yes = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Put turns and tools back to a snapshot. Shows what would change, and asks.

    With --json nothing is changed without --yes.
    """
    from agentmem.backup import open_archive

    only_look = dry_run or (as_json and not yes)
    with open_archive(location(store), read_only=only_look) as archive:
        if only_look or not yes:
            _tell(archive.restore(tag, dry_run=True, safety=False), as_json=as_json)
            if only_look:
                return
            typer.confirm("Put it back?", abort=True, err=True)
        _tell(archive.restore(tag, dry_run=False, safety=safety), as_json=as_json)


def _show(found: list[Snapshot], *, as_json: bool) -> None:
    if as_json:
        print_json([plain(asdict(one)) for one in found])
        return
    from rich.table import Table

    from agentmem.cli.render import make_console, visible

    table = Table(box=None, pad_edge=False)
    for name in ("tag", "made at", "turns", "bytes", "note"):
        table.add_column(name, justify="right" if name in ("turns", "bytes") else "left")
    for one in found:
        turns = sum(rows for name, rows in one.rows.items() if name.startswith("turns_g"))
        made_at = one.made_at.isoformat(" ", "seconds")
        note = visible(one.note or "")
        table.add_row(visible(one.tag), made_at, f"{turns:,}", f"{one.bytes:,}", note)
    make_console().print(table)


def _tell(done: Restoration, *, as_json: bool) -> None:
    if as_json:
        print_json(_form(done))
        return
    from agentmem.cli.render import make_console

    would = "would be " if done.dry_run else ""
    out = make_console()
    for one in done.holdings:
        out.print(
            f"{one.held}: {one.added:,} {would}added, {one.changed:,} changed, "
            f"{one.removed:,} removed; {one.forgotten:,} were erased since and stay so"
        )
    if done.safety:
        out.print(f"before: agentmem snapshot restore {done.safety}")


def _form(done: Restoration) -> dict[str, Any]:
    return {**asdict(done), "holdings": [asdict(one) for one in done.holdings]}
