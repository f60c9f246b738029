"""The LoCoMo format: very long conversations of two people, over dated sessions.

Maharana et al., "Evaluating Very Long-Term Conversational Memory of LLM Agents" (ACL 2024),
as published in `locomo10.json`. Takes a path, gives a Dataset. Captions of shared images become
attachments. Session dates name no time zone and are read as UTC; turns of a session are put one
second apart, because only the session is dated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from agentmem.evaluation.datasets import (
    Conversation,
    Dataset,
    Question,
    add_indexable,
    read_json,
)

__all__ = ["load_locomo"]

_CATEGORIES: Final = {
    1: "multi-hop",
    2: "temporal",
    3: "open-domain",
    4: "single-hop",
    5: "adversarial",
}
_EVIDENCE: Final = re.compile(r"D\s?:?(\d+):(\d+)")  # some read "D8:6; D9:17", "D:11:26", "D30:05"
_SESSION: Final = re.compile(r"session_(\d+)")
_DATE: Final = "%I:%M %p on %d %B, %Y"
_TURN_SPACING: Final = timedelta(seconds=1)  # keeps the order of turns that share one date


def load_locomo(path: Path) -> Dataset:
    """Read LoCoMo's one JSON file.

    Args:
        path: The file, such as `locomo10.json`.

    Returns:
        The conversations; turn ids are LoCoMo's `D<session>:<turn>`.
    """
    notes: Counter[str] = Counter()
    conversations = [_conversation(sample, notes=notes) for sample in read_json(path)]
    return Dataset("locomo", conversations, dict(+notes))


def _conversation(sample: Mapping[str, Any], *, notes: Counter[str]) -> Conversation:
    messages: list[dict[str, Any]] = []
    for message in _messages(sample["conversation"]):
        add_indexable(message, to=messages, notes=notes)
    ids = frozenset(message["id"] for message in messages)
    return Conversation(
        str(sample["sample_id"]), messages, _questions(sample["qa"], ids=ids, notes=notes)
    )


def _messages(conversation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    # Dates of sessions that were never published are there too, so sessions are what is looked for.
    numbers = sorted(int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key)))
    for number in numbers:
        start = _date(conversation[f"session_{number}_date_time"])
        for position, turn in enumerate(conversation[f"session_{number}"]):
            yield {
                "id": turn["dia_id"],
                "role": "user",  # both speakers are people
                "name": turn["speaker"],
                "content": turn["text"],
                "session_id": f"session_{number}",
                "created_at": (start + position * _TURN_SPACING).isoformat(),
                "attachments": _attachments(turn),
            }


def _date(text: str) -> datetime:
    return datetime.strptime(text, _DATE).replace(tzinfo=timezone.utc)


def _attachments(turn: Mapping[str, Any]) -> list[dict[str, str]]:
    urls, caption = turn.get("img_url") or [], turn.get("blip_caption")
    if not urls and not caption:
        return []
    attachment = {"type": "image", "url": urls[0] if urls else None, "caption": caption}
    return [{key: value for key, value in attachment.items() if value}]


def _questions(
    rows: Sequence[Mapping[str, Any]], *, ids: frozenset[str], notes: Counter[str]
) -> list[Question]:
    questions = []
    for row in rows:
        named = _evidence(row.get("evidence") or ())
        notes["evidence ids that name no turn"] += len(named - ids)
        if gold := named & ids:
            category = _CATEGORIES.get(row["category"], str(row["category"]))
            questions.append(Question(row["question"], gold, category))
        else:
            notes["questions without evidence, skipped"] += 1
    return questions


def _evidence(entries: Sequence[str]) -> frozenset[str]:
    found = _EVIDENCE.findall(" ".join(map(str, entries)))
    return frozenset(f"D{int(session)}:{int(turn)}" for session, turn in found)
