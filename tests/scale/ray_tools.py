"""What the tests on Ray share: work for workers, embedders that fail there, and who is left."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from agentmem.testing import HashEmbedder
from agentmem.types import Kind

__all__ = [
    "Abroad",
    "Deadly",
    "Failing",
    "Marking",
    "Same",
    "Unloadable",
    "Unpicklable",
    "gone",
    "kin",
    "numbered",
    "short_folder",
    "until",
    "watched",
]

TO_COME: Final = 240.0  # seconds; a session takes 5 to start on an idle machine, 40 on a busy one
TO_GO: Final = 30.0


class Same:
    """Gives the rows back, and says which process did."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the rows of a batch."""
        time.sleep(0.02)
        return batch.append_column("pid", pa.array([os.getpid()] * len(batch)))


class Deadly:
    """Ends its process over one row."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the rows of a batch, or never."""
        if 3 in batch["id"].to_pylist():
            os._exit(1)
        return batch


class Failing:
    """Raises."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Raise."""
        raise ValueError(f"nothing becomes of {len(batch)} rows")


class Unloadable(Same):
    """Cannot be read by a worker."""

    def __getstate__(self) -> dict[str, int]:
        return {"made_in": os.getpid()}

    def __setstate__(self, state: dict[str, int]) -> None:
        assert os.getpid() == state["made_in"], "not here"


class Marking(HashEmbedder):
    """Hashed words; says in a folder which process embedded how many texts.

    Args:
        folder: For a file of each process.
        seconds: It takes for a text, in other processes than the one it was made in.
        poison: A word that it fails on.
    """

    def __init__(self, folder: Path, *, seconds: float = 0.0, poison: str | None = None) -> None:
        super().__init__(96)
        self._folder, self._seconds, self._poison = folder, seconds, poison
        self._home = os.getpid()

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts after a while, or fail."""
        if self._poison is not None and any(self._poison in text for text in texts):
            raise ValueError("the model gave up")
        if os.getpid() != self._home:
            time.sleep(self._seconds * len(texts))
        with (self._folder / str(os.getpid())).open("a") as file:
            file.write("\n" * len(texts))
        return super().embed(texts, kind=kind)

    def marks(self) -> dict[int, int]:
        """Return how many texts each process embedded."""
        return {int(path.name): path.stat().st_size for path in self._folder.iterdir()}

    def workers(self) -> list[int]:
        """Return the processes that embedded, without this one."""
        return [pid for pid in self.marks() if pid != os.getpid()]


class Abroad(HashEmbedder):
    """Works where it was made, and nowhere else."""

    def __init__(self) -> None:
        super().__init__(96)
        self._home = os.getpid()

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, or fail."""
        if os.getpid() != self._home:
            raise FileNotFoundError("there is no weights.bin")
        return super().embed(texts, kind=kind)


class Unpicklable(HashEmbedder):
    """Holds something that cannot be sent to another process."""

    def __init__(self) -> None:
        super().__init__(96)
        self.lock = threading.Lock()


def numbered(begin: int, end: int) -> pa.Table:
    """Return rows with ids and texts."""
    ids = range(begin, end)
    return pa.table({"id": ids, "text": [f"the harbour at dawn, number {n}" for n in ids]})


def until(true: Callable[[], object], *, seconds: float = TO_COME) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)


def kin(of: int) -> dict[int, str]:
    """Return the processes that a process started, and those that they did, with their commands."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    found, parents = dict[int, str](), [of]
    while parents:
        parent = parents.pop()
        born = {int(pid): args for pid, ppid, args in lines if int(ppid) == parent}
        found |= {pid: args for pid, args in born.items() if not args.startswith("ps -ww")}
        parents += born
    return found


def gone(pids: Iterable[int], *, seconds: float = TO_GO) -> None:
    """Wait until none of these processes is there."""
    until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], seconds=seconds)


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, str]]:
    """Check that nothing is left of a session: no process, and no file.

    Give a dictionary for the processes that were seen.
    """
    seen = dict[int, str]()
    with short_folder(monkeypatch) as folder:
        yield seen
        assert any(args.split()[0].endswith("/raylet") for args in seen.values())
        gone(seen)
        assert list((folder / "home").iterdir()) == []
        assert list((folder / "temporary").glob("ray*")) == []


@contextmanager
def short_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let this process and those it starts have their home and temporary files in one folder.

    Under `tmp_path` the names of Ray's sockets would be too long.
    """
    with TemporaryDirectory(prefix="t", ignore_cleanup_errors=True) as folder:
        for name, variable in (("home", "HOME"), ("temporary", "TMPDIR")):
            Path(folder, name).mkdir()
            monkeypatch.setenv(variable, str(Path(folder, name)))
        monkeypatch.setattr("tempfile.tempdir", str(Path(folder, "temporary")))
        yield Path(folder)
