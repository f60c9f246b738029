"""Small conversations for the ranking tests: drawn, built into columns, asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentmem.ranking import Ranking
from agentmem.ranking.lexical import Postings
from agentmem.ranking.neighbours import Kernel
from agentmem.ranking.score import Conversation, Question, score

MINUTE = 60_000_000
VOCABULARY = ("lisbon", "flat", "rain", "mother")
SPEAKERS = (("ada",), ("grace", "hopper"), ("j",))
DAY = 24 * 60 * MINUTE
MAY_2023 = (1_682_899_200_000_000, 1_685_577_600_000_000)


@dataclass(frozen=True)
class Said:
    """One turn as a test writes it."""

    words: tuple[str, ...] = ()
    session: int = 0
    minute: int = 0
    speaker: int = 0
    cosine: float = 0.0
    importance: float = float("nan")
    asks: bool = False
    seen: bool = True


def column(values: Iterable[float]) -> NDArray[np.float32]:
    """Make a float32 column."""
    return np.fromiter(values, np.float32)


def conversation_of(
    turns: Sequence[Said], *, coherence: float = 1.0, ranking: Ranking | None = None
) -> Conversation:
    """Build the columns of turns that are sorted by session and time."""
    ranking = ranking or Ranking()
    session = np.array([turn.session for turn in turns], np.int32)
    lengths = column(len(turn.words) for turn in turns)
    event_time = np.array([MAY_2023[0] + turn.minute * MINUTE for turn in turns], np.int64)
    kernel = Kernel.build(
        session,
        lengths,
        event_time=event_time,
        reach=ranking.reach,
        gap=ranking.gap_minutes * MINUTE,
    )
    return Conversation(
        session=session,
        lengths=lengths,
        speaker=np.array([turn.speaker for turn in turns], np.int32),
        speakers=SPEAKERS,
        event_time=event_time,
        importance=column(turn.importance for turn in turns),
        asks=np.array([turn.asks for turn in turns], np.bool_),
        kernel=kernel,
        coherence=coherence,
    )


def postings_of(turns: Sequence[Said], term: str) -> Postings:
    """Find the turns that hold a term, and how often."""
    counts = {place: Counter(turn.words)[term] for place, turn in enumerate(turns)}
    held = {place: count for place, count in counts.items() if count}
    return np.array(list(held), np.int32), column(held.values())


def question_of(
    turns: Sequence[Said],
    terms: Iterable[str] = VOCABULARY,
    *,
    words: Iterable[str] = (),
    spans: Sequence[tuple[int, int]] = (),
    now: int = MAY_2023[1],
) -> Question:
    """Ask for terms, and for whatever the turns' cosines are similar to."""
    seen = np.array([turn.seen for turn in turns], np.bool_)
    return Question(
        cosines=column(turn.cosine for turn in turns),
        postings={term: postings_of(turns, term) for term in terms},
        words=frozenset(words),
        spans=spans,
        now=now,
        candidates=None if seen.all() else seen,
    )


def total(conversation: Conversation, question: Question, ranking: Ranking) -> NDArray[np.float32]:
    """Add up the terms of a score."""
    rows = score(conversation, question, ranking=ranking).values()
    return sum(rows, np.zeros(len(conversation.session), np.float32))


TEXTS = tuple(  # of up to three of a few words, repeats included
    text for size in range(4) for text in product((*VOCABULARY, "so"), repeat=size)
)
TURN = st.builds(  # few draws for many columns: drawing is what these tests spend their time on
    lambda text, minute, cosine, importance, rest: Said(
        words=text,
        minute=minute,
        cosine=cosine / 10,
        importance=importance,
        speaker=rest % len(SPEAKERS),
        asks=rest % 2 == 0,
        seen=rest < 36,
    ),
    st.sampled_from(TEXTS),
    st.integers(0, 30),
    st.integers(-10, 10),
    st.sampled_from((float("nan"), 0.0, 0.5, 1.0)),
    st.integers(0, 47),
)
SESSIONS = st.lists(
    st.tuples(st.integers(0, 40 * 24 * 60), st.lists(TURN, min_size=1, max_size=5)),
    min_size=1,
    max_size=4,
)


def conversations(*, masked: bool = True) -> st.SearchStrategy[list[Said]]:
    """Draw up to four sessions of up to five turns, minutes apart; days between sessions."""
    return SESSIONS.map(lambda sessions: _in_order(sessions, masked=masked))


def _in_order(sessions: list[tuple[int, list[Said]]], *, masked: bool) -> list[Said]:
    turns = []
    for session, (start, said) in enumerate(sessions):
        minutes = accumulate((turn.minute for turn in said), initial=start)
        turns += [
            replace(turn, session=session, minute=minute, seen=turn.seen or not masked)
            for turn, minute in zip(said, minutes, strict=False)
        ]
    return turns


def rankings() -> st.SearchStrategy[Ranking]:
    """Draw weights, each of them often off."""
    weight = st.sampled_from((0.0, 0.25, 1.0, 2.0))
    share = st.sampled_from((0.0, 0.1, 1.0))
    return st.builds(
        Ranking,
        dense=weight,
        lexical=weight,
        context=weight,
        session=weight,
        speaker=weight,
        length=weight,
        question=weight,
        date=weight,
        recency=share,
        importance=share,
    )
