"""Selections of tools run again: over the catalogue, the lessons and the fits that were recorded.

With the weights, the rule and the moment of the record; what is in force today has no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agentmem.errors import VersionGone
from agentmem.filters import Filter, parse_filter, to_json
from agentmem.protocols import Embedder
from agentmem.ranking.tools import Routing
from agentmem.replay.choosing import Asked, Chooser, Conditions, conditions_of, moment_of, obstacle
from agentmem.replay.comparing import (
    Explain,
    Fate,
    Move,
    Step,
    changes,
    counted,
    differences,
    largest_drift,
)
from agentmem.replay.given import UNKNOWN, refuse_lacking
from agentmem.replay.since import Present
from agentmem.replay.tools import Chosen, fates_of, replayed
from agentmem.routing import Budget, Holdings, Thresholds
from agentmem.routing.sight import Sight
from agentmem.telemetry import Tracing
from agentmem.telemetry.spans import library_version
from agentmem.types import Cause, Change, Replay, SelectionRecord

__all__ = ["SelectionReplayer"]


class SelectionReplayer:
    """Runs past selections of one store again. Safe for several threads.

    Args:
        holdings: The tools and what was learnt of them.
        generation: Of the store, that they are of.
        thresholds: What is abstained by today.
        embedder: Of the space the store is written in.
        budget: Counts the tokens of definitions.
        routing: The weights of today.
        tracing: Opens the span of a replay.
        present: Gives the tools as they are in force today, maybe in another generation.
    """

    def __init__(
        self,
        holdings: Holdings,
        *,
        generation: int,
        thresholds: Thresholds,
        embedder: Embedder,
        budget: Budget,
        routing: Routing,
        tracing: Tracing,
        present: Callable[[], Holdings],
    ) -> None:
        self._holdings = holdings
        self._generation = generation
        self._passport_id: Callable[[], str] = lambda: embedder.passport.id
        self._chooser = Chooser(holdings, embedder=embedder, budget=budget)
        self._present = Present(
            self._chooser, log=holdings.log, thresholds=thresholds, routing=routing
        )
        self._tracing = tracing
        self._in_force = present

    def replay(
        self,
        record: SelectionRecord,
        *,
        query: str | None,
        where: Filter | None,
        history: object,
        memory: object,
        now: bool,
    ) -> Replay:
        """Run a past selection again.

        Args:
            record: The selection.
            query: Its query, where that was not recorded; likewise `where`, `history`.
            where: See `query`.
            history: See `query`.
            memory: What was recalled, where any was and texts were not recorded.
            now: Whether to ask it today as well, and say what moved and why.

        Raises:
            InvalidInput: What was not recorded is missing, or what was recorded is contradicted.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        told = memory if history is None else history
        filtered = None if where is None else to_json(where)
        refuse_lacking(record, {"query": query, "where": filtered, "history": told})
        if record.where is not None:
            where = parse_filter(record.where, subject="tool")
        asked = Asked.of(record, query=query, where=where, history=history, memory=memory)
        store = self._tracing.store
        attributes = {
            "agentmem.store": store,
            "agentmem.replay.span_id": record.origin.span_id,
        }
        with self._tracing.operation("agentmem.replay", attributes) as current:
            replay = self._replayed(asked, now=now)
            current.set({"agentmem.replay.verdict": replay.verdict})
        return replay

    def _replayed(self, asked: Asked, *, now: bool) -> Replay:
        record = asked.record
        reason = obstacle(record, generation=self._generation, passport_id=self._passport_id())
        if reason is None:
            try:
                then = self._then(record)
            except VersionGone as gone:
                reason = str(gone)
            else:
                return self._compared(asked, then, now=now)
        return self._impossible(asked, reason=reason, now=now)

    def _then(self, record: SelectionRecord) -> Conditions:
        """Return what it depended on.

        Raises:
            VersionGone: The catalogue of then is not kept.
        """
        routing, rule = conditions_of(record)
        return Conditions(self._chooser.sight(moment_of(record), routing=routing), routing, rule)

    def _compared(self, asked: Asked, then: Conditions, *, now: bool) -> Replay:
        """Select as it was, and compare with what was recorded."""
        record, sight = asked.record, self._in_force().current()
        past = self._chooser.choose(asked, then)
        recorded, again = Chosen.of_record(record), Chosen.of(past)
        same = recorded.is_same(again)
        is_lost = then.sight.is_large and not then.sight.fits_version
        if is_lost and not same:
            return self._impossible(asked, reason=_lost_fit(then.sight), now=now)
        today = self._present.since(asked, then=then, past=past, sight=sight) if now else None
        fates = fates_of(then.sight, sight)
        differing = () if same else _differences(asked, recorded, again, there=then.sight)
        return Replay(
            record=record,
            verdict="identical" if same else "different",
            reason=_verdict(record, recorded, again, same=same)
            + ("; its fit is no longer kept, and was made anew" if is_lost else ""),
            replayed=replayed(past, fates),
            differences=differing,
            largest_drift=largest_drift(recorded.answer, again.answer),
            now=None if today is None else replayed(today.selection, _as_of_today(fates)),
            changes=() if today is None else today.changes,
            answer=None if today is None else today.selection,
        )

    def _impossible(self, asked: Asked, *, reason: str, now: bool) -> Replay:
        """Report that the past is gone, and today's answer where it was asked for."""
        record, found = asked.record, None
        moved: tuple[Change, ...] = ()
        if now:
            sight = self._holdings.current()
            found = self._present.answer(asked, sight)
            explain = _without_the_past(record, sight, passport_id=self._passport_id())
            step = Step("everything since", Chosen.of(found).answer, explain)
            moved = changes(Chosen.of_record(record).answer, [step], names={})
        return Replay(
            record=record,
            verdict="impossible",
            reason=reason,
            replayed=(),
            differences=(),
            largest_drift=0.0,
            now=None if found is None else replayed(found, {}),
            changes=moved,
            answer=found,
        )


def _as_of_today(fates: Mapping[str, Fate]) -> dict[str, Fate]:
    """Return what became of the tools that there are today."""
    return {key: fate for key, fate in fates.items() if fate == "changed"}


def _verdict(record: SelectionRecord, recorded: Chosen, again: Chosen, *, same: bool) -> str:
    """Say how a replay came out."""
    versions = f"catalogue {record.catalogue_version} and lessons {record.examples_version}"
    seen = counted(len(recorded.answer), "tool")
    if same:
        return f"{versions} give the same {seen} in the same order"
    if again.abstained != recorded.abstained:
        verb = "abstains, and did not" if again.abstained else "does not abstain, and did"
        return f"over {versions} it {verb}: {again.odds}; {recorded.odds_then}"
    if again.catalogue != recorded.catalogue:
        return (
            f"{versions} have {counted(again.catalogue, 'tool')} in sight, and "
            f"{recorded.catalogue:,} were: this may be another store"
        )
    if again.names != recorded.names:
        return f"{versions} hand out other tools, or in another order"
    if list(again.answer) == list(recorded.answer):
        odds = f"{again.odds}; {recorded.odds_then}"
        return f"{versions} give other scores, or another confidence: {odds}"
    return f"{versions} give other tools, or in another order"


def _lost_fit(sight: Sight) -> str:
    return (
        f"what was fitted of its {counted(len(sight.observations), 'usage example')} is no longer "
        "kept, or never was because the store could only be read; made anew of the catalogue of "
        "then it gives other scores. Repair: for the future, open the store with a longer "
        "keep_versions."
    )


def _differences(
    asked: Asked, recorded: Chosen, again: Chosen, *, there: Sight
) -> tuple[Change, ...]:
    """Say what is not as recorded, each with its cause as far as that is known."""
    record, own = asked.record, library_version()
    ids = {f"{of}/{name}" for of, name in zip(there.namespaces, there.names, strict=True)}

    def explain(move: Move) -> tuple[Cause, str]:
        if move.before is not None and move.key not in ids:
            return "removed", f"catalogue {record.catalogue_version} does not hold this tool"
        if record.origin.agentmem not in (own, UNKNOWN):
            return "agentmem", (
                f"it was recorded by agentmem {record.origin.agentmem}, and this is {own}"
            )
        return "unknown", (
            "versions, weights and model are those of the record, so what differs was not "
            "recorded: the query or the conversation that was given, or the store"
        )

    found = differences(recorded.answer, recorded.shown(again), explain=explain, names={})
    known = {change.id for change in found}
    ranks = {key: rank for rank, key in enumerate(recorded.answer, 1)}
    flipped = (set(recorded.handed) ^ set(again.handed)) & ranks.keys() - known
    more = []
    for key in sorted(flipped, key=ranks.__getitem__):
        rank, score = ranks[key], recorded.answer[key]
        cause, why = explain(Move(key, rank, rank, score, again.answer.get(key)))
        reason = f"{again.told(recorded, key)}: {why}"
        more.append(Change(key, rank, rank, score, again.answer.get(key), cause, reason))
    return (*found, *more)


def _without_the_past(record: SelectionRecord, today: Sight, *, passport_id: str) -> Explain:
    """Return what explains changes where the past answer is known from its record alone."""
    ids = {f"{of}/{name}" for of, name in zip(today.namespaces, today.names, strict=True)}

    def explain(move: Move) -> tuple[Cause, str]:
        if move.key not in ids:
            return "removed", "this tool is not in the catalogue any more"
        if record.passport_id != passport_id:
            return "model", f"the embedding space was {record.passport_id}, and is {passport_id}"
        return "unknown", "the past cannot be read any more, so causes cannot be told apart"

    return explain
