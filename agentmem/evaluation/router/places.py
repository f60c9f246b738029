"""Where a publisher keeps the files of a data set: found by name in the usual folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agentmem.errors import InvalidInput

__all__ = ["find", "need"]

_BELOW: Final = (  # as the publishers' repositories lay them out
    *("", "data", "dataset", "dataset/data", "tmp_dataset", "dataset/tmp_dataset"),
    "Seal-Tools_Dataset",
)


def find(path: Path, names: Sequence[str]) -> Path | None:
    """Return the first file of one of these names, or None.

    Args:
        path: A folder, or one of the data set's files: then its folder and the one above.
        names: File names, the likeliest first. A file given by the caller is taken before others.
    """
    if path.is_file() and path.name in names:
        return path
    for folder in _folders(path):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None


def need(path: Path, names: Sequence[str]) -> Path:
    """Return the file that `find` finds.

    Raises:
        InvalidInput: There is none; names what was looked for, and where.
    """
    if not path.exists():
        raise InvalidInput(f"{path} does not exist")
    found = find(path, names)
    if found is None:
        looked = ", ".join(str(folder) for folder in _folders(path) if folder.is_dir())
        raise InvalidInput(f"none of {', '.join(names)} was found in {looked}")
    return found


def _folders(path: Path) -> list[Path]:
    starts = [path.parent, path.parent.parent] if path.is_file() else [path]
    return [start / below for start in starts for below in _BELOW]
