"""The QMSum format: transcripts of real meetings, with questions about stretches of them.

Zhong et al., "QMSum: A New Benchmark for Query-based Multi-domain Meeting Summarization"
(NAACL 2021), as published in `data/ALL/jsonl`. Takes a path, gives a Dataset. The meetings are
undated and stay so: their order is the transcript's. Gold stretches are long, so recall at 10 has
a low ceiling; read precision and recall at 50 beside it. Only its specific questions name
evidence, and only they are asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentmem.evaluation.datasets import (
    Conversation,
    Dataset,
    Question,
    add_indexable,
    read_json_lines,
)

__all__ = ["load_qmsum"]


def load_qmsum(path: Path) -> Dataset:
    """Read a QMSum file of one meeting a line.

    Args:
        path: The file, such as `val.jsonl`.

    Returns:
        The meetings; a turn's id is its index in the transcript, from 0.
    """
    notes: Counter[str] = Counter()
    meetings = [
        _meeting(row, name=f"meeting-{number}", notes=notes)
        for number, row in read_json_lines(path)
    ]
    return Dataset("qmsum", meetings, dict(+notes))


def _meeting(row: Mapping[str, Any], *, name: str, notes: Counter[str]) -> Conversation:
    messages: list[dict[str, Any]] = []
    for index, turn in enumerate(row["meeting_transcripts"]):
        message = {
            "id": str(index),
            "role": "user",  # every speaker is a person
            "name": turn["speaker"],
            "content": turn["content"],
            "session_id": name,
        }
        add_indexable(message, to=messages, notes=notes)
    ids = frozenset(message["id"] for message in messages)
    return Conversation(
        name, messages, _questions(row["specific_query_list"], ids=ids, notes=notes)
    )


def _questions(
    rows: Sequence[Mapping[str, Any]], *, ids: frozenset[str], notes: Counter[str]
) -> list[Question]:
    questions = []
    for row in rows:
        if gold := _indices(row["relevant_text_span"]) & ids:
            questions.append(Question(row["query"], gold, "specific"))
        else:
            notes["questions without evidence, skipped"] += 1
    return questions


def _indices(spans: Sequence[Sequence[str]]) -> frozenset[str]:
    return frozenset(
        str(index) for first, last in spans for index in range(int(first), int(last) + 1)
    )
