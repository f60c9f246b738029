"""Spans saved as JSON: each form gives the same span, and what is none says so."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from telemetry_tools import forget_providers
from traces_tools import BROKEN, Fragile

from agentmem import EmbeddingFailed, InvalidInput, Memory, NotFound
from agentmem.cli.traces.machine import shown_form
from agentmem.telemetry import record
from agentmem.telemetry.reading import record_of_recall
from agentmem.traces import SpanRow, open_traces, read_span_file, read_spans, record_of_spans
from agentmem.types import Recall, SearchRecord

MICROSECOND = timedelta(microseconds=1)
WORDS = "Where did Ada — or Zoë — live?"


class Saved:
    """One search with its phases and one that failed: as the SDK has them, and as rows."""

    def __init__(self, place: Path) -> None:
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        with (
            record(place / "traces"),
            Memory.open(place / "m", embedder=Fragile(), capture_content=True) as memory,
        ):
            memory.add({"role": "user", "content": "I live in Lisbon.", "id": "t1"}, user_id="ada")
            exporter.clear()
            where = {"role": {"in": ["user", "assistant"]}}
            self.recall: Recall = memory.search(WORDS, user_id="ada", where=where)
            with pytest.raises(EmbeddingFailed):
                memory.search(BROKEN, user_id="ada")
        self.spans: tuple[ReadableSpan, ...] = exporter.get_finished_spans()
        self.traces = open_traces(place / "traces")
        provider.shutdown()

    def rows(self) -> dict[str, SpanRow]:
        return {ids(span)[1]: self.traces.span(ids(span)[1]) for span in self.spans}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    with pytest.MonkeyPatch.context() as patch:
        forget_providers(patch)
        yield Saved(tmp_path_factory.mktemp("saved"))


def ids(span: ReadableSpan) -> tuple[str, str]:
    assert span.context is not None
    return trace.format_trace_id(span.context.trace_id), trace.format_span_id(span.context.span_id)


def parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else trace.format_span_id(span.parent.span_id)


def console(saved: Saved) -> str:
    return "\n".join(span.to_json() for span in saved.spans)


def own(saved: Saved) -> str:
    trees = [saved.traces.trace(ids(span)[0]) for span in saved.spans if span.parent is None]
    return json.dumps([shown_form(tree) for tree in trees])


def otlp(saved: Saved, *, coded: Callable[[str], str] = str, plain: bool = True) -> str:
    """Write spans as OTLP's JSON: by the specification, or as protobuf's own JSON has it."""
    spans = [
        {
            ("traceId" if plain else "trace_id"): coded(ids(span)[0]),
            ("spanId" if plain else "span_id"): coded(ids(span)[1]),
            ("parentSpanId" if plain else "parent_span_id"): coded(parent(span) or ""),
            "name": span.name,
            ("startTimeUnixNano" if plain else "start_time_unix_nano"): str(span.start_time),
            ("endTimeUnixNano" if plain else "end_time_unix_nano"): str(span.end_time),
            "attributes": [
                {"key": key, "value": typed(value)}
                for key, value in (span.attributes or {}).items()
            ],
            "status": {"code": 2 if plain else "STATUS_CODE_ERROR"}
            if span.status.status_code.name == "ERROR"
            else {},
        }
        for span in saved.spans
    ]
    scope = saved.spans[0].instrumentation_scope
    assert scope is not None
    resource = [{"key": "service.name", "value": {"stringValue": "shop"}}]
    group = {"scope": {"name": scope.name, "version": scope.version}, "spans": spans}
    around = {
        "resource": {"attributes": resource},
        "scopeSpans" if plain else "scope_spans": [group],
    }
    return json.dumps({"resourceSpans" if plain else "resource_spans": [around]})


def typed(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [typed(one) for one in value]}}


def phoenix(saved: Saved, *, unfolded: bool = False) -> str:
    """Write spans as the answer of Phoenix's API, which unfolds the metadata of documents."""
    data = [
        {
            "id": "U3Bhbjox",
            "name": span.name,
            "context": {"trace_id": ids(span)[0], "span_id": ids(span)[1]},
            "span_kind": "RETRIEVER",
            "parent_id": parent(span),
            "start_time": json.loads(span.to_json())["start_time"].replace("Z", "+00:00"),
            "end_time": json.loads(span.to_json())["end_time"].replace("Z", "+00:00"),
            "status_code": span.status.status_code.name,
            "status_message": "",
            "attributes": nested(span.attributes or {})
            if unfolded
            else unfold(span.attributes or {}),
            "events": [],
        }
        for span in saved.spans
    ]
    return json.dumps({"data": data, "next_cursor": None})


def unfold(attributes: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.endswith(".document.metadata"):
            for term, one in json.loads(value)["terms"].items():
                told[f"{name}.terms.{term}"] = one
        else:
            told[name] = list(value) if isinstance(value, tuple) else value
    return told


def nested(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Write attributes as Phoenix stores them: unfolded at every dot, documents as a list."""
    told: dict[str, Any] = {}
    for name, value in unfold(attributes).items():
        *outer, last = name.split(".")
        inner = told
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
    documents = told.get("retrieval", {}).get("documents")
    if documents:
        told["retrieval"]["documents"] = [documents[str(place)] for place in range(len(documents))]
    return told


def as_base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


FORMS: dict[str, Callable[[Saved], str]] = {
    "own": own,
    "sdk": console,
    "otlp": otlp,
    "protobuf": lambda saved: otlp(saved, coded=as_base64, plain=False),
    "phoenix": phoenix,
    "phoenix nested": lambda saved: phoenix(saved, unfolded=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_record_of_the_search(saved: Saved, form: str, tmp_path: Path) -> None:
    file = tmp_path / "span.json"
    file.write_text(FORMS[form](saved), encoding="utf-8")
    found = record_of_spans(read_span_file(file), saved.recall.span_id)
    made = record_of_recall(saved.recall)
    assert isinstance(found, SearchRecord)
    assert found.origin.trace_id == made.origin.trace_id
    assert list(found.origin.milliseconds) == list(made.origin.milliseconds)
    for name in ("query", "where", "ranking", "asked_at", "hits", "scope", "k", "table_version"):
        assert getattr(found, name) == getattr(made, name)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_spans_as_they_were_recorded(saved: Saved, form: str) -> None:
    kept = saved.rows()
    spans = read_spans(FORMS[form](saved))
    assert {span.span_id for span in spans} == kept.keys()
    for span in spans:
        row = kept[span.span_id]
        for name in ("trace_id", "parent_id", "name", "operation", "phase"):
            assert getattr(span, name) == getattr(row, name)
        assert abs(span.started_at - row.started_at) <= MICROSECOND  # the SDK's JSON rounds
        for name in ("status", "error_type", "store", "results", "user_id", "top_score"):
            assert getattr(span, name) == getattr(row, name)
        assert span.milliseconds == pytest.approx(row.milliseconds, abs=0.01)
        assert span.scope_name in ("agentmem", None)


def test_our_own_form_loses_nothing(saved: Saved) -> None:
    assert {span.span_id: span for span in read_spans(own(saved))} == saved.rows()


def test_otlp_keeps_the_resource_and_the_library(saved: Saved) -> None:
    span = read_spans(otlp(saved))[0]
    assert span.resource == {"service.name": "shop"}
    assert span.scope_name == "agentmem"
    assert span.scope_version


def test_what_the_real_otlp_encoder_writes_is_read(saved: Saved) -> None:
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.trace_encoder")
    json_format = pytest.importorskip("google.protobuf.json_format")
    message = encoder.encode_spans(saved.spans)
    found = record_of_spans(read_spans(json_format.MessageToJson(message)), saved.recall.span_id)
    assert found.query == WORDS


def test_a_file_with_one_retrieval_needs_no_id(saved: Saved) -> None:
    (search,) = (span for span in saved.spans if ids(span)[1] == saved.recall.span_id)
    assert record_of_spans(read_spans(search.to_json())).query == WORDS
    with pytest.raises(InvalidInput, match="several retrievals"):
        record_of_spans(read_spans(console(saved)))
    assert record_of_spans(read_spans(console(saved)), saved.recall.trace_id).query == WORDS
    with pytest.raises(NotFound, match="in the file has an id"):
        record_of_spans(read_spans(console(saved)), "f" * 16)


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", "7", '{"data": []}', '{"trace_id": "xyz", "span_id": "1"}',
     '{"resourceSpans": 7}', '{"context": 3}', "[" * 100_000, '{"spans": [null]}'],
)  # fmt: skip
def test_what_is_no_span_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^the text "):
        read_spans(text)


@given(value=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["spans", "data", "context", "resourceSpans", "scopeSpans", "attributes",
                         "trace_id", "span_id", "start_time", "status", "name", "x"]),
        inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_no_json_is_anything_but_spans_or_an_error_in_words(value: object) -> None:
    try:
        assert read_spans(json.dumps(value))
    except InvalidInput as error:
        assert str(error).startswith("the text ")  # noqa: PT017 - most examples are no spans


def test_files_that_cannot_be_read_are_errors_in_words(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        read_span_file(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"name": "\xe9"}')
    with pytest.raises(InvalidInput, match="not in UTF-8"):
        read_span_file(tmp_path / "latin.json")
