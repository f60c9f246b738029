"""What grows at its end: what was handed out stays as it was, and rows are found by place."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.vectors import Vectors
from agentmem.storage.growing import PARTS, Growing, GrowingVectors, Rows


def table(start: int, size: int) -> pa.Table:
    return pa.table({"n": list(range(start, start + size)), "text": ["x" * size] * size})


@given(st.lists(st.integers(0, 40), max_size=80), st.data())
def test_rows_are_found_by_their_place(sizes: list[int], data: st.DataObject) -> None:
    rows, total = Rows(), 0
    for size in sizes:
        rows = rows.extended(table(total, size))
        total += size
        assert len(rows.parts) <= PARTS
    assert len(rows) == total
    if total:
        places = data.draw(st.lists(st.integers(0, total - 1), max_size=10))
        assert [row["n"] for row in rows.take(places)] == places


def test_rows_that_were_handed_out_stay_as_they_were() -> None:
    before = Rows().extended(table(0, 3))
    after = before.extended(table(3, 2))
    assert (len(before), len(after)) == (3, 5)
    assert after.nbytes > before.nbytes > 0
    assert before.take([]) == []


def test_many_small_additions_leave_the_large_first_part_where_it_is() -> None:
    rows = Rows().extended(table(0, 1000))
    first = rows.parts[0]
    for place in range(1000, 1100):
        rows = rows.extended(table(place, 1))
    assert rows.parts[0] is first
    assert [row["n"] for row in rows.take([1099, 0, 1050])] == [1099, 0, 1050]


def test_views_are_read_only_and_stay_as_they_were() -> None:
    growing = Growing(np.int32)
    growing.extend(np.arange(3, dtype=np.int32))
    view = growing.view()
    for size in range(50):
        growing.extend(np.full(size, -1, np.int32))
    assert view.tolist() == [0, 1, 2]
    assert len(growing.view()) == 3 + sum(range(50))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 9


@pytest.mark.parametrize("precise", [True, False])
def test_vectors_grow(*, precise: bool) -> None:
    rows = np.eye(5, 8, dtype=np.float32)
    growing = GrowingVectors(8, precise=precise)
    growing.extend(Vectors.of(rows[:2], precise=precise))
    before = growing.view()
    growing.extend(Vectors.of(rows[2:], precise=precise))
    np.testing.assert_allclose(growing.view()[:], rows, atol=1e-2)
    assert len(before) == 2
    assert (growing.view().halves is not None) == precise
    assert growing.nbytes >= growing.view().nbytes
