"""What every evaluation run needs: its depths checked, a progress bar, the versions it ran on."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Final

from agentmem.errors import InvalidInput

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["depths_of", "progress_bar", "versions"]

_MAX_K: Final = 1000  # far deeper than anyone reads; keeps a typing error from fetching everything
_PACKAGES: Final = ("agentmem", "lancedb", "sentence-transformers", "torch", "numpy")


def depths_of(ks: Sequence[int]) -> tuple[int, ...]:
    """Return the depths to measure at, each once, ascending.

    Raises:
        InvalidInput: There is none, or one is out of range.
    """
    depths = tuple(sorted(set(ks)))
    if not depths or depths[0] < 1 or depths[-1] > _MAX_K:
        raise InvalidInput(f"ks must be numbers from 1 to {_MAX_K}, such as (1, 5, 10); got {ks!r}")
    return depths


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Progress]:
    """Give a bar on a terminal's standard error: standard output is the report's."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    disabled = not (shown and console.is_terminal)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=disabled) as bar:
        yield bar


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a result."""
    installed = {package: _version(package) for package in _PACKAGES}
    return {"python": platform.python_version()} | {
        package: version for package, version in installed.items() if version is not None
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a checkout that was never installed, for instance
        return None
