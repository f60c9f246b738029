"""`Learning`, awaited. Written by `make generate` from `agentmem.router.learning`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentmem.asynchronous.workers import Workers
from agentmem.router import ToolRouter
from agentmem.types import Lesson, Selection

__all__ = ["AsyncLearning"]


class AsyncLearning:
    """`Learning`, each call awaited in a thread."""

    _sync: ToolRouter
    _workers: Workers

    async def add_examples(
        self,
        examples: Mapping[str, Sequence[str]],
        *,
        namespace: str = "default",
        guard: bool = True,
        by: str | None = None,
    ) -> Lesson:
        """Teach queries that tools are right for; the next selection knows them.

        Nothing is trained. Examples that are known already are passed over. If held-out queries
        would be answered worse, the lesson is kept in the history and has no effect: see
        `Lesson.applied` and `Lesson.reason`.

        Args:
            examples: Queries as users ask them, by the name of the tool that is right.
            namespace: Where the tools are.
            guard: Whether to hold queries out and look; False applies the lesson in any case.
            by: Who or what gave it, for the history.

        Raises:
            InvalidInput: The examples cannot be read; nothing was stored.
            NotFound: A tool is not in that namespace; nothing was stored.
            EmbeddingFailed: The model gave no usable vectors; nothing was stored.
            StoreError: The write failed, and the lesson does not count.
        """
        return await self._workers.run(
            lambda: self._sync.add_examples(examples, namespace=namespace, guard=guard, by=by)
        )

    async def feedback(
        self,
        selection_or_query: Selection | str,
        *,
        used: str | Sequence[str] | None,
        succeeded: bool | None = None,
        namespace: str | None = None,
        guard: bool = True,
        by: str | None = None,
    ) -> Lesson:
        """Tell which tools a query needed, and how their calls ended; the next selection knows.

        A tool that was used becomes likelier for such queries, and those shown above it, or all
        of them if none was used, less likely. A tool whose calls fail sinks for every query, and
        recovers. Held-out queries are looked at now and then: if they are answered worse, what
        was learnt since the last look is undone, and the lesson says so.

        Args:
            selection_or_query: What `select` returned, or the query. A selection tells more.
            used: Name of the tool that was right, several names, or None if no tool fits.
            succeeded: Whether the calls succeeded, if known. After a failure nothing is concluded
                about which tool is right.
            namespace: Where the tools are; needed only where several namespaces use the name.
            guard: Whether to hold queries out and look; False applies the lesson in any case.
            by: Who or what gave it, for the history.

        Raises:
            InvalidInput: An argument cannot be used, or the selection is another store's.
            NotFound: A tool that was used is not in the catalogue; nothing was stored.
            EmbeddingFailed: The model gave no usable vectors; nothing was stored.
            StoreError: The write failed, and the lesson does not count.
        """
        return await self._workers.run(
            lambda: self._sync.feedback(
                selection_or_query,
                used=used,
                succeeded=succeeded,
                namespace=namespace,
                guard=guard,
                by=by,
            )
        )

    async def history(
        self, *, namespace: str | None = None, limit: int | None = None
    ) -> list[Lesson]:
        """Return every lesson that was given, the newest last.

        Args:
            namespace: Only those that concern its tools; all if None.
            limit: The newest of them, at most so many.

        Raises:
            InvalidInput: An argument cannot be used.
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.history(namespace=namespace, limit=limit))

    async def revert(
        self, to: str | None, *, namespace: str | None = None, dry_run: bool = False
    ) -> Lesson:
        """Make what the router knows exactly what it was right after a lesson.

        Nothing is erased: a revert is a lesson too, and reverting to the lesson before it brings
        back what it undid.

        Args:
            to: Id of the lesson, from `history`; None is before all lessons.
            namespace: Only what was learnt about its tools; everything if None.
            dry_run: Say what would lose its effect, and change nothing.

        Raises:
            NotFound: There is no such lesson; nothing was changed.
            StoreError: The write failed; nothing was changed.
        """
        return await self._workers.run(
            lambda: self._sync.revert(to, namespace=namespace, dry_run=dry_run)
        )
