"""Samples of sessions: which there are, and that few rows are read of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from check_tools import EMBEDDER, at, said, store_sessions, unit, watched
from storage_tools import NOON

from agentmem.monitoring.watched import Watched
from agentmem.storage.arrow import strings
from agentmem.storage.samples import draw_turns, sessions_by_time
from agentmem.storage.schema import turns_schema
from agentmem.storage.turns import Store
from agentmem.types import Passport

MANY = 200_000
NARROW = {"_rowid", "user_id", "agent_id", "session_id", "event_time", "passport"}


class Watching(Store):
    """A store that notes which columns are scanned whole."""

    scanned: list[str]

    def scan(self, columns: Sequence[str], **options: Any) -> Iterator[pa.RecordBatch]:
        self.scanned = [*getattr(self, "scanned", []), *columns]
        return super().scan(columns, **options)


def store_of(one: Watched) -> Store:
    assert isinstance(one.store, Store)
    return one.store


def many_rows(passport: Passport, *, turns_a_session: int) -> pa.Table:
    """Return rows of 200,000 turns, made as columns."""
    number = np.arange(MANY)
    session = number // turns_a_session
    texts = {
        "chunk_key": np.char.add(number.astype(str), "/0"),
        "key": number.astype(str),
        "id": number.astype(str),
        "user_id": np.char.add("user ", (session % 50).astype(str)),
        "session_id": np.char.add("session ", session.astype(str)),
    }
    dimension = passport.dimension
    vectors = unit(np.random.default_rng(0).standard_normal((MANY, dimension)))
    times = (NOON.timestamp() * 1e6 + number * 1e6).astype(np.int64)
    constants = {"role": "user", "content": "said", "lexemes": "", "metadata": "{}"}
    constants |= {"content_hash": "", "passport": passport.id}
    columns: dict[str, Any] = {
        name: pa.array(values.tolist(), pa.string()) for name, values in texts.items()
    }
    columns |= {name: pa.array([value] * MANY) for name, value in constants.items()}
    columns["chunk"] = pa.array(np.zeros(MANY, np.int32))
    columns["chunks"] = pa.array(np.ones(MANY, np.int32))
    columns["pinned"] = pa.array(np.zeros(MANY, np.bool_))
    columns["rev"] = pa.array(number)
    for name in ("event_time", "ingested_at"):
        columns[name] = pa.array(times).cast(pa.timestamp("us", tz="UTC"))
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension)
    schema = turns_schema(dimension)
    columns["metadata"] = pa.ExtensionArray.from_storage(pa.json_(), columns["metadata"])
    arrays = [
        columns.get(one.name, pa.nulls(MANY, one.type)).cast(one.type)
        if one.type != pa.json_()
        else columns[one.name]
        for one in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def test_sessions_come_in_the_order_of_their_last_turns(tmp_path: Path) -> None:
    one = watched(tmp_path)
    store_sessions(one, [said(3, "a", "b"), said(1, "c"), said(2, "d")])
    found = sessions_by_time(store_of(one))
    assert [session for *_, session, _ in found.ids] == ["session 1", "session 2", "session 3"]
    assert found.turns.tolist() == [1, 1, 2]
    assert found.last[2] == (at(3) + timedelta(minutes=1)).timestamp() * 1e6


def test_the_same_name_of_two_users_is_two_sessions(tmp_path: Path) -> None:
    one = watched(tmp_path)
    both = [
        replace(said(n, "a"), turns=[replace(said(n, "a").turns[0], session_id="main")])
        for n in (1, 2)
    ]
    store_sessions(one, both)
    found = sessions_by_time(store_of(one))
    assert [ids[0] for ids in found.ids] == ["user 1", "user 2"]
    drawn = draw_turns(
        store_of(one), found, places=[1], columns=["user_id"], rng=np.random.default_rng(0)
    )
    assert drawn.rows["user_id"].to_pylist() == ["user 2"]
    assert drawn.sessions.tolist() == [1]


def test_turns_whose_vector_failed_are_not_drawn(tmp_path: Path) -> None:
    one = watched(tmp_path)
    store = store_of(one)
    store_sessions(one, [said(1, "a", "b")])
    failed = said(1, "c")
    store_sessions(
        one, [replace(failed, turns=[replace(failed.turns[0], id="failed")])], passport_id=""
    )
    sessions = sessions_by_time(store)
    assert sessions.turns.tolist() == [3]
    drawn = draw_turns(store, sessions, places=[0], columns=["id"], rng=np.random.default_rng(0))
    assert sorted(strings(drawn.rows["id"])) == ["1-0", "1-1"]


def test_nothing_is_drawn_of_no_sessions(tmp_path: Path) -> None:
    store = store_of(watched(tmp_path))
    sessions = sessions_by_time(store)
    drawn = draw_turns(
        store, sessions, places=[], columns=["id", "vector"], rng=np.random.default_rng(0)
    )
    assert (len(sessions), drawn.rows.num_rows, len(drawn.sessions)) == (0, 0, 0)
    assert drawn.rows.column_names == ["id", "vector"]


def test_of_a_large_store_few_rows_are_read(tmp_path: Path) -> None:
    store = Watching.open(tmp_path, passport=EMBEDDER.passport)
    store.append(many_rows(store.passport, turns_a_session=500))
    sessions = sessions_by_time(store)
    assert (len(sessions), sessions.turns.sum()) == (MANY // 500, MANY)
    drawn = draw_turns(
        store,
        sessions,
        places=range(320, 400),
        columns=["vector", "content"],
        rng=np.random.default_rng(0),
    )
    assert isinstance(store, Watching)
    assert set(store.scanned) <= NARROW
    assert drawn.rows.num_rows == 80 * 12
    assert np.bincount(drawn.sessions)[320:].tolist() == [12] * 80
