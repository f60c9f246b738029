"""The words of snapshots and backups: what was kept of a store, checked, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agentmem.types.migration import Held

__all__ = [
    "BackupCheck",
    "BackupReport",
    "Restoration",
    "Restored",
    "RestoredBackup",
    "Snapshot",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A store as it was at one moment, kept under a name.

    Attributes:
        tag: Its name.
        made_at: When (UTC): everything that was acknowledged before it began is in it.
        note: What whoever made it wrote down.
        path: The folder or address of the store that it is.
        generation: Number of the generation in force.
        passport_id: Of the space of its vectors.
        versions: Version of each table.
        rows: Rows of each table.
        bytes: Size of its files, which it shares with the store as long as that keeps them.
        agentmem: Version that made it.
    """

    tag: str
    made_at: datetime
    note: str | None
    path: str
    generation: int
    passport_id: str
    versions: Mapping[str, int]
    rows: Mapping[str, int]
    bytes: int
    agentmem: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore changed, or would change, of one holding.

    Attributes:
        held: Turns or tools.
        added: How many came back.
        changed: How many are again what they were.
        removed: How many went, because the snapshot has none of them.
        forgotten: How many the snapshot has and the restore left out: they were erased since.
    """

    held: Held
    added: int = 0
    changed: int = 0
    removed: int = 0
    forgotten: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What a restore did, or would do.

    Attributes:
        tag: Of the snapshot.
        holdings: What it changed of each holding.
        dry_run: Whether nothing was changed.
        safety: Tag of the snapshot that was made before; None where none was.
    """

    tag: str
    holdings: tuple[Restored, ...]
    dry_run: bool
    safety: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """What a backup wrote.

    Attributes:
        id: Its name within its place, by which it is restored.
        place: The folder, archive or address.
        made_at: When (UTC); everything that was acknowledged before it began is in it.
        versions: Version of each table.
        rows: Rows of each table.
        files: How many files it consists of.
        bytes: Their size.
        files_copied: How many of them were not there from earlier backups.
        bytes_copied: Their size.
        dropped: Ids of earlier backups that were dropped, because fewer were to be kept.
        dry_run: Whether nothing was written.
    """

    id: str
    place: str
    made_at: datetime
    versions: Mapping[str, int]
    rows: Mapping[str, int]
    files: int
    bytes: int
    files_copied: int
    bytes_copied: int
    dropped: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupCheck:
    """What a look at every byte of a place of backups found.

    Attributes:
        place: The folder, archive or address.
        backups: Ids of those that are there and can be read, the oldest first.
        files: How many files were hashed.
        bytes: Their size.
        damaged: What is there and is not what was written: manifests, and files of the store.
        missing: Files of the store that are not there.
    """

    place: str
    backups: tuple[str, ...]
    files: int
    bytes: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether every backup can be restored."""
        return not (self.damaged or self.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredBackup:
    """What was restored from a backup, or would be.

    Attributes:
        id: Of the backup.
        store: The folder or address that it was restored to.
        made_at: When the backup was made (UTC).
        rows: Rows of each table.
        files: How many files were written.
        bytes: Their size.
        dry_run: Whether nothing was written.
    """

    id: str
    store: str
    made_at: datetime
    rows: Mapping[str, int]
    files: int
    bytes: int
    dry_run: bool = False
