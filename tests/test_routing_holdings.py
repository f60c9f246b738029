"""What a router holds in memory: advanced as tables change, and the same in every process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from router_tools import TOOLS, WEATHER, define, open_router

from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.usage import Fitted
from agentmem.router import ToolRouter
from agentmem.routing import sight as module
from agentmem.routing.holdings import Holdings
from agentmem.routing.sight import Moment, Sight

DAY = timedelta(days=1) // timedelta(microseconds=1)
EXAMPLES = {
    "get_weather": ["Will it rain?", "Is it cold outside?"],
    "book_flight": ["Get me to Lisbon", "A seat by the window"],
}


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path) as opened:
        opened.register(TOOLS)
        yield opened


def sight_of(router: ToolRouter) -> Sight:
    return router._parts.holdings.current()


def scores(router: ToolRouter, query: str) -> dict[str, float]:
    found = router.select(query, k=20).candidates
    return {match.name: match.score for match in found}


def test_while_nothing_changes_the_sight_is_the_same_object(router: ToolRouter) -> None:
    first = sight_of(router)
    router.select("Will it rain?")
    assert sight_of(router) is first


def test_an_empty_store_has_an_empty_sight(tmp_path: Path) -> None:
    with open_router(tmp_path) as empty:
        sight = sight_of(empty)
        assert (sight.size, sight.keys, sight.usage) == (0, [], None)
        assert sight.catalogue_version == sight.examples_version == 0


def test_a_lesson_leaves_the_shelf_and_a_registration_makes_another(router: ToolRouter) -> None:
    first = sight_of(router)
    router.add_examples(EXAMPLES)
    taught = sight_of(router)
    assert taught.shelf is first.shelf
    assert taught.usage is not None
    assert taught.examples_version > first.examples_version
    router.register(define("sing", "Sings a song."))
    grown = sight_of(router)
    assert grown.shelf is not first.shelf
    assert (grown.size, grown.fingerprint == first.fingerprint) == (4, False)
    assert len(grown.observations) == 4


def test_tools_are_found_by_place_and_by_name(router: ToolRouter) -> None:
    router.register(WEATHER, namespace="travel")
    sight = sight_of(router)
    place = sight.index("get_weather", namespace="travel")
    assert place is not None
    tool = sight.tool(place)
    assert (tool.name, tool.namespace) == ("get_weather", "travel")
    assert (sight.names[place], sight.namespaces[place]) == ("get_weather", "travel")
    assert sight.index("get_weather", namespace="nowhere") is None
    assert sight.tokens[place] > 0


CHANGES: list[Any] = [
    lambda r: (r.remove("send_mail"), r.register(define("sing", "Sings."))),
    lambda r: (r.remove("get_weather"), r.register(WEATHER)),
    lambda r: r.sync([define("get_weather", "Predicts rain."), *TOOLS[1:]]),
    lambda r: r.sync(TOOLS[:2]),
    lambda r: r.revert(None),
    lambda r: r.add_examples({"send_mail": ["Post this"]}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changed_a_handle_comes_to_what_a_new_one_sees(
    router: ToolRouter, tmp_path: Path, change: Any
) -> None:
    """What was fitted of other tools at the same places must not be used."""
    router.add_examples(EXAMPLES)
    scores(router, "rain")
    change(router)
    with open_router(tmp_path) as fresh:
        for query in ("Will it rain in Lisbon?", "a seat", "Post a letter"):
            assert scores(router, query) == pytest.approx(scores(fresh, query), abs=1e-3)


def test_examples_of_a_tool_that_is_gone_count_again_when_it_is_back(router: ToolRouter) -> None:
    router.add_examples(EXAMPLES)
    router.remove("get_weather")
    assert len(sight_of(router).observations) == 2
    router.register(WEATHER)
    assert len(sight_of(router).observations) == 4


def test_without_some_queries_it_is_as_if_they_were_never_taught(
    router: ToolRouter, tmp_path: Path
) -> None:
    router.add_examples(EXAMPLES)
    holdings = router._parts.holdings
    seen = holdings.without(["Will it rain?", "Get me to Lisbon"], sight=sight_of(router))
    assert set(seen.observations.queries) == {"Is it cold outside?", "A seat by the window"}
    assert len(sight_of(router).observations) == 4
    with open_router(tmp_path / "other") as other:
        other.register(TOOLS)
        other.add_examples({name: queries[1:] for name, queries in EXAMPLES.items()})
        query = ["rain on the way to Lisbon"]
        (mine,) = router._parts.selector.rank(query, sight=seen)
        (theirs,) = other._parts.selector.rank(query, sight=sight_of(other))
    np.testing.assert_allclose(mine.scores, theirs.scores, atol=1e-3)


def test_examples_and_outcomes_fade_with_their_half_lives(router: ToolRouter) -> None:
    router.add_examples(EXAMPLES)
    router.feedback("Will it snow?", used="get_weather", succeeded=False)
    config = Routing(half_life_days=10, outcome_days=1)
    now = router._parts.holdings._now()
    times = [now]
    holdings = Holdings(router._parts.store, routing=config, now=lambda: times[-1])
    first = holdings.current()
    times.append(now + DAY // 2)
    assert holdings.current() is first  # a day's decay is not worth learning anew
    times.append(now + 10 * DAY)
    later = holdings.current()
    assert first.observations.weights == pytest.approx(np.ones(len(first.observations)), abs=1e-2)
    assert later.observations.weights == pytest.approx(first.observations.weights / 2, rel=1e-3)
    assert (first.failed[0], later.failed[0]) == pytest.approx((1, 2**-10), abs=1e-3)
    assert later.learnt.success[0] > first.learnt.success[0]


def test_a_zero_half_life_never_forgets(router: ToolRouter) -> None:
    router.add_examples(EXAMPLES)
    far = router._parts.holdings._now() + 1_000 * DAY
    config = Routing(half_life_days=0)
    sight = Holdings(router._parts.store, routing=config, now=lambda: far).current()
    assert sight.observations.weights.tolist() == [1] * 4


def test_a_large_fit_is_kept_in_the_store_for_other_processes(
    router: ToolRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORTH_KEEPING", 2)
    router.add_examples(EXAMPLES)
    mine = scores(router, "Will it rain?")
    monkeypatch.delattr("agentmem.ranking.tools.usage._fitted")
    with open_router(tmp_path, read_only=True) as reader:
        assert scores(reader, "Will it rain?") == pytest.approx(mine, abs=1e-3)


def test_a_fit_kept_by_another_version_is_made_anew(
    router: ToolRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its arrays may have other shapes, and its numbers another meaning."""
    monkeypatch.setattr(module, "WORTH_KEEPING", 2)
    router.add_examples(EXAMPLES)
    mine = scores(router, "Will it rain?")
    monkeypatch.setattr(module, "FIT_FORMAT", "another")
    monkeypatch.setattr(Fitted, "from_matrix", None)
    with open_router(tmp_path, read_only=True) as reader:
        assert scores(reader, "Will it rain?") == pytest.approx(mine, abs=1e-3)


def test_a_fit_is_the_same_to_the_last_digit_whenever_and_by_whichever_handle_it_is_made(
    router: ToolRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops early, so that a last digit of what goes into it shows in the third of a score."""
    monkeypatch.setattr("agentmem.ranking.tools.usage.BACKGROUND", 1)
    router.register([define(f"idle{n}", f"Does nothing {n} times.") for n in range(9)])
    router.add_examples(EXAMPLES)
    for number in range(3):  # apart in time, and together no more than 40 % of what is known
        router.add_examples({"get_weather": [f"wind {number}"], "book_flight": [f"gate {number}"]})
    holdings = router._parts.holdings
    before = sight_of(router)
    router.feedback("Sing to me", used="idle4")  # not enough for another fit
    after = sight_of(router)
    assert before.usage is not None
    assert after.usage is not None
    assert len(after.usage.fitted.ground) > len(before.usage.fitted.ground)
    for seconds in (1, 7, 86_400, 20_000_000):
        moment = Moment(
            catalogue_version=after.catalogue_version,
            examples_version=after.examples_version,
            fits_version=0,
            learnt_at=after.learnt_at + seconds * 10**6,
        )
        later = holdings.at(moment, routing=Routing()).usage
        assert later is not None
        assert later.fitted.to_matrix().tolist() == after.usage.fitted.to_matrix().tolist()


def test_the_nearest_view_is_the_one_that_says_what_is_asked(router: ToolRouter) -> None:
    sight = sight_of(router)
    (asked,) = router._parts.selector._embedder.embed(["Where to look"], kind="query")
    place = sight.index("get_weather", namespace="default")
    assert place is not None
    text, cosine = sight.shelf.nearest(place, asked)
    assert "Where to look" in text
    assert cosine > max(sight.columns.cosine(asked)[place], 0.3)
