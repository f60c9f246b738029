"""Selections from published catalogues, so that a broken ranking is noticed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from router_tools import open_router

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.evaluation.router.metatool import load_metatool
from agentmem.evaluation.router.seal_tools import load_seal_tools
from agentmem.evaluation.router.tasks import RoutingTask

OTHERS = 250  # tools that no query of the sample needs: embedding thousands takes minutes

pytestmark = [pytest.mark.data, pytest.mark.slow]


def rankings(
    folder: Path, task: RoutingTask, *, embedder: SentenceTransformerEmbedder, count: int
) -> tuple[list[list[str]], list[frozenset[str]]]:
    """Return the five best tools for a sample of queries, and the right ones."""
    draw = random.Random(1)
    queries = draw.sample(list(task.test), count)
    needed = set().union(*(query.gold for query in queries))
    others = sorted(task.tools.keys() - needed)
    shown = {*needed, *draw.sample(others, min(len(others), OTHERS))}
    with open_router(folder, embedder=embedder) as router:
        router.register([one for name in task.tools if name in shown for one in task.tools[name]])
        found = router.select_batch([query.text for query in queries])
    ranked = [[match.name for match in one.candidates] for one in found]
    return ranked, [query.gold for query in queries]


def ndcg(ranked: Sequence[str], gold: frozenset[str]) -> float:
    """NDCG of one right tool."""
    return sum(1 / math.log2(place + 2) for place, name in enumerate(ranked) if name in gold)


def test_metatool_from_descriptions_alone(
    tmp_path: Path, real_data: Path, minilm: SentenceTransformerEmbedder
) -> None:
    task = load_metatool(real_data / "metatool")
    found, gold = rankings(tmp_path, task, embedder=minilm, count=300)
    scores = [ndcg(ranked, right) for ranked, right in zip(found, gold, strict=True)]
    assert sum(scores) / len(scores) >= 0.66


def test_seal_tools_from_descriptions_alone(
    tmp_path: Path, real_data: Path, minilm: SentenceTransformerEmbedder
) -> None:
    task = load_seal_tools(real_data / "seal-tools")
    found, gold = rankings(tmp_path, task, embedder=minilm, count=60)
    recalls = [len(right & set(r)) / len(right) for r, right in zip(found, gold, strict=True)]
    assert sum(recalls) / len(recalls) >= 0.90
