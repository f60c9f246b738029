"""Tests of what a person sees of tools, and of the JSON of it, on values made by hand."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import datetime, timezone
from typing import Any

import pytest
from rich.console import Console, RenderableType
from test_cli import HOSTILE, STEERING

from agentmem.cli.tools.machine import (
    calibration_form,
    change_form,
    explanation_form,
    lesson_form,
    lint_form,
    selection_form,
    tool_form,
)
from agentmem.cli.tools.render import (
    CHANGES_SHOWN,
    change_block,
    selection_block,
    tool_block,
    tools_table,
)
from agentmem.cli.tools.reports import (
    FINDINGS_SHOWN,
    calibration_block,
    lesson_block,
    lessons_block,
    lint_block,
)
from agentmem.types import (
    Calibration,
    CatalogueChange,
    Collision,
    Confusion,
    Explanation,
    Lesson,
    LintIssue,
    LintReport,
    Selection,
    SelectionAsked,
    Tool,
    ToolEvidence,
    ToolMatch,
)

WEATHER = Tool("get_weather", "Weather of a city.", tags=("free",))
FLIGHT = Tool("book_flight", "Books a flight.", namespace="travel")
EVIDENCE = ToolEvidence(
    similarity=0.61,
    view="get weather: Weather of a city.",
    words={"rain": 0.2, "turin": 0.8},
    examples=(("Is it raining?", 0.9), ("Sun?", 0.5)),
    succeeded=4,
    failed=1,
)
FIRST = ToolMatch(WEATHER, 2.5, 0.91, {"meaning": 3.0, "words": -0.5})
SECOND = ToolMatch(FLIGHT, 0.5, 0.08, {"meaning": 0.5})
SELECTION = Selection(
    matches=(FIRST,),
    candidates=(FIRST, SECOND),
    query="Will it rain in Turin?",
    abstained=False,
    reason=None,
    confidence=0.93,
    threshold=0.2,
    calibrated=False,
    needs_tool={"base": -5.9, "similarity": 3.2, "words": 2.0, "rarity": 3.3},
    unmatched_terms=("turin",),
    tokens=61,
    tokens_saved=4_210,
    namespace=None,
    called=("get_time",),
    asked=SelectionAsked(
        k=2, routing={}, rule={}, learnt_at=datetime(2025, 5, 5, tzinfo=timezone.utc)
    ),
    catalogue=120,
    catalogue_version=3,
    examples_version=0,
    passport_id="p",
    config_id="c",
    milliseconds={"embeddings": 5.0, "choose": 0.4},
)
ABSTENTION = replace(
    SELECTION,
    matches=(),
    abstained=True,
    reason="nothing is near enough",
    confidence=0.1,
    needs_tool={"base": -5.9, "similarity": 0.7, "rarity": 3.0},
)
LESSON = Lesson(
    id="0190-1",
    kind="feedback",
    at=datetime(2025, 5, 5, 9, 30, tzinfo=timezone.utc),
    namespace="default",
    tools=("get_weather",),
    observations=1,
    applied=True,
    active=True,
    reason="held-out selections are no worse",
    before=0.81,
    after=0.8251,
    by="ada",
)
CALIBRATION = Calibration(
    alpha=0.05,
    threshold=0.412,
    queries=200,
    unanswerable=40,
    upper_bound=0.081,
    refused=0.75,
    auroc=0.88,
    valid=True,
    reason="fitted on 200 queries",
    realised=0.04,
    observed=50,
    at=datetime(2025, 5, 5, 9, 30, tzinfo=timezone.utc),
)
REPORT = LintReport(
    tools=3,
    collisions=(Collision("a", "b", 0.97, "default"),),
    issues=(LintIssue("a", "travel", "no-description", "Describe it."),),
    confusions=(Confusion("a", "b", 3, 0.25, "Which one?"),),
    expected_recall=0.875,
)


def shown(block: RenderableType) -> str:
    console = Console(width=80, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(block)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_selection_shows_rank_tool_score_probability_and_terms() -> None:
    text = shown(selection_block(SELECTION))
    rows = text.splitlines()
    assert rows[0].split() == ["tool", "score", "probability"]
    assert rows[1].split() == ["1", "get_weather", "2.50", "91%"]
    assert "Weather of a city." in rows[2]
    assert rows[3].split() == ["meaning", "+3.00", "words", "-0.50"]
    assert "book_flight" not in text


def test_a_selection_says_how_sure_it_is_and_what_it_saved() -> None:
    text = shown(selection_block(SELECTION))
    assert "confidence 0.93, threshold 0.20 (the default, not calibrated)" in text
    assert "61 tokens of schemas, 4,210 saved; 120 tools in sight" in text
    assert "5.0 ms encoding the question, 0.4 ms everything else." in text
    assert "(calibrated)" in shown(selection_block(replace(SELECTION, calibrated=True)))


def test_an_abstention_says_so_with_reason_unmatched_words_and_the_nearest() -> None:
    text = shown(selection_block(ABSTENTION))
    assert text.startswith("No tool fits: nothing is near enough\n")
    assert "Words that occur in no candidate: turin" in text
    assert "base -5.90  rarity +3.00  similarity +0.70" in text
    nearest = text.split("Nearest, and not chosen:")[1]
    assert "book_flight in travel" in nearest


def test_fewer_tools_than_asked_for_are_explained() -> None:
    fewer = replace(SELECTION, reason="the next tool exceeds 100 tokens")
    assert "the next tool exceeds 100 tokens" in shown(selection_block(fewer))
    none = replace(fewer, matches=())
    assert shown(selection_block(none)).startswith("No tool was chosen: the next tool exceeds")


def test_nothing_at_all_is_shown_without_a_table() -> None:
    empty = replace(ABSTENTION, candidates=(), needs_tool={}, unmatched_terms=(), catalogue=0)
    text = shown(selection_block(empty))
    assert "probability" not in text
    assert "0 tools in sight" in text


def test_evidence_draws_terms_and_shows_words_examples_and_outcomes() -> None:
    explained = replace(SELECTION, matches=(replace(FIRST, evidence=EVIDENCE),))
    text = shown(selection_block(explained))
    assert "meaning +3.00 ████" in text
    assert "cosine 0.61  words in common: turin 0.80, rain 0.20" in text
    assert "best view: get weather: Weather of a city." in text
    assert "used for 0.90: Is it raining?" in text
    assert "4 uses succeeded, 1 failed" in text


def test_a_change_lists_what_was_added_changed_and_removed() -> None:
    change = CatalogueChange(("a",), ("b",), ("c", "d"), ("e",), "default", embedded=3)
    assert shown(change_block(change)).splitlines() == [
        "+ a",
        "~ b",
        "- e",
        "1 added, 1 changed, 1 removed, 2 unchanged.",
    ]
    dry = shown(change_block(replace(change, dry_run=True, namespace="travel")))
    assert dry.endswith("2 unchanged in travel; nothing was written.")


def test_a_long_change_is_cut_and_counted() -> None:
    names = tuple(f"tool{number:04}" for number in range(CHANGES_SHOWN + 5))
    change = CatalogueChange(names, (), (), (), "default", embedded=25)
    lines = shown(change_block(change)).splitlines()
    assert len(lines) == CHANGES_SHOWN + 2
    assert lines[-2] == "+ … and 5 more"


def test_nothing_to_do_is_said() -> None:
    change = CatalogueChange((), (), (), (), "default", embedded=0)
    assert shown(change_block(change)) == "no tools."


def test_tools_are_listed_with_namespace_description_and_tags() -> None:
    rows = shown(tools_table([WEATHER, FLIGHT])).splitlines()
    assert rows[1].split() == ["get_weather", "Weather", "of", "a", "city.", "free"]
    assert rows[2].startswith("book_flight in travel")


def test_a_tool_is_shown_whole() -> None:
    long = "word " * 500
    tool = replace(WEATHER, description=long, parameters={"properties": {"city": {"é": 1}}})
    text = shown(tool_block(tool))
    assert in_one_line(text).count("word") == 500
    assert '"é": 1' in text
    assert "made from" in text


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "active"),
        ({"active": False}, "reverted"),
        ({"applied": False, "active": False}, "not applied"),
    ],
)
def test_a_lesson_says_what_became_of_it(change: dict[str, bool], state: str) -> None:
    heading, *body = shown(lesson_block(replace(LESSON, **change))).splitlines()  # type: ignore[arg-type]
    assert heading == f"0190-1  2025-05-05 09:30  feedback  {state}"
    assert [line.strip() for line in body] == [
        "1 observation, of get_weather, by ada",
        "held-out selections are no worse",
        "nDCG@5 on held-out queries 0.810 → 0.825",
    ]


def test_a_revert_names_the_lesson_it_went_back_to() -> None:
    revert = replace(LESSON, kind="revert", reverted_to="0190-0", before=None, observations=0)
    text = shown(lessons_block([LESSON, revert]))
    assert text.count("nDCG@5") == 1
    assert "0 observations, of get_weather, by ada, back to 0190-0" in text


def test_a_lesson_of_many_tools_names_some_and_counts_the_rest() -> None:
    names = tuple(f"t{number}" for number in range(12))
    assert "t4 and 7 more" in shown(lesson_block(replace(LESSON, tools=names)))


def test_a_calibration_states_threshold_bound_and_what_came_of_it() -> None:
    text = in_one_line(shown(calibration_block(CALIBRATION)))
    assert "threshold 0.412 of the confidence, fitted 2025-05-05 09:30 UTC" in text
    assert "5.0% nominal, at most 8.1% (with 95 % confidence)" in text
    assert "75.0% of the queries that no tool fits" in text
    assert "4.0% wrong refusals in 50 reported queries" in text


def test_a_default_threshold_shows_no_figures_it_does_not_have() -> None:
    default = replace(
        CALIBRATION,
        queries=0,
        valid=False,
        refused=None,
        auroc=None,
        realised=None,
        at=None,
        reason="no calibration",
    )
    text = in_one_line(shown(calibration_block(default)))
    assert "None" not in text
    assert "since then" not in text
    assert "in force no" in text


def test_a_lint_report_has_a_section_for_each_kind() -> None:
    text = shown(lint_block(REPORT))
    assert "Too much alike (1)\n  0.97  a  ~  b\n" in text
    assert "To repair (1)\n  a in travel  no-description: Describe it.\n" in text
    assert "a for b: 3 (25%) of its examples, such as “Which one?”" in text
    assert "87.5% of the usage examples find their own tool" in in_one_line(text)


def test_a_clean_catalogue_has_nothing_to_repair() -> None:
    clean = LintReport(tools=1, collisions=(), issues=(), confusions=(), expected_recall=None)
    text = in_one_line(shown(lint_block(clean)))
    assert text.startswith("Nothing to repair. 1 tool looked at; no usage examples")


def test_many_findings_are_cut_and_counted() -> None:
    many = replace(REPORT, issues=REPORT.issues * (FINDINGS_SHOWN + 3))
    text = shown(lint_block(many))
    assert text.count("no-description") == FINDINGS_SHOWN
    assert "… and 3 more" in text


def hostile_values() -> list[RenderableType]:
    evidence = replace(EVIDENCE, view=HOSTILE, words={HOSTILE: 1.0}, examples=((HOSTILE, 0.5),))
    tool = Tool(HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, namespace=HOSTILE, tags=(HOSTILE,))
    plain, explained = (ToolMatch(tool, 1.0, 0.5, {HOSTILE: 1.0}, one) for one in (None, evidence))
    abstained = replace(
        ABSTENTION,
        candidates=(plain,),
        reason=HOSTILE,
        needs_tool={HOSTILE: 1.0},
        unmatched_terms=(HOSTILE,),
    )
    names = (HOSTILE,)
    return [
        selection_block(replace(SELECTION, matches=(plain, explained), reason=HOSTILE)),
        selection_block(abstained),
        change_block(CatalogueChange(names, names, names, names, HOSTILE, embedded=0)),
        tools_table([tool]),
        tool_block(tool),
        lesson_block(
            replace(
                LESSON, id=HOSTILE, tools=names, reason=HOSTILE, by=HOSTILE, reverted_to=HOSTILE
            )
        ),
        calibration_block(replace(CALIBRATION, reason=HOSTILE)),
        lint_block(
            LintReport(
                tools=1,
                collisions=(Collision(HOSTILE, HOSTILE, 1.0, HOSTILE),),
                issues=(LintIssue(HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
                confusions=(Confusion(HOSTILE, HOSTILE, 1, 1.0, HOSTILE),),
                expected_recall=None,
            )
        ),
    ]


@pytest.mark.parametrize("place", range(8))
def test_what_a_catalogue_holds_cannot_steer_the_terminal(place: int) -> None:
    text = shown(hostile_values()[place])
    assert not STEERING.search(text)
    assert "owned" in text.replace("\n", "").replace(" ", "")


def names_of(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def test_json_forms_hold_every_field() -> None:
    explained = replace(SELECTION, matches=(replace(FIRST, evidence=EVIDENCE),))
    change = CatalogueChange(("a",), (), (), (), "default", embedded=2)
    explanation = Explanation(explained, (SECOND,), 2.0, "because")
    forms = {
        Selection: selection_form(explained),
        Tool: tool_form(WEATHER),
        CatalogueChange: change_form(change),
        Lesson: lesson_form(LESSON),
        Calibration: calibration_form(CALIBRATION),
        LintReport: lint_form(REPORT),
        Explanation: explanation_form(explanation),
    }
    for kind, form in forms.items():
        assert set(json.loads(json.dumps(form))) == names_of(kind)
    assert forms[Selection]["called"] == ["get_time"]
    match = forms[Selection]["matches"][0]
    assert set(match["evidence"]) == names_of(ToolEvidence)
    assert sum(match["terms"].values()) == match["score"]
    assert "evidence" not in forms[Selection]["candidates"][0]
    assert [one["rank"] for one in forms[Explanation]["losers"]] == [2]
    assert forms[Lesson]["at"] == "2025-05-05T09:30:00+00:00"
