"""Tests of the report: its means, its table, its failures and its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from agentmem.evaluation.metrics import measure
from agentmem.evaluation.report import Report, Row, SystemResult, summarise

KS = (1, 10)


def _row(question: str, retrieved: Sequence[str], *, category: str = "facts") -> Row:
    gold = {"a", "b"}
    metrics = measure(retrieved, gold, ks=KS)
    return Row("ada", question, category, tuple(sorted(gold)), tuple(retrieved), metrics)


def _result(name: str, rows: Sequence[Row]) -> SystemResult:
    categories = {
        category: summarise([row for row in rows if row.category == category])
        for category in sorted({row.category for row in rows})
    }
    return SystemResult(
        name=name,
        about="",
        config_id=None,
        overall=summarise(rows),
        categories=categories,
        milliseconds={"total": 1.23456789},
        rows=rows,
    )


def _report(*systems: SystemResult) -> Report:
    counts = dict.fromkeys(systems[0].categories, 1)
    return Report(
        dataset="jsonl",
        conversations=1,
        turns=4,
        questions=counts,
        notes={},
        ks=KS,
        systems=systems,
        passport={"id": "0", "model": "none"},
        seconds_adding=0.0,
        versions={},
    )


def test_means_lie_within_their_intervals() -> None:
    rows = [_row("q1", ["a", "b"]), _row("q2", ["x"]), _row("q3", ["x", "a"])]
    estimate = summarise(rows)["recall@10"]
    assert estimate.mean == pytest.approx(0.5)
    assert 0 <= estimate.low < estimate.mean < estimate.high <= 1


def test_the_table_puts_systems_side_by_side_by_category_then_overall() -> None:
    rows = [_row("q1", ["a", "b"]), _row("q2", ["x"], category="dates")]
    table = _report(_result("ours", rows), _result("theirs", rows[::-1])).table()
    sections = list(dict.fromkeys(line.category for line in table))
    assert sections == ["dates", "facts", None]
    assert all(list(line.values) == ["ours", "theirs"] for line in table)
    recall = {line.category: line.values["ours"].mean for line in table if line.metric == "all@10"}
    assert recall == {"dates": 0, "facts": 1, None: 0.5}


def test_one_category_is_not_printed_twice() -> None:
    table = _report(_result("ours", [_row("q", ["a"])])).table()
    assert {line.category for line in table} == {None}


def test_failures_are_the_worst_answers_first() -> None:
    late = _row("late", ["x", "y", "a"])
    half = _row("half", ["a"])
    found = _row("found", ["x", "a", "b"])
    nothing = _row("nothing", ["x"])
    report = _report(_result("ours", [found, late, half, nothing]), _result("other", [found]))
    assert report.failures(10) == [nothing, late, half]
    assert report.failures(1) == [nothing]
    assert report.failures(10, system="other") == []


def test_a_row_knows_at_which_rank_a_turn_was_found() -> None:
    row = _row("q", ["x", "b"])
    assert (row.rank("b"), row.rank("a")) == (2, None)


def test_a_report_is_json_with_or_without_single_questions() -> None:
    report = _report(_result("ours", [_row("q", ["x", "a"])]))
    whole = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert whole["systems"][0]["rows"][0]["retrieved"] == ["x", "a"]
    assert whole["systems"][0]["milliseconds"] == {"total": 1.234568}
    assert whole == report.to_dict()
    assert "rows" not in report.to_dict(rows=False)["systems"][0]
    assert report.systems[0].rows
