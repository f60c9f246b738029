"""The BFCL v4 memory format: what a person said over earlier sessions, and questions about it.

Berkeley Function-Calling Leaderboard, category `memory`. Takes the folder that holds
`BFCL_v4_memory.json`, gives a Dataset of one conversation a scenario. Answers quote their source
rather than name it; the quoted turn is looked up by its words, punctuation and case aside.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from agentmem.errors import InvalidInput
from agentmem.evaluation.datasets import (
    Conversation,
    Dataset,
    Question,
    add_indexable,
    read_json_lines,
)

__all__ = ["find_quoted", "load_bfcl_memory"]

_QUESTIONS: Final = "BFCL_v4_memory.json"
_ELLIPSIS: Final = re.compile(r"\.\.\.|…")
_WORD: Final = re.compile(r"\w+")
_MIN_OVERLAP: Final = 0.8  # true sources share all words with their quote, other turns at most 0.56


def load_bfcl_memory(path: Path) -> Dataset:
    """Read BFCL's memory questions with the conversations before them.

    Args:
        path: The folder with `BFCL_v4_memory.json`, `possible_answer/` and
            `memory_prereq_conversation/`.

    Returns:
        One conversation a scenario; each prerequisite entry is one of its sessions, and a turn's
        id is the entry's id and the turn's place in it, such as `memory_prereq_0-customer-0/3`.
    """
    if not path.is_dir():
        raise InvalidInput(f"{path} is not a folder")
    notes: Counter[str] = Counter()
    answers = path / "possible_answer" / _QUESTIONS
    sources = {row["id"]: row["source"] for _, row in read_json_lines(answers)}
    rows = sorted((row for _, row in read_json_lines(path / _QUESTIONS)), key=_scenario)
    conversations = [
        _conversation(path, name=name, rows=list(group), sources=sources, notes=notes)
        for name, group in groupby(rows, key=_scenario)
    ]
    return Dataset("bfcl-memory", conversations, dict(+notes))


def find_quoted(quote: str, *, texts: Mapping[str, str]) -> tuple[frozenset[str], bool]:
    """Find the texts that a quote with ellipses was taken from.

    Args:
        quote: Passages of the source, in its words, joined by `...`.
        texts: Candidate texts by id.

    Returns:
        The ids, and whether the quote was found word for word. Otherwise the ids are those of the
        texts that share most of its distinct words, if that is at least 80 % of them, or none.
    """
    passages = [words for part in _ELLIPSIS.split(quote) if (words := _words(part))]
    holders = [
        {key for key, text in texts.items() if f" {' '.join(passage)} " in _padded(text)}
        for passage in passages
    ]
    if whole := set.intersection(*holders) if holders else set():
        return frozenset(whole), True
    if holders and all(holders):
        return frozenset(set.union(*holders)), True
    return _most_alike({word for passage in passages for word in passage}, texts=texts), False


def _most_alike(wanted: set[str], *, texts: Mapping[str, str]) -> frozenset[str]:
    if not wanted:
        return frozenset()
    shares = {key: len(wanted & set(_words(text))) / len(wanted) for key, text in texts.items()}
    best = max(shares.values(), default=0.0)
    if best < _MIN_OVERLAP:
        return frozenset()
    return frozenset(key for key, share in shares.items() if share == best)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _padded(text: str) -> str:
    return f" {' '.join(_words(text))} "


def _scenario(row: Mapping[str, Any]) -> str:
    return str(row["scenario"])


def _conversation(
    folder: Path,
    *,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    sources: Mapping[str, str],
    notes: Counter[str],
) -> Conversation:
    messages: list[dict[str, Any]] = []
    for message in _messages(folder / "memory_prereq_conversation" / f"memory_{name}.json"):
        add_indexable(message, to=messages, notes=notes)
    conversation = Conversation(name, messages, questions := [])
    texts = conversation.contents()
    for row in rows:
        gold, verbatim = find_quoted(sources[row["id"]], texts=texts)
        if not gold:
            notes["questions without evidence, skipped"] += 1
            continue
        if not verbatim:
            notes["sources found by shared words"] += 1
        questions.append(Question(row["question"][0][-1]["content"], gold, name))
    return conversation


def _messages(path: Path) -> Iterator[dict[str, Any]]:
    for _, entry in read_json_lines(path):
        said = [message for step in entry["question"] for message in step]
        for position, message in enumerate(said):
            yield {
                "id": f"{entry['id']}/{position}",
                "role": message["role"],
                "content": message["content"],
                "session_id": entry["id"],
            }
