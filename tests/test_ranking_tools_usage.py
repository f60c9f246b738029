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
from agentmem.ranking.tools.observations import Observations
from agentmem.ranking.tools.usage import GROWTH, Fitted, Usage, UsageLeg, checkpoint

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
    assert int(np.argmax(leg.nearest)) == 2


def test_words_alone_recognise_an_example() -> None:
    usage = learn(observed([2, 4], terms=["rain turin", "seat plane"]))
    leg = asked(usage, rows(1, seed=40)[0] * np.float32(0), "seat plane")
    assert int(np.argmax(leg.score)) == 4


def test_usage_is_trusted_more_with_each_example_and_not_at_all_without() -> None:
    trust = learn(observed([0, 1, 1, 2, 2, 2])).trust
    assert trust[3:].tolist() == [0, 0, 0]
    assert trust[:3] == pytest.approx([n / (n + CONFIG.trust) for n in (1, 2, 3)])


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
    assert trust[:2] == pytest.approx([n / (n + CONFIG.trust) for n in (0.25, 1)])


def test_a_kept_fit_of_the_same_observations_gives_the_same_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, query = observed([0, 1, 2, 0, 1]), rows(1, seed=30)[0]
    first = learn(known)
    kept = Fitted.from_matrix(first.fitted.to_matrix(), places=first.fitted.ground)
    monkeypatch.delattr(module, "_fitted")
    again = learn(known, fitted=kept)
    np.testing.assert_array_equal(asked(again, query).score, asked(first, query).score)


def test_a_fit_follows_its_tools_as_others_come_and_go() -> None:
    known = observed([0, 1, 2, 0, 1])
    fitted = learn(known).fitted
    later = fitted.aligned(np.arange(SIZE + 1))
    np.testing.assert_array_equal(later.moved[:SIZE], fitted.moved)
    assert not later.moved[SIZE].any()
    assert later.known.tolist() == [True] * SIZE + [False]
    places = np.where(np.arange(SIZE) == 1, -1, np.arange(SIZE) + 3)
    kept = Fitted.from_matrix(fitted.to_matrix(), places=places)
    assert kept.ground.tolist() == [p for p in places.tolist() if p >= 0]
    np.testing.assert_array_equal(kept.moved, np.delete(fitted.moved, 1, axis=0))


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
    assert not leg.score[~mask].any()


def test_what_usage_says_of_some_tools_does_not_depend_on_how_many_others_there_are() -> None:
    """A part of a catalogue with 400 tools that are out of sight, and the same part alone."""
    query, known = rows(1, seed=30)[0], observed([0, 1, 1])
    described = np.concatenate([DESCRIPTIONS, rows(400, seed=60)])
    mask = np.arange(len(described)) < SIZE
    legs = [
        learn(known, descriptions=told, documents=["same"] * len(told)).leg(query, "", mask=seen)
        for told, seen in ((described, mask), (DESCRIPTIONS, None))
    ]
    np.testing.assert_allclose(legs[0].score[:SIZE], legs[1].score, atol=0.2)


def test_usage_is_measured_against_the_tools_it_is_believed_of() -> None:
    """Over those with examples the score is standard; hundreds without any do not move it."""
    described = rows(200, seed=60)
    usage = learn(
        observed([0, 1, 2, 3] * 30, seed=5), descriptions=described, documents=["same"] * 200
    )
    scores = asked(usage, rows(1, seed=30)[0]).score * usage.norm
    warm, cold = scores[:4], scores[4:]
    mean = (usage.trust[:4].sum() * warm.mean() + 10 * cold.mean()) / (usage.trust[:4].sum() + 10)
    assert mean == pytest.approx(0, abs=0.05)


ALIKE = np.tile(rows(1, seed=3), (SIZE, 1))


@pytest.mark.parametrize(
    ("observations", "descriptions"),
    [
        (observed([0]), DESCRIPTIONS[:1]),
        (observed([0, 1]), DESCRIPTIONS[:2]),
        (observed([0, 1, 2]), ALIKE),
        (observed([0, 1, 2]), np.zeros_like(DESCRIPTIONS)),
        (observed([0] * 3, vectors=np.zeros((3, DESCRIPTIONS.shape[1]), np.float32)), DESCRIPTIONS),
        (observed([0, 1] * 1_000, vectors=np.tile(DESCRIPTIONS[:1], (2_000, 1))), DESCRIPTIONS),
        (observed([0, 1], labels=[-1, -1]), DESCRIPTIONS),
    ],
)
def test_scores_are_finite_whatever_was_learnt(
    observations: Observations, descriptions: Floats
) -> None:
    usage = learn(observations, descriptions=descriptions, documents=["same"] * len(descriptions))
    for query in (rows(1, seed=30)[0], descriptions[0], np.zeros_like(descriptions[0])):
        leg = asked(usage, query, "same")
        assert np.isfinite(leg.score).all()
        assert np.isfinite(leg.prototype).all()
        assert np.abs(leg.nearest).max() <= 1 + 1e-5


def test_examples_that_have_all_faded_are_as_none() -> None:
    known = observed([0, 1])
    faded = replace(known, weights=np.zeros(2, np.float32))
    options = {"descriptions": DESCRIPTIONS, "documents": DOCUMENTS, "config": CONFIG}
    assert Usage.learn(faded, **options) is None  # type: ignore[arg-type] # of tests' own
    barely = replace(known, weights=np.full(2, 1e-30, np.float32))
    assert np.isfinite(asked(learn(barely), rows(1, seed=30)[0]).score).all()


@pytest.mark.parametrize(
    "name", ["sketch", "discriminant", "neighbours", "usage_words", "negative"]
)
def test_every_part_may_be_switched_off(name: str) -> None:
    usage = learn(observed([0, 1, 2], labels=[1, 1, -1]), config=replace(CONFIG, **{name: 0.0}))
    leg = asked(usage, rows(1, seed=30)[0], "asked0")
    assert np.isfinite(leg.score).all()
    assert leg.score.any()


def test_a_tool_that_was_only_ever_wrong_falls_for_queries_like_it() -> None:
    query = rows(1, seed=30)[0]
    usage = learn(observed([2, 2, 4], vectors=np.stack([query, query, query]), labels=[-1, -1, 1]))
    leg = asked(usage, near(query, seed=32))
    assert leg.score[2] < leg.score[4]
    assert 0 < usage.trust[2] < usage.trust[4]
