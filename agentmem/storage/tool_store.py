"""`ToolStore`: what a store holds for the tool router: tools, lessons, and values by name.

It may be the same folder that a `turns.Store` holds turns in, before or after.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta

from agentmem.storage.catalogue import Catalogue
from agentmem.storage.description import Generation
from agentmem.storage.fits import Fits
from agentmem.storage.gauges import Gauges
from agentmem.storage.generations import Whole
from agentmem.storage.guard import Guard
from agentmem.storage.lessons import Lessons
from agentmem.storage.meta import Meta
from agentmem.storage.opening import Opened, PassportSource, open_meta, open_store
from agentmem.storage.retention import keep_for
from agentmem.storage.watching import DriftTables
from agentmem.telemetry import Audit, AuditTo
from agentmem.types import Passport

__all__ = ["ToolStore"]


class ToolStore:
    """A store of tools. Safe for several threads; any number of processes may open the same.

    Attributes:
        catalogue: The tools.
        lessons: What was learnt about them.
        fits: What is dear to compute of them.
        meta: Values by name, such as calibrations.
        gauges: What dashboards ask of it.
    """

    def __init__(self, opened: Opened, *, guard: Guard) -> None:
        self._opened = opened
        self._guard = guard
        self.gauges = Gauges(opened, guard=self._guard)
        self.catalogue = Catalogue(opened, guard=self._guard)
        self.lessons = Lessons(opened, guard=self._guard)
        self.fits = Fits(opened, guard=self._guard)
        self.meta: Meta = open_meta(opened, guard=self._guard)

    @classmethod
    def open(
        cls,
        uri: str | os.PathLike[str],
        *,
        passport: PassportSource,
        create: bool = True,
        read_only: bool = False,
        keep_versions: timedelta | None = None,
        storage_options: Mapping[str, str] | None = None,
        audit: AuditTo = None,
        strict: bool = True,
    ) -> ToolStore:
        """Open a store, or create one in a new or empty place.

        Args:
            uri: A folder, or an address such as `s3://bucket/path`.
            passport: Of the embedder, or how to learn it; None takes the store's word for it,
                for callers that use no vectors.
            create: Whether to create a store where there is none.
            read_only: Refuse every write; implies `create=False`.
            keep_versions: How long past versions are kept from now on; None changes nothing.
            storage_options: Credentials and the like for an object store.
            audit: Where it is written down what is done; where the environment says if None.
            strict: Whether to refuse a store in another space than `passport`'s.

        Raises:
            StoreNotFound: Something else is there, or nothing and it may not be created.
            SchemaTooNew: It was written by a newer agentmem.
            EmbedderMismatch: It was written by another embedder.
            InvalidInput: `keep_versions` or `audit` cannot be used.
            StoreError: It cannot be read, or created.
        """
        told = Audit.to(audit, store=uri)
        opened = open_store(
            os.fspath(uri),
            passport=passport,
            create=create and not read_only,
            options=storage_options or {},
            strict=strict,
        )
        guard = Guard(opened.uri, read_only=read_only, audit=told)
        if keep_versions is not None:
            keep_for(opened, keep_versions, guard=guard)
        return cls(opened, guard=guard)

    @property
    def audit(self) -> Audit:
        """Where it is written down what is done."""
        return self._guard.audit

    @property
    def whole(self) -> Whole:
        """The store in all of its generations, for whoever follows or moves it."""
        return Whole.of(self._opened, guard=self._guard)

    @property
    def watching(self) -> DriftTables:
        """What it keeps to notice drift by, of its generation."""
        return DriftTables.of(self._opened, guard=self._guard)

    def at_generation(self, generation: Generation) -> ToolStore:
        """Return the tools of another generation of the same store, which ends with this one."""
        return ToolStore(self._opened.at(generation), guard=self._guard)

    @property
    def generation(self) -> int:
        """Number of the generation it is of."""
        return self._opened.generation.number

    @property
    def name(self) -> str:
        """The folder or address, as it was given."""
        return self._opened.uri

    @property
    def passport(self) -> Passport:
        """Identity of the space its vectors lie in."""
        return self._opened.passport

    @property
    def read_only(self) -> bool:
        """Whether every write is refused."""
        return self._guard.read_only

    @property
    def closed(self) -> bool:
        """Whether it was closed, or opened before this process was forked."""
        return not self._guard.is_usable

    def close(self) -> None:
        """Let go of the store. What was written is durable without it."""
        if self._guard.is_usable:
            self.catalogue.tidy()
            self.lessons.tidy()
        self._guard.close()
