"""Places of files: a folder of this machine or a prefix of a bucket, behind one small interface.

What snapshots and backups are made in, and of. Paths are relative, with slashes; a file appears
whole or not at all. Knows nothing of what the files hold.
"""

from __future__ import annotations

import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast

from pyarrow import fs

from agentmem.errors import InvalidInput
from agentmem.storage.census import below

__all__ = ["PART", "Bucket", "Entry", "Folder", "Place", "pieces", "place_at"]

PART: Final = ".part"
"""How the name of a file or folder ends that is not whole yet."""
PIECE: Final = 1 << 20  # bytes copied at once; larger is no faster


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a place."""

    path: str
    size: int


class Place(ABC):
    """A folder or a prefix of a bucket.

    Attributes:
        uri: Its path or address.
    """

    uri: str

    @abstractmethod
    def below(self, path: str) -> Place:
        """Return the place at a path within this one."""

    @abstractmethod
    def names(self, path: str = "") -> list[str]:
        """Return what lies right below a path, in order; nothing where there is no such folder."""

    @abstractmethod
    def files(self, path: str = "") -> list[Entry]:
        """Return all files below a path, in order; nothing where there is no such folder."""

    @abstractmethod
    def open(self, path: str) -> IO[bytes]:
        """Open a file to be read; raises FileNotFoundError where there is none."""

    @abstractmethod
    def write(self, path: str, data: Iterable[bytes]) -> None:
        """Write a file, whole or not at all; in a folder it survives a power cut."""

    @abstractmethod
    def share(self, path: str, *, to: str) -> None:
        """Give a file that never changes a second path: by a link, or a copy made by the bucket."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it; nothing where there is none."""

    def read(self, path: str) -> bytes:
        """Return what a file holds; raises FileNotFoundError where there is none."""
        with self.open(path) as file:
            return file.read()


class Folder(Place):
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = str(path)

    def below(self, path: str) -> Folder:
        """Return the folder at a path within this one."""
        return Folder(self._at(path))

    def names(self, path: str = "") -> list[str]:
        """Return what lies right below a path, in order."""
        with suppress(FileNotFoundError):
            return sorted(os.listdir(self._at(path)))  # noqa: PTH208 - names alone are wanted
        return []

    def files(self, path: str = "") -> list[Entry]:
        """Return all files below a path, in order."""
        found = []
        for one in sorted(below(self._at(path))):
            with suppress(FileNotFoundError):  # vanished since it was listed
                if one.is_file():
                    found.append(Entry(one.relative_to(self.path).as_posix(), one.stat().st_size))
        return found

    def open(self, path: str) -> IO[bytes]:
        """Open a file to be read."""
        return self._at(path).open("rb")

    def write(self, path: str, data: Iterable[bytes]) -> None:
        """Write a file beside its place, flush it to the disk, and move it there."""
        final = self._at(path)
        final.parent.mkdir(parents=True, exist_ok=True)
        part = final.with_name(f".{final.name}.{uuid.uuid4().hex}{PART}")
        try:
            with part.open("wb") as file:
                for piece in data:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            part.replace(final)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def share(self, path: str, *, to: str) -> None:
        """Link a file, or copy it where the file system knows no links."""
        final = self._at(to)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._at(path), final)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(self._at(path), final)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it."""
        doomed = self._at(path)
        if doomed.is_dir() and not doomed.is_symlink():
            shutil.rmtree(doomed)
        else:
            doomed.unlink(missing_ok=True)

    def flush(self) -> None:
        """Make the names of this folder and of those in it survive a power cut."""
        if os.name == "posix":
            for one in (self.path, *(path for path in below(self.path) if path.is_dir())):
                descriptor = os.open(one, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _at(self, path: str) -> Path:
        return self.path.joinpath(*PurePosixPath(path).parts)


class Bucket(Place):
    """A prefix of a bucket, such as `s3://bucket/path`."""

    def __init__(self, uri: str, *, files: fs.FileSystem, root: str) -> None:
        self.uri = uri
        self._files = files
        self._root = root

    def below(self, path: str) -> Bucket:
        """Return the place at a path within this one."""
        return Bucket(f"{self.uri}/{path}", files=self._files, root=self._at(path))

    def names(self, path: str = "") -> list[str]:
        """Return what lies right below a path, in order."""
        return sorted(one.base_name for one in self._listed(path, recursive=False))

    def files(self, path: str = "") -> list[Entry]:
        """Return all objects below a path, in order."""
        start = len(self._root) + 1
        found = [one for one in self._listed(path, recursive=True) if one.is_file]
        return sorted(
            (Entry(one.path[start:], int(one.size or 0)) for one in found), key=lambda one: one.path
        )

    def open(self, path: str) -> IO[bytes]:
        """Open an object to be read."""
        return cast("IO[bytes]", self._files.open_input_stream(self._at(path)))

    def write(self, path: str, data: Iterable[bytes]) -> None:
        """Write an object; it appears when it is complete."""
        stream = self._files.open_output_stream(self._at(path))
        for piece in data:
            stream.write(piece)
        stream.close()  # not after a failure: closing would make half an object appear

    def share(self, path: str, *, to: str) -> None:
        """Let the bucket copy an object."""
        try:
            self._files.copy_file(self._at(path), self._at(to))
        except OSError as error:
            if self._files.get_file_info(self._at(path)).is_file:
                raise
            raise FileNotFoundError(self._at(path)) from error

    def remove(self, path: str) -> None:
        """Remove an object, and all below it."""
        found = self._files.get_file_info(self._at(path))
        if found.is_file:
            self._files.delete_file(self._at(path))
        elif found.type is fs.FileType.Directory:
            self._files.delete_dir(self._at(path))

    def _listed(self, path: str, *, recursive: bool) -> list[fs.FileInfo]:
        chosen = fs.FileSelector(self._at(path), allow_not_found=True, recursive=recursive)
        return self._files.get_file_info(chosen)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def place_at(uri: str, *, options: Mapping[str, str]) -> Place:
    """Return the place at a folder or an address.

    Args:
        uri: A path, or an address such as `s3://bucket/path`.
        options: As LanceDB takes them; what they leave open comes from the environment.

    Raises:
        InvalidInput: There is no such kind of address.
    """
    if "://" not in uri:
        return Folder(Path(uri).expanduser())
    scheme, _, path = uri.partition("://")
    root = path.rstrip("/")
    if scheme == "s3":
        return Bucket(uri.rstrip("/"), files=_s3(options), root=root)
    try:
        files, root = fs.FileSystem.from_uri(uri.rstrip("/"))
    except (ValueError, OSError) as error:
        raise InvalidInput(
            f"{uri!r} is no place for files ({error}). Pass a folder, or an address that begins "
            "with s3:// or gs://."
        ) from error
    return Bucket(uri.rstrip("/"), files=files, root=root)


def _s3(options: Mapping[str, str]) -> fs.FileSystem:
    """Return the client of S3 that LanceDB's options and the environment describe."""

    def told(name: str) -> str | None:
        found = options.get(f"aws_{name}", options.get(name))
        return found or os.environ.get(f"AWS_{name.upper()}") or None

    endpoint = told("endpoint") or told("endpoint_url")
    given: dict[str, Any] = {
        "access_key": told("access_key_id"),
        "secret_key": told("secret_access_key"),
        "session_token": told("session_token"),
        "region": told("region") or told("default_region"),
        "endpoint_override": endpoint,
        "scheme": "http" if (endpoint or "").startswith("http://") else None,
    }
    return fs.S3FileSystem(**{name: value for name, value in given.items() if value is not None})


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Give a file piece by piece."""
    while piece := file.read(PIECE):
        yield piece
