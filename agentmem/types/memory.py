"""The words of memory: turns, recalls, contexts, and whose vectors they rest on.

Frozen dataclasses with slots, made only for what leaves a pipeline (the final k hits, one
context), never for candidates. They know nothing of storage, models or telemetry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, overload

__all__ = [
    "ALL",
    "FIRST_GENERATION",
    "AllScopes",
    "Attachment",
    "Context",
    "Deletion",
    "Dropped",
    "Evidence",
    "Hit",
    "ImportReport",
    "Kind",
    "Mode",
    "Passport",
    "Recall",
    "Role",
    "Scope",
    "SearchAsked",
    "Session",
    "StoreStats",
    "Turn",
]

Role: TypeAlias = Literal["user", "assistant", "system", "developer", "tool"]
Mode: TypeAlias = Literal["hybrid", "dense", "lexical"]
Kind: TypeAlias = Literal["query", "document"]

FIRST_GENERATION: Final = 1
PASSPORT_VERSION: Final = 1  # raised when a field is added that tells spaces apart


class AllScopes(Enum):
    """The type of `ALL`, so that reading across users has to be written out."""

    ALL = "all"

    def __repr__(self) -> str:
        return "ALL"


ALL: Final = AllScopes.ALL
"""Passed as `scope=ALL` to read across every user, agent and session on purpose."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose turns a call may see; every field that is given narrows it."""

    user_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no field narrows this scope, which reads refuse unless `ALL` is passed."""
        return self.user_id is None and self.agent_id is None and self.session_id is None


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something shared with a turn. Its caption is embedded with the turn's text."""

    type: str
    url: str | None = None
    caption: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, exactly as it was said.

    Attributes:
        id: Unique within a user and agent.
        role: Who spoke, as a chat request names it.
        content: The text, never altered.
        name: The speaker's name where the message had one.
        user_id: Scope; likewise `agent_id`, `session_id`.
        event_time: When it was said (UTC, microseconds).
        ingested_at: When this store first kept it (UTC, microseconds).
        metadata: JSON values given with the message.
        attachments: Images and the like shared with the message.
        importance: From 0 to 1 where the message had one; only used by a search that asks for it.
    """

    id: str
    role: Role
    content: str
    event_time: datetime
    ingested_at: datetime
    name: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    importance: float | None = None

    @property
    def speaker(self) -> str:
        """The name where there is one, else the role."""
        return self.name or self.role

    @property
    def scope(self) -> Scope:
        """The full scope this turn lies in."""
        return Scope(self.user_id, self.agent_id, self.session_id)


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


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a hit was found, recorded when a search is asked to explain.

    Attributes:
        similarity: Cosine of the query and the turn's best chunk, in [-1, 1].
        bm25: BM25 of the turn's best chunk, 0 or more.
        words: The query's words found in the turn, each with its share of `bm25`.
        chunk: The part of a long turn that matched best; the whole text of a short one.
    """

    similarity: float
    bm25: float
    words: Mapping[str, float]
    chunk: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One turn that a search found.

    Attributes:
        turn: The turn itself.
        score: Rank score, higher is better; comparable within one recall only.
        terms: Each contribution to `score`; they add up to it.
        evidence: Present when the search was made with `explain=True`.
    """

    turn: Turn
    score: float
    terms: Mapping[str, float]
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAsked:
    """What a search was asked with beside its question: enough to run it again.

    Attributes:
        k: How many hits at most.
        ranking: Every weight, by name.
        at: The present that recency was measured from (UTC).
        since: Only turns said then or later; likewise `until`.
        until: See `since`.
        where: The filter in its JSON form.
        reranker: Class of the reranker; None without.
        store: The folder or address, as it was given to `open`.
    """

    k: int
    ranking: Mapping[str, float]
    at: datetime
    since: datetime | None = None
    until: datetime | None = None
    where: Mapping[str, Any] | None = None
    reranker: str | None = None
    store: str = ""


@dataclass(frozen=True, slots=True)
class Recall(Sequence[Hit]):
    """The hits of one search, best first, and what a person needs to judge them.

    Attributes:
        hits: The hits, best first.
        query: The question as asked.
        mode: Which legs were searched.
        scope: Whose turns were searched.
        asked: What else it was asked with, such as k and the weights.
        candidates: Turns that passed scope and filters, and were ranked.
        table_version: Version of the LanceDB table that was read.
        passport_id: Identity of the embedding space that was searched.
        config_id: Hash of the ranking configuration.
        milliseconds: Wall time of each phase.
        trace_id: Of its span, 32 hexadecimal digits; None where none is recorded.
        span_id: Of its span, 16 hexadecimal digits; likewise.
        generation: Number of the store's generation that `table_version` is of: every migration
            to another embedding space makes the next one.
    """

    hits: tuple[Hit, ...]
    query: str
    mode: Mode
    scope: Scope | AllScopes
    asked: SearchAsked
    candidates: int
    table_version: int
    passport_id: str
    config_id: str
    milliseconds: Mapping[str, float]
    trace_id: str | None = None
    span_id: str | None = None
    generation: int = FIRST_GENERATION

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A turn that was found and left out of a context, with the reason."""

    turn: Turn
    reason: Literal["budget", "duplicate"]
    tokens: int


@dataclass(frozen=True, slots=True)
class Context:
    """Turns packed into a token budget.

    Attributes:
        text: One block for a prompt, chronological, with dates and speakers.
        messages: The same turns, ready for a chat request: `{"role", "content"}`.
        hits: The search hits that fitted, best first.
        turns: Every turn of the text, neighbours included, in chronological order.
        tokens: Exact tokens of `text`.
        max_tokens: The budget it was packed into.
        dropped: What was found and did not fit, best first.
    """

    text: str
    messages: tuple[Mapping[str, str], ...]
    hits: tuple[Hit, ...]
    turns: tuple[Turn, ...]
    tokens: int
    max_tokens: int
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation of a store, as `memory.sessions` lists it."""

    session_id: str | None
    user_id: str | None
    agent_id: str | None
    turns: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Size and state of a store; `bytes` is None where the store is not a local folder."""

    turns: int
    chunks: int
    sessions: int
    users: int
    bytes: int | None
    fragments: int
    table_version: int
    schema_version: int
    passport: Passport


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: turns stored, already present, set aside, and where those are."""

    stored: int
    unchanged: int
    rejected: int
    resumed_at: int
    rejects_path: str | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a delete did, or would do: how many turns, and which ids were not there."""

    turns: int
    missing: tuple[str, ...]
    dry_run: bool
