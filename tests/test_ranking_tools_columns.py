"""The static columns of a catalogue, against each tool looked at on its own."""

from __future__ import annotations

import numpy as np
import pytest
from choosing_tools import DIMENSION, Floats, columns_of, rows, view_of
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.fusion import zscore
from agentmem.ranking.tools.columns import CENTRE_PRIOR, View, unit
from agentmem.ranking.tools.config import Routing

SIZE = 5
MASKS = st.lists(st.booleans(), min_size=3, max_size=3)
OWNERS = st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=9).map(sorted)
QUERY = rows(1, seed=77)[0]


def best_piece(view: View, tool: int) -> float:
    mine = [float(v @ QUERY) for v, o in zip(view.vectors, view.owners, strict=True) if o == tool]
    return max(mine, default=float("nan"))


@given(OWNERS)
def test_the_best_piece_of_each_tool_counts(owners: list[int]) -> None:
    """As many pieces as tools does not mean one piece each."""
    view = view_of(owners, size=SIZE)
    expected = [best_piece(view, tool) for tool in range(SIZE)]
    np.testing.assert_allclose(view.cosines(QUERY), expected, atol=1e-6)


@given(OWNERS)
def test_a_mean_is_the_direction_of_all_pieces_and_zero_without_any(owners: list[int]) -> None:
    view = view_of(owners, size=SIZE)
    for tool, mean in enumerate(view.mean()):
        mine = view.vectors[view.owners == tool].sum(axis=0)
        length = np.linalg.norm(mine)
        expected = mine / length if tool in owners else np.zeros(DIMENSION)
        np.testing.assert_allclose(mean, expected, atol=1e-5)


def test_what_all_tools_have_in_common_is_taken_away() -> None:
    raw = unit(rows(2_000, seed=1) + np.float32(2))
    view = View.centred(raw, np.arange(2_000), size=2_000)
    assert np.linalg.norm(raw.mean(axis=0)) > 0.9
    assert np.linalg.norm(view.vectors.mean(axis=0)) < 0.2
    np.testing.assert_allclose(np.linalg.norm(view.vectors, axis=1), 1, atol=1e-5)


def test_a_single_tool_keeps_its_direction() -> None:
    raw = rows(1, seed=1)
    assert float(View.centred(raw, np.arange(1), size=1).vectors[0] @ raw[0]) > 0.99
    assert CENTRE_PRIOR > 1


def test_rows_without_a_direction_stay_without() -> None:
    assert not unit(np.zeros((2, 3), np.float32)).any()


@given(OWNERS)
def test_the_cosine_is_the_weighted_mean_over_the_views_a_tool_has(owners: list[int]) -> None:
    config = Routing(arguments=0.5, name=0.25)
    columns = columns_of([""] * SIZE, arguments=owners, config=config)
    (described, _), (argued, _), (named, _) = columns.views
    for tool, cosine in enumerate(columns.cosine(QUERY)):
        own = best_piece(described, tool)
        third = best_piece(argued, tool) if tool in owners else own
        expected = (own + 0.5 * third + 0.25 * best_piece(named, tool)) / 1.75
        assert cosine == pytest.approx(expected, abs=1e-5)


def words_leg(documents: list[str], terms: list[str]) -> tuple[Floats, Floats | None]:
    found = columns_of(documents).words(terms)
    total = found.bm25(terms)
    assert total is not None
    return total, found.leg(terms, mask=None)


def test_words_weigh_as_much_as_the_best_tool_holds_of_what_was_asked() -> None:
    documents = ["rain turin", "seat plane", "mail letter", "song tune"]
    total, leg = words_leg(documents, ["rain", "turin"])
    assert leg == pytest.approx(zscore(total), abs=1e-5)
    total, half = words_leg(documents, ["rain", "unknown"])
    assert half is not None
    share = half[0] / zscore(total)[0]
    assert 0.2 < share < 0.5  # an unknown word is rarer than any known one


@given(st.lists(st.sampled_from(["rain", "song", "never"]), unique=True), MASKS)
def test_the_grasp_of_words_is_a_share_that_only_candidates_give(
    terms: list[str], mask: list[bool]
) -> None:
    seen = np.array(mask, np.bool_)
    words = columns_of(["rain rain", "song", "rain song"]).words(terms)
    grasp = words.grasp(terms, mask=seen)
    assert 0 <= grasp <= words.grasp(terms, mask=None) <= 1
    total = words.bm25(terms)
    assert (grasp > 0) == (total is not None and bool((total[seen] > 0).any()))


def test_without_terms_or_tools_words_say_nothing() -> None:
    nothing = columns_of(["rain"]).words([])
    assert (nothing.leg([], mask=None), nothing.grasp([], mask=None)) == (None, 0.0)
    empty = columns_of([]).words(["rain"]).leg(["rain"], mask=None)
    assert empty is not None
    assert empty.shape == (0,)


def test_tools_outside_a_mask_do_not_lend_their_words() -> None:
    columns, mask = columns_of(["rain", "song", "tune"]), np.array([False, True, True])
    leg = columns.words(["rain"]).leg(["rain"], mask=mask)
    assert leg is not None
    assert not leg.any()
