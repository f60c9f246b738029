"""The names of spans, and which conventions names are from.

OpenTelemetry's GenAI conventions (their own repository since 2026; status Development, so names
still move) and, beside them, OpenInference's, because dashboards read one or the other. What is
agentmem's own lies under `agentmem.`. Every attribute is in `attributes.csv` (see `table`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = [
    "GEN_AI_CONVENTIONS",
    "OPENINFERENCE_CONVENTIONS",
    "OPERATIONS",
    "PHASES",
    "OpenInferenceKind",
    "Operation",
    "Phase",
    "SpanSpec",
]

GEN_AI_CONVENTIONS: Final = "1.42.0-dev"  # of semantic-conventions-genai: not released yet
OPENINFERENCE_CONVENTIONS: Final = "0.1.42"  # of openinference-semantic-conventions

Operation: TypeAlias = Literal[
    "search_memory",
    "create_memory",
    "upsert_memory",
    "update_memory",
    "delete_memory",
    "retrieval",
    "agentmem.context",
    "agentmem.replay",
    "agentmem.router.register",
    "agentmem.router.sync",
    "agentmem.router.remove",
    "agentmem.router.feedback",
    "agentmem.router.calibrate",
    "agentmem.drift.check",
    "agentmem.migrate",
]
Phase: TypeAlias = Literal[
    "embeddings",
    "rerank",
    "read",
    "load",
    "dense",
    "lexical",
    "fuse",
    "neighbours",
    "priors",
    "fetch",
    "pack",
    "choose",
    "guard",
    "fit",
    "commit",
    "carry",
    "gates",
    "flip",
    "drift.model",
    "drift.texts",
    "drift.content",
    "drift.questions",
    "drift.answers",
    "drift.language",
    "drift.length",
]
OpenInferenceKind: TypeAlias = Literal["RETRIEVER", "EMBEDDING", "RERANKER", "CHAIN"]


@dataclass(frozen=True, slots=True)
class SpanSpec:
    """One kind of span.

    Attributes:
        kind: What dashboards show it as.
        means: What it covers, in a few words.
        gen_ai: Value of `gen_ai.operation.name`; None where the conventions have no word for it.
    """

    kind: OpenInferenceKind
    means: str
    gen_ai: str | None = None


OPERATIONS: Final[Mapping[Operation, SpanSpec]] = {
    "search_memory": SpanSpec("RETRIEVER", "one search", "search_memory"),
    "create_memory": SpanSpec("CHAIN", "`add`, and each batch of an import", "create_memory"),
    "upsert_memory": SpanSpec("CHAIN", '`add(on_conflict="replace")`', "upsert_memory"),
    "update_memory": SpanSpec("CHAIN", "`supersede`, `update`", "update_memory"),
    "delete_memory": SpanSpec("CHAIN", "`delete`", "delete_memory"),
    "retrieval": SpanSpec("RETRIEVER", "one selection of tools, or a batch", "retrieval"),
    "agentmem.context": SpanSpec("CHAIN", "`context`: a search and its packing"),
    "agentmem.replay": SpanSpec("CHAIN", "a past retrieval run again"),
    "agentmem.router.register": SpanSpec("CHAIN", "`register`"),
    "agentmem.router.sync": SpanSpec("CHAIN", "`sync`"),
    "agentmem.router.remove": SpanSpec("CHAIN", "`remove`"),
    "agentmem.router.feedback": SpanSpec("CHAIN", "`add_examples`, `feedback` and `revert`"),
    "agentmem.router.calibrate": SpanSpec("CHAIN", "`calibrate`"),
    "agentmem.drift.check": SpanSpec("CHAIN", "`drift.check`, and each one in the background"),
    "agentmem.migrate": SpanSpec("CHAIN", "a migration, as often as somebody runs or resumes it"),
}

PHASES: Final[Mapping[Phase, SpanSpec]] = {
    "embeddings": SpanSpec("EMBEDDING", "texts to vectors, or from the cache", "embeddings"),
    "rerank": SpanSpec("RERANKER", "the reranker reads the best hits"),
    "read": SpanSpec("CHAIN", "messages or tools are read and checked"),
    "load": SpanSpec("CHAIN", "columns brought up to the newest version, and cut to the scope"),
    "dense": SpanSpec("CHAIN", "cosines of the query with everything in sight"),
    "lexical": SpanSpec("CHAIN", "postings of the query's terms"),
    "fuse": SpanSpec("CHAIN", "both legs standardised and added"),
    "neighbours": SpanSpec("CHAIN", "what turns lend each other, and sessions their turns"),
    "priors": SpanSpec("CHAIN", "speaker, date, length, recency, importance, and the order"),
    "fetch": SpanSpec("CHAIN", "the turns behind the best rows"),
    "pack": SpanSpec("CHAIN", "turns laid out within a token budget"),
    "choose": SpanSpec("CHAIN", "tools ranked, then abstention or budget"),
    "guard": SpanSpec("CHAIN", "held-out queries asked without and with a lesson"),
    "fit": SpanSpec("CHAIN", "a threshold fitted on labelled queries"),
    "commit": SpanSpec("CHAIN", "one LanceDB commit"),
    "drift.model": SpanSpec("CHAIN", "canaries embedded and compared"),
    "drift.texts": SpanSpec("CHAIN", "stale vectors and changing sources counted"),
    "drift.content": SpanSpec("CHAIN", "newer sessions compared with those of the baseline"),
    "drift.questions": SpanSpec("CHAIN", "newer questions compared with those of the baseline"),
    "drift.answers": SpanSpec("CHAIN", "probe questions asked again, exactly and by the index"),
    "drift.language": SpanSpec("CHAIN", "scripts and languages compared"),
    "drift.length": SpanSpec("CHAIN", "lengths compared with the window"),
    "carry": SpanSpec("CHAIN", "rows embedded anew, into the next generation"),
    "gates": SpanSpec("CHAIN", "what has to hold before readers move over"),
    "flip": SpanSpec("CHAIN", "the last rows while writers wait, and the swap"),
}
