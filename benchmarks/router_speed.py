"""What the router adds to the embedder: select, register and open beside the bare encoding.

    python benchmarks/router_speed.py [--tools seal-tools] [--rounds 60] [--json] [--out results]

Every figure is of medians measured alternately in one process on one machine, because absolute
times of shared machines mean little. Every query is encoded once and every catalogue by an
embedder with an empty cache, so that no cache answers for the model. The tools are those of a
Seal-Tools folder, or as many synthetic ones.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer

from agentmem import CachedEmbedder, SentenceTransformerEmbedder, Tool, ToolRouter
from agentmem.embedding.weights import bundled_folder
from agentmem.toolspec import read_tools, views

TOOLS = 4_076  # as many as Seal-Tools has
EXAMPLES = 10_000
ACTIONS = "create|find|update|delete|compare|export|schedule|validate|translate|forecast|share|rate"
THINGS = (
    "invoice|train ticket|playlist|blood test|greenhouse vent|pull request|tide table|payslip|"
    "exchange rate|court file|concert hall|patent|recipe|parking space|survey|vaccine|bridge|loan"
)
PLACES = (
    "for a clinic|in a city archive|at an airport|for a football club|in the cloud|on a farm|"
    "for a law firm|at a harbour|in a museum|for a bakery|on a satellite|in a school|for a bank|"
    "at a power plant|for a film studio|in a library|on a building site|for a hotel|in a forest"
)
ARGUMENTS = (
    ("name", "string", "What it is called"),
    ("day", "string", "On which day, as YYYY-MM-DD"),
    ("limit", "integer", "How many at most"),
    ("format", "string", "Format of the answer, such as csv or json"),
    ("owner", "string", "Who is responsible for it"),
    ("location", "string", "Where it is, as an address or coordinates"),
)


def synthetic(count: int, *, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Give so many definitions, no two alike."""
    kinds = list(itertools.product(*(part.split("|") for part in (ACTIONS, THINGS, PLACES))))
    rng.shuffle(kinds)
    for action, thing, place in itertools.islice(kinds, count):
        taken = rng.sample(ARGUMENTS, rng.randint(1, 4))
        yield {
            "name": f"{action} {thing} {place}".title().replace(" ", ""),
            "description": f"{action.capitalize()} a {thing} {place}, and say what was done.",
            "parameters": _schema({name: (kind, f"{told}.") for name, kind, told in taken}),
        }


def seal_tools(folder: Path) -> Iterator[dict[str, Any]]:
    """Give the definitions of Seal-Tools."""
    for line in (folder / "tool.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        arguments = {
            name: ("string", argument["description"])
            for name, argument in row["parameters"].items()
        }
        yield {
            "name": row["api_name"],
            "description": row["api_description"],
            "parameters": _schema(arguments),
        }


def _schema(arguments: dict[str, tuple[str, str]]) -> dict[str, Any]:
    properties = {
        name: {"type": kind, "description": told} for name, (kind, told) in arguments.items()
    }
    return {"type": "object", "properties": properties}


def question(rng: random.Random) -> str:
    """Return a query that is almost surely unlike any before."""
    action, thing, place = (rng.choice(part.split("|")) for part in (ACTIONS, THINGS, PLACES))
    return f"Could you {action} the {thing} number {rng.randrange(10**6)} {place}, please?"


def timed(call: Callable[[], Any]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


class Bench:
    """What the measurements share: tools, one loaded model twice, and a folder for stores.

    Args:
        tools: Definitions.
        folder: For stores.
        rounds: Queries of a measurement.
    """

    def __init__(self, tools: Sequence[dict[str, Any]], *, folder: Path, rounds: int) -> None:
        self.tools = tools
        self.folder = folder
        self.rounds = rounds
        self.rng = random.Random(0)  # noqa: S311 - texts, not secrets
        self.model = SentenceTransformer(str(bundled_folder()), device="cpu")
        self.inner = SentenceTransformerEmbedder()
        self.model.encode(["warm"])
        self.inner.embed(["warm"], kind="query")
        with self.open("warm.mem") as router:  # loads what counts tokens, once a process
            router.register(tools[:1])

    def open(self, name: str) -> ToolRouter:
        """Open a store with an embedder that remembers nothing yet."""
        return ToolRouter.open(self.folder / name, embedder=CachedEmbedder(self.inner))

    def register(self, *, rounds: int) -> dict[str, float]:
        """Register all tools in one call, and bare encoding of their views, alternately."""
        texts = [text for tool in read_tools(self.tools) for text in _views(tool)]
        encode, register = [], []
        for number in range(rounds):
            encode.append(timed(lambda: self.model.encode(texts, show_progress_bar=False)))
            with self.open(f"{number}.mem") as router:
                register.append(timed(lambda to=router: to.register(self.tools)))
        return _ratio(f"register {len(self.tools):,} tools", encode, register)

    def select(self, router: ToolRouter, *, name: str) -> dict[str, float]:
        """Select and bare encoding, alternately, each with a query of its own."""
        router.select(question(self.rng))  # reads the catalogue
        encode, select, phases = [], [], []
        for _ in range(self.rounds):
            one, other = question(self.rng), question(self.rng)
            encode.append(timed(lambda q=one: self.model.encode([q], show_progress_bar=False)))
            start = time.perf_counter()
            selection = router.select(other)
            select.append((time.perf_counter() - start) * 1e3)
            phases.append(selection.milliseconds)
        medians = {f"{name}: {of} ms": _median([p[of] for p in phases]) for of in phases[0]}
        return _ratio(name, encode, select) | medians

    def opening(self, name: str, *, rounds: int) -> dict[str, float]:
        """Open a saved catalogue and select, less the encoding of the query; the model is there."""
        beyond = []
        for _ in range(rounds):
            start = time.perf_counter()
            with self.open(name) as router:
                selection = router.select(question(self.rng))
                passed = (time.perf_counter() - start) * 1e3
            beyond.append(passed - selection.milliseconds["embeddings"])
        return {"open and first select, beyond encoding, ms": _median(beyond)}

    def teach(self, router: ToolRouter, *, examples: int) -> dict[str, float]:
        """Teach examples spread over the tools, and learn from them in the first select after."""
        taught: dict[str, list[str]] = {}
        for number in range(examples):
            tool = self.tools[number % len(self.tools)]["name"]
            taught.setdefault(tool, []).append(question(self.rng))
        teaching = timed(lambda: router.add_examples(taught, guard=False))
        learning = timed(lambda: router.select(question(self.rng)))
        return {
            f"teach {examples:,} examples ms": round(teaching, 1),
            f"first select after {examples:,} examples ms": round(learning, 1),
        }


def _views(tool: Tool) -> list[str]:
    of = views(tool)
    return [text for text in (of.description, of.name, of.arguments) if text]


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


def _ratio(name: str, reference: list[float], measured: list[float]) -> dict[str, float]:
    return {
        f"{name} ms": _median(measured),
        f"{name}: encoding ms": _median(reference),
        f"{name} / encoding": round(statistics.median(measured) / statistics.median(reference), 3),
    }


def measure(bench: Bench, *, register_rounds: int, examples: int) -> dict[str, float]:
    """Run every measurement."""
    figures = bench.register(rounds=register_rounds)
    figures |= bench.opening("0.mem", rounds=max(bench.rounds // 4, 1))
    with bench.open("0.mem") as router:
        figures |= bench.select(router, name="select")
        figures |= bench.teach(router, examples=examples)
        figures |= bench.select(router, name=f"select after {examples:,} examples")
    return figures


def arguments() -> argparse.Namespace:
    """Read the command line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tools", type=Path, help="a Seal-Tools folder, instead of made-up tools")
    options.add_argument("--limit", type=int, default=TOOLS, help="so many tools at most")
    options.add_argument("--examples", type=int, default=EXAMPLES)
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--register-rounds", type=int, default=3)
    options.add_argument("--json", action="store_true", help="print the report as JSON")
    options.add_argument("--out", type=Path, default=Path("results"))
    return options.parse_args()


def main() -> None:
    """Measure, print, and write results as JSON."""
    given = arguments()
    made = synthetic(given.limit, rng=random.Random(1))  # noqa: S311 - texts, not secrets
    tools = list(itertools.islice(seal_tools(given.tools) if given.tools else made, given.limit))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(tools, folder=Path(folder), rounds=given.rounds)
        figures = measure(bench, register_rounds=given.register_rounds, examples=given.examples)
    versions = {p: version(p) for p in ("sentence-transformers", "torch", "lancedb", "numpy")}
    report = {"tools": len(tools), "source": "seal-tools" if given.tools else "synthetic"}
    report |= {"machine": platform.processor() or platform.machine()}
    report |= {"versions": versions, "figures": figures}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "router_speed.json").write_text(json.dumps(report, indent=2) + "\n")
    if given.json:
        json.dump(report, sys.stdout, indent=2)
        return
    print(f"| with {len(tools):,} tools | |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
