"""The kernel against a plain double loop, and coherence on conversations of known nature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from ranking_tools import MINUTE, Said, column, conversation_of, conversations

from agentmem.ranking import Ranking
from agentmem.ranking.neighbours import MAX_LAG, Kernel, coherence

REACH, GAP = Ranking().reach, Ranking().gap_minutes * MINUTE


def kernel_of(sizes: list[int], *, length: int = 10) -> Kernel:
    """Make a kernel of sessions of so many turns, all at one moment."""
    turns = sum(sizes)
    return Kernel.build(
        np.repeat(np.arange(len(sizes)), sizes).astype(np.int32),
        np.full(turns, length, np.float32),
        event_time=np.zeros(turns, np.int64),
        reach=REACH,
        gap=GAP,
    )


def weight(turns: list[Said], first: int, last: int) -> float:
    """Weigh a pair by the definition: terms from middle to middle, and silence."""
    if last - first > MAX_LAG or turns[first].session != turns[last].session:
        return 0.0
    between = sum(len(turn.words) for turn in turns[first + 1 : last])
    terms = between + (len(turns[first].words) + len(turns[last].words)) / 2
    silence = abs(turns[last].minute - turns[first].minute) * MINUTE
    return math.exp(-terms / REACH - silence / GAP)


@given(conversations(masked=False))
def test_spreading_is_a_double_loop_over_the_turns(turns: list[Said]) -> None:
    values = [turn.cosine for turn in turns]
    expected = [
        sum(
            weight(turns, min(here, there), max(here, there)) * values[there]
            for there in range(len(turns))
            if there != here
        )
        for here in range(len(turns))
    ]
    kernel = conversation_of(turns).kernel
    np.testing.assert_allclose(kernel.spread(column(values)), expected, atol=1e-5)


@given(conversations(masked=False), st.data())
def test_spreading_a_few_places_is_spreading_an_array_of_zeros(
    turns: list[Said], data: st.DataObject
) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(turns) - 1))))
    values = column(data.draw(st.integers(1, 5)) for _ in places)
    full = np.zeros(len(turns), np.float32)
    full[places] = values
    kernel = conversation_of(turns).kernel
    sparse = kernel.spread_sparse(np.array(places, np.int64), values)
    np.testing.assert_allclose(sparse, kernel.spread(full), atol=1e-5)


@given(conversations(masked=False))
def test_turns_lend_each_other_the_same(turns: list[Said]) -> None:
    kernel, size = conversation_of(turns).kernel, len(turns)
    matrix = np.array([kernel.spread(unit) for unit in np.eye(size, dtype=np.float32)])
    np.testing.assert_array_equal(matrix, matrix.T)
    assert not np.diag(matrix).any()
    assert matrix.max(initial=0) <= 1


def test_a_turn_reaches_no_further_than_the_largest_lag() -> None:
    kernel = kernel_of([30], length=0)
    reached = kernel.spread(np.eye(30, dtype=np.float32)[15])
    expected = [float(0 < abs(place - 15) <= MAX_LAG) for place in range(30)]
    assert reached.tolist() == expected


def test_a_turn_reaches_no_other_session() -> None:
    reached = kernel_of([3, 3]).spread(np.eye(6, dtype=np.float32)[2])
    assert reached[:2].all()
    assert not reached[3:].any()


@pytest.mark.parametrize("size", [0, 1])
def test_turns_that_are_alone_have_no_neighbours(size: int) -> None:
    kernel = kernel_of([size])
    places = np.arange(size)
    assert kernel.spread(np.ones(size, np.float32)).tolist() == [0] * size
    assert kernel.spread_sparse(places, np.ones(size, np.float32)).tolist() == [0] * size
    vectors = np.eye(3, dtype=np.float32)[:size]
    assert coherence(vectors, kernel, rows=places, speaker=places.astype(np.int32)) == 0


# Coherence: what kind of conversation is this?

TURNS, DIMENSION = 1500, 64


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    rows: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def unrelated() -> NDArray[np.float32]:
    return unit(np.random.default_rng(1).normal(size=(TURNS, DIMENSION)))


@pytest.fixture(scope="module")
def drifting() -> NDArray[np.float32]:
    """Each turn is about what the one before was about, and a little else."""
    steps = np.random.default_rng(2).normal(size=(TURNS, DIMENSION))
    vectors = np.zeros_like(steps)
    for turn in range(1, TURNS):
        vectors[turn] = 0.8 * vectors[turn - 1] + steps[turn]
    return unit(vectors[1:])


def coherence_of(
    vectors: NDArray[np.float32],
    *,
    sizes: list[int] | None = None,
    speaker: NDArray[np.int32] | None = None,
    seed: int = 0,
) -> float:
    turns = len(vectors)
    kernel = kernel_of(sizes or [turns])
    speaker = np.arange(turns, dtype=np.int32) % 2 if speaker is None else speaker
    return coherence(vectors, kernel, rows=np.arange(turns), speaker=speaker, seed=seed)


def test_unrelated_notes_do_not_cohere(unrelated: NDArray[np.float32]) -> None:
    assert abs(coherence_of(unrelated)) < 0.15


def test_short_lists_of_unrelated_notes_do_not_cohere_on_average(
    unrelated: NDArray[np.float32],
) -> None:
    """Less their own mean, few vectors all point apart: chance must be measured, not assumed 0."""
    lists = unrelated[:400].reshape(50, 8, DIMENSION)
    found = [coherence_of(notes, speaker=np.zeros(8, np.int32)) for notes in lists]
    assert np.mean(found) < 0  # a standard error below what was seen
    assert np.mean(np.array(found) > 0.05) < 0.1  # so chance alone is seldom believed


def test_a_conversation_coheres_until_it_is_shuffled(drifting: NDArray[np.float32]) -> None:
    shuffled = np.random.default_rng(3).permutation(drifting)
    assert coherence_of(drifting) > 1
    assert abs(coherence_of(shuffled)) < 0.15


def test_coherence_is_the_same_every_time(drifting: NDArray[np.float32]) -> None:
    assert coherence_of(drifting) == coherence_of(drifting)
    assert coherence_of(drifting, seed=1) == pytest.approx(coherence_of(drifting), rel=0.2)
    assert coherence_of(drifting, seed=1) != coherence_of(drifting)


def test_sessions_of_one_turn_have_no_coherence(drifting: NDArray[np.float32]) -> None:
    assert coherence_of(drifting, sizes=[1] * len(drifting)) == 0


def test_one_speaker_at_a_time_is_no_coherence(unrelated: NDArray[np.float32]) -> None:
    """Texts start with their speaker, so turns of one speaker are alike whatever they say."""
    speaker = (np.arange(TURNS) // 50 % 3).astype(np.int32)
    voices = np.random.default_rng(4).normal(size=(3, DIMENSION)) / DIMENSION**0.5
    voiced = unit(unrelated + 2 * voices[speaker])
    assert abs(coherence_of(voiced, speaker=speaker)) < 0.15
    assert coherence_of(voiced, speaker=np.zeros(TURNS, np.int32)) > 1


@pytest.mark.parametrize("turns", [2, 3, 50, 1000])
@pytest.mark.parametrize("speakers", [1, 2])
def test_copies_of_one_text_do_not_cohere(turns: int, speakers: int) -> None:
    vectors = np.repeat(unit(np.random.default_rng(5).normal(size=(1, DIMENSION))), turns, axis=0)
    speaker = np.arange(turns, dtype=np.int32) % speakers
    assert coherence_of(vectors, speaker=speaker) == 0


def test_two_turns_cannot_be_compared_with_chance(unrelated: NDArray[np.float32]) -> None:
    assert coherence_of(unrelated[:2], speaker=np.zeros(2, np.int32)) == 0


def test_each_turn_is_judged_by_its_own_row(drifting: NDArray[np.float32]) -> None:
    turns = len(drifting)
    order = np.random.default_rng(6).permutation(turns)
    speaker = np.arange(turns, dtype=np.int32) % 2
    scattered = np.zeros((2 * turns, DIMENSION), np.float32)
    scattered[2 * order] = drifting
    found = coherence(scattered, kernel_of([turns]), rows=2 * order, speaker=speaker)
    assert found == pytest.approx(coherence_of(drifting))
