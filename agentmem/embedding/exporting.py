"""Turning a loaded sentence-transformers model into a graph that ONNX Runtime runs.

One graph from the tokens to the vector (transformer, pooling, what follows it) and the tokenizer
as the model uses it. `refusal` says of which models that would not be the whole: those stay with
torch. sentence-transformers' own `backend="onnx"` exports the transformer alone, needs torch and
its own import at every start, and its exporter holds transformers below version 5.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentmem.embedding.onnx import GRAPH, TOKENIZER

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["export", "refusal"]

OPSET: Final = 17  # the first with LayerNormalization as one operator
INPUTS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
SAMPLE: Final = ("The ferry leaves at nine, said Grace.", "rain")  # of two lengths: one is padded

_EXPORTING = threading.Lock()  # warnings are silenced for the whole process meanwhile


def refusal(model: SentenceTransformer) -> str | None:
    """Say why a model would not be itself as a graph; None if it would."""
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    first, *rest = modules = list(model)
    if type(first) is not Transformer:
        return f"its first module is {type(first).__name__}, not a transformer"
    other = [type(one).__name__ for one in rest if type(one) not in {Pooling, Normalize, Dense}]
    if other or not any(type(one) is Pooling for one in rest):
        return f"its modules are {', '.join(type(one).__name__ for one in modules)}"
    if not all(getattr(one, "include_prompt", True) for one in rest):
        return "its pooling leaves the prompt out"
    formats = {str(one.dtype) for one in model.parameters() if one.is_floating_point()}
    if formats != {"torch.float32"}:
        return f"its weights are {', '.join(sorted(formats))}, which moves vectors too far"
    return _unusual_reading(model, first)


def _unusual_reading(model: SentenceTransformer, transformer: Any) -> str | None:
    if set(transformer.modality_config) != {"text"}:
        return f"it reads {', '.join(sorted(transformer.modality_config))}"
    for habit in ("query_length", "document_length", "query_expansion"):
        if getattr(transformer, habit, None) is not None:
            return f"it has a {habit}"
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        return "it has no fast tokenizer"
    features = _sample(model)
    if not features.keys() <= INPUTS:
        return f"it takes {', '.join(sorted(features))}"
    if features.get("token_type_ids") is not None and features["token_type_ids"].any():
        return "its tokenizer has token types of its own"
    return None


def export(model: SentenceTransformer, folder: Path) -> None:
    """Write the graph and the tokenizer of a model on the processor into a folder.

    Raises:
        OSError: The folder cannot be written.
        Exception: torch cannot trace this model.
    """
    import torch

    features = _sample(model)  # which also sets the tokenizer's truncation and padding
    names = list(features)
    tokenizer = model.tokenizer.backend_tokenizer.to_str()
    (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
    axes = {name: {0: "texts", 1: "tokens"} for name in names} | {"vectors": {0: "texts"}}
    with _EXPORTING, warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing: what it gets wrong shows in the vectors
        torch.onnx.export(
            _whole(model, names),
            tuple(features.values()),
            str(folder / GRAPH),
            input_names=names,
            output_names=["vectors"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs onnxscript and takes ten times as long
        )


def _sample(model: SentenceTransformer) -> dict[str, Any]:
    import torch

    read = model.preprocess(list(SAMPLE))
    return {name: value for name, value in read.items() if isinstance(value, torch.Tensor)}


def _whole(model: SentenceTransformer, names: Sequence[str]) -> Any:
    """Return the model as one function of its tensors."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleList(model)

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            features: dict[str, Any] = dict(zip(names, tensors, strict=True))
            for step in self.steps:
                features = step(features)
            vectors: torch.Tensor = features["sentence_embedding"]
            return vectors

    return Whole().eval()
