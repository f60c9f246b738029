"""`ToolRouter.lint`: twins, faults and confusion are found, and a sound catalogue has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from router_tools import FLIGHT, MAIL, TOOLS, WEATHER, define, open_router

from agentmem.router import ToolRouter
from agentmem.types import LintIssue, LintReport

NOTHING = LintReport(tools=0, collisions=(), issues=(), confusions=(), expected_recall=None)
RAIN = ["rain over Turin today", "rain over Rome today", "rain over Oslo today"]
PLANES = ["plane seat for Ada", "plane seat for Bo", "plane seat for Cy"]
STRAY = "rain over Lima today"


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path / "store") as opened:
        yield opened


def rules(report: LintReport) -> list[tuple[str, str]]:
    return [(issue.tool, issue.rule) for issue in report.issues]


def issue(report: LintReport, rule: str) -> LintIssue:
    (found,) = (one for one in report.issues if one.rule == rule)
    return found


def test_an_empty_catalogue_has_nothing_to_repair(router: ToolRouter) -> None:
    assert router.lint() == NOTHING
    assert router.lint(namespace="travel") == NOTHING


def test_a_sound_catalogue_has_nothing_to_repair(router: ToolRouter) -> None:
    router.register(TOOLS)
    assert router.lint() == LintReport(
        tools=3, collisions=(), issues=(), confusions=(), expected_recall=None
    )


def test_twins_are_a_collision_and_others_are_none(router: ToolRouter) -> None:
    router.register([*TOOLS, {**WEATHER, "name": "weather"}])
    (collision,) = router.lint().collisions
    assert (collision.first, collision.second) == ("get_weather", "weather")
    assert collision.namespace == "default"
    assert 0.75 < collision.similarity <= 1


def test_the_same_description_is_a_collision_however_far_the_names_pull_it_apart(
    router: ToolRouter,
) -> None:
    router.register(
        [define("alpha_beta_gamma_delta", "Does it."), define("omega_psi", "does  it.")]
    )
    (collision,) = router.lint().collisions
    assert (collision.first, collision.second) == ("alpha_beta_gamma_delta", "omega_psi")
    assert collision.similarity < 0.75


def test_tools_of_two_namespaces_do_not_collide_yet_may_share_a_name(router: ToolRouter) -> None:
    router.register(WEATHER)
    router.register([WEATHER, MAIL], namespace="travel")
    report = router.lint()
    assert report.collisions == ()
    shared = issue(report, "name-shared")
    assert (shared.tool, shared.namespace) == ("get_weather", "default")
    assert "'travel'" in shared.message
    assert router.lint(namespace="travel").issues == ()


def test_many_twins_are_cut_to_the_most_alike(router: ToolRouter) -> None:
    router.register([define(f"tool{n}", "Reads the tide tables of a harbour.") for n in range(12)])
    assert len(router.lint().collisions) == 50


def test_faults_of_single_tools_are_found_in_their_namespace(router: ToolRouter) -> None:
    router.register([FLIGHT, define("vague", "", x="")], namespace="travel")
    router.register(define("send mail", "Sends a letter by mail."))
    found = [("vague", "no-description"), ("vague", "undescribed-arguments")]
    assert sorted(rules(router.lint())) == [("send mail", "name-not-accepted"), *found]
    report = router.lint(namespace="travel")
    assert (report.tools, rules(report)) == (2, found)
    assert {one.namespace for one in report.issues} == {"travel"}


def test_a_tool_whose_calls_keep_failing_is_found_and_one_that_failed_once_is_not(
    router: ToolRouter,
) -> None:
    router.register(TOOLS)
    router.feedback("Post this letter", used="send_mail", succeeded=False)
    for number in range(8):
        query = f"Weather of place {number}"
        router.feedback(query, used="get_weather", succeeded=number == 0)
    failing = issue(router.lint(), "keeps-failing")
    assert failing.tool == "get_weather"
    assert "7 of its last 8" in failing.message


def test_tools_without_examples_are_one_issue_and_none_where_no_tool_has_any(
    router: ToolRouter,
) -> None:
    router.register(TOOLS)
    router.add_examples({"get_weather": RAIN})
    unexampled = issue(router.lint(), "no-examples")
    assert unexampled.tool == "book_flight"
    assert "nor have 1 other," in unexampled.message
    router.add_examples({"book_flight": PLANES, "send_mail": ["Post this letter by mail"]})
    assert "no-examples" not in [rule for _, rule in rules(router.lint())]


def test_examples_that_find_their_own_tool_are_expected_to(router: ToolRouter) -> None:
    router.register(TOOLS)
    router.add_examples({"get_weather": RAIN, "book_flight": PLANES})
    report = router.lint()
    assert (report.expected_recall, report.confusions) == (1.0, ())


def test_examples_for_which_another_tool_comes_first_are_a_confusion(router: ToolRouter) -> None:
    router.register(TOOLS)
    router.add_examples({"get_weather": RAIN, "book_flight": PLANES, "send_mail": [STRAY]})
    report = router.lint()
    (confusion,) = report.confusions
    assert (confusion.tool, confusion.mistaken_for) == ("send_mail", "get_weather")
    assert (confusion.examples, confusion.share, confusion.query) == (1, 1.0, STRAY)
    assert report.expected_recall == pytest.approx(6 / 7)


def test_confusion_is_that_of_the_namespace(router: ToolRouter) -> None:
    router.register(TOOLS)
    router.register(define("sonnet", "Writes a poem of fourteen lines."), namespace="arts")
    router.add_examples({"get_weather": RAIN, "send_mail": [STRAY]})
    report = router.lint(namespace="arts")
    assert (report.expected_recall, report.confusions) == (None, ())


def test_linting_writes_nothing(router: ToolRouter, tmp_path: Path) -> None:
    router.register(TOOLS)
    with open_router(tmp_path / "store", read_only=True) as reader:
        assert reader.lint().tools == 3
