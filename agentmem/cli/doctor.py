"""The command `agentmem doctor`: what ails a store, and its repair."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentmem.cli.machine import plain, print_json
from agentmem.cli.options import AsJson, Model, Store, embedder, location, waiting
from agentmem.cli.telling import say
from agentmem.errors import AgentmemError, StoreError, StoreNotFound
from agentmem.types.maintenance import Diagnosis, Examination

if TYPE_CHECKING:
    from agentmem.protocols import Embedder
    from agentmem.storage.turns import Store as Turns

__all__ = ["diagnosis_form", "doctor"]

PROBLEMS: Final = 1  # exit code, for schedulers
MARKS: Final = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}
STYLES: Final = {"ok": "green", "warning": "yellow", "error": "red"}


def doctor(
    *,
    store: Store = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair what can be without losing anything.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Repair without asking.")] = False,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Examine a store: schema, keys, contents, vectors, files, locks; and say how to repair it.

    Changes nothing without --fix, which shows the plan and asks, and never deletes content. With
    --json nothing is repaired without --yes. Exits with 1 if there are problems.
    """
    found, done = _examined(store, model=model, fix=fix, yes=yes, as_json=as_json)
    shown = found if done is None else done
    if as_json:
        print_json(diagnosis_form(shown))
    elif done is None:
        _print(found)
    else:
        _print_repairs(done)
    left = {one.name for one in shown.problems} - {
        one.name for one in shown.repairs if one.error is None
    }
    if left:
        raise typer.Exit(PROBLEMS)


def diagnosis_form(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON values."""
    told = {**asdict(diagnosis), "facts": dict(diagnosis.facts), "verdict": diagnosis.verdict}
    return plain(told)


def _examined(
    store: str | None, *, model: str | None, fix: bool, yes: bool, as_json: bool
) -> tuple[Diagnosis, Diagnosis | None]:
    """Examine a store; return what was found, and with repairs where some were made."""
    from agentmem.maintenance import Doctor
    from agentmem.storage.turns import Store as Turns

    where = location(store)
    try:
        turns = Turns.open(where, passport=None, create=False, read_only=not fix, strict=False)
    except StoreNotFound:
        raise
    except StoreError as error:
        return _closed(where, error), None
    try:
        with waiting("examining"):
            physician = Doctor(turns, embedder=_embedder(turns, model=model))
            found = physician.examine()
        plan = [one for one in found.problems if one.fixable]
        if not (fix and plan):
            return found, None
        if not yes:
            if as_json:
                return found, None
            _print(found)
            say(f"would repair: {', '.join(one.name for one in plan)}", err=True)
            typer.confirm("Repair it?", abort=True, err=True)
        return found, physician.repaired(found)
    finally:
        turns.close()


def _embedder(turns: Turns, *, model: str | None) -> Embedder | None:
    """Return the embedder of the store's space; None where there is none to be had."""
    from agentmem.embedding.choice import Embedders

    with suppress(AgentmemError):
        return Embedders(embedder(model)).at(turns.generation, turns.passport)
    return None


def _closed(where: str, error: StoreError) -> Diagnosis:
    """Return the diagnosis of a store that cannot even be opened."""
    ailment = Examination(
        name="opening",
        verdict="error",
        found=str(error),
        count=1,
        repair="Restore the folder from a backup: `agentmem backup restore`.",
    )
    now = datetime.now(timezone.utc)
    return Diagnosis(store=where, examined_at=now, examinations=(ailment,), facts={})


def _print(found: Diagnosis) -> None:
    from agentmem.cli.render import make_console, visible

    console = make_console()
    for one in found.examinations:
        lines = [f"{MARKS[one.verdict]} {one.name}: {one.found}"]
        lines += [f"          {example}" for example in one.examples]
        lines += [f"        → {one.repair}"] if one.repair else []
        text = "\n".join(visible(line) for line in lines)
        console.print(text, style=STYLES[one.verdict], soft_wrap=True)
    console.print(f"{len(found.problems)} problems; the worst: {found.verdict}", soft_wrap=True)


def _print_repairs(done: Diagnosis) -> None:
    from agentmem.cli.render import make_console, visible

    console = make_console()
    for one in done.repairs:
        told = f"failed: {one.error}" if one.error else one.done
        style = "red" if one.error else "green"
        console.print(visible(f"{one.name}: {told}"), style=style, soft_wrap=True)
    left = [one.name for one in done.problems if not one.fixable]
    if left:
        console.print(f"left to you: {', '.join(left)}", style="yellow", soft_wrap=True)
