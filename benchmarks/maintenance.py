"""How much slower searches are while another process looks after the same store.

Usage: python benchmarks/maintenance.py [TURNS] [ROUNDS]

Searches alternate between windows without and with `agentmem maintain` in a process of its own,
in one run, so that both see the same machine. Between rounds turns are added one by one, so that
there is something to compact. Prints the medians, the 95th percentiles, and their ratios.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from agentmem import Memory
from agentmem.testing import HashEmbedder

WORDS: Final = [f"word{n}" for n in range(2_000)]
DIMENSION: Final = 384
SMALL_ADDS: Final = 150
LEAST_WINDOW: Final = 2.0  # seconds of searches without maintenance, at least


def main(turns: int, rounds: int) -> None:
    """Measure, and print."""
    rng = Random(0)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "store"
        with Memory.open(folder, embedder=HashEmbedder(DIMENSION)) as memory:
            for start in range(0, turns, 1_000):
                batch = [said(rng) for _ in range(min(1_000, turns - start))]
                memory.add(batch, user_id="ada")
            alone: list[float] = []
            beside: list[float] = []
            for _ in range(rounds):
                for _ in range(SMALL_ADDS):
                    memory.add(said(rng), user_id="bob")
                until = time.perf_counter() + LEAST_WINDOW
                while time.perf_counter() < until:
                    alone.append(searched(memory, rng))
                process = maintaining(folder)
                while process.poll() is None:
                    beside.append(searched(memory, rng))
                if process.returncode:
                    sys.exit("the maintenance failed")
    told(turns, alone=alone, beside=beside)


def said(rng: Random) -> str:
    """Return a text of twelve words."""
    return " ".join(rng.choices(WORDS, k=12))


def searched(memory: Memory, rng: Random) -> float:
    """Search once, and return the seconds."""
    query = " ".join(rng.choices(WORDS, k=4))
    began = time.perf_counter()
    memory.search(query, user_id="ada", k=10)
    return time.perf_counter() - began


def maintaining(folder: Path) -> subprocess.Popen[bytes]:
    """Look after the store in another process, as the command line does."""
    code = "from agentmem.cli.app import main; main()"
    command = [sys.executable, "-c", code, "maintain", "--store", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "AGENTMEM_TRACES"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603 - this interpreter


def told(turns: int, *, alone: list[float], beside: list[float]) -> None:
    """Print what was measured."""
    print(f"{turns:,} turns; {len(alone):,} searches alone, {len(beside):,} beside maintenance")
    for name, share in (("p50", 50), ("p95", 95)):
        before, after = np.percentile(alone, share) * 1e3, np.percentile(beside, share) * 1e3
        print(f"{name}: {before:.2f} ms alone, {after:.2f} ms beside, × {after / before:.2f}")


if __name__ == "__main__":
    main(*(int(one) for one in (sys.argv[1:] + ["20000", "5"][len(sys.argv) - 1 :])[:2]))
