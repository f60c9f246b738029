"""How often ordinary days alarm, and how often foreign sessions are noticed, on real conversations.

    python benchmarks/drift_study.py --data DATA [--days 200] [--part held-out] [--bare]
                                     [--cache FILE] [--plot FILE] [--check] [--out results]

A day is drawn anew from the sessions of one data set: a reference of 40, and two windows of 20
after it, with a share of each window replaced by sessions of another data set. It alarms when
both windows do, as `agentmem.statistics` has it by default. Test and level were chosen on some of
the conversations (`--part developed`); what is reported is from the others (`held-out`). Sessions
are stretches of few turns, because a short session is harder to tell than a whole one, and texts
are embedded as a store does, or without the speakers (`--bare`), whose names give much away.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from agentmem import Scope, SentenceTransformerEmbedder
from agentmem.evaluation.bfcl_memory import load_bfcl_memory
from agentmem.evaluation.datasets import read_json_lines
from agentmem.evaluation.locomo import load_locomo
from agentmem.evaluation.qmsum import load_qmsum
from agentmem.messages import embedding_text, to_turns
from agentmem.statistics import (
    CURRENT_SESSIONS,
    REFERENCE_SESSIONS,
    WINDOW_LEVEL,
    alarms,
    two_sample,
)

MOST_ALARMS, LEAST = 0.02, {0.3: 0.5, 0.5: 0.95}  # targets: of ordinary days, and by share
PERMUTATIONS = 999  # p-values to 0.001, at a fifth of the time
FEWEST_TURNS = 2  # a stretch of fewer is left out
STRETCH = {"locomo": 8, "qmsum": 12, "bfcl-memory": 6, "bfcl-multi-turn": 12}
PER_MEETING = 8  # stretches, spread over it: 35 meetings are 19,000 turns
HELD_OUT = {  # every so manieth conversation, and which of them
    "locomo": (3, {2}),
    "qmsum": (2, {1}),
    "bfcl-memory": (5, {2, 4}),
    "bfcl-multi-turn": (2, {1}),
}
PAIRS = [  # what is ordinary, what is foreign
    ("locomo", "qmsum"),
    ("locomo", "bfcl-memory"),
    ("locomo", "bfcl-multi-turn"),
    ("qmsum", "locomo"),
    ("qmsum", "bfcl-memory"),
    ("qmsum", "bfcl-multi-turn"),
    ("bfcl-multi-turn", "locomo"),
    ("bfcl-multi-turn", "qmsum"),
]
ORDINARY = list(dict.fromkeys(ordinary for ordinary, _ in PAIRS))


@dataclass(frozen=True)
class Session:
    """A stretch of turns, of which only places in the list of all texts are kept.

    Attributes:
        source: The data set it is from.
        conversation: Which conversation of it.
        rows: Places of its texts.
    """

    source: str
    conversation: int
    rows: range

    @property
    def is_held_out(self) -> bool:
        """Whether nothing was chosen on it."""
        period, which = HELD_OUT[self.source]
        return self.conversation % period in which


@dataclass(frozen=True)
class Rate:
    """How often something happened, with the 95 % interval of Wilson (1927)."""

    count: int
    days: int

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f} – {high:.3f})"

    @property
    def value(self) -> float:
        """The rate."""
        return self.count / self.days

    @property
    def interval(self) -> tuple[float, float]:
        """Its bounds."""
        found = binomtest(self.count, self.days).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


def conversations(data: Path) -> Iterator[tuple[str, int, Sequence[Mapping[str, Any]]]]:
    """Give the messages of every conversation, with its source and number."""
    sets = [
        load_locomo(data / "locomo" / "locomo3-dev.json"),
        load_qmsum(data / "qmsum" / "val.jsonl"),
        load_bfcl_memory(data / "bfcl"),
    ]
    for dataset in sets:
        for number, conversation in enumerate(dataset.conversations):
            yield dataset.name, number, conversation.messages
    lines = read_json_lines(data / "bfcl" / "BFCL_v4_multi_turn_base.json")
    for number, (_, row) in enumerate(lines):
        said = [message for step in row["question"] for message in step]
        yield "bfcl-multi-turn", number, [{**one, "session_id": row["id"]} for one in said]


def stretches(source: str, messages: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Cut the sessions of a conversation into stretches of turns."""
    size = STRETCH[source]
    found = []
    for _, group in groupby(messages, key=lambda one: one["session_id"]):
        session = list(group)
        parts = [session[start : start + size] for start in range(0, len(session), size)]
        found += [part for part in parts if len(part) >= FEWEST_TURNS]
    if source == "qmsum" and len(found) > PER_MEETING:
        found = [found[int(place)] for place in np.linspace(0, len(found) - 1, PER_MEETING)]
    return found


def read(data: Path, *, bare: bool) -> tuple[list[Session], list[str]]:
    """Return all sessions, and the texts that their turns are embedded as."""
    sessions: list[Session] = []
    texts: list[str] = []
    for source, number, messages in conversations(data):
        for part in stretches(source, messages):
            known = ("role", "name", "content", "attachments")
            plain = [{key: one[key] for key in known if key in one} for one in part]
            now = datetime.now(timezone.utc)
            turns = to_turns(plain, scope=Scope(user_id="u"), now=now, new_id=lambda: "new")
            said = [embedding_text(turn) for turn in turns]
            rows = range(len(texts), len(texts) + len(said))
            sessions.append(Session(source, number, rows))
            texts += [body if bare else prefix + body for prefix, body in said]
    return sessions, texts


def embedded(texts: Sequence[str], cache: Path | None) -> NDArray[np.float32]:
    """Return the vectors of texts, encoding those that the cache has not."""
    names = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    known: dict[str, NDArray[np.float32]] = {}
    if cache and cache.exists():
        kept = np.load(cache)
        known = dict(zip(kept["names"].tolist(), kept["vectors"], strict=True))
    missing = {name: text for name, text in zip(names, texts, strict=True) if name not in known}
    if missing:
        print(f"embedding {len(missing):,} turns", file=sys.stderr)
        model = SentenceTransformerEmbedder(device="cpu")
        fresh = model.embed(list(missing.values()), kind="document")
        known.update(zip(missing, fresh, strict=True))
        if cache:
            np.savez(cache, names=np.array(list(known)), vectors=np.stack(list(known.values())))
    return np.stack([known[name] for name in names])


def gathered(
    vectors: NDArray[np.float32], sessions: Sequence[Session]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the rows of sessions, and the number of the session of each."""
    rows = np.concatenate([np.array(one.rows) for one in sessions])
    return vectors[rows], np.repeat(np.arange(len(sessions)), [len(one.rows) for one in sessions])


def day(
    vectors: NDArray[np.float32],
    ordinary: Sequence[Session],
    *,
    foreign: Sequence[Session],
    share: float,
    rng: np.random.Generator,
) -> list[float]:
    """Draw a day, and return the p-value of each of its two windows."""
    replaced = round(share * CURRENT_SESSIONS)
    own = CURRENT_SESSIONS - replaced
    drawn = [ordinary[place] for place in rng.permutation(len(ordinary))]
    others = [foreign[place] for place in rng.permutation(len(foreign))]
    reference, codes = gathered(vectors, drawn[:REFERENCE_SESSIONS])
    p_values = []
    for window in (0, 1):
        start = REFERENCE_SESSIONS + window * own
        mine = drawn[start : start + own] + others[window * replaced : (window + 1) * replaced]
        current, current_codes = gathered(vectors, mine)
        found = two_sample(
            reference,
            current,
            reference_sessions=codes,
            current_sessions=current_codes,
            rng=rng,
            permutations=PERMUTATIONS,
        )
        p_values.append(found.p_value)
    return p_values


class Study:
    """Days by what they are drawn from; each kind of day has a seed of its own."""

    def __init__(
        self, vectors: NDArray[np.float32], sessions: Sequence[Session], *, days: int
    ) -> None:
        self.pools = {name: [one for one in sessions if one.source == name] for name in STRETCH}
        self.days = days
        self._vectors = vectors

    def rate(self, ordinary: str, foreign: str = "", *, share: float = 0.0) -> Rate:
        """Return how often days alarm."""
        seed = [*f"{ordinary}/{foreign}/{share}".encode()]
        rng = np.random.default_rng(seed)
        own, others = self.pools[ordinary], self.pools[foreign] if foreign else []
        replaced = 2 * round(share * CURRENT_SESSIONS)
        needed = REFERENCE_SESSIONS + 2 * CURRENT_SESSIONS - replaced
        if len(own) < needed or len(others) < replaced:
            sys.exit(f"{ordinary} has {len(own)} sessions of {needed} that a day takes")
        found = [
            day(self._vectors, own, foreign=others, share=share, rng=rng) for _ in range(self.days)
        ]
        return Rate(sum(bool(alarms([one])[0]) for one in found), self.days)


def plotted(
    ordinary: Mapping[str, Rate], noticed: Mapping[str, Mapping[float, Rate]], path: Path
) -> None:
    """Draw every rate with its interval, and the targets as lines."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, sides = plt.subplots(1, 2, figsize=(11, 4), width_ratios=[1, 2], layout="constrained")
    points(sides[0], ordinary, offset=0, colour="#4269d0", label="")
    sides[0].axvline(MOST_ALARMS, color="#4269d0", linestyle=":")
    sides[0].set(title="ordinary days that alarm", xlim=(0, 3 * MOST_ALARMS))
    for place, (share, colour) in enumerate(zip(LEAST, ("#efb118", "#ff725c"), strict=True)):
        rates = {name: by_share[share] for name, by_share in noticed.items()}
        label = f"{share:.0%} foreign sessions"
        points(sides[1], rates, offset=0.12 - 0.24 * place, colour=colour, label=label)
        sides[1].axvline(LEAST[share], color=colour, linestyle=":")
    sides[1].set(title="days with foreign sessions that alarm", xlim=(0, 1.02))
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


def points(axes: Any, rates: Mapping[str, Rate], *, offset: float, colour: str, label: str) -> None:
    """Draw rates below each other, each with its interval."""
    middles = np.array([rate.value for rate in rates.values()])
    bounds = np.array([rate.interval for rate in rates.values()]).T
    places = -np.arange(len(rates)) + offset
    reach = np.maximum([middles - bounds[0], bounds[1] - middles], 0)
    axes.errorbar(middles, places, xerr=reach, fmt="o", color=colour, label=label)
    axes.set_yticks(-np.arange(len(rates)), list(rates))
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Draw the days, print the rates, and write results as JSON."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, default=os.environ.get("AGENTMEM_DATA"))
    options.add_argument("--days", type=int, default=200, help="of each kind")
    options.add_argument("--part", choices=["held-out", "developed", "all"], default="held-out")
    options.add_argument("--bare", action="store_true", help="texts without their speakers")
    options.add_argument("--cache", type=Path, help="an .npz that keeps the vectors")
    options.add_argument("--plot", type=Path, help="a PNG of the rates")
    options.add_argument("--check", action="store_true", help="fail where a target is missed")
    options.add_argument("--out", type=Path, default=Path("results"))
    given = options.parse_args()
    if given.data is None:
        options.error("--data names the folder of the data sets, see docs/evaluation.md")
    start = time.perf_counter()
    sessions, texts = read(given.data, bare=given.bare)
    vectors = embedded(texts, given.cache)
    part = [one for one in sessions if given.part in ("all", PART[one.is_held_out])]
    study = Study(vectors, part, days=given.days)
    print({name: f"{len(pool)} sessions" for name, pool in study.pools.items()}, "\n")
    ordinary = {name: study.rate(name) for name in ORDINARY}
    print("| ordinary | days that alarm (95 %) | target |\n|---|---|---|")
    for name, rate in ordinary.items():
        print(f"| {name} | {rate} | ≤ {MOST_ALARMS} |")
    noticed = {}
    heads = " | ".join(f"{share:.0%} foreign (≥ {least})" for share, least in LEAST.items())
    print(f"\n| ordinary ← foreign | {heads} |\n|---|---|---|", flush=True)
    for own, foreign in PAIRS:
        rates = {share: study.rate(own, foreign, share=share) for share in LEAST}
        noticed[f"{own} ← {foreign}"] = rates
        cells = " | ".join(map(str, rates.values()))
        print(f"| {own} ← {foreign} | {cells} |", flush=True)
    if given.plot:
        plotted(ordinary, noticed, given.plot)
    missed = [name for name, rate in ordinary.items() if rate.value > MOST_ALARMS]
    missed += [
        f"{name} at {share:.0%}"
        for name, rates in noticed.items()
        for share, rate in rates.items()
        if rate.value < LEAST[share]
    ]
    report = {
        "days": given.days,
        "part": given.part,
        "bare": given.bare,
        "level": WINDOW_LEVEL,
        "versions": {name: version(name) for name in ("numpy", "sentence-transformers")},
        "ordinary": {name: rate.value for name, rate in ordinary.items()},
        "noticed": {
            name: {str(share): rate.value for share, rate in rates.items()}
            for name, rates in noticed.items()
        },
        "missed": missed,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "drift_study.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nmissed: {', '.join(missed) or 'none'}; {time.perf_counter() - start:.0f} s")
    if given.check and missed:
        sys.exit(1)


PART = {True: "held-out", False: "developed"}


if __name__ == "__main__":
    main()
