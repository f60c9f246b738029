"""What a migration costs: search latency beside it, disk, and its pace beside bare encoding.

    python benchmarks/migration.py [--turns 5000] [--share 1 0.5] [--window 15] [--check]
                                   [--json] [--out results]

A store is moved by `agentmem migrate`, a process of its own, while this one serves: it searches
at an even pace, with a question of its own each time. Windows of searches beside the migration
alternate with windows for which its process is stopped (SIGSTOP), so that both see the same
machine; the figure is the median over rounds of the ratio of their medians, with the 95 % interval
of a bootstrap over rounds. The new space is as large as the old one, which is the worst case for
the disk. Its folder is sized every 50 ms during another such migration that nobody disturbs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from memory_speed import filled, sentence
from rich.progress import track
from sentence_transformers import SentenceTransformer

from agentmem import Memory, SentenceTransformerEmbedder
from agentmem.embedding.weights import bundled_folder
from agentmem.types import MigrationStatus

TURNS = 5_000
SLOWEST, LARGEST = 1.30, 2.30  # targets: of a search beside a migration, and of the disk
CARRYING = ("building", "catching_up")  # what a migration does nearly all the time
PAUSE = 0.01  # seconds between two searches: a store that is asked now and then, not besieged
SETTLE = 0.1  # seconds before a window is measured, for what was stopped to be under way again
LOOK = 0.05  # seconds between two looks at the folder
TEXTS = 1_000  # that bare encoding is timed with
RESAMPLES = 2_000
QUERY_PROMPT, DOCUMENT_PROMPT = "query: ", "passage: "  # make the same weights another space
MIGRATE = "from agentmem.cli.app import main; main()"


def target() -> SentenceTransformerEmbedder:
    """Return the embedder of the space that stores are moved to."""
    return SentenceTransformerEmbedder(
        bundled_folder(), query_prompt=QUERY_PROMPT, document_prompt=DOCUMENT_PROMPT
    )


class Mover:
    """The command that moves a store, in a process of its own.

    Args:
        store: To be moved.
        share: Of the time in which it may compute; None says nothing about it.
    """

    def __init__(self, store: Path, *, share: float | None) -> None:
        command = ["migrate", "--to", str(bundled_folder()), "--store", str(store), "--yes"]
        command += ["--query-prompt", QUERY_PROMPT, "--document-prompt", DOCUMENT_PROMPT]
        command += [] if share is None else ["--share", str(share)]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter on our own command
            [sys.executable, "-c", MIGRATE, *command], stdout=subprocess.DEVNULL
        )

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep it from doing anything until the end of a block."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def is_over(self) -> bool:
        """Whether it ended, which has to be well."""
        code = self._process.poll()
        if code:
            sys.exit(f"the migration ended with {code}")
        return code == 0

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@dataclass
class Served:
    """What was measured while serving.

    Attributes:
        alone: Medians of windows during which the migration was stopped, in milliseconds.
        beside: Of those after them, during which it went on.
    """

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Return the ratio, its interval, and what it is of."""
        ratios = np.array(self.beside) / np.array(self.alone)
        draws = np.random.default_rng(0).integers(0, len(ratios), (RESAMPLES, len(ratios)))
        low, high = np.percentile(np.median(ratios[draws], axis=1), [2.5, 97.5])
        return {
            "search beside / alone": round(float(np.median(ratios)), 3),
            "low": round(float(low), 3),
            "high": round(float(high), 3),
            "alone ms": round(statistics.median(self.alone), 2),
            "beside ms": round(statistics.median(self.beside), 2),
            "rounds": len(ratios),
        }


def serve(store: Path, *, share: float | None, window: int, rng: random.Random) -> Served:
    """Search a store beside its migration, and while that is stopped, by turns."""
    served = Served()
    with opened(store) as memory, running(store, share=share) as mover:
        median_search(memory, count=window, rng=rng)  # loads the model and the columns
        while not mover.is_over:
            if state_of(memory) not in CARRYING:
                time.sleep(LOOK)
                continue
            with mover.stopped():
                time.sleep(SETTLE)
                alone = median_search(memory, count=window, rng=rng)
            time.sleep(SETTLE)
            beside = median_search(memory, count=window, rng=rng)
            if state_of(memory) in CARRYING and not mover.is_over:
                served.alone.append(alone)
                served.beside.append(beside)
    if not served.alone:
        sys.exit("the migration was over before a round was: pass more --turns")
    return served


def median_search(memory: Memory, *, count: int, rng: random.Random) -> float:
    """Search so many times, and return the median in milliseconds."""
    spent = []
    for _ in range(count):
        question = f"What happened when {sentence(rng)[:-1]}?"
        start = time.perf_counter()
        memory.search(question, user_id="ada", k=10)
        spent.append((time.perf_counter() - start) * 1e3)
        time.sleep(PAUSE)
    return statistics.median(spent)


def move(store: Path, texts: Sequence[str]) -> dict[str, float]:
    """Move a store that nobody searches, and see how fast, and how large it gets."""
    model = SentenceTransformer(str(bundled_folder()), device="cpu")
    before = bare_rate(model, texts)
    at_first, largest, seen = size_of(store), 0, dict[str, float]()
    with opened(store) as memory, running(store, share=None) as mover:
        while not mover.is_over:
            largest = max(largest, size_of(store))
            seen.setdefault(state_of(memory) or "none", time.monotonic())
            time.sleep(LOOK)
        status = status_of(memory)
    if status is None or status.state != "done":
        sys.exit(f"the migration ended otherwise: {status}")
    carrying = seen.get("checking", time.monotonic()) - seen["building"]
    encoding = statistics.mean([before, bare_rate(model, texts)])
    return {
        "disk at most / before": round(largest / at_first, 3),
        "disk after / before": round(size_of(store) / at_first, 3),
        "store MB": round(at_first / 1e6, 1),
        "rows a second": round(status.total / carrying, 1),
        "rows a second, bare encoding": round(encoding, 1),
        "pace / bare encoding": round(status.total / carrying / encoding, 3),
    }


def bare_rate(model: SentenceTransformer, texts: Sequence[str]) -> float:
    """Texts a second that the model encodes by itself."""
    model.encode(list(texts[:32]), show_progress_bar=False)
    start = time.perf_counter()
    model.encode(list(texts), show_progress_bar=False)
    return len(texts) / (time.perf_counter() - start)


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder, those left out that are removed meanwhile."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(path, name).stat().st_size
    return total


def opened(store: Path) -> Memory:
    """Open a store as a process does that will follow it to its next space."""
    return Memory.open(store, standby=[target()], create=False)


@contextmanager
def running(store: Path, *, share: float | None) -> Iterator[Mover]:
    """Run a migration beside a block."""
    mover = Mover(store, share=share)
    try:
        yield mover
    finally:
        mover.kill()


def status_of(memory: Memory) -> MigrationStatus | None:
    """Return where the migration of a store is, if there is one."""
    migration = memory.migration()
    return None if migration is None else migration.status()


def state_of(memory: Memory) -> str | None:
    """Return what the migration of a store does."""
    status = status_of(memory)
    return None if status is None else status.state


def measure(store: Path, given: argparse.Namespace, *, rng: random.Random) -> dict[str, float]:
    """Move copies of a store in every way."""
    figures: dict[str, float] = {}
    ways = {"default": None, **{f"share {share:g}": share for share in given.share}}
    for way, share in track(ways.items(), "moving", disable=given.json, transient=True):
        copy = store.with_name(f"{way}.mem")
        shutil.copytree(store, copy)
        found = serve(copy, share=share, window=given.window, rng=rng).figures()
        figures |= {f"{way}: {name}": value for name, value in found.items()}
        shutil.rmtree(copy)
    shutil.copytree(store, copy)
    with Memory.open(store, create=False) as memory:
        turns = memory.turns(user_id="ada", limit=TEXTS)
        texts = [f"{turn.role}: {turn.content}" for turn in turns]
    return figures | move(copy, texts)


def missed(figures: dict[str, float]) -> list[str]:
    """Return the targets that were not reached."""
    limits = {"disk at most / before": LARGEST, "search beside / alone": SLOWEST}
    return [
        f"{name} is {value}, and should be below {limit}"
        for name, value in figures.items()
        for of, limit in limits.items()
        if name.endswith(of) and not name.startswith("share 1:") and value >= limit
    ]


def main() -> None:
    """Measure, print, and write results as JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--turns", type=int, default=TURNS)
    options.add_argument("--share", type=float, nargs="*", default=[1.0, 0.5])
    options.add_argument("--window", type=int, default=15, help="searches of a window")
    options.add_argument("--check", action="store_true", help="fail where a target is missed")
    options.add_argument("--json", action="store_true", help="print the report as JSON")
    options.add_argument("--out", type=Path, default=Path("results"))
    given = options.parse_args()
    rng = random.Random(0)  # noqa: S311 (texts, not secrets)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.mem"
        filled(store, turns=given.turns, rng=rng).close()
        figures = measure(store, given, rng=rng)
    packages = ("sentence-transformers", "torch", "lancedb", "numpy")
    report = {
        "turns": given.turns,
        "machine": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "versions": {package: version(package) for package in packages},
        "figures": figures,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "migration.json").write_text(json.dumps(report, indent=2) + "\n")
    if given.json:
        json.dump(report, sys.stdout, indent=2)
    else:
        print(f"| a store of {given.turns:,} turns | |\n|---|---|")
        for name, value in figures.items():
            print(f"| {name} | {value} |")
    if given.check and (told := missed(figures)):
        sys.exit("; ".join(told))


if __name__ == "__main__":
    main()
