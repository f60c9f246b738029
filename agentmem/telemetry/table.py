"""The attribute table: every attribute that a span of agentmem may carry, read from its file.

Nothing is looked up here while spans are made. The tests check every span against it, and
docs/tracing.md prints it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias, cast

from agentmem.telemetry.conventions import OPERATIONS, PHASES

__all__ = ["Attribute", "Level", "attribute_of", "attributes"]

Level: TypeAlias = Literal["required", "if known", "opt-in"]
ValueType: TypeAlias = Literal["str", "int", "float", "bool", "str[]"]

FILE: Final = "attributes.csv"
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "all": (*OPERATIONS, *PHASES),
    "operations": tuple(OPERATIONS),
    "phases": tuple(PHASES),
    "memory": ("search_memory", "create_memory", "upsert_memory", "delete_memory"),
    "router": tuple(name for name in OPERATIONS if name.startswith("agentmem.router.")),
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute.

    Attributes:
        name: Its name; `{i}` stands for a number.
        type: Of its value; `str[]` is a list of texts.
        spans: Operations and phases whose spans may carry it.
        level: Whether it is always there, where it is known, or only where content is captured.
        is_low: Whether it has few values, so that one may group by it.
        meaning: What it says.
    """

    name: str
    type: ValueType
    spans: frozenset[str]
    level: Level
    is_low: bool
    meaning: str


@cache
def attributes() -> tuple[Attribute, ...]:
    """Return the table, in the order of its file."""
    text = files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return tuple(_read(row) for row in csv.DictReader(text.splitlines()))


@cache
def attribute_of(name: str) -> Attribute | None:
    """Return the row that a name on a span belongs to, or None where there is none."""
    general = re.sub(r"\.\d+\.", ".{i}.", name)
    return next((one for one in attributes() if one.name == general), None)


def _read(row: Mapping[str, str]) -> Attribute:
    spans = frozenset(name for word in row["on"].split() for name in GROUPS.get(word, (word,)))
    level, kind = cast("Level", row["level"]), cast("ValueType", row["type"])
    return Attribute(row["name"], kind, spans, level, row["cardinality"] == "low", row["meaning"])
