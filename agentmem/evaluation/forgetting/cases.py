"""The cases: facts of a user, what becomes of them, and questions that show whether it did.

Twelve facts, each in every category. Self-written; small talk of the demonstration lies between.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, TypeAlias

__all__ = ["CATEGORIES", "Case", "Category", "cases"]

Category: TypeAlias = Literal[
    "supersede", "release", "purge", "re-ingest", "paraphrase", "cross-user"
]
CATEGORIES: Final[dict[Category, str]] = {
    "supersede": "the fact was corrected: the newer one is found, the older one only as of then",
    "release": "the fact was kept until a date that is past",
    "purge": "the fact was erased",
    "re-ingest": "the fact was erased, and the whole transcript was added again",
    "paraphrase": "the fact was erased, and is asked for in other words",
    "cross-user": "the fact was erased for one user, and another one who said the same keeps it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fact, and what is asked.

    Attributes:
        fact: What was said.
        question: Asks for it.
        answer: A word of the fact that must not come back.
        paraphrase: Asks for it in other words.
        newer: What corrects it.
        newer_answer: A word of the correction that has to be found.
        kept: What the same user said beside it, and stays.
        kept_question: Asks for that.
        kept_answer: A word of it that has to be found.
    """

    fact: str
    question: str
    answer: str
    paraphrase: str
    newer: str
    newer_answer: str
    kept: str
    kept_question: str
    kept_answer: str


def cases() -> list[Case]:
    """Return the twelve cases."""
    text = (files(__package__) / "cases.json").read_text(encoding="utf-8")
    return [Case(**one) for one in json.loads(text)]
