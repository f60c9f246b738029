"""One selection from query to tools: sight, ranking, abstention, budget, and the tools chosen."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import EPOCH, shown
from agentmem.embedding.queries import embed_queries
from agentmem.embedding.tracing import embedding_phase
from agentmem.errors import InvalidInput
from agentmem.filters import Filter, matches, to_json
from agentmem.protocols import Embedder
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.score import Need, Ranked, rank
from agentmem.routing.budget import Budget
from agentmem.routing.drafting import AUTO, Ask, Depth, Draft
from agentmem.routing.question import Conversation, Question, read_conversation, read_question
from agentmem.routing.sight import Sight
from agentmem.routing.thresholds import InForce
from agentmem.storage.questions import Listener
from agentmem.storage.questions import Question as Kept
from agentmem.telemetry import Attributes, Current, Tracing
from agentmem.telemetry.baggage import scope_from_baggage
from agentmem.telemetry.describing import of_selection
from agentmem.types import Scope, Selection, SelectionAsked

__all__ = ["Depth", "Request", "Rules", "Selector", "Sights"]


Mask: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A selection as it was asked for."""

    query: str
    k: Depth = 5
    max_tokens: int | None = None
    namespace: str | None = None
    where: Filter | None = None
    history: object = None
    memory: object = None
    exclude: Collection[str] = ()
    explain: bool = False
    conversation: Conversation | None = None  # read already, in place of history and memory


class Sights(Protocol):
    """Gives what selections see: `Holdings` the newest state, a replay a past one."""

    def current(self) -> Sight:
        """Return it."""
        ...


class Rules(Protocol):
    """Gives what selections abstain by: `Thresholds` what is in force, a replay what was."""

    def current(self, namespace: str | None, *, fingerprint: str) -> InForce:
        """Return it; see `Thresholds.current`."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, read."""

    request: Request
    question: Question
    conversation: Conversation


class Selector:
    """Selects tools of one store. Safe for several threads.

    Args:
        holdings: The tools and what was learnt of them.
        embedder: Of the space the store is written in.
        thresholds: What it abstains by.
        budget: Counts the tokens of definitions.
        routing: The weights.
        tracing: Opens spans.
        listener: Hears of every query once it is answered.
    """

    def __init__(
        self,
        holdings: Sights,
        *,
        embedder: Embedder,
        thresholds: Rules,
        budget: Budget,
        routing: Routing,
        tracing: Tracing,
        listener: Listener | None = None,
    ) -> None:
        self._listener = listener
        self._holdings = holdings
        self._embedder = embedder
        self._thresholds = thresholds
        self._budget = budget
        self._routing = routing
        self._tracing = tracing

    def select(self, request: Request) -> Selection:
        """Select tools for one query.

        Raises:
            InvalidInput: The query or an argument cannot be used.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        return self.select_batch([request])[0]

    def select_batch(self, requests: Sequence[Request]) -> list[Selection]:
        """Select tools for several queries, which are embedded together.

        Raises:
            InvalidInput: A query or an argument cannot be used; nothing was selected.
            EmbeddingFailed: The queries could not be embedded.
            StoreError: The store could not be read.
        """
        for request in requests:
            _check(request)
        asked = [
            _Asked(
                one,
                read_question(one.query),
                one.conversation or read_conversation(one.history, one.memory),
            )
            for one in requests
        ]
        store = self._tracing.store
        attributes: Attributes = {
            "gen_ai.data_source.id": store,
            "agentmem.router.queries": len(asked),
            "agentmem.filtered": any(one.where is not None for one in requests),
        }
        with self._tracing.operation("retrieval", attributes, data_source=store) as current:
            with current.phase("load"):
                sight = self._holdings.current()
            vectors = self._embed(asked, current)
            found = []
            for one in asked:
                with current.phase("choose"):
                    found.append(self._one(one, sight, vectors=vectors))
            selections = self._described(found, sight, current)
        if self._listener is not None:
            for one, selection in zip(asked, selections, strict=True):
                kept = sight if self._listener.keeps else None
                vector = vectors[one.question.text]
                self._listener.asked(_question(one, selection, vector=vector, sight=kept))
        return selections

    def _described(
        self, found: Sequence[Selection], sight: Sight, current: Current
    ) -> list[Selection]:
        """Measure selections, and say on the span what came out, if it is one."""
        spent = {
            phase: milliseconds / max(len(found), 1)
            for phase, milliseconds in current.milliseconds.items()
        }
        trace_id, span_id = current.ids
        finished = [
            replace(one, milliseconds=spent, trace_id=trace_id, span_id=span_id) for one in found
        ]
        for one in finished:
            scores = tuple(match.score for match in one.candidates[:2])
            current.metrics.found("retrieval", scores=scores, results=len(one))
            current.metrics.tokens("saved", tokens=one.tokens_saved)
            if one.abstained:
                current.metrics.abstained(calibrated=one.calibrated)
        if len(finished) == 1:
            current.describe(lambda: of_selection(finished[0], current.content))
            current.set({"agentmem.bytes_scanned": sight.columns.together.nbytes})
        return finished

    def rank(
        self,
        queries: Sequence[str],
        *,
        sight: Sight,
        candidates: Mask | None = None,
    ) -> list[Ranked]:
        """Rank the tools for queries, without history.

        Args:
            queries: The queries.
            sight: What to rank.
            candidates: Which tools, shape (N,); all of them if None.
        """
        asked = [_Asked(Request(query=q), read_question(q), Conversation()) for q in queries]
        vectors = self._embed(asked, None)
        return [self._ranked(one, sight, mask=candidates, vectors=vectors) for one in asked]

    def _embed(self, asked: Sequence[_Asked], current: Current | None) -> dict[str, Floats]:
        """Embed every text that is asked or was said, each once."""
        texts = [one.question.text for one in asked]
        texts += [text for one in asked for text in one.conversation.texts]
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return {}
        with (
            nullcontext()
            if current is None
            else embedding_phase(current, embedder=self._embedder, texts=distinct)
        ):
            return dict(zip(distinct, embed_queries(self._embedder, distinct), strict=True))

    def _ranked(
        self, asked: _Asked, sight: Sight, *, mask: Mask | None, vectors: Mapping[str, Floats]
    ) -> Ranked:
        question, conversation = asked.question, asked.conversation
        index = sight.shelf.index
        need = Need(
            vector=vectors[question.text],
            terms=list(question.terms),
            clauses=question.clauses,
            named=index.written_in(question.text),
            called=index.places(conversation.called),
            used=index.places(conversation.used),
            context=_mean([vectors[text] for text in conversation.texts]),
        )
        return rank(need, sight.columns, learnt=sight.learnt, config=self._routing, mask=mask)

    def _one(
        self,
        asked: _Asked,
        sight: Sight,
        *,
        vectors: Mapping[str, Floats],
    ) -> Selection:
        request = asked.request
        mask = _mask(request, sight)
        ranked = self._ranked(asked, sight, mask=mask, vectors=vectors)
        rule = self._thresholds.current(request.namespace, fingerprint=sight.fingerprint)
        ask = Ask(asked.question, request.k, request.max_tokens, request.explain)
        draft = Draft(ask, sight=sight, ranked=ranked, rule=rule, routing=self._routing)
        chosen, reason, abstained = draft.choose(self._budget)
        candidates = draft.matches(draft.best)
        by_place = dict(zip(draft.best, candidates, strict=True))
        tokens = self._budget.sum(sight, chosen)
        in_sight = np.arange(sight.size) if mask is None else np.flatnonzero(mask)
        return Selection(
            matches=tuple(by_place[place] for place in chosen),
            candidates=tuple(candidates),
            query=request.query,
            abstained=abstained,
            reason=reason,
            confidence=draft.confidence,
            threshold=rule.calibration.threshold,
            calibrated=rule.calibration.valid,
            needs_tool=draft.needs_tool,
            unmatched_terms=draft.unmatched,
            tokens=tokens,
            tokens_saved=self._budget.sum(sight, in_sight.tolist()) - tokens,
            namespace=request.namespace,
            called=asked.conversation.called,
            asked=self._as_asked(asked, sight, rule),
            catalogue=len(in_sight),
            catalogue_version=sight.catalogue_version,
            examples_version=sight.examples_version,
            passport_id=self._embedder.passport.id,
            config_id=self._routing.id,
            milliseconds={},
            generation=sight.shelf.state.generation,
        )

    def _as_asked(self, asked: _Asked, sight: Sight, rule: InForce) -> SelectionAsked:
        request = asked.request
        return SelectionAsked(
            k=request.k,
            routing=self._routing.weights,
            rule=rule.rule,
            learnt_at=EPOCH + timedelta(microseconds=sight.learnt_at),
            fits_version=sight.fits_version,
            texts=asked.conversation.texts,
            used=asked.conversation.used,
            exclude=tuple(sorted(request.exclude)),
            max_tokens=request.max_tokens,
            where=None if request.where is None else to_json(request.where),
            store=self._tracing.store,
        )


def _question(asked: _Asked, selection: Selection, *, vector: Floats, sight: Sight | None) -> Kept:
    """What is kept of a query where a sample of them is: no words of it."""
    now = datetime.now(timezone.utc)
    named = scope_from_baggage()
    scores = [match.score for match in selection.candidates[:2]]
    texts = asked.conversation.texts
    return Kept(
        vector=vector,
        at=now,
        scope=Scope(named["user.id"], named["agentmem.scope.agent_id"], named["session.id"]),
        similarity=None if sight is None else _similarity(selection, vector, sight=sight),
        score=scores[0] if scores else None,
        margin=scores[0] - scores[1] if len(scores) > 1 else None,
        hits=len(selection),
        abstained=selection.abstained,
        block=texts[0] if texts else f"{now:%Y-%m-%dT%H} {os.getpid()}",
    )


def _similarity(selection: Selection, vector: Floats, *, sight: Sight) -> float | None:
    """Cosine of a query with what the best tool says of itself."""
    if not selection.candidates:
        return None
    best = selection.candidates[0].tool
    place = sight.index(best.name, namespace=best.namespace)
    return None if place is None else float(sight.columns.cosine(vector)[place])


def _mean(vectors: Sequence[Floats]) -> Floats | None:
    if not vectors:
        return None
    total = np.mean(vectors, axis=0)
    mean: Floats = (total / max(float(np.linalg.norm(total)), 1e-9)).astype(np.float32)
    return mean


def _mask(request: Request, sight: Sight) -> Mask | None:
    """Which tools are candidates; None for all of them."""
    if request.namespace is None and request.where is None and not request.exclude:
        return None
    allowed = np.ones(sight.size, np.bool_)
    if request.namespace is not None:
        allowed &= np.array([of == request.namespace for of in sight.namespaces], np.bool_)
    if request.exclude:
        gone = set(request.exclude)
        allowed &= np.array([name not in gone for name in sight.names], np.bool_)
    if request.where is not None:
        for place in np.flatnonzero(allowed).tolist():
            allowed[place] = matches(request.where, sight.tool(place))
    return allowed


def _check(request: Request) -> None:
    """Refuse arguments that could only fail later, and less clearly."""
    k, most = request.k, request.max_tokens
    if k != AUTO and (type(k) is not int or k < 1):
        raise InvalidInput(f'k={shown(k)}: pass how many tools, 1 or more, or "auto".')
    if most is not None and (type(most) is not int or most < 1):
        raise InvalidInput(f"max_tokens={shown(most)}: pass how many tokens, 1 or more, or None.")
