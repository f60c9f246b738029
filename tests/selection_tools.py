"""What the tests of replayed selections share: a router under way, and spans as they come out."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from learning_tools import CATALOGUE, SLANG, asked
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from router_tools import define, open_router

from agentmem.errors import AgentmemError
from agentmem.router import ToolRouter

NAMES = list(SLANG)
WORDS = " ".join(SLANG.values()).split()


def listening() -> tuple[TracerProvider, InMemorySpanExporter]:
    """Return an SDK's provider, and what keeps its spans."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def selections(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Return the spans of selections."""
    finished = exporter.get_finished_spans()
    return [span for span in finished if span.name.startswith("retrieval")]


def question(generator: random.Random) -> dict[str, Any]:
    """Return the arguments of a selection, of every kind."""
    options: dict[str, Any] = {"query": " ".join(generator.sample(WORDS, 3))}
    chosen = generator.random
    if chosen() < 0.3:
        options["k"] = generator.choice(["auto", 1, 3])
    if chosen() < 0.2:
        options["max_tokens"] = generator.choice([120, 300, 700])
    if chosen() < 0.2:
        options["namespace"] = generator.choice(["default", "other"])
    if chosen() < 0.2:
        options["where"] = {"tags": {"contains": generator.choice(["warm", "cold"])}}
    if chosen() < 0.2:
        options["exclude"] = generator.sample(NAMES, 2)
    if chosen() < 0.4:
        call = {"function": {"name": generator.choice(NAMES)}}
        options["history"] = [
            {"role": "user", "content": " ".join(generator.sample(WORDS, 2))},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ]
    if chosen() < 0.2:
        options["memory"] = [" ".join(generator.sample(WORDS, 4))]
    return options


def change(router: ToolRouter, generator: random.Random, *, number: int) -> None:
    """Do one thing that makes later selections come out otherwise."""
    name = generator.choice(NAMES)
    told = define(name, f"Now it does {' '.join(generator.sample(WORDS, 3))}.")
    space = generator.choice(["default", "other"])
    tags = [generator.choice(["warm", "cold"])]
    queries = asked(name, 3, seed=number)
    what = number % 8
    if what == 0:
        router.register(told, namespace=space, tags=tags, on_conflict="replace")
    elif what == 1:
        router.add_examples({name: queries}, guard=generator.random() < 0.5)
    elif what == 2:
        router.feedback(router.select(queries[0]), used=name, succeeded=generator.random() < 0.5)
    elif what == 3:
        router.sync([*generator.sample(CATALOGUE, 6), told][::-1], namespace="other", tags=tags)
    elif what == 4:
        router.remove(generator.choice(NAMES))
    elif what == 5:
        router.register(CATALOGUE, on_conflict="replace")
    elif what == 6:
        router.revert(generator.choice([one.id for one in router.history()]))
    else:
        present = [tool.name for tool in router.list(namespace="default")]
        pairs = [(query, one) for one in present for query in asked(one, 2, seed=number)]
        router.calibrate([one for one, _ in pairs], [one for _, one in pairs], alpha=0.2)


def live(router: ToolRouter, *, rounds: int, each: int, seed: int) -> None:
    """Change a router and select from it by turns."""
    generator = random.Random(seed)
    for number in range(rounds):
        with suppress(AgentmemError):  # another process came first, or the tool is gone already
            change(router, generator, number=number + seed)
        for _ in range(each):
            router.select(**question(generator))


def jsonable(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span as they are after a journey through JSON."""
    told: dict[str, Any] = json.loads(json.dumps(dict(span.attributes or {})))
    return told


def elsewhere(folder: str, out: str, seed: str) -> None:
    """Live in a process of its own, and write down the attributes of every selection."""
    provider, exporter = listening()
    trace.set_tracer_provider(provider)
    with open_router(Path(folder), capture_content=True) as router:
        live(router, rounds=24, each=5, seed=int(seed))
    Path(out).write_text(json.dumps([jsonable(span) for span in selections(exporter)]))


def again(folder: str, told: str, _: str) -> None:
    """Replay in a process of its own, and print what came of it."""
    records: Sequence[dict[str, Any]] = json.loads(Path(told).read_text())
    with open_router(Path(folder), read_only=True) as router:
        sys.stdout.write(" ".join(router.replay(one).verdict for one in records))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
