"""The commands about what was found before: events, acknowledge and rebase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.drift.options import DryRun, Of, Store, opened_subjects
from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model
from agentmem.cli.telling import say

if TYPE_CHECKING:
    from agentmem.types import DriftEvent

__all__ = ["acknowledge", "events", "rebase"]


def events(
    *,
    store: Store = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that are over as well, not only what stands.")
    ] = False,
    of: Of = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """List what was found to have drifted, the newest first."""
    with opened_subjects(store, of=of, model=model, read_only=True) as found:
        told = [
            event for one in found.values() for event in one.drift.events(unresolved=not everything)
        ]
    told.sort(key=lambda event: (event.at, event.id), reverse=True)
    if as_json:
        from agentmem.driftreport import event_form

        print_json([event_form(one) for one in told])
        return
    _print(told)


def _print(told: list[DriftEvent]) -> None:
    from agentmem.cli.drift.render import events_block
    from agentmem.cli.render import make_console

    make_console().print(events_block(told) if told else "No events.")


def acknowledge(
    event: Annotated[str, typer.Argument(metavar="ID", help="The event, as `events` names it.")],
    *,
    store: Store = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Say that a finding is known: it is told no more, and blocks no writes."""
    with opened_subjects(store, of=None, model=model) as found:
        told = next(iter(found.values())).drift.acknowledge(event)  # one journal has them all
    if as_json:
        from agentmem.driftreport import event_form

        print_json(event_form(told))
    else:
        say(f"Acknowledged: {told.subject}, {told.kind}, found {told.at:%Y-%m-%d %H:%M}.")


def rebase(
    *,
    store: Store = None,
    dry_run: DryRun = False,
    of: Of = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Accept today's state as what later ones are compared with.

    What stands of content, questions, answers, language and length is over by that. The model
    and the texts are compared with what was embedded, whatever the baseline.
    """
    with opened_subjects(store, of=of, model=model, read_only=dry_run) as found:
        over = {subject: one.drift.rebase(dry_run=dry_run) for subject, one in found.items()}
    if as_json:
        told = {subject: [event.id for event in ended] for subject, ended in over.items()}
        print_json({"dry_run": dry_run, "over": told})
        return
    verb = "would be" if dry_run else "is"
    for subject, ended in over.items():
        say(f"{subject}: today {verb} the baseline; {_ended(len(ended), dry_run=dry_run)} over.")


def _ended(count: int, *, dry_run: bool) -> str:
    verb = "would be" if dry_run else "is" if count == 1 else "are"
    return f"{count or 'no'} event{'' if count == 1 else 's'} {verb}"
