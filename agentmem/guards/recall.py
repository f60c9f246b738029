"""The guard against recall loops: text that `context` handed out is known when it comes back.

An agent that stores its own prompts stores what it was reminded of, is reminded of that, and so
on. Kept are keyed hashes of the lines that were handed out, as they were laid out; no content.
A hash is bound to the store and to the user whose turns they are, so that nobody can find out
from what is left out what somebody else was told.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from typing import Final, TypeAlias, get_args

from cachetools import LRUCache

from agentmem.types import Role, Turn
from agentmem.types.guards import LeftOut

__all__ = ["HandedOut", "RecallGuard"]

HandedOut: TypeAlias = Callable[[Iterable[tuple[str | None, str]]], None]
"""Is told what was handed out: texts as they were laid out, each with the user whose turn it is."""

MOST_LINES: Final = 1 << 17  # of a process, about 20 MB: 1,000 full contexts of 8,000 tokens
LEAST_CHARACTERS: Final = 40  # less is said by chance, or is no loss to store once more
OWN_SHARE: Final = {"system": 0.1, "tool": 0.1}  # a preface and a cut last line are no loss there;
# of users and assistants every word of their own counts: it may be the answer
FRAME: Final = re.compile(r"<[^<>]{1,78}>|#.{0,79}|`{3}.{0,77}|[-=_]{3,80}|.{0,79}:")
FRAMED: Final = ("assistant", "system", "tool")  # whose headings and tags around it do not count
HASH_BYTES: Final = 8  # two of 131,072 lines share one by chance once in 10^9 processes
DEEPEST: Final = 16  # levels of a tool's JSON that are looked into
DECORATION: Final = " \t>*•-"  # quotes and bullets before a line
ROLES: Final = frozenset(get_args(Role))  # words of the form of a message, not of its text
START: Final = b""


class RecallGuard:
    """Knows what `context` handed out of one store. Safe for several threads.

    All guards of one place in one process share what they know.

    Args:
        place: Of the store, the same for every handle on it.
    """

    def __init__(self, place: str) -> None:
        self._place = place.encode("utf-8", "surrogateescape")
        self._known = _process()

    def handed_out(self, texts: Iterable[tuple[str | None, str]]) -> None:
        """Remember texts, each with the user whose turn it is."""
        self._known.add(
            one for user_id, text in texts for one in self._chain(_lines(text), user_id)
        )

    def stage(self, turns: Sequence[Turn]) -> list[Turn | LeftOut]:
        """Leave out the turns that are nothing but what was handed out."""
        return [self._left_out(turn) if self.is_recalled(turn) else turn for turn in turns]

    def is_recalled(self, turn: Turn) -> bool:
        """Return whether nearly all of a turn's text was handed out."""
        if len(turn.content) < LEAST_CHARACTERS or not self._known:
            return False
        own = recalled = 0
        for text in _texts(turn.content, role=turn.role):
            for line, known in self._read(text, turn.user_id):
                if known:
                    recalled += len(line)
                elif turn.role not in FRAMED or not FRAME.fullmatch(line):
                    own += len(line)
        most = OWN_SHARE.get(turn.role, 0.0)
        return recalled >= LEAST_CHARACTERS and own <= most * (own + recalled)

    def _read(self, text: str, user_id: str | None) -> Iterator[tuple[str, bool]]:
        """Each line, and whether it was handed out.

        A line counts as the first of a text, or as the one that followed the line before it: what
        a turn says after its first line is known only behind that.
        """
        before = START
        for line in _lines(text):
            following = self._hash(line, user_id, before=before)
            first = self._hash(line, user_id, before=START)
            before = following if following in self._known else first
            known = before in self._known
            before = before if known else START
            yield line, known

    def _chain(self, lines: Iterable[str], user_id: str | None) -> Iterator[bytes]:
        before = START
        for line in lines:
            before = self._hash(line, user_id, before=before)
            yield before

    def _hash(self, line: str, user_id: str | None, *, before: bytes) -> bytes:
        whose = b"" if user_id is None else b"u" + user_id.encode()
        parts = (self._place, whose, before, line.encode())
        told = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return blake2b(told, digest_size=HASH_BYTES, key=self._known.key).digest()

    @staticmethod
    def _left_out(turn: Turn) -> LeftOut:
        return LeftOut(
            turn.id, "recalled", "recall_guard", "it repeats what a context handed out, and no more"
        )


class _Known:
    """The hashes that a process knows, the least recently handed out forgotten first."""

    def __init__(self) -> None:
        self.key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._hashes: LRUCache[bytes, None] = LRUCache(MOST_LINES)

    def add(self, hashes: Iterable[bytes]) -> None:
        found = list(hashes)
        with self._lock:
            for one in found:
                self._hashes[one] = None

    def __contains__(self, one: object) -> bool:
        with self._lock:
            return one in self._hashes

    def __len__(self) -> int:
        with self._lock:
            return len(self._hashes)


@cache
def _process() -> _Known:
    """What this process knows; made at its first use."""
    return _Known()


def _lines(text: str) -> Iterator[str]:
    """The lines of a text without what quoting and wrapping do to them; empty ones left out."""
    for line in text.splitlines():
        if words := " ".join(line.lstrip(DECORATION).split()):
            yield words


def _texts(content: str, *, role: Role) -> Iterator[str]:
    """The texts that a message is made of: of a tool's JSON, the texts in it."""
    if role != "user" and content.lstrip()[:1] in ("{", "[", '"'):
        try:
            yield from _inside(json.loads(content))
        except (ValueError, RecursionError):
            pass
        else:
            return
    yield content


def _inside(value: object, *, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield "" if value in ROLES else value
    elif depth < DEEPEST and isinstance(value, dict):
        for one in value.values():
            yield from _inside(one, depth=depth + 1)
    elif depth < DEEPEST and isinstance(value, list):
        for one in value:
            yield from _inside(one, depth=depth + 1)
