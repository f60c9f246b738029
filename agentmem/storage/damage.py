"""Files of a store that are cut short, found by their ends.

LanceDB says that it cannot read a table, and seldom which file is to blame. Every data file and
manifest of Lance ends in the same four bytes, so one that lost its end tells itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["cut_short"]

END: Final = b"LANC"
KINDS: Final = ("*.lance/_versions/*.manifest", "*.lance/data/*.lance")


def cut_short(folder: Path) -> list[Path]:
    """Return the files of a store's tables that are empty or lost their end, manifests first."""
    found = [path for kind in KINDS for path in sorted(folder.glob(kind))]
    return [path for path in found if not _is_whole(path)]


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-min(path.stat().st_size, len(END)), os.SEEK_END)
            return file.read() == END
    except OSError:  # gone since it was listed, or unreadable for another reason
        return True
