"""What of a model's folder reaches its passport without loading it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.embedding.facts import (
    loaded_facts,
    module_folders,
    read_facts,
    tokenizer_settings,
)
from agentmem.embedding.weights import tokenizer_sha256


@pytest.fixture
def tiny(tiny_transformer: Path, tmp_path: Path) -> Path:
    """Give a copy of the tiny model that a test may change."""
    return Path(shutil.copytree(tiny_transformer, tmp_path / "model"))


def edit(file: Path, **changes: Any) -> None:
    """Set values of a JSON file; None removes one."""
    content = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    kept = {name: value for name, value in content.items() if value is not None}
    file.write_text(json.dumps(kept), encoding="utf-8")


def passport_fields(changed: Path, original: Path) -> set[str]:
    passport = SentenceTransformerEmbedder(original).passport
    return set(passport.differences(SentenceTransformerEmbedder(changed).passport))


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_the_configured_number_format_is_the_loaded_one(tiny: Path, precision: str) -> None:
    from sentence_transformers import SentenceTransformer

    edit(tiny / "config.json", dtype=precision)
    facts = read_facts(tiny)
    assert facts is not None
    assert facts.precision == precision
    assert facts == loaded_facts(SentenceTransformer(str(tiny), device="cpu"))


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_without_configuration_the_number_format_is_that_of_the_weights(
    tiny: Path, precision: str
) -> None:
    import torch
    from safetensors.torch import load_file, save_file
    from sentence_transformers import SentenceTransformer

    edit(tiny / "config.json", dtype=None, torch_dtype=None)
    tensors = load_file(tiny / "model.safetensors")
    stored = {name: tensor.to(getattr(torch, precision)) for name, tensor in tensors.items()}
    save_file(stored, tiny / "model.safetensors", metadata={"format": "pt"})
    facts = read_facts(tiny)
    assert facts is not None
    assert facts.precision == precision
    assert facts == loaded_facts(SentenceTransformer(str(tiny), device="cpu"))


def test_weights_that_only_torch_reads_are_loaded_for_their_number_format(tiny: Path) -> None:
    import torch
    from safetensors.torch import load_file

    edit(tiny / "config.json", dtype=None, torch_dtype=None)
    torch.save(load_file(tiny / "model.safetensors"), tiny / "pytorch_model.bin")
    (tiny / "model.safetensors").unlink()
    assert read_facts(tiny) is None
    assert SentenceTransformerEmbedder(tiny, device="cpu").passport.precision == "float32"


def test_a_damaged_file_of_weights_tells_no_number_format(tiny: Path) -> None:
    edit(tiny / "config.json", dtype=None, torch_dtype=None)
    (tiny / "model.safetensors").write_bytes(b"no tensors")
    assert read_facts(tiny) is None


def test_a_quantised_model_is_named_so_after_loading(tiny: Path) -> None:
    from sentence_transformers import SentenceTransformer

    edit(tiny / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    assert read_facts(tiny) is None
    edit(tiny / "config.json", quantization_config=None)
    model = SentenceTransformer(str(tiny), device="cpu")
    transformer: Any = model[0]
    transformer.auto_model.config.quantization_config = {"quant_method": "bitsandbytes"}
    assert loaded_facts(model).precision == "quantised by bitsandbytes"


def test_whether_a_prompt_is_pooled_is_part_of_the_pooling(
    tiny: Path, tiny_transformer: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    edit(tiny / "1_Pooling" / "config.json", include_prompt=False)
    assert passport_fields(tiny, tiny_transformer) == {"pooling"}
    assert read_facts(tiny) == loaded_facts(SentenceTransformer(str(tiny), device="cpu"))


def test_scaling_counts_before_another_layer_and_not_at_the_end(tiny: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize

    def steps(*modules: Any) -> str:
        model = SentenceTransformer(str(tiny), device="cpu")
        model.extend(modules)
        return loaded_facts(model).pooling

    assert steps() == steps(Normalize()) == "cls"
    assert steps(Dense(16, 6)) == steps(Dense(16, 6), Normalize()) == "cls>Dense"
    assert steps(Normalize(), Dense(16, 6)) == "cls>Normalize>Dense"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("do_lower_case", False), ("strip_accents", True), ("tokenize_chinese_chars", False)],
)
def test_what_overrules_a_tokenizer_file_is_part_of_its_hash(
    tiny: Path, tiny_transformer: Path, setting: str, value: object
) -> None:
    edit(tiny / "tokenizer_config.json", **{setting: value})
    assert tokenizer_settings(tiny) == {setting: value}
    assert passport_fields(tiny, tiny_transformer) == {"tokenizer"}


def test_what_repeats_a_tokenizer_file_changes_no_hash(tiny: Path, tiny_transformer: Path) -> None:
    edit(
        tiny / "tokenizer_config.json",
        do_lower_case=True,
        tokenize_chinese_chars=True,
        model_input_names=["input_ids"],
    )
    edit(tiny / "sentence_bert_config.json", do_lower_case=True)
    assert tokenizer_settings(tiny) == {}
    assert passport_fields(tiny, tiny_transformer) == set()


def test_lower_casing_by_sentence_transformers_counts_where_the_tokenizer_keeps_case(
    tiny: Path,
) -> None:
    edit(tiny / "tokenizer_config.json", do_lower_case=False)
    cased = SentenceTransformerEmbedder(tiny).passport
    edit(tiny / "sentence_bert_config.json", do_lower_case=True)
    assert tokenizer_settings(tiny) == {"do_lower_case": True}
    assert SentenceTransformerEmbedder(tiny).passport.differences(cased).keys() == {"tokenizer"}


def test_a_tokenizer_in_a_module_s_folder_is_hashed(tiny: Path) -> None:
    modules = json.loads((tiny / "modules.json").read_text(encoding="utf-8"))
    modules[0]["path"] = "0_Transformer"
    (tiny / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (tiny / "0_Transformer").mkdir()
    for file in [file for file in tiny.iterdir() if file.is_file()]:
        if file.name not in {"modules.json", "config_sentence_transformers.json"}:
            file.rename(tiny / "0_Transformer" / file.name)
    assert module_folders(tiny)[0] == "0_Transformer"
    hashed = tokenizer_sha256(tiny / "0_Transformer")
    assert hashed is not None
    assert SentenceTransformerEmbedder(tiny).passport.tokenizer == hashed


def test_what_is_kept_of_longer_vectors_says_how_long_they_were(tiny: Path) -> None:
    def kept(dimension: int | None) -> tuple[int, int | None]:
        passport = SentenceTransformerEmbedder(tiny, truncate_dim=dimension).passport
        return passport.dimension, passport.full_dimension

    assert (kept(None), kept(16), kept(8)) == ((16, None), (16, None), (8, 16))
