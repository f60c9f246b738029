"""What the configurations of rankings have in common: their weights by name, and their hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from functools import lru_cache
from typing import Any, ClassVar, Final, Protocol

__all__ = ["Config", "hash_of", "weights_of"]

CONFIGS: Final = 64  # whose hashes are remembered: every retrieval names its own


class Config(Protocol):
    """A frozen dataclass whose fields are numbers."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def weights_of(config: Config) -> dict[str, float]:
    """Return every weight of a configuration, by name; `asdict` takes six times as long."""
    return {field.name: getattr(config, field.name) for field in fields(config)}


@lru_cache(CONFIGS)
def hash_of(config: Config) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 over their canonical JSON."""
    numbers = {name: value + 0.0 for name, value in weights_of(config).items()}  # 1 and 1.0
    canonical = json.dumps(numbers, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
