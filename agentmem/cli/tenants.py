"""The group `agentmem tenants`: the stores of a folder that holds one for each tenant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.checks import nearest
from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson
from agentmem.cli.telling import say
from agentmem.errors import StoreNotFound

if TYPE_CHECKING:
    from agentmem.tenants import Tenants
    from agentmem.types.tenants import TenantDeletion

__all__ = ["app"]

app = typer.Typer(
    name="tenants",
    help="Stores of tenants, one folder each: list, find and delete them.",
    no_args_is_help=True,
)

Root = Annotated[
    str, typer.Argument(metavar="ROOT", help="Folder or s3:// address that holds the stores.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The tenant.")]


@app.command("list")
def listed(root: Root, *, as_json: AsJson = False) -> None:
    """List the tenants that have a store, with its size."""
    with _opened(root, read_only=True) as tenants:
        found = [(one, one.figures()) for one in tenants.list()]
    if as_json:
        print_json([{"id": one.id, "path": one.path, **asdict(size)} for one, size in found])
        return
    from rich.table import Table

    from agentmem.cli.render import make_console, visible

    table = Table(box=None, pad_edge=False)
    for name in ("tenant", "turns", "tools", "bytes"):
        table.add_column(name, justify="left" if name == "tenant" else "right", overflow="fold")
    for one, size in found:
        counts = (_count(count) for count in (size.turns, size.tools, size.bytes))
        table.add_row(visible(one.id), *counts)
    make_console().print(table)


@app.command()
def path(
    root: Root,
    tenant: Id,
    *,
    new: Annotated[
        bool, typer.Option("--new", help="Where it would be, if the tenant has none yet.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print where a tenant's store is, for the --store of every other command."""
    with _opened(root, read_only=True) as tenants:
        place = tenants.path(tenant)
        if not (new or any(one.id == tenant for one in tenants.list())):
            raise StoreNotFound(
                f"tenant {tenant!r} has no store in {root}.{_near(tenants, tenant)} Repair: check "
                "the id, or give --new to print where it would be."
            )
    if as_json:
        print_json({"id": tenant, "path": place})
    else:
        say(place)


@app.command()
def delete(
    root: Root,
    tenant: Id,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and delete nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a tenant's store with all that is in it: shows what would go, and asks.

    With --json nothing is asked, and nothing deleted without --yes.
    """
    if yes and dry_run:
        raise typer.BadParameter("give either --yes or --dry-run, not both", param_hint="--yes")
    only_look = dry_run or (as_json and not yes)
    with _opened(root, read_only=only_look) as tenants:
        try:
            doomed = tenants.delete(tenant, dry_run=True)
        except StoreNotFound as error:
            raise StoreNotFound(f"{error}{_near(tenants, tenant)}") from error
        if not (only_look or yes):
            _tell(doomed)
            typer.confirm("Delete it?", abort=True, err=True)
        done = doomed if only_look else tenants.delete(tenant)
    if as_json:
        print_json(asdict(done))
    else:
        _tell(done)


@contextmanager
def _opened(root: str, *, read_only: bool) -> Iterator[Tenants]:
    from agentmem.tenants import Tenants

    with Tenants.open(root, create=False, read_only=read_only) as tenants:
        yield tenants


def _near(tenants: Tenants, tenant: str) -> str:
    """Say which tenant may be meant: whoever asks here may list them all."""
    return nearest(tenant, (one.id for one in tenants.list()))


def _tell(done: TenantDeletion) -> None:
    from agentmem.cli.render import make_console, visible

    verb = "would be deleted" if done.dry_run else "deleted"
    counts = f"{_count(done.turns)} turns, {_count(done.tools)} tools, {done.bytes:,} bytes"
    make_console().print(visible(f"{done.path}: {counts} {verb}."), soft_wrap=True)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
