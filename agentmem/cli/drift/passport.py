"""The group `agentmem passport`: which model made a store's vectors, and whether it still does."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentmem.cli.drift.failing import failing_apart
from agentmem.cli.drift.options import Store, opened_turns
from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model, embedder, waiting
from agentmem.cli.telling import say

if TYPE_CHECKING:
    from agentmem.embedding.canaries import CanaryCheck
    from agentmem.embedding.passports import Difference
    from agentmem.storage.turns import Store as Turns
    from agentmem.types import Passport

__all__ = ["app", "diff", "show", "verify"]

OTHER: Final = 1  # exit code of another space, for schedulers
UNASKED: Final = "Canaries: not embedded, because the passports alone tell the spaces apart."

app = typer.Typer(
    name="passport",
    help="Which model made the vectors of a store, and whether it still does.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Which model made the vectors of a store, and whether it still does."""


@app.command("show")
def show(store: Store = None, *, as_json: AsJson = False) -> None:
    """Show the passport of a store: every field that tells embedding spaces apart."""
    from agentmem.embedding.passports import passport_json

    with opened_turns(store) as turns:
        passport, number = turns.passport, turns.generation
    if as_json:
        print_json(passport_json(passport))
        return
    from agentmem.cli.drift.render import fields_of
    from agentmem.cli.render import make_console

    make_console().print(fields_of({"generation": number, **passport_json(passport)}))


@app.command("diff")
def diff(
    ctx: typer.Context,
    *,
    store: Store = None,
    model: Model = None,
    other: Annotated[
        str | None,
        typer.Option("--other", metavar="PATH", help="Another store, in place of a model."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the passport of a store with that of a model, or of another store."""
    source = ctx.get_parameter_source("model")
    if other is not None and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter("give either --model or --other, not both", param_hint="--other")
    from agentmem.embedding.passports import describe_differences, passport_json

    with opened_turns(store) as turns:
        stored = turns.passport
    given = embedder(model).passport if other is None else _passport_of(other)
    found = describe_differences(stored, given)
    if as_json:
        told = {"stored": passport_json(stored), "given": passport_json(given)}
        print_json({**told, **_compared(found)})
        return
    _print_differences(found, same=f"No difference: both are {stored.id}.")


@app.command("verify")
def verify(store: Store = None, *, model: Model = None, as_json: AsJson = False) -> None:
    """Check that a model is the one that made the store: its passport, and all canaries.

    Exits with 0 if it is, or differs a little; with 1 if its vectors are of another space; and
    with 2 if that cannot be said.
    """
    with failing_apart(as_json=as_json):
        from agentmem.embedding.passports import describe_differences

        with opened_turns(store) as turns, waiting("embedding the canaries"):
            found = describe_differences(turns.passport, embedder(model).passport)
            is_known = not all(one.comparable for one in found)
            canaries = None if is_known else _canaries(turns, model=model)
    verdict = _verdict(found, canaries=canaries)
    if as_json:
        told = None if canaries is None else _canary_form(canaries)
        print_json({"verdict": verdict, **_compared(found), "canaries": told})
    else:
        _print_differences(found, same="The passports are the same.")
        say(UNASKED if is_known else _told(canaries))
        say(f"Verdict: {verdict}.")
    if verdict == "other":
        raise typer.Exit(OTHER)


def _passport_of(store: str) -> Passport:
    with opened_turns(store) as turns:
        return turns.passport


def _canaries(turns: Turns, *, model: str | None) -> CanaryCheck | None:
    """Compare the canaries that a store keeps with today's; None where it keeps none."""
    from agentmem.embedding.canaries import compare, embed_canaries

    kept = turns.watching.canaries.get()
    return None if kept is None else compare(kept.canaries, embed_canaries(embedder(model)))


def _verdict(found: list[Difference], *, canaries: CanaryCheck | None) -> str:
    if not all(one.comparable for one in found):
        return "other"
    verdict = "same" if canaries is None else canaries.verdict
    return "warn" if found and verdict == "same" else verdict


def _compared(found: list[Difference]) -> dict[str, Any]:
    return {
        "comparable": all(one.comparable for one in found),
        "differences": [asdict(one) for one in found],
    }


def _canary_form(check: CanaryCheck) -> dict[str, Any]:
    numbers = {"minimum": check.minimum, "median": check.median}
    told = {"verdict": check.verdict, "cause": check.cause, "reason": check.reason}
    return {**told, **numbers, "place": check.place, "kind": check.kind}


def _print_differences(found: list[Difference], *, same: str) -> None:
    from agentmem.cli.drift.render import differences_block
    from agentmem.cli.render import make_console

    make_console().print(differences_block(found) if found else same)


def _told(check: CanaryCheck | None) -> str:
    if check is None:
        return "No canaries: the store keeps none of this set yet; its next write makes them."
    return (
        f"Canaries: {check.verdict}, the least cosine is {check.minimum:.6g} and the median "
        f"{check.median:.6g}. {check.reason[:1].upper()}{check.reason[1:].rstrip('.')}."
    )
