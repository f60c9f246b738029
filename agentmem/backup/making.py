"""Making a backup: a store frozen, its files hashed, and those that are new copied out.

Locally the frozen files are held by links while they are copied, so that no pruning takes them
away. From a bucket, or a folder that cannot be written to, they are copied from where they are,
and what vanishes meanwhile makes the backup begin again; what was copied by then is there.
"""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import IO, Final

from typing_extensions import Self

from agentmem import __version__
from agentmem.backup.records import Content, Manifest, hash_of
from agentmem.backup.vaults import WRITE, Sink, is_archive, sink_at
from agentmem.checks import location, shown
from agentmem.errors import ConcurrentWrite, InvalidInput
from agentmem.storage.border import store_errors
from agentmem.storage.description import DESCRIPTION
from agentmem.storage.freezing import Frozen, freeze_table, options_of, rows_of, tables_in
from agentmem.storage.generations import Whole
from agentmem.storage.opening import Opened
from agentmem.storage.places import PART, Folder, Place, pieces, place_at
from agentmem.storage.snapshots import FOLDER, Snapshots
from agentmem.transfer import Tell, progress_bar
from agentmem.types.backup import BackupReport

__all__ = ["Wanted", "make_backup"]

ATTEMPTS: Final = (
    3  # of a copy from which files vanish: pruning takes those of versions minutes old
)
READ: Final = "read the store"
DENIED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
# Lance gives these files names that it never uses again, and never changes them. The names of
# manifests are numbers, which another store has as well.
NAMED_ONCE: Final = ("data", "_deletions", "_indices")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a backup is to be.

    Attributes:
        dest: The folder, archive or address.
        incremental: Whether files that an earlier backup holds by name are taken as read.
        keep: How many backups the place keeps; None for all.
        dry_run: Whether to say what would be copied, and copy nothing.
        progress: Whether to draw a progress bar on a terminal.
    """

    dest: str
    incremental: bool = True
    keep: int | None = None
    dry_run: bool = False
    progress: bool = True


@dataclass(slots=True)
class _Copied:
    files: int = 0
    bytes: int = 0


def make_backup(whole: Whole, wanted: Wanted) -> BackupReport:
    """Copy a store out of its place while others write to it.

    Raises:
        InvalidInput: The destination or an argument cannot be used.
        StoreError: The store could not be read, or the backup not written.
    """
    _check(whole, wanted)
    whole.guard.check()
    options = options_of(whole.opened.db)
    for left in reversed(range(ATTEMPTS)):
        try:
            with _frozen(whole) as (place, frozen):
                return _copied(whole, wanted, place=place, frozen=frozen, options=options)
        except ConcurrentWrite:
            if not left:
                raise
    raise _vanished(whole.opened.uri)


def _check(whole: Whole, wanted: Wanted) -> None:
    dest = location(wanted.dest, what="dest")
    keep = wanted.keep
    if keep is not None and (type(keep) is not int or keep < 1):
        raise InvalidInput(f"keep={shown(keep)}: pass how many backups to keep, 1 or more.")
    if keep is not None and is_archive(dest):
        raise InvalidInput(
            f"keep={keep}: {dest!r} is an archive, which holds one backup. Repair: leave keep out, "
            "or back up to a folder."
        )
    folder = whole.opened.folder
    if folder is not None and "://" not in dest:
        place = Path(dest).expanduser().resolve()
        if folder.resolve() in (place, *place.parents):
            raise InvalidInput(
                f"dest={dest!r} lies in the store itself, and would be lost with it. Repair: pass "
                "a place outside of it; memory.snapshot(tag) keeps a state within."
            )


@contextmanager
def _frozen(whole: Whole) -> Iterator[tuple[Place, Frozen]]:
    """Give a place whose files stay, and what of them is the store."""
    opened = whole.opened
    place = place_at(opened.uri, options=options_of(opened.db))
    with store_errors(opened.uri, READ):
        held = _held(whole, place)
        if held is None:
            yield place, _as_it_is(opened, place)
            return
    path, frozen = held
    try:
        yield place.below(path), frozen
    finally:
        with suppress(OSError):
            place.remove(path)


def _held(whole: Whole, place: Place) -> tuple[str, Frozen] | None:
    """Link the store's files aside, where that can be done."""
    if not isinstance(place, Folder) or whole.guard.read_only:
        return None
    path = f"{FOLDER}/.backup.{uuid.uuid4().hex}{PART}"
    snapshots = Snapshots(whole.opened, guard=whole.guard)
    try:
        snapshots.tidy()
        return path, snapshots.freeze(path)
    except OSError as error:
        with suppress(OSError):
            place.remove(path)
        if error.errno in DENIED:
            return None
        raise


def _as_it_is(opened: Opened, place: Place) -> Frozen:
    try:
        tables = tuple(one for name in tables_in(place) if (one := freeze_table(place, name)))
    except FileNotFoundError as error:
        raise _vanished(opened.uri) from error
    rows = {one.name: rows_of(opened.db, one, uri=opened.uri) for one in tables}
    return Frozen(tables, rows)


def _copied(
    whole: Whole, wanted: Wanted, *, place: Place, frozen: Frozen, options: dict[str, str]
) -> BackupReport:
    sizes = {entry.path: entry.size for entry in place.files()}
    paths = [path for table in frozen.tables for path in table.paths]
    if missing := [path for path in paths if path not in sizes]:
        raise _vanished(place.uri, missing[0])
    total = sum(sizes[path] for path in paths)
    sink = sink_at(wanted.dest, options=options)
    bar = progress_bar(total, shown=wanted.progress, doing="backing up", unit="files")
    if wanted.dry_run:
        sink = _Seen(sink)
    with sink as into, bar as tell, store_errors(wanted.dest, WRITE):
        known = into.newest if wanted.incremental else None
        copied = _Copied()
        files = _put(into, place, paths=paths, sizes=sizes, known=known, copied=copied, tell=tell)
        manifest = _manifest(whole, frozen, files)
        into.finish(manifest)
        dropped = () if wanted.keep is None else into.prune(wanted.keep)
    return BackupReport(
        id=manifest.id,
        place=wanted.dest,
        made_at=manifest.moment,
        versions=manifest.versions,
        rows=manifest.rows,
        files=len(files),
        bytes=manifest.size,
        files_copied=copied.files,
        bytes_copied=copied.bytes,
        dropped=dropped,
        dry_run=wanted.dry_run,
    )


def _put(
    into: Sink,
    place: Place,
    *,
    paths: list[str],
    sizes: dict[str, int],
    known: Manifest | None,
    copied: _Copied,
    tell: Tell,
) -> dict[str, Content]:
    """Put the files that are not there yet, and return what each of them holds."""
    files: dict[str, Content] = {}
    done = 0
    for path in paths:
        earlier = known.files.get(path) if known and path.split("/")[1] in NAMED_ONCE else None
        content = earlier if earlier and earlier.size == sizes[path] else None
        if content is None or into.lacks(content):
            content = _content(place, path)
        if into.lacks(content):
            into.put(content, partial(_opened, place, path))
            copied.files += 1
            copied.bytes += content.size
        files[path] = content
        done += content.size
        tell(done, len(files))
    return files


def _content(place: Place, path: str) -> Content:
    size = 0

    def measured() -> Iterator[bytes]:
        nonlocal size
        with _opened(place, path) as file:
            for piece in pieces(file):
                size += len(piece)
                yield piece

    sha256 = hash_of(measured())
    return Content(size, sha256)


def _manifest(whole: Whole, frozen: Frozen, files: dict[str, Content]) -> Manifest:
    now = datetime.now(timezone.utc)
    found = whole.meta.get(DESCRIPTION)
    return Manifest(
        id=now.strftime("%Y%m%dT%H%M%S.%fZ"),
        made_at=now.isoformat(),
        agentmem=__version__,
        lancedb=version("lancedb"),
        description=json.loads(json.dumps({} if found is None else found.value)),
        versions=frozen.versions,
        rows=frozen.rows,
        files=files,
    )


class _Seen:
    """A sink that is looked at, and takes nothing."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._put: set[str] = set()

    def __enter__(self) -> Self:
        look = getattr(self._sink, "look", None)
        if look is not None:
            look()
        return self

    def __exit__(self, *_: object) -> None:
        return

    @property
    def newest(self) -> Manifest | None:
        """The newest backup that is there."""
        return self._sink.newest

    def lacks(self, content: Content) -> bool:
        """Whether a file of that content would have to be copied."""
        return content.sha256 not in self._put and self._sink.lacks(content)

    def put(self, content: Content, source: object) -> None:
        """Take note that it would be."""
        if source is not None:
            self._put.add(content.sha256)

    def finish(self, manifest: Manifest) -> None:
        """Store nothing."""

    def prune(self, keep: int) -> tuple[str, ...]:
        """Drop nothing."""
        del keep
        return ()


def _opened(place: Place, path: str) -> IO[bytes]:
    try:
        return place.open(path)
    except FileNotFoundError as error:
        raise _vanished(place.uri, path) from error


def _vanished(uri: str, path: str = "pruned meanwhile") -> ConcurrentWrite:
    return ConcurrentWrite(
        f"could not back up {uri}: files of it kept vanishing ({path}). Repair: let nothing but "
        "agentmem delete files in it, and try again."
    )
