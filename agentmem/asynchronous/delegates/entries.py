"""`Entries`, awaited. Written by `make generate` from `agentmem.router.entries`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentmem.asynchronous.workers import Workers
from agentmem.router import ToolRouter
from agentmem.router.entries import Tags, Tools, Where
from agentmem.routing import OnConflict
from agentmem.types import CatalogueChange, Tool

__all__ = ["AsyncEntries"]


class AsyncEntries:
    """`Entries`, each call awaited in a thread."""

    _sync: ToolRouter
    _workers: Workers

    async def register(
        self,
        tools: object,
        *,
        namespace: str = "default",
        examples: Mapping[str, Sequence[str]] | None = None,
        tags: Tags | None = None,
        on_conflict: OnConflict = "error",
    ) -> CatalogueChange:
        """Add tools to the catalogue.

        Durable when it returns, and found by the next selection. What is already there as given
        is left alone, and not embedded again. All of the tools are registered, or none.

        Args:
            tools: One tool or several: Python functions, pydantic models, definitions of OpenAI,
                Anthropic, MCP or LangChain, or dictionaries with `name`, `description` and
                `parameters`.
            namespace: The catalogue's part they belong to, such as a server or a tenant.
            examples: Queries that tools are right for, by the name of the tool: what
                `add_examples` takes, given right after the registration.
            tags: Labels to filter by: for all of these tools, or a mapping from their names.
            on_conflict: What to do with a name that is taken by another definition: "error", or
                "replace" it.

        Raises:
            InvalidInput: A tool or an example cannot be read; the message says which and why.
            NotFound: The examples name a tool that is neither given nor there already.
            DuplicateTool: A name is taken by another definition, or given twice. One that
                another process took at this very moment is the only one not registered.
            EmbeddingFailed: The model gave no usable vectors.
            StoreError: The write failed; nothing was registered.
        """
        return await self._workers.run(
            lambda: self._sync.register(
                tools, namespace=namespace, examples=examples, tags=tags, on_conflict=on_conflict
            )
        )

    async def sync(
        self,
        tools: object,
        *,
        namespace: str = "default",
        tags: Tags | None = None,
        dry_run: bool = False,
    ) -> CatalogueChange:
        """Make a namespace hold these tools and no others, in one commit.

        New tools are added, those whose definition changed are replaced and embedded anew, and
        those that are not given are removed; the others are left alone. Syncing an empty list
        removes every tool of the namespace.

        Args:
            tools: As in `register`.
            namespace: Which part of the catalogue; the others stay as they are.
            tags: As in `register`.
            dry_run: Say what would be done, and do nothing.

        Raises:
            InvalidInput: A tool cannot be read.
            DuplicateTool: A name is given twice.
            EmbeddingFailed: The model gave no usable vectors.
            ConcurrentWrite: Other processes kept changing the namespace.
            StoreError: The write failed; nothing was changed.
        """
        return await self._workers.run(
            lambda: self._sync.sync(tools, namespace=namespace, tags=tags, dry_run=dry_run)
        )

    async def remove(
        self, names: str | Iterable[str], *, namespace: str = "default", dry_run: bool = False
    ) -> CatalogueChange:
        """Remove tools by name, in one commit.

        Args:
            names: One name, or several.
            namespace: Where they are.
            dry_run: Say what would be removed, and remove nothing.

        Raises:
            NotFound: One of them is not there; nothing was removed.
            StoreError: The write failed; nothing was removed.
        """
        return await self._workers.run(
            lambda: self._sync.remove(names, namespace=namespace, dry_run=dry_run)
        )

    async def get(self, name: str, *, namespace: str = "default") -> Tool:
        """Return one tool.

        Raises:
            NotFound: There is none of that name in that namespace; the message has the nearest.
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.get(name, namespace=namespace))

    async def list(self, *, namespace: str | None = None, where: Where | None = None) -> Tools:
        """Return tools, in the order in which they were registered.

        Args:
            namespace: Only those of this part; everywhere if None.
            where: Only tools that match: `field("tags").contains("free")`, or the same as a
                dictionary `{"tags": {"contains": "free"}}`. Fields are name, description,
                namespace, source and tags.

        Raises:
            InvalidInput: The filter cannot be used.
            StoreError: The store could not be read.
        """
        return await self._workers.run(lambda: self._sync.list(namespace=namespace, where=where))

    async def namespaces(self) -> dict[str, int]:
        """Return how many tools each namespace has, by its name.

        Raises:
            StoreError: The store could not be read.
        """
        return await self._workers.run(self._sync.namespaces)
