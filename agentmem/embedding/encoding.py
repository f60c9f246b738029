"""Running a model over texts in torch: batches of like length, each on one thread.

On a processor that others use too, one forward pass on several threads waits for the slowest of
them at every layer. Several passes on one thread each never wait: no slower on an idle machine,
about twice as fast beside one busy process (measured with MiniLM on 2 cores).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.threads import known_thread, one_thread, usable_threads
from agentmem.types import Kind

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["MOST_WORKERS", "Encoder", "TorchEncoder", "in_order"]

MOST_WORKERS: Final = 16  # beyond it the interpreter lock, not the processor, sets the pace
SMALLEST_BATCH: Final = 8  # fewer texts a pass cost more in upkeep than another worker saves


class Encoder(Protocol):
    """What runs a model, whichever library does. Several threads may use it at a time."""

    def encode(self, texts: Sequence[str], *, kind: Kind, prompt: str) -> NDArray[np.float32]:
        """Encode one text or more.

        Returns:
            Float32 rows in the order of the texts, as long as the model makes them.
        """
        ...


class TorchEncoder:
    """Encodes with a loaded model.

    Args:
        model: The model.
        batch_size: Most texts of a forward pass.
        threads: Passes at once; as many as torch uses threads if None.
    """

    def __init__(
        self, model: SentenceTransformer, *, batch_size: int, threads: int | None = None
    ) -> None:
        self._model = model
        self._batch_size = batch_size
        self._threads = threads
        self._tokenizing = threading.Lock()

    def encode(self, texts: Sequence[str], *, kind: Kind, prompt: str) -> NDArray[np.float32]:
        """Encode one text or more as `encode_query` and `encode_document` do, without their upkeep.

        Returns:
            Float32 rows in the order of the texts, as long as the model makes them.
        """
        known_thread()
        workers = min(usable_threads(self._threads), MOST_WORKERS) if self._on_processor else 1
        batches = _batches(texts, most=self._batch_size, workers=workers)

        def one(batch: list[int]) -> NDArray[np.float32]:
            return self._forward([texts[position] for position in batch], kind=kind, prompt=prompt)

        return in_order(batches, one, workers=workers)

    @property
    def _on_processor(self) -> bool:
        return self._model.device.type == "cpu"

    def _forward(self, texts: list[str], *, kind: Kind, prompt: str) -> NDArray[np.float32]:
        import torch
        from sentence_transformers.util import batch_to_device

        with one_thread(), torch.inference_mode():
            features = batch_to_device(
                self._tokenize(texts, kind=kind, prompt=prompt), self._model.device
            )
            output = self._model(features, task=kind)["sentence_embedding"]
            rows: NDArray[np.float32] = output.float().cpu().numpy()
        return rows

    def _tokenize(self, texts: list[str], *, kind: Kind, prompt: str) -> dict[str, Any]:
        # transformers keeps padding and truncation in the tokenizer itself, and two threads in it
        # may end in "Already borrowed" (huggingface/transformers#47085). It takes 1 % of a pass.
        with self._tokenizing:
            return self._model.preprocess(texts, prompt=prompt, task=kind)


def in_order(
    batches: Sequence[list[int]],
    one: Callable[[list[int]], NDArray[np.float32]],
    *,
    workers: int,
) -> NDArray[np.float32]:
    """Encode batches of positions, several at once, and put the rows at their positions."""
    if workers == 1 or len(batches) == 1:
        results = [one(batch) for batch in batches]
    else:
        with ThreadPoolExecutor(min(workers, len(batches)), "agentmem-encode") as pool:
            results = list(pool.map(one, batches))
    rows = np.concatenate(results)
    ordered = np.empty_like(rows)
    ordered[np.concatenate([np.asarray(batch) for batch in batches])] = rows
    return ordered


def _batches(texts: Sequence[str], *, most: int, workers: int) -> list[list[int]]:
    """Group positions by length, longest first, into batches enough to keep workers busy."""
    order = sorted(range(len(texts)), key=lambda position: -len(texts[position]))
    share = -(-len(texts) // (2 * workers)) if workers > 1 else most
    size = min(most, max(share, SMALLEST_BATCH))
    return [order[begin : begin + size] for begin in range(0, len(order), size)]
