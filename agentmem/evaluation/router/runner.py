"""The evaluation of a router: registers tools, teaches, asks, measures.

Takes a RoutingTask, gives a RouterReport. Every system is a router of its own on a store of its
own, used through the same public calls an application makes; only the encodings are shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from agentmem.embedding import CachedEmbedder
from agentmem.errors import InvalidInput
from agentmem.evaluation.report import (
    Estimate,
    SystemResult,
    macro_average,
    repetition,
    system_result,
)
from agentmem.evaluation.router import systems
from agentmem.evaluation.router.abstaining import (
    FOUND_AT,
    calibration_result,
    labels_of,
    probe_result,
)
from agentmem.evaluation.router.asking import (
    Answer,
    Asked,
    ask,
    opened,
    placed,
    remembering,
    routing_row,
)
from agentmem.evaluation.router.baselines import ask_baselines
from agentmem.evaluation.router.conversing import converse, history_gain, in_conversations
from agentmem.evaluation.router.formats import DEFAULT_SEED
from agentmem.evaluation.router.learning import (
    Amount,
    Teaching,
    amounts_of,
    apart,
    examples_of,
    halves,
    teach,
)
from agentmem.evaluation.router.report import (
    CalibrationResult,
    HistoryGain,
    ProbeResult,
    RouterReport,
)
from agentmem.evaluation.router.sampling import limited, sample
from agentmem.evaluation.router.tasks import Probe, RoutingQuery, RoutingTask, without_gold
from agentmem.evaluation.session import depths_of, progress_bar, versions
from agentmem.protocols import Embedder
from agentmem.ranking.tools.conformal import needed
from agentmem.types import Tool

if TYPE_CHECKING:
    from rich.progress import Progress

    from agentmem.ranking.tools import Routing
    from agentmem.router import ToolRouter

__all__ = ["DEFAULT_ALPHA", "DEFAULT_ROUTER_KS", "evaluate_router"]

DEFAULT_ROUTER_KS: Final = (1, 5, 10)
DEFAULT_ALPHA: Final = 0.05  # the rate of wrong refusals that `ToolRouter.calibrate` aims at
_FIRST: Final = "default"  # where the first definition of every name is: see `asking.opened`
_REMOVAL: Final = "tool removed"
_ABOUT_REMOVAL: Final = "the test queries as they are, and with their right tools taken out"
_FEWEST_TO_CALIBRATE: Final = 40  # below, an exact bound on a rate of 5 % refuses next to nothing


@dataclass(frozen=True, slots=True)
class _Run:
    """What all systems of one evaluation have in common."""

    task: RoutingTask
    embedder: CachedEmbedder
    ks: tuple[int, ...]
    noise: float
    seed: int
    alpha: float
    routing: Routing | None
    bar: Progress

    @property
    def k(self) -> int:
        return max(*self.ks, FOUND_AT)

    def opened(self) -> AbstractContextManager[tuple[ToolRouter, float]]:
        return opened(self.task, embedder=self.embedder, routing=self.routing)

    def advance(self, doing: str, *, total: int) -> Callable[[int], None]:
        return partial(self.bar.advance, self.bar.add_task(doing, total=total))

    def ask(self, router: ToolRouter, queries: Sequence[RoutingQuery], *, doing: str) -> Asked:
        advance = self.advance(doing, total=len(queries))
        return ask(router, queries, k=self.k, names=self.task.tools, advance=advance)

    def teach(
        self, router: ToolRouter, *, amount: Amount, train: Sequence[RoutingQuery]
    ) -> Teaching:
        names = list(self.task.tools)
        lessons = examples_of(train, amount=amount, noise=self.noise, names=names, seed=self.seed)
        return teach(router, lessons, places=_taught(self.task))


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one router gave."""

    systems: Sequence[SystemResult]
    teaching: Teaching
    probes: Sequence[ProbeResult]
    tools: Sequence[Tool]
    seconds: float
    gain: HistoryGain | None = None


def evaluate_router(
    task: RoutingTask,
    *,
    embedder: Embedder | None = None,
    examples: Sequence[Amount] | None = None,
    label_noise: float = 0.0,
    seed: int = DEFAULT_SEED,
    ks: Sequence[int] = DEFAULT_ROUTER_KS,
    alpha: float = DEFAULT_ALPHA,
    limit: int | None = None,
    baselines: bool = True,
    routing: Routing | None = None,
    progress: bool = True,
) -> RouterReport:
    """Measure how well a router finds the tools that queries need, and when it abstains.

    Args:
        task: From `load_routing`, or made by hand.
        embedder: The embedder to evaluate; the product's default otherwise.
        examples: How many usage examples of each tool to learn from, one system each; by default
            none, and all where the task has training queries.
        label_noise: Chance that an example is given to a wrong tool, from 0 to 1.
        seed: Of every random choice.
        ks: Depths to measure at.
        alpha: Rate of wrong refusals that a calibration aims at.
        limit: Ask at most so many test queries and queries of a probe, drawn at random.
        baselines: Also rank by cosine alone, BM25 alone and their rank fusion.
        routing: The weights to evaluate; the product's defaults otherwise.
        progress: Show a progress bar on a terminal's standard error.

    Returns:
        Means with 95 % bootstrap intervals by system, category and tool; probes of abstention;
        calibrations; and every single answer.

    Raises:
        InvalidInput: An argument is out of range, or there is no test query.
    """
    amounts = amounts_of(examples, train=task.train)
    depths = depths_of(ks)
    _check(task, noise=label_noise, alpha=alpha, limit=limit)
    task = limited(task, limit=limit, seed=seed)
    with progress_bar(shown=progress) as bar:
        run = _Run(task, remembering(embedder), depths, label_noise, seed, alpha, routing, bar)
        found = {systems.name_of(amount): _system(run, amount=amount) for amount in amounts}
        if 0 in amounts and in_conversations(task.test):
            found |= _calibrated_probes(run)
            found[systems.LEARNING] = _learning(run)
        first = next(iter(found.values()))
        bare = (
            ask_baselines(first.tools, task.test, embedder=run.embedder, ks=depths)
            if baselines and task.test
            else []
        )
        calibrations = _calibrations(run, amounts=amounts, limit=limit) if task.alike else []
        passport = run.embedder.passport
    return RouterReport(
        dataset=task.name,
        questions=dict(sorted(Counter(query.category for query in task.test).items())),
        notes=dict(task.notes),
        mistakes=len(task.mistakes),
        ks=depths,
        systems=[*(one for finding in found.values() for one in finding.systems), *bare],
        passport={"id": passport.id, **asdict(passport)},
        versions=versions(),
        tools=task.size,
        training=len(task.train),
        label_noise=label_noise,
        seed=seed,
        teachings={name: finding.teaching for name, finding in found.items()},
        probes=[one for finding in found.values() for one in finding.probes],
        calibrations=calibrations,
        history_gains=[finding.gain for finding in found.values() if finding.gain],
        seconds_registering=first.seconds,
    )


def _check(task: RoutingTask, *, noise: float, alpha: float, limit: int | None) -> None:
    if not (task.test or task.mistakes):
        raise InvalidInput(f"task {task.name!r} has no test queries, so nothing can be measured")
    if not 0 <= noise <= 1:
        raise InvalidInput(f"label_noise is a share from 0 to 1; got {noise}")
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha is a rate between 0 and 1; got {alpha}")
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit has to be 1 or more; got {limit}")


def _taught(task: RoutingTask) -> dict[str, AbstractSet[str]]:
    """Return whom examples may be given: the first definition of each name, and every `Tool`."""
    return {
        namespace: tools.keys()
        for namespace, tools in placed(task).items()
        if namespace == _FIRST or any(isinstance(one, Tool) for one in tools.values())
    }


def _system(run: _Run, *, amount: Amount) -> _Finding:
    name, task = systems.name_of(amount), run.task
    with run.opened() as (router, seconds):
        teaching = run.teach(router, amount=amount, train=task.train)
        asked = run.ask(router, task.test, doing=f"asking {name}")
        result = _result(run, asked, name=name, about=systems.about(amount))
        results = [replace(result, repeated=_repeated(run, router, name=name))]
        gain = None
        if not amount and any(query.history for query in task.test):
            results.append(_without_history(run, router))
            gain = history_gain(task.test, told=results[0], untold=results[1])
        probes = [_removal(run, router, asked=asked, name=name)] if task.test else []
        probes += [_probe(run, router, probe=probe, name=name) for probe in task.probes]
        return _Finding(results, teaching, probes, router.list(), seconds, gain)


def _learning(run: _Run) -> _Finding:
    """Ask conversations with and without history, and teach each once it was asked."""
    task, name = run.task, systems.LEARNING
    with run.opened() as (router, seconds):
        advance = run.advance(f"asking and teaching {name}", total=len(task.test))
        found = converse(
            router, task.test, k=run.k, names=task.tools, seed=run.seed, advance=advance
        )
        told = _result(run, found.told, name=name, about=systems.ABOUT_LEARNING)
        untold = _result(
            run,
            found.untold,
            name=systems.LEARNING_NO_HISTORY,
            about=f"{systems.ABOUT_LEARNING}; not told what went before in this one",
        )
        gain = history_gain(task.test, told=told, untold=untold)
        return _Finding([told, untold], found.teaching, [], router.list(), seconds, gain)


def _calibrated_probes(run: _Run) -> dict[str, _Finding]:
    """Ask each probe of conversations after the other half of them taught and calibrated.

    None where there are too few turns to calibrate on.
    """
    task, enough = run.task, max(_FEWEST_TO_CALIBRATE, needed(run.alpha))
    probes = [
        probe
        for probe in task.probes
        if all(query.conversation is not None for query in probe.queries)
    ]
    asked = [query for probe in probes for query in probe.queries]
    parts = apart(task.test, asked)
    if not asked or min(len(turns) for turns, _ in parts) < enough:
        return {}
    answers: dict[int, Answer] = {}
    for turns, places in parts:
        with run.opened() as (router, seconds):
            teaching = run.teach(router, amount="all", train=turns)
            texts = [turn.text for turn in turns]
            router.calibrate(texts, labels_of(turns), alpha=run.alpha)
            queries = [asked[place] for place in places]
            found = run.ask(router, queries, doing=f"asking {systems.CALIBRATED}")
            answers |= dict(zip(places, found.answers, strict=True))
            tools = router.list()
    results, start = [], 0
    for probe in probes:
        own = [answers[place] for place in range(start, start + len(probe.queries))]
        results.append(probe_result(probe, own, system=systems.CALIBRATED))
        start += len(own)
    return {systems.CALIBRATED: _Finding([], teaching, results, tools, seconds)}


def _result(run: _Run, asked: Asked, *, name: str, about: str) -> SystemResult:
    rows = [
        routing_row(query, answer.names[: max(run.ks)], ks=run.ks)
        for query, answer in zip(run.task.test, asked.answers, strict=True)
    ]
    spent = {"total": asked.milliseconds}
    result = system_result(
        rows, name=name, about=about, config_id=asked.config_id, milliseconds=spent
    )
    return replace(result, macro=macro_average(rows))


def _repeated(run: _Run, router: ToolRouter, *, name: str) -> dict[str, Estimate]:
    """Ask for past mistakes again."""
    mistakes = run.task.mistakes
    asked = run.ask(router, [one.query for one in mistakes], doing=f"past mistakes, {name}")
    found = [answer.names for answer in asked.answers]
    wrong = [one.wrong for one in mistakes]
    return repetition(list(zip(wrong, found, strict=True)), ks=run.ks)


def _without_history(run: _Run, router: ToolRouter) -> SystemResult:
    name = systems.NO_HISTORY
    bare = [replace(query, history=(), recalled=()) for query in run.task.test]
    asked = run.ask(router, bare, doing=f"asking {name}")
    return _result(run, asked, name=name, about="the product's defaults, not told what went before")


def _removal(run: _Run, router: ToolRouter, *, asked: Asked, name: str) -> ProbeResult:
    """Ask the test queries again, their right tools taken out of the catalogue."""
    removed = without_gold(run.task.test)
    again = run.ask(router, removed, doing=f"{_REMOVAL}, {name}")
    probe = Probe(_REMOVAL, _ABOUT_REMOVAL, [*run.task.test, *removed])
    return probe_result(probe, [*asked.answers, *again.answers], system=name)


def _probe(run: _Run, router: ToolRouter, *, probe: Probe, name: str) -> ProbeResult:
    asked = run.ask(router, probe.queries, doing=f"{probe.name}, {name}")
    return probe_result(probe, asked.answers, system=name)


def _calibrations(
    run: _Run, *, amounts: Sequence[Amount], limit: int | None
) -> list[CalibrationResult]:
    """Calibrate on half of the training queries, untaught and taught from the other half."""
    learnt, rest = halves(run.task.train)
    held = sample(rest, limit=limit, seed=run.seed)
    if len(held) < max(_FEWEST_TO_CALIBRATE, needed(run.alpha)):
        return []
    most: Amount = "all" if "all" in amounts else max(amounts)
    return [
        _calibration(run, learnt=learnt, held=held, amount=amount)
        for amount in dict.fromkeys([0, most])
    ]


def _calibration(
    run: _Run, *, learnt: Sequence[RoutingQuery], held: Sequence[RoutingQuery], amount: Amount
) -> CalibrationResult:
    name = systems.name_of(amount)
    with run.opened() as (router, _):
        run.teach(router, amount=amount, train=learnt)
        texts = [query.text for query in held]
        calibration = router.calibrate(texts, labels_of(held), alpha=run.alpha)
        known = run.ask(router, run.task.test, doing=f"calibrated, {name}")
        removed = run.ask(router, without_gold(run.task.test), doing=f"calibrated, {_REMOVAL}")
    return calibration_result(
        calibration, system=name, answerable=known.answers, unanswerable=removed.answers
    )
