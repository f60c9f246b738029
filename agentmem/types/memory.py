"""The words of memory: turns, recalls, contexts.

Frozen dataclasses with slots, made only for what leaves a pipeline (the final k hits, one
context), never for candidates. They know nothing of storage, models or telemetry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, overload

from agentmem.types.passport import Passport

__all__ = [
    "ALL",
    "FIRST_GENERATION",
    "AllScopes",
    "Attachment",
    "Context",
    "Dates",
    "Deletion",
    "Dropped",
    "Evidence",
    "Hit",
    "ImportReport",
    "Kind",
    "Mode",
    "Recall",
    "Role",
    "Scope",
    "SearchAsked",
    "Session",
    "StoreStats",
    "Turn",
    "Update",
]

Role: TypeAlias = Literal["user", "assistant", "system", "developer", "tool"]
Mode: TypeAlias = Literal["hybrid", "dense", "lexical"]
Kind: TypeAlias = Literal["query", "document"]
Dates: TypeAlias = Literal["hint", "filter", "ignore"]

FIRST_GENERATION: Final = 1


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
        valid_until: From when on what it says is no longer true; None while it is.
        superseded_by: Id of the turn that corrected it.
        superseded_at: When the store learnt that it is no longer true.
        expires_at: From when on it is forgotten: not found, and deleted by maintenance.
        pinned: Whether neither `expires_at` nor a retention policy removes it.
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
    valid_until: datetime | None = None
    superseded_by: str | None = None
    superseded_at: datetime | None = None
    expires_at: datetime | None = None
    pinned: bool = False

    @property
    def speaker(self) -> str:
        """The name where there is one, else the role."""
        return self.name or self.role

    def is_expired(self, at: datetime) -> bool:
        """Return whether it is forgotten by its date, at a moment."""
        return self.expires_at is not None and not self.pinned and self.expires_at <= at

    @property
    def scope(self) -> Scope:
        """The full scope this turn lies in."""
        return Scope(self.user_id, self.agent_id, self.session_id)


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
        as_of: The moment whose truth was asked for; None for that of `at`.
        known_at: The moment until which what the store learnt counts; None for all of it.
        dates: What the dates that the question names were used for.
    """

    k: int
    ranking: Mapping[str, float]
    at: datetime
    since: datetime | None = None
    until: datetime | None = None
    where: Mapping[str, Any] | None = None
    reranker: str | None = None
    store: str = ""
    as_of: datetime | None = None
    known_at: datetime | None = None
    dates: Dates = "hint"


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
    """What an import did: turns stored, already present, set aside, and where those are.

    `left_out` counts what guards did not let in; of these, refused ones are set aside as well,
    without their text.
    """

    stored: int
    unchanged: int
    rejected: int
    resumed_at: int
    rejects_path: str | None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Update:
    """What an update did, or would do: how many turns, and which ids were not there."""

    turns: int
    missing: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a delete did, or would do: how many turns, and which ids were not there."""

    turns: int
    missing: tuple[str, ...]
    dry_run: bool
