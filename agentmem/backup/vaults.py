"""Where backups lie: a folder or bucket that many share, or an archive that holds one.

Both hold the same files under the same names. What differs is how files get in and out: an
archive is one stream, written once and read from its beginning.
"""

from __future__ import annotations

import os
import tarfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Protocol, cast

import pyarrow as pa
from filelock import FileLock
from typing_extensions import Self

from agentmem.backup.records import BACKUPS, FILES, MARKER, Content, Manifest, marker, stored_at
from agentmem.errors import InvalidInput, StoreError, StoreNotFound
from agentmem.storage.border import store_errors
from agentmem.storage.places import PART, Folder, Place, pieces, place_at

__all__ = ["WRITE", "Member", "Sink", "Source", "is_archive", "sink_at", "source_at"]

CODECS: Final[dict[str, Literal["zstd", "gzip"]]] = {".tar.zst": "zstd", ".tar.gz": "gzip"}
BLOCK: Final = 1 << 20
LOCK: Final = ".lock"
WRITE: Final = "write the backup"

Opener = Callable[[], IO[bytes]]


class Sink(Protocol):
    """Takes the files of one backup, and its manifest last."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and leave nothing half made."""

    @property
    def newest(self) -> Manifest | None:
        """The newest backup that is there already and can be read."""

    def lacks(self, content: Content) -> bool:
        """Whether a file of that content is not there yet."""

    def put(self, content: Content, source: Opener) -> None:
        """Store a file."""

    def finish(self, manifest: Manifest) -> None:
        """Store the manifest: from now on the backup is there."""

    def prune(self, keep: int) -> tuple[str, ...]:
        """Drop all but the newest backups, and return the ids of those dropped."""


class Member:
    """A file as it is read.

    Attributes:
        name: Its path within the place.
    """

    def __init__(self, name: str, source: Opener) -> None:
        self.name = name
        self._source = source

    @property
    def claimed(self) -> str | None:
        """The hash that its name promises; None where it is none of a store's files."""
        folder, _, name = self.name.rpartition("/")
        return name if folder.startswith(f"{FILES}/") and not name.startswith(".") else None

    @property
    def manifest(self) -> str | None:
        """The id that its name promises; None where it is no manifest."""
        folder, _, name = self.name.rpartition("/")
        mine = folder == BACKUPS and name.endswith(".json") and not name.startswith(".")
        return name.removesuffix(".json") if mine else None

    def pieces(self) -> Iterator[bytes]:
        """Give what it holds."""
        with self._source() as file:
            yield from pieces(file)


class Source(ABC):
    """What backups are read from.

    Attributes:
        uri: Its path or address.
    """

    uri: str

    @abstractmethod
    def members(self) -> Iterator[Member]:
        """Give every file, each to be read before the next is asked for."""

    @property
    @abstractmethod
    def total(self) -> int:
        """How many bytes there are to be read, at least."""


class _Vault(Source):
    """A folder or a prefix of a bucket that holds any number of backups."""

    def __init__(self, place: Place) -> None:
        self.uri = place.uri
        self._place = place
        self._there: dict[str, int] = {}
        self._manifests: dict[str, Manifest] = {}
        self._lock: AbstractContextManager[object] = nullcontext()

    def __enter__(self) -> Self:
        with store_errors(self.uri, WRITE):
            if MARKER not in self._place.names():
                self._begin()
            if isinstance(self._place, Folder):
                self._lock = FileLock(self._place.path / LOCK)
        self._lock.__enter__()
        with store_errors(self.uri, WRITE):
            self.look()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def _begin(self) -> None:
        others = [name for name in self._place.names() if name != LOCK]
        if others:
            raise InvalidInput(
                f"{self.uri!r} holds something else than backups: {', '.join(others[:5])}. Nothing "
                "was changed. Repair: pass a new or empty place, or that of earlier backups."
            )
        self._place.write(MARKER, [marker()])

    def look(self) -> None:
        """Take note of what is there."""
        for entry in self._place.files(FILES):
            self._there[entry.path.rpartition("/")[2]] = entry.size
        for name in self._place.names(BACKUPS):
            member = Member(f"{BACKUPS}/{name}", BytesIO)
            if member.manifest is not None:
                try:
                    found = Manifest.read(self._place.read(member.name), name=member.name)
                except StoreError:
                    continue  # verify names it; a further backup is the better for it
                self._manifests[found.id] = found

    @property
    def newest(self) -> Manifest | None:
        """The newest backup that can be read."""
        return self._manifests[max(self._manifests)] if self._manifests else None

    def lacks(self, content: Content) -> bool:
        """Whether a file of that content is not there, or is of another size."""
        return self._there.get(content.sha256) != content.size

    def put(self, content: Content, source: Opener) -> None:
        """Store a file."""
        with source() as file:
            self._place.write(stored_at(content.sha256), pieces(file))
        self._there[content.sha256] = content.size

    def finish(self, manifest: Manifest) -> None:
        """Store the manifest, after the files and their names are on the disk."""
        if isinstance(self._place, Folder):
            self._place.flush()
        self._place.write(f"{BACKUPS}/{manifest.id}.json", [manifest.written()])
        self._manifests[manifest.id] = manifest

    def prune(self, keep: int) -> tuple[str, ...]:
        """Drop all but the newest backups, and what only they needed.

        Files of a manifest that cannot be read are not known, so then no file is removed.
        """
        doomed = sorted(self._manifests)[:-keep]
        for one in doomed:
            self._place.remove(f"{BACKUPS}/{one}.json")
            del self._manifests[one]
        unread = {name.removesuffix(".json") for name in self._place.names(BACKUPS)}
        if unread <= set(self._manifests):
            needed = {sha for one in self._manifests.values() for sha in one.contents}
            for sha in sorted(self._there.keys() - needed):
                self._place.remove(stored_at(sha))
        return tuple(doomed)

    def members(self) -> Iterator[Member]:
        """Give every file."""
        if MARKER not in self._place.names():
            raise _no_backups(self.uri)
        for entry in (*self._place.files(BACKUPS), *self._place.files(FILES)):
            path = entry.path
            yield Member(path, partial(self._place.open, path))

    @property
    def total(self) -> int:
        """How many bytes there are."""
        return sum(entry.size for entry in self._place.files(FILES))


class _Writing:
    """An archive that is being written, beside its place until it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PART}")
        self._put: set[str] = set()

    def __enter__(self) -> Self:
        if self._path.exists():
            raise InvalidInput(
                f"there is a file {str(self._path)!r} already, and an archive holds one backup. "
                "Repair: pass another name, or remove the file."
            )
        with store_errors(str(self._path), WRITE):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pa.OSFile(str(self._part), "wb")
            self._packed = pa.CompressedOutputStream(self._file, _codec(self._path))
            self._tar = tarfile.open(fileobj=cast("IO[bytes]", self._packed), mode="w|")
            self._add(MARKER, BytesIO(marker()), size=len(marker()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._file.closed:  # it failed: what is there is of no use
            self._file.close()
        self._part.unlink(missing_ok=True)

    newest: Manifest | None = None

    def lacks(self, content: Content) -> bool:
        """Whether no file of that content was put into it."""
        return content.sha256 not in self._put

    def put(self, content: Content, source: Opener) -> None:
        """Store a file."""
        with source() as file:
            self._add(stored_at(content.sha256), file, size=content.size)
        self._put.add(content.sha256)

    def finish(self, manifest: Manifest) -> None:
        """Store the manifest, flush the archive to the disk, and move it to its place."""
        told = manifest.written()
        self._add(f"{BACKUPS}/{manifest.id}.json", BytesIO(told), size=len(told))
        self._tar.close()
        self._packed.close()
        self._file.close()
        with self._part.open("rb+") as whole:
            os.fsync(whole.fileno())
        self._part.replace(self._path)

    def prune(self, keep: int) -> tuple[str, ...]:
        """Drop nothing: an archive holds one backup."""
        del keep
        return ()

    def _add(self, name: str, file: IO[bytes], *, size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size = size
        self._tar.addfile(member, file)


class _Archive(Source):
    """An archive that holds one backup."""

    def __init__(self, path: Path) -> None:
        self.uri = str(path)
        self._path = path

    def members(self) -> Iterator[Member]:
        """Give every file."""
        if not self._path.is_file():
            raise _no_backups(self.uri)
        with (
            pa.OSFile(str(self._path), "rb") as file,
            pa.CompressedInputStream(file, _codec(self._path)) as packed,
            tarfile.open(fileobj=cast("IO[bytes]", packed), mode="r|") as tar,
        ):
            for one in tar:
                data = tar.extractfile(one) if one.isfile() else None
                if data is not None and one.name != MARKER:
                    yield Member(one.name, partial(_itself, data))
            while packed.read(BLOCK):  # to the end, where the checksum of a .gz is
                pass

    @property
    def total(self) -> int:
        """How many bytes there are, packed."""
        return self._path.stat().st_size if self._path.is_file() else 0


def is_archive(dest: str) -> bool:
    """Whether a name is that of an archive."""
    return "://" not in dest and dest.endswith(tuple(CODECS))


def sink_at(dest: str, *, options: Mapping[str, str]) -> Sink:
    """Return what takes a backup at a folder, archive or address."""
    if is_archive(dest):
        return _Writing(Path(dest).expanduser())
    place = place_at(dest, options=options)
    if isinstance(place, Folder) and place.path.exists() and not place.path.is_dir():
        raise InvalidInput(
            f"{dest!r} is a file, and its name is none of an archive. Repair: pass a folder, or a "
            "name that ends in .tar.zst or .tar.gz."
        )
    return _Vault(place)


def source_at(dest: str, *, options: Mapping[str, str]) -> Source:
    """Return what backups are read from at a folder, archive or address."""
    if is_archive(dest):
        return _Archive(Path(dest).expanduser())
    return _Vault(place_at(dest, options=options))


def _codec(path: Path) -> Literal["zstd", "gzip"]:
    return next(codec for suffix, codec in CODECS.items() if path.name.endswith(suffix))


def _no_backups(uri: str) -> StoreNotFound:
    return StoreNotFound(
        f"there are no backups at {uri!r}. Repair: check the path; `agentmem backup DEST` or "
        "memory.backup(dest) makes one."
    )


def _itself(file: IO[bytes]) -> IO[bytes]:
    return file  # a member of an archive is open already
