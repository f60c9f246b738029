"""The report on traces: what it says, that hostile texts stay texts, that it needs nothing else."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import machine, printed
from traces_tools import NOON, Work, row, work, write_rows

from agentmem import InvalidInput, MissingDependency, NotFound
from agentmem.errors import StoreError
from agentmem.pages.drawing import SLOTS
from agentmem.traces import SpanRow, SpanTree, open_traces, tree_of
from agentmem.traces.report import page_of, write_report
from agentmem.traces.report.legend import phase_slot, term_slot
from agentmem.traces.report.plots import MAX_COLUMNS, Layer, columns_plot, histogram_plot
from agentmem.traces.report.summary import Retrieval, Summary
from agentmem.traces.report.telling import MAX_STEPS, summary_of
from agentmem.traces.spans import moment_of

SCRIPT = "</style></script><script>alert(1)</script><img src=x onerror=alert(2)>"
OPENING_TAGS = {"br", "link", "meta", "path", "rect", "use"}  # without an end, or with their own

Terms = dict[str, float]


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag == "style"

    def handle_data(self, data: str) -> None:
        self.text += "" if self._silent else data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Give recorded work that tests only read."""
    return work(tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="module")
def page(worked: Work) -> Page:
    path = worked.folder.parent / "report.html"
    write_report(open_traces(worked.folder), path)
    return Page(path.read_text(encoding="utf-8"))


def search(number: int, *, terms: list[Terms] | None = None, **told: Any) -> dict[str, Any]:
    """Return the row of a search with results, `number` minutes after noon."""
    results = [{"dense": 2.0, "length": -0.5}] if terms is None else terms
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "search_memory",
        "gen_ai.memory.store.id": "ada.mem",
        "gen_ai.memory.query.text": f"question {number}",
        "gen_ai.memory.record.count": len(results),
        "gen_ai.retrieval.top_k": 10,
        "agentmem.search.mode": "hybrid",
        "agentmem.search.candidates": 40,
        "agentmem.search.asked_at": NOON.isoformat(),
        "agentmem.scope.user_id": "ada",
        "agentmem.table.version": 7,
        "agentmem.generation": 1,
        "agentmem.passport.id": "p1",
        "agentmem.ranking.id": "c1",
        "agentmem.ranking.config": '{"dense":1.0}',
        "agentmem.filtered": False,
    }
    for place, one in enumerate(results):
        prefix = f"retrieval.documents.{place}.document."
        attributes[prefix + "id"] = f"t{place}"
        attributes[prefix + "score"] = sum(one.values())
        attributes[prefix + "metadata"] = json.dumps({"terms": one})
    attributes |= told.pop("attributes", {})
    return row(
        number,
        attributes=json.dumps(attributes),
        results=len(results),
        top_score=1.5,
        store="ada.mem",
        **{"margin": 0.25, "scope_version": "1.2.3", **told},
    )


def span_of(told: dict[str, Any]) -> SpanRow:
    """Return a row as the value that is read of it."""
    values: dict[str, Any] = {one.name: told.get(one.name) for one in fields(SpanRow)}
    values |= {name: moment_of(told[name]) for name in ("started_at", "ended_at")}
    values |= {"attributes": json.loads(told["attributes"]), "events": (), "resource": {}}
    return SpanRow(**values)


def trees(*rows: dict[str, Any]) -> list[SpanTree]:
    spans = [span_of(one) for one in rows]
    ids = dict.fromkeys(span.trace_id for span in spans)
    return [tree_of(one, [span for span in spans if span.trace_id == one]) for one in ids]


def only(summary: Summary) -> Retrieval:
    (found,) = summary.retrievals
    return found


def drawn(summary: Summary) -> Page:
    return Page(page_of(summary, folder="traces"))


def test_a_report_tells_each_retrieval_with_its_results(page: Page, worked: Work) -> None:
    for hit in worked.found:
        assert hit.turn.content in page.text
        assert f"{hit.score:.2f}" in page.text
    for match in worked.selected.candidates:
        assert match.tool.description in page.text
        assert f"{match.tool.namespace}/{match.name}" in page.text
    for one in (worked.found, worked.selected, worked.refused):
        assert one.query in page.text
        assert f"agentmem replay {one.span_id} --traces " in page.text
        assert one.passport_id in page.text
    assert worked.refused.reason is not None
    assert worked.refused.reason in page.text


def test_every_phase_of_a_search_stands_in_its_waterfall(worked: Work) -> None:
    (tree,) = open_traces(worked.folder).trees([worked.found.trace_id or ""])
    (trace,) = summary_of([tree]).traces
    assert {step.label for step in trace.steps} == {"search_memory", *worked.found.milliseconds}
    phases = only(Summary((trace,))).phases
    assert sum(phases.values()) == pytest.approx(tree.milliseconds, rel=1e-3)


def test_what_came_of_each_retrieval_is_counted(worked: Work) -> None:
    summary = write_report(open_traces(worked.folder), worked.folder.parent / "counted.html")
    assert summary.figures.outcomes == {"answered": 5, "nothing": 0, "abstained": 1, "failed": 1}
    assert (summary.figures.searches, summary.figures.selections) == (5, 2)
    assert summary.stores == [str(worked.store)]


def test_a_search_without_its_content_says_what_a_replay_needs(page: Page, worked: Work) -> None:
    assert f"agentmem replay {worked.hidden.span_id} --traces " in page.text
    assert "--query … --where …" in page.text
    assert "(query and where not recorded)" in page.text
    assert worked.hidden.query not in page.text


def test_a_page_needs_no_script_and_nothing_from_elsewhere(page: Page) -> None:
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "src"], tag
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    (policy,) = [one for one in page.all("meta") if one.get("http-equiv")]
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_links_lead_somewhere_and_ids_are_unique(page: Page) -> None:
    ids = [one["id"] for _, one in page.tags if "id" in one]
    assert len(ids) == len(set(ids))
    links = {one["href"] for one in page.all("a")}
    assert len(links) > 5
    assert {f"#{one}" for one in ids} >= links
    referred = {one["aria-labelledby"] for _, one in page.tags if "aria-labelledby" in one}
    assert set(ids) >= referred


def test_a_page_can_be_read_without_seeing_it(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("table")) == len(page.all("caption")) > 0
    assert all(one.get("scope") == "col" for one in page.all("th"))
    images = [one for _, one in page.tags if one.get("role") == "img"]
    assert len(images) == len(page.all("svg")) > 0
    assert all(one["aria-label"] for one in images)
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(images)


def test_texts_of_users_stay_texts() -> None:
    hostile = search(
        0,
        terms=[{SCRIPT: 1.0, "dense": 2.0}],
        name=SCRIPT,
        user_id=SCRIPT,
        scope_version="1",
        attributes={
            "input.value": SCRIPT,
            "agentmem.scope.user_id": SCRIPT,
            "agentmem.filtered": True,
            "agentmem.filter": json.dumps({"role": SCRIPT}),
            "agentmem.search.reranker": SCRIPT,
            "agentmem.passport.id": SCRIPT,
            "retrieval.documents.0.document.id": SCRIPT,
            "retrieval.documents.0.document.content": SCRIPT,
        },
    )
    phase = row(0, span_id=SCRIPT, parent_id=hostile["span_id"], name=SCRIPT, phase=SCRIPT)
    failed = search(1, status="ERROR", error_type=SCRIPT)
    spans = trees(hostile, phase, failed, *map(search, range(2, 6)))
    page = Page(page_of(summary_of(spans), folder=SCRIPT, skipped={SCRIPT: SCRIPT}))
    assert page.text.count(SCRIPT) >= 10
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert all("onerror" not in attributes for _, attributes in page.tags)


def test_control_characters_are_shown_and_cannot_break_the_file() -> None:
    query = "a\x00b\x1b[31mc\x9bd\udfffe"
    page = page_of(summary_of(trees(search(0, attributes={"input.value": query}))), folder="x")
    assert "a␀b␛[31mc&lt;U+009B&gt;d&lt;U+DFFF&gt;e" in page
    assert "\x00" not in page
    assert page.encode("utf-8")


def test_a_command_is_quoted_for_the_shell() -> None:
    summary = summary_of(trees(search(0, span_id="a; rm -rf ~")))
    text = Page(page_of(summary, folder="my traces")).text
    assert "agentmem replay 'a; rm -rf ~' --traces 'my traces'" in text


def test_the_same_spans_give_the_same_page() -> None:
    found = trees(*map(search, range(9)))
    shuffled = random.Random(3).sample(found, len(found))
    assert page_of(summary_of(found), folder="x") == page_of(summary_of(shuffled), folder="x")


def test_a_page_names_no_moment_but_those_of_the_spans() -> None:
    page = page_of(summary_of(trees(*map(search, range(5)))), folder="x")
    assert set(re.findall(r"\b20\d\d-\d\d-\d\d", page)) == {f"{NOON:%Y-%m-%d}"}


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    summary = write_report(open_traces(tmp_path / "traces"), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert summary.figures.count == 0
    assert "No retrievals here yet" in page.text
    assert "agentmem.telemetry.record(" in page.text
    assert not page.all("svg")


def test_a_report_keeps_to_its_limit_its_beginning_or_its_trace(tmp_path: Path) -> None:
    folder, out = tmp_path / "traces", tmp_path / "report.html"
    write_rows(folder, *map(search, range(9)))
    traces = open_traces(folder)

    def queries(**options: Any) -> list[str | None]:
        return [one.query for one in write_report(traces, out, **options).retrievals]

    assert queries(limit=2) == ["question 7", "question 8"]
    assert queries(since=NOON + timedelta(minutes=8)) == ["question 8"]
    assert queries(trace_id=f"{4:032x}") == ["question 3"]
    with pytest.raises(NotFound):
        queries(trace_id="f" * 32)
    with pytest.raises(InvalidInput):
        queries(trace_id="no id")


def test_one_trace_opens_by_itself_and_draws_no_charts() -> None:
    page = drawn(summary_of(trees(search(0))))
    (opened,) = [one for one in page.all("details") if one.get("class") == "trace"]
    assert "open" in opened
    assert not page.all("svg")
    assert "Worth a look" not in page.text


def test_a_file_that_cannot_be_written_is_an_error_with_the_repair(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    with pytest.raises(StoreError, match="Repair"):
        write_report(open_traces(tmp_path / "traces"), tmp_path / "missing" / "report.html")


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = summary_of(trees(*map(search, range(5))))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=r"pip install 'agentmem\[report\]'") as error:
        page_of(summary, folder="x")
    assert error.value.package == package


def test_what_a_span_tells_wrongly_is_said_and_not_shown() -> None:
    broken = search(0, attributes={"agentmem.table.version": "seven"})
    strange = search(1, attributes={"retrieval.documents.0.document.metadata": "[1]"})
    endless = search(2, terms=[{"dense": float("nan"), "length": 1.0}, {"dense": float("inf")}])
    batch = row(
        3,
        name="retrieval",
        operation="retrieval",
        attributes='{"gen_ai.operation.name":"retrieval","agentmem.router.queries":12}',
    )
    summary = summary_of(trees(broken, strange, endless, batch))
    reasons = [one.reason for one in summary.retrievals]
    assert "agentmem.table.version" in reasons[0]
    assert "retrieval.documents.0.document.metadata" in reasons[1]
    assert [term.name for term in summary.retrievals[2].results[0].terms] == ["length"]
    assert reasons[3] == "Recorded as a whole: what each query found is not on record."
    assert "A batch of 12 queries" in drawn(summary).text
    assert "nan" not in re.findall(r"left:(\w+)", page_of(summary, folder="x"))


def test_a_verdict_stands_beside_its_retrieval() -> None:
    (tree,) = trees(search(0))
    said = {only(summary_of([tree])).span.span_id: "wrong"}
    assert "labelled wrong" in drawn(summary_of([tree], verdicts=said)).text


def test_lists_show_the_worst_first() -> None:
    rows = [search(n, milliseconds=float(n), margin=1 / (n + 1)) for n in range(20)]
    page = drawn(summary_of(trees(*rows)))
    links = [one["href"] for one in page.all("a") if one["href"] != "#traces"]
    worst = [f"#s-{n + 1:016x}" for n in range(19, 11, -1)]
    assert links == [*worst, *worst]


def test_a_long_waterfall_is_cut_and_says_so() -> None:
    parts = [
        row(0, span_id=f"{n + 100:016x}", parent_id=f"{1:016x}", phase="dense")
        for n in range(MAX_STEPS + 10)
    ]
    (trace,) = summary_of(trees(search(0), *parts)).traces
    assert (len(trace.steps), trace.hidden) == (MAX_STEPS, 11)
    assert "And 11 more spans" in drawn(Summary((trace,))).text


score_terms = st.dictionaries(
    st.sampled_from(["dense", "lexical", "length", "question", "somebody's own"]),
    st.floats(-50, 50, allow_nan=False),
    min_size=1,
)


@given(st.lists(score_terms, min_size=1, max_size=5))
def test_terms_lie_end_to_end_on_both_sides_of_zero(terms: list[Terms]) -> None:
    found = only(summary_of(trees(search(0, terms=terms))))
    for result, given_terms in zip(found.results, terms, strict=True):
        bars = {bar.name: bar for bar in result.terms}
        assert {name: bar.value for name, bar in bars.items()} == given_terms
        for sign in (1, -1):
            side = [bar for bar in result.terms if bar.value * sign > 0]
            ends = [(bar.left, bar.left + bar.width)[::sign] for bar in side]
            reached = found.zero
            for begin, end in ends:
                assert begin == pytest.approx(reached, abs=1e-6)
                reached = end
            assert -1e-6 <= reached <= 100 + 1e-6


@given(st.lists(st.tuples(st.integers(-500, 500), st.integers(0, 2_000)), max_size=8))
def test_every_bar_of_a_waterfall_lies_on_its_line(times: list[tuple[int, int]]) -> None:
    noon = search(0)["started_at"]
    parts = [
        row(
            0,
            span_id=f"{place + 50:016x}",
            parent_id=f"{1:016x}",
            started_at=noon + 1_000_000 * begin,
            ended_at=noon + 1_000_000 * (begin + length),
            milliseconds=float(length),
        )
        for place, (begin, length) in enumerate(times)
    ]
    (trace,) = summary_of(trees(search(0), *parts)).traces
    assert len(trace.steps) == len(times) + 1
    for step in trace.steps:
        assert step.bar.left >= 0
        assert step.bar.width >= 0
        assert step.bar.left + step.bar.width <= 100 + 1e-9


def test_a_drawing_takes_its_colours_from_the_page() -> None:
    svg = columns_plot([Layer(3, [1, 2, 3])], moments=["a", "b", "c"], unit="ms", name="x")
    assert "var(--s3)" in svg
    assert not re.findall(r"#[0-9a-f]{6}", svg)
    assert "<style" not in svg
    assert all(one.startswith("x-") for one in re.findall(r'id="([^"]*)"', svg))


def test_columns_that_are_much_longer_are_cut_and_told_in_numbers() -> None:
    heights = [700.0, *[10.0] * 30, 800.0, 10.0, 900.0, *[10.0] * 20]
    moments = ["m"] * len(heights)
    cut = columns_plot([Layer(1, heights)], moments=moments, unit="ms", name="x", cut=True)
    assert re.findall(r"↑[^<]*", cut) == ["↑ 700", "↑ up to 900"]
    whole = columns_plot([Layer(1, heights)], moments=moments, unit="ms", name="x")
    assert "↑" not in whole


def test_many_columns_are_drawn_as_means_of_neighbours() -> None:
    many = columns_plot([Layer(1, [2.0] * 1000)], moments=["m"] * 1000, unit="ms", name="x")
    bars = re.findall(r"fill: var\(--s1\)", many)
    assert len(bars) == MAX_COLUMNS


def test_a_histogram_of_one_value_can_be_drawn() -> None:
    assert "median 2.00" in histogram_plot([2.0, 2.0], unit="score", name="x")


def test_every_phase_and_term_has_a_colour_of_the_page() -> None:
    style = files("agentmem.pages").joinpath("base.css").read_text(encoding="utf-8")
    slots = {phase_slot(name) for name in ("embeddings", "load", "unheard of")}
    slots |= {term_slot(name) for name in ("dense", "words", "unheard of")}
    assert slots <= set(range(SLOTS))
    for slot in range(SLOTS):
        assert len(re.findall(rf"--s{slot}: #", style)) == 2
        assert f".s{slot} {{" in style


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2.2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def themes() -> Iterator[Any]:
    style = files("agentmem.pages").joinpath("base.css").read_text(encoding="utf-8")
    for name, block in zip(("light", "dark"), re.findall(r":root \{(.*?)\}", style, re.DOTALL)):  # noqa: B905 - a third is for print
        yield pytest.param(dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)), id=name)


@pytest.mark.parametrize("colours", list(themes()))
def test_texts_and_bars_stand_out_from_what_is_behind_them(colours: dict[str, str]) -> None:
    for behind in ("paper", "card", "wash"):
        for text in ("ink", "muted", "link", "bad", "good", "warn"):
            assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind)
    for slot in range(SLOTS):
        assert contrast(colours[f"s{slot}"], colours["card"]) >= 3, slot


def test_the_command_line_writes_a_report(worked: Work, tmp_path: Path) -> None:
    out = tmp_path / "mine.html"
    told = machine("traces", "report", "--traces", worked.folder, "--out", out)
    assert told == {"file": str(out), "retrievals": 7, "traces": 7}
    assert "Who lived in Turin?" in out.read_text(encoding="utf-8")
    trace = ("--trace", worked.found.trace_id)
    said = printed("traces", "report", "--traces", worked.folder, "--out", out, *trace)
    assert said == f"{out}: 1 retrieval of 1 trace.\n"
