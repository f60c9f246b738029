from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import save_tiny_tokenizer, tiny_config

from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.protocols import Reranker
from agentmem.reranking import CrossEncoderReranker

TEXTS = ["the dog ran", "rain in turin", "sun", "my house in lisbon"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertForSequenceClassification, set_seed

    folder = tmp_path_factory.mktemp("cross-encoder")
    set_seed(11)
    config = tiny_config()
    config.num_labels = 1
    BertForSequenceClassification(config).save_pretrained(folder)
    save_tiny_tokenizer(folder)
    return folder


def test_gives_one_score_a_text_and_each_text_its_own(folder: Path) -> None:
    reranker = CrossEncoderReranker(folder, device="cpu", batch_size=2)
    scores = reranker.score("rain", TEXTS)
    assert scores.shape == (4,)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(reranker.score("rain", TEXTS[::-1]), scores[::-1], atol=1e-5)
    np.testing.assert_allclose(reranker.score("rain", TEXTS[1:2]), scores[1:2], atol=1e-5)
    assert len(set(scores.round(6))) > 1
    assert isinstance(reranker, Reranker)


def test_scores_are_those_of_sentence_transformers(folder: Path) -> None:
    from sentence_transformers import CrossEncoder

    expected = CrossEncoder(str(folder), device="cpu").predict([("rain", text) for text in TEXTS])
    scores = CrossEncoderReranker(folder, device="cpu").score("rain", TEXTS)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_no_texts_need_no_model() -> None:
    assert CrossEncoderReranker("nowhere/at-all").score("rain", []).shape == (0,)


def test_odd_texts_are_scored(folder: Path) -> None:
    scores = CrossEncoderReranker(folder).score("\ud800", ["", "\0", "\udfff", "🦄", "rain " * 999])
    assert np.isfinite(scores).all()


def test_missing_models_and_classifiers_are_refused(folder: Path, tmp_path: Path) -> None:
    from transformers import BertForSequenceClassification

    with pytest.raises(EmbeddingFailed, match="without a reranker"):
        CrossEncoderReranker(tmp_path / "nowhere").score("rain", TEXTS)
    classifier = tmp_path / "classifier"
    shutil.copytree(folder, classifier)
    config = tiny_config()
    config.num_labels = 3
    BertForSequenceClassification(config).save_pretrained(classifier)
    with pytest.raises(EmbeddingFailed, match="num_labels=1"):
        CrossEncoderReranker(classifier).score("rain", TEXTS)
    with pytest.raises(InvalidInput):
        CrossEncoderReranker(folder, batch_size=0)
