"""What the tests of `Memory` share: messages, a store of hashed words, a meddling embedder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentmem import Memory
from agentmem.embedding.canaries import canary_texts
from agentmem.testing import HashEmbedder
from agentmem.types import Hit, Kind, Turn

MAY = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
CANARIES = frozenset(canary_texts())
WIDE = 512  # components of hashed words, so that few words collide


def open_hashed(folder: Path, **options: Any) -> Memory:
    """Open a store whose vectors are hashed words."""
    return Memory.open(folder, **{"embedder": HashEmbedder(WIDE), **options})


def say(content: str, **fields: Any) -> dict[str, Any]:
    """Return a message of the user."""
    return {"role": "user", "content": content, **fields}


def at(days: float) -> datetime:
    """Return a moment so many days after the first of May."""
    return MAY + timedelta(days=days)


def contents(found: Iterable[Hit | Turn]) -> list[str]:
    """Return what was said, in order."""
    return [(one.turn if isinstance(one, Hit) else one).content for one in found]


def ids(found: Iterable[Hit | Turn]) -> list[str]:
    """Return the ids, in order."""
    return [(one.turn if isinstance(one, Hit) else one).id for one in found]


class Meddling(HashEmbedder):
    """Lets something happen while a message is embedded: after the ids were looked up."""

    def __init__(self) -> None:
        super().__init__(WIDE)
        self.meanwhile: Callable[[], object] | None = None

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts, after what was to happen meanwhile; canaries come before it."""
        if CANARIES.issuperset(texts):
            return super().embed(texts, kind=kind)
        if self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            happening()
        return super().embed(texts, kind=kind)
