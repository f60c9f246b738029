"""The group `agentmem backup`: a store copied out of its place, verified, and restored."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from agentmem.cli.machine import plain, print_json
from agentmem.cli.options import AsJson, Store, location

if TYPE_CHECKING:
    from agentmem.types.backup import BackupCheck, BackupReport, RestoredBackup

__all__ = ["app"]

DAMAGED: Final = 1  # exit code of a backup that cannot be restored
MAKE: Final = "make"  # what is meant where no command is named
HELP: Final = ("-h", "--help")


class _Group(TyperGroup):
    """`agentmem backup DEST` is `agentmem backup make DEST`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = args and (args[0] in self.commands or args[0] in HELP)
        return super().parse_args(ctx, args if named or not args else [MAKE, *args])


app = typer.Typer(
    name="backup",
    cls=_Group,
    help="Copy a store out of its place while it is written to; verify and restore the copies. "
    "`agentmem backup DEST` makes one.",
    no_args_is_help=True,
)

_DEST: Final = "A folder or s3:// address that holds backups, or an archive (.tar.zst, .tar.gz)."
Dest = Annotated[str, typer.Argument(metavar="DEST", help=_DEST)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@app.command(MAKE)
def make(
    dest: Dest,
    *,
    keep: Annotated[
        int | None, typer.Option(help="How many backups to keep there. Default: all.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read and hash files that earlier backups hold, too.")
    ] = False,
    dry_run: DryRun = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Back a store up. Into a place that holds backups, only new files are copied."""
    from agentmem.backup import open_archive
    from agentmem.backup.making import Wanted

    wanted = Wanted(
        dest,
        incremental=not full,
        keep=keep,
        dry_run=dry_run,
        progress=not as_json,
    )
    place = location(store)
    with open_archive(place, read_only=_cannot_be_written(place)) as archive:
        report = archive.backup(wanted)
    _show(report, as_json=as_json)


@app.command()
def verify(dest: Dest, *, as_json: AsJson = False) -> None:
    """Read and hash every byte of backups; exit code 1 where something is damaged or missing."""
    from agentmem.backup import verify as look

    check = look(dest, progress=not as_json)
    if as_json:
        print_json({**asdict(check), "is_sound": check.is_sound})
    else:
        _tell_check(check)
    if not check.is_sound:
        raise typer.Exit(DAMAGED)


@app.command()
def restore(
    dest: Dest,
    *,
    store: Annotated[
        str,
        typer.Option("--store", metavar="NEW", help="Folder or address of the store to be made."),
    ],
    backup_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Which backup. Default: the newest.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Put it in the place of a store that is there.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a store of a backup, after every byte of it was verified."""
    from agentmem.backup import restore as put_back

    done = put_back(
        dest,
        store,
        overwrite=overwrite,
        backup=backup_id,
        dry_run=dry_run,
        progress=not as_json,
    )
    _show(done, as_json=as_json)


def _cannot_be_written(store: str) -> bool:
    """Whether links cannot be made in a folder, so that files are read where they are."""
    import os

    return "://" not in store and not os.access(Path(store).expanduser(), os.W_OK)


def _show(done: BackupReport | RestoredBackup, *, as_json: bool) -> None:
    told = plain(asdict(done))
    if as_json:
        print_json(told)
        return
    from agentmem.cli.render import make_console, pairs, visible

    rows: dict[str, str] = {}
    for name, value in told.items():
        if isinstance(value, dict):
            rows[name] = ", ".join(f"{table} {count:,}" for table, count in value.items())
        elif isinstance(value, (list, tuple)):
            rows[name] = ", ".join(value) or "none"
        else:
            rows[name] = f"{value:,}" if type(value) is int else str(value)
    shown = {name.replace("_", " "): visible(value) for name, value in rows.items()}
    make_console().print(pairs(shown))


def _tell_check(check: BackupCheck) -> None:
    from agentmem.cli.render import make_console, visible

    out = make_console()
    backups = len(check.backups)
    out.print(
        f"{backups} backup{'' if backups == 1 else 's'}, {check.files:,} files, "
        f"{check.bytes:,} bytes: {'sound' if check.is_sound else 'NOT sound'}"
    )
    err = make_console(stderr=sys.stderr.isatty())
    for what in ("damaged", "missing"):
        for one in getattr(check, what):
            err.print(visible(f"{what}: {one}"), style="red", soft_wrap=True)
