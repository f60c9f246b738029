"""Metrics, collected by the real SDK: what is measured, by what, of which stores; and the docs."""

from __future__ import annotations

import gc
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from router_tools import TOOLS, open_router
from telemetry_tools import forget_providers, installed_exporter, installed_reader, points

from agentmem import Memory
from agentmem.storage import gauges
from agentmem.telemetry import Tracing
from agentmem.telemetry.instruments import GAUGES, INSTRUMENTS, Instrument
from agentmem.telemetry.metrics import Metrics
from agentmem.testing import HashEmbedder
from agentmem.tokens import CallableCounter

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "metrics.md"
DASHBOARD = ROOT / "docs" / "grafana" / "agentmem.json"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_providers(monkeypatch)
    monkeypatch.setattr(gauges, "FRESH", 0.0)


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return installed_reader()


@pytest.fixture
def memory(tmp_path: Path, reader: InMemoryMetricReader) -> Iterator[Memory]:
    with open_memory(tmp_path / "ada.mem") as opened:
        yield opened


def open_memory(path: Path) -> Memory:
    return Memory.open(path, embedder=HashEmbedder(), token_counter=CallableCounter(len))


def use(memory: Memory) -> None:
    memory.add(["I moved to Lisbon.", "The cat is called Tom."], user_id="ada")
    memory.search("Where does Ada live?", user_id="ada")
    memory.search("Where does Ada live?", user_id="ada")
    memory.context("What is the cat called?", user_id="ada", max_tokens=200)


def by(found: list[Any], attribute: str) -> dict[Any, Any]:
    """Index points by one of their attributes."""
    return {point.attributes.get(attribute): point for point in found}


def test_threads_that_measure_first_at_once_make_the_instruments_once() -> None:
    class Slow(MeterProvider):
        asked = 0

        def get_meter(self, *args: Any, **kwargs: Any) -> metrics.Meter:
            self.asked += 1
            time.sleep(0.05)  # so that the others come meanwhile
            return super().get_meter(*args, **kwargs)

    provider = Slow(metric_readers=[InMemoryMetricReader()])
    begin = Barrier(4)

    def measure(_: int) -> None:
        begin.wait()
        Metrics(provider).abstained(calibrated=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(measure, range(4)))
    assert provider.asked == 1
    provider.shutdown()


def test_operations_are_timed_by_their_conventional_name(
    memory: Memory, reader: InMemoryMetricReader
) -> None:
    use(memory)
    timed = by(points(reader)["gen_ai.client.operation.duration"], "gen_ai.operation.name")
    assert {name: point.count for name, point in timed.items()} == {
        "create_memory": 1,
        "search_memory": 3,
        "agentmem.context": 1,
    }
    assert all(0 < point.sum < 60 for point in timed.values())


def test_an_error_is_measured_by_its_class(memory: Memory, reader: InMemoryMetricReader) -> None:
    with pytest.raises(ValueError, match="k=0"):
        memory.search("cat", user_id="ada", k=0)
    (point,) = points(reader)["gen_ai.client.operation.duration"]
    assert point.attributes["error.type"] == "InvalidInput"


def test_the_phases_of_each_operation_are_timed(
    memory: Memory, reader: InMemoryMetricReader
) -> None:
    use(memory)
    timed = {
        (point.attributes["agentmem.operation"], point.attributes["agentmem.phase"]): point.count
        for point in points(reader)["agentmem.phase.duration"]
    }
    assert timed["create_memory", "commit"] == 1
    assert timed["search_memory", "embeddings"] == 3
    assert timed["search_memory", "dense"] == 3
    assert timed["agentmem.context", "pack"] == 1


def test_what_a_search_finds_is_measured(memory: Memory, reader: InMemoryMetricReader) -> None:
    memory.add(["a red cat", "a blue dog"], user_id="ada")
    recall = memory.search("cat", user_id="ada")
    found = points(reader)
    assert by(found["agentmem.results"], "agentmem.operation")["search_memory"].sum == 2
    assert found["agentmem.top_score"][0].sum == pytest.approx(recall[0].score)
    margin = recall[0].score - recall[1].score
    assert found["agentmem.margin"][0].sum == pytest.approx(margin)


def test_the_cache_and_the_packing_are_counted(
    memory: Memory, reader: InMemoryMetricReader
) -> None:
    use(memory)
    found = points(reader)
    cache = by(found["agentmem.embeddings"], "agentmem.cache")
    assert (cache["miss"].value, cache["hit"].value) == (4, 1)
    packed = by(found["agentmem.tokens"], "agentmem.tokens.kind")["packed"]
    assert packed.count == 1
    assert packed.sum > 0


def test_selections_count_abstentions_and_the_tokens_that_they_save(
    tmp_path: Path, reader: InMemoryMetricReader
) -> None:
    with open_router(tmp_path / "tools.mem") as router:
        router.register(TOOLS)
        chosen = router.select("what is the weather of a place", k=1)
        abstained = router.select("zzz qqq xxx")
        assert abstained.abstained
        found = points(reader)
    (count,) = found["agentmem.abstentions"]
    assert count.value == 1
    assert count.attributes == {"agentmem.router.calibrated": False}
    saved = by(found["agentmem.tokens"], "agentmem.tokens.kind")["saved"]
    assert saved.sum == chosen.tokens_saved + abstained.tokens_saved > 0
    assert by(found["agentmem.results"], "agentmem.operation")["retrieval"].count == 2


def test_only_the_attributes_of_the_table_are_used(
    tmp_path: Path, memory: Memory, reader: InMemoryMetricReader
) -> None:
    use(memory)
    handed = memory.context("What is the cat called?", user_id="ada", max_tokens=200).text
    memory.add({"role": "tool", "content": handed}, user_id="ada")
    with open_router(tmp_path / "tools.mem") as router:
        router.register(TOOLS)
        router.select("zzz qqq xxx")
        memory.drift.check("model")
        found = points(reader)
    assert found.keys() == INSTRUMENTS.keys()
    for name, of_name in found.items():
        for point in of_name:
            assert set(point.attributes) <= set(INSTRUMENTS[name].attributes), name


def test_a_slow_bucket_leads_to_its_trace(tmp_path: Path, reader: InMemoryMetricReader) -> None:
    installed_exporter()
    with open_memory(tmp_path / "ada.mem") as memory:
        memory.add("I moved to Lisbon.", user_id="ada")
        recall = memory.search("Where does Ada live?", user_id="ada")
        found = points(reader)
    for name in ("gen_ai.client.operation.duration", "agentmem.phase.duration"):
        linked = {
            (f"{exemplar.trace_id:032x}", f"{exemplar.span_id:016x}")
            for point in found[name]
            for exemplar in point.exemplars
        }
        assert (recall.trace_id, recall.span_id) in linked
    (top,) = found["agentmem.top_score"]
    assert [f"{exemplar.trace_id:032x}" for exemplar in top.exemplars] == [recall.trace_id]


def stores(reader: InMemoryMetricReader) -> dict[str, dict[str, float]]:
    """The rows that are reported of each table of each store."""
    found: dict[str, dict[str, float]] = {}
    for point in points(reader).get("agentmem.store.rows", []):
        of_store = found.setdefault(point.attributes["gen_ai.memory.store.id"], {})
        of_store[point.attributes["agentmem.table"]] = point.value
    return found


def test_gauges_tell_the_size_of_an_open_store(
    tmp_path: Path, reader: InMemoryMetricReader
) -> None:
    path = tmp_path / "ada.mem"
    with (
        open_memory(path) as memory,
        open_router(path, embedder=HashEmbedder()) as router,
    ):
        memory.add(["one", "two"], user_id="ada")
        memory.add("three", user_id="ada")
        router.register(TOOLS)
        of_turns = stores(reader)[str(path)]
        assert of_turns["turns_g1"] == 3
        assert any(name.startswith("tools") for name in of_turns)
        found = points(reader)
        (size,) = found["agentmem.store.size"]  # though the folder is open twice
        assert size.attributes == {"gen_ai.memory.store.id": str(path)}
        assert size.value > 1_000
        fragments = by(found["agentmem.store.fragments"], "agentmem.table")
        assert fragments["turns_g1"].value == 2
        waiting = by(found["agentmem.store.unindexed_rows"], "agentmem.table")
        assert waiting["turns_g1"].value == 3


def test_a_store_that_is_closed_or_forgotten_reports_nothing(
    tmp_path: Path, reader: InMemoryMetricReader
) -> None:
    closed, forgotten = open_memory(tmp_path / "closed"), open_memory(tmp_path / "forgotten")
    mine = {str(tmp_path / "closed"), str(tmp_path / "forgotten")}
    assert mine <= stores(reader).keys()
    closed.close()
    assert mine & stores(reader).keys() == {str(tmp_path / "forgotten")}
    del forgotten
    gc.collect()
    assert not mine & stores(reader).keys()


def test_a_store_that_cannot_be_read_reports_nothing_and_the_others_do(
    tmp_path: Path, reader: InMemoryMetricReader
) -> None:
    with open_memory(tmp_path / "gone") as gone, open_memory(tmp_path / "there"):
        gone.add("one", user_id="ada")
        for file in (tmp_path / "gone").rglob("*.manifest"):
            file.unlink()
        told = stores(reader)
    assert str(tmp_path / "gone") not in told
    assert str(tmp_path / "there") in told


def test_figures_are_read_again_only_after_a_while(
    memory: Memory, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = memory._parts.store.name
    monkeypatch.setattr(gauges, "FRESH", 60.0)
    assert stores(reader)[name]["turns_g1"] == 0
    memory.add("one", user_id="ada")
    assert stores(reader)[name]["turns_g1"] == 0
    monkeypatch.setattr(gauges, "FRESH", 0.0)
    assert stores(reader)[name]["turns_g1"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_store_opened_before_a_fork_is_not_read_after_it(memory: Memory) -> None:
    store = memory._parts.store
    store._guard._pid = -1  # what a forked child sees; forking pytest itself is worse
    with pytest.raises(Exception, match="forked"):
        store.gauges.read()
    store._guard._pid = os.getpid()


def test_a_provider_that_comes_after_the_store_was_opened_is_used(tmp_path: Path) -> None:
    with open_memory(tmp_path / "ada.mem") as memory:
        memory.add("one", user_id="ada")
        reader = installed_reader()
        assert stores(reader)[str(tmp_path / "ada.mem")]["turns_g1"] == 1  # before any operation
        memory.search("one", user_id="ada")
        (point,) = points(reader)["gen_ai.client.operation.duration"]
        assert point.count == 1


def test_a_provider_can_be_handed_over() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    with Tracing("s", metrics=Metrics(provider)).operation("delete_memory"):
        pass
    assert points(reader)["gen_ai.client.operation.duration"][0].count == 1


def test_silence_measures_nothing(reader: InMemoryMetricReader, tmp_path: Path) -> None:
    with open_memory(tmp_path / "ada.mem") as memory:
        silent = Tracing.silent()
        silent.metrics.observe(memory._parts.store.gauges)
        with silent.operation("search_memory") as current, current.phase("dense"):
            current.metrics.found("search_memory", scores=(1.0,), results=1)
    assert not points(reader).keys() - set(GAUGES)


def test_opening_many_stores_makes_the_instruments_once(tmp_path: Path) -> None:
    waiting: Any = metrics.get_meter_provider()
    for place in range(5):
        open_memory(tmp_path / str(place)).close()
    assert len(waiting._meters) == 1


# ---- the documents ---------------------------------------------------------------------------


def in_prometheus(instrument: Instrument) -> set[str]:
    """Names of an instrument's series, as OpenTelemetry's compatibility specification has them."""
    unit = {"s": "_seconds", "By": "_bytes"}.get(instrument.unit, "")
    if instrument.kind == "gauge" and instrument.unit == "1":
        unit = "_ratio"
    name = instrument.name.replace(".", "_") + unit
    if instrument.kind == "counter":
        return {name + "_total"}
    if instrument.kind == "gauge":
        return {name}
    return {name + end for end in ("_bucket", "_sum", "_count")}


def table() -> str:
    rows = ["| metric | kind | unit | measures | attributes |", "|---|---|---|---|---|"]
    rows += [
        f"| `{one.name}` | {one.kind} | `{one.unit}` | {one.means} | "
        + ", ".join(f"`{name}`" for name in one.attributes)
        + " |"
        for one in INSTRUMENTS.values()
    ]
    return "\n".join(rows)


def test_the_documents_list_every_instrument(pytestconfig: pytest.Config) -> None:
    written = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- instruments:.*?-->\n).*?(?=<!-- /instruments -->)", re.DOTALL)
    expected = pattern.sub(lambda found: f"{found[1]}\n{table()}\n\n", written)
    if pytestconfig.getoption("update_examples"):
        PAGE.write_text(expected, encoding="utf-8")
    assert expected == PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def queries(dashboard: Mapping[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_the_dashboard_shows_every_metric_under_the_name_prometheus_gives_it(
    dashboard: dict[str, Any],
) -> None:
    known = {name: one.name for one in INSTRUMENTS.values() for name in in_prometheus(one)}
    used = {
        name
        for query in queries(dashboard)
        for name in re.findall(r"\b((?:agentmem|gen_ai)_\w+)(?=\{)", query)
    }
    assert used <= known.keys()
    assert {known[name] for name in used} == INSTRUMENTS.keys()


def test_the_dashboard_asks_for_attributes_that_there_are(dashboard: dict[str, Any]) -> None:
    there = {name.replace(".", "_") for one in INSTRUMENTS.values() for name in one.attributes}
    for query in queries(dashboard):
        for selected in re.findall(r"\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selected)) <= there | {"job"}, query
        for grouped in re.findall(r"by \(([^)]*)\)", query):
            assert set(grouped.replace(" ", "").split(",")) <= there | {"le"}, query


def test_the_dashboard_is_one_that_grafana_takes(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] == "agentmem"
    assert dashboard["schemaVersion"] >= 30
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert variables["source"]["type"] == "datasource"
    assert variables["source"]["query"] == "prometheus"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
        assert [target["refId"] for target in panel["targets"]] == list("ABCD")[
            : len(panel["targets"])
        ]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken), "panels lie on each other"
    for query in queries(dashboard):
        assert all(query.count(a) == query.count(b) for a, b in ("()", "{}", "[]")), query
        assert set(re.findall(r"\$(\w+)", query)) <= {*variables, "__rate_interval"}
