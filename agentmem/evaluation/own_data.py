"""The `jsonl` format: your own conversations and questions, one conversation a line.

    {"id": "ada",
     "messages": [{"id": "t1", "role": "user", "content": "I moved to Lisbon.",
                   "session_id": "s1", "created_at": "2024-05-03T10:00:00Z"}],
     "questions": [{"question": "Where does Ada live?", "gold": ["t1"], "category": "facts"}]}

Messages are what `Memory.add` takes; one without an `id` gets its place in the list, from 0.
`category` may be left out. Takes a path, gives a Dataset; nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentmem.errors import InvalidInput
from agentmem.evaluation.datasets import Conversation, Dataset, Question, read_json_lines

__all__ = ["load_own"]

_NO_CATEGORY: Final = "uncategorised"


def load_own(path: Path) -> Dataset:
    """Read conversations with questions in agentmem's own form.

    Args:
        path: A file of one JSON object a line.

    Returns:
        The conversations, in order.

    Raises:
        InvalidInput: An id is used twice, or a question names a turn that is not there.
    """
    conversations: dict[str, Conversation] = {}
    for number, row in read_json_lines(path):
        where = f"line {number} of {path}"
        conversation = _conversation(row, where=where)
        if conversation.id in conversations:
            raise InvalidInput(f"{where}: conversation id {conversation.id!r} is used twice")
        conversations[conversation.id] = conversation
    return Dataset("jsonl", list(conversations.values()))


def _conversation(row: Mapping[str, Any], *, where: str) -> Conversation:
    messages = [{"id": str(n), **message} for n, message in enumerate(row["messages"])]
    ids = [message["id"] for message in messages]
    if len(set(ids)) < len(ids):
        raise InvalidInput(f"{where}: two messages share an id; ids must be unique")
    questions = [_question(entry, ids=frozenset(ids), where=where) for entry in row["questions"]]
    return Conversation(str(row["id"]), messages, questions)


def _question(entry: Mapping[str, Any], *, ids: frozenset[str], where: str) -> Question:
    gold = _gold(entry["gold"])
    if not gold or gold - ids:
        wrong = f"names {sorted(gold - ids)}, which no message has as id" if gold else "names none"
        raise InvalidInput(
            f"{where}: the gold of question {entry['question']!r} {wrong}; "
            "list the ids of the messages that hold its evidence"
        )
    return Question(entry["question"], gold, str(entry.get("category", _NO_CATEGORY)))


def _gold(value: Sequence[str]) -> frozenset[str]:
    return frozenset([value] if isinstance(value, str) else value)
