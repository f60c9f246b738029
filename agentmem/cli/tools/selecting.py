"""The commands that ask the catalogue: select, explain and lint."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model, Store, filter_of, load_model, waiting
from agentmem.cli.tools.inputs import messages
from agentmem.cli.tools.machine import explanation_form, lint_form, selection_form
from agentmem.cli.tools.options import (
    WHERE_LIKE,
    Exclude,
    FormatName,
    History,
    MaxTokens,
    Where,
    Within,
    count_of,
    opened_router,
)
from agentmem.types import LintReport, Selection

__all__ = ["explain", "lint", "select"]

FINDINGS: Final = 1  # exit code of `lint --strict` where there is something to repair

Task = Annotated[
    str, typer.Argument(metavar="QUERY", help="What is to be done, in the user's words.")
]
Count = Annotated[
    str,
    typer.Option(
        "--k", "-k", metavar="N", help="How many tools at most, or auto: as many as it takes."
    ),
]


def select(
    query: Task,
    *,
    k: Count = "5",
    max_tokens: MaxTokens = None,
    namespace: Within = None,
    where: Where = None,
    history: History = None,
    exclude: Exclude = None,
    schemas: Annotated[
        FormatName | None,
        typer.Option(help="Print the chosen tools' definitions in this format, as JSON."),
    ] = None,
    explain: Annotated[  # the option's name, as the facade calls it
        bool, typer.Option("--explain", help="Show what each score is made of, and why.")
    ] = False,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Choose the tools that a query needs, or say that none fits.

    With --schemas the definitions go to standard output, the account to standard error.
    """
    count, matching = count_of(k), filter_of(where, like=WHERE_LIKE)
    said = messages(history)
    with opened_router(store, model=model) as router:
        load_model(model)
        selection = router.select(
            query,
            k=count,
            max_tokens=max_tokens,
            namespace=namespace,
            where=matching,
            history=said,
            exclude=exclude,
            explain=explain,
        )
    if as_json:
        added = {"schemas": selection.schemas(schemas.value)} if schemas else {}
        print_json({**selection_form(selection), **added})
    else:
        _print_selection(selection, schemas=schemas)


def _print_selection(selection: Selection, *, schemas: FormatName | None) -> None:
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.render import account, selection_block

    if schemas is None:
        make_console().print(selection_block(selection))
        return
    print_json(selection.schemas(schemas.value))
    make_console(stderr=True).print(account(selection), style="dim")


def explain(
    query: Task,
    *,
    k: Count = "5",
    namespace: Within = None,
    where: Where = None,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Say why these tools and not the next ones."""
    count, matching = count_of(k), filter_of(where, like=WHERE_LIKE)
    with opened_router(store, model=model) as router:
        load_model(model)
        explanation = router.explain(query, k=count, namespace=namespace, where=matching)
    if as_json:
        print_json(explanation_form(explanation))
        return
    from agentmem.cli.render import make_console, visible

    make_console().print(visible(explanation.text, lines=True), soft_wrap=True)


def lint(
    *,
    namespace: Within = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where tools collide or have issues.")
    ] = False,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Report what to repair: tools too much alike, badly described, or easily confused."""
    with opened_router(store, model=model) as router, waiting("comparing the tools"):
        report = router.lint(namespace=namespace)
    if as_json:
        print_json(lint_form(report))
    else:
        _print_lint(report)
    if strict and (report.collisions or report.issues):
        raise typer.Exit(FINDINGS)


def _print_lint(report: LintReport) -> None:
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.reports import lint_block

    make_console().print(lint_block(report))
