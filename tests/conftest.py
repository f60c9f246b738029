"""What the whole suite shares: no network, one loaded model, embedders for every purpose."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub, which reads it once
os.environ["AGENTMEM_CACHE"] = str(Path(__file__).parents[1] / ".pytest_cache" / "agentmem")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # pytest runs a worker a core,
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # and tests start processes
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # tests start processes after tokenizers ran

import pytest
from hypothesis import HealthCheck, settings

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.testing import HashEmbedder

if TYPE_CHECKING:
    from transformers import BertConfig

settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("suite")

BESIDE_THE_CHECKOUT = Path(__file__).parents[2] / "shared" / "data"

TINY_WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran", "to", "my", "house", "rain"]
TINY_WORDS += ["in", "turin", "sun", "lisbon"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--run-slow` run everything."""
    parser.addoption("--run-slow", action="store_true", help="run tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is slow, unless it is asked for: by the option, or one by one."""
    if config.getoption("--run-slow") or any("::" in argument for argument in config.args):
        return
    cases: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        slow, function = item.get_closest_marker("slow"), item.nodeid.split("[")[0]
        cases[function] += 1
        run = slow is None or cases[function] <= slow.kwargs.get("keep", 0)
        (kept if run else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


@pytest.fixture(scope="session")
def minilm() -> SentenceTransformerEmbedder:
    """Give the default embedder with its real weights, loaded once."""
    return SentenceTransformerEmbedder(device="cpu")


@pytest.fixture
def hash_embedder() -> HashEmbedder:
    """Give an embedder that needs no model."""
    return HashEmbedder()


@pytest.fixture
def real_data() -> Path:
    """Give the folder of published data; AGENTMEM_DATA names another."""
    folder = Path(os.environ.get("AGENTMEM_DATA", BESIDE_THE_CHECKOUT))
    if not folder.is_dir():
        pytest.skip("set AGENTMEM_DATA to a folder with locomo/, metatool/ and others")
    return folder


@pytest.fixture(scope="session")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a BERT of random weights, 24 tokens, 16 dimensions, and prompts."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertModel, set_seed

    folder = tmp_path_factory.mktemp("tiny")
    set_seed(7)
    BertModel(tiny_config()).save_pretrained(folder / "bert")
    save_tiny_tokenizer(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=24)
    model = SentenceTransformer(
        modules=[transformer, Pooling(16, "cls")],
        prompts={"query": "the cat ", "document": "my dog "},
        device="cpu",
    )
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"


def tiny_config() -> BertConfig:
    """Describe a BERT small enough to make in a test."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(TINY_WORDS) + 35,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=1.0,  # weights so small that every text looks alike would test nothing
    )


def save_tiny_tokenizer(folder: Path) -> None:
    """Save a WordPiece tokenizer of a few words and the letters."""
    from transformers import BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *TINY_WORDS, *letters]
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(tokens)), encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
