"""The words of the tool router: tools, selections, lessons, and what a person reads about them.

Frozen dataclasses with slots, made for the tools that leave a pipeline, never for candidates.
They know nothing of storage, models or telemetry.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args, overload

from agentmem.errors import InvalidInput
from agentmem.types.memory import FIRST_GENERATION

__all__ = [
    "Calibration",
    "CatalogueChange",
    "Explanation",
    "Lesson",
    "LessonKind",
    "SchemaFormat",
    "Selection",
    "SelectionAsked",
    "Tool",
    "ToolEvidence",
    "ToolMatch",
    "ToolSource",
]

ToolSource: TypeAlias = Literal[
    "function",
    "pydantic",
    "openai",
    "openai-responses",
    "anthropic",
    "mcp",
    "langchain",
    "plain",
]
"""What a tool was made from."""

SchemaFormat: TypeAlias = Literal["openai", "openai-responses", "anthropic", "mcp", "original"]
"""How a tool is described to a model; `original` is how it was registered."""

LessonKind: TypeAlias = Literal["examples", "feedback", "revert"]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of a catalogue.

    Attributes:
        name: Unique within its namespace.
        description: What it does, never altered.
        parameters: JSON Schema of its arguments, an object schema.
        namespace: The catalogue's part it belongs to, such as a server or a tenant.
        tags: Labels to filter by.
        source: What it was made from.
        original: The definition as it was given, as JSON. Of a Python object, which is no JSON,
            the OpenAI definition derived from it.
    """

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = "default"
    tags: tuple[str, ...] = ()
    source: ToolSource = "plain"
    original: Mapping[str, Any] = field(default_factory=dict)

    def schema(self, format: SchemaFormat = "openai") -> dict[str, Any]:  # noqa: A002 - the field's word for it
        """Return a new dictionary that describes the tool to a model.

        Args:
            format: `openai` for chat completions, `openai-responses`, `anthropic`, `mcp`, or
                `original` for the definition as it was registered.

        Raises:
            InvalidInput: There is no such format.
        """
        if format not in get_args(SchemaFormat):
            formats = ", ".join(map(repr, get_args(SchemaFormat)))
            raise InvalidInput(f"format={format!r} is none that tools are given in: {formats}.")
        if format == "original":
            return copy.deepcopy(dict(self.original))
        parameters = copy.deepcopy(dict(self.parameters))
        named = {"name": self.name, "description": self.description}
        if format == "openai":
            return {"type": "function", "function": {**named, "parameters": parameters}}
        if format == "openai-responses":
            return {"type": "function", **named, "parameters": parameters}
        return {**named, ("input_schema" if format == "anthropic" else "inputSchema"): parameters}


@dataclass(frozen=True, slots=True)
class ToolEvidence:
    """Why a tool was found, recorded when a selection is asked to explain.

    Attributes:
        similarity: Cosine of the query and the tool's nearest view, centred over the catalogue,
            in [-1, 1].
        view: The text of that view.
        words: The query's words found in the tool, each with its share of the lexical score.
        examples: The tool's nearest usage examples, each with its cosine, nearest first.
        succeeded: Uses that succeeded, of those that were reported; likewise `failed`.
        failed: See `succeeded`.
    """

    similarity: float
    view: str
    words: Mapping[str, float]
    examples: tuple[tuple[str, float], ...] = ()
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class ToolMatch:
    """One tool that a selection found.

    Attributes:
        tool: The tool.
        score: Rank score, higher is better; comparable within one selection only.
        probability: That the tool is needed for the query, in [0, 1].
        terms: Each contribution to `score`; they add up to it.
        evidence: Present when the selection was made with `explain=True`.
    """

    tool: Tool
    score: float
    probability: float
    terms: Mapping[str, float]
    evidence: ToolEvidence | None = None

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.tool.name


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionAsked:
    """What a selection was asked with beside its query: enough to run it again.

    Attributes:
        k: How many tools at most, or "auto".
        routing: Every weight, by name.
        rule: Threshold, slope, intercept and temperature that it abstains by.
        learnt_at: The present that usage was weighed by age at (UTC).
        fits_version: Of the table of fits.
        texts: Recent messages and recalled turns it was told.
        used: Names of all tools called so far, each once, oldest first.
        exclude: Names left out.
        max_tokens: The budget for the definitions.
        where: The filter in its JSON form.
        store: The folder or address, as it was given to `open`.
    """

    k: int | Literal["auto"]
    routing: Mapping[str, float]
    rule: Mapping[str, float]
    learnt_at: datetime
    fits_version: int = 0
    texts: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_tokens: int | None = None
    where: Mapping[str, Any] | None = None
    store: str = ""


@dataclass(frozen=True, slots=True)
class Selection(Sequence[ToolMatch]):
    """The tools chosen for a query, best first; empty when nothing fits.

    Attributes:
        matches: The tools chosen, best first.
        candidates: The k best tools, chosen or not.
        query: The query as asked.
        abstained: Whether nothing in the catalogue was found to fit.
        reason: Why it abstained, or why fewer tools were chosen than asked for; else None.
        confidence: Probability that a tool of the catalogue fits, in [0, 1].
        threshold: Confidence below which the router abstains.
        calibrated: Whether the threshold comes from `calibrate`, and still holds.
        needs_tool: What speaks for and against a fitting tool: terms of the log-odds of
            `confidence`; they add up to it.
        unmatched_terms: Words of the query that occur in no candidate.
        tokens: Tokens of the chosen tools' OpenAI schemas.
        tokens_saved: Tokens of all the tools that could have been sent, minus `tokens`.
        namespace: Where it searched; None for everywhere.
        called: Names of the tools called in the last turn that called any, as its `history` told.
        asked: What else it was asked with, such as k and the weights.
        catalogue: How many tools were in sight.
        catalogue_version: Version of the LanceDB table of tools that was read.
        examples_version: Version of the LanceDB table of usage examples that was read.
        passport_id: Identity of the embedding space.
        config_id: Hash of the routing configuration.
        milliseconds: Wall time of each phase.
        trace_id: Of its span, 32 hexadecimal digits; None where none is recorded.
        span_id: Of its span, 16 hexadecimal digits; likewise.
        generation: Number of the store's generation that `catalogue_version` is of.
    """

    matches: tuple[ToolMatch, ...]
    candidates: tuple[ToolMatch, ...]
    query: str
    abstained: bool
    reason: str | None
    confidence: float
    threshold: float
    calibrated: bool
    needs_tool: Mapping[str, float]
    unmatched_terms: tuple[str, ...]
    tokens: int
    tokens_saved: int
    namespace: str | None
    called: tuple[str, ...]
    asked: SelectionAsked
    catalogue: int
    catalogue_version: int
    examples_version: int
    passport_id: str
    config_id: str
    milliseconds: Mapping[str, float]
    trace_id: str | None = None
    span_id: str | None = None
    generation: int = FIRST_GENERATION

    def __len__(self) -> int:
        return len(self.matches)

    @overload
    def __getitem__(self, index: int) -> ToolMatch: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ToolMatch, ...]: ...
    def __getitem__(self, index: int | slice) -> ToolMatch | tuple[ToolMatch, ...]:
        return self.matches[index]

    def __iter__(self) -> Iterator[ToolMatch]:
        return iter(self.matches)

    @property
    def names(self) -> list[str]:
        """Names of the chosen tools, best first."""
        return [match.name for match in self.matches]

    def schemas(self, format: SchemaFormat = "openai") -> list[dict[str, Any]]:  # noqa: A002 - see Tool.schema
        """Return the chosen tools' definitions, ready for a model's request, best first.

        Args:
            format: As in `Tool.schema`.

        Raises:
            InvalidInput: There is no such format.
        """
        return [match.tool.schema(format) for match in self.matches]


@dataclass(frozen=True, slots=True)
class CatalogueChange:
    """What a registration, a sync or a removal did, or would do: names of tools, sorted.

    Attributes:
        added: New tools.
        changed: Tools whose definition differs from the stored one, and was embedded anew.
        unchanged: Tools that were already there as given; nothing was embedded for them.
        removed: Tools that are gone.
        namespace: Where.
        embedded: Views (name, description, arguments) that were embedded.
        dry_run: Whether nothing was written.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    namespace: str
    embedded: int
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Lesson:
    """One change of what the router has learnt, as `history` lists it.

    Attributes:
        id: Names the lesson for `revert`; ids sort by time.
        kind: Usage examples, feedback on a selection, or a revert.
        at: When it was given (UTC).
        namespace: Whose tools it concerns.
        tools: Names of those tools.
        observations: Pairs of a query and a tool that it brought.
        applied: Whether it passed the guard and took effect.
        active: Whether it has effect now; a revert takes it away.
        reason: Why it was, or was not, applied, in a sentence.
        before: nDCG@5 on held-out queries without the lesson; None if none were at hand.
        after: The same with it.
        by: Who or what gave it, where the caller said so.
        reverted_to: Of a revert, the lesson that was made the last one.
    """

    id: str
    kind: LessonKind
    at: datetime
    namespace: str
    tools: tuple[str, ...]
    observations: int
    applied: bool
    active: bool
    reason: str
    before: float | None = None
    after: float | None = None
    by: str | None = None
    reverted_to: str | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold of abstention, what it promises, and what came of it.

    Attributes:
        alpha: Nominal rate of wrong refusals: of queries that a tool does fit.
        threshold: Confidence below which the router abstains.
        queries: Answerable queries it was fitted on; 0 for the default threshold.
        unanswerable: Queries with no fitting tool that were given with them.
        upper_bound: Rate of wrong refusals that is exceeded with a chance of 5 % at most
            (exact binomial, Clopper & Pearson 1934).
        refused: Share of the unanswerable queries that the threshold refuses; None without any.
        auroc: Of the confidence, answerable against unanswerable; None without any.
        valid: Whether catalogue, embedder and configuration are still those it was fitted on.
        reason: What the threshold rests on, or why it is no longer valid.
        realised: Rate of wrong refusals in the feedback since; None without any.
        observed: Feedback on answerable queries since.
        at: When it was fitted; None for the default.
    """

    alpha: float
    threshold: float
    queries: int
    unanswerable: int
    upper_bound: float
    refused: float | None
    auroc: float | None
    valid: bool
    reason: str
    realised: float | None
    observed: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why these tools and not the next ones.

    Attributes:
        selection: With evidence on every match and candidate.
        losers: The nearest tools that were not chosen, best first, with evidence.
        margin: Score of the last chosen tool minus that of the first loser; None if there is
            none of either.
        text: The same in words, for a terminal.
    """

    selection: Selection
    losers: tuple[ToolMatch, ...]
    margin: float | None
    text: str
