"""Random values for the fuzzer: hostile texts, values of every type, and mutations of good ones."""

from __future__ import annotations

import gzip
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["anything", "filter_of", "message", "mutated", "spoiled", "text", "tool", "write_file"]

TEXTS: Final = (
    *("", " ", "\0", "a\0b", "\ud800", "\udfff\ud83d", "\ufeff", "\u202e", "e\u0301", "\x1b[2J"),
    *(
        "' OR '1'='1",
        "'; DROP TABLE turns; --",
        "x' --",
        "/*",
        "*/",
        "\\",
        "\\'",
        '"',
        "`",
        "%",
        "_",
    ),
    *(
        "NULL",
        "null",
        "true",
        "NaN",
        "1e999",
        "-0",
        "0x10",
        "9" * 400,
        "{}",
        "[]",
        '{"a": 1}',
        "$.a",
    ),
    *(
        "ada",
        "turn-1",
        "user",
        "assistant",
        "metadata.n",
        "2024-05-01T12:00:00Z",
        "last week",
        "??",
    ),
    *(
        "the harbour",
        "word " * 300,
        "\U0001f642" * 9,
        "a" * 600,
        "(" * 80,
        "\n\n\n",
        "CAST(1 AS x)",
    ),
    *("file:///etc/passwd", "data:image/png;base64,AAAA", "%s%n{0}{x}", "\x7f\x80\x9f", "\u2028"),
)
ALPHABET: Final = "ab '\"\\;-%_{}[]()$.,:*\0\n\t\u00e9\u4e2d\U0001f642\ud800"
FIELDS: Final = (
    *("id", "role", "name", "user_id", "agent_id", "session_id", "content", "event_time"),
    *("ingested_at", "importance", "valid_until", "superseded_by", "superseded_at", "expires_at"),
    *("pinned", "metadata.n", "metadata.a.b", "metadata.a'b", "metadata.", "metadata", "vector"),
)
OPERATORS: Final = ("eq", "ne", "lt", "lte", "gt", "gte", "in", "contains", "like", "$ne", "", "or")
MESSAGE_FIELDS: Final = (
    *("role", "content", "id", "name", "created_at", "ingested_at", "metadata", "attachments"),
    *("importance", "valid_until", "expires_at", "superseded_by", "superseded_at", "pinned"),
    *(
        "user_id",
        "agent_id",
        "session_id",
        "tool_calls",
        "tool_call_id",
        "refusal",
        "function_call",
    ),
)
GOOD: Final[Mapping[str, Sequence[Any]]] = {
    "id": ("1", "2", "3", "x' --", "\u4e2d"),
    "name": ("Ada", "", "' OR 1=1"),
    "created_at": ("2024-05-01T12:00:00Z", 1.7e9, datetime(2024, 5, 1, tzinfo=timezone.utc)),
    "metadata": ({"n": 1}, {"a": {"b": [1, None, {"c": "'"}]}}, {"a'b": 1.5, "": "", "\n": True}),
    "attachments": ([{"type": "image", "url": "https://x/y", "caption": 'a "cat"'}], []),
    "importance": (0.0, 0.5, 1),
    "session_id": ("s1", "s' OR '1'='1"),
    "pinned": (True, False),
    "expires_at": ("2024-05-02T00:00:00Z", "2999-01-01T00:00:00Z"),
    "tool_calls": ([{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}],),
}
GOOD_FILTERS: Final[Sequence[Any]] = (
    {"role": "user"},
    {"metadata.n": {"gte": 1}},
    {"metadata.a.b": {"contains": None}},
    {"metadata.a'b": {"ne": "' OR 1=1 --"}},
    {"content": {"contains": "x' --"}},
    {"id": {"in": ["1", "x' --", "\u4e2d"]}},
    {"not": {"session_id": "s' OR '1'='1"}},
    {"or": [{"pinned": True}, {"expires_at": None}]},
    {"event_time": {"lt": "2024-06-01T00:00:00Z"}},
)
DEEP: Final = 3  # levels of a random value
VERY_DEEP: Final = 3_000  # levels: more than Python's recursion allows


def text(rng: Random) -> str:
    """Return a text."""
    if rng.random() < 0.6:
        return rng.choice(TEXTS)
    if rng.random() < 0.3:
        return rng.choice(TEXTS) + rng.choice(TEXTS)
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(40)))


class _Odd:
    """No message, with attributes that lead astray."""

    role, content = "user", property(lambda _: 1)

    def __repr__(self) -> str:
        return "an odd one"


def _endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def _nested(rng: Random) -> Any:
    value: Any = 1
    for _ in range(VERY_DEEP):
        value = [value] if rng.random() < 0.5 else {"and": [value]}
    return value


def anything(rng: Random, depth: int = 0) -> Any:
    """Return a value of any type."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: rng.choice([0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**40, rng.randrange(99)]),
        lambda: rng.choice([0.0, -0.0, 0.5, math.nan, math.inf, -math.inf, 1e308, 5e-324]),
        lambda: rng.choice([b"", b"\xff\x00", bytearray(b"x"), memoryview(b"y")]),
        lambda: rng.choice(
            [
                datetime(2024, 5, 1),  # noqa: DTZ001 - naive is what is refused
                datetime(2024, 5, 1, tzinfo=timezone.utc),
                datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
                datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
                date(2024, 5, 1),
                timedelta(days=1),
            ]
        ),
        lambda: rng.choice([object(), _Odd(), int, len, ..., {1, 2}, 1j, range(3), _endless()]),
        lambda: (one for one in [anything(rng, DEEP), anything(rng, DEEP)]),
        lambda: text(rng),
        lambda: text(rng),
    ]
    if depth < DEEP:
        kinds += [
            lambda: [anything(rng, depth + 1) for _ in range(rng.randrange(4))],
            lambda: tuple(anything(rng, depth + 1) for _ in range(rng.randrange(3))),
            lambda: {text(rng): anything(rng, depth + 1) for _ in range(rng.randrange(4))},
            lambda: {rng.choice([1, None, b"x", (1,)]): anything(rng, depth + 1)},
        ]
        kinds += [lambda: _nested(rng)] * (rng.random() < 0.05)
    return rng.choice(kinds)()


def json_value(rng: Random, depth: int = 0) -> Any:
    """Return a value that JSON can hold."""
    kinds: list[Callable[[], Any]] = [
        lambda: rng.choice([None, True, False, 0, -1, 0.5, 2**53 + 1, 2**63 - 1, 1e300]),
        lambda: text(rng).replace("\0", ""),
    ]
    if depth < DEEP:
        kinds += [
            lambda: [json_value(rng, depth + 1) for _ in range(rng.randrange(4))],
            lambda: {text(rng): json_value(rng, depth + 1) for _ in range(rng.randrange(4))},
        ]
    return rng.choice(kinds)()


def message(rng: Random) -> Any:
    """Return a message, most often a good one, or one with something wrong in it."""
    good: dict[str, Any] = {
        "role": rng.choice(["user", "assistant", "system", "tool"]),
        "content": rng.choice(
            ["I moved to Lisbon.", "tea", "x' --", "\u4e2d\U0001f642", text(rng)]
        ),
    }
    for name in rng.sample(sorted(GOOD), rng.randrange(5)):
        good[name] = rng.choice(GOOD[name])
    for name in rng.sample(MESSAGE_FIELDS, rng.randrange(1, 4) if rng.random() < 0.4 else 0):
        good[name] = rng.choice(
            [
                text(rng),
                rng.choice(["1", "2", "3"]),
                json_value(rng),
                {"n": json_value(rng), "a": {"b": json_value(rng)}},
                "2024-05-01T12:00:00Z",
                [{"type": "image", "url": text(rng), "caption": text(rng)}],
                [{"id": "c", "function": {"name": "f", "arguments": text(rng)}}],
                [{"type": "text", "text": text(rng)}],
            ]
        )
    return mutated(rng, good) if rng.random() < 0.3 else good


def filter_of(rng: Random, depth: int = 0) -> Any:
    """Return the JSON form of a filter, or something like it."""
    if rng.random() < 0.5:
        return rng.choice(GOOD_FILTERS)
    comparison = {
        rng.choice(FIELDS): rng.choice(
            [
                text(rng),
                json_value(rng),
                {rng.choice(OPERATORS): json_value(rng)},
                {"in": [json_value(rng) for _ in range(rng.randrange(4))]},
                {rng.choice(OPERATORS): text(rng), rng.choice(OPERATORS): text(rng)},
            ]
        )
    }
    if depth >= DEEP or rng.random() < 0.5:
        return mutated(rng, comparison) if rng.random() < 0.2 else comparison
    inner = [filter_of(rng, depth + 1) for _ in range(rng.randrange(4))]
    return rng.choice([{"and": inner}, {"or": inner}, {"not": inner[0] if inner else {}}])


def tool(rng: Random) -> Any:
    """Return the definition of a tool, or something like it."""
    good = {
        "name": rng.choice(["get_weather", "f", text(rng)]),
        "description": text(rng),
        "parameters": rng.choice(
            [{"type": "object", "properties": {text(rng): {"type": "string"}}}, json_value(rng)]
        ),
    }
    return rng.choice(
        [good, {"type": "function", "function": good}, mutated(rng, good), anything(rng)]
    )


def mutated(rng: Random, value: Any) -> Any:
    """Return a value with one thing changed, somewhere in it."""
    if isinstance(value, Mapping) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        rest = {key: one for key, one in value.items() if key != name}
        change = rng.random()
        if change < 0.2:
            return rest
        if change < 0.4:
            return {**rest, text(rng): value[name]}
        return {**rest, name: mutated(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], mutated(rng, value[place]), *value[place + 1 :]]
    return anything(rng)


def spoiled(rng: Random, data: bytes) -> bytes:
    """Return bytes cut short, with bits flipped, or with something put in."""
    changed = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 2, 20])):
        place = rng.randrange(len(changed) + 1)
        change = rng.random()
        if change < 0.2:
            del changed[place:]
        elif change < 0.7 and place < len(changed):
            changed[place] ^= 1 << rng.randrange(8)
        elif change < 0.85:
            changed[place:place] = rng.randbytes(rng.randrange(9))
        else:
            del changed[place : place + rng.randrange(20)]
    return bytes(changed)


def write_file(rng: Random, folder: Path) -> Path:
    """Write a file to import, whole or spoiled, and return its path."""
    records = [message(rng) for _ in range(rng.randrange(1, 6))]
    lines = "".join(json.dumps(one, default=repr, skipkeys=True) + "\n" for one in _plain(records))
    data = lines.encode("utf-8", "surrogatepass")
    suffix = rng.choice([".jsonl", ".jsonl", ".ndjson", ".jsonl.gz", ".parquet", ".csv", ""])
    if suffix == ".jsonl.gz":
        data = gzip.compress(data, 1, mtime=0)
    elif suffix == ".parquet":
        data = _parquet(rng)
    path = folder / f"given{suffix}"
    path.write_bytes(spoiled(rng, data))
    return path


def _plain(records: list[Any]) -> list[Any]:
    """Return the records that JSON can write."""
    found = []
    for one in records:
        try:
            json.dumps(one, default=repr, skipkeys=True)
        except (ValueError, RecursionError):
            continue
        found.append(one)
    return found


def _parquet(rng: Random) -> bytes:
    count = rng.randrange(1, 5)
    columns: dict[str, Any] = {
        "role": ["user"] * count,
        "content": [text(rng).encode("utf-8", "replace").decode() for _ in range(count)],
        "id": [str(rng.randrange(5)) for _ in range(count)],
        "created_at": [datetime(2024, 5, 1, tzinfo=timezone.utc)] * count,
        "metadata": [json.dumps({"n": n}) for n in range(count)],
    }
    for name in rng.sample(sorted(columns), rng.randrange(3)):
        columns[name] = rng.choice(
            [[1] * count, [None] * count, [b"\xff"] * count, [{"a": 1}] * count, [[0.5]] * count]
        )
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()
