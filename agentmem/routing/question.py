"""A request for tools, read: its terms, its clauses, the tools it names, and what went before.

Takes what callers pass as query, history and memory; knows no vectors and no scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from agentmem.analysis import analyze, sources, words
from agentmem.checks import clean_text, shown
from agentmem.errors import InvalidInput
from agentmem.types import Context, Hit, Recall, Turn

__all__ = ["Conversation", "Names", "Question", "read_conversation", "read_question"]

MOST_CLAUSES: Final = 12  # of a pasted document the first needs, not every sentence
SHORTEST_CLAUSE: Final = 2  # terms; "Please help me." asks for nothing
RECENT_TEXTS: Final = 2  # messages; what was said before them is another subject more often
RECALLED_TEXTS: Final = 3  # turns
ASKERS: Final = ("user", "human")  # roles of who wants something
ANSWERS: Final = ("tool", "function")  # roles of a tool's answer
_QUOTES: Final = "\u00ab\u00bb\u2018-\u201e\u3001\u3002\u300c\u300d\uff01\uff08\uff09\uff0c\uff1f"
NAME_PARTS: Final = re.compile(  # what may be an identifier
    rf"[^\s\"'`*,;!?()\[\]{{}}<>{_QUOTES}]+"
)
_HUMPS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WRITTEN: Final = re.compile(r"[_.\-:/\d]|[a-z][A-Z]")  # marks a name that is no ordinary word
_CALL: Final = re.compile(r"|function|(?:\w+_)?(?:call|tool_use)")  # of blocks; MCP has no type
_SENTENCES: Final = re.compile(r"(?<=[.?!;\u3002\uff1f\uff01])\s+|\n+")
_COORDINATION: Final = re.compile(
    r",\s+(?:and|then|but also|as well as)\s+|\s+and then\s+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Question:
    """A query, read.

    Attributes:
        text: As it was asked.
        terms: Its search terms, each once, with the word it came from.
        clauses: Terms of each clause, where there are several.
    """

    text: str
    terms: Mapping[str, str]
    clauses: tuple[list[str], ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What went before a query.

    Attributes:
        called: Names of the tools called in the last turn that called any, oldest first.
        used: Names of all tools called so far, each once, oldest first.
        texts: What was said or recalled last.
    """

    called: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(slots=True)
class Names:
    """The names of a catalogue, to be recognised in queries."""

    written: dict[str, list[int]] = field(default_factory=dict)
    spoken: dict[str, list[int]] = field(default_factory=dict)
    sizes: dict[str, set[int]] = field(default_factory=dict)  # in words, of names by their first

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """Index names as they are written, and as words."""
        index = cls()
        for place, name in enumerate(names):
            index.written.setdefault(name, []).append(place)
            said = _spoken(name)
            if said:
                index.spoken.setdefault(" ".join(said), []).append(place)
                index.sizes.setdefault(said[0], set()).add(len(said))
        return index

    def places(self, names: Iterable[str]) -> list[int]:
        """Places of the tools of these names, as they are written; those unknown are left out."""
        return [place for name in names for place in self.written.get(name, ())]

    def written_in(self, text: str) -> list[int]:
        """Places of the tools whose name stands in a text as it is written, as an identifier.

        Names that are ordinary words are left to `mentioned_in`.
        """
        found = {part.rstrip(".:") for part in NAME_PARTS.findall(text)}
        named = (one for one in found if one in self.written and _WRITTEN.search(one))
        return sorted(place for name in named for place in self.written[name])

    def mentioned_in(self, text: str) -> list[int]:
        """Places of the tools whose name, split into words, stands in a text."""
        said = _spoken(text)
        found = set(self.written_in(text))
        for start, word in enumerate(said):
            for size in self.sizes.get(word, ()):
                found.update(self.spoken.get(" ".join(said[start : start + size]), ()))
        return sorted(found)


def _spoken(text: str) -> list[str]:
    """Return the words of a name or a text, lower case, identifiers split."""
    return words(_HUMPS.sub(" ", text))


def read_question(query: object) -> Question:
    """Read a query.

    Raises:
        InvalidInput: It is empty, or no text.
    """
    if not isinstance(query, str):
        raise InvalidInput(
            f"a query is text, not {type(query).__name__}. Pass what the user asked; the "
            "messages before it go into history=."
        )
    if not clean_text(query, what="query").strip():
        raise InvalidInput(
            "the query is empty, so nothing can match it. Ask something, or see all the tools "
            "with router.list()."
        )
    parts = [part for text in _SENTENCES.split(query) for part in _COORDINATION.split(text)]
    clauses = [list(dict.fromkeys(analyze(part))) for part in parts]
    told = [clause for clause in clauses if len(clause) >= SHORTEST_CLAUSE][:MOST_CLAUSES]
    return Question(query, sources(query), tuple(told) if len(told) > 1 else ())


def read_conversation(history: object, memory: object) -> Conversation:
    """Read what went before.

    Args:
        history: Messages, oldest first: dictionaries as in chat requests (with `tool_calls`, or
            of role `tool` with a `name`), `Turn`s, or texts. None for none.
        memory: Recalled turns: a `Recall`, a `Context`, or a list of hits, turns or texts.

    Raises:
        InvalidInput: A message or a memory is none of these.
    """
    called: list[str] = []
    used: dict[str, None] = {}
    texts: list[str] = []
    is_new = False
    for place, message in enumerate(_each(history, what="history")):
        text, names = _message(message, what=f"history[{place}]")
        is_new = is_new or (bool(text and text.strip()) and _is_users(message))
        if names and is_new:  # what follows is counted by the turn
            called, is_new = [], False
        used |= dict.fromkeys(names)
        called += [name for name in names if text is not None or name not in called]
        texts += [text] if text and text.strip() else []
    recalled = memory.turns if isinstance(memory, Context) else memory
    remembered = [
        _message(one.turn if isinstance(one, Hit) else one, what=f"memory[{place}]")[0]
        for place, one in enumerate(_each(recalled, what="memory"))
    ]
    last = texts[-RECENT_TEXTS:]
    last += [text for text in remembered if text and text.strip()][:RECALLED_TEXTS]
    return Conversation(tuple(called), tuple(used), tuple(last))


def _is_users(message: object) -> bool:
    """Whether the user says it: what is called next belongs to that."""
    if isinstance(message, str):
        return True
    told = message.get if isinstance(message, Mapping) else partial(getattr, message)
    return (told("role", None) or told("type", None)) in ASKERS


def _each(given: object, *, what: str) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, (str, Mapping, Turn)):
        return [given]
    if isinstance(given, (Iterable, Recall)):
        return list(given)
    raise InvalidInput(
        f"{what}={shown(given)}: pass a list of messages, such as "
        '{"role": "user", "content": "..."}, or None.'
    )


def _message(message: object, *, what: str) -> tuple[str | None, list[str]]:
    """Return what a message says, and the names of the tools it calls.

    A tool's answer says nothing of what is wanted: None, with the name of the tool.
    """
    if isinstance(message, str):
        return clean_text(message, what=what), []
    if isinstance(message, Turn):
        message = {"role": message.role, "name": message.name, "content": message.content}
    if not isinstance(message, Mapping):
        plain = getattr(message, "model_dump", None)
        message = plain() if callable(plain) else None
    if not isinstance(message, Mapping):
        raise InvalidInput(
            f"{what} is no message. Pass dictionaries such as "
            '{"role": "user", "content": "..."}, or texts.'
        )
    if (message.get("role") or message.get("type")) in ANSWERS:
        name = message.get("name")
        return None, [name] if isinstance(name, str) and name else []
    content = message.get("content")
    blocks = content if isinstance(content, (list, tuple)) else []
    calls = [*_listed(message.get("tool_calls")), message, *blocks]
    names = [name for call in calls if isinstance(call, Mapping) and (name := _called(call))]
    text = content if isinstance(content, str) else " ".join(_texts(blocks))
    return text, names


def _called(call: Mapping[str, Any]) -> str | None:
    """Return the name of the tool that a call, or a block of a message, calls."""
    inner = call.get("function") or call.get("function_call") or call.get("params")
    if isinstance(inner, Mapping):
        call = inner
    elif "content" in call or not _CALL.fullmatch(str(call.get("type") or "")):
        return None
    name = call.get("name")
    return name if isinstance(name, str) and name else None


def _texts(blocks: Sequence[object]) -> list[str]:
    parts = [block.get("text") for block in blocks if isinstance(block, Mapping)]
    return [part for part in parts if isinstance(part, str)]


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
