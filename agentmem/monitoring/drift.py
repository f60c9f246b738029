"""`Drift`: what `memory.drift` and `router.drift` are. Delegates, and owns what runs meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from agentmem.checks import identifier, shown
from agentmem.embedding.cache import CachedEmbedder
from agentmem.errors import InvalidInput, NotFound
from agentmem.monitoring.asking import Sampler
from agentmem.monitoring.baseline import move_baseline
from agentmem.monitoring.first import FirstLooks
from agentmem.monitoring.hooks import Hooks, Kinds, checked_kinds
from agentmem.monitoring.monitor import Looked, Monitor
from agentmem.monitoring.policies import Migrate, Policy, check_policy
from agentmem.monitoring.reembedding import Remake, reembed
from agentmem.monitoring.schedule import Lease, Watch, checked_period
from agentmem.monitoring.staleness import stale_texts
from agentmem.monitoring.watched import Watched
from agentmem.storage.canaries import Kept
from agentmem.storage.questions import Listener, Question
from agentmem.telemetry import Tracing
from agentmem.types import (
    AllScopes,
    DriftCheck,
    DriftEvent,
    DriftKind,
    DriftPolicy,
    DriftReport,
    Reembedded,
    Scope,
    StaleText,
)

__all__ = ["Drift", "DriftSettings"]

SIX_HOURS: Final = timedelta(hours=6)  # a silent swap is noticed the same day, at 4 checks a day
EXACT: Final[frozenset[DriftKind]] = frozenset({"model", "texts"})  # know no baseline


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """What is done about drift.

    Attributes:
        policy: Unasked.
        keep_questions: Whether a sample of questions is kept, as vectors.
        migrate: Moves the store to the embedder in use; None where nobody can.
        remake: From an embedder to what makes rows with it; None where nobody can.
    """

    policy: DriftPolicy = "warn"
    keep_questions: bool = False
    migrate: Migrate | None = None
    remake: Callable[[CachedEmbedder], Remake] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be used.

        Raises:
            InvalidInput: There is no such policy, or `keep_questions` is not a bool.
        """
        check_policy(self.policy)
        if not isinstance(self.keep_questions, bool):
            raise InvalidInput(f"keep_questions={shown(self.keep_questions)}: pass True or False.")


class Drift:
    """The drift of one memory or router. Safe for several threads.

    Attributes:
        hooks: Who hears of events.
    """

    def __init__(
        self, watched: Callable[[], Watched], *, settings: DriftSettings, tracing: Tracing
    ) -> None:
        self._watched = watched
        self._settings = settings
        self.hooks = Hooks()
        self._policy = Policy(settings.policy, hooks=self.hooks, migrate=settings.migrate)
        self._monitor = Monitor(watched, hooks=self.hooks, policy=self._policy, tracing=tracing)
        self._first = FirstLooks(self._monitor)
        self._lock = threading.Lock()
        self._watch: Watch | None = None
        self._samplers: dict[int, Sampler] = {}

    def check(self, kinds: Kinds = None) -> DriftReport:
        """Look for drift now, and tell hooks of what is new.

        Args:
            kinds: One kind, or several: "model", "texts", "content", "questions", "answers",
                "language", "length"; all of them if None.

        Raises:
            InvalidInput: There is no such kind.
            StoreError: The store could not be read, or the findings not be written down.
        """
        return self._monitor.check(kinds)

    def watch(self, *, every: timedelta = SIX_HOURS, kinds: Kinds = None) -> Watch:
        """Look for drift again and again in the background, until it is stopped or closed.

        Of all processes that watch a store, one makes each check. A watch that is under way is
        stopped first.

        Raises:
            InvalidInput: `every` is too short, or there is no such kind.
            StoreError: The store is read-only.
        """
        wanted, period = checked_kinds(kinds), checked_period(every)
        self._watched().tables.canaries.check_writable()
        self.stop()
        with self._lock:
            self._watch = Watch(lambda: self.check(wanted), lease=self._lease, every=period)
            return self._watch

    def stop(self) -> None:
        """Stop looking in the background."""
        with self._lock:
            watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def events(self, *, unresolved: bool = True) -> list[DriftEvent]:
        """Return what was found, by whichever process, oldest first.

        Args:
            unresolved: Only what stands; else also what a later check found to be over.

        Raises:
            StoreError: The store could not be read.
        """
        watched = self._watched()
        standing = watched.tables.journal.events(subject=watched.subject, unresolved=unresolved)
        return [one.event for one in standing]

    def history(self, *, kind: DriftKind | None = None) -> list[DriftCheck]:
        """Return what every earlier check found, oldest first.

        Raises:
            StoreError: The store could not be read.
        """
        watched = self._watched()
        return watched.tables.journal.history(subject=watched.subject, kind=kind)

    def acknowledge(self, event_id: str) -> DriftEvent:
        """Accept an event: it blocks no writes, and no hook hears of it any more.

        Returns:
            The event.

        Raises:
            NotFound: There is none of that id.
            StoreError: The store is read-only, or could not be written.
        """
        wanted = identifier(event_id, what="id of an event")
        watched = self._watched()
        journal = watched.tables.journal
        found = [one.event for one in journal.events() if one.event.id == wanted]
        if not found:
            raise NotFound(
                f"there is no drift event {wanted!r}. Look at drift.events(unresolved=False)."
            )
        with watched.audit.entry("drift.acknowledge", detail={"event": wanted}):
            journal.acknowledge(wanted, now=datetime.now(timezone.utc))
        return found[0]

    def rebase(self, *, dry_run: bool = False) -> tuple[DriftEvent, ...]:
        """Accept today's state as the baseline of content, questions, answers and lengths.

        Args:
            dry_run: Say which events would be over, and change nothing.

        Returns:
            The events that are over by that.

        Raises:
            StoreError: The store is read-only, or could not be written.
        """
        watched, now = self._watched(), datetime.now(timezone.utc)
        journal = watched.tables.journal
        standing = journal.events(subject=watched.subject, unresolved=True)
        over = tuple(one.event for one in standing if one.event.kind not in EXACT)
        with watched.audit.entry("drift.rebase", changes=not dry_run):
            if dry_run:
                return over
            move_baseline(watched.tables.meta, subject=watched.subject, now=now)
            journal.resolve((one.id for one in over), now=now)
        return over

    def stale(self) -> list[StaleText]:
        """Return the stored texts whose vectors are not those they would get today.

        Those of the sources that change most come first.

        Raises:
            StoreError: The store could not be read.
        """
        return stale_texts(self._watched().holdings.values(), now=datetime.now(timezone.utc))

    def reembed(
        self, *, dry_run: bool = False, limit: int | None = None, progress: bool = True
    ) -> Reembedded:
        """Embed the stale texts anew, where they are.

        What others replace or delete meanwhile stays as they left it. A text that the model
        refuses is set aside: it is listed, and found by its words alone.

        Args:
            dry_run: Say how many there are, and do nothing.
            limit: At most so many, those of the sources that change most first.
            progress: Whether to draw a progress bar on a terminal.

        Raises:
            InvalidInput: `limit` is no count.
            EmbeddingFailed: The model fails, whatever the text; what was done stays done.
            StoreError: The store is read-only, or could not be written.
        """
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InvalidInput(f"limit={limit!r}: pass how many texts, 1 or more, or None.")
        watched, remake = self._watched(), self._settings.remake
        if remake is None:
            raise InvalidInput("nothing can be embedded anew from here. Use Memory or ToolRouter.")
        if not dry_run:
            watched.tables.canaries.check_writable()
            self.before_write(watched)
        holdings = watched.holdings
        stale = stale_texts(holdings.values(), now=datetime.now(timezone.utc))
        with watched.audit.entry("drift.reembed", changes=not dry_run):
            return reembed(
                stale[:limit],
                holdings,
                remake=remake(CachedEmbedder(watched.embedder.inner, max_bytes=0)),
                dry_run=dry_run,
                progress=progress,
            )

    def canaries(self) -> Kept | None:
        """Return the canaries' vectors as they were when the generation was made; None if none.

        Raises:
            StoreError: The store could not be read.
        """
        return self._watched().tables.canaries.get()

    def before_write(self, watched: Watched) -> None:
        """Look at the model before this process first writes to a generation.

        Raises:
            WritesBlocked: It drifted, and the policy is to write nothing.
            StoreError: The journal could not be read.
        """
        if not watched.read_only:
            self._first.before_write(watched)
            self._policy.check_writable(watched.tables.journal, generation=watched.generation)

    def listener(self, watched: Watched) -> Listener:
        """Return who hears of the questions that a generation answered."""
        return _Ears(self._first, watched=watched, sampler=self._sampler(watched))

    def forget(self, watched: Watched, scope: Scope | AllScopes) -> None:
        """Delete the questions that a scope asked of a generation.

        Raises:
            StoreError: They could not be deleted.
        """
        with self._lock:
            sampler = self._samplers.get(watched.generation)
        if sampler is None:
            watched.tables.questions.forget(scope)
        else:
            sampler.forget(scope)

    def look(self, kinds: Kinds = None) -> Looked:
        """Make checks and conclude nothing yet, to be corrected for other stores first."""
        return self._monitor.look(kinds)

    def conclude(self, looked: Looked) -> DriftReport:
        """Write down what was found, and tell of what is new."""
        return self._monitor.conclude(looked)

    def close(self) -> None:
        """End everything that runs in the background."""
        self.stop()
        self._first.close()
        with self._lock:
            samplers = list(self._samplers.values())
        for sampler in samplers:
            sampler.close()
        self._monitor.close()

    def _sampler(self, watched: Watched) -> Sampler | None:
        """Return who keeps questions of a generation; None where none are to be kept."""
        if not self._settings.keep_questions or watched.read_only:
            return None
        with self._lock:
            found = self._samplers.get(watched.generation)
            if found is None:
                found = Sampler(watched.tables.questions, subject=watched.subject)
                self._samplers[watched.generation] = found
            return found

    def _lease(self) -> Lease:
        watched = self._watched()
        return Lease(watched.tables.meta, name=watched.subject)


class _Ears:
    """Hears of the questions that one generation answered."""

    def __init__(self, first: FirstLooks, *, watched: Watched, sampler: Sampler | None) -> None:
        self._first = first
        self._watched = watched
        self._sampler = sampler

    @property
    def keeps(self) -> bool:
        """Whether questions are kept."""
        return self._sampler is not None

    def asked(self, question: Question) -> None:
        """Take a question in; returns at once, and never fails."""
        self._first.after_read(self._watched)
        if self._sampler is not None:
            self._sampler.asked(question)
