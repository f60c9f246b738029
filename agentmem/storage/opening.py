"""How a store is found, or made: what must be there before a turn can be read or written.

A store is a LanceDB database with a table `meta` whose value `store` describes it. Creators may
race: the first description put there wins, and every creator ends up with that one store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeAlias

import lancedb
import pyarrow as pa
from lancedb.db import DBConnection
from lancedb.table import Table

from agentmem.analysis import ANALYSIS
from agentmem.background import settle_at_exit
from agentmem.errors import EmbedderMismatch, SchemaTooNew, StoreError, StoreNotFound
from agentmem.storage.border import store_errors
from agentmem.storage.description import DESCRIPTION, Description, Generation
from agentmem.storage.guard import Guard
from agentmem.storage.meta import META_SCHEMA, Meta
from agentmem.storage.schema import SCHEMA_VERSION, turns_schema
from agentmem.types import Passport

__all__ = [
    "TURNS",
    "Opened",
    "PassportSource",
    "has_table",
    "open_meta",
    "open_or_make",
    "open_store",
]

PassportSource: TypeAlias = "Passport | Callable[[], Passport] | None"

META: Final = "meta"
TURNS: Final = "turns"
ALWAYS_FRESH: Final = timedelta(0)  # a check of the version costs 0.1 ms; without, writes go unseen
OPTIONS: Final = {"new_table_enable_stable_row_ids": "true"}  # a row id survives compaction
METADATA_CACHE: Final = 32 * 2**20  # bytes: LanceDB's own gigabyte fills by 0.2 MB a commit
INDEX_CACHE: Final = 256 * 2**20  # bytes: LanceDB's own is six gigabytes
NAMED_ENTRIES: Final = 5  # of a folder that is no store, enough to recognise it


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that is there and fits.

    Attributes:
        db: The connection.
        uri: The folder or address, as it was given.
        folder: The folder, where it is a local one.
        generation: The one in force when it was opened, or another one of the same store.
        schema_version: Of the store, at most ours.
    """

    db: DBConnection
    uri: str
    folder: Path | None
    generation: Generation
    schema_version: int

    @property
    def passport(self) -> Passport:
        """Identity of the vectors of its generation."""
        return self.generation.passport

    def folder_of(self, table: str) -> Path | None:
        """Return where the files of a table are, if that is a folder."""
        return None if self.folder is None else self.folder / f"{table}.lance"

    def table(self, holding: str) -> str:
        """Return the name of a table of vectors of its generation, such as that of "turns"."""
        return self.generation.table(holding)

    def at(self, generation: Generation) -> Opened:
        """Return the same store in another generation."""
        return replace(self, generation=generation)


def open_store(
    uri: str,
    *,
    passport: PassportSource,
    create: bool,
    options: Mapping[str, str],
    strict: bool = True,
) -> Opened:
    """Open the store at a folder or address, or make one where there is nothing.

    Args:
        uri: The folder or address.
        passport: Of the embedder to be used, asked for only when the place is known to be
            usable; None trusts what is stored.
        create: Whether to make a store where there is none.
        options: For LanceDB's object stores.
        strict: Whether to refuse a store in another space; else the caller finds its embedder.

    Raises:
        StoreNotFound: Something else is there, or nothing and `create` is False.
        SchemaTooNew: It was written by a newer agentmem.
        EmbedderMismatch: It was written by another embedder.
        StoreError: It cannot be read, or made.
    """
    folder = None if "://" in uri else Path(uri).expanduser()
    if folder is not None:
        _check_folder(folder, create=create)
    settle_at_exit()
    with store_errors(uri, "open the store"):
        db = lancedb.connect(
            str(folder or uri),
            read_consistency_interval=ALWAYS_FRESH,
            storage_options={**options, **OPTIONS},
            session=lancedb.Session(
                index_cache_size_bytes=INDEX_CACHE, metadata_cache_size_bytes=METADATA_CACHE
            ),
        )
        meta = _find_meta(db, uri=uri)
        description = _describe(meta) if meta is not None else None
        _check_schema(description)
        if not (create or _is_ready(description)):
            raise _not_a_store(uri, [])
        given = passport() if callable(passport) else passport
        if description is None or not _is_ready(description):
            description = _create(db, uri=uri, given=given)
    _check_schema(description)
    told = Description.from_json(description)
    stored = told.generation.passport
    if strict and given is not None and given != stored:
        raise EmbedderMismatch(stored=stored, given=given)
    return Opened(db, uri, folder, told.generation, schema_version=told.schema_version)


def open_meta(opened: Opened, *, guard: Guard) -> Meta:
    """Return the named values of a store, under a guard."""
    with store_errors(opened.uri, "open the store"):
        return Meta(
            opened.db.open_table(META), uri=opened.uri, guard=guard, folder=opened.folder_of(META)
        )


def has_table(opened: Opened, name: str) -> bool:
    """Return whether the store holds a table of that name, made by whichever process."""
    if opened.folder is not None and not (opened.folder / f"{name}.lance").exists():
        return False  # a hundred times faster than to ask, and asked for at every selection
    return _open(opened.db, name) is not None  # a folder alone may be a table half made


def _describe(meta: Meta) -> dict[str, Any] | None:
    found = meta.get(DESCRIPTION)
    return None if found is None else dict(found.value)


def _is_ready(description: Mapping[str, Any] | None) -> bool:
    """Whether the creation was not cut short after the description."""
    return description is not None and bool(description["ready"])


def _check_folder(folder: Path, *, create: bool) -> None:
    """Refuse a file, a folder of something else, and nothing where nothing may be made."""
    with store_errors(str(folder), "look at the folder"):
        entries = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else None
        # asked last: another creator may have made the folder since
        is_file = entries is None and folder.exists() and not folder.is_dir()
    if is_file:
        raise StoreError(
            f"{str(folder)!r} is a file, and a store is a folder. Repair: pass another path; to "
            "load a file of turns, open a store and call import_turns(path)."
        )
    if entries is None and not create:
        raise StoreNotFound(
            f"there is no store at {str(folder)!r}: nothing exists there. Repair: check the path, "
            "or pass create=True to make one."
        )
    visible = [name for name in entries or () if not name.startswith(".")]
    if visible and f"{META}.lance" not in visible:
        raise _not_a_store(str(folder), visible)


def _not_a_store(uri: str, entries: list[str]) -> StoreNotFound:
    if not entries:
        return StoreNotFound(
            f"there is no store at {uri!r}: it is empty, or its creation was cut short. Repair: "
            "check the path, or pass create=True to make one."
        )
    more = f" and {len(entries) - NAMED_ENTRIES} more" if len(entries) > NAMED_ENTRIES else ""
    return StoreNotFound(
        f"{uri!r} is not an agentmem store: it holds {', '.join(entries[:NAMED_ENTRIES])}{more}. "
        "Nothing was changed. Repair: pass the store's own folder, or a new or empty one."
    )


def _find_meta(db: DBConnection, *, uri: str) -> Meta | None:
    """Return the table that describes the store, or None where nothing is there yet.

    Raises:
        StoreNotFound: Other tables are there.
    """
    for _ in range(2):  # another process may make the first tables between two looks
        table = _open(db, META)
        if table is not None and set(META_SCHEMA.names) <= set(table.schema.names):
            return Meta(table, uri=uri)
        others = sorted(set(db.list_tables().tables) - {META})
        if table is None and not others:
            return None
    raise _not_a_store(uri, [f"the table {name!r}" for name in others or [META]])


def _open(db: DBConnection, name: str) -> Table | None:
    try:
        return db.open_table(name)
    except ValueError as error:
        if f"Table '{name}' was not found" in str(error):
            return None
        raise


def _create(db: DBConnection, *, uri: str, given: Passport | None) -> dict[str, Any]:
    """Make the tables and the description; return the description that won."""
    if given is None:
        raise StoreNotFound(
            f"there is no store at {uri!r}, and making one takes an embedder. Repair: pass one."
        )
    meta = Meta(open_or_make(db, META, schema=META_SCHEMA), uri=uri)
    created_at = datetime.now(timezone.utc).isoformat()
    meta.put_if_absent(DESCRIPTION, Description.first(given, created_at=created_at).to_json())
    found = meta.get(DESCRIPTION)
    if found is None:
        raise StoreError(f"{uri!r} was deleted while it was being created. Repair: try again.")
    description = dict(found.value)
    if not _is_ready(description):
        first = Description.from_json(description).generation
        open_or_make(db, first.table(TURNS), schema=turns_schema(first.passport.dimension))
        meta.compare_and_swap(DESCRIPTION, {**description, "ready": True}, rev=found.rev)
    return description


def open_or_make(db: DBConnection, name: str, *, schema: pa.Schema) -> Table:
    """Return the table of that name, made where there is none; makers may race."""
    try:
        return db.create_table(name, schema=schema)
    except (ValueError, RuntimeError):
        table = _open(db, name)  # it was there, or another creator was faster
        if table is None:
            raise
        return table


def _check_schema(description: Mapping[str, Any] | None) -> None:
    version = SCHEMA_VERSION if description is None else description.get("schema_version")
    if not isinstance(version, int):
        raise StoreError(
            f"the store's description says schema_version={version!r}, which is no version: it was "
            "changed by something else. Nothing was changed. Repair: restore the folder from a "
            "backup."
        )
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(found=version, supported=SCHEMA_VERSION)
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"the store has schema {version}, and this agentmem reads schema {SCHEMA_VERSION}. "
            "Nothing was changed. Repair: export the turns with the agentmem that wrote them, and "
            "import them into a new store."
        )
    written_as = ANALYSIS if description is None else description.get("analysis")
    if written_as != ANALYSIS:
        raise StoreError(
            f"the words of this store were analysed as {written_as!r}, and this agentmem searches "
            f"for words analysed as {ANALYSIS!r}, which would miss some. Nothing was changed. "
            "Repair: export the turns with the agentmem that wrote them, and import them into a "
            "new store."
        )
