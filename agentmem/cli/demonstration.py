"""What `agentmem demo` does, before it is printed: load a conversation, ask, keep the times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from agentmem.cli.machine import context_form, recall_form
from agentmem.cli.options import load_model, opened, waiting
from agentmem.types import Context, Recall

if TYPE_CHECKING:
    from agentmem.memory import Memory

__all__ = ["DEPTHS", "USER", "Answer", "Demonstration", "demonstrate", "kept_or_temporary"]

USER: Final = "ada"
DEPTHS: Final = (5, 10)  # a glance, and a whole screen of hits
CONTEXT_TOKENS: Final = 200  # small enough that the example shows a choice being made


@dataclass(frozen=True, slots=True)
class Answer:
    """One question, what was found, and where the turns are that hold the answer."""

    question: str
    answer: str
    kind: str
    evidence: tuple[str, ...]
    recall: Recall

    def ranks(self) -> dict[str, int | None]:
        """Return the rank of every evidence turn, None where it was not found."""
        found = {hit.turn.id: rank for rank, hit in enumerate(self.recall, 1)}
        return {one: found.get(one) for one in self.evidence}

    def complete(self, depth: int) -> bool:
        """Return whether all of the evidence is among the first hits."""
        return all(rank is not None and rank <= depth for rank in self.ranks().values())

    @property
    def encoding(self) -> float:
        """Milliseconds that encoding the question took."""
        return self.recall.milliseconds.get("embeddings", 0.0)

    @property
    def searching(self) -> float:
        """Milliseconds that everything else took."""
        return sum(self.recall.milliseconds.values()) - self.encoding


@dataclass(frozen=True, slots=True)
class Demonstration:
    """All that a demonstration found."""

    turns: int
    sessions: int
    seconds: float
    answers: tuple[Answer, ...]
    asked: str
    context: Context

    def complete(self, depth: int) -> int:
        """Return for how many questions all evidence is among the first hits."""
        return sum(answer.complete(depth) for answer in self.answers)

    @property
    def encoding(self) -> float:
        """Median milliseconds of encoding a question."""
        return median(answer.encoding for answer in self.answers)

    @property
    def searching(self) -> float:
        """Median milliseconds of everything else in a search."""
        return median(answer.searching for answer in self.answers)

    def form(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "turns": self.turns,
            "sessions": self.sessions,
            "seconds_adding": self.seconds,
            "questions": [
                {
                    "question": one.question,
                    "answer": one.answer,
                    "kind": one.kind,
                    "evidence": one.ranks(),
                    "recall": recall_form(one.recall),
                }
                for one in self.answers
            ],
            "all_evidence_in_top": {str(depth): self.complete(depth) for depth in DEPTHS},
            "median_milliseconds": {"encoding": self.encoding, "searching": self.searching},
            "context": {"query": self.asked, **context_form(self.context)},
        }


@contextmanager
def kept_or_temporary(store: str | None) -> Iterator[str]:
    """Give the place of the demo's store; one that nobody named is removed at the end."""
    if store is not None:
        yield store
        return
    with TemporaryDirectory(prefix="agentmem-demo-", ignore_cleanup_errors=True) as folder:
        yield folder


def demonstrate(store: str, *, model: str | None) -> Demonstration:
    """Load the conversation into a store and ask it the questions.

    Args:
        store: Where; a store that holds the conversation already keeps it as it is.
        model: As the option `--model`.
    """
    from agentmem.demo import conversation, questions

    load_model(model)
    with opened(store, model=model, read_only=False, create=True) as memory:
        turns = conversation()
        with waiting("adding the conversation"):
            began = time.perf_counter()
            memory.add(turns, user_id=USER)
            seconds = time.perf_counter() - began
        with waiting("asking"):
            answers = tuple(
                Answer(
                    question=one["question"],
                    answer=one["answer"],
                    kind=one["kind"],
                    evidence=tuple(one["evidence"]),
                    recall=memory.search(one["question"], user_id=USER, k=max(DEPTHS)),
                )
                for one in questions()
            )
            example, context = _example(memory, answers)
    sessions = len({turn["session_id"] for turn in turns})
    return Demonstration(len(turns), sessions, seconds, answers, example.question, context)


def _example(memory: Memory, answers: Sequence[Answer]) -> tuple[Answer, Context]:
    """Pack the first question whose evidence all fits, so that there is something to look at."""
    packed = [
        (one, memory.context(one.question, user_id=USER, max_tokens=CONTEXT_TOKENS))
        for one in answers
    ]
    whole = (
        (one, context)
        for one, context in packed
        if set(one.evidence) <= {turn.id for turn in context.turns}
    )
    return next(whole, packed[0])
