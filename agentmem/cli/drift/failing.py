"""What a command does with an error whose exit code has to differ from that of its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

from agentmem.cli.telling import tell_error
from agentmem.errors import AgentmemError

__all__ = ["FAILED", "failing_apart"]

FAILED: Final = 2  # exit code of what could not be checked, as of wrong usage; 1 is an answer


@contextmanager
def failing_apart(*, as_json: bool) -> Iterator[None]:
    """Tell errors of agentmem as every command does, and exit with `FAILED`."""
    try:
        yield
    except AgentmemError as error:
        tell_error(type(error).__name__, message=str(error), as_json=as_json)
        raise typer.Exit(FAILED) from error
