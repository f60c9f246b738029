"""What the tests of `ToolRouter` share: definitions, a router of hashed words, odd embedders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.canaries import canary_texts
from agentmem.router import ToolRouter
from agentmem.storage.catalogue import CatalogueState
from agentmem.testing import HashEmbedder
from agentmem.tokens import CallableCounter
from agentmem.types import Kind

CANARIES = frozenset(canary_texts())
WIDE = 512  # components of hashed words, so that few words collide


def define(name: str, description: str = "", **arguments: str) -> dict[str, Any]:
    """Return a plain definition; each argument is a text with that description."""
    properties = {
        argument: {"type": "string", "description": told} for argument, told in arguments.items()
    }
    return {
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": properties},
    }


WEATHER = define("get_weather", "Tells the weather of a place.", city="Where to look.")
FLIGHT = define("book_flight", "Books a seat on a plane.", origin="From.", target="To.")
MAIL = define("send_mail", "Sends a letter by mail.")
TOOLS = [WEATHER, FLIGHT, MAIL]


def open_router(folder: Path, **options: Any) -> ToolRouter:
    """Open a router whose vectors are hashed words and whose tokens are characters."""
    defaults = {"embedder": HashEmbedder(WIDE), "token_counter": CallableCounter(len)}
    return ToolRouter.open(folder, **{**defaults, **options})


def names(router: ToolRouter, **selection: Any) -> list[str]:
    """Return the names of the tools that a router lists."""
    return [tool.name for tool in router.list(**selection)]


def state_of(router: ToolRouter) -> CatalogueState:
    """Return what is stored, as a selection would read it."""
    state = router._parts.store.catalogue.read(None)
    assert state is not None
    return state


class Counting(HashEmbedder):
    """Remembers what it was asked to embed, and lets something happen meanwhile."""

    def __init__(self, *, window: int = 256) -> None:
        super().__init__(WIDE, window=window)
        self.texts: list[str] = []
        self.calls = 0
        self.meanwhile: Callable[[], object] | None = None

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, after what was to happen meanwhile; canaries are not counted."""
        if CANARIES.issuperset(texts):
            return super().embed(texts, kind=kind)
        self.texts += texts
        self.calls += 1
        if self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            happening()
        return super().embed(texts, kind=kind)
