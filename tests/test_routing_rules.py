"""What lint says of one tool: every rule finds its fault, and a sound tool has none."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.routing.rules import ACCEPTED_NAME, RULES, findings
from agentmem.toolspec import read_tools
from agentmem.types import Tool


def tool(**changes: Any) -> Tool:
    """Return a sound tool with these fields changed."""
    sound = {
        "name": "get_weather",
        "description": "Tells the weather of a place on a day.",
        "parameters": {"properties": {"city": {"type": "string", "description": "Where."}}},
    }
    return Tool(**{**sound, **changes})


def rules(one: Tool) -> list[str]:
    return [issue.rule for issue in findings(one)]


def with_arguments(**arguments: Any) -> Tool:
    return tool(parameters={"type": "object", "properties": arguments})


def test_a_sound_tool_has_no_issues() -> None:
    assert findings(tool()) == []


@pytest.mark.parametrize("name", ["a b", "files/read", "größe", "x" * 65, "a.b", "a\n"])
def test_a_name_that_providers_refuse_is_found_with_another_one(name: str) -> None:
    (issue,) = findings(tool(name=name))
    assert (issue.rule, issue.tool) == ("name-not-accepted", name)
    offered = re.search(r"such as '(.+)'\.", issue.message)
    assert offered is not None
    assert ACCEPTED_NAME.fullmatch(offered[1])


def test_for_a_name_without_a_usable_letter_none_is_offered() -> None:
    (issue,) = findings(tool(name="天気"))
    assert "such as" not in issue.message


@given(st.text(min_size=1, max_size=80))
def test_whatever_the_name_the_offered_one_is_accepted(name: str) -> None:
    for issue in findings(tool(name=name)):
        offered = re.search(r"such as '(.+)'\.", issue.message)
        assert offered is None or ACCEPTED_NAME.fullmatch(offered[1])


@pytest.mark.parametrize("description", ["", "  \n"])
def test_a_missing_description_is_found_once(description: str) -> None:
    assert rules(tool(description=description)) == ["no-description"]


@pytest.mark.parametrize("description", ["Weather.", "Sends the mail", "sends sending mail mails"])
def test_a_description_of_a_word_or_two_is_thin(description: str) -> None:
    assert rules(tool(description=description)) == ["thin-description"]


@pytest.mark.parametrize("description", ["Books a flight to Rome", "東京の天気を調べる"])
def test_a_short_sentence_is_not_thin(description: str) -> None:
    assert rules(tool(description=description)) == []


def test_a_description_is_too_long_from_where_openai_refuses_it() -> None:
    sentence = "Tells the weather of a place. " * 40
    assert rules(tool(description=sentence[:1_024])) == []
    (issue,) = findings(tool(description=sentence[:1_025]))
    assert issue.rule == "long-description"
    assert "1,025" in issue.message


def test_arguments_without_a_description_are_named() -> None:
    one = with_arguments(
        city={"type": "string"}, day={"description": "When."}, unit={"description": " "}
    )
    (issue,) = findings(one)
    assert issue.rule == "undescribed-arguments"
    assert "'city', 'unit' have" in issue.message
    assert "day" not in issue.message


def test_of_many_arguments_some_are_named_and_the_rest_counted() -> None:
    (issue,) = findings(with_arguments(**{f"a{n}": {} for n in range(8)}))
    assert "'a4' and 3 more have" in issue.message


def test_a_single_argument_is_spoken_of_as_one() -> None:
    (issue,) = findings(with_arguments(city=True))
    assert "the argument 'city' has no description" in issue.message


@pytest.mark.parametrize(
    "argument",
    [
        {"$ref": "#/$defs/City"},
        {"anyOf": [{"$ref": "#/$defs/City"}, {"type": "null"}]},
        {"allOf": [{"type": "string"}, {"description": "Where."}]},
    ],
)
def test_a_description_may_stand_where_the_schema_refers_to(argument: dict[str, Any]) -> None:
    parameters = {
        "properties": {"city": argument},
        "$defs": {"City": {"type": "string", "description": "A city."}},
    }
    assert rules(tool(parameters=parameters)) == []


@pytest.mark.parametrize("argument", [{"$ref": "#/$defs/Gone"}, {"$ref": 3}, {"anyOf": "x"}, None])
def test_a_reference_to_nowhere_describes_nothing(argument: Any) -> None:
    assert rules(with_arguments(city=argument)) == ["undescribed-arguments"]


def test_python_functions_are_checked_as_any_other_tool() -> None:
    def tide(harbour: str, days: int = 3) -> str:  # noqa: D417 - which is what is to be found
        """Reads the tide tables of a harbour.

        Args:
            harbour: Where the boat lies.
        """
        return harbour * days

    (one,) = read_tools(tide)
    (issue,) = findings(one)
    assert "'days'" in issue.message


def test_every_rule_has_been_seen_to_fail() -> None:
    bad = tool(name="a b", description="x " * 600, parameters={"properties": {"a": {}}})
    found = {*rules(bad), *rules(tool(description="")), *rules(tool(description="x"))}
    assert found == set(RULES)
