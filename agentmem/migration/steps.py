"""The generations of a migration: the next one made, carried to, sealed for, swapped in, dropped.

Each step may be killed anywhere and made again. None of them decides when it is time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from agentmem.embedding.canaries import embed_canaries
from agentmem.errors import InvalidInput, VersionGone
from agentmem.protocols import Embedder
from agentmem.storage.canaries import KeptCanaries
from agentmem.storage.copying import Copy, copies, drop_tables, holdings, make_tables
from agentmem.storage.description import Description, Generation
from agentmem.storage.generations import Whole
from agentmem.types import Passport

__all__ = ["Steps", "add_generation", "drop"]

GRACE: Final = 5.0  # seconds for reads that began before a generation was struck off the list


class Steps:
    """The steps of one migration from one generation to another.

    Args:
        store: The store.
        name: Id of the migration; its seals have names of their own that begin with it.
        source: Number of the generation in force.
        target: Number of the one to come.
    """

    def __init__(self, store: Whole, *, name: str, source: int, target: int) -> None:
        self._store = store
        self._name = name
        self._seal = f"{name}:{secrets.token_hex(8)}"  # a run that wakes up late has lost its own
        self.source = _kept(store.generations.read(), source)
        self.target = _kept(store.generations.read(), target)

    def copies(self) -> list[Copy]:
        """Return every holding there is now, in both generations."""
        store = self._store
        return copies(store.opened, source=self.source, target=self.target, guard=store.guard)

    def seal(self) -> bool:
        """Make writers wait; False if the generation is not in force, or another's seal is on."""

        def sealed(now: Description) -> Description | None:
            if now.active != self.source.number or now.seal not in (None, self._seal):
                return None
            return replace(now, seal=self._seal, shadow=None)

        return self._store.generations.change(sealed) is not None

    def unseal(self) -> None:
        """Let writers go on."""

        def opened(now: Description) -> Description | None:
            return replace(now, seal=None) if now.seal == self._seal else None

        self._store.generations.change(opened)

    def unseal_earlier(self) -> None:
        """Break the seal that an earlier run of this migration left on."""

        def opened(now: Description) -> Description | None:
            left = now.seal is not None and now.seal.startswith(self._name)
            return replace(now, seal=None) if left else None

        self._store.generations.change(opened)

    def flip(self) -> bool:
        """Put the next generation in force; False if the seal was broken meanwhile."""

        def flipped(now: Description) -> Description | None:
            if now.seal != self._seal or now.active != self.source.number:
                return None
            return now.in_force(self.target.number)

        return self._store.generations.change(flipped) is not None

    @property
    def has_flipped(self) -> bool:
        """Whether the next generation is in force."""
        return self._store.generations.read().active == self.target.number

    @property
    def erasures(self) -> int:
        """How often something was erased from the store."""
        return self._store.generations.read().erasures

    def shadow(self, *, shown: bool) -> None:
        """Ask processes that can to compare both generations on live questions, or to stop."""
        wanted = self.target.number if shown else None

        def changed(now: Description) -> Description | None:
            if now.shadow == wanted or now.active != self.source.number:
                return None
            return replace(now, shadow=wanted)

        self._store.generations.change(changed)

    def drop_target(self) -> None:
        """Give up the next generation, and with it everything that was carried to it."""
        drop(self._store, self.target.number, grace=0.0)


def add_generation(store: Whole, embedder: Embedder) -> Generation:
    """Make the tables of a new generation with its canaries, and put it on the list.

    Its number is taken first, so that nobody else makes or drops tables of that number.
    """
    passport: Passport = embedder.passport
    canaries = embed_canaries(embedder)
    now = _changed(store, lambda one: replace(one, last=one.last + 1))
    made = Generation(now.last, passport)
    make_tables(store.opened, made, held=holdings(store.opened, now.generation))
    KeptCanaries(store.opened.at(made), guard=store.guard).put_if_absent(canaries)
    _changed(store, lambda one: one.having(made))
    return made


def drop(store: Whole, number: int, *, grace: float = GRACE) -> None:
    """Strike a generation off the list, and drop its tables.

    Args:
        store: The store.
        number: Of a generation that is not in force.
        grace: Seconds between the two.

    Raises:
        InvalidInput: It is the one in force.
        VersionGone: There is none of that number.
    """
    found = _kept(store.generations.read(), number)

    def without(now: Description) -> Description | None:
        if now.active == number:
            raise InvalidInput(
                f"generation {number} is in force, and cannot be dropped. Repair: drop another one."
            )
        return now.without(number) if number in now.generations else None

    if store.generations.change(without) is not None:  # else another process does
        time.sleep(grace)
        drop_tables(store.opened, found)


def _changed(store: Whole, change: Callable[[Description], Description]) -> Description:
    after = store.generations.change(change)
    return store.generations.read() if after is None else after


def _kept(description: Description, number: int) -> Generation:
    found = description.generations.get(number)
    if found is None:
        raise VersionGone(
            f"generation {number} of the store is no longer kept. Repair: migrate anew.",
            version=number,
        )
    return found
