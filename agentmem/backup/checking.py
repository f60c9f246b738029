"""Verifying backups: every byte is read and hashed, and what is damaged or missing is named."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from agentmem.backup.records import Manifest, hash_of, stored_at
from agentmem.backup.vaults import Member, Source, source_at
from agentmem.checks import location
from agentmem.errors import StoreError
from agentmem.storage.border import store_errors
from agentmem.transfer import Tell, progress_bar
from agentmem.types.backup import BackupCheck

__all__ = ["Found", "look_through", "verify"]

READ: Final = "read the backup"
# What reading a damaged archive raises, by what of it is damaged.
BROKEN: Final = (OSError, EOFError, ValueError, tarfile.TarError, pa.ArrowException)


@dataclass(slots=True)
class Found:
    """What was found in a place of backups.

    Attributes:
        manifests: Those that can be read, by id.
        sizes: Of the files that hold what their names promise, by hash.
        damaged: Names of the others, and of manifests that cannot be read.
        files: How many files were hashed.
        bytes: Their size.
    """

    manifests: dict[str, Manifest] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    def lacking(self, manifest: Manifest) -> list[str]:
        """Return what a backup needs that is not there, or is not what it was, named."""
        return [
            f"{stored_at(content.sha256)} ({path})"
            for path, content in manifest.files.items()
            if self.sizes.get(content.sha256) != content.size
        ]

    def check(self, place: str) -> BackupCheck:
        """Sum it up."""
        uses = _uses(self.manifests.values())
        damaged = [_named(name, uses) for name in self.damaged]
        seen = {name.rpartition("/")[2] for name in self.damaged}
        missing = {
            f"{stored_at(content.sha256)} ({path})": None
            for manifest in self.manifests.values()
            for path, content in manifest.files.items()
            if content.sha256 not in self.sizes and content.sha256 not in seen
        }
        if not (self.manifests or damaged):
            missing = {"every backup": None}
        return BackupCheck(
            place=place,
            backups=tuple(sorted(self.manifests)),
            files=self.files,
            bytes=self.bytes,
            damaged=tuple(damaged),
            missing=tuple(missing),
        )


def verify(
    dest: str, *, storage_options: Mapping[str, str] | None = None, progress: bool = True
) -> BackupCheck:
    """Read every byte of a place of backups, and name what is not what was written.

    Args:
        dest: The folder, archive or address.
        storage_options: Credentials and the like of a bucket, as LanceDB takes them.
        progress: Whether to draw a progress bar on a terminal.

    Returns:
        What was found; `is_sound` tells whether all of it can be restored.

    Raises:
        StoreNotFound: There are no backups at that place.
        StoreError: It could not be read.
    """
    source = source_at(location(dest, what="dest"), options=storage_options or {})
    return look_through(source, progress=progress).check(source.uri)


def look_through(source: Source, *, progress: bool, doing: str = "verifying") -> Found:
    """Read and hash everything.

    Raises:
        StoreNotFound: There are no backups at that place.
        StoreError: It could not be read.
    """
    found = Found()
    with store_errors(source.uri, READ):
        bar = progress_bar(source.total, shown=progress, doing=doing, unit="files")
    with store_errors(source.uri, READ), bar as tell:
        try:
            for member in source.members():
                _take(member, found, tell)
        except StoreError:
            raise
        except BROKEN as error:
            found.damaged.append(f"{source.uri} after {found.files} files: {error}")
    return found


def _take(member: Member, found: Found, tell: Tell) -> None:
    name = member.name
    if member.manifest is not None:
        data = b"".join(member.pieces())
        try:
            manifest = Manifest.read(data, name=name)
        except StoreError:
            found.damaged.append(name)
        else:
            found.manifests[manifest.id] = manifest
    elif member.claimed is not None:
        before = found.bytes
        sha256 = hash_of(_counted(member, found))
        found.files += 1
        if sha256 == member.claimed:
            found.sizes[sha256] = found.bytes - before
        else:
            found.damaged.append(name)
        tell(found.bytes, found.files)


def _counted(member: Member, found: Found) -> Iterable[bytes]:
    for piece in member.pieces():
        found.bytes += len(piece)
        yield piece


def _uses(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return which file of the store is held under a hash, by the path there."""
    return {
        stored_at(content.sha256): path
        for manifest in manifests
        for path, content in manifest.files.items()
    }


def _named(name: str, uses: Mapping[str, str]) -> str:
    return f"{name} ({uses[name]})" if name in uses else name
