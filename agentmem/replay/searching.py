"""Searches run again: as they were, and beside that as they would come out today.

Every run reads one version of the table. Whatever an old version still holds, a turn that is
deleted today is named by its id alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from agentmem.checks import EPOCH
from agentmem.errors import VersionGone
from agentmem.filters import Filter, field, parse_filter, to_json
from agentmem.protocols import Embedder, Reranker
from agentmem.ranking import Ranking
from agentmem.replay import reasons
from agentmem.replay.asking import Asked, Asker, Conditions, Run, weights_of
from agentmem.replay.comparing import (
    Data,
    Step,
    answer_of,
    changes,
    counted,
    differences,
    is_same,
    largest_drift,
)
from agentmem.replay.fates import fates_of, past_results, present_results, state_of
from agentmem.replay.given import refuse_lacking
from agentmem.retrieval.ordering import reranker_name
from agentmem.storage.reads import Reads
from agentmem.storage.resident import Residents
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.types import Cause, Change, Recall, Replay, Scored, SearchRecord, Turn

__all__ = ["SearchReplayer"]

TURNS_A_READ: Final = 1_000  # more than any search is asked for


@dataclass(frozen=True, slots=True)
class _Today:
    """Today's answer, the turns of then and of now by key, and what moved on the way to it."""

    run: Run
    then: Mapping[str, Turn]
    present: Mapping[str, Turn]
    changes: tuple[Change, ...]


class SearchReplayer:
    """Runs past searches of one store again. Safe for several threads.

    Args:
        store: Where the turns are.
        residents: Its columns in memory, for today's answers.
        embedder: Of the space the store is written in.
        ranking: The weights of today.
        reranker: Reorders the best hits today where one is given.
        now: The present in microseconds since 1970 UTC.
        tracing: Opens the span of a replay.
        present: Gives the store as it is in force today, maybe in another generation.
    """

    def __init__(
        self,
        store: Store,
        residents: Residents,
        *,
        embedder: Embedder,
        ranking: Ranking,
        reranker: Reranker | None,
        now: Callable[[], int],
        tracing: Tracing,
        present: Callable[[], Store],
    ) -> None:
        self._store = store
        self._present = present
        self._residents = residents
        self._embedder = embedder
        self._ranking = ranking
        self._reranker = reranker
        self._now = now
        self._tracing = tracing
        self._asker = Asker(store, embedder=embedder)

    def replay(
        self, record: SearchRecord, *, query: str | None, where: Filter | None, now: bool
    ) -> Replay:
        """Run a past search again.

        Args:
            record: The search.
            query: Its question, where that was not recorded; likewise `where`.
            where: See `query`.
            now: Whether to ask it today as well, and say what moved and why.

        Raises:
            InvalidInput: What was not recorded is missing, or what was recorded is contradicted.
            EmbeddingFailed: The question could not be embedded.
            StoreError: The store could not be read.
        """
        given = {"query": query, "where": None if where is None else to_json(where)}
        refuse_lacking(record, given)
        asked = Asked(
            record,
            query=(query or "") if record.query is None else record.query,
            where=where if record.where is None else parse_filter(record.where),
        )
        attributes = {
            "agentmem.store": self._store.name,
            "agentmem.replay.span_id": record.origin.span_id,
        }
        with self._tracing.operation("agentmem.replay", attributes, scope=record.scope) as current:
            replay = self._replayed(asked, now=now)
            current.set({"agentmem.replay.verdict": replay.verdict})
        return replay

    def _replayed(self, asked: Asked, *, now: bool) -> Replay:
        record = asked.record
        reason = reasons.of_obstacle(
            record,
            versions=[record.table_version],
            generation=self._store.generation,
            passport_id=self._embedder.passport.id,
            weights=lambda: weights_of(record),
        )
        if reason is None:
            try:
                past = self._past(asked)
            except VersionGone as gone:
                reason = str(gone)
            else:
                return self._compared(asked, past, today=self._today(asked, past) if now else None)
        return self._impossible(asked, reason=reason, now=now)

    def _past(self, asked: Asked) -> Run:
        """Ask at the version of then, as it was asked."""
        record = asked.record
        columns = self._asker.columns(record.table_version, record.scope)
        return self._asker.ask(asked, columns, under=self._conditions_of(record))

    def _conditions_of(self, record: SearchRecord) -> Conditions:
        reranker = self._reranker if record.reranker else None
        return Conditions(weights_of(record), reranker, record.asked_at)

    def _compared(self, asked: Asked, past: Run, *, today: _Today | None) -> Replay:
        """Compare what came out with what was recorded."""
        record = asked.record
        recorded = answer_of(record.hits)
        again = _labelled(past.recall)
        same = is_same(recorded, again, found=record.found)
        differing = () if same else self._differences(record, recorded, again)
        keys = list(past.turns)
        present = self._present().turns_by_key(keys) if today is None else today.present
        return Replay(
            record=record,
            verdict="identical" if same else "different",
            reason=reasons.of_verdict(
                record, same=same, differing=len(differing), store=self._store.name
            ),
            replayed=past_results(past, now=self._same_turns(past, present)),
            differences=differing,
            largest_drift=largest_drift(recorded, again),
            now=None if today is None else present_results(today.run, then=today.then),
            changes=() if today is None else today.changes,
            answer=None if today is None else today.run.recall,
        )

    def _same_turns(self, past: Run, present: Mapping[str, Turn]) -> Mapping[str, Turn]:
        """Return the turns of today without those whose id was free for a time: other turns.

        An import keeps times of ingestion, so these do not tell a replaced turn from another one.
        """
        changed = [
            key for key, then in past.turns.items() if state_of(then, present.get(key)) == "changed"
        ]
        if not changed:
            return present
        if self._present().generation != self._store.generation:
            others = set(changed)  # versions of another generation do not tell
        else:
            others = self._store.returned(changed, since=past.recall.table_version)
        return {key: turn for key, turn in present.items() if key not in others}

    def _differences(
        self, record: SearchRecord, recorded: Mapping[str, float], again: Mapping[str, float]
    ) -> tuple[Change, ...]:
        """Say what is not as recorded; below what was recorded nothing is known."""
        if record.found > len(recorded):
            again = dict(list(again.items())[: len(recorded)])
        names = _names(record.hits)
        past = self._store.at(record.table_version)
        wanted = field("id").in_(sorted(set(names.values())))
        there = past.page(scope=record.scope, where=wanted, limit=TURNS_A_READ) if names else []
        reranker = self._conditions_of(record).reranker
        explain = reasons.of_difference(
            record,
            reranker=None if reranker is None else reranker_name(reranker),
            there={turn.id for turn in there},
            names=names,
        )
        return differences(recorded, again, explain=explain, names=names)

    def _today(self, asked: Asked, past: Run) -> _Today:
        """Ask again and again, with one thing after the other as it is today."""
        was = self._conditions_of(asked.record)
        at = EPOCH + timedelta(microseconds=self._now())
        columns = self._residents.columns(asked.record.scope)
        under = was if was.ranking.recency else replace(was, at=at)  # without it, alike at any time
        data = run = self._asker.ask(asked, columns, under=under)
        steps = []
        for cause, why, under in self._turned(was, at=at):
            run = self._asker.ask(asked, columns, under=under)
            steps.append(_constant(cause, why, run))
        today = {**data.turns, **run.turns}
        turns = {**past.turns, **today}
        then = _completed(past.turns, turns, self._store.at(asked.record.table_version))
        present = _completed(today, turns, self._store)
        names = {key: turn.id for key, turn in turns.items()}
        explained = Data(
            before=past.answer,
            after=data.answer,
            fates=fates_of(turns, then=then, now=present),
            names=names,
            noun="turn",
            measured=_measured(past.recall, data.recall),
        )
        chain = [Step("the data", data.answer, explained.explain), *steps]
        return _Today(run, then, present, changes(past.answer, chain, names=names))

    def _turned(self, was: Conditions, *, at: datetime) -> Iterator[tuple[Cause, str, Conditions]]:
        """Turn the conditions of then into those of today, one after the other."""
        under = replace(was, ranking=self._ranking)
        if not self._ranking.recency:
            under = replace(under, at=at)
        if self._ranking != was.ranking:
            yield "ranking", reasons.changed_weights(was.ranking, self._ranking), under
        if self._reranker is not None and was.reranker is None:
            name = reranker_name(self._reranker)
            under = replace(under, reranker=self._reranker)
            yield "reranker", f"{name} reorders the best hits today, and nothing did then", under
        if self._ranking.recency:
            yield "time", reasons.moved_present(was.at, at), replace(under, at=at)

    def _impossible(self, asked: Asked, *, reason: str, now: bool) -> Replay:
        """Report that the past is gone, and today's answer where it was asked for."""
        record, run = asked.record, None
        moved: tuple[Change, ...] = ()
        if now:
            at = EPOCH + timedelta(microseconds=self._now())
            columns = self._residents.columns(record.scope)
            under = Conditions(self._ranking, self._reranker, at)
            run = self._asker.ask(asked, columns, under=under)
            moved = self._changes_without_past(record, run.recall)
        return Replay(
            record=record,
            verdict="impossible",
            reason=reason,
            replayed=(),
            differences=(),
            largest_drift=0.0,
            now=None if run is None else present_results(run, then={}),
            changes=moved,
            answer=None if run is None else run.recall,
        )

    def _changes_without_past(self, record: SearchRecord, recall: Recall) -> tuple[Change, ...]:
        """Put down to its cause what can be, from the record and the turns of today."""
        names = _names(record.hits) | _names(_scored(recall))
        wanted = field("id").in_(sorted(set(names.values())))
        found = self._store.page(scope=record.scope, where=wanted, limit=TURNS_A_READ)
        stored = {turn.id: turn for turn in found}
        explain = reasons.without_the_past(
            record,
            today={label: stored[name] for label, name in names.items() if name in stored},
            passport_id=self._embedder.passport.id,
        )
        step = Step("everything since", _labelled(recall), explain)
        return changes(answer_of(record.hits), [step], names=names)


def _completed(known: Mapping[str, Turn], keys: Iterable[str], store: Reads) -> Mapping[str, Turn]:
    """Return the turns with these keys: those that are known, and others that a store has."""
    unknown = [key for key in keys if key not in known]
    return {**known, **store.turns_by_key(unknown)} if unknown else known


def _constant(cause: Cause, why: str, run: Run) -> Step:
    """One thing that was changed, which explains all that it moved."""
    return Step(f"the {cause}", run.answer, lambda _: (cause, why))


def _measured(before: Recall, after: Recall) -> str:
    """Say what a turn that is the same is measured against."""
    weigh = "by which words and neighbours weigh"
    seen = counted(after.candidates, "turn")
    if before.candidates == after.candidates:
        return f"of the {seen} in sight some were replaced, {weigh}"
    return f"{seen} are in sight instead of {before.candidates:,}, {weigh}"


def _scored(recall: Recall) -> list[Scored]:
    return [Scored(hit.turn.id, hit.score) for hit in recall]


def _labelled(recall: Recall) -> dict[str, float]:
    return answer_of(_scored(recall))


def _names(scored: list[Scored] | tuple[Scored, ...]) -> dict[str, str]:
    """The ids of results by what tells them apart."""
    return dict(zip(answer_of(scored), (one.id for one in scored), strict=True))
