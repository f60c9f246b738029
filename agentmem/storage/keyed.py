"""Rows that belong to a key: a turn's chunks, a tool's views. Read, inserted, and replaced whole.

The rows of one key share a `content_hash`, and one of them, the head, stands for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

import pyarrow as pa
from lancedb.table import Table

from agentmem.storage.arrow import integers, strings
from agentmem.storage.border import persisting
from agentmem.storage.handle import Handle, Past
from agentmem.storage.quoting import EVERYTHING, both, literal
from agentmem.storage.sql import contents_sql, keys_sql

__all__ = ["insert_absent", "read_keyed", "replace_keyed", "replace_seen"]

KEYS_A_QUERY: Final = 10_000  # 350 kB of SQL; parsed in 20 ms


def read_keyed(
    handle: Handle | Past, keys: Iterable[str], *, columns: Iterable[str], where: str = EVERYTHING
) -> pa.Table:
    """Return the rows of these keys that meet a condition, in no particular order."""
    names, wanted = list(dict.fromkeys(keys)), list(columns)
    return persisting(lambda: _read(handle, names, columns=wanted, where=where))


def _read(
    handle: Handle | Past, keys: Iterable[str], *, columns: list[str], where: str
) -> pa.Table:
    remaining = iter(keys)
    found = []
    with handle.reading() as table:
        while some := list(islice(remaining, KEYS_A_QUERY)):
            query = table.search().where(both(keys_sql(some), where)).select(columns)
            found.append(query.to_arrow())
        if not found:
            return table.search().where("false").select(columns).to_arrow()
    return pa.concat_tables(found)


def insert_absent(
    handle: Handle, rows: pa.Table, *, row_key: str, heads: str, action: str
) -> list[str]:
    """Store the rows of the keys that are not taken yet, also by a writer of this moment.

    Args:
        handle: The table.
        rows: With the columns `key` and `content_hash`.
        row_key: The table's primary key: the key and the number of the row.
        heads: The condition that a row is a head.
        action: What is being done, to follow "could not".

    Returns:
        The keys that are taken by another content, and so were not stored.

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        StoreError: The write failed; nothing was stored.
    """

    def insert(table: Table) -> int:
        merge = table.merge_insert(row_key).when_not_matched_insert_all()
        return int(merge.execute(rows).num_inserted_rows)

    inserted = handle.commit(insert, action=action)
    if inserted == rows.num_rows:
        return []
    return _sort_out(handle, rows, heads=heads, action=action)


def _sort_out(handle: Handle, rows: pa.Table, *, heads: str, action: str) -> list[str]:
    """Delete the rows that found their key taken by fewer of another content; return lost keys.

    Rows are matched by key and number, so of a key that lost the race the rows beyond the
    winner's last were stored.
    """
    ours = dict(zip(strings(rows["key"]), strings(rows["content_hash"]), strict=True))
    there = read_keyed(handle, ours, columns=["key", "content_hash"], where=heads)
    winners = dict(zip(strings(there["key"]), strings(there["content_hash"]), strict=True))
    lost = [key for key, content in ours.items() if winners.get(key) != content]
    if lost and rows.num_rows > len(ours):
        strays = contents_sql({key: ours[key] for key in lost})
        handle.commit(lambda table: table.delete(strays), action=action)
    return lost


def replace_keyed(
    handle: Handle, keys: Iterable[str], *, rows: pa.Table, row_key: str, action: str
) -> int:
    """Put rows in the place of those of these keys, and add those that are new, in one commit.

    Args:
        handle: The table.
        keys: Whose rows are replaced; those without new rows are deleted.
        rows: The new rows.
        row_key: The table's primary key.
        action: What is being done, to follow "could not".

    Returns:
        The version that holds them.

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        StoreError: The write failed; nothing was changed.
    """
    replaced = keys_sql(keys)

    def merge(table: Table) -> int:
        builder = table.merge_insert(row_key).when_matched_update_all()
        builder = builder.when_not_matched_insert_all()
        builder = builder.when_not_matched_by_source_delete(replaced)
        return int(builder.execute(rows).version)

    return handle.commit(merge, action=action)


def replace_seen(
    handle: Handle,
    seen: Mapping[str, int],
    *,
    rows: pa.Table,
    row_key: str,
    heads: str,
    action: str,
) -> list[str]:
    """Put rows in the place of those that are as they were seen, and add those that are new.

    Args:
        handle: The table.
        seen: Revision of each key whose rows may be replaced.
        rows: The new rows, all of one revision.
        row_key: The table's primary key.
        heads: The condition that a row is a head.
        action: What is being done, to follow "could not".

    Returns:
        The keys that were changed or taken since, whose rows stay as the others left them.

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        StoreError: The write failed; nothing was changed.
    """
    within, target = (_as_seen(seen, of=of) for of in ("", "target."))

    def merge(table: Table) -> None:
        builder = table.merge_insert(row_key).when_matched_update_all(where=target)
        builder = builder.when_not_matched_insert_all()
        builder.when_not_matched_by_source_delete(within).execute(rows)

    handle.commit(merge, action=action)
    ours = list(dict.fromkeys(strings(rows["key"])))
    rev = int(integers(rows["rev"])[0])
    there = read_keyed(handle, ours, columns=["key", "rev"], where=heads)
    now = dict(zip(strings(there["key"]), integers(there["rev"]).tolist(), strict=True))
    lost = [key for key in ours if now.get(key) != rev]
    if lost and rows.num_rows > len(ours):  # of a key that was lost, later rows may have been new
        strays = both(keys_sql(lost), f"rev = {rev:d}")
        handle.commit(lambda table: table.delete(strays), action=action)
    return lost


def _as_seen(seen: Mapping[str, int], *, of: str) -> str:
    parts = (f"({of}key = {literal(key)} AND {of}rev = {rev:d})" for key, rev in seen.items())
    return " OR ".join(parts) or "false"
