"""`Held`: what a process holds of one tenant, a memory and a router, each opened when it is asked.

Notices when its folder was deleted or exchanged meanwhile, by whichever process.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentmem.errors import StoreNotFound
from agentmem.memory import Memory
from agentmem.router import ToolRouter

__all__ = ["Held", "Openers"]


@dataclass(frozen=True, slots=True)
class Openers:
    """How the stores of tenants are opened: each takes the folder or address."""

    memory: Callable[[str], Memory]
    router: Callable[[str], ToolRouter]


class Held:
    """The open store of one tenant. Safe for several threads, of which one opens it.

    Args:
        path: The folder or address.
        openers: Open it.
    """

    def __init__(self, path: str, *, openers: Openers) -> None:
        self._path = path
        self._openers = openers
        self._lock = threading.Lock()
        self._sight: _Sight | None = None
        self._memory: Memory | None = None
        self._router: ToolRouter | None = None

    @property
    def is_open(self) -> bool:
        """Whether the store was opened, and not closed since."""
        return self._memory is not None or self._router is not None

    def memory(self) -> Memory:
        """Return the tenant's memory.

        Raises:
            StoreNotFound: The store was deleted since it was opened.
            AgentmemError: It could not be opened.
        """
        with self._lock:
            self._look()
            if self._memory is None or self._memory.closed:
                self._memory = self._openers.memory(self._path)
            self._remember()
            return self._memory

    def router(self) -> ToolRouter:
        """Return the tenant's router; raises what `memory` does."""
        with self._lock:
            self._look()
            if self._router is None or self._router.closed:
                self._router = self._openers.router(self._path)
            self._remember()
            return self._router

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            self._close()

    def _look(self) -> None:
        """Let go of a store that is not there any more."""
        if self._sight is None or self._sight.stands():
            return
        was_deleted = not self._sight.folder.is_dir()
        self._close()
        if was_deleted:
            raise StoreNotFound(
                f"the store {self._path} was deleted since this process opened it. Repair: call "
                "again if the tenant is to begin anew, with an empty store."
            )

    def _remember(self) -> None:
        if self._sight is None and "://" not in self._path:
            self._sight = _Sight(Path(self._path))

    def _close(self) -> None:
        for one in (self._memory, self._router, self._sight):
            if one is not None:
                one.close()
        self._memory = self._router = self._sight = None


class _Sight:
    """A folder as it was: kept open, so that no other one gets its number.

    Args:
        folder: Which.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._then = folder.stat()
        self._release: Callable[[], object] = lambda: None
        if os.name == "posix":  # elsewhere numbers do not come again
            descriptor = os.open(folder, os.O_RDONLY)
            self._release = weakref.finalize(self, os.close, descriptor)
            self._then = os.fstat(descriptor)

    def stands(self) -> bool:
        """Return whether the same folder is there still."""
        try:
            return os.path.samestat(self._then, self.folder.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it."""
        self._release()
