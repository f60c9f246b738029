"""What agentmem adds to the embedder: search and add beside the bare encoding of the same texts.

    python benchmarks/memory_speed.py [--turns 10000] [--rounds 60] [--out results]

Every figure is a ratio of medians measured alternately in one process on one machine, because
absolute times of shared machines mean little. Texts are synthetic sentences of 6 to 40 words, and
every query and every text is encoded once, so that no cache answers for the model.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer

from agentmem import Memory
from agentmem.embedding.weights import bundled_folder

SUBJECTS = (
    "my sister|the landlord|our new colleague|the dentist|a neighbour|the whole team|my old bike"
)
VERBS = "promised to repair|forgot about|talked for an hour about|left because of|asked me to book"
OBJECTS = (
    "the leaking kitchen tap|a ferry to the islands|the quarterly report|piano lessons|a tax form"
)
PLACES = "in Lisbon|at the harbour|near the old station|in the office|on the way to Turin|at home"
WORDS = [part.split("|") for part in (SUBJECTS, VERBS, OBJECTS, PLACES)]


def sentence(rng: random.Random) -> str:
    """Return a sentence of about ten words that is almost surely unlike any before."""
    subject, verb, thing, place = (rng.choice(words) for words in WORDS)
    return f"{subject} {verb} {thing} {place} on day {rng.randrange(10**6)}."


def turn(rng: random.Random) -> str:
    """Return one to four sentences."""
    return " ".join(sentence(rng) for _ in range(rng.randint(1, 4)))


def timed(call: Callable[[], Any]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def filled(path: Path, *, turns: int, rng: random.Random) -> Memory:
    """Return a memory of one user with so many turns in sessions of 40."""
    memory = Memory.open(path)
    memory.import_turns(
        (
            {
                "role": ("user", "assistant")[n % 2],
                "content": turn(rng),
                "session_id": f"s{n // 40}",
            }
            for n in range(turns)
        ),
        user_id="ada",
    )
    return memory


def search_ratio(
    memory: Memory, model: SentenceTransformer, *, rounds: int, rng: random.Random
) -> dict[str, float]:
    """Search and bare encoding, alternately, each with a question of its own."""
    questions = [f"What happened when {sentence(rng)[:-1]}?" for _ in range(2 * rounds + 2)]
    memory.search(questions.pop(), user_id="ada")  # loads the columns
    model.encode([questions.pop()])
    encode, search, phases = [], [], []
    for one, other in zip(questions[::2], questions[1::2], strict=True):
        encode.append(timed(lambda q=one: model.encode([q], show_progress_bar=False)))
        start = time.perf_counter()
        recall = memory.search(other, user_id="ada", k=10)
        search.append((time.perf_counter() - start) * 1e3)
        phases.append(recall.milliseconds)
    medians = {f"search {name} ms": _median([p[name] for p in phases]) for name in phases[0]}
    return _ratio("search", encode, search) | medians


def add_ratio(
    memory: Memory, model: SentenceTransformer, *, rounds: int, rng: random.Random
) -> dict[str, float]:
    """Add 1,000 turns in one call, and bare encoding of 1,000 such texts, alternately."""
    encode, add = [], []
    for _ in range(rounds):
        texts = [f"user: {turn(rng)}" for _ in range(1000)]
        encode.append(timed(lambda t=texts: model.encode(t, show_progress_bar=False)))
        messages = [{"role": "user", "content": turn(rng)} for _ in range(1000)]
        add.append(timed(lambda m=messages: memory.add(m, user_id="bob", session_id="s")))
    return _ratio("add of 1,000", encode, add)


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


def _ratio(name: str, reference: list[float], measured: list[float]) -> dict[str, float]:
    return {
        f"{name} ms": _median(measured),
        f"{name} encoding ms": _median(reference),
        f"{name} / encoding": round(statistics.median(measured) / statistics.median(reference), 3),
    }


def main() -> None:
    """Measure, print, and write results as JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--turns", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--add-rounds", type=int, default=5)
    options.add_argument("--out", type=Path, default=Path("results"))
    given = options.parse_args()
    rng = random.Random(0)  # noqa: S311 (texts, not secrets)
    model = SentenceTransformer(str(bundled_folder()), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        memory = filled(Path(folder) / "bench.mem", turns=given.turns, rng=rng)
        figures = search_ratio(memory, model, rounds=given.rounds, rng=rng)
        figures |= add_ratio(memory, model, rounds=given.add_rounds, rng=rng)
        memory.close()
    versions = {p: version(p) for p in ("sentence-transformers", "torch", "lancedb", "numpy")}
    report = {"turns": given.turns, "machine": platform.processor() or platform.machine()}
    report |= {"versions": versions, "figures": figures}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "memory_speed.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"| at {given.turns:,} turns in scope | |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
