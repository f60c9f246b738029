"""`Looking`, awaited. Written by `make generate` from `agentmem.router.looking`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from agentmem.asynchronous.workers import Workers
from agentmem.replay.given import Given
from agentmem.router import ToolRouter
from agentmem.router.entries import Where
from agentmem.routing import Label
from agentmem.types import Calibration, Explanation, LintReport, Replay

__all__ = ["AsyncLooking"]


class AsyncLooking:
    """`Looking`, each call awaited in a thread."""

    _sync: ToolRouter
    _workers: Workers

    async def calibrate(
        self,
        queries: Sequence[str],
        labels: Sequence[Label],
        *,
        alpha: float = 0.05,
        namespace: str | None = None,
    ) -> Calibration:
        """Fit the threshold of abstention on real queries, and put it in force.

        Of further queries that a tool fits, and that are like these, at most `alpha` are refused
        on average, whatever their distribution (split conformal prediction; see
        `Calibration.upper_bound` for these queries alone). The threshold holds until the
        catalogue, the embedder or the routing configuration changes.

        Args:
            queries: What users asked. Queries that are usage examples are asked as if they were
                none, yet others tell more.
            labels: For each query the name of its tool, several names, or None where no tool
                fits. Queries of the last kind are not needed for the bound; they tell how many
                of their kind are refused, and make `confidence` a probability.
            alpha: Rate of wrong refusals to allow; takes at least 1 / alpha - 1 queries.
            namespace: Calibrate selections within this part; those over everything if None.

        Raises:
            InvalidInput: The queries or labels cannot be used, or are too few for `alpha`.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The store is read-only, or could not be written.
        """
        return await self._workers.run_long(
            lambda: self._sync.calibrate(queries, labels, alpha=alpha, namespace=namespace)
        )

    async def calibration(self, namespace: str | None = None) -> Calibration:
        """Return the calibration in force, and what came of it by the feedback since.

        Args:
            namespace: As selections are asked.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.calibration(namespace))

    async def lint(self, *, namespace: str | None = None) -> LintReport:
        """Report what to repair: tools too much alike, badly described, failing, or confused.

        Args:
            namespace: Only tools of this part; everywhere if None.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.lint(namespace=namespace))

    async def explain(
        self,
        query: str,
        *,
        k: int | Literal["auto"] = 5,
        max_tokens: int | None = None,
        namespace: str | None = None,
        where: Where | None = None,
        history: object = None,
        memory: object = None,
        exclude: str | Iterable[str] | None = None,
    ) -> Explanation:
        """Select tools, and show the nearest ones that were not chosen, with evidence.

        Args:
            query: What is to be done, in the user's words.
            k: As in `select`; likewise all others.
            max_tokens: See `select`.
            namespace: See `select`.
            where: See `select`.
            history: See `select`.
            memory: See `select`.
            exclude: See `select`.

        Raises:
            InvalidInput: The query or an argument cannot be used.
            MissingDependency: `max_tokens` was given, and tokens cannot be counted.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        return await self._workers.run(
            lambda: self._sync.explain(
                query,
                k=k,
                max_tokens=max_tokens,
                namespace=namespace,
                where=where,
                history=history,
                memory=memory,
                exclude=exclude,
            )
        )

    async def replay(
        self,
        record: Given,
        *,
        query: str | None = None,
        where: Where | None = None,
        history: object = None,
        memory: object = None,
        now: bool = False,
    ) -> Replay:
        """Run a past selection again: same query, weights and rule, same catalogue and lessons.

        A tool that is not in the catalogue today is named by its id alone.

        Args:
            record: What `select` returned, its span, the attributes of that span, or a record of
                it from `agentmem.traces`.
            query: The query, where content was not recorded.
            where: The filter, where there was one and content was not recorded.
            history: The conversation, where there was one and content was not recorded.
            memory: What was recalled, likewise.
            now: Whether to ask the same today, and say of each tool that moved why.

        Returns:
            Whether the same came out, what differs, and why. A version that is no longer kept
            makes a replay impossible, which is a verdict and no error.

        Raises:
            InvalidInput: It is no record of a selection, or lacks something that was not given.
            EmbeddingFailed: The query could not be embedded.
            StoreError: The store could not be read.
        """
        return await self._workers.run_long(
            lambda: self._sync.replay(
                record, query=query, where=where, history=history, memory=memory, now=now
            )
        )
