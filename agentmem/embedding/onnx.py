"""Running an exported model with ONNX Runtime, from a text to its vector without torch.

A pass runs on one thread, as many passes at once as there are cores, so nothing spins or waits
for another core. Batches are of like length and bounded by their tokens; texts asked for at the
same time by several threads share a pass.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.embedding.encoding import MOST_WORKERS, in_order
from agentmem.embedding.gathering import Tokens, gathering_rows
from agentmem.embedding.threads import usable_cores
from agentmem.types import Kind

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["GRAPH", "TOKENIZER", "OnnxEncoder", "runtime"]

GRAPH: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"
PASS_TOKENS: Final = 384  # padding included; 12 tokens: 4.2 ms a text alone, 1.5 in such a pass;
# 61 tokens: 10.2 and 7.6, but 10.8 in passes of ten times as many (MiniLM, one thread)

ERRORS: Final = 3  # ONNX Runtime's level of logging: what fails is raised anyway


class OnnxEncoder:
    """Encodes with an exported model. Several threads may use it at a time.

    Args:
        folder: Has the graph, and the tokenizer with its truncation and padding.
        batch_size: Most texts of a pass.
        threads: Passes at once; as many as this process has cores if None.
    """

    def __init__(self, folder: Path, *, batch_size: int, threads: int | None) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        padding = self._tokenizer.padding or {}
        self._pad_id = padding.get("pad_id", 0)
        self._pads_left = padding.get("direction") == "left"
        self._tokenizer.no_padding()
        self._batch_size = batch_size
        self._workers = min(usable_cores(threads), MOST_WORKERS)
        self._session = _session(folder / GRAPH)
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._gathering = gathering_rows(self._forward, fits=self._fits, passes=self._workers)

    def encode(self, texts: Sequence[str], *, kind: Kind, prompt: str) -> NDArray[np.float32]:  # noqa: ARG002 - the prompt says it all
        """Encode one text or more.

        Returns:
            Float32 rows in the order of the texts, as long as the model makes them.
        """
        read = self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        tokens = [one.ids for one in read]
        if len(tokens) == 1 or self._fits(tokens):
            return self._gathering.ask(tokens)
        return in_order(
            self._batches(tokens),
            lambda batch: self._forward([tokens[place] for place in batch]),
            workers=self._workers,
        )

    def _fits(self, tokens: Sequence[Tokens]) -> bool:
        longest = max(map(len, tokens))
        return len(tokens) <= self._batch_size and len(tokens) * longest <= PASS_TOKENS

    def _batches(self, tokens: Sequence[Tokens]) -> list[list[int]]:
        """Group positions into passes of like length, the longest first."""
        batches: list[list[int]] = []
        most = 0
        for place in sorted(range(len(tokens)), key=lambda place: -len(tokens[place])):
            if not batches or len(batches[-1]) >= most:
                batches.append([])
                most = min(self._batch_size, max(PASS_TOKENS // max(len(tokens[place]), 1), 1))
            batches[-1].append(place)
        return batches

    def _forward(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        ids, mask = self._padded(tokens)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        rows: NDArray[np.float32] = self._session.run(
            None, {name: given[name] for name in self._inputs}
        )[0]
        return rows

    def _padded(self, tokens: Sequence[Tokens]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens as rows as long as the longest, and a mask of what is no padding."""
        lengths = np.array([len(one) for one in tokens])
        places = np.arange(lengths.max())
        if self._pads_left:
            places = places[::-1]
        mask = places < lengths[:, None]
        ids = np.full(mask.shape, self._pad_id, dtype=np.int64)
        ids[mask] = np.concatenate([np.asarray(one, dtype=np.int64) for one in tokens])
        return ids, mask.astype(np.int64)


def runtime() -> ModuleType:
    """Import ONNX Runtime, told to send nothing to its makers.

    Since 1.29 its builds for Linux and macOS report every process, and keep a file with an id of
    the machine, unless the environment says otherwise before the import (its Privacy.md). Where
    the application imported it earlier, or set the variable itself, that stands.

    Raises:
        ImportError: It is not installed, or cannot be loaded.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    library: ModuleType = onnxruntime
    return library


def _session(graph: Path) -> InferenceSession:
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
