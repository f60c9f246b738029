"""`Home`: the store of a router, in whichever generation is in force when it is asked.

Follows migrations made by this process or by others: each operation asks anew, and a write is
acknowledged once it is in the generation in force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agentmem.embedding.choice import Embedders
from agentmem.errors import StoreError
from agentmem.migration import Migrations
from agentmem.migration.unasked import migrating, remaking
from agentmem.monitoring import Drift
from agentmem.ranking import Ranking
from agentmem.router.parts import Parts, Settings
from agentmem.routing import Registrar
from agentmem.storage.description import Generation
from agentmem.storage.generations import Spaces
from agentmem.storage.tool_store import ToolStore
from agentmem.types import CatalogueChange, Replay, SelectionRecord

__all__ = ["Home", "following"]


class Home:
    """The generations of one store of tools. Safe for several threads.

    Args:
        store: Of the generation in force when it was opened.
        spaces: What is held of each.
        migrations: What is asked of migrations from one to another.
        drift: What is noticed of drift.
    """

    def __init__(
        self, store: ToolStore, *, spaces: Spaces[Parts], migrations: Migrations, drift: Drift
    ) -> None:
        self._opened = store
        self._spaces = spaces
        self.migrations = migrations
        self.drift = drift

    @property
    def name(self) -> str:
        """The folder or address, as it was given."""
        return self._opened.name

    @property
    def closed(self) -> bool:
        """Whether it was closed, or opened before this process was forked."""
        return self._opened.closed

    @property
    def parts(self) -> Parts:
        """What is held of the generation in force.

        Raises:
            EmbedderMismatch: This process has no embedder of its space.
            StoreError: The store could not be read.
        """
        return self._spaces.current()

    def teaching(self) -> Parts:
        """Return the parts of the generation in force, to store vectors with.

        Raises:
            WritesBlocked: The model drifted, and the policy is to write nothing.
        """
        parts = self.parts
        self.drift.before_write(parts.watched)
        return parts

    def write(
        self, change: Callable[[Registrar], CatalogueChange], *, embeds: bool = True
    ) -> CatalogueChange:
        """Change the catalogue, and once more in each generation it has moved to meanwhile.

        Args:
            change: One change. Made again where a migration may have carried it already.
            embeds: Whether it stores vectors, so that the model has to be the same.

        Returns:
            What the first one did.
        """
        found: CatalogueChange | None = None
        for parts in self._spaces.writing():
            if embeds:
                self.drift.before_write(parts.watched)
            again = change(parts.registrar)
            found = again if found is None else found
        if found is None:
            raise StoreError("nothing was written. Repair: open the store again.")
        return found

    def replay(
        self,
        record: SelectionRecord,
        *,
        now: bool,
        run: Callable[[Parts, bool], Replay],
    ) -> Replay:
        """Run a past selection again in its own generation; see `replay.SelectionReplayer`.

        Args:
            record: The selection.
            now: Whether to ask the same today as well.
            run: Runs it again with what is held of a generation, today's answer included or not.
        """
        today = self.parts
        then = self._spaces.kept(record.generation) or today
        if then is today:
            return run(today, now)
        past = run(then, False)  # noqa: FBT003 - the one argument beside the parts
        if not now:
            return past
        present = run(today, True)  # noqa: FBT003 - likewise
        return replace(past, now=present.now, changes=present.changes, answer=present.answer)

    def close(self) -> None:
        """Let go of every generation."""
        self.drift.close()
        for parts in reversed(self._spaces.held()):
            parts.store.close()
        self._opened.close()


def following(store: ToolStore, *, embedders: Embedders, settings: Settings) -> Home:
    """Return the home of a store, which follows it from generation to generation."""

    def make(generation: Generation) -> Parts:
        same = generation.number == store.generation
        found = store if same else store.at_generation(generation)
        embedder = embedders.at(generation.number, generation.passport)
        return Parts(
            found,
            embedder=embedder,
            settings=settings,
            writing=spaces.writing,
            present=spaces.current,
            drift=drift,
        )

    def upcoming(generation: Generation) -> None:
        embedders.warm(generation.passport)

    whole = store.whole
    spaces: Spaces[Parts] = Spaces(whole.generations, make=make, upcoming=upcoming)
    migrations = Migrations(whole, embedders=embedders, ranking=Ranking(), tracing=settings.tracing)
    drift = Drift(
        lambda: spaces.current().watched,
        settings=replace(settings.drift, migrate=migrating(migrations), remake=remaking),
        tracing=settings.tracing,
    )
    return Home(store, spaces=spaces, migrations=migrations, drift=drift)
