"""`ToolRouter`: a catalogue of tools in a folder. Constructs, owns and delegates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import final

from agentmem.checks import location
from agentmem.embedding import CachedEmbedder, default_embedder
from agentmem.errors import InvalidInput
from agentmem.protocols import Embedder, TokenCounter
from agentmem.ranking.tools import Routing
from agentmem.router.entries import Entries
from agentmem.router.learning import Learning
from agentmem.router.looking import Looking
from agentmem.router.parts import Parts
from agentmem.router.selecting import Selecting
from agentmem.storage.tool_store import ToolStore
from agentmem.telemetry import Content, Redact
from agentmem.tokens import TiktokenCounter

__all__ = ["ToolRouter"]


@final
class ToolRouter(Selecting, Learning, Entries, Looking):
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
        routing: Routing | None = None,
        token_counter: TokenCounter | None = None,
        create: bool = True,
        read_only: bool = False,
        keep_versions: timedelta | None = None,
        capture_content: bool | None = None,
        redact: Redact | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> ToolRouter:
        """Open a store, or create one.

        Args:
            path: A folder, or an address such as `s3://bucket/path`.
            embedder: Makes the vectors; all-MiniLM-L6-v2 if None.
            routing: Weights of every selection.
            token_counter: Counts the tokens of definitions; tiktoken's `cl100k_base` if None.
            create: Whether to create a store where there is none.
            read_only: Refuse every write.
            keep_versions: How long the store keeps past versions from now on, so that selections
                can be replayed: for every process, 7 days unless somebody said otherwise.
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
        cached = _cached(default_embedder() if embedder is None else embedder)
        store = ToolStore.open(
            location(path, what="path"),
            passport=lambda: cached.passport,
            create=create,
            read_only=read_only,
            keep_versions=keep_versions,
            storage_options=storage_options,
        )
        counter = TiktokenCounter() if token_counter is None else token_counter
        weights = Routing() if routing is None else routing
        if not isinstance(weights, Routing):
            raise InvalidInput(f"routing={weights!r} is no Routing. Pass Routing(...) or None.")
        content = Content(capture_content, redact)
        return cls(Parts(store, embedder=cached, counter=counter, routing=weights, content=content))

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
        return f"ToolRouter({self._parts.store.name!r})"

    def close(self) -> None:
        """Let go of the store. What was registered is durable without it."""
        self._parts.store.close()


def _cached(embedder: Embedder) -> CachedEmbedder:
    """Return an embedder that remembers, or refuse what is none."""
    if isinstance(embedder, CachedEmbedder):
        return embedder
    if not callable(getattr(embedder, "embed", None)):
        raise InvalidInput(
            f"embedder={embedder!r} is no Embedder. Pass one, such as "
            'SentenceTransformerEmbedder("name or folder").'
        )
    return CachedEmbedder(embedder)
