"""`Tenants`: a folder of stores, one for each tenant. Constructs, owns and delegates."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from types import TracebackType
from typing import Final, final

from typing_extensions import Unpack

from agentmem.checks import location, shown
from agentmem.embedding import CachedEmbedder, default_embedder
from agentmem.errors import InvalidInput, StoreNotFound
from agentmem.memory import Memory
from agentmem.protocols import Embedder
from agentmem.router import ToolRouter
from agentmem.storage.guard import Guard
from agentmem.telemetry import Audit
from agentmem.tenants.held import Held
from agentmem.tenants.naming import folder_name
from agentmem.tenants.pool import Pool
from agentmem.tenants.removing import check_removable, has_remains, remove
from agentmem.tenants.root import Root
from agentmem.tenants.settings import Settings, cached, openers
from agentmem.types.tenants import TenantDeletion, TenantFigures

__all__ = ["Tenant", "Tenants"]

MAX_OPEN: Final = 64  # an open store takes about 1 MB beside its columns
RESIDENT_BYTES: Final = 2 << 30  # of 64 stores 32 MB each: 15,000 turns at 384 dimensions


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant that has a store.

    Attributes:
        id: As it was given when the store was made.
        path: The folder or address of the store, which `Memory.open` takes as well.
    """

    id: str
    path: str
    _figures: Callable[[], TenantFigures] = field(repr=False, compare=False)

    def figures(self) -> TenantFigures:
        """Return how large the store is: opens it, and counts.

        Raises:
            StoreError: Its files cannot be listed.
        """
        return self._figures()


@final
class Tenants:
    """The stores of tenants, one folder each. Made by `Tenants.open`.

    Several threads may share one; several processes may open the same folder. What an id holds is
    written so that no two tenants share a folder, and none lies outside the root.
    """

    def __init__(
        self,
        root: Root,
        *,
        guard: Guard,
        pool: Pool[Held],
        create: bool,
        embedder: CachedEmbedder,
    ) -> None:
        self._root = root
        self._embedder = embedder
        self._guard = guard
        self._pool = pool
        self._create = create

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str],
        *,
        embedder: Embedder | None = None,
        max_open: int = MAX_OPEN,
        create: bool = True,
        read_only: bool = False,
        resident_bytes: int = RESIDENT_BYTES,
        storage_options: Mapping[str, str] | None = None,
        **settings: Unpack[Settings],
    ) -> Tenants:
        """Open a folder of stores. The stores themselves are opened when they are asked for.

        Args:
            root: A folder, or an address such as `s3://bucket/path`.
            embedder: Makes the vectors of all tenants; all-MiniLM-L6-v2 if None.
            max_open: How many tenants are kept open; more only while more are in use at once.
            create: Whether to make the folder, and a store for a tenant that has none.
            read_only: Refuse every write.
            resident_bytes: How much memory may hold columns of the scopes last searched, of all
                tenants that are open: each has the same share.
            storage_options: Credentials and the like of a bucket, as LanceDB takes them.
            settings: What else `Memory.open` and `ToolRouter.open` take, of all tenants alike.

        Raises:
            InvalidInput: A setting is none, or cannot hold for all tenants.
            StoreNotFound: There is no such folder and `create` is False, or it is a store itself.
            StoreError: The folder cannot be read or made.
        """
        place = location(root, what="root")
        _check(max_open, resident_bytes=resident_bytes)
        create = create and not read_only
        options = dict(storage_options or {})
        shared = cached(default_embedder() if embedder is None else embedder)
        opening = openers(
            settings,
            every={"embedder": shared, "storage_options": options, "create": create},
            resident_bytes=resident_bytes // max_open,
            read_only=read_only,
        )
        told = Audit.to(settings.get("audit"), store=place)
        found = Root(place, create=create, options=options)
        pool = Pool(lambda name: Held(found.path(name), openers=opening), most=max_open)
        guard = Guard(place, read_only=read_only, audit=told)
        return cls(found, guard=guard, pool=pool, create=create, embedder=shared)

    @contextmanager
    def memory(self, tenant: str) -> Iterator[Memory]:
        """Give the memory of a tenant, which stays open at least until the block is left.

        Raises:
            InvalidInput: The id cannot be the name of a folder.
            StoreNotFound: The tenant has no store and none may be made, or it was deleted since
                this process opened it.
            StoreError: Its store cannot be read or made, or is being deleted.
            EmbedderMismatch: Its store was written by another embedder.
        """
        with self._using(tenant) as held:
            yield held.memory()

    @contextmanager
    def router(self, tenant: str) -> Iterator[ToolRouter]:
        """Give the router of a tenant, on the same store as its memory; raises what that does."""
        with self._using(tenant) as held:
            yield held.router()

    def path(self, tenant: str) -> str:
        """Return the folder or address of a tenant's store, whether it is there or not.

        Raises:
            InvalidInput: The id cannot be the name of a folder.
        """
        return self._root.path(folder_name(tenant))

    def list(self) -> builtins.list[Tenant]:
        """Return the tenants that have a store, in order.

        Raises:
            StoreError: The root cannot be listed, or this is closed.
        """
        self._guard.check()
        return [
            Tenant(
                id=one,
                path=self.path(one),
                _figures=partial(self._root.figures, folder_name(one)),
            )
            for one in sorted(self._root.tenants())
        ]

    def delete(self, tenant: str, *, dry_run: bool = False) -> TenantDeletion:
        """Delete the store of a tenant with all that is in it, snapshots included.

        Other processes that have it open are refused at their next call. What was deleted half,
        because a process was killed, is deleted whole by the next call.

        Args:
            tenant: Its id.
            dry_run: Only say what would go.

        Raises:
            StoreNotFound: The tenant has no store, or what is there is no store.
            StoreError: This process uses it at the moment, or it could not be removed.
        """
        if dry_run:
            self._guard.check()
            return self._doomed(tenant, dry_run=True)
        self._guard.check_writable(f"delete tenant {shown(tenant)}")
        detail = {"tenant": tenant}
        with (
            self._pool.without(folder_name(tenant)),
            self._guard.audit.entry("tenants.delete", detail=detail) as entry,
        ):
            doomed = self._doomed(tenant, dry_run=False)
            remove(self._root, folder_name(tenant))
            self._embedder.clear()  # it remembers texts
            entry.tell(count=doomed.turns)
            return doomed

    def close(self) -> None:
        """Let go of all stores; of one that is in use, when its block is left."""
        if self._guard.is_usable:
            self._guard.close()
            self._pool.close()

    def __enter__(self) -> Tenants:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Tenants({self._root.uri!r})"

    @contextmanager
    def _using(self, tenant: str) -> Iterator[Held]:
        self._guard.check()
        name = self._root.checked(tenant)
        with self._pool.using(name) as held:
            if not (self._create or held.is_open or self._root.has_store(name)):
                raise self._missing(tenant)
            yield held

    def _doomed(self, tenant: str, *, dry_run: bool) -> TenantDeletion:
        """Return what deleting a tenant removes, or refuse what is no tenant's store."""
        name = folder_name(tenant)
        if not has_remains(self._root, name):
            raise self._missing(tenant)
        check_removable(self._root, name)
        figures = self._root.figures(name)
        return TenantDeletion(
            tenant=tenant, path=self._root.path(name), dry_run=dry_run, **asdict(figures)
        )

    def _missing(self, tenant: str) -> StoreNotFound:
        return StoreNotFound(
            f"tenant {shown(tenant)} has no store in {self._root.uri}. Repair: check the id, which "
            "list() shows, or open the tenants with create=True to make one."
        )


def _check(max_open: object, *, resident_bytes: object) -> None:
    for name, value, least in (("max_open", max_open, 1), ("resident_bytes", resident_bytes, 0)):
        if not isinstance(value, int) or value < least:
            raise InvalidInput(f"{name}={shown(value)}: pass a whole number, {least} or more.")
