"""`ToolRouter.explain`: the tools chosen, the nearest ones that were not, and why, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from router_tools import TOOLS, define, open_router

from agentmem.errors import InvalidInput
from agentmem.router import ToolRouter
from agentmem.types import Explanation

RAIN = "Tell the weather of Turin"
MORE = [define("read_tides", "Reads the tides of a place."), define("sing", "Sings a song.")]


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path / "store") as opened:
        opened.register([*TOOLS, *MORE])
        yield opened


def names(explanation: Explanation) -> list[str]:
    return [match.name for match in explanation.losers]


def test_chosen_tools_and_losers_are_the_order_of_one_selection(router: ToolRouter) -> None:
    found = router.explain(RAIN, k=2)
    ranked = [match.name for match in router.select(RAIN, k=5).candidates]
    assert [*found.selection.names, *names(found)] == ranked
    assert len(found.selection) == 2


def test_the_selection_is_the_one_that_select_makes(router: ToolRouter) -> None:
    found, selected = router.explain(RAIN, k=2).selection, router.select(RAIN, k=2, explain=True)
    assert found.matches == selected.matches
    assert found.candidates == selected.candidates


def test_every_tool_brings_evidence_and_the_terms_of_its_score(router: ToolRouter) -> None:
    found = router.explain(RAIN, k=1)
    for match in (*found.selection.candidates, *found.losers):
        assert match.evidence is not None
        assert sum(match.terms.values()) == pytest.approx(match.score, abs=1e-4)


def test_the_margin_is_between_the_last_chosen_and_the_first_loser(router: ToolRouter) -> None:
    found = router.explain(RAIN, k=2)
    assert found.margin == pytest.approx(found.selection[-1].score - found.losers[0].score)
    assert f"next one: {found.margin:.2f}" in found.text


def test_at_most_three_losers_are_shown(router: ToolRouter) -> None:
    assert len(router.explain(RAIN, k=1).losers) == 3
    assert len(router.explain(RAIN, k=4).losers) == 1


def test_where_every_tool_is_chosen_there_is_no_loser_and_no_margin(router: ToolRouter) -> None:
    found = router.explain(RAIN, k=50)
    assert (found.losers, found.margin) == ((), None)
    assert len(found.selection) == 5
    assert "Not chosen" not in found.text


def test_the_words_name_tools_terms_and_what_no_tool_knows(router: ToolRouter) -> None:
    text = router.explain("Tell the weather of Qxyz", k=1).text
    first = text.splitlines()[1]
    assert first.startswith("1. get_weather")
    assert re.search(r"words \+\d", first)
    assert "nearest view" in text
    assert "In none of the 1 best: Qxyz" in text


def test_a_loser_says_on_which_terms_it_lost_and_the_amounts_are_right(router: ToolRouter) -> None:
    found = router.explain(RAIN, k=1)
    winner, loser = found.selection[0], found.losers[0]
    line = next(line for line in found.text.splitlines() if line.startswith("2. "))
    told = re.findall(r"(\d+\.\d\d) on (\w+)", line.split(" against ")[0])
    assert told
    for amount, name in told:
        behind = winner.terms.get(name, 0.0) - loser.terms.get(name, 0.0)
        assert float(amount) == pytest.approx(behind, abs=0.01)


def test_an_abstention_shows_what_came_nearest(router: ToolRouter) -> None:
    found = router.explain("zyx wvu tsr", k=2)
    assert found.selection.abstained
    assert len(found.losers) == 3
    assert found.margin is None
    assert found.text.startswith("No tool chosen: nothing fits")
    assert found.losers[0].name in found.text


def test_an_empty_catalogue_explains_itself(tmp_path: Path) -> None:
    with open_router(tmp_path) as empty:
        found = empty.explain(RAIN)
    assert (found.losers, found.margin) == ((), None)
    assert found.text.startswith("No tool chosen")


def test_usage_and_outcomes_are_part_of_the_evidence(router: ToolRouter) -> None:
    router.add_examples({"sing": ["Give me a tune", "Any tune will do"]})
    router.feedback("Give me a tune please", used="sing", succeeded=True)
    text = router.explain("One more tune", k=1).text
    assert "nearest example" in text
    assert "tune" in text.split("nearest example", 1)[1].splitlines()[0]
    assert "1 succeeded, 0 failed" in text


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"exclude": "get_weather"}, 4),
        ({"exclude": ["get_weather", "sing"]}, 3),
        ({"where": {"name": "sing"}}, 1),
        ({"namespace": "travel"}, 0),
    ],
)
def test_losers_are_among_the_tools_that_may_be_chosen(
    router: ToolRouter, options: dict[str, Any], seen: int
) -> None:
    found = router.explain(RAIN, k=1, **options)
    assert found.selection.catalogue == seen
    shown = [one.name for one in (*found.selection, *found.losers)]
    assert len(shown) <= seen
    assert not [name for name in shown if name in options.get("exclude", ())]


def test_a_tool_too_large_for_the_budget_is_a_loser_that_was_ahead(router: ToolRouter) -> None:
    tokens = router.select("Sings a song", k=1).tokens
    found = router.explain(RAIN, k=5, max_tokens=tokens)
    assert "get_weather" not in found.selection.names
    assert "get_weather" in names(found)


def test_as_many_as_it_takes_can_be_explained(router: ToolRouter) -> None:
    found = router.explain(RAIN, k="auto")
    assert found.selection.names[0] == "get_weather"
    assert not set(found.selection.names) & set(names(found))


@pytest.mark.parametrize("options", [{"k": 0}, {"query": " "}, {"max_tokens": 0}, {"where": 3}])
def test_what_cannot_be_used_is_refused(router: ToolRouter, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        router.explain(**{"query": RAIN, **options})
