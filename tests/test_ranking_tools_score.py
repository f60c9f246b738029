"""The score of every tool: terms that add up to it, and promises about names and masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from choosing_tools import DIMENSION, columns_of, nothing_learnt, observed, rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.ranking.tools.co_use import CoUse
from agentmem.ranking.tools.columns import Columns, View
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.score import Learnt, Need, Ranked, rank
from agentmem.ranking.tools.success import success_term
from agentmem.ranking.tools.usage import Usage

DOCUMENTS = ["rain turin", "seat plane", "mail letter rain", "song tune", "plane song"]
SIZE = len(DOCUMENTS)
WORDS = ("rain", "turin", "plane", "song", "letter", "unknown")
CONFIG = Routing()
PLACES = st.lists(st.integers(0, SIZE - 1), max_size=3)

TERMS = st.lists(st.sampled_from(WORDS), max_size=4, unique=True)
MASKS = st.one_of(
    st.none(),
    st.lists(st.booleans(), min_size=SIZE, max_size=SIZE).map(lambda m: np.array(m, np.bool_)),
)


def learnt_of(owners: list[int], failures: list[int]) -> Learnt:
    """Return what examples and failures left of the tools."""
    columns = columns_of(DOCUMENTS)
    usage = None
    if owners:
        usage = Usage.learn(
            observed(owners),
            descriptions=columns.views[0][0].vectors,
            documents=DOCUMENTS,
            config=CONFIG,
        )
    failed = np.bincount(failures, minlength=SIZE).astype(np.float32)
    co_use = CoUse()
    for owner in owners:
        co_use.observe([owner], called=[(owner + 1) % SIZE])
    return Learnt(usage, co_use, success_term(failed * 0, failed, strength=4))


@st.composite
def needs(draw: st.DrawFn) -> Need:
    """Draw a query with or without clauses, names, calls and context."""
    terms = draw(TERMS)
    clauses = [part for part in (terms[:2], terms[2:]) if part] if draw(st.booleans()) else []
    said = draw(st.booleans())
    return Need(
        vector=rows(1, seed=draw(st.integers(0, 50)))[0],
        terms=terms,
        clauses=clauses if len(clauses) > 1 else (),
        named=draw(PLACES),
        called=draw(PLACES),
        used=draw(PLACES),
        context=rows(1, seed=51)[0] if said else None,
    )


@given(needs(), MASKS, PLACES, PLACES)
def test_the_terms_add_up_to_the_score_of_every_candidate(
    need: Need, mask: NDArray[np.bool_] | None, owners: list[int], failures: list[int]
) -> None:
    found = rank(
        need,
        columns_of(DOCUMENTS),
        learnt=learnt_of(owners, failures),
        config=CONFIG,
        mask=mask,
    )
    seen = np.arange(SIZE) if mask is None else np.flatnonzero(mask)
    total = np.sum(list(found.terms.values()), axis=0)
    np.testing.assert_allclose(total[seen], found.scores[seen], atol=1e-4)
    assert sorted(found.order.tolist()) == seen.tolist()
    assert (np.diff(found.scores[found.order]) <= 0).all()
    assert np.isfinite(found.scores[seen]).all()
    _check_names_and_confidence(found, need)


def _check_names_and_confidence(found: Ranked, need: Need) -> None:
    named = [place for place in found.order.tolist() if place in need.named]
    assert sorted(found.order[: len(named)].tolist()) == sorted(named)
    if not len(found.order):
        assert (found.confidence, dict(found.needs_tool)) == (0.0, {})
    else:
        odds = math.log(found.confidence / (1 - found.confidence))
        assert sum(found.needs_tool.values()) == pytest.approx(odds, abs=1e-3)


def ask(need: Need, **changes: object) -> Ranked:
    options: dict[str, object] = {
        "learnt": nothing_learnt(SIZE),
        "config": CONFIG,
        "mask": None,
        **changes,
    }
    return rank(need, columns_of(DOCUMENTS), **options)  # type: ignore[arg-type] # of tests' own


def test_a_mask_ranks_as_if_there_were_no_other_tools_but_for_rarity() -> None:
    mask = np.array([True, True, False, True, False])
    need = Need(vector=rows(1, seed=3)[0], terms=[])
    among = ask(need, mask=mask)
    meaning = among.terms["meaning"][mask]
    assert meaning.mean() == pytest.approx(0, abs=1e-5)
    assert meaning.std() == pytest.approx(1, abs=1e-4)


def test_a_tool_named_beats_words_however_rare() -> None:
    """In a large catalogue one tool may lead by more than any constant."""
    size = 6_000
    rare = [f"rare{n}" for n in range(12)]
    documents = ["tool name"] + [" ".join(["filler"] * 12)] * (size - 2) + [" ".join(rare)]
    vectors = np.zeros((size, DIMENSION), np.float32)
    vectors[:, 0] = 1
    columns = columns_of(documents)
    flat = View(vectors, np.arange(size), size)
    same = Columns.of(flat, description=flat, arguments=flat, index=columns.index, config=CONFIG)
    need = Need(vector=vectors[0], terms=["name", *rare], named=[0])
    found = rank(need, same, learnt=nothing_learnt(size), config=CONFIG, mask=None)
    assert found.terms["words"][-1] - found.terms["words"][0] > 30
    assert found.order[:2].tolist() == [0, size - 1]


def test_a_failing_tool_loses_score_on_every_query() -> None:
    need = Need(vector=rows(1, seed=3)[0], terms=["rain"])
    before, after = ask(need), ask(need, learnt=learnt_of([], [0, 0, 0]))
    lost = before.scores - after.scores
    assert lost[0] > 0.5
    assert abs(lost[1:]).max() < lost[0] / 4
    assert np.argmin(after.terms["success"]) == 0


@pytest.mark.parametrize(
    ("terms", "threshold", "counts"),
    [(WORDS, 0.0, False), (WORDS, 1.0, True), (WORDS[:1], 0.0, True)],
)
def test_what_was_said_before_counts_where_the_query_alone_says_little(
    terms: Sequence[str], threshold: float, *, counts: bool
) -> None:
    need = Need(vector=rows(1, seed=3)[0], terms=list(terms), context=rows(1, seed=8)[0])
    found = ask(need, config=Routing(threshold=threshold))
    assert ("context" in found.terms) == counts


def test_tools_like_those_called_are_likelier_and_the_called_one_is_as_likely_as_before() -> None:
    need = Need(vector=rows(1, seed=3)[0], terms=[], used=[0])
    term = ask(need).terms["called"]
    columns = columns_of(DOCUMENTS)
    likeness = columns.together @ columns.together[0] / np.linalg.norm(columns.together, axis=1)
    likeness[0] = -1
    assert int(np.argmax(term)) == int(np.argmax(likeness))
    assert term[0] == 0


def test_the_turn_before_decides_only_where_the_query_leaves_doubt() -> None:
    co_use = CoUse()
    for _ in range(20):
        co_use.observe([3], called=[0])
        co_use.observe([1], called=[])
    learnt = Learnt(None, co_use, np.zeros(SIZE, np.float32))
    columns = columns_of(DOCUMENTS)
    vague = Need(vector=np.zeros(DIMENSION, np.float32), terms=[], called=[0], used=[0])
    clear = Need(vector=columns.together[1] * 3, terms=["seat", "plane"], called=[0], used=[0])
    doubted, sure = (ask(need, learnt=learnt) for need in (vague, clear))
    for term in ("called", "followed"):
        assert 0 < np.abs(sure.terms[term]).max() < np.abs(doubted.terms[term]).max() / 2
    assert int(np.argmax(doubted.terms["followed"])) == 3
    assert doubted.terms["followed"].min() >= 0
    assert sure.order[0] == 1


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("examples", [0, 1])
def test_one_or_two_tools_are_ranked_with_and_without_examples(size: int, examples: int) -> None:
    columns = columns_of(DOCUMENTS[:size])
    usage = Usage.learn(
        observed([0] * examples),
        descriptions=columns.views[0][0].vectors,
        documents=DOCUMENTS[:size],
        config=CONFIG,
    )
    learnt = Learnt(usage, CoUse(), np.zeros(size, np.float32))
    need = Need(
        vector=rows(1, seed=3)[0], terms=["rain"], called=[0], used=[0], context=rows(1, seed=8)[0]
    )
    found = rank(need, columns, learnt=learnt, config=CONFIG, mask=None)
    assert len(found.order) == size
    assert np.isfinite(found.scores).all()
    assert 0 < found.confidence < 1


def test_an_empty_catalogue_ranks_nothing() -> None:
    need = Need(vector=rows(1, seed=3)[0], terms=["rain", "song"], clauses=[["rain"], ["song"]])
    found = rank(need, columns_of([]), learnt=nothing_learnt(0), config=CONFIG, mask=None)
    assert (len(found.order), found.confidence) == (0, 0.0)
