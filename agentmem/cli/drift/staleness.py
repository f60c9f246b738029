"""The commands about stored texts whose vectors are stale: stale and reembed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.drift.options import DryRun, Of, Store, opened_subjects
from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model, load_model
from agentmem.cli.telling import say

if TYPE_CHECKING:
    from agentmem.types import Reembedded

__all__ = ["reembed", "stale"]


def stale(
    *,
    store: Store = None,
    of: Of = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """List the texts whose stored vector is not the one that they would get today.

    Those of the sources that change most come first, as `reembed` takes them.
    """
    with opened_subjects(store, of=of, model=model, read_only=True) as found:
        texts = [text for one in found.values() for text in one.drift.stale()]
    if as_json:
        print_json([asdict(one) for one in texts])
        return
    from agentmem.cli.drift.render import stale_block
    from agentmem.cli.render import make_console

    make_console().print(stale_block(texts) if texts else "No stale texts.")


def reembed(
    *,
    store: Store = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", help="At most so many, those that matter most.", min=1),
    ] = None,
    dry_run: DryRun = False,
    of: Of = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Embed stale texts anew, in place, with the model that the store is of."""
    told: dict[str, Reembedded] = {}
    with opened_subjects(store, of=of, model=model, read_only=dry_run) as found:
        if not dry_run:
            load_model(model)
        left = limit
        for subject, one in found.items():
            if left == 0:
                break
            done = one.drift.reembed(dry_run=dry_run, limit=left, progress=not as_json)
            told[subject] = done
            left = None if left is None else left - done.embedded - done.skipped
    if as_json:
        print_json({subject: asdict(done) for subject, done in told.items()})
        return
    from agentmem.cli.drift.render import reembedded_line

    for name, done in told.items():
        say(f"{name}: {reembedded_line(done)}")
