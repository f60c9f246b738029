"""The words of forgetting: what was erased, by whom and why, and what the search for it found."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

__all__ = ["Erasure", "Receipt", "Remain"]

Erasure: TypeAlias = Literal["erased", "incomplete", "preview"]


@dataclass(frozen=True, slots=True)
class Remain:
    """Bytes of something erased that are still in a file.

    Attributes:
        file: Path within the store.
        what: What they are of, such as "key" or "content"; never the bytes themselves.
        why: Why they are still there, and when they can go.
    """

    file: str
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The proof of an erasure. What the store keeps of it names nobody.

    Attributes:
        id: Of the receipt.
        store: The folder or address, as it was given.
        at: When the erasure was finished (UTC).
        by: Who asked for it, as the caller says.
        reason: Why, as the caller says.
        subject: What was asked to be erased; None in what the store keeps.
        subject_hash: SHA-256 of the canonical JSON of `subject`.
        turns: How many turns were erased.
        rows: Rows removed of each table.
        spans: Spans removed from recorded traces.
        tombstones: Keyed hashes kept, so that it does not come back.
        versions_pruned: Past versions of tables that were dropped with it.
        sought: How many byte strings were looked for: keys, ids, texts and vectors.
        shared: How many of these others hold as well, so that they had to stay.
        files_scanned: Files of the store that were read from end to end.
        bytes_scanned: Their size.
        remains: What was found, and could not be removed yet.
        result: "erased"; "incomplete" where something remains; "preview" of a dry run.
        signature: HMAC-SHA256 over all fields but `subject` and itself, hexadecimal; None unsigned.
    """

    id: str
    store: str
    at: datetime
    by: str | None
    reason: str
    subject: Mapping[str, Any] | None
    subject_hash: str
    turns: int
    rows: Mapping[str, int] = field(default_factory=dict)
    spans: int = 0
    tombstones: int = 0
    versions_pruned: int = 0
    sought: int = 0
    shared: int = 0
    files_scanned: int = 0
    bytes_scanned: int = 0
    remains: tuple[Remain, ...] = ()
    result: Erasure = "erased"
    signature: str | None = None

    def signed(self, key: bytes) -> Receipt:
        """Return it with its signature."""
        return replace(self, signature=self._mac(key))

    def verify(self, key: bytes) -> bool:
        """Return whether it was signed with this key, and not changed since."""
        return self.signature is not None and hmac.compare_digest(self.signature, self._mac(key))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Receipt:
        """Return what `to_json` gave."""
        remains = tuple(Remain(**one) for one in value["remains"])
        return cls(**{**value, "at": datetime.fromisoformat(value["at"]), "remains": remains})

    def _mac(self, key: bytes) -> str:
        told = {name: one for name, one in self.to_json().items() if name not in UNSIGNED}
        canonical = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
        return hmac.new(key, canonical, hashlib.sha256).hexdigest()


UNSIGNED = frozenset({"subject", "signature"})
