"""`Snapshots`: complete stores in `.snapshots/<tag>/`, made of the live store's own files.

Locally by hard links, which take no room and survive the pruning of the live store; in a bucket
by copies, which the bucket makes. A snapshot is made beside its place, opened, counted, and moved
there; in a bucket, where nothing can be moved, it counts once its last file is written.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime, timezone
from typing import Any, Final

from agentmem import __version__
from agentmem.checks import shown
from agentmem.errors import ConcurrentWrite, InvalidInput, NotFound, StoreError
from agentmem.storage.border import store_errors
from agentmem.storage.description import DESCRIPTION, Description
from agentmem.storage.freezing import (
    Frozen,
    FrozenTable,
    check_readable,
    freeze_table,
    options_of,
    tables_in,
)
from agentmem.storage.guard import Guard
from agentmem.storage.opening import TURNS, Opened, open_meta, open_store
from agentmem.storage.places import PART, Folder, Place, place_at
from agentmem.types import Passport
from agentmem.types.backup import Snapshot

__all__ = ["FOLDER", "Snapshots", "check_tag"]

FOLDER: Final = ".snapshots"
"""Where the snapshots of a store lie, within it."""
INFO: Final = "agentmem-snapshot.json"
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)  # a name on every system
ATTEMPTS: Final = 3  # a file of the newest version is pruned after minutes, so once is a rarity
STALE: Final = 24 * 3600.0  # seconds; a snapshot is made within minutes, so its maker is dead
MAKE: Final = "make a snapshot"
READ: Final = "read the snapshots"


def check_tag(tag: object) -> str:
    """Return a tag, or refuse what is none: it becomes the name of a folder.

    Raises:
        InvalidInput: It is none.
    """
    if isinstance(tag, str) and TAG.fullmatch(tag):
        return tag
    raise InvalidInput(
        f"tag={shown(tag)}: a tag is a name of letters, digits, '-', '_' and '.', of at most 100 "
        "characters, that begins with none of '-' and '.'. Pass one such as 'before-import'."
    )


class Snapshots:
    """The snapshots of one store. Safe for several threads and processes.

    Args:
        opened: The store.
        guard: What may be done with it.
    """

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._opened = opened
        self._guard = guard
        self._options = options_of(opened.db)

    def make(self, tag: str, *, note: str | None = None) -> Snapshot:
        """Keep the store as it is now; others may go on writing.

        Args:
            tag: Its name.
            note: What to write down with it.

        Raises:
            InvalidInput: That is no tag, or there is a snapshot of that tag.
            StoreError: The store is read-only, or could not be read or written.
        """
        check_tag(tag)
        if not (note is None or isinstance(note, str)):
            raise InvalidInput(f"note={shown(note)}: pass text, or None.")
        self._guard.check_writable(MAKE)
        with store_errors(self._opened.uri, MAKE):
            place = self._place
            if tag in place.names(FOLDER) and self._is_whole(tag):
                raise _taken(tag)
            self.tidy()
            for _ in range(ATTEMPTS):
                made = self._made(place, tag, note=note)
                if self._erasures(self.open(made)) == self._erasures(self._opened):
                    return made
                self.drop(tag)  # something was erased meanwhile, which is still in it
        raise ConcurrentWrite(
            f"could not {MAKE} of {self._opened.uri}: things kept being erased meanwhile. Nothing "
            "was kept. Repair: call again."
        )

    def listed(self) -> list[Snapshot]:
        """Return the snapshots, the oldest first.

        Raises:
            StoreError: One of them cannot be read.
        """
        self._guard.check()
        with store_errors(self._opened.uri, READ):
            names = [one for one in self._place.names(FOLDER) if TAG.fullmatch(one)]
            found = [self._read(one) for one in names if self._is_whole(one)]
        return sorted(found, key=lambda one: (one.made_at, one.tag))

    def get(self, tag: str) -> Snapshot:
        """Return one snapshot.

        Raises:
            NotFound: There is none of that tag.
            InvalidInput: That is no tag.
            StoreError: It cannot be read.
        """
        self._guard.check()
        check_tag(tag)
        with store_errors(self._opened.uri, READ):
            if self._is_whole(tag):
                return self._read(tag)
        tags = ", ".join(repr(one.tag) for one in self.listed()[-5:])
        raise NotFound(
            f"there is no snapshot {tag!r} of {self._opened.uri}. "
            + (f"The newest are {tags}." if tags else "There is none at all.")
            + " Repair: memory.snapshots() lists them."
        )

    def drop(self, tag: str) -> None:
        """Remove a snapshot, whole or not; what the store or others share with it stays.

        Raises:
            NotFound: There is none of that tag.
            InvalidInput: That is no tag.
            StoreError: The store is read-only, or could not be written.
        """
        check_tag(tag)
        self._guard.check_writable("drop a snapshot")
        with store_errors(self._opened.uri, "drop a snapshot"):
            place, path = self._place, f"{FOLDER}/{tag}"
            if tag not in place.names(FOLDER):
                self.get(tag)
            if isinstance(place, Folder):  # in one step, so that half a snapshot is never found
                aside = f"{FOLDER}/.{tag}.{uuid.uuid4().hex}{PART}"
                place.path.joinpath(path).rename(place.path / aside)
                path = aside
            else:
                place.remove(f"{path}/{INFO}")
            place.remove(path)

    def open(self, snapshot: Snapshot) -> Opened:
        """Return the store that a snapshot is.

        Raises:
            StoreError: It cannot be opened.
        """
        return self._opened_at(snapshot.path)

    def freeze(self, into: str) -> Frozen:
        """Copy the newest version of every table to a folder below the store, by links.

        Raises:
            ConcurrentWrite: Files kept vanishing.
            StoreError: The copy could not be made, or read.
            OSError: Links cannot be made there.
        """
        place = self._place
        for _ in range(ATTEMPTS):
            place.remove(into)
            try:
                return self._freeze(place, into)
            except FileNotFoundError as error:
                if isinstance(error, StoreError):
                    raise
                gone = error
        raise ConcurrentWrite(
            f"could not copy {self._opened.uri}: files of it kept vanishing ({gone}). Repair: let "
            "nothing but agentmem delete files in it, and try again."
        )

    def tidy(self) -> None:
        """Remove what makers of snapshots and backups left behind that were killed long ago."""
        place = self._place
        if isinstance(place, Folder):
            folder = place.path / FOLDER
            for name in place.names(FOLDER):
                mine = name.startswith(".") and name.endswith(PART)
                if mine and time.time() - folder.joinpath(name).stat().st_mtime > STALE:
                    place.remove(f"{FOLDER}/{name}")

    def _freeze(self, place: Place, into: str) -> Frozen:
        tables = [one for name in tables_in(place) if (one := _shared(place, name, into))]
        copy = self._opened_at(place.below(into).uri)
        rows = {one.name: check_readable(copy.db, one, uri=copy.uri) for one in tables}
        if copy.table(TURNS) not in rows:  # of the generation in force: it was dropped meanwhile
            raise FileNotFoundError(copy.table(TURNS))
        return Frozen(tuple(tables), rows)

    def _made(self, place: Place, tag: str, *, note: str | None) -> Snapshot:
        """Make a snapshot beside its place where there is one, and move it there."""
        final = f"{FOLDER}/{tag}"
        local = isinstance(place, Folder)
        into = f"{FOLDER}/.{tag}.{uuid.uuid4().hex}{PART}" if local else final
        try:
            frozen = self.freeze(into)
            opened = self._opened_at(place.below(into).uri)
            size = sum(entry.size for entry in place.files(into))
            snapshot = Snapshot(
                tag=tag,
                made_at=datetime.now(timezone.utc),
                note=note,
                path=place.below(final).uri,
                generation=opened.generation.number,
                passport_id=opened.passport.id,
                versions=frozen.versions,
                rows=frozen.rows,
                bytes=size,
                agentmem=__version__,
            )
            place.write(f"{into}/{INFO}", [_written(snapshot)])
            if isinstance(place, Folder):
                _move(place, into, to=final)
        except BaseException:
            place.remove(into)
            raise
        return snapshot

    @property
    def _place(self) -> Place:
        return place_at(self._opened.uri, options=self._options)

    def _opened_at(self, uri: str) -> Opened:
        trusted: Passport | None = None
        return open_store(uri, passport=trusted, create=False, options=self._options, strict=False)

    def _erasures(self, opened: Opened) -> int:
        found = open_meta(opened, guard=self._guard).get(DESCRIPTION)
        return 0 if found is None else Description.from_json(found.value).erasures

    def _is_whole(self, tag: str) -> bool:
        return INFO in self._place.names(f"{FOLDER}/{tag}")

    def _read(self, tag: str) -> Snapshot:
        place = self._place.below(f"{FOLDER}/{tag}")
        try:
            return _snapshot(json.loads(place.read(INFO)), tag=tag, path=place.uri)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the description of the snapshot {tag!r}, {place.uri}/{INFO}, cannot be read "
                f"({error}). Repair: memory.drop_snapshot({tag!r}), or restore the file from a "
                "backup."
            ) from error


def _shared(place: Place, name: str, into: str) -> FrozenTable | None:
    """Give the files of the newest version of a table a second path, below another folder."""
    try:
        return _share(place, name, into)
    except FileNotFoundError:  # pruned at this moment, or the table was dropped
        place.remove(f"{into}/{name}.lance")
        return _share(place, name, into)


def _share(place: Place, name: str, into: str) -> FrozenTable | None:
    table = freeze_table(place, name)
    for path in table.paths if table else ():
        place.share(path, to=f"{into}/{path}")
    return table


def _move(place: Folder, path: str, *, to: str) -> None:
    """Move a folder to its final name, unless there is another one by now."""
    place.below(path).flush()
    final = place.path / to
    try:
        place.path.joinpath(path).rename(final)
    except OSError as error:
        if final.exists():
            raise _taken(final.name) from error
        raise


def _taken(tag: str) -> InvalidInput:
    return InvalidInput(
        f"there is a snapshot {tag!r} already, and it stays as it is. Repair: pass another tag, or "
        f"drop it first: memory.drop_snapshot({tag!r})."
    )


def _written(snapshot: Snapshot) -> bytes:
    told = {**asdict(snapshot), "made_at": snapshot.made_at.isoformat()}
    del told["path"]  # the store may be moved
    return json.dumps(told, indent=2).encode()


def _snapshot(told: Mapping[str, Any], *, tag: str, path: str) -> Snapshot:
    known: dict[str, Any] = {one.name: told.get(one.name) for one in fields(Snapshot)}
    made_at = datetime.fromisoformat(told["made_at"])
    return Snapshot(**{**known, "tag": tag, "path": path, "made_at": made_at})
