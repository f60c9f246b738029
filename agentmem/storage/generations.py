"""Which generation of a store is in force: asked anew by every operation, and changed by swap.

**How writers follow a flip.** A migration first *seals* the generation in force, which is a
compare-and-swap. A writer commits, then reads the description, and counts as done only if the
generation it wrote to is still in force, was so all the time, and is not sealed. So every write
that was acknowledged is there when the migration reads the sealed generation for the last time,
and every other writer waits, and repeats its write in the generation in force then. No row has to
be carried after the flip, and no reader ever misses an acknowledged write. A seal whose owner died
is broken by the writers that wait for it; from then on its owner's flip fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Generic, TypeVar

from agentmem.errors import (
    ConcurrentWrite,
    EmbedderMismatch,
    EmbeddingFailed,
    StoreError,
    VersionGone,
)
from agentmem.storage.description import DESCRIPTION, Description, Generation
from agentmem.storage.guard import Guard
from agentmem.storage.meta import Meta
from agentmem.storage.opening import Opened, open_meta

__all__ = ["Generations", "Spaces", "Whole"]

S = TypeVar("S")

POLL: Final = 0.02  # seconds between two looks at a seal: one look at a folder costs 0.1 ms,
POLL_FAR: Final = 0.5  # and one at a bucket a request
PATIENCE: Final = 30.0  # seconds a seal may stand; what is carried under one takes a few
SWAPS: Final = 100  # each lost one is another's success


@dataclass(frozen=True, slots=True)
class _Read:
    version: int
    rev: int
    description: Description


class Generations:
    """The description of one store, read again whenever it changed. Safe for several threads.

    Args:
        opened: The store.
        guard: What may be done with it.
        patience: Seconds a writer waits for one and the same seal before it breaks it.
    """

    def __init__(self, opened: Opened, *, guard: Guard, patience: float = PATIENCE) -> None:
        self._uri = opened.uri
        self._guard = guard
        self._meta = open_meta(opened, guard=guard)
        self._patience = patience
        self._poll = POLL_FAR if opened.folder is None else POLL
        self._lock = threading.Lock()
        self._known: _Read | None = None

    def read(self) -> Description:
        """Return the newest description, by whichever process.

        Raises:
            StoreError: The store is closed, or could not be read.
        """
        return self._read().description

    def open_to_writers(self) -> Generation:
        """Return the generation in force, as soon as it is not sealed.

        Raises:
            StoreError: The store is closed, read-only, or could not be read.
        """
        return self.unsealed().generation

    def unsealed(self) -> Description:
        """Return the newest description, as soon as no generation is sealed.

        Raises:
            StoreError: The store is closed, read-only, or could not be read.
        """
        seen, since = None, time.monotonic()
        while (seal := (now := self.read()).seal) is not None and not self._guard.read_only:
            if seal != seen:
                seen, since = seal, time.monotonic()
            if time.monotonic() - since > self._patience:
                self.change(partial(_unsealed, seal=seal))
            else:
                time.sleep(self._poll)
        return now

    def change(self, change: Callable[[Description], Description | None]) -> Description | None:
        """Change the description by compare-and-swap.

        Args:
            change: From the newest description to the next, or to None to leave it; called
                again when another process was faster.

        Returns:
            What is stored now; None where `change` left it.

        Raises:
            ConcurrentWrite: Others kept coming first.
            StoreError: The store is read-only, or could not be written.
        """
        for _ in range(SWAPS):
            before = self._read(anew=True)
            after = change(before.description)
            if after is None:
                return None
            if self._meta.compare_and_swap(DESCRIPTION, after.to_json(), rev=before.rev):
                return after
        raise ConcurrentWrite(
            f"could not change the description of {self._uri}: other processes kept changing it "
            "first, and nothing was changed. Repair: call again."
        )

    def _read(self, *, anew: bool = False) -> _Read:
        version = self._meta.version  # before the value: what is newer than it is read again
        with self._lock:
            known = self._known
        if known is not None and known.version == version and not anew:
            return known
        found = self._meta.get(DESCRIPTION)
        if found is None:
            raise StoreError(
                f"the description of the store {self._uri} is gone. Repair: restore the folder "
                "from a backup."
            )
        if known is None or known.rev != found.rev:
            fresh = _Read(version, found.rev, Description.from_json(found.value))
        else:
            fresh = replace(known, version=version)
        with self._lock:
            if self._known is None or self._known.version <= version:
                self._known = fresh
        return fresh


@dataclass(frozen=True, slots=True)
class Whole:
    """A store in all of its generations, for what concerns them all.

    Attributes:
        opened: The store, in whichever generation it was opened.
        guard: What may be done with it.
        generations: Which of them is in force.
        meta: Its named values.
    """

    opened: Opened
    guard: Guard
    generations: Generations
    meta: Meta

    @classmethod
    def of(cls, opened: Opened, *, guard: Guard) -> Whole:
        """Return that of an open store."""
        meta = open_meta(opened, guard=guard)
        return cls(opened, guard, Generations(opened, guard=guard), meta)


class Spaces(Generic[S]):
    """What a process holds of each generation of one store, made when it is first needed.

    Args:
        generations: Of the store.
        make: From a generation to what is held of it, such as its tables with their embedder.
        upcoming: Told once of each generation that is being made, to prepare for it.
        erased: Called when something was erased, and nothing remembered may be used any more.
    """

    def __init__(
        self,
        generations: Generations,
        *,
        make: Callable[[Generation], S],
        upcoming: Callable[[Generation], None] = lambda _: None,
        erased: Callable[[], None] = lambda: None,
    ) -> None:
        self._upcoming = upcoming
        self._erased = erased
        self._erasures = generations.read().erasures
        self._announced = 0
        self._generations = generations
        self._make = make
        self._lock = threading.RLock()
        self._held: dict[int, S] = {}
        self._active = 0

    def current(self) -> S:
        """Return what is held of the generation in force.

        Raises:
            EmbedderMismatch: This process has no embedder of its space.
            StoreError: The store could not be read.
        """
        return self.shadowed()[0]

    def shadowed(self) -> tuple[S, int | None]:
        """Return what is held of the generation in force, and the number of its shadow.

        That is a generation that live questions are to be asked of as well; None for none.

        Raises:
            EmbedderMismatch: This process has no embedder of its space.
            StoreError: The store could not be read.
        """
        now = self._generations.read()
        if now.erasures != self._erasures:
            self.forget(now.erasures)
        found = self._of(now.generation)
        if now.last > max(now.active, self._announced):
            self._announce(now)
        if now.active != self._active:
            with self._lock:  # what is in use is kept by whoever uses it
                self._held = {now.active: found}
                self._active = now.active
        return found, now.shadow

    def at(self, number: int) -> S:
        """Return what is held of a generation, in force or not.

        Raises:
            VersionGone: Its tables are no longer kept.
            EmbedderMismatch: This process has no embedder of its space.
            StoreError: The store could not be read.
        """
        found = self._generations.read().generations.get(number)
        if found is None:
            raise VersionGone(
                f"generation {number} of the store is no longer kept: it was dropped after a "
                "migration, and what was asked of it cannot be asked again. Repair: for the "
                "future, keep the old generation longer.",
                version=number,
            )
        return self._of(found)

    def kept(self, number: int) -> S | None:
        """Return what is held of a generation; None where its tables or its model are gone.

        Raises:
            StoreError: The store could not be read.
        """
        try:
            return self.at(number)
        except (VersionGone, EmbedderMismatch, EmbeddingFailed):
            return None

    def writing(self) -> Iterator[S]:
        """Give where to write, and once more whenever the store moved during the write.

        Once more as well where something was erased meanwhile, which a write that had begun by
        then may bring back. For `for`: the body makes one write. The loop ends when the write is
        in the generation in force, and may be acknowledged.

        Raises:
            EmbedderMismatch: This process has no embedder of the space in force.
            StoreError: The store is closed, read-only, or could not be read.
        """
        before: Description | None = self._generations.unsealed()
        while before is not None:
            yield self._of(before.generation)
            after = self._generations.unsealed()
            stayed = _state(after) == _state(before)
            before = None if stayed else after  # there and back again is a move as well

    def forget(self, erasures: int) -> None:
        """Let go of everything that is held, because something was erased so often by now."""
        with self._lock:  # what is in use is kept by whoever uses it
            if erasures != self._erasures:
                self._erasures = erasures
                self._held = {}
                self._erased()

    def others(self, number: int) -> list[Generation]:
        """Return the generations that are kept, or being made, beside the one of that number."""
        kept = self._generations.read().generations
        return [one for other, one in kept.items() if other != number]

    def keeps(self, number: int) -> bool:
        """Whether a generation is on the list of those whose tables are kept."""
        return number in self._generations.read().generations

    def held(self) -> list[S]:
        """Return everything that is held."""
        with self._lock:
            return list(self._held.values())

    def _announce(self, now: Description) -> None:
        """Tell of a generation that may soon be in force."""
        if now.last in now.generations:  # else its tables are yet to be made
            self._announced = now.last
            self._upcoming(now.generations[now.last])

    def _of(self, generation: Generation) -> S:
        found = self._held.get(generation.number)
        if found is not None:
            return found
        with self._lock:
            if generation.number not in self._held:
                self._held[generation.number] = self._make(generation)
            return self._held[generation.number]


def _state(now: Description) -> tuple[int, int, int]:
    return now.active, now.flips, now.erasures


def _unsealed(description: Description, *, seal: str) -> Description | None:
    return replace(description, seal=None) if description.seal == seal else None
