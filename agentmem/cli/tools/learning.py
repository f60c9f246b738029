"""The commands that teach the router: examples, feedback, history, revert and calibrate."""

from __future__ import annotations

from typing import Annotated

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model, Store, load_model
from agentmem.cli.telling import say
from agentmem.cli.tools.inputs import labelled_queries, usage_examples
from agentmem.cli.tools.machine import calibration_form, lesson_form
from agentmem.cli.tools.options import By, Namespace, NoGuard, Within, opened_router
from agentmem.types import Calibration, Lesson

__all__ = ["calibrate", "examples", "feedback", "history", "revert"]


def examples(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="JSON of tools and their queries, or JSON lines of tool and query; - reads "
            "standard input.",
        ),
    ],
    *,
    namespace: Namespace = "default",
    no_guard: NoGuard = False,
    by: By = None,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Teach queries for which tools are right; the next selection knows them."""
    given = usage_examples(file)
    with opened_router(store, model=model, read_only=False) as router:
        load_model(model)
        lesson = router.add_examples(given, namespace=namespace, guard=not no_guard, by=by)
    _report(lesson, as_json=as_json)


def feedback(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What was asked of the tools.")],
    *,
    used: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The tool that was right. May be given several times."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="No tool of the catalogue fits.")] = False,
    succeeded: Annotated[
        bool | None,
        typer.Option("--succeeded/--failed", help="How the call ended, where that is known."),
    ] = None,
    namespace: Within = None,
    no_guard: NoGuard = False,
    by: By = None,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Tell which tool a query needed, and whether its call succeeded."""
    if bool(used) == none:
        raise typer.BadParameter("give either --used NAME or --none", param_hint="--used")
    with opened_router(store, model=model, read_only=False) as router:
        load_model(model)
        lesson = router.feedback(
            query,
            used=used or None,
            succeeded=succeeded,
            namespace=namespace,
            guard=not no_guard,
            by=by,
        )
    _report(lesson, as_json=as_json)


def history(
    *,
    namespace: Within = None,
    limit: Annotated[int, typer.Option(help="Lessons to show at most, the latest.")] = 20,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """List what the router was taught, and what became of it."""
    with opened_router(store, model=model) as router:
        found = router.history(namespace=namespace, limit=limit)
    if as_json:
        print_json([lesson_form(lesson) for lesson in found])
        return
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.reports import lessons_block

    make_console().print(lessons_block(found) if found else "No lessons.")


def revert(
    to: Annotated[
        str | None, typer.Argument(metavar="[LESSON]", help="The lesson to make the last one.")
    ] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--everything", help="Go back to having learnt nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be undone, and undo nothing.")
    ] = False,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Undo every lesson after one. The revert is a lesson too, and can itself be reverted."""
    if (to is None) != everything:
        raise typer.BadParameter("give either a lesson or --everything", param_hint="LESSON")
    with opened_router(store, model=model, read_only=dry_run) as router:
        lesson = router.revert(to, dry_run=dry_run)
    if as_json:
        print_json({**lesson_form(lesson), "dry_run": dry_run})
        return
    _report(lesson, as_json=False)
    if dry_run:
        say("Nothing was undone.")


def _report(lesson: Lesson, *, as_json: bool) -> None:
    if as_json:
        print_json(lesson_form(lesson))
        return
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.reports import lesson_block

    make_console().print(lesson_block(lesson))


def calibrate(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="Real queries as JSON lines of query and tools, [] where none fits; - reads "
            "standard input. Without it: the calibration in force.",
        ),
    ] = None,
    *,
    alpha: Annotated[
        float, typer.Option(metavar="RATE", help="Rate of wrong refusals to allow.")
    ] = 0.05,
    namespace: Within = None,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Fit the threshold below which the router abstains, with a bound on wrong refusals."""
    given = None if file is None else labelled_queries(file)
    with opened_router(store, model=model, read_only=given is None) as router:
        if given is None:
            found = router.calibration(namespace=namespace)
        else:
            load_model(model)
            queries, labels = given
            found = router.calibrate(queries, labels, alpha=alpha, namespace=namespace)
    if as_json:
        print_json(calibration_form(found))
    else:
        _print_calibration(found)


def _print_calibration(found: Calibration) -> None:
    from agentmem.cli.render import make_console
    from agentmem.cli.tools.reports import calibration_block

    make_console().print(calibration_block(found))
