"""`Root`: the folder or bucket that holds the stores of tenants, one folder each.

Says where a tenant's store lies, and what is there. Refuses whatever leads out of the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from agentmem.errors import StoreError, StoreNotFound
from agentmem.storage.border import store_errors
from agentmem.storage.census import folder_bytes
from agentmem.storage.places import Place, place_at
from agentmem.storage.tool_store import ToolStore
from agentmem.storage.turns import Store
from agentmem.tenants.naming import folder_name, tenant_of
from agentmem.types.tenants import TenantFigures

__all__ = ["META", "Root"]

META: Final = "meta.lance"
"""The table that every store begins with."""


class Root:
    """Where the stores of tenants lie.

    Args:
        place: A folder or an address, as it was given.
        create: Whether to make the folder where there is none.
        options: Of a bucket, as LanceDB takes them.

    Attributes:
        uri: The folder or address, as it was given.
        folder: The folder itself, where it is a local one; links on the way to it are followed.
        options: Of a bucket.

    Raises:
        StoreNotFound: There is no folder, and none was to be made; or it is a store itself.
        StoreError: It cannot be read or made.
    """

    def __init__(self, place: str, *, create: bool, options: Mapping[str, str]) -> None:
        self.uri = place
        self.options = options
        self.folder: Path | None = None
        if "://" not in place:
            self.folder = Path(os.path.realpath(Path(place).expanduser()))
            _check_folder(self.folder, create=create)
        self._place = place_at(str(self.folder or place), options=options)
        if META in self.names():
            raise StoreNotFound(
                f"{place!r} is a store itself, and no folder with a store for each tenant. Repair: "
                "open it with Memory.open, or pass another folder."
            )

    def path(self, name: str) -> str:
        """Return the folder or address of the store with that name."""
        return str(self.folder / name) if self.folder else f"{self.uri.rstrip('/')}/{name}"

    def at(self, name: str) -> Place:
        """Return the place of the store with that name."""
        return self._place.below(name)

    def names(self, name: str = "") -> list[str]:
        """Return what lies in the root, or in the store with that name."""
        with store_errors(self.uri, "list the tenants"):
            return self._place.names(name)

    def tenants(self) -> Iterator[str]:
        """Give the tenants that have a store here, in the order of their names."""
        for name in self.names():
            tenant = tenant_of(name)
            if tenant is not None and self.has_store(name):
                yield tenant

    def has_store(self, name: str) -> bool:
        """Return whether a store of that name is here."""
        if self.folder is None:
            return META in self.names(name)
        return not self.is_link(name) and (self.folder / name / META).is_dir()

    def is_link(self, path: str) -> bool:
        """Return whether a path within the root is another one, once links are followed."""
        folder = None if self.folder is None else str(self.folder / path)
        return folder is not None and os.path.realpath(folder) != folder

    def is_being_deleted(self, name: str) -> bool:
        """Return whether a file stands in the way where a store was, until it is gone."""
        is_file = self.folder is not None and (self.folder / name).is_file()
        return is_file and not self.is_link(name)

    def checked(self, tenant: str) -> str:
        """Return the name of a tenant's store, which may be opened.

        Raises:
            InvalidInput: There is no name for it.
            StoreError: It is being deleted, or a link leads out of it.
        """
        name = folder_name(tenant)
        if self.is_link(name):
            raise self._leading_elsewhere(tenant)
        if self.is_being_deleted(name):
            raise StoreError(
                f"tenant {tenant!r} in {self.uri} is being deleted. Repair: wait until that is "
                f"done; if its process was killed, finish it with delete({tenant!r})."
            )
        if self.folder and any(self.is_link(f"{name}/{one}") for one in self.names(name)):
            raise self._leading_elsewhere(tenant)
        return name

    def figures(self, name: str) -> TenantFigures:
        """Return how large the store with that name is.

        Raises:
            StoreError: Its files cannot be listed.
        """
        turns = tools = None
        with suppress(StoreError):  # damaged, or of another agentmem: its files count all the same
            turns, tools = self._counts(self.path(name))
        with store_errors(self.uri, "count the bytes of a tenant"):
            local = folder_bytes(self.folder / name) if self.folder else None
            size = sum(one.size for one in self.at(name).files()) if local is None else local
        return TenantFigures(turns=turns, tools=tools, bytes=size)

    def _counts(self, path: str) -> tuple[int, int]:
        """Return how many turns and tools a store has."""
        turns = Store.open(
            path,
            passport=None,
            create=False,
            read_only=True,
            strict=False,
            storage_options=self.options,
        )
        tools = ToolStore(turns.whole.opened, guard=turns.whole.guard)
        try:
            return turns.stats().turns, len(tools.catalogue.hashes(None))
        finally:
            turns.close()

    def _leading_elsewhere(self, tenant: str) -> StoreError:
        return StoreError(
            f"the store of tenant {tenant!r} in {self.uri} is a symbolic link, or holds one, which "
            "may lead to another tenant's data, and it was not followed. Repair: put the files "
            "themselves in its place."
        )


def _check_folder(folder: Path, *, create: bool) -> None:
    with store_errors(str(folder), "make the folder of tenants"):
        if create:
            folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise StoreNotFound(
            f"there is no folder of tenants at {str(folder)!r}. Repair: check the path, or pass "
            "create=True to make one."
        )
