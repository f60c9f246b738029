from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentmem.embedding import SentenceTransformerEmbedder, engines, exporting, exports
from agentmem.errors import EmbeddingFailed

FIND = "import sys; from agentmem.embedding import SentenceTransformerEmbedder as E\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTMEM_CACHE", str(tmp_path / "cache"))
    engines._warn.cache_clear()
    return tmp_path / "cache" / "onnx"


def embedder(folder: Path, **arguments: Any) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(folder, device="cpu", **arguments)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_graph_is_made_once_and_anew_for_other_weights_or_another_runtime(
    tiny_transformer: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert embedder(tiny_transformer).engine == "onnx"
    (made,) = cache.iterdir()
    found = json.loads((made / "export.json").read_text())
    assert found["least"] >= 0.99999
    assert {"model.onnx", "tokenizer.json"} == found["files"].keys()

    other = tmp_path / "other"
    shutil.copytree(tiny_transformer, other)
    pooling = other / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace('"cls"', '"mean"'))
    assert embedder(other).engine == "onnx"
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(engines, "_runtime", lambda: "another")
    assert embedder(tiny_transformer).engine == "onnx"
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "export.json"])
def test_a_damaged_export_is_made_anew(tiny_transformer: Path, cache: Path, name: str) -> None:
    assert embedder(tiny_transformer).engine == "onnx"
    (made,) = cache.iterdir()
    whole = (made / name).read_bytes()
    (made / name).write_bytes(whole[: len(whole) // 2])
    assert embedder(tiny_transformer).engine == "onnx"
    assert (made / name).stat().st_size >= len(whole) - 64


def test_a_graph_with_other_vectors_is_not_used_and_that_is_remembered(
    tiny_transformer: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import torch

    exported = []
    honest = exporting.export

    def noisy(model: Any, folder: Path) -> None:
        exported.append(folder)
        weights = model[0].auto_model.embeddings.word_embeddings.weight
        before = weights.detach().clone()
        weights.data += 0.1 * torch.randn(before.shape, generator=torch.manual_seed(0))
        honest(model, folder)
        weights.data.copy_(before)

    monkeypatch.setattr(engines, "export", noisy)
    for _ in range(2):
        rejected = embedder(tiny_transformer)
        assert rejected.engine == "torch"
    assert len(exported) == 1
    (message,) = warnings_of(caplog)
    assert "no nearer to torch's than a cosine of 0." in message
    (made,) = cache.iterdir()
    assert [file.name for file in made.iterdir()] == ["export.json"]
    right = embedder(tiny_transformer, engine="torch").embed(["rain"], kind="query")
    np.testing.assert_allclose(rejected.embed(["rain"], kind="query"), right, atol=1e-6)


def test_a_model_that_torch_cannot_trace_stays_with_it_and_is_not_tried_again(
    tiny_transformer: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def failing(_model: Any, folder: Path) -> None:
        tried.append(folder)
        (folder / "model.onnx").write_bytes(b"half a graph")
        raise ValueError("no symbolic function for aten::strange\nmore")

    monkeypatch.setattr(engines, "export", failing)
    for _ in range(2):
        assert embedder(tiny_transformer).engine == "torch"
    assert len(tried) == 1
    (made,) = cache.iterdir()
    assert json.loads((made / "export.json").read_text())["refused"].endswith("aten::strange")


def test_without_the_exporter_s_package_nothing_is_remembered(
    tiny_transformer: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert embedder(tiny_transformer).engine == "torch"
    with pytest.raises(EmbeddingFailed, match=r"agentmem\[onnx\]"):
        embedder(tiny_transformer, engine="onnx").warm_up()
    monkeypatch.undo()
    monkeypatch.setenv("AGENTMEM_CACHE", str(cache.parent))
    assert embedder(tiny_transformer).engine == "onnx"


def test_a_cache_that_cannot_be_written_leaves_torch_and_warns_once(
    tiny_transformer: Path,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("AGENTMEM_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert embedder(tiny_transformer).engine == "torch"
    (message,) = warnings_of(caplog)
    assert "cannot be kept" in message
    with pytest.raises(EmbeddingFailed, match="AGENTMEM_CACHE"):
        embedder(tiny_transformer, engine="onnx").warm_up()
    assert not cache.exists()


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # every write beyond fails
"""
USE = """
e = E(sys.argv[1], device="cpu")
print(e.engine, e.embed(["rain"], kind="query").shape)
"""


def run(script: str, folder: Path, *, cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "AGENTMEM_CACHE": str(cache.parent)}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of this kind")
def test_a_cache_that_is_full_leaves_torch_and_nothing_behind(
    tiny_transformer: Path, cache: Path
) -> None:
    process = run(FIND + FULL + USE, tiny_transformer, cache=cache)
    said, complaint = process.communicate(timeout=120)
    assert said.split("\n")[0] == "torch (1, 16)", complaint
    assert "cannot be kept" in complaint
    assert list(cache.iterdir()) == []


@pytest.mark.slow
def test_processes_that_begin_at_once_all_get_the_graph(
    tiny_transformer: Path, cache: Path
) -> None:
    processes = [run(FIND + USE, tiny_transformer, cache=cache) for _ in range(2)]
    answers = [process.communicate(timeout=180) for process in processes]
    assert [said for said, _ in answers] == ["onnx (1, 16)\n"] * 2, answers
    (made,) = cache.iterdir()
    assert exports.find(made.name) is not None


def test_the_loser_of_a_race_uses_the_winner_s_graph(tiny_transformer: Path, cache: Path) -> None:
    assert embedder(tiny_transformer).engine == "onnx"
    (made,) = cache.iterdir()
    winner = exports.find(made.name)
    assert winner is not None

    def make(folder: Path) -> exports.Export:
        (folder / "model.onnx").write_bytes(b"another")
        return exports.Export(winner.facts, least=1.0, refused=None, folder=folder)

    assert exports.put(made.name, make) == winner


def test_what_killed_processes_had_begun_is_cleared(tiny_transformer: Path, cache: Path) -> None:
    for name, age in (("old", 2 * exports.ABANDONED), ("new", 60)):
        begun = cache / f"{exports.MAKING}{name}"
        begun.mkdir(parents=True)
        now = begun.stat().st_mtime
        os.utime(begun, (now - age, now - age))
    assert embedder(tiny_transformer).engine == "onnx"
    assert {path.name for path in cache.glob(".*")} == {f"{exports.MAKING}new"}
