"""A check as a span with a phase a kind, and as gauges; without a word that anybody said."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path

import pytest
from drift_tools import Scripted, open_memory, open_router, scripted
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from telemetry_tools import forget_providers, installed_exporter, installed_reader, only, points

from agentmem.telemetry.table import attribute_of


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # of stores that other tests left open
    forget_providers(monkeypatch)


def checked(attributes: Mapping[str, object] | None, span: str) -> dict[str, object]:
    """The attributes of drift of a span, each of which has to be in the table."""
    told = dict(attributes or {})
    for name in told:
        row = attribute_of(name)
        assert row is not None, name
        assert span in row.spans, name
    return {name: value for name, value in told.items() if name.startswith("agentmem.drift.")}


def test_a_check_is_a_span_with_a_phase_for_each_kind(tmp_path: Path) -> None:
    exporter = installed_exporter()
    with open_memory(tmp_path) as memory:
        drift = scripted(memory.drift, Scripted("model", severity="critical"), Scripted("content"))
        drift.check()
    span = only(exporter, "agentmem.drift.check")
    assert checked(span.attributes, "agentmem.drift.check") == {
        "agentmem.drift.subject": "memory",
        "agentmem.drift.severity": "critical",
    }
    phase = only(exporter, "agentmem.drift.content")
    assert phase.parent is not None
    assert span.context is not None
    assert phase.parent.span_id == span.context.span_id
    assert checked(phase.attributes, "drift.content") == {
        "agentmem.drift.kind": "content",
        "agentmem.drift.status": "drifted",
        "agentmem.drift.severity": "warning",
        "agentmem.drift.recommendation": "evaluate",
        "agentmem.drift.statistic": 0.4,
        "agentmem.drift.p_value": 0.01,
        "agentmem.drift.effect": 0.5,
        "agentmem.drift.samples": "[40,20]",
    }


def test_every_kind_has_a_phase(tmp_path: Path) -> None:
    exporter = installed_exporter()
    with open_memory(tmp_path) as memory:
        memory.add("A secret of Ada's.", user_id="ada")
        report = memory.drift.check()
    kinds = [one.kind for one in report.findings]
    assert len(kinds) == 7
    for kind in kinds:
        checked(only(exporter, f"agentmem.drift.{kind}").attributes, f"drift.{kind}")
    spans = [one for one in exporter.get_finished_spans() if "drift" in one.name]
    assert not [one for one in spans if "secret" in str(one.attributes)]


def values(reader: InMemoryMetricReader, gauge: str) -> dict[tuple[str, str], float]:
    return {
        (point.attributes["agentmem.drift.subject"], point.attributes["agentmem.drift.kind"]): (
            point.value
        )
        for point in points(reader).get(gauge, [])
    }


def test_gauges_say_what_the_last_check_found(tmp_path: Path) -> None:
    reader = installed_reader()
    model = Scripted("model", severity="critical", statistic=0.2)
    with open_memory(tmp_path) as memory, open_router(tmp_path) as router:
        scripted(memory.drift, model, Scripted("content"), Scripted("length", statistic=None))
        scripted(router.drift, Scripted("texts", severity="info"))
        assert values(reader, "agentmem.drift.state") == {}
        memory.drift.check()
        router.drift.check()
        states = {
            ("memory", "model"): 2,
            ("memory", "content"): 1,
            ("memory", "length"): 1,
            ("router", "texts"): 0,
        }
        assert values(reader, "agentmem.drift.state") == states
        assert values(reader, "agentmem.drift.statistic") == {
            ("memory", "model"): 0.2,
            ("memory", "content"): 0.4,
            ("router", "texts"): 0.4,
        }
        model.is_calm()
        memory.drift.check("model")
        assert values(reader, "agentmem.drift.state") == {**states, ("memory", "model"): 0}
    assert values(reader, "agentmem.drift.state") == {}
