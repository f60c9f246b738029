"""`ToolRouter`: a catalogue of tools in a folder. Constructs, owns and delegates."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import final

from agentmem.checks import location
from agentmem.embedding import default_embedder
from agentmem.embedding.choice import Embedders
from agentmem.errors import InvalidInput
from agentmem.ingest import Clock
from agentmem.migration import Migrations, Mismatch, Moving, move_on, needs_moving
from agentmem.monitoring import Drift, Drifting, DriftSettings
from agentmem.protocols import Embedder, TokenCounter
from agentmem.ranking.tools import Routing
from agentmem.router.entries import Entries
from agentmem.router.home import following
from agentmem.router.learning import Learning
from agentmem.router.looking import Looking
from agentmem.router.parts import Settings
from agentmem.router.selecting import Selecting
from agentmem.storage.tool_store import ToolStore
from agentmem.telemetry import AuditTo, Content, Redact, Tracing
from agentmem.tokens import TiktokenCounter
from agentmem.types import DriftPolicy

__all__ = ["ToolRouter"]


@final
class ToolRouter(Selecting, Learning, Entries, Looking, Moving, Drifting):
    """A router that picks the few tools a query needs, kept in a folder or a bucket.

    Made by `ToolRouter.open`. Several threads may share one; several processes may open the same
    store, which may be a `Memory`'s: the two share the embedder and its cache.
    """

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        embedder: Embedder | None = None,
        standby: Sequence[Embedder] = (),
        on_mismatch: Mismatch = "raise",
        routing: Routing | None = None,
        token_counter: TokenCounter | None = None,
        create: bool = True,
        read_only: bool = False,
        keep_versions: timedelta | None = None,
        drift_policy: DriftPolicy = "warn",
        keep_questions: bool = False,
        audit: AuditTo = None,
        capture_content: bool | None = None,
        redact: Redact | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> ToolRouter:
        """Open a store, or create one.

        Args:
            path: A folder, or an address such as `s3://bucket/path`.
            embedder: Makes the vectors; all-MiniLM-L6-v2 if None.
            standby: Further embedders, of which the one is used whose space the store is in. With
                the next one ready here, this process follows when the store is moved to it.
            on_mismatch: What to do when the store is in another space than all of these: "raise";
                "serve_old" goes on in the store's space, with the model its passport names;
                "migrate" does so too while it moves the store to `embedder` in the background.
            routing: Weights of every selection.
            token_counter: Counts the tokens of definitions; tiktoken's `cl100k_base` if None.
            create: Whether to create a store where there is none.
            read_only: Refuse every write.
            keep_versions: How long the store keeps past versions from now on, so that selections
                can be replayed: for every process, 7 days unless somebody said otherwise.
            drift_policy: What is done unasked when drift is found: "warn" logs it; "block_writes"
                also refuses writes while the model gives other vectors than when the store was
                made; "migrate" then moves the store to the model in use, in the background.
            keep_questions: Whether to keep a sample of the queries, as vectors and scores, so
                that their drift is noticed.
            audit: Where every change of tools and lessons is written down: a file, an `AuditLog`,
                or a function; the file of `AGENTMEM_AUDIT_LOG`, if any, if None.
            capture_content: Whether spans may carry queries and descriptions; as the standard
                environment variable says if None, which is no unless it is set.
            redact: Sees every text before a span does, and gives what may be recorded instead.
            storage_options: Credentials and the like of a bucket, as LanceDB takes them.

        Raises:
            StoreNotFound: The folder holds something else, or nothing and `create` is False.
            EmbedderMismatch: The store was written by another embedder.
            SchemaTooNew: The store was written by a newer agentmem.
            StoreError: The folder cannot be read or made.
            EmbeddingFailed: The model's files cannot be found.
        """
        weights = Routing() if routing is None else routing
        _check_opening([*([] if embedder is None else [embedder]), *standby], routing=weights)
        drift = DriftSettings(policy=drift_policy, keep_questions=keep_questions)
        given = default_embedder() if embedder is None else embedder
        embedders = Embedders(given, standby=standby)
        store = ToolStore.open(
            location(path, what="path"),
            passport=lambda: embedders.primary.passport,
            create=create,
            read_only=read_only,
            keep_versions=keep_versions,
            storage_options=storage_options,
            audit=audit,
            strict=False,
        )
        moving = needs_moving(store.passport, embedders=embedders, policy=on_mismatch)
        tracing = Tracing(store.name, content=Content(capture_content, redact))
        tracing.metrics.observe(store.gauges)
        counter = TiktokenCounter() if token_counter is None else token_counter
        settings = Settings(
            counter=counter, routing=weights, tracing=tracing, clock=Clock(), drift=drift
        )
        home = following(store, embedders=embedders, settings=settings)
        if moving and on_mismatch == "migrate":
            move_on(home.migrations, embedders=embedders, stored=store.passport)
        return cls(home)

    @property
    def _migrations(self) -> Migrations:
        return self._home.migrations

    @property
    def _drift(self) -> Drift:
        return self._home.drift

    def _check_whole(self, what: str) -> None:
        """Refuse nothing: a router is never bound to a part of its store."""

    def __enter__(self) -> ToolRouter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ToolRouter({self._home.name!r})"

    @property
    def closed(self) -> bool:
        """Whether it was closed, or opened before this process was forked."""
        return self._home.closed

    def close(self) -> None:
        """Let go of the store. What was registered is durable without it."""
        self._home.close()


def _check_opening(embedders: Iterable[object], *, routing: object) -> None:
    """Refuse arguments of `open` that could only fail later, and less clearly."""
    for embedder in embedders:
        if not callable(getattr(embedder, "embed", None)):
            raise InvalidInput(
                f"embedder={embedder!r} is no Embedder. Pass one, such as "
                'SentenceTransformerEmbedder("name or folder").'
            )
    if not isinstance(routing, Routing):
        raise InvalidInput(f"routing={routing!r} is no Routing. Pass Routing(...) or None.")
