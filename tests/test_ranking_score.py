"""The whole ranking: against a plain oracle, and by the properties it promises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ranking_tools import (
    DAY,
    MAY_2023,
    MINUTE,
    SPEAKERS,
    VOCABULARY,
    Said,
    column,
    conversation_of,
    conversations,
    postings_of,
    question_of,
    rankings,
    total,
)

from agentmem.ranking import Ranking
from agentmem.ranking.fusion import zscore
from agentmem.ranking.lexical import bm25
from agentmem.ranking.score import score

K1, B = 1.2, 0.75
JUST_THE_LEGS = Ranking(length=0, question=0, session=0)


def standard(values: Sequence[float], seen: Sequence[bool]) -> list[float]:
    among = [value for value, is_seen in zip(values, seen, strict=True) if is_seen]
    mean = sum(among) / len(among)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in among) / len(among))
    if deviation < 1e-6:
        return [0.0] * len(values)
    return [
        (value - mean) / deviation if is_seen else 0.0
        for value, is_seen in zip(values, seen, strict=True)
    ]


def weight(turns: Sequence[Said], here: int, there: int, ranking: Ranking) -> float:
    """What the kernel's definition says two turns lend each other."""
    first, last = sorted((here, there))
    if first == last or last - first > 8 or turns[first].session != turns[last].session:
        return 0.0
    between = sum(len(turn.words) for turn in turns[first + 1 : last])
    terms = between + (len(turns[first].words) + len(turns[last].words)) / 2
    minutes = turns[last].minute - turns[first].minute
    return math.exp(-terms / ranking.reach - minutes / ranking.gap_minutes)


def rarity(size: int, held: int) -> float:
    """Inverse document frequency of a term that so many of the documents hold."""
    return math.log(1 + (size - held + 0.5) / (held + 0.5))


def bm25_of(
    frequencies: Sequence[Sequence[float]], lengths: Sequence[float], holding: Sequence[int]
) -> list[float]:
    """BM25 of documents whose frequencies of each term are given, and how many hold the term."""
    average = sum(lengths) / len(lengths)
    scores = []
    for document, length in zip(frequencies, lengths, strict=True):
        norm = K1 * (1 - B + B * length / max(average, 1e-9))
        scores.append(
            sum(
                rarity(len(lengths), held) * tf * (K1 + 1) / (tf + norm)
                for tf, held in zip(document, holding, strict=True)
            )
        )
    return scores


def oracle(
    turns: Sequence[Said], *, ranking: Ranking, coherence: float, words: set[str], now: int
) -> list[float]:
    """Compute the score from its description, one turn at a time."""
    everyone, seen = range(len(turns)), [turn.seen for turn in turns]
    trust = min(max(coherence / ranking.coherence, 0), 1)
    link = [[weight(turns, here, there, ranking) for there in everyone] for here in everyone]
    scores = [0.0] * len(turns)

    dense = [ranking.dense * z for z in standard([turn.cosine for turn in turns], seen)]
    for here in everyone:
        lent = sum(link[here][there] * dense[there] for there in everyone)
        scores[here] += dense[here] + ranking.context * trust * lent

    believed = ranking.context * trust
    holding = [sum(term in turn.words for turn in turns) for term in VOCABULARY]
    frequencies = [
        [
            turns[here].words.count(term)
            + believed
            * sum(link[here][at] * turns[at].words.count(term) for at in everyone if seen[at])
            for term in VOCABULARY
        ]
        for here in everyone
    ]
    lengths = [
        len(turns[here].words)
        + believed * sum(link[here][at] * len(turns[at].words) for at in everyone)
        for here in everyone
    ]
    asked = sum(rarity(len(turns), held) for held in holding)
    lexical = [one / asked for one in bm25_of(frequencies, lengths, holding)]

    sessions = sorted({turn.session for turn in turns if turn.seen})
    texts = [
        [word for turn in turns if turn.seen and turn.session == session for word in turn.words]
        for session in sessions
    ]
    whole = bm25_of(
        [[text.count(term) for term in VOCABULARY] for text in texts],
        [len(text) for text in texts],
        [sum(term in text for text in texts) for term in VOCABULARY],
    )
    of_session = dict(zip(sessions, standard(whole, [True] * len(sessions)), strict=True))
    named = [
        any(len(part) > 1 and part in words for part in SPEAKERS[turn.speaker]) for turn in turns
    ]
    among = {named[here] for here in everyone if seen[here]}
    long = standard([math.log(1 + len(turn.words)) for turn in turns], seen)
    for here, turn in enumerate(turns):
        scores[here] += ranking.lexical * lexical[here]
        if ranking.lexical:
            scores[here] += ranking.session * trust * of_session.get(turn.session, 0.0)
        scores[here] += ranking.speaker * (named[here] and len(among) > 1)
        scores[here] += ranking.length * long[here]
        scores[here] -= ranking.question * turn.asks
    worst = min(scores[here] for here in everyone if seen[here])
    for here, turn in enumerate(turns):
        height = scores[here] - worst
        age = max(now - (MAY_2023[0] + turn.minute * MINUTE), 0) / DAY
        scores[here] += height * ranking.recency * 0.5 ** (age / ranking.recency_days)
        if not math.isnan(turn.importance):
            scores[here] += height * ranking.importance * turn.importance
    return scores


@given(
    conversations(),
    rankings(),
    st.sampled_from((-0.5, 0.0, 0.03, 0.1, 0.4)),
    st.sets(st.sampled_from(("ada", "hopper", "j"))),
)
def test_the_score_is_what_its_description_says(
    turns: list[Said], ranking: Ranking, coherence: float, words: set[str]
) -> None:
    assume(any(turn.seen for turn in turns))
    conversation = conversation_of(turns, coherence=coherence)
    found = total(conversation, question_of(turns, words=words), ranking)
    expected = oracle(turns, ranking=ranking, coherence=coherence, words=words, now=MAY_2023[1])
    for place, turn in enumerate(turns):
        if turn.seen:
            assert found[place] == pytest.approx(expected[place], abs=1e-4, rel=1e-4)


@given(conversations(masked=False), st.floats(-1, 1))
def test_a_plain_ranking_is_the_sum_of_the_two_legs(turns: list[Said], coherence: float) -> None:
    conversation, question = conversation_of(turns, coherence=coherence), question_of(turns)
    lengths = column(len(turn.words) for turn in turns)
    words = sum(
        bm25({t: postings_of(turns, t) for t in VOCABULARY}, lengths).values(),
        np.zeros(len(turns), np.float32),
    )
    asked = sum(rarity(len(turns), sum(t in turn.words for turn in turns)) for t in VOCABULARY)
    plain = Ranking.plain()
    expected = zscore(column(turn.cosine for turn in turns)) + plain.lexical * words / asked
    np.testing.assert_allclose(total(conversation, question, plain), expected, atol=1e-5)


@given(conversations(masked=False), rankings())
def test_modes_leave_the_other_leg_out(turns: list[Said], ranking: Ranking) -> None:
    conversation, question = conversation_of(turns), question_of(turns)
    dense = replace(question, postings=None)
    lexical = replace(question, cosines=None)
    deaf = [replace(turn, cosine=0.0) for turn in turns]
    assert not {"lexical", "session"} & set(score(conversation, dense, ranking=ranking))
    assert "dense" not in score(conversation, lexical, ranking=ranking)
    np.testing.assert_array_equal(
        total(conversation, lexical, ranking),
        total(conversation, question_of(deaf), ranking),
    )
    np.testing.assert_array_equal(
        total(conversation, dense, ranking),
        total(conversation, question_of(turns, ["unheard"]), ranking),
    )


@given(conversations(masked=False), rankings(), st.randoms())
def test_the_order_of_sessions_does_not_matter(
    turns: list[Said], ranking: Ranking, random: np.random.Generator
) -> None:
    sessions = sorted({turn.session for turn in turns})
    random.shuffle(sessions)
    order = [place for s in sessions for place, turn in enumerate(turns) if turn.session == s]
    moved = [replace(turns[place], session=sessions.index(turns[place].session)) for place in order]
    before = total(conversation_of(turns), question_of(turns), ranking)
    after = total(conversation_of(moved), question_of(moved), ranking)
    np.testing.assert_allclose(after, before[order], atol=1e-4)


@given(conversations(), rankings(), st.data())
def test_turns_outside_the_candidates_only_make_words_common_and_space(
    turns: list[Said], ranking: Ranking, data: st.DataObject
) -> None:
    """Words they hold and how long they are count; whatever else they are changes nothing."""
    seen = np.array([turn.seen for turn in turns])
    assume(seen.any() and not seen.all())
    conversation = conversation_of(turns)
    question = question_of(turns, words=["ada"], spans=[MAY_2023])
    before = score(conversation, question, ranking=ranking)
    hidden = np.flatnonzero(~seen)
    chosen = conversation.speaker.copy()
    chosen[hidden] = data.draw(st.integers(0, 2))
    cosines = column(turn.cosine for turn in turns)
    cosines[hidden] = data.draw(st.sampled_from((-1, 0.3, 1)))
    late, vital, asks = (
        conversation.event_time.copy(),
        conversation.importance.copy(),
        conversation.asks.copy(),
    )
    late[hidden], vital[hidden], asks[hidden] = 0, 1, ~asks[hidden]
    postings = {
        term: (documents, np.where(seen[documents], counts, 9).astype(np.float32))
        for term, (documents, counts) in (question.postings or {}).items()
    }
    after = score(
        replace(conversation, speaker=chosen, event_time=late, importance=vital, asks=asks),
        replace(question, cosines=cosines, postings=postings),
        ranking=ranking,
    )
    nothing = np.zeros(len(turns), np.float32)
    for name in {*before, *after}:
        np.testing.assert_allclose(
            after.get(name, nothing)[seen], before.get(name, nothing)[seen], atol=1e-6, err_msg=name
        )


def test_a_word_common_outside_the_candidates_counts_for_less_inside() -> None:
    here = [Said(("rain",)), Said(("flat",))]
    conversation = [*here, *(Said(("rain",), session=1, seen=False) for _ in range(5))]
    row = score(
        conversation_of(conversation, coherence=0), question_of(conversation), ranking=JUST_THE_LEGS
    )["lexical"]
    assert row[1] > row[0]


def test_a_turn_that_was_filtered_out_lends_its_neighbours_nothing() -> None:
    def neighbour_of(*, seen: bool) -> float:
        turns = [
            Said(("rain",), cosine=1.0, seen=seen),
            Said(("so",)),
            Said(("so",), session=1),
            Said(("rain",), session=2, cosine=0.5),
        ]
        terms = score(conversation_of(turns), question_of(turns), ranking=Ranking())
        extra = terms.get("neighbours", np.zeros(4)) + terms.get("session", np.zeros(4))
        return float(extra[1] - extra[2])

    assert neighbour_of(seen=True) > 0.1
    assert neighbour_of(seen=False) == pytest.approx(0, abs=1e-6)


def test_a_turn_beside_the_answer_rises_and_the_next_session_does_not() -> None:
    turns = [
        Said(("so",), session=0),
        Said(("lisbon", "flat"), session=0, cosine=0.9, minute=1),
        Said(("so",), session=1, minute=2),
        Said(("so",), session=1, minute=3),
    ]
    row = score(conversation_of(turns), question_of(turns), ranking=JUST_THE_LEGS)["neighbours"]
    assert row[0] > row[2]
    assert row[2] == pytest.approx(row[3], abs=1e-6)


@given(conversations(), rankings(), st.floats(-2, 0))
def test_unrelated_notes_have_no_neighbours_and_no_sessions(
    turns: list[Said], ranking: Ranking, coherence: float
) -> None:
    terms = score(conversation_of(turns, coherence=coherence), question_of(turns), ranking=ranking)
    assert not {"neighbours", "session"} & set(terms)


@given(conversations(), rankings())
def test_neighbours_are_believed_fully_from_the_coherence_named_in_the_ranking(
    turns: list[Said], ranking: Ranking
) -> None:
    question = question_of(turns)
    enough = conversation_of(turns, coherence=ranking.coherence)
    much = conversation_of(turns, coherence=0.9)
    np.testing.assert_array_equal(total(enough, question, ranking), total(much, question, ranking))


@pytest.mark.parametrize(
    ("speakers", "seen", "expected"),
    [
        ((0, 1), (True, True), [1, 0]),
        ((0, 0), (True, True), None),
        ((1, 1), (True, True), None),
        ((0, 1), (True, False), None),
        ((0, 1), (False, True), None),
    ],
)
def test_a_named_speaker_counts_only_where_others_speak_as_well(
    speakers: tuple[int, int], seen: tuple[bool, bool], expected: list[float] | None
) -> None:
    turns = [Said(speaker=who, seen=is_seen) for who, is_seen in zip(speakers, seen, strict=True)]
    terms = score(conversation_of(turns), question_of(turns, words=["ada"]), ranking=Ranking())
    assert terms.get("speaker", np.zeros(0)).tolist() == (expected or [])


@given(conversations(), rankings(), st.floats(0, 1), st.floats(0, 1))
def test_recency_and_importance_never_pass_what_matters_more(
    turns: list[Said], ranking: Ranking, recency: float, importance: float
) -> None:
    seen = np.array([turn.seen for turn in turns])
    assume(seen.any())
    conversation, question = conversation_of(turns), question_of(turns)
    off = replace(ranking, recency=0, importance=0)
    base = total(conversation, question, off)[seen]
    boosted = replace(ranking, recency=recency, importance=importance)
    final = total(conversation, question, boosted)[seen]
    height = base - base.min()
    for more in range(len(base)):
        for less in range(len(base)):
            if height[more] > (1 + recency + importance) * height[less] + 1e-4:
                assert final[more] > final[less]


def test_recency_and_importance_order_equals() -> None:
    turns = [
        Said(("rain",), minute=0),
        Said(("rain",), session=1, minute=30_000, importance=0.0),
        Said(("rain",), session=2, importance=1.0),
        Said(("so",), session=3),
    ]
    conversation, question = conversation_of(turns), question_of(turns)
    recent = total(conversation, question, Ranking(recency=0.2))
    vital = total(conversation, question, Ranking(importance=0.2))
    assert recent[1] > recent[0] == recent[2]
    assert vital[2] > vital[0] == vital[1]


def test_a_named_date_lifts_what_was_said_then() -> None:
    turns = [Said(minute=0), Said(session=1, minute=365 * 24 * 60)]
    terms = score(
        conversation_of(turns), question_of(turns, spans=[MAY_2023]), ranking=Ranking(date=2)
    )
    assert terms["date"].tolist() == [2, pytest.approx(0, abs=1e-9)]


@given(conversations(), rankings(), st.sampled_from(([], ["unheard"], list(VOCABULARY))))
def test_every_row_is_finite_says_something_and_has_a_number_for_each_turn(
    turns: list[Said], ranking: Ranking, terms: list[str]
) -> None:
    rows = score(conversation_of(turns), question_of(turns, terms), ranking=ranking)
    for row in rows.values():
        assert row.dtype == np.float32
        assert row.shape == (len(turns),)
        assert np.isfinite(row).all()
        assert row.any()


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("words", [(), ("rain",)])
def test_turns_that_cannot_be_told_apart_score_by_their_words_alone(
    size: int, words: tuple[str, ...]
) -> None:
    turns = [Said(words, session=place, cosine=0.37) for place in range(size)]
    ranking = Ranking(recency=1, importance=1)
    rows = score(conversation_of(turns), question_of(turns), ranking=ranking)
    assert set(rows) == ({"lexical"} if words else set())
    assert all(np.ptp(row) == 0 for row in rows.values())


@pytest.mark.parametrize("turns", [[], [Said(("rain",), seen=False)] * 2])
def test_where_there_are_no_candidates_nothing_is_scored(turns: list[Said]) -> None:
    ranking = Ranking(recency=1, importance=1)
    assert score(conversation_of(turns), question_of(turns), ranking=ranking) == {}
