"""What a router does besides routing: tools registered, synced, removed, looked up and listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from agentmem.checks import identifier
from agentmem.filters import Filter, parse_filter
from agentmem.router.home import Home
from agentmem.router.parts import Parts
from agentmem.routing import OnConflict, Registrar, checked_namespace, read_examples
from agentmem.types import CatalogueChange, Tool

__all__ = ["Entries", "Tags", "Where", "as_filter", "as_namespace"]

Where: TypeAlias = Filter | Mapping[str, Any]
Tags: TypeAlias = Sequence[str] | Mapping[str, Sequence[str]]
Tools: TypeAlias = list[Tool]  # within the class, `list` is a method


class Entries:
    """The part of `ToolRouter` that treats tools as entries of a catalogue."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def _parts(self) -> Parts:
        """Of the generation that is in force now: to be asked once an operation."""
        return self._home.parts

    def register(
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
        taught = None if examples is None else read_examples(examples, namespace=namespace)
        given = list(tools) if isinstance(tools, Iterator) else tools
        change = self._home.write(
            lambda registrar: registrar.register(
                given,
                namespace=namespace,
                tags=tags,
                on_conflict=on_conflict,
                expected=list(taught or ()),
            )
        )
        if taught:
            self._home.teaching().teacher.add_examples(
                taught, namespace=namespace, guard=True, by=None
            )
        return change

    def sync(
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
        given = list(tools) if isinstance(tools, Iterator) else tools
        return self._home.write(
            lambda registrar: registrar.sync(
                given, namespace=namespace, tags=tags, dry_run=dry_run
            ),
            embeds=not dry_run,
        )

    def remove(
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
        given = list(names) if isinstance(names, Iterator) else names
        gone = False

        def remove(registrar: Registrar) -> CatalogueChange:
            nonlocal gone
            change = registrar.remove(given, namespace=namespace, dry_run=dry_run, absent=gone)
            gone = True
            return change

        return self._home.write(remove, embeds=False)

    def get(self, name: str, *, namespace: str = "default") -> Tool:
        """Return one tool.

        Raises:
            NotFound: There is none of that name in that namespace; the message has the nearest.
            StoreError: The store could not be read.
        """
        wanted = identifier(name, what="a tool's name")
        return self._parts.roster.get(wanted, namespace=identifier(namespace, what="namespace"))

    def list(self, *, namespace: str | None = None, where: Where | None = None) -> Tools:
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
        return self._parts.roster.tools(namespace=as_namespace(namespace), where=as_filter(where))

    def namespaces(self) -> dict[str, int]:
        """Return how many tools each namespace has, by its name.

        Raises:
            StoreError: The store could not be read.
        """
        return self._parts.roster.namespaces()

    def __len__(self) -> int:
        return self._parts.roster.count()

    def __bool__(self) -> bool:
        return True  # a router without tools is a router


def as_filter(where: Where | None) -> Filter | None:
    """Read a filter on tools as a caller gives it."""
    return None if where is None else parse_filter(where, subject="tool")


def as_namespace(namespace: str | None) -> str | None:
    """Read a namespace as a caller gives it; None is everywhere."""
    return None if namespace is None else checked_namespace(namespace)
