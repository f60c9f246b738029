"""The commands that make and read the catalogue: register, sync, list, get and remove."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model, Store, filter_of, load_model
from agentmem.cli.tools.inputs import tool_definitions
from agentmem.cli.tools.machine import change_form, tool_form
from agentmem.cli.tools.options import WHERE_LIKE, Namespace, Where, Within, opened_router
from agentmem.types import CatalogueChange

__all__ = ["get", "list_tools", "register", "remove", "sync"]

_FORMS: Final = (
    "JSON or JSON lines of OpenAI, Anthropic, MCP or plain definitions, - for standard input, or "
    "module:attribute for Python functions and models."
)
Files = Annotated[list[str], typer.Argument(metavar="FILE...", help=_FORMS)]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="A label for them all. May be given several times."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Remove tools without asking.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
]


def register(
    files: Files,
    *,
    namespace: Namespace = "default",
    tags: Tags = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace tools whose name has another definition.")
    ] = False,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Add tools to the catalogue. Those already there as given cost nothing."""
    given = tool_definitions(files)
    with opened_router(store, model=model, read_only=False, create=True) as router:
        load_model(model)
        done = router.register(
            given,
            namespace=namespace,
            tags=tags,
            on_conflict="replace" if replace else "error",
        )
    _report(done, as_json=as_json)


def sync(
    files: Files,
    *,
    namespace: Namespace = "default",
    tags: Tags = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Make a namespace equal to the files: adds, embeds anew what changed, removes the rest.

    Asks before it removes. With --json nothing is asked, and where tools would be removed
    nothing is changed without --yes.
    """
    _check_flags(yes=yes, dry_run=dry_run)
    given = tool_definitions(files)
    with opened_router(store, model=model, read_only=dry_run, create=not dry_run) as router:
        would = router.sync(given, namespace=namespace, tags=tags, dry_run=True)
        if not dry_run and _agreed(would, yes=yes, as_json=as_json):
            load_model(model)
            would = router.sync(given, namespace=namespace, tags=tags)
    _report(would, as_json=as_json)


def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Which tools.")],
    *,
    namespace: Namespace = "default",
    yes: Yes = False,
    dry_run: DryRun = False,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Remove tools from the catalogue: shows which, and asks.

    With --json nothing is asked, and nothing removed without --yes.
    """
    _check_flags(yes=yes, dry_run=dry_run)
    keeping = dry_run or (as_json and not yes)
    with opened_router(store, model=model, read_only=keeping) as router:
        would = router.remove(names, namespace=namespace, dry_run=True)
        if not dry_run and _agreed(would, yes=yes, as_json=as_json):
            would = router.remove(names, namespace=namespace)
    _report(would, as_json=as_json)


def _check_flags(*, yes: bool, dry_run: bool) -> None:
    if yes and dry_run:
        raise typer.BadParameter("give either --yes or --dry-run, not both", param_hint="--yes")


def _agreed(would: CatalogueChange, *, yes: bool, as_json: bool) -> bool:
    """Return whether to go on; a person is shown what would be removed, and asked."""
    if yes or not would.removed:
        return True
    if as_json:
        return False
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.render import change_block

    make_console().print(change_block(would))
    return typer.confirm("Go on?", abort=True, err=True)


def _report(change: CatalogueChange, *, as_json: bool) -> None:
    if as_json:
        print_json(change_form(change))
        return
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.render import change_block

    make_console().print(change_block(change))


def list_tools(
    *,
    namespace: Within = None,
    where: Where = None,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """List the tools of the catalogue."""
    matching = filter_of(where, like=WHERE_LIKE)
    with opened_router(store, model=model) as router:
        found = router.list(namespace=namespace, where=matching)
    if as_json:
        print_json([tool_form(tool) for tool in found])
        return
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.render import tools_table

    make_console().print(tools_table(found) if found else "No tools.")


def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The tool's name.")],
    *,
    namespace: Namespace = "default",
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Show one tool, whole."""
    with opened_router(store, model=model) as router:
        tool = router.get(name, namespace=namespace)
    if as_json:
        print_json(tool_form(tool))
        return
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.render import tool_block

    make_console().print(tool_block(tool))
