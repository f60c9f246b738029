"""Where an import stands: its checkpoint for the next run, its rejects, its bar on a terminal.

A checkpoint is one small file, replaced whole after every batch, so a process killed at any
moment leaves either the old one or the new one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import IO, Final, TypeAlias

from agentmem.checks import utc
from agentmem.errors import StoreError
from agentmem.transfer.reading import Record, unreadable
from agentmem.types import Scope

__all__ = [
    "Checkpoint",
    "Checkpoints",
    "Rejects",
    "SessionDate",
    "Tell",
    "digest_of",
    "forget_imports",
    "progress_bar",
]

HASH_BLOCK: Final = 2**20  # read at once; larger is no faster
VERSION: Final = 2  # of the checkpoint file; another version is started over

Tell: TypeAlias = Callable[[int, int], None]
"""Is told how far the work is, in the units of its total, and how many turns (or views) it was."""

SessionDate: TypeAlias = tuple[str | None, str | None, str | None, str]
"""User, agent and session, and the ISO date of the last dated message seen there."""

logger = logging.getLogger("agentmem")


def digest_of(path: Path) -> str:
    """Return the digest of a whole file: its identity, wherever it lies and whatever its name.

    Embedding its records takes thousands of times longer than reading it once more.

    Raises:
        InvalidInput: It cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(HASH_BLOCK):
                digest.update(block)
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest()


@dataclass(slots=True)
class Checkpoint:
    """How far an import came.

    Attributes:
        position: Last line or row that was stored or set aside.
        rejects_bytes: Size of the rejects file then; what was added later is read again.
        rejects: That file, which no other import may continue.
        dates: The last date of each recent session, for records without one.
    """

    position: int = 0
    rejects_bytes: int = 0
    dates: list[SessionDate] = field(default_factory=list)
    rejects: str | None = None
    version: int = VERSION


class Checkpoints:
    """The checkpoint file of one source imported into one scope in one way."""

    def __init__(self, folder: Path, *, source: str, scope: Scope, on_conflict: str) -> None:
        identity = json.dumps([source, *astuple(scope), on_conflict])
        self._path = (
            folder / f"{hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()}.json"
        )

    def load(self) -> Checkpoint:
        """Return where an earlier run stopped; the start where there was none, or none usable."""
        try:
            found = json.loads(self._path.read_bytes())
            dates = [
                (user, agent, session, utc(at, what="a checkpoint's date").isoformat())
                for user, agent, session, at in found["dates"]
            ]
            checkpoint = Checkpoint(
                int(found["position"]), int(found["rejects_bytes"]), dates, found["rejects"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            return Checkpoint()  # starting over is safe: what is stored already stays as it is
        return checkpoint if found.get("version") == VERSION else Checkpoint()

    def begin(self, checkpoint: Checkpoint) -> None:
        """Write the first checkpoint of a run; one that resumes must find its file still there."""
        if not checkpoint.position:
            with self._storing():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.touch()
        self.save(checkpoint)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file by this checkpoint, in one step.

        A file that is gone stays gone: turns were deleted since, see `forget_imports`.
        """
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        with self._storing():
            part.write_text(json.dumps(asdict(checkpoint)), encoding="utf-8")
            if self._path.exists():
                part.replace(self._path)  # fails if the folder was put aside since
            else:
                part.unlink()

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            return  # forgotten at this very moment
        except OSError as error:
            raise StoreError(
                f"the import's checkpoint {str(self._path)!r} could not be written: {error}. What "
                "was imported so far is stored. Make room, or import with resume=False."
            ) from error

    def clear(self) -> None:
        """Remove the file: the import is complete."""
        self._path.unlink(missing_ok=True)


def forget_imports(folder: Path | None) -> None:
    """Remove all checkpoints: turns are deleted, and importing their file again brings them back.

    The folder is moved away whole, so that an import in progress, also of another process, cannot
    write a checkpoint that counts on what is deleted.

    Raises:
        StoreError: They could not be removed.
    """
    if folder is None:
        return
    aside = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}")
    try:
        folder.rename(aside)
        shutil.rmtree(aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"the checkpoints of imports in {str(folder)!r} could not be removed: {error}. Make "
            "the folder writable and delete again, or import with resume=False from now on."
        ) from error


class Rejects:
    """The file of records that were set aside: their line, the reason, and their text.

    Opened at the first of them. Without a path they are counted, and logged by number.
    """

    def __init__(self, path: Path | None, *, size: int = 0) -> None:
        self.path = path
        self.count = 0
        self.size = size
        self._file: IO[bytes] | None = None

    def add(self, record: Record, *, error: str, with_text: bool = True) -> None:
        """Set one record aside, with its text unless that must not be kept."""
        self.count += 1
        if self.path is None:
            logger.warning(  # without the reason, which may quote what somebody said
                "record %d was not imported; pass rejects= to keep it with the reason",
                record.position,
            )
            return
        fields = {
            "line": record.position,
            "error": error,
            "raw": record.text if with_text else None,
        }
        line = json.dumps(fields).encode() + b"\n"  # ASCII: broken text must survive this too
        try:
            file = self._opened(self.path)
            file.write(line)
            file.flush()
        except OSError as problem:
            raise StoreError(
                f"record {record.position} could not be set aside in {str(self.path)!r}: "
                f"{problem}. Pass rejects= with a path that can be written."
            ) from problem
        self.size += len(line)

    def _opened(self, path: Path) -> IO[bytes]:
        """Return the file, cut back to what the checkpoint knows of it."""
        if self._file is None:
            resumed = self.size > 0 and path.exists()
            self._file = path.open("r+b" if resumed else "wb")
            self.size = min(self.size, path.stat().st_size)
            self._file.truncate(self.size)
            self._file.seek(self.size)
        return self._file

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @property
    def written(self) -> str | None:
        """The path, where anything was set aside in it."""
        return str(self.path) if self.path is not None and self.size else None


@contextmanager
def progress_bar(
    total: int | None, *, shown: bool, doing: str, unit: str = "turns"
) -> Iterator[Tell]:
    """Give a function that is told (how far, how many units); it draws on a terminal only."""
    if not (shown and sys.stderr.isatty()):
        yield lambda _done, _units: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(doing),
        BarColumn(),
        TextColumn(f"{{task.fields[units]:,}} {unit}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total, units=0)
        yield lambda done, units: bar.update(task, completed=done, units=units)
