"""How the store of a tenant is removed, whoever has it open, without a remainder.

A folder is renamed first, so that nobody opens half a store. A file takes its place meanwhile: a
write that was under way in another process would else make the folder again, with what it wrote.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from agentmem.errors import StoreError, StoreNotFound
from agentmem.storage.border import store_errors
from agentmem.tenants.root import META, Root

__all__ = ["check_removable", "has_remains", "remove"]

DELETE: Final = "delete a tenant"
TABLE: Final = ".lance"
ASIDE: Final = ".deleted"
PARTS: Final = r"\.[0-9a-f]{32}(\.replaced)?\.(deleted|part)"  # what deleting and restoring leave
LINGER: Final = 0.5  # seconds a write may still last that was under way; one commit takes 0.01
ATTEMPTS: Final = 100  # each lost one is a write of another process that made the folder again
NOTE: Final = "A store was here that is being deleted; `agentmem tenants delete` finishes it.\n"


def has_remains(root: Root, name: str) -> bool:
    """Return whether anything is left of a store: itself, or what a killed process left of it."""
    if root.folder is None:
        return bool(root.names(name))
    return os.path.lexists(root.folder / name) or bool(_parts(root.folder, name))


def check_removable(root: Root, name: str) -> None:
    """Refuse to remove what was never a store: a folder of something else, or a link.

    What a store left behind is removable, though nobody can open it: tables without the first.

    Raises:
        StoreNotFound: It is no store.
    """
    if root.is_being_deleted(name):
        return
    is_link = root.is_link(name)
    entries = [name] if is_link else [one for one in root.names(name) if one[0] != "."]
    others = [one for one in entries if not one.endswith(TABLE)]
    if others and META not in entries:
        raise StoreNotFound(
            f"{root.path(name)!r} is no store of a tenant, and nothing was deleted: there is "
            f"{others[0]!r}. Repair: check the id; delete other files yourself."
        )


def remove(root: Root, name: str) -> None:
    """Remove the store with that name and all that was moved aside of it.

    Raises:
        StoreError: It could not be removed whole; calling again goes on.
    """
    with store_errors(root.path(name), DELETE):
        if root.folder is None:
            root.at(name).remove(META)  # before the rest: without it nobody opens the store
            time.sleep(LINGER)
            root.at(name).remove("")
        else:
            _remove_folder(root.folder, name)


def _remove_folder(root: Path, name: str) -> None:
    _put_aside(root, name)
    for part in _parts(root, name):
        with suppress(FileNotFoundError):  # another process deletes it, too
            shutil.rmtree(part)
    time.sleep(LINGER)
    (root / name).unlink(missing_ok=True)
    _flush(root)


def _put_aside(root: Path, name: str) -> None:
    """Rename a store, and put a file in its place."""
    final = root / name
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError, NotADirectoryError):
            if final.is_dir():
                final.rename(root / f".{name}.{uuid.uuid4().hex}{ASIDE}")
        with suppress(FileExistsError):
            final.touch(exist_ok=False)
            final.write_text(NOTE, encoding="utf-8")
        if final.is_file():
            return
    raise StoreError(
        f"could not {DELETE} in {final}: other processes kept writing to it. Repair: stop them, "
        "and call again."
    )


def _parts(root: Path, name: str) -> list[Path]:
    """Return what was moved aside of a store, or restored and not moved to its place."""
    pattern = re.compile(re.escape(f".{name}") + PARTS)
    return [root / one for one in sorted(os.listdir(root)) if pattern.fullmatch(one)]  # noqa: PTH208 - names alone are wanted


def _flush(root: Path) -> None:
    """Make what was removed stay so after a power cut."""
    if os.name == "posix":
        descriptor = os.open(root, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
