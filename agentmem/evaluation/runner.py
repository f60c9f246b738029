"""The evaluation of a memory: adds conversations, asks their questions, measures the answers.

Takes a Dataset, gives a Report. Every conversation is stored under a user of its own and searched
in that scope, through the same public calls an application makes.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from agentmem.errors import InvalidInput
from agentmem.evaluation.datasets import Conversation, Dataset, Mistake, Question
from agentmem.evaluation.metrics import measure
from agentmem.evaluation.report import Report, Row, SystemResult, repetition, system_result
from agentmem.evaluation.session import depths_of, progress_bar, versions
from agentmem.evaluation.systems import BASELINES, PRODUCT, Answer, Query, System
from agentmem.types import AllScopes, Scope

if TYPE_CHECKING:
    from rich.progress import Progress

    from agentmem.memory import Memory
    from agentmem.protocols import Embedder

__all__ = ["DEFAULT_KS", "evaluate"]

_BATCH: Final = 1000  # turns of one commit where a conversation is a whole user's or store's

DEFAULT_KS: Final = (1, 5, 10, 20, 50)  # 50 for evidence that is dozens of turns long, as QMSum's


def evaluate(
    dataset: Dataset,
    *,
    embedder: Embedder | None = None,
    baselines: bool = False,
    systems: Sequence[System] = (PRODUCT,),
    ks: Sequence[int] = DEFAULT_KS,
    path: str | Path | None = None,
    progress: bool = True,
) -> Report:
    """Measure how well a memory finds the evidence of questions.

    Args:
        dataset: From `load_dataset`, or made by hand.
        embedder: The embedder to evaluate; the product's default otherwise.
        baselines: Also ask dense alone, lexical alone, and their plain fusions.
        systems: What to ask first; the product's defaults unless given.
        ks: Depths to measure at.
        path: Folder of the store, kept and used again with the same data; a temporary one
            otherwise.
        progress: Show a progress bar on a terminal's standard error.

    Returns:
        Means with 95 % bootstrap intervals by system and category, and every single answer.

    Raises:
        InvalidInput: A depth is out of range, there is no question, two systems share a name, or
            the store at `path` holds other turns of these users.
    """
    chosen = [*systems, *(BASELINES if baselines else ())]
    depths = depths_of(ks)
    _check(dataset, systems=chosen)
    with (
        _store(path, embedder=embedder) as memory,
        progress_bar(shown=progress) as bar,
    ):
        seconds = _add_all(memory, dataset=dataset, bar=bar)
        results = [
            _ask_all(memory, dataset=dataset, system=one, ks=depths, bar=bar) for one in chosen
        ]
        passport = memory.stats().passport
    return Report(
        dataset=dataset.name,
        conversations=len(dataset.conversations),
        turns=dataset.turns,
        questions=_by_category(dataset),
        notes=dict(dataset.notes),
        mistakes=dataset.mistakes,
        ks=depths,
        systems=results,
        passport={"id": passport.id, **asdict(passport)},
        seconds_adding=seconds,
        versions=versions(),
    )


def _check(dataset: Dataset, *, systems: Sequence[System]) -> None:
    if not (dataset.questions or dataset.mistakes):
        raise InvalidInput(
            f"data set {dataset.name!r} has no questions, so nothing can be measured"
        )
    ids = [conversation.id for conversation in dataset.conversations]
    names = [system.name for system in systems]
    for what, given in (("conversation", ids), ("system", names)):
        if repeated := [name for name, count in Counter(given).items() if count > 1]:
            raise InvalidInput(f"{what} {repeated[0]!r} is there twice; give each its own name")


@contextmanager
def _store(path: str | Path | None, *, embedder: Embedder | None) -> Iterator[Memory]:
    from agentmem.memory import Memory  # here, so that reading data sets never loads LanceDB

    if path is not None:
        with Memory.open(path, embedder=embedder) as memory:
            yield memory
        return
    with (
        TemporaryDirectory(prefix="agentmem-eval-") as folder,
        Memory.open(folder, embedder=embedder) as memory,
    ):
        yield memory


def _add_all(memory: Memory, *, dataset: Dataset, bar: Progress) -> float:
    task = bar.add_task("adding turns", total=dataset.turns)
    started = time.perf_counter()
    added = False
    for conversation in dataset.conversations:
        added |= _add(memory, conversation=conversation)
        bar.advance(task, len(conversation.messages))
    return time.perf_counter() - started if added else 0.0


def _add(memory: Memory, *, conversation: Conversation) -> bool:
    if conversation.scope is not None:
        return _add_shared(memory, messages=conversation.messages)
    wanted = len(conversation.messages)
    found = memory.count(user_id=conversation.id)
    if found not in (0, wanted):
        raise InvalidInput(
            f"the store holds {found} turns of user {conversation.id!r}, and the conversation has "
            f"{wanted}: it was filled with other data or interrupted. Evaluate into an empty folder"
        )
    if not found:
        memory.add(list(conversation.messages), user_id=conversation.id)
    return not found


def _add_shared(memory: Memory, *, messages: Sequence[Mapping[str, Any]]) -> bool:
    """Add turns that say whose they are; those of an earlier conversation are there already."""
    for begin in range(0, len(messages), _BATCH):
        memory.add(list(messages[begin : begin + _BATCH]))
    return bool(messages)


def _ask_all(
    memory: Memory, *, dataset: Dataset, system: System, ks: Sequence[int], bar: Progress
) -> SystemResult:
    rows: list[Row] = []
    again: list[tuple[frozenset[str], Sequence[str]]] = []
    spent: defaultdict[str, list[float]] = defaultdict(list)
    config_id = None
    total = dataset.questions + dataset.mistakes
    task = bar.add_task(f"asking {system.name}", total=total)
    for conversation, question in _each(dataset):
        query = Query(question.text, _scope(conversation), question.where, question.mode)
        started = time.perf_counter()
        answer = system.ask(memory, query, k=max(ks))
        spent["total"].append((time.perf_counter() - started) * 1000)
        for phase, milliseconds in answer.milliseconds.items():
            spent[phase].append(milliseconds)
        config_id = answer.config_id
        if isinstance(question, Mistake):
            again.append((question.wrong, answer.ids))
        else:
            rows.append(_row(conversation.id, question, answer=answer, ks=ks))
        bar.advance(task)
    result = system_result(
        rows,
        name=system.name,
        about=system.about,
        config_id=config_id,
        milliseconds={phase: median(values) for phase, values in spent.items()},
    )
    return replace(result, repeated=repetition(again, ks=ks))


def _each(dataset: Dataset) -> Iterator[tuple[Conversation, Question | Mistake]]:
    for conversation in dataset.conversations:
        yield from ((conversation, question) for question in conversation.questions)
        yield from ((conversation, mistake) for mistake in conversation.mistakes)


def _scope(conversation: Conversation) -> Scope | AllScopes:
    return Scope(user_id=conversation.id) if conversation.scope is None else conversation.scope


def _row(conversation: str, question: Question, *, answer: Answer, ks: Sequence[int]) -> Row:
    return Row(
        group=conversation,
        question=question.text,
        category=question.category,
        gold=tuple(sorted(question.gold)),
        retrieved=tuple(answer.ids),
        metrics=measure(answer.ids, question.gold, ks=ks),
    )


def _by_category(dataset: Dataset) -> dict[str, int]:
    counts = Counter(
        question.category
        for conversation in dataset.conversations
        for question in conversation.questions
    )
    return dict(sorted(counts.items()))
