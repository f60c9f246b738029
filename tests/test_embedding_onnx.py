from __future__ import annotations

import logging
import os
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentmem import CachedEmbedder, Memory
from agentmem.embedding import SentenceTransformerEmbedder, engines
from agentmem.embedding.canaries import canary_texts
from agentmem.embedding.threads import usable_cores
from agentmem.errors import EmbeddingFailed, InvalidInput

LONG = " ".join(canary_texts())  # many windows
TEXTS = [*canary_texts()[::3], LONG, "", *canary_texts()[1::3]]


@pytest.fixture(scope="session")
def in_torch() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(device="cpu", engine="torch")


@pytest.fixture(scope="session")
def in_onnx() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(engine="onnx")


def least(found: Any, expected: Any) -> float:
    return float((found * expected).sum(axis=1).min())


def test_both_engines_give_the_same_vectors_in_the_order_of_the_texts(
    in_onnx: SentenceTransformerEmbedder, in_torch: SentenceTransformerEmbedder
) -> None:
    assert (in_onnx.engine, in_torch.engine) == ("onnx", "torch")
    for kind in ("query", "document"):
        assert least(in_onnx.embed(TEXTS, kind=kind), in_torch.embed(TEXTS, kind=kind)) >= 0.99999
    alone = np.concatenate([in_onnx.embed([text], kind="document") for text in TEXTS])
    np.testing.assert_allclose(in_onnx.embed(TEXTS, kind="document"), alone, atol=2e-6)
    assert in_onnx.embed([], kind="query").shape == (0, 384)


def test_both_engines_split_and_count_alike(
    in_onnx: SentenceTransformerEmbedder, in_torch: SentenceTransformerEmbedder
) -> None:
    prefixes = ["Ada: "] * len(TEXTS)
    assert in_onnx.split(TEXTS, prefixes=prefixes) == in_torch.split(TEXTS, prefixes=prefixes)
    assert in_onnx.tokens(TEXTS) == in_torch.tokens(TEXTS)


def test_a_store_is_written_by_one_engine_and_searched_by_the_other(
    in_onnx: SentenceTransformerEmbedder, in_torch: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    assert in_onnx.passport == in_torch.passport
    said = ["I moved to Lisbon.", "My sister plays the cello.", "The door is blue."]
    with Memory.open(tmp_path / "ada.mem", embedder=in_torch) as memory:
        memory.add(said[:2], user_id="ada")
        recall = memory.search("Where do I live?", user_id="ada")
    with Memory.open(tmp_path / "ada.mem", embedder=in_onnx) as memory:
        memory.add(said[2], user_id="ada")
        assert memory.search("Where do I live?", user_id="ada", k=1)[0].turn.content == said[0]
        replay = memory.replay(recall)
    assert (replay.verdict, replay.largest_drift <= 1e-5) == ("identical", True)


def test_the_first_of_the_components_are_kept_as_in_torch(
    in_torch: SentenceTransformerEmbedder,
) -> None:
    short = SentenceTransformerEmbedder(engine="onnx", truncate_dim=64)
    first = in_torch.embed(TEXTS, kind="document")[:, :64]
    expected = first / np.linalg.norm(first, axis=1, keepdims=True)
    assert least(short.embed(TEXTS, kind="document"), expected) >= 0.99999


@pytest.mark.slow
def test_questions_of_many_threads_at_once_get_their_own_vectors(
    in_onnx: SentenceTransformerEmbedder,
) -> None:
    alone = np.concatenate([in_onnx.embed([text], kind="query") for text in TEXTS])
    start = threading.Barrier(8)

    def ask(_: int) -> bool:
        start.wait()
        rows = np.concatenate([in_onnx.embed([text], kind="query") for text in TEXTS])
        return bool(np.allclose(rows, alone, atol=2e-6))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


MODES: tuple[Any, ...] = ("mean", "max", "weightedmean", "lasttoken", ("cls", "mean"))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_pooling_is_exported_with_padding_on_either_side(
    tiny_transformer: Path, tmp_path: Path, mode: Any, side: str
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    model = SentenceTransformer(str(tiny_transformer), device="cpu")
    model[1] = Pooling(16, mode)
    model.tokenizer.padding_side = side
    model.save(str(tmp_path / "model"), create_model_card=False)
    check_same(tmp_path / "model")


def check_same(folder: Path) -> None:
    own = SentenceTransformerEmbedder(folder, engine="onnx")
    torch = SentenceTransformerEmbedder(folder, engine="torch", device="cpu")
    assert own.passport == torch.passport
    texts = ["rain", "the cat sat on a mat", "my dog ran to the house " * 9, "", "sun in turin"]
    for kind in ("query", "document"):
        assert least(own.embed(texts, kind=kind), torch.embed(texts, kind=kind)) >= 0.99999


def test_dense_layers_and_prompts_are_exported(tiny_transformer: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize

    model = SentenceTransformer(str(tiny_transformer), device="cpu")
    model.append(Dense(16, 6))
    model.append(Normalize())
    model.save(str(tmp_path / "dense"), create_model_card=False)
    check_same(tmp_path / "dense")
    again = SentenceTransformerEmbedder(tmp_path / "dense", engine="onnx")
    assert (again.passport.dimension, again.passport.query_prompt) == (6, "the cat ")
    check_same(tiny_transformer)


def static_model(folder: Path, *, scale: float = 1.0) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"[UNK]": 0, "rain": 1, "sun": 2, "turin": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.array([[0, 0, 0], [3, 4, 0], [0, 0, 5 * scale], [1, 1, 1]], dtype=np.float32)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)])
    model.save(str(folder), create_model_card=False)
    return folder


def test_static_models_run_in_torch_with_a_passport_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "agentmem")
    embedder = SentenceTransformerEmbedder(static_model(tmp_path / "static"), device="cpu")
    assert embedder.engine == "torch"
    assert "StaticEmbedding, not a transformer" in caplog.text
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    passport = embedder.passport
    assert (passport.dimension, passport.window, passport.pooling) == (3, None, "StaticEmbedding")
    assert passport.weights is not None
    assert passport.tokenizer is not None
    shutil.copytree(tmp_path / "static", tmp_path / "copy")
    assert SentenceTransformerEmbedder(tmp_path / "copy").passport == passport
    other = SentenceTransformerEmbedder(static_model(tmp_path / "other", scale=2)).passport
    assert other.differences(passport).keys() >= {"weights"}
    with Memory.open(tmp_path / "ada.mem", embedder=embedder) as memory:
        memory.add(["rain", "sun"], user_id="ada")
        assert memory.search("sun turin", user_id="ada", k=1)[0].turn.content == "sun"


def test_an_engine_that_cannot_run_a_model_says_why_and_what_to_do(tmp_path: Path) -> None:
    static = SentenceTransformerEmbedder(static_model(tmp_path / "static"), engine="onnx")
    with pytest.raises(EmbeddingFailed, match=r"not a transformer.*engine='auto' or 'torch'"):
        static.embed(["rain"], kind="query")
    with pytest.raises(EmbeddingFailed, match="runs on cuda"):
        SentenceTransformerEmbedder(engine="onnx", device="cuda").warm_up()
    with pytest.raises(InvalidInput, match="auto, onnx, torch"):
        SentenceTransformerEmbedder(engine="tensorrt")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="threads"):
        SentenceTransformerEmbedder(threads=0)


def test_half_precision_stays_with_torch(tiny_transformer: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_transformer), device="cpu").bfloat16()
    model.save(str(tmp_path / "half"), create_model_card=False)
    half = SentenceTransformerEmbedder(tmp_path / "half", device="cpu")
    assert (half.passport.precision, half.engine) == ("bfloat16", "torch")


def child(script: str, *arguments: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.splitlines()


def test_a_graph_that_was_made_before_runs_without_torch(
    in_onnx: SentenceTransformerEmbedder,
) -> None:
    in_onnx.warm_up()
    script = (
        "import sys; from agentmem.embedding import SentenceTransformerEmbedder as E;"
        "e = E(engine='onnx'); e.embed(['rain'], kind='query'); e.split(['rain'], prefixes=['']);"
        "slow = {'torch', 'transformers', 'sentence_transformers'};"
        "print(e.engine, sorted(slow & {*sys.modules}))"
    )
    assert child(script) == ["onnx []"]


def test_onnx_runtime_sends_nothing_and_keeps_no_id_of_the_machine(
    in_onnx: SentenceTransformerEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_onnx.warm_up()
    for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY"):  # silence it as well
        monkeypatch.delenv(name, raising=False)
    script = (
        "from agentmem.embedding import SentenceTransformerEmbedder as E;"
        "E(engine='onnx').embed(['rain'], kind='query')"
    )
    child(script, TMPDIR=str(tmp_path), HOME=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


WITHOUT = """
import sys
for name in ("onnxruntime", "onnx"):
    sys.modules[name] = None  # as if it were not installed
from agentmem import Memory, MissingDependency, SentenceTransformerEmbedder
try:
    SentenceTransformerEmbedder(engine="onnx")
except MissingDependency as error:
    print(error.extra, error)
embedder = SentenceTransformerEmbedder(device="cpu")
with Memory.open(sys.argv[1], embedder=embedder) as memory:
    memory.add(["I moved to Lisbon.", "The door is blue."], user_id="ada")
    print(memory.search("Where do I live?", user_id="ada", k=1)[0].turn.content)
print(embedder.engine)
"""


def test_everything_works_without_onnx_runtime(tmp_path: Path) -> None:
    told, found, engine = child(WITHOUT, str(tmp_path / "ada.mem"))
    assert told.startswith("onnx engine='onnx' needs 'onnxruntime'")
    assert "agentmem[onnx]" in told
    assert (found, engine) == ("I moved to Lisbon.", "torch")


def test_passes_at_once_are_what_is_asked_for_or_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert (usable_cores(5), usable_cores()) == (5, 3)
    script = (
        "import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1]);"
        "from agentmem.embedding.threads import usable_cores; print(usable_cores())"
    )
    if hasattr(os, "sched_setaffinity"):
        assert child(script, OMP_NUM_THREADS="") == ["1"]


def test_warming_up_loads_the_model_and_opening_a_store_does_not(
    tiny_transformer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    load = engines.load_engine

    def slow(*arguments: Any, **named: Any) -> Any:
        begun.set()
        assert go.wait(20)
        return load(*arguments, **named)

    monkeypatch.setattr("agentmem.embedding.transformer.load_engine", slow)
    embedder = CachedEmbedder(SentenceTransformerEmbedder(tiny_transformer, device="cpu"))
    Memory.open(tmp_path / "a.mem", embedder=embedder).close()
    assert not begun.is_set()
    embedder.warm_up(background=True)
    assert begun.wait(20)
    Memory.open(tmp_path / "b.mem", embedder=embedder).close()  # while it loads
    go.set()
    assert embedder.embed(["rain"], kind="query").shape == (1, 16)


def test_a_model_that_cannot_be_warmed_up_fails_in_the_call_that_needs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "agentmem")
    embedder = SentenceTransformerEmbedder(tmp_path / "nowhere")
    embedder.warm_up(background=True)
    for thread in threading.enumerate():
        if thread.name == "agentmem-warm-up":
            thread.join(20)
    assert "could not be loaded in the background" in caplog.text
    with pytest.raises(EmbeddingFailed, match="no model folder"):
        embedder.warm_up()


def test_an_embedder_travels_to_another_process_with_its_engine(tiny_transformer: Path) -> None:
    embedder = SentenceTransformerEmbedder(tiny_transformer, engine="onnx", threads=1)
    embedder.warm_up()
    travelled = pickle.loads(pickle.dumps(embedder))  # noqa: S301 - made here
    assert travelled.engine == "onnx"
    np.testing.assert_array_equal(
        travelled.embed(["rain"], kind="query"), embedder.embed(["rain"], kind="query")
    )
