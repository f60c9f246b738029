"""`agentmem demo`: a year of somebody's life, questions about it, and why each turn was found."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentmem.cli.demonstration import (
    DEPTHS,
    USER,
    Answer,
    Demonstration,
    demonstrate,
    kept_or_temporary,
)
from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["demo"]

Kept = Annotated[
    str | None,
    typer.Option("--store", metavar="PATH", help="Keep the conversation in this store."),
]
SHOWN: Final = 3  # hits a question; evidence further down is shown besides


def demo(
    *,
    store: Kept = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Load a conversation of a year, ask it questions, and show why each turn was found."""
    with kept_or_temporary(store) as place:
        shown = demonstrate(place, model=model)
    if as_json:
        print_json(shown.form())
        return
    from agentmem.cli.render import make_console

    _print(shown, console=make_console(), store=store)


def _print(shown: Demonstration, *, console: Console, store: str | None) -> None:
    where = f"in {store}" if store else "in a temporary store; --store PATH keeps one"
    console.print(
        f"{shown.turns} messages of {shown.sessions} conversations, added in "
        f"{shown.seconds:.1f} s\n{where}.\n"
        "✓ marks the turns that hold the answer; below each turn are the terms of its\nscore."
    )
    for number, answer in enumerate(shown.answers, 1):
        _print_answer(answer, number=number, console=console)
    _print_summary(shown, console=console)
    _print_context(shown, console=console)
    _print_next(shown.asked, store=store, console=console)


def _print_answer(answer: Answer, *, number: int, console: Console) -> None:
    from agentmem.cli.render import hit_block, timing

    console.print()
    console.rule(f" {number}  {answer.question} ", align="left", style="dim")
    console.print(f"On record ({answer.kind}): {answer.answer}\n", style="italic")
    for rank, hit in enumerate(answer.recall, 1):
        holds_it = hit.turn.id in answer.evidence
        if rank <= SHOWN or holds_it:
            console.print(hit_block(hit, rank, marked=holds_it))
    for turn_id, place in answer.ranks().items():
        if place is None:
            console.print(f"✗ {turn_id} is not among the first {max(DEPTHS)}", style="red")
    console.print(timing(answer.recall.milliseconds), style="dim")


def _print_summary(shown: Demonstration, *, console: Console) -> None:
    questions = len(shown.answers)
    found = ", ".join(
        f"{shown.complete(depth)} of {questions} in the first {depth}" for depth in DEPTHS
    )
    console.print()
    console.rule(" Summary ", align="left", style="bold")
    console.print(f"Questions with all of their evidence: {found}.")
    console.print(
        f"Median search: {shown.searching:.1f} ms beside {shown.encoding:.1f} ms of encoding "
        "the question."
    )


def _print_context(shown: Demonstration, *, console: Console) -> None:
    from agentmem.cli.render import account, visible

    console.print()
    console.rule(" A context for a prompt ", align="left", style="bold")
    console.print(f"{shown.asked}\n", style="italic")
    console.print(visible(shown.context.text, lines=True))
    console.print(account(shown.context), style="dim")


def _print_next(question: str, *, store: str | None, console: Console) -> None:
    place = store or "ada.mem"
    whose = f"--store {quote(place)} --user {USER}"
    commands = [
        f'agentmem search "{question}" {whose} --explain',
        f'agentmem context "{question}" {whose} --max-tokens 300',
        f"agentmem sessions {whose}",
    ]
    if store is None:
        commands = [f"agentmem demo --store {quote(place)}", *commands[:2]]
    console.print()
    console.rule(" Try next ", align="left", style="bold")
    for command in commands:
        console.print(f"  {command}", soft_wrap=True)
