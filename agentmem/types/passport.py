"""The passport: whose vectors a store rests on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Any, Final

__all__ = ["Passport"]

PASSPORT_VERSION: Final = 1  # raised when a field is added that tells spaces apart


@dataclass(frozen=True, slots=True)
class Passport:
    """The identity of an embedding space: two vectors compare only under equal passports.

    Attributes:
        provider: Library or service, such as `sentence-transformers`.
        model: Name as the provider knows it, never a path of one machine.
        revision: Revision or commit that was asked for; `None` if unpinned.
        weights: SHA-256 of the weights, where they can be read.
        tokenizer: SHA-256 of the tokenizer, where it can be read.
        dimension: Components of a vector.
        window: Longest input in tokens; longer texts are split, never cut.
        pooling: How token vectors become one.
        normalized: Whether vectors have unit length.
        query_prompt: Text put before a query.
        document_prompt: Text put before a document.
        precision: Number format of the vectors.
        text_format: How a turn becomes the text that is embedded.
        chunker: How a text longer than the window is split.
        full_dimension: Components the model itself gives, where only the first of them are kept
            (Matryoshka models); None where all are.
        version: Of this list of fields.
    """

    provider: str
    model: str
    dimension: int
    revision: str | None = None
    weights: str | None = None
    tokenizer: str | None = None
    window: int | None = None
    pooling: str = "mean"
    normalized: bool = True
    query_prompt: str = ""
    document_prompt: str = ""
    precision: str = "float32"
    text_format: str = "speaker-caption-v1"
    chunker: str = "overlap-v1"
    full_dimension: int | None = None
    version: int = PASSPORT_VERSION

    @property
    def id(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 over the canonical JSON of all fields."""
        canonical = json.dumps(self._fields(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def differences(self, other: Passport) -> dict[str, tuple[Any, Any]]:
        """Fields that differ, each with (this one's, the other's) value."""
        mine, theirs = self._fields(), other._fields()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}

    def _fields(self) -> dict[str, Any]:
        """Every field, by name; every retrieval asks for `id`, and `asdict` takes twice as long."""
        return {one.name: getattr(self, one.name) for one in fields(self)}
