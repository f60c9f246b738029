"""The commands about a migration that somebody started: watch, stop, take back, tidy up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.migrate.options import opened_whole
from agentmem.cli.options import AsJson, Store
from agentmem.cli.telling import say
from agentmem.errors import NotFound

if TYPE_CHECKING:
    from agentmem.migration import Migration
    from agentmem.types import MigrationStatus

__all__ = ["cancel", "drop", "history", "pause", "poisoned", "rollback", "show", "status"]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def status(*, store: Store = None, as_json: AsJson = False) -> None:
    """Show where the newest migration is, whichever process runs it."""
    with _newest(store) as migration:
        show(migration.status(), as_json=as_json)


def history(*, store: Store = None, as_json: AsJson = False) -> None:
    """List the finished migrations of a store."""
    with opened_whole(store, to=None, read_only=True) as memory:
        found = memory.migrations()
    from agentmem.cli.migrate.render import form, history_table

    if as_json:
        print_json([form(one) for one in found])
        return
    from agentmem.cli.render import make_console

    make_console().print(history_table(found) if found else "no migration was ever finished")


def poisoned(*, store: Store = None, as_json: AsJson = False) -> None:
    """List the rows that the new model could not embed; they are still found by their words."""
    with _newest(store) as migration:
        found = migration.poisoned()
    from agentmem.cli.migrate.render import form, poisoned_table

    if as_json:
        print_json([form(one) for one in found])
        return
    from agentmem.cli.render import make_console

    make_console().print(poisoned_table(found) if found else "none")


def pause(*, store: Store = None, as_json: AsJson = False) -> None:
    """Ask whoever runs the migration to stop; the same `migrate` command goes on with it."""
    with _newest(store, read_only=False) as migration:
        show(migration.pause(), as_json=as_json)


def cancel(*, store: Store = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """Give a migration up, and drop what it built; what serves is not touched."""
    with _newest(store, read_only=False) as migration:
        if not yes:
            typer.confirm("Drop what was built?", abort=True, err=True)
        show(migration.cancel(), as_json=as_json)


def rollback(*, store: Store = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """Put the old generation back in force, with everything that was written since."""
    with _newest(store, read_only=False) as migration:
        if not yes:
            typer.confirm("Go back to the old generation?", abort=True, err=True)
        show(migration.rollback(), as_json=as_json)


def drop(
    *,
    store: Store = None,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which generation, and drop nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Drop the generation that a finished migration left behind; there is no way back then."""
    with _newest(store, read_only=dry_run) as migration:
        number = migration.drop(dry_run=True)
        if not (yes or dry_run):
            typer.confirm(f"Drop generation {number} for good?", abort=True, err=True)
        if not dry_run:
            migration.drop()
    if as_json:
        print_json({"generation": number, "dropped": not dry_run})
    else:
        say(f"generation {number} {'would be' if dry_run else 'was'} dropped")


def show(found: MigrationStatus, *, as_json: bool) -> None:
    """Show where a migration is."""
    from agentmem.cli.migrate.render import form, status_block

    if as_json:
        print_json(form(found))
        return
    from agentmem.cli.render import make_console

    make_console().print(status_block(found))


@contextmanager
def _newest(store: str | None, *, read_only: bool = True) -> Iterator[Migration]:
    """Give the newest migration of a store."""
    with opened_whole(store, to=None, read_only=read_only) as memory:
        found = memory.migration()
        if found is None:
            raise NotFound(
                "no migration of this store was ever started. `agentmem migrate --to NAME` does."
            )
        yield found
