"""What the tests of generations share: the steps of a migration, made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agentmem.storage.description import Description, Generation
from agentmem.storage.generations import Generations
from agentmem.types import Passport

__all__ = ["announce", "flip", "flipped", "seal", "sealed", "unsealed"]

Change = Callable[[Description], Description | None]


def sealed(name: str) -> Change:
    """Seal the generation in force, unless it is sealed."""
    return lambda now: None if now.seal is not None else replace(now, seal=name)


def unsealed(name: str) -> Change:
    """Take one's own seal away."""
    return lambda now: replace(now, seal=None) if now.seal == name else None


def flipped(number: int, *, name: str) -> Change:
    """Put another generation in force, if one's seal still stands."""
    return lambda now: replace(now, active=number, seal=None) if now.seal == name else None


def announce(generations: Generations, passport: Passport) -> Generation:
    """Keep a further generation, and return it."""
    told = generations.change(lambda now: now.with_next(passport)[0])
    assert told is not None
    return told.generations[told.last]


def seal(generations: Generations, *, name: str = "migration") -> None:
    """Seal the generation in force."""
    assert generations.change(sealed(name)) is not None


def flip(generations: Generations, *, to: int, name: str = "migration") -> None:
    """Put a generation in force whose migration sealed the one that is."""
    assert generations.change(flipped(to, name=name)) is not None
