"""What a sentence-transformers folder says about its vectors, read without loading the model.

Covers the standard shape (a transformer, pooling, perhaps normalisation); `read_facts` returns
None for any other, and `loaded_facts` then asks the loaded model. Both give the same facts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["ModelFacts", "loaded_facts", "module_folders", "read_facts", "tokenizer_settings"]

_STANDARD = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_NORMALIZE = "Normalize"
_FORMATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_UNBOUNDED = 1 << 20  # transformers writes 1e30 for "no limit"; no encoder reads a million tokens
_BERT_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}  # names in tokenizer_config.json, and in the normalizer of tokenizer.json
_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # names up to sentence-transformers 5, which most published models still carry


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Shape and habits of a model.

    Dimension, window in tokens, pooling and what follows it, number format of the weights, and
    the prompts by use.
    """

    dimension: int
    window: int | None
    pooling: str
    precision: str
    query_prompt: str
    document_prompt: str


def read_facts(folder: Path) -> ModelFacts | None:
    """Read the facts from a folder's configuration, or None if only loading could tell."""
    modules = _json(folder / "modules.json", default=[])
    if [module["type"].rsplit(".", 1)[-1] for module in modules] not in _STANDARD:
        return None
    root = folder / modules[0]["path"]
    transformer = _json(root / "sentence_bert_config.json")
    if set(transformer.get("modality_config", {"text": {}})) != {"text"}:
        return None
    pooling = _json(folder / modules[1]["path"] / "config.json")
    modes = _pooling_modes(pooling)
    width = pooling.get("embedding_dimension", pooling.get("word_embedding_dimension"))
    precision = _precision(root)
    if width is None or precision is None:
        return None
    return ModelFacts(
        dimension=int(width) * len(modes),
        window=_window(root, transformer),
        pooling=_pooling("+".join(modes), prompted=pooling.get("include_prompt", True)),
        precision=precision,
        **_prompts(_json(folder / "config_sentence_transformers.json")),
    )


def loaded_facts(model: SentenceTransformer) -> ModelFacts:
    """Ask a loaded model."""
    dimension = model.get_embedding_dimension()
    steps = [_step(module) for module in list(model)[1:]]
    if steps[-1:] == [_NORMALIZE]:
        del steps[-1]  # every vector is scaled to unit length anyway
    return ModelFacts(
        dimension=int(dimension or 0),
        window=_bounded(model.max_seq_length),
        pooling=">".join(steps) or type(model[0]).__name__,
        precision=_loaded_precision(model),
        **_prompts({"prompts": model.prompts, "default_prompt_name": model.default_prompt_name}),
    )


def module_folders(folder: Path) -> list[str]:
    """Return the subfolders in which a model's modules keep their weights."""
    modules = _json(folder / "modules.json", default=[])
    paths = [str(module["path"]) for module in modules] or [""]
    nested = [
        below.relative_to(folder).as_posix()
        for path in filter(None, paths)
        for below in sorted((folder / path).rglob("*"))
        if below.is_dir()
    ]
    return paths + nested


def tokenizer_settings(root: Path) -> dict[str, bool | None]:
    """Return what the configuration beside a `tokenizer.json` sets otherwise than that file has it.

    transformers lets `tokenizer_config.json` overrule the normalisation of BERT's tokenizers, and
    sentence-transformers lower-cases by a setting of its own: both make other tokens of a text
    while `tokenizer.json` stays as it is. Nothing is returned for settings that only repeat it.
    """
    normalizer = _json(root / "tokenizer.json").get("normalizer") or {}
    config = _json(root / "tokenizer_config.json")
    bert = normalizer if normalizer.get("type") == "BertNormalizer" else {}
    overruled = {
        name: config[name]
        for name, own in _BERT_SETTINGS.items()
        if bert and name in config and config[name] != bert.get(own)
    }
    lower = overruled.get("do_lower_case", bert.get("lowercase"))
    if not lower and _json(root / "sentence_bert_config.json").get("do_lower_case"):
        overruled["do_lower_case"] = True
    return overruled


def _step(module: Any) -> str:
    name = type(module).__name__
    if name != "Pooling":
        return name
    mode = module.pooling_mode
    return _pooling(
        mode if isinstance(mode, str) else "+".join(mode), prompted=module.include_prompt
    )


def _pooling(mode: str, *, prompted: bool) -> str:
    return mode if prompted else f"{mode} without prompt"


def _pooling_modes(config: Mapping[str, Any]) -> list[str]:
    modes = config.get("pooling_mode")
    if modes is None:
        return [mode for key, mode in _LEGACY_POOLING.items() if config.get(key)] or ["mean"]
    return [modes] if isinstance(modes, str) else list(modes)


def _precision(root: Path) -> str | None:
    """Follow transformers: what the configuration says, else what the weights are.

    None for quantised models and for weights that only torch can read.
    """
    config = _json(root / "config.json")
    if "quantization_config" in config:
        return None
    named = config.get("dtype", config.get("torch_dtype"))
    if named is not None:
        return str(named)
    return next(filter(None, map(_stored_precision, sorted(root.glob("*.safetensors")))), None)


def _stored_precision(file: Path) -> str | None:
    """Read the first floating format in a safetensors header: eight bytes of length, then JSON."""
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if size > file.stat().st_size:
            return None
        header = json.loads(stream.read(size))
    stored = (tensor.get("dtype") for tensor in header.values())
    return next((_FORMATS[name] for name in stored if name in _FORMATS), None)


def _loaded_precision(model: SentenceTransformer) -> str:
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    quantization = getattr(config, "quantization_config", None)
    if quantization is not None:
        method = (
            quantization.get("quant_method")
            if isinstance(quantization, Mapping)
            else getattr(quantization, "quant_method", None)
        )
        return f"quantised by {getattr(method, 'value', method)}"
    formats = (weight.dtype for weight in model.parameters() if weight.is_floating_point())
    return str(next(formats, "torch.float32")).removeprefix("torch.")


def _window(root: Path, transformer: Mapping[str, Any]) -> int | None:
    """Follow sentence-transformers: its own limit, else the tokenizer's within the positions."""
    own = transformer.get("max_seq_length")
    if own is not None:
        return _bounded(own)
    limit = _json(root / "tokenizer_config.json").get("model_max_length", _UNBOUNDED)
    positions = _json(root / "config.json").get("max_position_embeddings", -1)
    return _bounded(limit if positions == -1 else min(limit, positions))


def _bounded(limit: float | None) -> int | None:
    return None if limit is None or limit >= _UNBOUNDED else int(limit)


def _prompts(config: Mapping[str, Any]) -> dict[str, str]:
    """Choose prompts as `encode_query` and `encode_document` of sentence-transformers do."""
    prompts: Mapping[str, str | None] = config.get("prompts") or {}
    default = prompts.get(config.get("default_prompt_name") or "") or ""
    documents = [prompts[name] for name in ("document", "passage", "corpus") if prompts.get(name)]
    return {
        "query_prompt": prompts.get("query") or default,
        "document_prompt": (documents[0] if documents else None) or default,
    }


def _json(file: Path, *, default: Any = None) -> Any:
    if not file.is_file():
        return {} if default is None else default
    return json.loads(file.read_text(encoding="utf-8"))
