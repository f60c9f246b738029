"""`ToolRouter.select`: the few tools a query needs, whatever the catalogue and the query are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from memory_tools import open_hashed, say
from router_tools import FLIGHT, MAIL, TOOLS, WEATHER, define, open_router
from storage_tools import run_python

from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.errors import InvalidInput, NotFound
from agentmem.filters import field
from agentmem.ranking.tools import Routing
from agentmem.router import ToolRouter
from agentmem.types import Selection

MANY = 60
DAY = 86_400_000_000  # microseconds
WILLING = Routing(threshold=0)  # hands out what it ranks, however unsure


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path / "store") as opened:
        opened.register(TOOLS)
        yield opened


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[ToolRouter]:
    """Give a catalogue in which many tools share the query's words."""
    tools = [define(f"find_thing_{n}", f"Finds things of kind {n} anywhere.") for n in range(MANY)]
    with open_router(tmp_path / "crowd", routing=WILLING) as opened:
        opened.register([*TOOLS, *tools], tags={"get_weather": ["free"], "find_thing_7": ["free"]})
        yield opened


def names(selection: Selection) -> list[str]:
    return [match.name for match in selection.candidates]


# Exactly named tools.


@pytest.mark.parametrize("k", [1, 3, "auto"])
def test_an_identifier_as_it_is_written_ranks_first(crowd: ToolRouter, k: Any) -> None:
    query = "find things of kind 3 anywhere: find_thing_3 find_thing_4, but with send_mail"
    assert set(crowd.select(query, k=3).names) == {"find_thing_3", "find_thing_4", "send_mail"}
    query = "find things of kind 3, of kind 4 anywhere with book_flight"
    assert crowd.select(query, k=k).names[0] == "book_flight"


@pytest.mark.parametrize("spelt", ["Send Mail", "send mail", "sendMail", "SEND-MAIL"])
@pytest.mark.parametrize("k", [1, 2, 5, "auto"])
def test_a_name_however_spelt_is_never_ranked_out(crowd: ToolRouter, spelt: str, k: Any) -> None:
    query = f"find things of kind 3 of kind 4 of kind 5 anywhere, {spelt}"
    assert "send_mail" in crowd.select(query, k=k).names


def test_more_names_than_k_leave_no_room_for_others(crowd: ToolRouter) -> None:
    spelt = " and ".join(f"find thing {n}" for n in range(30, 36))
    selected = crowd.select(f"things of kind 3, {spelt}", k=4).names
    assert len(selected) == 4
    assert set(selected) <= {f"find_thing_{n}" for n in range(30, 36)}


def test_names_hold_under_masks_and_do_not_break_them(crowd: ToolRouter) -> None:
    query = "find things of kind 3 anywhere, get weather, send_mail"
    found = crowd.select(query, k=1, where={"tags": {"contains": "free"}})
    assert found.names == ["get_weather"]
    found = crowd.select(query, k=2, exclude=["send_mail", "find_thing_3"])
    assert "get_weather" in found.names
    assert not {"send_mail", "find_thing_3"} & set(names(found))


def test_a_named_tool_is_not_refused_for_lack_of_confidence(router: ToolRouter) -> None:
    vague = "qwerty uiop zxcv bnm"
    assert router.select(vague).abstained
    found = router.select(f"{vague} send mail")
    assert not found.abstained
    assert "send_mail" in found.names


# Edited, doubled and odd definitions.


def test_an_edited_description_is_used_by_the_next_selection_of_every_handle(
    router: ToolRouter, tmp_path: Path
) -> None:
    with open_router(tmp_path / "store") as other:
        query = "Plays a melancholic melody"
        assert other.select(query, k=1).candidates[0].score is not None
        router.sync([WEATHER, FLIGHT, define("send_mail", "Plays a melancholic melody.")])
        for handle in (router, other):
            found = handle.select(query, k=1)
            assert found.names == ["send_mail"]
            assert found[0].tool.description == "Plays a melancholic melody."
        gone = other.select("Sends a letter by mail", k=3, explain=True)
        views = [one.evidence.view for one in gone.candidates if one.evidence]
        assert not [view for view in views if "letter" in view]


REGISTER = """
import sys
from router_tools import define, open_router
with open_router(sys.argv[1]) as router:
    router.register(define("play_melody", "Plays a melancholic melody."))
"""


def test_what_another_process_registers_is_selected_at_once(
    router: ToolRouter, tmp_path: Path
) -> None:
    query = "Plays a melancholic melody"
    assert "play_melody" not in names(router.select(query))
    run_python(REGISTER, tmp_path / "store")
    assert router.select(query, k=1).names == ["play_melody"]


def test_a_removed_tool_is_selected_no_more(router: ToolRouter) -> None:
    query = "Tell the weather of a place"
    assert router.select(query, k=1).names == ["get_weather"]
    router.remove("get_weather")
    assert "get_weather" not in names(router.select(query, k=5))


def test_of_namesakes_the_model_sees_one_and_the_reason_says_so(router: ToolRouter) -> None:
    router.register(define("get_weather", "Weather at sea, for sailors."), namespace="sea")
    found = router.select("Tells the weather of a place.", k=4)
    assert found.names.count("get_weather") == 1
    assert next(m for m in found if m.name == "get_weather").tool.namespace == "default"
    assert found.reason is not None
    assert "sea/get_weather" in found.reason
    at_sea = router.select("Tells the weather of a place.", namespace="sea")
    assert [match.tool.namespace for match in at_sea.candidates] == ["sea"]
    assert "namesakes" not in (at_sea.reason or "")


RECURSIVE = {
    "name": "grow_tree",
    "description": "Grows a tree.",
    "parameters": {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/node"}},
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"child": {"$ref": "#/$defs/node"}, "bark": {"type": "string"}},
            }
        },
    },
}
ODD = [
    (RECURSIVE, "grow a tree with bark"),
    (
        define("long_one", "Counts beans. " * 720 + "Finally it plays the zither."),
        "play the zither",
    ),
    (define("wetter", "Sagt das Wetter für Städte voraus."), "Wie wird das Wetter in Städten?"),
    (define("tenki", "\u5929\u6c17\u3092\u8abf\u3079\u308b"), "\u5929\u6c17\u306f\uff1f"),
    (define("party", "\U0001f389 \U0001f382"), "\U0001f389 \U0001f382"),
    (define("nameless"), "nameless"),
]


@pytest.mark.parametrize(("tool", "query"), ODD)
def test_odd_tools_are_selected_like_others(
    router: ToolRouter, tool: dict[str, Any], query: str
) -> None:
    router.register(tool)
    found = router.select(query, k=1)
    assert names(found) == [tool["name"]]
    assert found.candidates[0].tool.schema("original") == tool


def test_a_malformed_schema_is_refused_and_the_others_are_still_selected(
    router: ToolRouter,
) -> None:
    with pytest.raises(InvalidInput, match="broken"):
        router.register({"name": "broken", "description": "x", "parameters": ["no", "object"]})
    assert len(router.select("Tell the weather of a place", k=9).candidates) == 3


def test_an_empty_catalogue_abstains_with_a_reason(tmp_path: Path) -> None:
    with open_router(tmp_path) as empty:
        found = empty.select("Book a flight, and tell me the weather", k="auto", explain=True)
    assert (found.abstained, len(found), found.candidates) == (True, 0, ())
    assert (found.confidence, found.tokens, found.tokens_saved, found.catalogue) == (0, 0, 0, 0)
    assert found.reason is not None
    assert "empty" in found.reason


def test_filters_that_leave_nothing_abstain_with_a_reason(router: ToolRouter) -> None:
    found = router.select("weather", namespace="nowhere")
    assert (found.abstained, found.catalogue) == (True, 0)
    assert found.reason is not None
    assert "namespace" in found.reason


def test_nonsense_is_refused_with_its_words_and_its_nearest_tools(router: ToolRouter) -> None:
    found = router.select("zyx wvu tsr", k=2)
    assert (found.abstained, len(found), len(found.candidates)) == (True, 0, 2)
    assert found.unmatched_terms == ("zyx", "wvu", "tsr")
    assert found.confidence < found.threshold
    assert found.reason is not None
    assert "zyx" in found.reason
    assert (found.tokens, found.calibrated) == (0, False)


# How many.


def test_a_k_beyond_the_catalogue_gives_all_of_it_once(router: ToolRouter) -> None:
    found = router.select("Tells the weather of a place", k=50)
    assert sorted(found.names) == sorted(tool["name"] for tool in TOOLS)


def test_auto_takes_fewer_where_one_tool_stands_out(crowd: ToolRouter) -> None:
    sure = crowd.select("Tells the weather of a place.", k="auto")
    vague = crowd.select("Finds things anywhere", k="auto")
    assert sure.names[0] == "get_weather"
    assert 1 <= len(sure) < len(vague) <= 20
    assert sure.names == sure.names[: len(sure)] == names(sure)


@pytest.mark.parametrize("most", [1, 150, 300, 500, 10_000])
def test_schemas_never_exceed_the_budget(crowd: ToolRouter, most: int) -> None:
    found = crowd.select("Finds things anywhere, and sends a letter by mail", max_tokens=most)
    texts = [
        json.dumps(schema, ensure_ascii=False, separators=(",", ":")) for schema in found.schemas()
    ]
    assert found.tokens == sum(map(len, texts)) <= most
    assert len(found.candidates) == 5
    assert (len(found) < 5) == ("max_tokens" in (found.reason or ""))


def test_tokens_saved_are_those_of_the_tools_not_sent(router: ToolRouter) -> None:
    every = router.select("Tells the weather of a place", k=3)
    one = router.select("Tells the weather of a place", k=1)
    assert every.tokens_saved == 0
    assert one.tokens_saved == every.tokens - one.tokens > 0
    masked = router.select("Tells the weather of a place", k=1, exclude="send_mail")
    assert masked.tokens_saved < one.tokens_saved


# Which.


def test_namespace_where_and_exclude_narrow_the_catalogue(crowd: ToolRouter) -> None:
    crowd.register(MAIL, namespace="office")
    query = "Finds things, tells the weather, sends a letter"
    assert set(names(crowd.select(query, namespace="office", k=9))) == {"send_mail"}
    free = crowd.select(query, where=field("tags").contains("free"), k=9)
    assert set(names(free)) == {"get_weather", "find_thing_7"}
    assert free.catalogue == 2
    less = crowd.select(query, where={"tags": {"contains": "free"}}, exclude="get_weather", k=9)
    assert names(less) == ["find_thing_7"]


BAD: list[dict[str, Any]] = [
    *({"k": k} for k in (0, -1, 1.5, True, "all", None)),
    *({"max_tokens": most} for most in (0, -1, 1.5, True, "many")),
    *({"query": query} for query in ("", " ", None, 3)),
    *({"exclude": given} for given in (3, [3])),
    *({"history": given} for given in (3, [3])),
    *({"namespace": given} for given in ("", 3, "*")),
    {"memory": 4.5},
    {"where": "tags = 'free'"},
    {"where": {"colour": "red"}},
]


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_used_is_refused_by_name(router: ToolRouter, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        router.select(**{"query": "rain", **bad})


@pytest.mark.parametrize("queries", [None, 3, "rain"])
def test_a_batch_that_is_no_list_is_refused(router: ToolRouter, queries: Any) -> None:
    with pytest.raises(InvalidInput, match="takes a list of queries"):
        router.select_batch(queries)


# The conversation.


def test_a_query_that_means_nothing_alone_is_understood_from_what_was_said(
    router: ToolRouter,
) -> None:
    alone = router.select("And tomorrow?", k=1)
    history = [{"role": "user", "content": "Tell me the weather of a place, of Turin"}]
    with_it = router.select("And tomorrow?", k=1, history=history)
    assert names(with_it) == ["get_weather"]
    assert with_it.confidence > alone.confidence
    assert "context" in with_it.candidates[0].terms


def test_recalled_turns_are_evidence_too(router: ToolRouter, tmp_path: Path) -> None:
    with open_hashed(tmp_path / "store") as memory:
        memory.add(say("I want a seat on a plane to Lisbon"), user_id="ada")
        recall = memory.search("Lisbon", user_id="ada")
        found = router.select("Now do it", k=1, memory=recall)
    assert names(found) == ["book_flight"]


def test_calls_are_told_and_lift_what_usually_follows(router: ToolRouter) -> None:
    call = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"type": "function", "function": {"name": "book_flight"}}],
    }
    query = "Go on with the next step"
    before = router.select(query, k=3, history=[call])
    assert before.called == ("book_flight",)
    for n in range(6):
        chosen = router.select(f"Step number {n}", history=[call])
        router.feedback(chosen, used="send_mail", guard=False)
    for n in range(6):
        router.feedback(f"It is {n} degrees", used="get_weather", guard=False)
    after = router.select(query, k=3, history=[call])
    term = {match.name: match.terms.get("followed", 0.0) for match in after.candidates}
    assert term["send_mail"] > term["get_weather"] >= 0


def test_calls_of_tools_that_are_not_there_change_nothing(router: ToolRouter) -> None:
    with_it = router.select("weather", history=[{"name": "unknown_tool", "arguments": {}}])
    assert with_it.called == ("unknown_tool",)
    without = router.select("weather")
    assert [m.score for m in with_it.candidates] == [m.score for m in without.candidates]


# What comes out.


@pytest.mark.parametrize("form", ["openai", "openai-responses", "anthropic", "mcp", "original"])
def test_schemas_are_given_in_every_format(router: ToolRouter, form: Any) -> None:
    found = router.select("Tells the weather of a place", k=1)
    (schema,) = found.schemas(form)
    inner = schema.get("function", schema)
    assert (inner["name"], inner["description"]) == ("get_weather", WEATHER["description"])
    given = [inner[key] for key in ("parameters", "input_schema", "inputSchema") if key in inner]
    assert given == [WEATHER["parameters"]]
    inner["name"] = "changed"
    assert found.schemas(form)[0].get("function", found.schemas(form)[0])["name"] == "get_weather"


def test_a_format_that_there_is_none_of_is_refused(router: ToolRouter) -> None:
    found = router.select("Tells the weather of a place", k=1)
    with pytest.raises(InvalidInput, match=r"'gemini'.*'openai', .*'original'"):
        found.schemas("gemini")  # type: ignore[arg-type]


QUERIES = ["Tells the weather", "Books a seat, and sends a letter", "zyx wvu", "send_mail"]


def test_a_batch_is_the_selections_one_by_one(crowd: ToolRouter) -> None:
    options: dict[str, Any] = {"k": 4, "exclude": "find_thing_3", "history": ["Now for things"]}
    batch = crowd.select_batch(QUERIES, **options)
    for query, found in zip(QUERIES, batch, strict=True):
        single = crowd.select(query, **options)
        assert (found.query, found.names, found.reason) == (query, single.names, single.reason)
        assert found.confidence == pytest.approx(single.confidence, abs=1e-5)
        scores = [match.score for match in found.candidates]
        assert scores == pytest.approx([match.score for match in single.candidates], abs=1e-4)
    assert crowd.select_batch([]) == []
    with pytest.raises(InvalidInput, match="list"):
        crowd.select_batch("one query")


@pytest.mark.parametrize("query", QUERIES)
def test_terms_add_up_and_probabilities_fall(crowd: ToolRouter, query: str) -> None:
    crowd.add_examples({"find_thing_1": ["Tells the way"], "send_mail": ["Books a stamp"]})
    crowd.feedback("Books a letter", used="find_thing_2", succeeded=False)
    found = crowd.select(query, k=6, history=["Before that", {"name": "book_flight"}])
    for match in found.candidates:
        assert sum(match.terms.values()) == pytest.approx(match.score, abs=1e-4)
    chances = [match.probability for match in found.candidates]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == pytest.approx(found.confidence, abs=1e-5)
    odds = math.log(found.confidence / (1 - found.confidence))
    assert sum(found.needs_tool.values()) == pytest.approx(odds, abs=1e-3)


def test_evidence_comes_when_asked_for(router: ToolRouter) -> None:
    router.add_examples({"get_weather": ["Will it rain in Turin?", "Is it cold?"]})
    router.feedback("Rain again?", used="get_weather", succeeded=True)
    assert router.select("Will it rain?", k=1).candidates[0].evidence is None
    found = router.select("Tell me, will it rain at this place?", k=1, explain=True)
    evidence = found.candidates[0].evidence
    assert evidence is not None
    assert evidence.view == "get weather: Tells the weather of a place."
    assert {"Tell", "rain", "place"} <= set(evidence.words)
    assert all(share > 0 for share in evidence.words.values())
    assert evidence.examples[0][0] in ("Will it rain in Turin?", "Rain again?")
    assert [c for _, c in evidence.examples] == sorted((c for _, c in evidence.examples))[::-1]
    assert (evidence.succeeded, evidence.failed) == (1, 0)


def test_words_that_no_candidate_knows_are_told_as_they_were_written(router: ToolRouter) -> None:
    found = router.select("Tells the Weather of Timbuktu", k=3)
    assert found.unmatched_terms == ("Timbuktu",)
    router.add_examples({"get_weather": ["Timbuktu please"]})
    assert router.select("Tells the Weather of Timbuktu", k=3).unmatched_terms == ()


def test_a_selection_says_what_it_was_made_of(router: ToolRouter) -> None:
    first = router.select("weather", namespace="default")
    assert (first.namespace, first.catalogue) == ("default", 3)
    assert set(first.milliseconds) == {"load", "embeddings", "choose"}
    router.add_examples({"get_weather": ["Will it rain?"]})
    then = router.select("weather")
    assert then.examples_version > first.examples_version
    assert then.catalogue_version == first.catalogue_version
    assert (then.passport_id, then.config_id) == (first.passport_id, first.config_id)


# Learning.


def test_feedback_improves_the_next_selection_at_once(crowd: ToolRouter) -> None:
    query = "Where did I leave my umbrella"
    last = names(crowd.select(query, k=MANY))[-1]
    crowd.feedback(query, used=last)
    found = crowd.select("Where did I leave the umbrella of mine", k=5)
    assert last in found.names
    assert next(match for match in found if match.name == last).terms["usage"] > 0


def test_a_tool_that_was_passed_over_loses_to_the_one_used(crowd: ToolRouter) -> None:
    examples = {f"find_thing_{n}": ["Look for my keys"] for n in (1, 2)}
    crowd.add_examples(examples)
    query = "Look for my keys"
    among = {"name": {"in": list(examples)}}
    first, second = crowd.select(query, where=among).names
    crowd.feedback(crowd.select(query, where=among), used=second, guard=False)
    found = crowd.select(query, where=among)
    assert found.names == [second, first]
    assert found[0].score > found[1].score


def test_a_failing_tool_sinks_and_recovers_with_time(router: ToolRouter) -> None:
    router.register(define("ask_sky", "Tells the weather of any place."))
    query = "Tells the weather of a place"
    assert router.select(query, k=1).names == ["get_weather"]
    for n in range(8):
        router.feedback(f"How is it in town {n}", used="get_weather", succeeded=False, guard=False)
    sunk = router.select(query, k=4)
    assert sunk.names[0] == "ask_sky"
    term = {match.name: match.terms.get("success", 0.0) for match in sunk}
    assert term["get_weather"] < -0.5
    holdings = router._parts.holdings
    present = holdings._now()
    holdings._now = lambda: present + 70 * DAY
    assert router.select(query, k=1).names == ["get_weather"]


def test_a_failing_tool_recovers_with_calls_that_succeed(router: ToolRouter) -> None:
    def success() -> float:
        found = router.select("Tells the weather of a place", k=3).candidates
        return next(one.terms.get("success", 0.0) for one in found if one.name == "get_weather")

    seen = [success()]
    for succeeded in (False, False, False, True, True, True):
        router.feedback("How is it", used="get_weather", succeeded=succeeded, guard=False)
        seen.append(success())
    assert seen[0] == 0
    assert seen[:4] == sorted(seen[:4], reverse=True)
    assert seen[3:] == sorted(seen[3:])
    assert seen[3] < seen[6] < 0


def test_tools_used_together_are_found_together(crowd: ToolRouter) -> None:
    query = "Tells the weather of a place"
    before = names(crowd.select(query, k=MANY)).index("find_thing_33")
    for n in range(8):
        crowd.feedback(f"Trip {n}", used=["get_weather", "find_thing_33"], guard=False)
    after = crowd.select(query, k=5)
    assert before > 5
    assert after.names[0] == "get_weather"
    assert "find_thing_33" in after.names


# Handles.


def test_a_read_only_router_selects(router: ToolRouter, tmp_path: Path) -> None:
    router.add_examples({"get_weather": ["Will it rain?"]})
    expected = router.select("Will it rain today?", k=2)
    with open_router(tmp_path / "store", read_only=True) as reader:
        found = reader.select("Will it rain today?", k=2)
    assert found.names == expected.names


def test_threads_select_while_another_registers(router: ToolRouter) -> None:
    def ask(n: int) -> Selection:
        return router.select(f"Tells the weather of place {n}", k=2)

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, n) for n in range(60)]
        for n in range(6):
            router.register(define(f"tool{n}", f"Does the thing number {n}."))
        found = [one.result() for one in asked]
    assert all(one.names[0] == "get_weather" for one in found)
    assert {one.catalogue for one in found} <= set(range(3, 10))
    assert router.select("Does the thing number 5", k=1).names == ["tool5"]


def test_a_namesake_of_a_forgotten_tool_is_not_found(router: ToolRouter) -> None:
    router.remove("send_mail")
    with pytest.raises(NotFound):
        router.feedback("Post this", used="send_mail")


def test_meaning_selects_where_no_word_is_shared(
    tmp_path: Path, minilm: SentenceTransformerEmbedder
) -> None:
    with open_router(tmp_path, embedder=minilm) as router:
        router.register(TOOLS)
        assert router.select("Do I need an umbrella in Turin tomorrow?", k=1).names == [
            "get_weather"
        ]
        both = router.select("Reserve a trip to Lisbon by air, and post a card to Ada.", k=2)
        assert set(both.names) == {"book_flight", "send_mail"}
        refused = router.select("What is the square root of seven?", k=2)
        assert refused.confidence < both.confidence
