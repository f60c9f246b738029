"""How long an event loop is kept waiting while a hundred calls are awaited on it.

python benchmarks/asynchronous.py [--turns 2000] [--calls 100] [--threads 4] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from agentmem import AsyncMemory

BEAT = 0.001  # seconds


async def beats(over: asyncio.Event, found: list[float]) -> None:
    """Note in milliseconds how late each beat of a task was."""
    while not over.is_set():
        begun = time.perf_counter()
        await asyncio.sleep(BEAT)
        found.append((time.perf_counter() - begun - BEAT) * 1e3)


async def measured(memory: AsyncMemory, *, calls: int, label: str) -> list[float]:
    """Return the lags of one round of searches and adds."""
    over, found = asyncio.Event(), list[float]()
    beating = asyncio.create_task(beats(over, found))
    searches = (
        memory.search(f"{label}: what did harbour {n} ask?", user_id="ada") for n in range(calls)
    )
    await asyncio.gather(*searches)
    over.set()
    await beating
    return found


async def main() -> None:
    """Fill a memory, ask it in rounds, and print the lags."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("turns", 2000), ("calls", 100), ("threads", 4), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncMemory.open(Path(folder) / "a.mem", threads=given.threads) as memory:
            texts = [f"Harbour {n} asked for the tide of day {n}." for n in range(given.turns)]
            await memory.add(texts, user_id="ada")
            await memory.search("harbour", user_id="ada")
            for number in range(given.rounds):
                begun = time.perf_counter()
                lags = await measured(memory, calls=given.calls, label=str(number))
                took = time.perf_counter() - begun
                p99 = statistics.quantiles(lags, n=100)[98]
                print(f"{given.calls} searches in {took:.2f} s; the loop was late by ", end="")
                print(f"{max(lags):.1f} ms at most, {p99:.1f} ms at the 99th percentile")


if __name__ == "__main__":
    asyncio.run(main())
