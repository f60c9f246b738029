"""Tests of `agentmem eval router`, with the default model on small files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agentmem.cli.evaluate import app
from agentmem.cli.evaluate_router import _ALPHA, _KS, _SEED, _RouterDataset
from agentmem.errors import InvalidInput
from agentmem.evaluation.router import (
    DEFAULT_ALPHA,
    DEFAULT_ROUTER_KS,
    DEFAULT_SEED,
    ROUTING_FORMATS,
)

_TOOLS: list[dict[str, object]] = [
    {"name": "get_weather", "description": "The forecast of a city"},
    {"name": "send_mail", "description": "Writes and sends a letter"},
    {"name": "play_music", "description": "Starts a [song] or an album"},
]


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    queries: list[dict[str, object]] = [
        {"query": "Will it rain in Turin?", "tools": ["get_weather"], "category": "[out]"},
        {"query": "Tell Ada that I am late", "tools": ["send_mail"]},
        {"query": "Something by Bach", "tools": ["play_music", "send_mail"]},
        {"query": "Who was Napoleon?", "tools": []},
        {"query": "Is it sunny?", "tools": ["get_weather"], "split": "train"},
    ]
    for name, rows in {"tools.jsonl": _TOOLS, "queries.jsonl": queries}.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def _run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, ["router", *map(str, arguments)])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def _in_one_line(printed: str) -> str:
    return re.sub(r"[\s│]+", " ", printed)


def test_every_format_can_be_chosen_and_defaults_are_those_of_the_evaluation() -> None:
    assert [one.value for one in _RouterDataset] == list(ROUTING_FORMATS)
    assert ",".join(map(str, DEFAULT_ROUTER_KS)) == _KS
    assert (_SEED, _ALPHA) == (DEFAULT_SEED, DEFAULT_ALPHA)


def test_the_report_shows_ranking_abstention_and_failures(own_data: Path) -> None:
    printed = _run("--dataset", "jsonl", own_data, "--k", "1,2").stdout
    for heading in ("agentmem", "agentmem +all", "dense", "lexical", "rrf"):
        assert heading in printed
    for label in ("[out] (1)", "overall (3)", "each tool alike (3)", "all@2", "ndcg@2", "mrr"):
        assert label in printed
    for label in ("tool removed (3/3)", "none fits (3/1)", "AUROC"):
        assert label in printed
    assert "Answered worst by agentmem +all:" in printed
    assert "Something by Bach" in printed
    assert "precision@" not in printed
    assert "What the history adds" not in printed


def test_conversations_are_asked_with_and_without_their_history(own_data: Path) -> None:
    before = [{"role": "user", "content": "Will it rain in Turin?"}]
    turn = {"query": "Tell Ada", "tools": ["send_mail"], "history": before, "conversation": 7}
    with (own_data / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(turn) + "\n")
    printed = _in_one_line(_run("--dataset", "jsonl", own_data, "--examples", "0").stdout)
    assert "What the history adds: told what went before, minus not told" in printed
    assert re.search(r"agentmem learning, with history .*overall \(4 conversations\)", printed)
    assert re.search(r"\+0\.000 \+0\.000 to \+0\.000", printed)
    assert "4 turns of 4 conversations were taught" in printed


def test_json_is_all_that_is_printed_and_the_file_holds_every_answer(
    own_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.json"
    printed = _run("--dataset", "jsonl", own_data, "--examples", "0", "--json", "--out", out).stdout
    figures, whole = json.loads(printed), json.loads(out.read_text(encoding="utf-8"))
    assert figures["ks"] == [1, 5, 10]
    assert list(figures["failures"]) == ["agentmem"]
    assert len(whole["systems"][0]["rows"]) == 3
    for system in whole["systems"]:
        del system["rows"]
    assert figures == whole


def test_options_reach_the_evaluation(own_data: Path) -> None:
    options = ("--examples", "1", "--label-noise", "1", "--seed", "3", "--limit", "2", "--json")
    figures = json.loads(_run("--dataset", "jsonl", own_data, *options).stdout)
    assert figures["teachings"]["agentmem +1"]["wrong"] == 1
    assert (figures["seed"], figures["label_noise"]) == (3, 1.0)
    assert sum(figures["questions"].values()) == 2


def test_a_curve_learns_in_steps(own_data: Path) -> None:
    figures = json.loads(_run("--dataset", "jsonl", own_data, "--curve", "--json").stdout)
    names = [system["name"] for system in figures["systems"][:5]]
    assert names == ["agentmem", "agentmem +5", "agentmem +20", "agentmem +60", "agentmem +all"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--k", "five"), "is not a list of numbers"),
        (("--examples", "few"), "is no list of numbers"),
        (("--examples", "5", "--curve"), "give either --examples or --curve"),
        (("--live",), "jsonl has no live part"),
        (("--out", "no/such/report.json"), "there is no folder"),
    ],
)
def test_wrong_usage_is_told(own_data: Path, options: tuple[str, ...], message: str) -> None:
    result = _run("--dataset", "jsonl", own_data, *options)
    assert result.exit_code == 2
    assert message in _in_one_line(result.output)


def test_live_reads_the_functions_that_users_contributed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"BFCL_v4_live_simple\.json.*Expected for 'bfcl-live'"):
        _run("--dataset", "bfcl", "--live", tmp_path)
