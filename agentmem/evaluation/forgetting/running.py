"""Runs the cases on a store of its own, and counts what leaked and what was lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from agentmem.evaluation.forgetting.cases import CATEGORIES, Case, Category, cases
from agentmem.memory import Memory
from agentmem.protocols import Embedder

__all__ = ["Outcome", "evaluate"]

K: Final = 10
TOKENS: Final = 400
LONG_AGO: Final = datetime(2024, 5, 1, tzinfo=timezone.utc)
CHATTER: Final = ("Good morning!", "Thanks, that helps.", "What a week.", "Let us talk tomorrow.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the cases of one category came out.

    Attributes:
        category: Which.
        cases: How many.
        leaked: Of these, those in which a search or a context gave the fact away.
        lost: Of these, those in which something was not found that has to stay.
    """

    category: Category
    cases: int
    leaked: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def score(self) -> float:
        """Share of the cases in which nothing leaked and nothing was lost."""
        return 1 - len({*self.leaked, *self.lost}) / self.cases


def evaluate(folder: Path, *, embedder: Embedder | None = None) -> list[Outcome]:
    """Run every case in every category.

    Args:
        folder: An empty folder for the stores.
        embedder: Makes the vectors; all-MiniLM-L6-v2 if None.
    """
    return [_run(category, folder / category, embedder=embedder) for category in CATEGORIES]


def _run(category: Category, folder: Path, *, embedder: Embedder | None) -> Outcome:
    leaked, lost = [], []
    found = cases()
    with Memory.open(folder, embedder=embedder) as memory:
        for number, case in enumerate(found):
            transcript = _transcript(case, number)
            memory.add(transcript, user_id="ada", session_id=f"s{number}")
            if category == "cross-user":
                memory.add(transcript, user_id="bob", session_id=f"s{number}")
        for number, case in enumerate(found):
            STEPS[category](memory, case, number)
        for case in found:
            if _leaks(memory, case, category):
                leaked.append(case.fact)
            if not _keeps(memory, case, category):
                lost.append(case.fact)
    return Outcome(category=category, cases=len(found), leaked=tuple(leaked), lost=tuple(lost))


def _transcript(case: Case, number: int) -> list[dict[str, Any]]:
    said = [CHATTER[number % len(CHATTER)], case.fact, case.kept]
    return [
        {
            "id": f"{number}-{place}",
            "role": "user",
            "content": content,
            "created_at": LONG_AGO + timedelta(days=number, minutes=place),
        }
        for place, content in enumerate(said)
    ]


def _supersede(memory: Memory, case: Case, number: int) -> None:
    memory.supersede(f"{number}-1", {"role": "user", "content": case.newer}, user_id="ada")


def _release(memory: Memory, case: Case, number: int) -> None:
    del case
    past = datetime.now(timezone.utc) - timedelta(seconds=1)
    memory.update(f"{number}-1", user_id="ada", expires_at=past)


def _purge(memory: Memory, case: Case, number: int) -> None:
    """Erase all facts at once: an erasure reads every file."""
    del case
    if number == 0:
        facts = [f"{one}-1" for one in range(len(cases()))]
        memory.forget(facts, user_id="ada", reason="evaluation", progress=False)


def _reingest(memory: Memory, case: Case, number: int) -> None:
    _purge(memory, case, number)
    memory.add(_transcript(case, number), user_id="ada", session_id=f"s{number}")
    anew = [{"role": "user", "content": one["content"]} for one in _transcript(case, number)]
    memory.add(anew, user_id="ada", session_id=f"again-{number}")


STEPS: Final[dict[Category, Callable[[Memory, Case, int], None]]] = {
    "supersede": _supersede,
    "release": _release,
    "purge": _purge,
    "re-ingest": _reingest,
    "paraphrase": _purge,
    "cross-user": _purge,
}


def _leaks(memory: Memory, case: Case, category: Category) -> bool:
    """Whether the fact comes back, by its own question or another one."""
    asked = [case.question]
    if category == "paraphrase":
        asked.append(case.paraphrase)
    return any(case.fact in _given(memory, question, "ada") for question in asked)


def _keeps(memory: Memory, case: Case, category: Category) -> bool:
    """Whether what has to stay is found."""
    kept = case.kept_answer in _given(memory, case.kept_question, "ada")
    if category == "supersede":
        then = memory.search(case.question, user_id="ada", k=K, as_of=LONG_AGO + timedelta(days=90))
        past = any(case.fact == hit.turn.content for hit in then)
        return kept and past and case.newer_answer in _given(memory, case.question, "ada")
    if category == "cross-user":
        return kept and case.fact in _given(memory, case.question, "bob")
    return kept


def _given(memory: Memory, question: str, user: str) -> str:
    """Everything that a search and a context give away."""
    hits = memory.search(question, user_id=user, k=K)
    packed = memory.context(question, user_id=user, max_tokens=TOKENS)
    return "\n".join([*(hit.turn.content for hit in hits), packed.text])
