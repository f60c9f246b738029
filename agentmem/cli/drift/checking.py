"""The commands that look for drift: check and report."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentmem.cli.drift.failing import failing_apart
from agentmem.cli.drift.options import Kinds, Of, Store, kinds_of, opened_subjects, opened_turns
from agentmem.cli.figures import check_out
from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model, waiting
from agentmem.cli.telling import say
from agentmem.types import DriftReport

if TYPE_CHECKING:
    from agentmem.cli.drift.options import KindName, SubjectName
    from agentmem.types import DriftCheck, MigrationStatus

__all__ = ["FailOn", "check", "report"]

DRIFTED: Final = 1  # exit code of drift, for schedulers


class FailOn(str, Enum):
    """The values of `--fail-on`: severities that drift can have."""

    WARNING = "warning"
    CRITICAL = "critical"


def check(
    *,
    store: Store = None,
    kinds: Kinds = None,
    of: Of = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="From which severity on to exit with 1.")
    ] = FailOn.WARNING,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Look for drift now, and write down what was found; for schedulers such as cron.

    Exits with 0 if nothing drifted, with 1 if something did, and with 2 if that cannot be said.
    """
    with failing_apart(as_json=as_json):
        reports = _checked(store, kinds=kinds, of=of, model=model)[0]
    if as_json:
        from agentmem.driftreport import report_form

        print_json([report_form(one) for one in reports])
    else:
        from agentmem.cli.drift.render import reports_block
        from agentmem.cli.render import make_console

        make_console().print(reports_block(reports))
    if _failed(reports, fail_on=fail_on):
        raise typer.Exit(DRIFTED)


def report(
    *,
    store: Store = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="A page (.html), its charts in one picture (.png), or its data (.json); one that "
            "is there is replaced.",
        ),
    ] = Path("drift.html"),
    kinds: Kinds = None,
    of: Of = None,
    show: Annotated[bool, typer.Option("--show", help="Open it.")] = False,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Look for drift now, and make one page of it: verdicts, evidence, and what came before."""
    from agentmem.driftreport import check_ending, write_report

    check_ending(out)
    check_out(out)
    reports, history = _checked(store, kinds=kinds, of=of, model=model)
    write_report(out, reports, history=history, migrations=_migrations(store))
    drifted = [f"{one.subject}: {kind}" for one in reports for kind in _drifted(one)]
    if as_json:
        told = {one.subject: _drifted(one) for one in reports}
        print_json({"file": str(out), "checks": len(history), "drifted": told})
    else:
        say(f"{out}: {', '.join(drifted) or 'nothing'} drifted.")
    if show:
        webbrowser.open(out.absolute().as_uri())


def _checked(
    store: str | None,
    *,
    kinds: list[KindName] | None,
    of: SubjectName | None,
    model: str | None,
) -> tuple[list[DriftReport], list[DriftCheck]]:
    """Check whatever the store holds; return what was found, and the checks so far."""
    from agentmem.monitoring import check_all

    with opened_subjects(store, of=of, model=model) as found, waiting("checking"):
        reports = check_all(found.values(), kinds=kinds_of(kinds))
        history = [past for one in found.values() for past in one.drift.history()]
    return reports, history


def _migrations(store: str | None) -> list[MigrationStatus]:
    """Return the migrations of a store, the one under way included."""
    from agentmem.migration.records import Records

    with opened_turns(store) as turns:
        records = Records(turns.whole.meta)
        current = records.current()
        found = {one.id: one for one in records.history()}
        if current is not None:
            found[current.status.id] = current.status
    return list(found.values())


def _failed(reports: Iterable[DriftReport], *, fail_on: FailOn) -> bool:
    severities = {"critical"} if fail_on == FailOn.CRITICAL else {"warning", "critical"}
    return any(
        one.status == "drifted" and one.severity in severities
        for report in reports
        for one in report.findings
    )


def _drifted(report: DriftReport) -> list[str]:
    return [one.kind for one in report.findings if one.status == "drifted"]
