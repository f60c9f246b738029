"""Where a report is written: one file, replaced whole."""

from __future__ import annotations

from pathlib import Path

from agentmem.errors import StoreError

__all__ = ["write_bytes", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8; half characters, which no file can hold, are replaced.

    Raises:
        StoreError: The file cannot be written.
    """
    write_bytes(path, text.encode("utf-8", errors="replace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        StoreError: The file cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StoreError(
            f"the report cannot be written to {path} ({error.strerror}). Repair: name a file in "
            "a folder that exists and that you may write to."
        ) from error
