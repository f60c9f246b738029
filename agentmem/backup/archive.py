"""`Archive`: what a store keeps of its past, and what is brought back or carried out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from agentmem.backup.making import Wanted, make_backup
from agentmem.checks import location, shown, utc
from agentmem.errors import InvalidInput, StoreError
from agentmem.storage.arrow import strings
from agentmem.storage.description import Generation
from agentmem.storage.generations import Spaces, Whole
from agentmem.storage.opening import Opened, has_table
from agentmem.storage.past import PastStore, kept_versions, past_at
from agentmem.storage.restoring import Forgotten, puts_back
from agentmem.storage.rows import revision
from agentmem.storage.schema import turns_from_table
from agentmem.storage.snapshots import Snapshots
from agentmem.storage.tombstones import TOMBSTONES, Tombstones
from agentmem.storage.turns import Store
from agentmem.transfer import forget_imports
from agentmem.types.backup import BackupReport, Restoration, Restored, Snapshot

__all__ = ["Archive", "Past", "open_archive"]

IMPORTS: Final = ".imports"  # as `Store.checkpoints` names it
SAFETY: Final = "before-restore-%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class Past:
    """A store as it was.

    Attributes:
        store: Its turns.
        moment: The moment that it shows: the present of whoever asks it.
    """

    store: PastStore
    moment: datetime


class Archive:
    """The snapshots, the past and the backups of one store. Safe for several threads.

    Args:
        whole: The store.
        forgotten: Says which rows of turns must not come back; those that have tombstones if None.
    """

    def __init__(self, whole: Whole, *, forgotten: Forgotten | None = None) -> None:
        self._whole = whole
        self._given = forgotten
        self._tombstones = Tombstones(whole.opened, guard=whole.guard)
        self._snapshots = Snapshots(whole.opened, guard=whole.guard)
        self._audit = whole.guard.audit

    def snapshot(self, tag: str, *, note: str | None) -> Snapshot:
        """Keep the store as it is now; see `Snapshots.make`."""
        with self._audit.entry("snapshot", detail={"tag": str(tag)}):
            return self._snapshots.make(tag, note=note)

    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots, the oldest first."""
        return self._snapshots.listed()

    def drop_snapshot(self, tag: str, *, dry_run: bool) -> Snapshot:
        """Remove a snapshot, and return what it was."""
        if not dry_run:
            self._whole.guard.check_writable("drop a snapshot")
        found = self._snapshots.get(tag)
        with self._audit.entry("drop_snapshot", detail={"tag": found.tag}, changes=not dry_run):
            if not dry_run:
                self._snapshots.drop(tag)
        return found

    def past(self, at: object) -> Past:
        """Return the store as it was.

        Args:
            at: A version of the table of turns in force, the tag of a snapshot, or an aware
                datetime.

        Raises:
            InvalidInput: It is none of these.
            NotFound: There is no snapshot of that tag.
            VersionGone: That is no longer kept.
            StoreError: The store could not be read.
        """
        if isinstance(at, str):
            return self._snapshot_as_past(at)
        if isinstance(at, bool) or not isinstance(at, (int, datetime)):
            raise InvalidInput(
                f"at={shown(at)}: pass a version (an int), the tag of a snapshot (text), or a "
                "moment (an aware datetime)."
            )
        wanted = utc(at, what="at") if isinstance(at, datetime) else at
        now = self._whole.opened.at(self._whole.generations.read().generation)
        return Past(*past_at(now, wanted, guard=self._whole.guard))

    def restore(self, tag: str, *, dry_run: bool, safety: bool) -> Restoration:
        """Put turns and tools back to what they are in a snapshot.

        Args:
            tag: Of the snapshot.
            dry_run: Say what would change, and change nothing.
            safety: Whether to make a snapshot of the present before.

        Raises:
            NotFound: There is no snapshot of that tag.
            StoreError: It is of another embedding space or schema, or a write failed.
        """
        if not dry_run:
            self._whole.guard.check_writable("restore a snapshot")
        snapshot = self._snapshots.get(tag)
        then = self._snapshots.open(snapshot)
        generation = self._whole.generations.read().generation
        self._check_space(snapshot, then, generation)
        if dry_run:
            opened = self._whole.opened.at(generation)
            told = [
                one.preview(forgotten=self._forgotten)
                for one in puts_back(opened, then, guard=self._whole.guard)
            ]
            return Restoration(tag=tag, holdings=tuple(told), dry_run=True, safety=None)
        done: list[Restored] | None = None
        with self._audit.entry("restore", detail={"tag": snapshot.tag}):
            before = self._safety(tag) if safety else None
            for generation in Spaces[Generation](self._whole.generations, make=_itself).writing():
                self._check_space(snapshot, then, generation)
                again = self._put_back(then, generation)
                done = again if done is None else done
        return Restoration(tag=tag, holdings=tuple(done or ()), dry_run=False, safety=before)

    def backup(self, wanted: Wanted) -> BackupReport:
        """Copy the store out of its place; see `making.make_backup`."""
        detail = {"dest": str(wanted.dest)}
        with self._audit.entry("backup", detail=detail, changes=not wanted.dry_run):
            return make_backup(self._whole, wanted)

    @property
    def _forgotten(self) -> Forgotten | None:
        """What says which turns must not come back; None where nothing was ever erased."""
        if self._given is None and has_table(self._whole.opened, TOMBSTONES):
            return _erased(self._tombstones)
        return self._given

    def _snapshot_as_past(self, tag: str) -> Past:
        snapshot = self._snapshots.get(tag)
        opened = self._snapshots.open(snapshot)
        newest = kept_versions(opened, guard=self._whole.guard)[-1].number
        moment = snapshot.made_at
        return Past(PastStore(opened, version=newest, moment=moment), moment)

    def _put_back(self, then: Opened, generation: Generation) -> list[Restored]:
        opened, guard = self._whole.opened.at(generation), self._whole.guard
        folder = opened.folder
        checkpoints = None if folder is None else folder / IMPORTS
        forget_imports(checkpoints)  # before: a kill may come right after
        rev = revision(datetime.now(timezone.utc))
        done = [
            one.run(forgotten=self._forgotten, rev=rev)
            for one in puts_back(opened, then, guard=guard)
        ]
        forget_imports(checkpoints)  # after: an import may have begun meanwhile
        return done

    def _safety(self, tag: str) -> str:
        name = datetime.now(timezone.utc).strftime(SAFETY)
        return self._snapshots.make(name, note=f"made before the restore of {tag!r}").tag

    def _check_space(self, snapshot: Snapshot, then: Opened, now: Generation) -> None:
        if then.passport != now.passport:
            raise StoreError(
                f"the snapshot {snapshot.tag!r} has vectors of {then.passport.model!r} (passport "
                f"{then.passport.id}), and the store is in the space of {now.passport.model!r} "
                f"(passport {now.passport.id}). Nothing was changed. Repair: roll the migration "
                f"back (`agentmem migrate rollback`), or open the snapshot itself, "
                f"Memory.open({snapshot.path!r}, read_only=True, on_mismatch='serve_old'), export "
                "its turns and import them into the store."
            )


@contextmanager
def open_archive(
    store: str, *, read_only: bool, storage_options: Mapping[str, str] | None = None
) -> Iterator[Archive]:
    """Open the archive of a store, for callers that use no vectors and need no model.

    Args:
        store: The folder or address.
        read_only: Refuse every write.
        storage_options: Credentials and the like of a bucket, as LanceDB takes them.

    Raises:
        StoreNotFound: There is no store.
        StoreError: It cannot be read.
    """
    opened = Store.open(
        location(store, what="store"),
        passport=None,
        create=False,
        read_only=read_only,
        storage_options=storage_options,
        strict=False,
    )
    try:
        yield Archive(opened.whole)
    finally:
        opened.close()


def _erased(tombstones: Tombstones) -> Forgotten:
    """Return what says of rows that their turns were erased."""

    def forgotten(rows: pa.Table) -> pa.Array[Any]:
        heads = rows.filter(pc.field("chunk") == 0)
        erased = tombstones.find(turns_from_table(heads))
        keys = [key for key, gone in zip(strings(heads["key"]), erased, strict=True) if gone]
        marked: Any = pc.is_in(rows["key"], value_set=pa.array(keys, pa.string()))
        return cast("pa.Array[Any]", marked)

    return forgotten


def _itself(generation: Generation) -> Generation:
    return generation
