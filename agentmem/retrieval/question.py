"""A query made ready for ranking: its vector, its terms, the speakers and dates it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agentmem.analysis import analyze, sources, words
from agentmem.checks import clean_text
from agentmem.errors import InvalidInput
from agentmem.ranking.dates import Span, named_spans
from agentmem.ranking.lexical import Postings
from agentmem.ranking.score import Question
from agentmem.retrieval.sight import Sight

__all__ = ["Query", "read_query"]


@dataclass(frozen=True, slots=True)
class Query:
    """A query and what was read from it.

    Attributes:
        text: As it was asked.
        words: Its words, lower case.
        terms: Its search terms, each once, with the word it came from.
    """

    text: str
    words: frozenset[str]
    terms: dict[str, str] = field(default_factory=dict)

    def postings(self, sight: Sight) -> dict[str, Postings]:
        """For each search term the turns in sight that hold it.

        Participants' names are taken out of the terms: a turn that holds one mostly addresses
        that person, while what the question wants is mostly said *by* them (the speaker term).
        """
        people = {part for name in sight.conversation.speakers for part in name if len(part) > 1}
        named = {term for part in people & self.words for term in analyze(part)}
        terms = [term for term in self.terms if term not in named]
        return {term: sight.postings(term) for term in terms or self.terms}

    def spans(self, sight: Sight, *, now: int) -> list[Span]:
        """Return the dates it names, in so many words or from the present."""
        return named_spans(self.text, years=sight.years, now=now)

    def question(
        self,
        *,
        cosines: NDArray[np.float32] | None,
        postings: dict[str, Postings] | None,
        candidates: NDArray[np.bool_] | None,
        spans: Sequence[Span],
        now: int,
        error: float = 0.0,
    ) -> Question:
        """Ask it with the legs that were searched and the dates that are hints."""
        return Question(
            cosines=cosines,
            postings=postings,
            words=self.words,
            spans=spans,
            now=now,
            candidates=candidates,
            error=error,
        )


def read_query(text: object) -> Query:
    """Read a query.

    Raises:
        InvalidInput: It is empty, or no text.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"a query is text, not {type(text).__name__}. Pass the question itself.")
    if not clean_text(text, what="query").strip():
        raise InvalidInput(
            "the query is empty, so nothing can match it. Ask something, or list turns in order "
            "with memory.turns(session_id=...)."
        )
    return Query(text, frozenset(words(text)), sources(text))
