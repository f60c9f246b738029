"""What a command says in a line, and how it tells an error: nothing in it steers a terminal.

Tables and blocks are in `render`, which brings rich; it is loaded here when something is said.
"""

from __future__ import annotations

from agentmem.cli.machine import print_json

__all__ = ["counted", "say", "tell_error"]


def counted(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say(line: str, *, err: bool = False) -> None:
    """Print one line; a line feed in it is shown as a symbol.

    Args:
        line: It.
        err: Whether it goes to standard error.
    """
    _print(line, err=err)


def tell_error(kind: str, *, message: str, as_json: bool) -> None:
    """Tell an error on standard error."""
    if as_json:
        print_json({"error": {"type": kind, "message": message}}, err=True)
    else:
        _print(f"error: {message}", err=True, style="red")


def _print(line: str, *, err: bool, style: str | None = None) -> None:
    from agentmem.cli.render import make_console, visible

    make_console(stderr=err).print(visible(line), style=style, soft_wrap=True)
