"""What the tests of a learning router share: tools, and queries in words no description holds."""

from __future__ import annotations

import random
from typing import Any

from router_tools import define

from agentmem.router import ToolRouter

SLANG = {
    "get_weather": "drizzle umbrella breeze frost sunny puddle hail mist",
    "book_flight": "gate layover luggage runway aisle takeoff jetlag lounge",
    "send_mail": "stamp envelope parcel courier postcard signature carbon reply",
    "play_music": "chorus guitar vinyl encore melody bassline lyric tempo",
    "find_recipe": "simmer garlic oven skillet dough broth basil roast",
    "track_stock": "dividend ticker bull portfolio hedge yield margin broker",
    "plan_workout": "squat treadmill sprint plank dumbbell stretch cardio lunge",
    "fix_car": "clutch gasket piston brake sparkplug tyre exhaust radiator",
}
CATALOGUE = [define(name, f"The tool number {n}.") for n, name in enumerate(SLANG)]


def asked(name: str, count: int, *, seed: int = 0) -> list[str]:
    """Return different queries that people ask of a tool."""
    generator = random.Random(f"{name} {seed}")
    words = SLANG[name].split()
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(generator.sample(words, 4))] = None
    return list(found)


def batch(count: int, *, seed: int = 0, wrong: float = 0.0) -> dict[str, list[str]]:
    """Return examples of every tool, a share of which are given to another tool."""
    generator = random.Random(seed)
    given: dict[str, list[str]] = {name: [] for name in SLANG}
    for name in SLANG:
        for query in asked(name, count, seed=seed):
            others = [one for one in SLANG if one != name]
            given[generator.choice(others) if generator.random() < wrong else name].append(query)
    return given


def best(router: ToolRouter, query: str, **options: Any) -> str:
    """Return the name of the tool that comes first, chosen or not."""
    return router.select(query, **options).candidates[0].name


def first_rate(router: ToolRouter, *, seed: int = 99) -> float:
    """Return the share of new queries whose own tool comes first."""
    pairs = [(name, query) for name in SLANG for query in asked(name, 5, seed=seed)]
    selections = router.select_batch([query for _, query in pairs])
    hits = [
        one.candidates[0].name == name for (name, _), one in zip(pairs, selections, strict=True)
    ]
    return sum(hits) / len(hits)


def observed(router: ToolRouter) -> list[dict[str, Any]]:
    """Return every stored observation, without its vector."""
    rows = router._parts.store.lessons.observations(None)[1]
    return rows.select([name for name in rows.column_names if name != "vector"]).to_pylist()
