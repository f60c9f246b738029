"""The search for what is left: of every erased row the bytes it had, in every file of the store.

They are noted before the rows go. What is found afterwards and another row holds as well is not
counted; keys are held by nobody else.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from agentmem.forgetting.seeking import COLUMNS, TEXTS, bytes_of
from agentmem.storage.arrow import matrix
from agentmem.storage.border import persisting
from agentmem.storage.erasing import Holdings
from agentmem.storage.erasure import unreferenced
from agentmem.storage.scanning import matcher, scan
from agentmem.types import Remain

__all__ = ["Search", "Searched"]

A_SCAN: Final = 20_000  # byte strings looked for at once: 100 MB while they are
UNFINISHED: Final = 600.0  # seconds; a file that no version names by then is of a dead writer
Tell = Callable[[int, int], object]


@dataclass(slots=True)
class Searched:
    """What a search found.

    Attributes:
        sought: Byte strings that were looked for.
        shared: Of these, those that other rows hold as well.
        files: Files that were read.
        bytes: Their size.
        rewritable: Folders of tables whose files still hold some of it, and can be written anew.
        remains: What is still there.
    """

    sought: int = 0
    shared: int = 0
    files: int = 0
    bytes: int = 0
    rewritable: set[Path] = field(default_factory=set)
    remains: tuple[Remain, ...] = ()


class Search:
    """Notes the bytes of rows that are about to be erased, and looks for them afterwards.

    Args:
        folder: Of the store; None where it is no local folder.
        holdings: Its tables and those of its snapshots, before anything is erased.
        keys: Of the turns.
    """

    def __init__(
        self, folder: Path | None, holdings: Sequence[Holdings], *, keys: Sequence[str]
    ) -> None:
        self._folder = folder
        self._holdings = holdings
        self._sought: dict[bytes, str] = {}
        for one in holdings:
            for rows in one.rows_of(keys, columns=COLUMNS):
                for row in rows.to_pylist():
                    self._sought |= dict(bytes_of(row))

    def run(self, *, tell: Tell) -> Searched:
        """Read every file of the store, and say what is still there.

        Raises:
            StoreError: The store could not be read.
            OSError: A file could not be read.
        """
        told = Searched(sought=len(self._sought))
        if self._folder is None:
            told.remains = (NOT_LOOKED,)
            return told
        found: dict[str, set[bytes]] = defaultdict(set)
        for some in _parts(self._sought):
            scanned = scan(self._folder, some, tell=tell)
            told.files, told.bytes = scanned.files, scanned.bytes
            for file, strings in scanned.found.items():
                found[file] |= strings
        shared = self._shared({one for strings in found.values() for one in strings})
        told.shared = len(shared)
        remains: list[Remain] = []
        for file, strings in sorted(found.items()):
            kinds = sorted({self._sought[one] for one in strings - shared})
            if kinds:
                remains += self._judged(self._folder, file, kinds, told)
        told.remains = tuple(remains)
        return told

    def _judged(self, folder: Path, file: str, kinds: list[str], told: Searched) -> list[Remain]:
        """Say of a file why it still holds something; one of a dead writer is removed."""
        path = folder / file
        table = next((one for one in path.parents if one.suffix == ".lance"), None)
        if table is None:
            why = "it is no table of the store. Repair: delete or clean the file yourself."
        elif path in unreferenced(table):
            age = _age(path)
            if age is None or age > UNFINISHED:
                path.unlink(missing_ok=True)
                return []
            why = (
                "a process wrote it moments ago and has not committed it. Repair: forget again in "
                "ten minutes."
            )
        else:
            told.rewritable.add(table)
            why = "a row that was written meanwhile shares the file. Repair: forget again."
        return [Remain(file, kind, why) for kind in kinds]

    def _shared(self, found: set[bytes]) -> set[bytes]:
        """Return those of some byte strings that rows hold which stay."""
        kinds = {one: self._sought[one] for one in found}
        texts = [one for one, kind in kinds.items() if kind not in ("key", "vector")]
        shared = {one for one in texts if self._is_said_elsewhere(one.decode())}
        vectors = [one for one, kind in kinds.items() if kind == "vector"]
        if vectors:
            shared |= persisting(lambda: self._held(vectors))
        return shared

    def _held(self, vectors: Sequence[bytes]) -> set[bytes]:
        """Return those of some vectors that rows have which stay."""
        find, found = matcher(vectors), set[bytes]()
        for one in self._holdings:
            for rows in one.live(["vector"]):
                found |= find(np.ascontiguousarray(matrix(rows["vector"])).tobytes())
        return found

    def _is_said_elsewhere(self, text: str) -> bool:
        return any(one.is_said_elsewhere(text, columns=TEXTS) for one in self._holdings)


NOT_LOOKED: Final = Remain(
    "",
    "",
    "the files of a bucket were not read. What LanceDB knows of is gone; object versions that the "
    "bucket itself keeps are not. Repair: see docs/forgetting.md.",
)


def _parts(sought: dict[bytes, str]) -> Iterator[dict[bytes, str]]:
    items = iter(sought.items())
    while some := dict(islice(items, A_SCAN)):
        yield some


def _age(path: Path) -> float | None:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
