"""Restoring a backup: a new store out of the files of one manifest, checked before and after.

Everything is hashed before anything is written. The store is written beside its place, opened and
counted, and then moved there; in a bucket, where nothing can be moved, the table that makes it a
store is written last.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from agentmem.backup.checking import Found, look_through
from agentmem.backup.records import Manifest
from agentmem.backup.vaults import Member, Source, source_at
from agentmem.checks import location, shown
from agentmem.errors import InvalidInput, NotFound, StoreError
from agentmem.storage.border import store_errors
from agentmem.storage.description import Description
from agentmem.storage.freezing import FrozenTable, check_readable
from agentmem.storage.generations import Generations
from agentmem.storage.guard import Guard
from agentmem.storage.opening import Opened, open_store
from agentmem.storage.places import PART, Folder, Place, pieces, place_at
from agentmem.transfer import progress_bar
from agentmem.types.backup import RestoredBackup

__all__ = ["restore"]

WRITE: Final = "restore the backup"
META: Final = "meta.lance/"  # without it, a folder is no store


def restore(
    dest: str,
    store: str,
    *,
    overwrite: bool = False,
    backup: str | None = None,
    dry_run: bool = False,
    progress: bool = True,
    storage_options: Mapping[str, str] | None = None,
) -> RestoredBackup:
    """Make a store of a backup.

    Args:
        dest: Where the backups are: a folder, archive or address.
        store: The folder or address of the new store.
        overwrite: Whether to put it in the place of a store that is there; only of a folder.
        backup: Id of the backup; the newest if None.
        dry_run: Verify, say what would be written, and write nothing.
        progress: Whether to draw a progress bar on a terminal.
        storage_options: Credentials and the like of a bucket, as LanceDB takes them.

    Raises:
        StoreNotFound: There are no backups at that place.
        NotFound: There is no backup of that id.
        InvalidInput: Something else is where the store is to be.
        StoreError: Files of the backup are damaged or missing, and are named; or it could not be
            read, or the store not written.
    """
    options = storage_options or {}
    source = source_at(location(dest, what="dest"), options=options)
    place = place_at(location(store, what="store"), options=options)
    _check_free(place, overwrite=overwrite)
    found = look_through(source, progress=progress)
    manifest = _chosen(found, backup, uri=source.uri)
    if not dry_run:
        with store_errors(place.uri, WRITE):
            if isinstance(place, Folder):
                _beside(source, manifest, place=place, progress=progress)
            else:
                _written(source, manifest, place=place, progress=progress)
                _checked(place.uri, manifest, options=options)
    return RestoredBackup(
        id=manifest.id,
        store=place.uri,
        made_at=manifest.moment,
        rows=manifest.rows,
        files=len(manifest.files),
        bytes=manifest.size,
        dry_run=dry_run,
    )


def _check_free(place: Place, *, overwrite: bool) -> None:
    with store_errors(place.uri, WRITE):
        there = place.names() if not isinstance(place, Folder) or place.path.is_dir() else []
        is_file = isinstance(place, Folder) and place.path.exists() and not place.path.is_dir()
    if is_file:
        raise InvalidInput(f"{place.uri!r} is a file. Repair: pass a folder for the store.")
    if not there:
        return
    if not overwrite:
        raise InvalidInput(
            f"{place.uri!r} is not empty, and nothing was changed. Repair: pass a new or empty "
            "place, or overwrite=True (`--overwrite`) to put the backup in the place of a store."
        )
    if not isinstance(place, Folder):
        raise InvalidInput(
            f"{place.uri!r} is not empty, and in a bucket a store cannot be exchanged in one step. "
            "Nothing was changed. Repair: restore to another prefix."
        )
    if META.rstrip("/") not in there:
        raise InvalidInput(
            f"{place.uri!r} is no agentmem store, so it is not overwritten. Repair: pass another "
            "folder."
        )


def _chosen(found: Found, backup: str | None, *, uri: str) -> Manifest:
    ids = sorted(found.manifests)
    if backup is not None and backup not in found.manifests:
        told = ", ".join(ids[-5:]) or "none that can be read"
        raise NotFound(f"there is no backup {shown(backup)} at {uri!r}. There are: {told}.")
    manifest = found.manifests[backup or ids[-1]] if ids else None
    lacking = found.lacking(manifest) if manifest else found.damaged
    if manifest is None or lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""  # noqa: PLR2004 - shown
        earlier = [one for one in ids if not found.lacking(found.manifests[one])]
        sound = f"restore an earlier one that is sound, such as {earlier[-1]}" if earlier else None
        raise StoreError(
            f"the backup {'' if manifest is None else manifest.id + ' '}at {uri!r} cannot be "
            f"restored, and nothing was written: damaged or missing are "
            f"{', '.join(lacking[:5]) or 'all of its files'}{more}. Repair: "
            + (sound or "take another copy of it, or back up the store again")
            + "."
        )
    return manifest


def _beside(source: Source, manifest: Manifest, *, place: Folder, progress: bool) -> None:
    """Write the store beside its place, and move it there."""
    final = place.path.absolute()
    final.parent.mkdir(parents=True, exist_ok=True)
    part = Folder(final.with_name(f".{final.name}.{uuid.uuid4().hex}{PART}"))
    try:
        _written(source, manifest, place=part, progress=progress)
        _checked(part.uri, manifest, options={})
        part.flush()
        _exchange(part.path, final)
    finally:
        with suppress(OSError):
            part.remove("")


def _exchange(part: Path, final: Path) -> None:
    """Move a folder to its place, and what was there away."""
    aside = final.with_name(f".{final.name}.{uuid.uuid4().hex}.replaced{PART}")
    if final.exists():
        final.rename(aside)
    try:
        part.rename(final)
    except OSError:
        if aside.exists():
            aside.rename(final)
        raise
    Folder(aside).remove("")


def _written(source: Source, manifest: Manifest, *, place: Place, progress: bool) -> None:
    """Write the files of a backup; those that make a folder a store come last."""
    paths: dict[str, list[str]] = {}
    for path, content in manifest.files.items():
        paths.setdefault(content.sha256, []).append(path)
    last: dict[str, bytes] = {}
    bar = progress_bar(manifest.size, shown=progress, doing="restoring", unit="files")
    with bar as tell:
        done = files = 0
        for member in source.members():
            for path in paths.get(member.claimed or "", ())[:1]:
                if path.startswith(META):  # small: names and values
                    last[path] = b"".join(_hashed(member))
                else:
                    place.write(path, _hashed(member))
                done, files = done + manifest.files[path].size, files + 1
                tell(done, files)
        for first, *others in paths.values():
            for path in others:  # of the same content
                if first in last:
                    last[path] = last[first]
                else:
                    _copy(place, first, to=path)
        for path, data in last.items():
            place.write(path, [data])


def _copy(place: Place, path: str, *, to: str) -> None:
    with place.open(path) as file:
        place.write(to, pieces(file))


def _hashed(member: Member) -> Iterator[bytes]:
    """Give what a file holds, and refuse at its end what is not what was verified."""
    digest = hashlib.sha256()
    for piece in member.pieces():
        digest.update(piece)
        yield piece
    if digest.hexdigest() != member.claimed:
        raise StoreError(
            f"{member.name} of the backup changed while it was restored; nothing was put in "
            "place. Repair: look after the disk or the network, and restore again."
        )


def _checked(uri: str, manifest: Manifest, *, options: Mapping[str, str]) -> None:
    """Open the new store, count its rows, and let nobody wait for a migration of the old one."""
    opened = open_store(uri, passport=None, create=False, options=options, strict=False)
    for name, rows in manifest.rows.items():
        table = FrozenTable(name, manifest.versions[name], ())
        if check_readable(opened.db, table, uri=uri) != rows:
            raise StoreError(
                f"the table {name} was restored with other than {rows} rows, and was not put in "
                "place. Repair: restore again; if this comes back, report it as a bug."
            )
    _unseal(opened)


def _unseal(opened: Opened) -> None:
    def unsealed(now: Description) -> Description | None:
        return None if now.seal is None else replace(now, seal=None)

    Generations(opened, guard=Guard(opened.uri, read_only=False)).change(unsealed)
