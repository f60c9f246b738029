"""Tests of the evaluation itself, on a real store with a real, tiny embedder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentmem.errors import InvalidInput
from agentmem.evaluation import (
    PRODUCT,
    Conversation,
    Dataset,
    Question,
    Report,
    evaluate,
)
from agentmem.memory import Memory
from agentmem.testing import HashEmbedder

_ADA = [
    "I moved to Lisbon in May.",
    "The new flat has a small balcony.",
    "My sister Rosa plays the cello.",
    "I am allergic to walnuts.",
    "The dentist is on Thursday.",
]
_BEN = [
    "I moved to Oslo in winter.",
    "The dog is called Pepper.",
    "My sister Ines plays chess.",
    "I collect old maps.",
]


def _conversation(name: str, texts: list[str], questions: list[Question]) -> Conversation:
    messages = [
        {"id": f"{name}{number}", "role": "user", "content": text, "session_id": "s1"}
        for number, text in enumerate(texts)
    ]
    return Conversation(name, messages, questions)


@pytest.fixture
def dataset() -> Dataset:
    ada = [
        Question("When did I move to Lisbon?", frozenset({"ada0"}), "places"),
        Question("Who plays the cello?", frozenset({"ada2"}), "people"),
    ]
    ben = [Question("I moved to which city in winter?", frozenset({"ben0"}), "places")]
    return Dataset(
        "own", [_conversation("ada", _ADA, ada), _conversation("ben", _BEN, ben)], {"a note": 1}
    )


def _evaluate(dataset: Dataset, **options: Any) -> Report:
    return evaluate(dataset, embedder=HashEmbedder(), progress=False, **options)


def _without_times(report: Report) -> dict[str, Any]:
    values = report.to_dict()
    del values["seconds_adding"]
    for system in values["systems"]:
        del system["milliseconds"]
    return values


def test_questions_in_the_words_of_a_turn_find_it(dataset: Dataset) -> None:
    report = _evaluate(dataset, ks=(1, 3))
    (product,) = report.systems
    assert product.overall["recall@3"].mean == 1
    assert product.overall["mrr"].mean == 1
    assert set(product.categories) == {"places", "people"}
    assert (report.conversations, report.turns) == (2, 9)
    assert report.questions == {"people": 1, "places": 2}
    assert report.notes == {"a note": 1}
    assert report.versions["lancedb"]


def test_each_question_is_asked_in_its_own_conversation(dataset: Dataset) -> None:
    report = _evaluate(dataset, baselines=True, ks=(20,))
    for system in report.systems:
        for row in system.rows:
            assert row.retrieved
            assert all(key.startswith(row.group) for key in row.retrieved)


def test_baselines_stand_beside_the_product_in_one_order(dataset: Dataset) -> None:
    report = _evaluate(dataset, baselines=True, ks=(1,))
    names = [system.name for system in report.systems]
    assert names == ["agentmem", "dense", "lexical", "rrf", "zscore"]
    assert [system.milliseconds["total"] > 0 for system in report.systems] == [True] * 5


def test_baselines_are_ranked_by_another_configuration_than_the_product(
    dataset: Dataset,
) -> None:
    product, dense, lexical, rrf, zscore = _evaluate(dataset, baselines=True).systems
    assert product.config_id
    assert product.config_id not in {dense.config_id, lexical.config_id, zscore.config_id}
    assert rrf.config_id is None  # two rankings, fused outside of the product


def test_the_same_run_gives_the_same_report(dataset: Dataset) -> None:
    first, second = (_evaluate(dataset, baselines=True) for _ in range(2))
    assert _without_times(first) == _without_times(second)
    json.dumps(first.to_dict(), allow_nan=False)


def test_a_kept_store_is_used_again(dataset: Dataset, tmp_path: Path) -> None:
    first = _evaluate(dataset, path=tmp_path / "store")
    second = _evaluate(dataset, path=tmp_path / "store")
    assert first.seconds_adding > 0
    assert second.seconds_adding == 0
    assert _without_times(first) == _without_times(second)


def test_a_store_with_other_turns_of_a_user_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with Memory.open(tmp_path / "store", embedder=HashEmbedder()) as memory:
        memory.add("Something else.", user_id="ben")
    with pytest.raises(InvalidInput, match=r"1 turns of user 'ben'.*empty folder"):
        _evaluate(dataset, path=tmp_path / "store")


@pytest.mark.parametrize("ks", [(), (0, 5), (10**6,)])
def test_depths_out_of_range_are_refused(dataset: Dataset, ks: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="ks must be numbers from 1 to 1000"):
        _evaluate(dataset, ks=ks)


def test_depths_are_measured_once_and_in_order(dataset: Dataset) -> None:
    assert _evaluate(dataset, ks=(5, 1, 5)).ks == (1, 5)


def test_a_data_set_without_questions_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no questions"):
        _evaluate(Dataset("own", [_conversation("ada", _ADA, [])]))


def test_two_systems_of_one_name_are_refused(dataset: Dataset) -> None:
    with pytest.raises(InvalidInput, match="system 'agentmem' is there twice"):
        _evaluate(dataset, systems=[PRODUCT, PRODUCT])
