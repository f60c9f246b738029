"""Tokens and their places by counting alone, for splitting where no tokenizer with offsets exists.

Takes a `TokenCounter`; gives what `Splitter` asks of a tokenizer. The tokens of a text are laid
over its words in proportion to what each word counts alone. The splitter counts each piece whole
and cuts it again where that was too hopeful, so the places need not be exact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentmem.protocols import TokenCounter

__all__ = ["COUNTED_SHARE", "CountedTokenizer"]

COUNTED_SHARE: Final = 0.9  # of a window that is filled by a count, which may be another model's
CROWDING: Final = 1.05  # more tokens than counted, so that few pieces come out too long
SPECIALS: Final = 2  # tokens a model sets around a text: the start and the end of nearly all
WORD: Final = re.compile(r"\S{1,64}")  # in parts: counters take quadratic time over one long word


@dataclass(frozen=True, slots=True)
class _Counted:
    """Stands for an encoding: its length, and where its tokens lie."""

    length: int = 0
    offsets: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.length


class CountedTokenizer:
    """Encodes as far as splitting needs it.

    Args:
        counter: Counts the tokens of a text.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter

    def num_special_tokens_to_add(self, *, is_pair: bool) -> int:
        """Return how many tokens the model is taken to add."""
        return SPECIALS + int(is_pair)

    def encode_batch_fast(
        self, texts: Sequence[str], *, add_special_tokens: bool
    ) -> list[_Counted]:
        """Count the tokens of texts."""
        added = SPECIALS if add_special_tokens else 0
        return [_Counted(self._counter.count(text) + added) for text in texts]

    def encode_batch(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[_Counted]:
        """Say about where the tokens of texts lie, those that are added left out."""
        del add_special_tokens
        places = [self._places(text).tolist() for text in texts]
        return [_Counted(len(starts), [(at, at + 1) for at in starts]) for starts in places]

    def _places(self, text: str) -> NDArray[np.int64]:
        words = list(WORD.finditer(text))
        alone = {part: max(self._counter.count(part), 1) for part in {word[0] for word in words}}
        reached = np.cumsum([0, *(alone[word[0]] for word in words)])
        total = round(CROWDING * self._counter.count(text))
        even = np.arange(total) * (reached[-1] / max(total, 1))
        at = np.asarray([*(word.start() for word in words), len(text)], dtype=np.float64)
        starts: NDArray[np.int64] = np.interp(even, reached, at).astype(np.int64)
        return starts
