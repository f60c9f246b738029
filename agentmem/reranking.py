"""The reranker over sentence-transformers' cross-encoders, by hub name or folder.

Takes a query and the few texts that retrieval found best; gives one score a text. Constructing
one costs nothing; the first score loads the model.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import EmbeddingFailed, InvalidInput

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

__all__ = ["CrossEncoderReranker"]


class CrossEncoderReranker:
    """Scores texts against a query with a cross-encoder of one output.

    Args:
        model: Name on the Hugging Face hub, or a folder.
        revision: Commit, tag or branch on the hub.
        device: `"cpu"`, `"cuda"`, `"mps"` or any torch device; None takes the best there is.
        batch_size: Texts a forward pass.
        local_files_only: Never ask the hub; use what was downloaded before.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        device: str | None = None,
        batch_size: int = 32,
        local_files_only: bool = False,
    ) -> None:
        if batch_size < 1:
            raise InvalidInput(f"batch_size is {batch_size}, but has to be at least 1.")
        self._source = str(model)
        self._revision = revision
        self._device = device
        self._batch_size = batch_size
        self._local_files_only = local_files_only
        self._lock = threading.Lock()
        self._model: CrossEncoder | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source!r})"

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Score texts; see `protocols.Reranker`.

        Query and text share the model's window; of a longer pair it reads the beginning. That
        can change an order, never what is stored or returned.

        Raises:
            EmbeddingFailed: The model could not be loaded, has more than one output, or gave
                non-finite scores.
        """
        if not texts:
            return np.zeros(0)
        pairs = [(_readable(query), _readable(text)) for text in texts]
        try:
            with self._lock:  # transformers' tokenizers must not be used by two threads at a time
                scores = self._predict(pairs)
        except Exception as error:  # torch, transformers and the hub share no base class
            raise EmbeddingFailed(
                f"{self!r} could not be used: {type(error).__name__}: "
                f"{str(error).rstrip('.')}. "
                "Repair: check the name and the device; without a network, pass the path of a "
                "downloaded model folder, or search without a reranker."
            ) from error
        return self._checked(scores, expected=len(pairs))

    def _predict(self, pairs: list[tuple[str, str]]) -> NDArray[np.float64]:
        if self._model is None:
            self._model = self._load()
        scores = self._model.predict(pairs, batch_size=self._batch_size, show_progress_bar=False)
        return np.asarray(scores, dtype=np.float64)

    def _load(self) -> CrossEncoder:
        from sentence_transformers import CrossEncoder

        model: CrossEncoder = CrossEncoder(
            self._source,
            revision=self._revision,
            device=self._device,
            local_files_only=self._local_files_only,
        )
        return model

    def _checked(self, scores: NDArray[np.float64], *, expected: int) -> NDArray[np.float64]:
        if scores.shape != (expected,):
            raise EmbeddingFailed(
                f"{self!r} gave scores of shape {scores.shape} for {expected} texts: it is no "
                "reranker. Repair: use a cross-encoder with one output (num_labels=1)."
            )
        if not np.isfinite(scores).all():
            raise EmbeddingFailed(
                f"{self!r} gave non-finite scores. Repair: download the model again."
            )
        return scores


def _readable(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can read, by question marks."""
    return text.encode("utf-8", "replace").decode()
