"""Fifty people whose ids are attacks on each other, and what each of them may ever see.

Each one's turns hold marks of his own, in content, speaker, metadata and captions. Whatever a
read gives back, tells in an error, logs or leaves on a span is searched for the marks of others.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from router_tools import define, open_router

from agentmem import ALL, AgentmemError, Memory, ToolRouter
from agentmem.testing import HashEmbedder

__all__ = ["EMBEDDER", "PEOPLE", "STRANGERS", "Guard", "Room", "fill", "fill_router", "hostile"]

EMBEDDER: Final = HashEmbedder(128)
MARK: Final = re.compile(r"zq(\d{2})[abc]")

ATTACKS: Final = (
    *(
        "ada' OR '1'='1",
        "ada'; DROP TABLE turns; --",
        "ada'/*",
        "ada' UNION SELECT * FROM turns --",
    ),
    *("' OR user_id IS NOT NULL --", "\\' OR 1=1 --", "ada\\", '" OR ""="', "ada;--", "1=1"),
    *("user_id", "null", "NULL", "None", "true", "*", "%", "_", "ada%", "ada_", "$.user_id"),
    *('{"user_id": "ada"}', '["ada"]', '{"$ne": null}', "{}", "../ada", "s3://ada/x", "ada/../bob"),
)
ALIKE: Final = (
    *("ada", "Ada", "ADA", "ad", "a", "adaa", " ada", "ada ", "ada\t", "ada\n", "\u0430da"),
    *("ad\u00e0", "ada\u0300", "ada\u200b", "\ufeffada", "\uff41da", "ada\u202e", "ada\x01"),
    *("u" * 511 + "x", "u" * 511 + "y", "u" * 510, "\U0001f642"),
)
PEOPLE: Final = tuple(dict.fromkeys((*ALIKE, *ATTACKS)))[:50]
STRANGERS: Final = (
    *("adA", "ada  ", "aad", "bob", "ada' OR 'x'='x", "') OR (1=1", "u" * 512, "\u212bda", "ad%"),
    *("' OR true OR '", "ada' --", "a' OR user_id LIKE 'a%", "ada\u2028", "0", "[]", "ALL"),
)
AGENTS: Final = (None, None, "helper", "' OR 1=1 --")
SESSIONS: Final = (None, "s1", "s' OR '1'='1", "%", "S1")
FIELDS: Final = (
    *("user_id", "agent_id", "session_id", "id", "name", "content", "role", "event_time", "pinned"),
    *(
        "metadata.owner",
        "metadata.a.b",
        "metadata.' OR 1=1 --",
        "metadata.$.x",
        "metadata.",
        "text",
    ),
    *("vector", "key", "lexemes", "1=1", "user_id; --", "user_id = 'ada' OR user_id"),
)
OPERATORS: Final = ("eq", "ne", "lt", "lte", "gt", "gte", "in", "contains", "like", "OR", "")


class _Hearing(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is logged."""
        self._said.append(record.getMessage())


@dataclass
class Room:
    """A store full of people.

    Attributes:
        memory: The store.
        counts: Turns of each person.
        folder: Takes exports.
    """

    memory: Memory
    counts: dict[str, int]
    folder: Path


@dataclass
class Guard:
    """Hears everything that comes out, and finds the marks of others in it.

    Attributes:
        exporter: Of spans, where there is one.
        leaks: What was found: who read, what was done, whose mark it was.
        reads: How many reads were made.
        answered: How many of them gave something with a mark.
    """

    exporter: InMemorySpanExporter | None
    leaks: list[tuple[str, str, str]] = field(default_factory=list)
    reads: int = 0
    answered: int = 0
    said: list[str] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what is logged, too."""
        handler = _Hearing(self.said)
        logger = logging.getLogger("agentmem")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def check(self, who: str, call: Callable[[], object], *, given: str) -> object:
        """Make a read, and look at everything that came of it.

        Args:
            who: The person whose marks may be seen; nobody's if it is no person.
            call: The read.
            given: What was asked, which an answer may repeat.
        """
        self.reads += 1
        result: object = None
        try:
            result = call()
            heard = repr(result)
        except AgentmemError as error:
            heard = " ".join(map(str, _chain(error)))
        self.look(who, [heard, *self.said, *self._spans()], given=given)
        self.said.clear()
        return result

    def look(self, who: str, heard: list[str], *, given: str) -> None:
        """Search texts for the marks of others."""
        own = f"{PEOPLE.index(who):02d}" if who in PEOPLE else ""
        asked = set(MARK.findall(given))
        for text in heard:
            marks = MARK.findall(text)
            self.answered += own in marks
            for mark in set(marks) - {own} - asked:
                self.leaks.append((who, given, mark))

    def _spans(self) -> list[str]:
        if self.exporter is None:
            return []
        spans = self.exporter.get_finished_spans()
        self.exporter.clear()
        return [
            f"{span.name} {dict(span.attributes or {})} {span.status.description} "
            + " ".join(f"{one.name} {dict(one.attributes or {})}" for one in span.events)
            for span in spans
        ]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def fill(folder: Path, *, turns: int = 5) -> Room:
    """Make a store in which every person has some turns, whose ids are the same for everybody."""
    memory = Memory.open(folder / "store", embedder=EMBEDDER, capture_content=True)
    given: list[dict[str, Any]] = []
    for number, user in enumerate(PEOPLE):
        mark = f"zq{number:02d}"
        given += [
            {
                "id": f"turn-{place}",
                "role": "user" if place % 2 else "assistant",
                "content": f"the secret word number {place} is {mark}a",
                "name": f"{mark}b",
                "metadata": {"owner": f"{mark}c", "a": {"b": place}, "' OR 1=1 --": f"{mark}c"},
                "attachments": [{"type": "image", "caption": f"a picture of {mark}a"}],
                "user_id": user,
                "agent_id": AGENTS[(number + place) % len(AGENTS)],
                "session_id": SESSIONS[(number * 3 + place) % len(SESSIONS)],
            }
            for place in range(turns)
        ]
    memory.add(given)
    memory._home.parts.store.compact()
    assert memory.count(scope=ALL) == len(given)
    return Room(memory, dict.fromkeys(PEOPLE, turns), folder)


def fill_router(folder: Path) -> ToolRouter:
    """Make a router in which every person has a namespace with tools."""
    router = open_router(folder / "tools", capture_content=True)
    for number, namespace in enumerate(PEOPLE[:20]):
        mark = f"zq{number:02d}"
        tools = [
            define("find_secret", f"Finds the secret {mark}a.", place=f"Where {mark}b is."),
            define(f"tool_{mark}a", f"Opens the door of {mark}b."),
        ]
        router.register(tools, namespace=namespace)
    return router


def hostile(rng: Random, who: str) -> Any:
    """Return a filter, or something that is none, that would be glad to see others' turns."""
    other = rng.choice((*PEOPLE, *STRANGERS, "turn-1", "user"))
    comparison = {
        rng.choice(FIELDS): rng.choice(
            [
                other,
                None,
                {rng.choice(OPERATORS): other},
                {"in": [other, who, "x"]},
                {"ne": other},
                {"gte": ""},
                {"contains": "e"},
            ]
        )
    }
    wrong = ["1=1", "user_id = 'ada'", [], {}, 7, {"or": []}, {"and": other}, {"not": None}]
    return rng.choice(
        [
            comparison,
            {"or": [comparison, {"user_id": {"ne": who}}]},
            {"or": [{"user_id": other}, {"metadata.owner": {"ne": "x"}}]},
            {"not": comparison},
            {"not": {"user_id": who}},
            {"and": [comparison, {"or": [comparison, {"id": {"ne": "x"}}]}]},
            json.loads(json.dumps(comparison)),
            rng.choice(wrong),
        ]
    )
