"""Tests of `agentmem eval memory`, with the default model on a small file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agentmem.cli.evaluate import _DatasetName, app
from agentmem.errors import InvalidInput
from agentmem.evaluation import FORMATS


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    texts = ["I moved to Lisbon.", "My sister plays the cello.", "Walnuts make me sick."]
    row = {
        "id": "ada",
        "messages": [{"role": "user", "content": text} for text in texts],
        "questions": [
            {"question": "Which city do I live in now?", "gold": ["0"], "category": "places"},
            {"question": "Which musical instrument?", "gold": ["1", "2"], "category": "[music]"},
        ],
    }
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return path


def _run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, ["memory", *map(str, arguments)])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def _in_one_line(printed: str) -> str:
    return re.sub(r"[\s│]+", " ", printed)


def test_every_format_can_be_chosen() -> None:
    assert [one.value for one in _DatasetName] == list(FORMATS)


def test_the_table_shows_every_baseline_by_category(own_data: Path) -> None:
    printed = _run("--dataset", "jsonl", own_data, "--baselines", "--k", "1,2").stdout
    for heading in ("agentmem", "dense", "lexical", "rrf", "zscore"):
        assert heading in printed
    for label in ("places (1)", "[music] (1)", "overall (2)", "recall@1", "ndcg@2", "mrr"):
        assert label in printed
    assert "precision" not in printed


def test_failures_show_what_was_missed_and_found_instead(own_data: Path) -> None:
    printed = _run("--dataset", "jsonl", own_data, "--k", "1", "--failures", "5").stdout
    assert "[[music]] Which musical instrument?" in printed
    assert "missed 2 (not in the first 1): Walnuts make me sick." in printed
    assert "found  1: My sister plays the cello." in printed


def test_json_is_all_that_is_printed_and_the_file_holds_every_answer(
    own_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.json"
    printed = _run("--dataset", "jsonl", own_data, "--json", "--out", out).stdout
    figures, whole = json.loads(printed), json.loads(out.read_text(encoding="utf-8"))
    assert figures["ks"] == [1, 5, 10, 20]
    assert len(whole["systems"][0]["rows"]) == 2
    for system in whole["systems"]:
        del system["rows"]
    assert figures == whole


def test_depths_that_are_no_numbers_are_refused(own_data: Path) -> None:
    result = _run("--dataset", "jsonl", own_data, "--k", "five")
    assert result.exit_code == 2
    assert "is not a list of numbers" in _in_one_line(result.output)


@pytest.mark.parametrize(
    ("out", "message"), [("no/report.json", "there is no folder"), ("", "cannot be written")]
)
def test_an_out_file_that_cannot_be_written_is_named(
    own_data: Path, tmp_path: Path, out: str, message: str
) -> None:
    result = _run("--dataset", "jsonl", own_data, "--out", tmp_path / out)
    assert result.exit_code == 2
    assert message in _in_one_line(result.output)


def test_a_wrong_file_says_what_is_expected(own_data: Path) -> None:
    with pytest.raises(InvalidInput, match=r"locomo10\.json"):
        _run("--dataset", "locomo", own_data)
