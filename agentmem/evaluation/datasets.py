"""Conversations with questions whose evidence is known: what an evaluation runs on.

The values every loader gives and the runner takes, and the readers of JSON the loaders share.
They know no publisher's format and nothing of storage.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentmem.errors import InvalidInput
from agentmem.types import AllScopes, Mode, Scope

__all__ = [
    "Conversation",
    "Dataset",
    "Mistake",
    "Question",
    "add_indexable",
    "read_json",
    "read_json_lines",
    "read_text",
]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one conversation.

    Attributes:
        text: The question, as it is searched.
        gold: Ids of the turns that hold the evidence; never empty.
        category: The kind of question, by which reports are split.
        where: The filter it is asked with, in its JSON form.
        mode: The legs that are searched, where a system has none of its own.
    """

    text: str
    gold: frozenset[str]
    category: str
    where: Mapping[str, Any] | None = None
    mode: Mode = "hybrid"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A question that turns were found for which are wrong, whatever is right.

    Attributes:
        text: The question, as it is searched.
        wrong: Ids of those turns; never empty.
        where: The filter it is asked with, in its JSON form.
        mode: See `Question`.
    """

    text: str
    wrong: frozenset[str]
    where: Mapping[str, Any] | None = None
    mode: Mode = "hybrid"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation, searched on its own, and its questions.

    Attributes:
        id: Unique within the data set; the `user_id` its turns are stored under.
        messages: Dictionaries that `Memory.add` accepts, each with an `id`, in order.
        questions: What is asked about it.
        mistakes: What is asked to see whether past mistakes come back.
        scope: Whose turns they are where the messages say that themselves, so that a turn may be
            in several conversations; None stores them under the user `id`.
    """

    id: str
    messages: Sequence[Mapping[str, Any]]
    questions: Sequence[Question]
    mistakes: Sequence[Mistake] = ()
    scope: Scope | AllScopes | None = None

    def contents(self) -> dict[str, str]:
        """Return the text of each turn, captions of what it shared included, by id."""
        return {
            str(message["id"]): " ".join([str(message["content"]), *_captions(message)])
            for message in self.messages
        }


@dataclass(frozen=True, slots=True)
class Dataset:
    """Conversations of one source.

    Attributes:
        name: The format they were read from, such as `locomo`.
        conversations: The conversations, in the source's order.
        notes: What the loader dropped or guessed, counted by a readable reason.
    """

    name: str
    conversations: Sequence[Conversation]
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def turns(self) -> int:
        """How many messages there are in all."""
        return sum(len(conversation.messages) for conversation in self.conversations)

    @property
    def questions(self) -> int:
        """How many questions there are in all."""
        return sum(len(conversation.questions) for conversation in self.conversations)

    @property
    def mistakes(self) -> int:
        """How many past mistakes are asked for."""
        return sum(len(conversation.mistakes) for conversation in self.conversations)


def add_indexable(
    message: dict[str, Any], *, to: list[dict[str, Any]], notes: Counter[str]
) -> None:
    """Append a message, or count it in the notes where it has no text and no caption."""
    if str(message["content"]).strip() or _captions(message):
        to.append(message)
    else:
        notes["turns without text"] += 1


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        InvalidInput: There is no such file, or it is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path} is not JSON ({error})") from error


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a file of one JSON object a line, each with its line number from 1.

    Raises:
        InvalidInput: There is no such file, or a line is not a JSON object.
    """
    # Not str.splitlines: it also breaks at U+2028, which JSON allows inside a string.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"line {number} of {path} is not JSON ({error})") from error
        if not isinstance(value, dict):
            raise InvalidInput(f"line {number} of {path} is not a JSON object")
        yield number, value


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        InvalidInput: There is no such file, or it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text ({error})") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror or error})") from error


def _captions(message: Mapping[str, Any]) -> list[str]:
    shared = message.get("attachments") or ()
    return [attachment["caption"] for attachment in shared if attachment.get("caption")]
