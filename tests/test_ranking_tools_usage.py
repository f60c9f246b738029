"""What usage examples tell: nothing without any, more with each, and the same in every process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from choosing_tools import Floats, observed, rows
from hypothesis import given
from hypothesis import strategies as st

from agentmem.ranking.tools import usage as module
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.usage import GROWTH, Fitted, Observations, Usage, UsageLeg, checkpoint

SIZE = 6
CONFIG = Routing()
DESCRIPTIONS = rows(SIZE, seed=1)
DOCUMENTS = [f"tool{n} does" for n in range(SIZE)]


def learn(observations: Observations, **changes: object) -> Usage:
    options: dict[str, object] = {
        "descriptions": DESCRIPTIONS,
        "documents": DOCUMENTS,
        "config": CONFIG,
        **changes,
    }
    found = Usage.learn(observations, **options)  # type: ignore[arg-type] # of tests' own
    assert found is not None
    return found


def near(vector: Floats, *, seed: int) -> Floats:
    """Return a unit vector near another."""
    moved = vector + np.float32(0.3) * rows(1, seed=seed)[0]
    length: Floats = (moved / np.linalg.norm(moved)).astype(np.float32)
    return length


def asked(usage: Usage, vector: Floats, terms: str = "") -> UsageLeg:
    return usage.leg(vector, terms, mask=None)


@pytest.mark.parametrize("labels", [[], [0]])
def test_where_nothing_was_said_of_a_tool_and_a_query_nothing_was_learnt(labels: list[int]) -> None:
    known = observed([0] * len(labels), labels=labels)
    learnt = Usage.learn(known, descriptions=DESCRIPTIONS, documents=DOCUMENTS, config=CONFIG)
    assert learnt is None


def test_an_example_lifts_its_tool_for_queries_like_it() -> None:
    query = rows(1, seed=30)[0]
    usage = learn(observed([2, 4], vectors=np.stack([query, rows(1, seed=31)[0]])))
    leg = asked(usage, near(query, seed=32))
    assert int(np.argmax(leg.score)) == 2
    assert int(np.argmax(leg.prototype)) == 2
    assert leg.cosines.shape == (2,)
    assert leg.cosines[0] > leg.cosines[1]


def test_words_alone_recognise_an_example() -> None:
    usage = learn(observed([2, 4], terms=["rain turin", "seat plane"]))
    leg = asked(usage, rows(1, seed=40)[0] * np.float32(0), "seat plane")
    assert int(np.argmax(leg.score)) == 4


def test_usage_is_trusted_more_with_each_example_and_not_at_all_without() -> None:
    trust = learn(observed([0, 1, 1, 2, 2, 2])).trust
    assert trust[3:].tolist() == [0, 0, 0]
    assert trust[:3] == pytest.approx([1 / 2, 2 / 3, 3 / 4])


def test_a_query_a_tool_was_wrong_for_counts_against_it() -> None:
    query = rows(1, seed=30)[0]
    others = rows(2, seed=33)
    vectors = np.stack([others[0], others[1], query])
    without = asked(learn(observed([0, 1], vectors=vectors[:2])), query)
    against = asked(learn(observed([0, 1, 0], labels=[1, 1, -1], vectors=vectors)), query)
    gap = [float(leg.score[0] - leg.score[1]) for leg in (without, against)]
    assert gap[1] < gap[0]


def test_what_is_not_known_teaches_nothing() -> None:
    query = rows(1, seed=30)[0]
    usage = learn(observed([0, 1]))
    more = learn(observed([0, 1, 2], labels=[1, 1, 0]))
    assert more.trust == pytest.approx(usage.trust)
    assert asked(more, query).prototype == pytest.approx(asked(usage, query).prototype, abs=1e-2)


def test_old_examples_count_less() -> None:
    known = observed([0, 1])
    old = replace(known, weights=np.array([0.25, 1], np.float32))
    trust = learn(old).trust
    assert trust[:2] == pytest.approx([0.2, 0.5])


def test_a_kept_fit_of_the_same_observations_gives_the_same_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, query = observed([0, 1, 2, 0, 1]), rows(1, seed=30)[0]
    first = learn(known)
    kept = Fitted.from_matrix(first.fitted.to_matrix(), examples=first.fitted.examples)
    monkeypatch.delattr(module, "_fit")
    again = learn(known, fitted=kept)
    np.testing.assert_array_equal(asked(again, query).score, asked(first, query).score)


@pytest.mark.parametrize("change", ["examples", "tools"])
def test_a_fit_of_something_else_is_not_used(change: str) -> None:
    known = observed([0, 1, 2, 0, 1])
    fitted = learn(known.only(np.array([True] * 4 + [False]))).fitted
    if change == "tools":
        fitted = replace(learn(known).fitted, ground=np.arange(SIZE) + 1)
    fitted = replace(fitted, moved=np.full_like(fitted.moved, 9))
    found, fresh = learn(known, fitted=fitted), learn(known)
    np.testing.assert_allclose(found.fitted.moved, fresh.fitted.moved)


def test_a_fit_that_is_not_due_leaves_the_newest_observations_to_the_centroids() -> None:
    known = observed([0, 1, 2, 0, 1])
    earlier = learn(known.only(np.array([True] * 4 + [False])))
    now = learn(known, due=4)
    np.testing.assert_allclose(now.fitted.moved, earlier.fitted.moved, atol=1e-5)
    assert now.trust[1] > earlier.trust[1]


@given(st.lists(st.integers(1, 50), max_size=40))
def test_fits_are_due_when_a_tenth_more_is_known(lessons: list[int]) -> None:
    known = sum(lessons)
    fitted = checkpoint(lessons)
    assert known / GROWTH - 1e-9 <= fitted <= known
    ends = set(np.cumsum(lessons).tolist()) | {0}
    assert fitted in ends
    assert len({checkpoint(lessons[:n]) for n in range(len(lessons) + 1)}) <= 90


def test_tools_without_examples_stand_for_the_others_when_there_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BACKGROUND", 2)
    usage = learn(observed([3, 3]))
    assert len(usage.fitted.ground) == 3
    assert 3 in usage.fitted.ground
    leg = asked(usage, rows(1, seed=30)[0])
    assert leg.score.shape == (SIZE,)
    assert not np.delete(leg.score, usage.fitted.ground).any()


def test_a_mask_standardises_over_its_candidates() -> None:
    usage = learn(observed([0, 1, 2, 3, 4, 5]))
    mask = np.array([True, True, True, False, False, False])
    leg = usage.leg(rows(1, seed=30)[0], "", mask=mask)
    alone = usage.leg(rows(1, seed=30)[0], "", mask=None)
    assert leg.score[mask].mean() == pytest.approx(0, abs=1e-4)
    assert np.argmax(leg.score[mask]) == np.argmax(alone.score[mask])


def test_a_tool_that_was_only_ever_wrong_falls_for_queries_like_it() -> None:
    query = rows(1, seed=30)[0]
    usage = learn(observed([2, 2, 4], vectors=np.stack([query, query, query]), labels=[-1, -1, 1]))
    leg = asked(usage, near(query, seed=32))
    assert leg.score[2] < leg.score[4]
    assert 0 < usage.trust[2] < usage.trust[4]
