"""The report on drift: what it says, that names stay texts, that it needs nothing else."""

from __future__ import annotations

import json
import math
import re
import struct
import sys
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from driftreport_tools import (
    NOON,
    PASSPORT,
    everything,
    finding,
    migration,
    moved,
    past,
    report_of,
    sources,
    swapped,
)
from hypothesis import given
from hypothesis import strategies as st

from agentmem.driftreport import page_of, report_form, write_report
from agentmem.driftreport.charts import LATEST, histories_of, plots_of
from agentmem.driftreport.evidence import (
    cosines_of,
    nulls_of,
    plane_of,
    shifts_of,
    sources_of,
)
from agentmem.driftreport.migrations import courses_of
from agentmem.driftreport.plots import SESSIONS, coloured_sessions
from agentmem.driftreport.telling import MAX_SOURCES, parts_of
from agentmem.driftreport.wording import KINDS, STATES, SUBJECTS, as_period, as_verdict
from agentmem.embedding.canaries import OTHER, SAME
from agentmem.errors import InvalidInput, MissingDependency, StoreError
from agentmem.pages.drawing import LIGHT, SLOTS, STYLED, figure_of, svg
from agentmem.types import DriftKind, DriftSubject, Gate, MigrationState

SCRIPT = "</style></script><script>alert(1)</script><img src=x onerror=alert(2)>"


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
def text() -> str:
    router = replace(everything(), subject="router", store="tools.mem")
    history = [*past("model"), *past("content", generation=2), *past("content", subject="router")]
    failed = migration("m-2", state="failed", error="the gate agreement did not hold", poisoned=2)
    return page_of([everything(), router], history=history, migrations=[migration(), failed])


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_kind_has_its_verdict_with_meaning_and_advice(page: Page) -> None:
    for kind in get_args(DriftKind):
        assert f"This is what {kind} means." in page.text
        assert f"This is what to do about {kind}." in page.text
    said = "Drifted: model (critical), content (warning); stable: texts, questions, answers, length"
    assert page.text.count(f"{said}; too little data: language.") == 2
    for words in ("drifted, critical", "drifted, warning", "stable", "too little data"):
        assert words in page.text


def test_the_words_cover_every_kind_subject_and_state() -> None:
    assert tuple(KINDS) == get_args(DriftKind)
    assert set(SUBJECTS) == set(get_args(DriftSubject))
    assert set(STATES) == set(get_args(MigrationState))


def test_every_evidence_is_drawn_and_told_in_words(page: Page) -> None:
    drawn = [one["aria-label"] or "" for _, one in page.tags if one.get("role") == "img"]
    for words in (
        "Cosines of 80 fixed texts with what they were: the least is",
        "Null distributions of 200 permutations; the statistic is in the previous window 0.031",
        "200 places of the baseline and 60 of 20 sessions of today on a plane",
        "at the baseline 90 values with a median of",
        "12 checks from 2026-04-28 to 2026-05-01, 0 of which found drift",
    ):
        assert any(one.startswith(words) or words in one for one in drawn), words
    assert len(drawn) == len(page.all("svg")) == 2 * 6 + 3


def test_sources_are_listed_those_that_change_fastest_first() -> None:
    told = sources(**{f"agent {n}": n / 100 for n in range(MAX_SOURCES + 5)})
    (part,) = parts_of([report_of(finding("texts", evidence=told))])
    (section,) = part.sections
    assert [one.name for one in section.sources[:2]] == ["agent 24", "agent 23"]
    assert (len(section.sources), section.more_sources) == (MAX_SOURCES, 5)
    page = Page(page_of([part.report]))
    assert "24 %" in page.text
    assert "And 5 more sources." in page.text


def test_what_is_not_known_of_a_source_is_left_open() -> None:
    told = finding("texts", evidence={"sources": ["a"], "churn": [0.5], "stale": [1, 2]})
    (found,) = sources_of(told)
    assert (found.age_days, found.stale) == (None, None)
    assert "50 %" in page_of([report_of(told)])


def test_migrations_are_told_with_phases_gates_and_what_was_set_aside(page: Page) -> None:
    for words in ("the gate agreement did not hold", "2 rows", "every row is there"):
        assert words in page.text
    (course,) = courses_of([migration()])
    assert [one.took for one in course.phases] == ["2.0 h", "1.0 h"]
    assert course.facts["took"] == "3.0 h"
    edges = [edge for one in course.phases for edge in (one.left, one.left + one.width)]
    assert edges == pytest.approx([0, 200 / 3, 200 / 3, 100])


def test_the_newest_migration_comes_first_and_one_under_way_has_taken_no_time_yet() -> None:
    running = migration(
        "m-9", state="building", started_at=NOON, finished_at=None, flipped_at=None, gates=()
    )
    courses = courses_of([migration(), running])
    assert [one.id for one in courses] == ["m-9", "m-1"]
    assert "took" not in courses[0].facts
    assert (courses[0].state, courses[0].badge) == ("building", "")


@given(st.integers(-5, 50), st.none() | st.integers(-5, 50), st.none() | st.integers(-5, 50))
def test_the_phases_of_a_migration_fill_its_line(
    updated: int, finished: int | None, flipped: int | None
) -> None:
    def at(hours: int | None) -> Any:
        return None if hours is None else NOON + timedelta(hours=hours)

    told = {"updated_at": at(updated), "finished_at": at(finished), "flipped_at": at(flipped)}
    (course,) = courses_of([migration(started_at=NOON, **told)])
    reached = 0.0
    for phase in course.phases:
        assert phase.left == pytest.approx(reached)
        assert phase.width >= 0
        reached = phase.left + phase.width
    assert reached == pytest.approx(100) or reached == 0


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
    assert all(one["aria-label"] for one in images)
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(images)


def test_drawings_take_their_colours_from_the_page(text: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert not re.findall(r"#[0-9a-f]{6}", drawings)
    assert {f"var(--s{slot})" for slot in range(SLOTS)} <= set(
        re.findall(r"var\(--s\d\)", drawings)
    )


def test_names_of_users_stay_texts() -> None:
    hostile = {"meaning": SCRIPT, "advice": SCRIPT, "detail": {SCRIPT: [SCRIPT]}}
    report = report_of(
        finding("texts", evidence=sources(**{SCRIPT: 0.5}), **hostile),
        finding("content", evidence=moved(names=[SCRIPT] * 20)),
        store=SCRIPT,
        passport=replace(PASSPORT, model=SCRIPT),
    )
    gate = Gate(SCRIPT, passed=False, value=0.0, bound=1.0, detail=SCRIPT)
    moving = migration(SCRIPT, owner=SCRIPT, error=SCRIPT, source_id=SCRIPT, gates=(gate,))
    page = Page(page_of([report], migrations=[moving]))
    assert page.text.count(SCRIPT) >= 10
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert all("onerror" not in attributes for _, attributes in page.tags)


def test_commands_in_an_advice_stand_out() -> None:
    page = page_of([report_of(finding("texts", advice="Call `a < b` or `c`."))])
    assert "Call <code>a &lt; b</code> or <code>c</code>." in page


def test_control_characters_are_shown_and_cannot_break_the_file() -> None:
    page = page_of([report_of(finding("texts", meaning="a\x00b\x1b[31mc\x9bd\udfffe"))])
    assert "a␀b␛[31mc&lt;U+009B&gt;d&lt;U+DFFF&gt;e" in page
    assert "\x00" not in page
    assert page.encode("utf-8")


def test_the_same_values_give_the_same_page_and_name_no_other_moment(text: str) -> None:
    report = everything()
    assert page_of([report]) == page_of([report])
    assert set(re.findall(r"\b20\d\d-\d\d-\d\d", page_of([report]))) == {f"{NOON:%Y-%m-%d}"}
    assert text.count("<section") == text.count("</section>")


def test_a_report_of_nothing_says_so() -> None:
    page = Page(page_of([]))
    assert "Nothing was checked" in page.text
    assert not page.all("svg")


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"documents": [0.9, float("nan")], "queries": [1.0]},
        {"documents": [[1.0]], "queries": "none"},
        {"documents": [], "queries": []},
        {"null_latest": [1.0], "statistic_latest": 2.0},
        {"null_latest": [1.0, 2.0, 3.0], "statistic_latest": None},
        {"reference": [[1.0, 2.0, 3.0]], "current": [[1.0, 2.0]]},
        {"reference": [[1.0, 2.0]], "current": []},
        {"then": [1.0, 2.0]},
        {"then": [1.0, 2.0], "now": [1.0]},
        {"margin_then": [1.0, 2.0], "margin_now": object()},
        {"sources": ["a", "b"], "churn": [0.5]},
        {"sources": ["a"], "churn": ["half"]},
        {"sources": None, "churn": [0.5]},
    ],
)
def test_evidence_of_another_shape_is_not_drawn(evidence: dict[str, Any]) -> None:
    found = finding("content", evidence=evidence)
    assert plots_of(found, name="x") == []
    assert sources_of(found) == []
    assert "This is what content means." in page_of([report_of(found)])


def test_canaries_are_grouped_by_what_can_move_alone() -> None:
    found = cosines_of(finding("model", evidence=swapped()))
    assert found is not None
    assert {name: len(one) for name, one in found.groups.items()} == {
        "short": 48,
        "long": 16,
        "as questions": 16,
    }
    assert found.groups["long"].min() < 0.9 < found.groups["short"].min()
    unknown = cosines_of(finding("model", evidence=swapped(long=False)))
    assert unknown is not None
    assert list(unknown.groups) == ["documents", "as questions"]
    assert (unknown.same, unknown.other) == (SAME, OTHER)
    own = finding("model", evidence={**swapped(), "lines": [0.9, 0.5]})
    assert cosines_of(own) is not None
    (plot,) = plots_of(own, name="x")
    assert "at 0.9 or above the space is the same, below 0.5 it is another one" in plot.caption


def test_identical_vectors_and_opposite_ones_can_be_drawn() -> None:
    for cosines in (np.ones(64), -np.ones(64), np.zeros(64)):
        found = finding("model", evidence={"documents": cosines, "queries": cosines[:16]})
        assert "<svg" in page_of([report_of(found)])


def test_the_windows_of_a_test_come_in_the_order_of_time() -> None:
    nulls = nulls_of(finding("content", evidence=moved()))
    assert [(one.window, one.statistic) for one in nulls] == [
        ("previous", 0.031),
        ("latest", 0.045),
    ]


def test_sessions_that_lie_furthest_away_have_a_colour_and_a_name() -> None:
    plane = plane_of(finding("content", evidence=moved(sessions=30)))
    assert plane is not None
    slots = coloured_sessions(plane)
    assert sorted(slots.values()) == list(range(1, SESSIONS))
    middle = plane.reference.mean(axis=0)
    away = {
        code: float(np.linalg.norm(plane.current[plane.sessions == code].mean(axis=0) - middle))
        for code in range(30)
    }
    assert min(away[code] for code in slots) >= max(away[c] for c in away if c not in slots)
    (_, plot) = plots_of(finding("content", evidence=moved(sessions=30)), name="x")
    assert [one.name for one in plot.legend][-1] == "22 other sessions"
    assert {f"s{code}" for code in slots} < {one.name for one in plot.legend}
    few = plane_of(finding("content", evidence=moved(sessions=SESSIONS)))
    assert few is not None
    assert len(coloured_sessions(few)) == SESSIONS


def test_a_session_without_a_name_is_told_by_its_number() -> None:
    (_, plot) = plots_of(finding("content", evidence=moved(sessions=2, names=["a"])), name="x")
    assert {"a", "session 1"} < {one.name for one in plot.legend}


def test_quantities_are_found_by_their_names() -> None:
    told = {"then": [1, 2], "now": [2, 3], "odd_rate_then": [0, 1], "odd_rate_now": [1, 1]}
    found = finding("length", evidence=told)
    assert [one.name for one in shifts_of(found)] == ["odd_rate", ""]
    assert [one.title for one in plots_of(found, name="x")] == ["Odd rate", "Lengths"]


def test_a_history_is_drawn_of_each_kind_that_was_checked_twice() -> None:
    checks = [*past("model", count=LATEST + 30), *past("length", count=1)]
    checks += past("language", statistic=None, status="insufficient_data")
    (plot,) = histories_of(reversed(checks))
    assert plot.title == "The memory: model"
    assert plot.alt.startswith(f"{LATEST} checks from ")
    assert histories_of([]) == []


def test_a_history_marks_drift_lost_checks_and_moves_to_another_generation() -> None:
    checks = [*past("content", count=5), *past("content", count=3, generation=2)]
    checks[-1] = replace(checks[-1], status="drifted", statistic=0.2, severity="warning")
    checks[2] = replace(checks[2], status="insufficient_data", statistic=None)
    (plot,) = histories_of(checks)
    assert [one.name for one in plot.legend] == ["stable", "drifted", "too little data"]
    assert "<svg" in page_of([], history=checks)


def test_checks_of_one_moment_can_be_drawn() -> None:
    checks = [replace(one, at=NOON) for one in past("model", count=3)]
    assert "<svg" in page_of([], history=checks)


def test_the_data_hold_everything(tmp_path: Path) -> None:
    out, report = tmp_path / "drift.json", everything()
    write_report(out, [report], history=past("model"), migrations=[migration()])
    data = json.loads(out.read_text(encoding="utf-8"))
    (told,) = data["reports"]
    assert told["passport"]["id"] == PASSPORT.id
    assert told["drifted"] is True
    model = told["findings"][0]
    assert model["evidence"]["documents"] == report.findings[0].evidence["documents"].tolist()
    assert len(data["history"]) == 12
    assert data["migrations"][0]["gates"][0]["name"] == "parity"
    assert data["migrations"][0]["started_at"] == "2026-05-01T08:00:00+00:00"
    assert "evidence" not in report_form(report)["findings"][0]


@given(st.dictionaries(st.text(max_size=3), st.floats() | st.binary() | st.none(), max_size=4))
def test_whatever_a_finding_holds_becomes_json(detail: dict[str, Any]) -> None:
    numbers = {"a": np.float32(math.nan), "b": np.arange(2), "c": {1, 2}, "d": NOON}
    form = report_form(report_of(finding("model", detail={**detail, **numbers})), evidence=True)
    (told,) = json.loads(json.dumps(form, allow_nan=False))["findings"]
    assert told["detail"]["a"] is None
    assert told["detail"]["b"] == [0, 1]
    assert told["detail"]["d"] == NOON.isoformat()


def test_a_picture_has_every_chart_and_grows_with_them(tmp_path: Path) -> None:
    def size(name: str, *reports: Any, **more: Any) -> tuple[int, int]:
        write_report(tmp_path / name, reports, **more)
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"\x89PNG\r\n")
        width, height = struct.unpack(">II", content[16:24])
        return int(width), int(height)

    small, large = size("a.png", report_of(finding("texts"))), size("b.png", everything())
    assert small[0] == large[0]
    assert large[1] > small[1] + 3 * 400
    assert size("c.PNG", everything(), history=past("model"))[1] >= large[1]
    assert size("d.png")[0] == small[0]
    first = (tmp_path / "b.png").read_bytes()
    size("b.png", everything())
    assert (tmp_path / "b.png").read_bytes() == first


def test_no_name_of_a_user_is_in_a_picture(tmp_path: Path) -> None:
    strange = "会话 \u202e $x^2$"  # no font has all of it, and a warning is an error here
    told = finding("content", evidence=moved(names=[strange] * 20))
    texts = finding("texts", evidence=sources(**{strange: 0.5}))
    write_report(tmp_path / "drift.png", [report_of(told, texts, store=strange)])


def test_a_file_that_ends_otherwise_is_refused(tmp_path: Path) -> None:
    for name in ("drift", "drift.pdf", "html"):
        with pytest.raises(InvalidInput, match=r"\.html for a page"):
            write_report(tmp_path / name, [everything()])
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("ending", ["html", "json", "png"])
def test_a_file_that_cannot_be_written_is_an_error_with_the_repair(
    ending: str, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="Repair"):
        write_report(tmp_path / "missing" / f"drift.{ending}", [])


@pytest.mark.parametrize(
    ("package", "name"), [("jinja2", "a.html"), ("matplotlib", "a.html"), ("matplotlib", "a.png")]
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    package: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=r"pip install 'agentmem\[report\]'") as error:
        write_report(tmp_path / name, [everything()])
    assert error.value.package == package
    write_report(tmp_path / "a.json", [everything()])  # data need neither


def test_a_picture_has_the_colours_of_a_page_by_day() -> None:
    style = files("agentmem.pages").joinpath("base.css").read_text(encoding="utf-8")
    (light, *_) = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    told = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", light))
    assert [told[f"s{slot}"] for slot in range(SLOTS)] == list(LIGHT.slots)
    named = (LIGHT.ink, LIGHT.muted, LIGHT.grid, LIGHT.paper)
    assert named == tuple(told[name] for name in ("ink", "muted", "grid", "card"))


def test_the_ids_of_a_drawing_carry_its_name() -> None:
    with figure_of(STYLED, width=100, height=100) as figure:
        figure.subplots().plot([1, 2], color=STYLED.slots[3])
        drawn = svg(figure, name="mine")
    assert "var(--s3)" in drawn
    assert all(one.startswith("mine-") for one in re.findall(r'id="([^"]*)"', drawn))


def test_periods_are_written_in_units_a_person_can_compare() -> None:
    periods = (timedelta(seconds=3), timedelta(minutes=9), timedelta(hours=30), timedelta(days=3))
    assert [as_period(one) for one in periods] == ["3.0 s", "9.0 min", "30.0 h", "3.0 days"]


def test_a_verdict_of_nothing_says_so() -> None:
    assert as_verdict([]) == "Nothing was checked."
    assert as_verdict([finding("texts")]) == "Stable: texts."
