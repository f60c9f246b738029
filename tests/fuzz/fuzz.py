"""Fuzz agentmem: only its own errors may come out, in time, and the store stays readable.

    python tests/fuzz/fuzz.py --minutes 10
    python tests/fuzz/fuzz.py --replay 123456

Each case is made from a number of its own, which is printed with whatever it found.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from types import FrameType
from typing import Any, Final

from fuzz_values import anything, filter_of, message, text, tool, write_file

from agentmem import ALL, AgentmemError, Memory, ToolRouter
from agentmem.filters import parse_filter, to_json
from agentmem.testing import HashEmbedder

__all__ = ["Fuzzer", "main"]

SECONDS_A_CASE: Final = 20.0  # a case takes milliseconds; a busy machine is no hang
HUNG: Final = 120.0  # then the process ends with every thread's traceback: it never came back
LOOK: Final = 100  # cases between two looks at whether the store is readable
MOST_TURNS: Final = 3_000  # then the store is emptied
SHOWN: Final = 10  # findings that are printed whole


class HungError(Exception):
    """A case took too long."""


@dataclass
class Fuzzer:
    """Runs cases on one store.

    Attributes:
        folder: Takes the store and files.
        ran: Cases of each kind.
        refused: Those that ended with an error of agentmem's own.
        found: What should not have happened: number of the case, its kind, and what.
    """

    folder: Path
    ran: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    found: list[tuple[int, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        embedder = HashEmbedder(32, window=16)
        self.memory = Memory.open(self.folder / "store", embedder=embedder)
        self.router = ToolRouter.open(self.folder / "store", embedder=embedder)

    def close(self) -> None:
        """Let go of the store."""
        self.router.close()
        self.memory.close()

    def run(self, *, seconds: float, seed: int) -> None:
        """Run cases for a while; the first has this number, and so on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.case(seed)
            seed += 1
            if sum(self.ran.values()) % LOOK == 0:
                self.look(seed)

    def case(self, seed: int) -> None:
        """Run one case."""
        rng = Random(seed)
        kind, call = rng.choice(self._kinds(rng))
        self.ran[kind] += 1
        try:
            with limited():
                call()
        except AgentmemError as error:
            self.refused[kind] += 1
            if not str(error):
                self.found.append((seed, kind, f"{type(error).__name__} says nothing"))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.found.append((seed, kind, traceback.format_exc()))

    def look(self, seed: int) -> None:
        """Check that the store is readable, and empty it when it grows large."""
        try:
            with limited():
                count = self.memory.count(scope=ALL)
                assert len(self.memory.turns(scope=ALL, limit=MOST_TURNS * 2)) == count
                assert len(self.memory.search("tea", scope=ALL, k=5)) == min(5, count)
                self.router.list()
                if count > MOST_TURNS:
                    self.memory.delete(scope=ALL)
        except Exception:  # noqa: BLE001 - whatever it is, it is found
            self.found.append((seed, "the store is not readable after", traceback.format_exc()))

    def _kinds(self, rng: Random) -> list[tuple[str, Callable[[], object]]]:
        memory = self.memory
        where: Any = rng.choice(
            [None, filter_of(rng), filter_of(rng), filter_of(rng), anything(rng)]
        )
        user = "ada" if rng.random() < 0.8 else rng.choice([text(rng), anything(rng)])
        whose: dict[str, Any] = {"user_id": user}
        given: Any = [message(rng) for _ in range(rng.randrange(1, 4))]
        given = rng.choice([given, given, given[0], anything(rng)])
        odd: Any = rng.choice(["1", "2", "the harbour", "tea?", text(rng), anything(rng)])
        times: dict[str, Any] = {
            name: rng.choice([*["2024-05-01T12:00:00Z"] * 3, anything(rng)])
            for name in rng.sample(["since", "until", "as_of", "known_at", "now"], rng.randrange(3))
        }
        conflict: Any = rng.choice(["error", *["replace"] * 8, odd])
        return [
            ("add", lambda: self._add(given, whose, conflict)),
            ("add", lambda: self._add(given, whose, conflict)),
            ("turns", lambda: memory.turns(scope=ALL, where=where, limit=9)),
            ("count", lambda: memory.count(**whose, where=where)),
            ("search", lambda: memory.search(odd, scope=ALL, where=where, k=5, **times)),
            (
                "search",
                lambda: memory.search(
                    "tea", scope=ALL, k=rng.choice([1, 5, anything(rng)]), **times
                ),
            ),
            ("context", lambda: memory.context(text(rng), scope=ALL, where=where, max_tokens=99)),
            ("get", lambda: memory.get(odd, **whose)),
            ("delete", lambda: memory.delete(odd, **whose, where=where)),
            ("update", lambda: memory.update(odd, **whose, where=where, valid_until=anything(rng))),
            ("supersede", lambda: memory.supersede(rng.choice(["1", "2"]), message(rng), **whose)),
            ("import", lambda: self._import(rng)),
            ("import", lambda: self._import(rng)),
            ("import", lambda: memory.import_turns(given, **whose, progress=False)),
            ("filter", lambda: self._filter(where)),
            ("register", lambda: self.router.register([tool(rng)], namespace=text(rng))),
            ("select", lambda: self.router.select(text(rng), where=where, namespace=text(rng))),
            ("scoped", lambda: memory.scoped(**whose).turns(where=where)),
        ]

    def _add(self, given: Any, whose: dict[str, Any], conflict: Any) -> None:
        """Add messages, and read back what was said to be stored."""
        ids = self.memory.add(given, **whose, on_conflict=conflict)
        for turn_id in dict.fromkeys(ids[:2]):
            found = self.memory.delete(turn_id, scope=ALL, dry_run=True)
            assert found.turns, f"{turn_id!r} was not stored"

    def _import(self, rng: Random) -> None:
        rejects = self.folder / "rejects.jsonl"
        rejects.unlink(missing_ok=True)
        self.memory.import_turns(
            write_file(rng, self.folder),
            user_id="ada",
            progress=False,
            rejects=rejects,
            on_conflict=rng.choice(["error", "replace"]),
            batch_size=rng.choice([1, 2, 512]),
        )

    @staticmethod
    def _filter(where: Any) -> None:
        """Read a filter; written as JSON and read again, it is the same."""
        read = parse_filter(where)
        again = parse_filter(to_json(read))
        assert to_json(again) == to_json(read)


@contextmanager
def limited() -> Iterator[None]:
    """Give a case so much time; what does not come back at all ends the process."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise HungError(f"took more than {SECONDS_A_CASE:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_A_CASE)
    faulthandler.dump_traceback_later(HUNG, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Run the fuzzer from the command line; 1 if it found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**9))
    parser.add_argument("--replay", type=int, help="run the one case of this number")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")
    folder = Path(tempfile.mkdtemp(prefix="agentmem-fuzz-"))
    fuzzer = Fuzzer(folder)
    say = sys.stdout.write
    try:
        if options.replay is not None:
            fuzzer.case(options.replay)
        else:
            say(f"the first case is {options.seed}\n")
            fuzzer.run(seconds=60 * options.minutes, seed=options.seed)
    finally:
        fuzzer.close()
        shutil.rmtree(folder, ignore_errors=True)
    for seed, kind, what in fuzzer.found[:SHOWN]:
        say(f"\n--replay {seed} ({kind}):\n{what}\n")
    kinds = ", ".join(f"{kind} {fuzzer.refused[kind]}/{n}" for kind, n in fuzzer.ran.items())
    say(f"{sum(fuzzer.ran.values()):,} cases, {len(fuzzer.found)} findings; refused: {kinds}\n")
    return 1 if fuzzer.found else 0


if __name__ == "__main__":
    sys.exit(main())
