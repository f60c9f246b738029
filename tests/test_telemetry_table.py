"""Every span and measurement of every operation, checked against the attribute table."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openinference.semconv.trace as openinference
import pytest
from openinference.semconv.trace import OpenInferenceSpanKindValues
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes
from span_tools import MOST, Ears, faults, kind_of, listening, run_everything

from agentmem import CachedEmbedder, Memory, Scope, SentenceTransformerEmbedder
from agentmem.embedding.weights import bundled_folder
from agentmem.errors import InvalidInput
from agentmem.telemetry import Content, Tracing, scope_baggage
from agentmem.telemetry.conventions import OPENINFERENCE_CONVENTIONS, OPERATIONS, PHASES
from agentmem.telemetry.reading import record_of
from agentmem.telemetry.table import attribute_of, attributes, reference
from agentmem.testing import HashEmbedder
from agentmem.types import ALL, Origin, SearchRecord

ROOT = Path(__file__).resolve().parent.parent

# In the model of open-telemetry/semantic-conventions-genai (pull request 140 and later), and not
# yet in the package opentelemetry-semantic-conventions 0.66b2.
NEWER_GEN_AI = {
    "gen_ai.memory.query.text",
    "gen_ai.memory.record.count",
    "gen_ai.memory.record.id",
    "gen_ai.memory.records",
    "gen_ai.memory.store.id",
    "gen_ai.retrieval.top_k",
}
NEWER_OPERATIONS = {"create_memory", "delete_memory", "search_memory", "update_memory"}
NEWER_OPERATIONS |= {"upsert_memory"}
OF_NEITHER = {"gen_ai.span.kind"}  # what traceAI and LoongSuite read in place of OpenInference's


@pytest.fixture(scope="module", params=[False, True], ids=["quiet", "captured"])
def heard(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ears, bool]:
    """Give everything that every operation told, without and with content."""
    with listening() as ears:
        run_everything(tmp_path_factory.mktemp("spans"), capture_content=request.param)
    return ears, request.param


def test_every_span_of_every_operation_keeps_to_the_table(heard: tuple[Ears, bool]) -> None:
    ears, captured = heard
    found = {fault for span in ears.spans for fault in faults(span, captured=captured)}
    assert found == set()
    assert ears.complaints.said == []  # the SDK takes every value
    assert len(ears.spans) > 300


def test_every_operation_and_phase_is_heard_and_fails_too(heard: tuple[Ears, bool]) -> None:
    ears, _ = heard
    kinds = {kind_of(span) for span in ears.spans}
    failed = {kind_of(span) for span in ears.spans if "error.type" in (span.attributes or {})}
    assert kinds == {*OPERATIONS, *PHASES}
    assert failed >= set(OPERATIONS)
    assert {"commit", "embeddings", "rerank", "load"} <= failed


def test_every_attribute_of_the_table_is_somewhere(heard: tuple[Ears, bool]) -> None:
    ears, captured = heard
    seen = {(name, kind_of(span)) for span in ears.spans for name in span.attributes or {}}
    rows = {row.name for name, _ in seen if (row := attribute_of(name)) is not None}
    expected = {row.name for row in attributes() if captured or row.level != "opt-in"}
    assert expected - rows == {"agentmem.content.redacted"}


Values = dict[tuple[str, str], set[Any]]


def values_of(spans: list[ReadableSpan]) -> Values:
    """Return the distinct values of each attribute that is said to have few."""
    found: Values = {}
    for span in spans:
        for name, value in (span.attributes or {}).items():
            row = attribute_of(name)
            if row is not None and row.is_low:
                found.setdefault((kind_of(span), row.name), set()).add(value)
    return found


def measured(ears: Ears) -> Values:
    """Return what the measurements are kept apart by, but for the stores of gauges."""
    found: Values = {}
    for instrument, told in ears.points():
        for key, value in told.items():
            found.setdefault((instrument, key), set()).add(value)
    return {place: values for place, values in found.items() if not place[1].endswith("store.id")}


@pytest.mark.slow
def test_values_said_to_be_few_do_not_grow_with_the_data(tmp_path: Path) -> None:
    heard = []
    for size in (3, 25):
        with listening() as ears:
            run_everything(tmp_path / str(size), size=size, capture_content=True)
            heard.append(values_of(ears.spans) | measured(ears))
    few, many = heard
    grown = {place for place in many if len(many[place]) > max(len(few.get(place, ())), 2)}
    assert grown == set()
    assert max(map(len, many.values())) <= max(MOST, len(PHASES))
    assert len(many) > 100


def test_measurements_are_kept_apart_by_what_has_few_values_alone(
    heard: tuple[Ears, bool],
) -> None:
    ears, _ = heard
    names = {key for _, told in ears.points() for key in told}
    high = {row.name for row in attributes() if not row.is_low}
    assert names & high <= {"gen_ai.memory.store.id"}
    assert {"gen_ai.operation.name", "agentmem.operation", "agentmem.phase"} <= names


def test_one_turn_is_named_and_several_are_counted(heard: tuple[Ears, bool]) -> None:
    ears, _ = heard
    told: list[dict[str, Any]] = [dict(span.attributes or {}) for span in ears.spans]
    written = [one for one in told if one.get("agentmem.memory.given") == 1]
    assert {"gen_ai.memory.record.id" in one for one in written} == {True}
    several = [one for one in told if one.get("agentmem.memory.given", 0) > 1]
    assert {"gen_ai.memory.record.id" in one for one in several} == {False}
    deleted = [one for one in told if one.get("gen_ai.operation.name") == "delete_memory"]
    ids = [one.get("gen_ai.memory.record.id") for one in deleted]
    assert set(ids) == {"m0", None}


def test_the_tokens_of_what_is_embedded_are_counted_where_the_embedder_can(
    tmp_path: Path,
) -> None:
    class Mute(HashEmbedder):
        tokens = None  # type: ignore[assignment]

    for embedder, expected in ((HashEmbedder(), 4), (Mute(), None)):
        folder = tmp_path / type(embedder).__name__
        with Memory.open(folder, embedder=embedder) as memory, listening() as ears:
            memory.search("Where does Ada live?", user_id="ada")
            memory.search("Where does Ada live?", user_id="ada")
        found = [dict(s.attributes or {}) for s in ears.spans if kind_of(s) == "embeddings"]
        assert [one.get("gen_ai.usage.input_tokens") for one in found] == [expected, expected]
        assert [one["agentmem.embeddings.cached"] for one in found] == [0, 1]


def test_tokens_are_those_of_the_models_own_tokenizer(minilm: SentenceTransformerEmbedder) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["Where does Ada live?", "", "Lisbon " * 400]
    tokenizer = SentenceTransformer(str(bundled_folder()), device="cpu").tokenizer
    counts = [len(tokenizer(text, truncation=False, verbose=False)["input_ids"]) for text in texts]
    assert minilm.tokens(texts) == sum(counts)
    assert CachedEmbedder(minilm).tokens(texts[:1]) == counts[0] == 7


def test_candidates_are_counted_for_the_words_too(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a", embedder=HashEmbedder()) as memory, listening() as ears:
        said = ["Lisbon is warm", "Turin is cold", "Lisbon and Turin", "nothing"]
        memory.add([{"role": "user", "content": one} for one in said], user_id="ada")
        memory.search("Lisbon or Turin?", user_id="ada")
        where = {"content": {"contains": "Lisbon"}}
        memory.search("Lisbon or Turin?", user_id="ada", where=where)
        memory.search("elsewhere", user_id="ada")
        memory.search("Lisbon", user_id="ada", mode="dense")
    told = [dict(s.attributes or {}) for s in ears.spans if kind_of(s) == "search_memory"]
    assert [one["agentmem.search.candidates"] for one in told] == [4, 2, 4, 4]
    assert [one.get("agentmem.search.lexical_candidates") for one in told] == [3, 2, 0, None]


def test_a_search_that_compares_no_vectors_scans_no_bytes_of_them(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a", embedder=HashEmbedder()) as memory, listening() as ears:
        memory.add("Lisbon is warm", user_id="ada")
        for mode in ("hybrid", "dense", "lexical"):
            memory.search("Lisbon?", user_id="ada", mode=mode)
        memory.search("Lisbon?", user_id="nobody")
    told = [dict(s.attributes or {}) for s in ears.spans if kind_of(s) == "search_memory"]
    one = HashEmbedder().passport.dimension
    assert [span.get("agentmem.bytes_scanned") for span in told] == [one, one, None, None]


@pytest.mark.parametrize(("told", "meant"), [(False, False), ("false", False), ("True", True)])
def test_a_flag_that_a_backend_made_a_text_of_is_still_read(
    tmp_path: Path, told: object, *, meant: bool
) -> None:
    """A search of one user must not become one of everybody."""
    with Memory.open(tmp_path / "a", embedder=HashEmbedder()) as memory, listening() as ears:
        memory.search("Lisbon?", user_id="ada")
    (span,) = (s for s in ears.spans if kind_of(s) == "search_memory")
    attributes = {**(span.attributes or {}), "agentmem.scope.all": told}
    record = record_of(attributes, origin=Origin(store="", agentmem="1"))
    assert isinstance(record, SearchRecord)
    assert (record.scope is ALL) == meant
    odd: list[object] = ["perhaps", 1, ()]
    for broken in odd:
        with pytest.raises(InvalidInput, match=r"agentmem\.scope\.all"):
            record_of({**attributes, "agentmem.scope.all": broken}, origin=record.origin)


def test_a_write_that_names_nobody_is_of_whom_the_baggage_names() -> None:
    with listening() as ears, scope_baggage(user_id="ada", session_id="s1"):
        for nobody in (None, Scope()):
            with Tracing("a.mem").operation("create_memory", scope=nobody):
                pass
    for span in ears.spans:
        told = dict(span.attributes or {})
        assert (told["user.id"], told["session.id"]) == ("ada", "s1")
        assert "agentmem.scope.user_id" not in told


# The names.


def openinference_names() -> set[str]:
    """Return the attribute names that OpenInference's package knows, lists spelt out."""
    classes = [one for one in vars(openinference).values() if isinstance(one, type)]
    plain = {
        value
        for one in classes
        for name, value in vars(one).items()
        if name.isupper() and isinstance(value, str)
    }
    spans, documents = openinference.SpanAttributes, openinference.DocumentAttributes
    lists = (spans.RETRIEVAL_DOCUMENTS, openinference.RerankerAttributes.RERANKER_OUTPUT_DOCUMENTS)
    parts = {value for name, value in vars(documents).items() if name.isupper()}
    nested = {f"{one}.{{i}}.{part}" for one in lists for part in parts}
    text = openinference.EmbeddingAttributes.EMBEDDING_TEXT
    return plain | nested | {f"{spans.EMBEDDING_EMBEDDINGS}.{{i}}.{text}"}


def test_names_of_the_genai_conventions_are_theirs() -> None:
    known = {value for name, value in vars(gen_ai_attributes).items() if name.isupper()}
    ours = {row.name for row in attributes() if row.name.startswith("gen_ai.")}
    assert ours - known == NEWER_GEN_AI | OF_NEITHER
    assert attribute_of(error_attributes.ERROR_TYPE) is not None
    operations = {one.value for one in gen_ai_attributes.GenAiOperationNameValues}
    words = {spec.gen_ai for spec in (*OPERATIONS.values(), *PHASES.values()) if spec.gen_ai}
    assert words - operations == NEWER_OPERATIONS


def test_the_durations_have_the_name_of_the_conventions(heard: tuple[Ears, bool]) -> None:
    ears, _ = heard
    assert gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION in {name for name, _ in ears.points()}


def test_the_other_names_are_openinferences_or_our_own() -> None:
    assert version("openinference-semantic-conventions") == OPENINFERENCE_CONVENTIONS
    foreign = {
        row.name for row in attributes() if not row.name.startswith(("agentmem.", "gen_ai."))
    }
    assert foreign - openinference_names() == {"error.type"}
    kinds = {one.value for one in OpenInferenceSpanKindValues}
    assert {spec.kind for spec in (*OPERATIONS.values(), *PHASES.values())} <= kinds


def test_the_table_speaks_of_spans_there_are_once_each() -> None:
    names = [row.name for row in attributes()]
    assert len(set(names)) == len(names) > 80
    for row in attributes():
        assert row.spans <= {*OPERATIONS, *PHASES}, row.name
        assert row.spans, row.name
        assert row.meaning, row.name
        assert row.level in {"required", "if known", "opt-in"}
    content = [
        row.name for row in attributes() if row.name.endswith((".text", ".content", ".query"))
    ]
    assert {row.level for row in map(attribute_of, content) if row} == {"opt-in"}


def test_the_table_in_the_docs_is_up_to_date() -> None:
    page = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")
    assert reference() in page, "run: python -m agentmem.telemetry.table docs/tracing.md"


# The validator itself.


def faults_of(attributes: dict[str, Any], *, captured: bool = True) -> list[str]:
    """Return the faults of a search span with these attributes more."""
    needed = {"gen_ai.memory.store.id": "a.mem", "agentmem.search.mode": "dense"}
    with listening() as ears:
        tracing = Tracing("a.mem", content=Content(captured=False))
        told = {**needed, "agentmem.filtered": False, **attributes}
        with tracing.operation("search_memory", told):
            pass
    (span,) = ears.spans
    return faults(span, captured=captured)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, None),
        ({"agentmem.whim": 1}, "not in the table"),
        ({"gen_ai.request.model": "m"}, "not for search_memory"),
        ({"gen_ai.memory.record.count": "7"}, "no int"),
        ({"gen_ai.memory.record.count": True}, "no int"),
        ({"agentmem.margin": 1}, "no float"),
        ({"agentmem.search.mode": None}, "is required"),
        ({"retrieval.documents.1.document.id": "t1"}, "numbered"),
        ({f"retrieval.documents.{n}.document.id": "t" for n in range(21)}, "numbered"),
        ({"gen_ai.memory.records": json.dumps([{"id": "t1"}])}, "no content"),
        ({"error.type": "KeyError"}, "disagree"),
        ({"openinference.span.kind": "LLM"}, "no RETRIEVER"),
    ],
)
def test_the_validator_finds_what_is_wrong(told: dict[str, Any], expected: str | None) -> None:
    found = faults_of(told)
    assert found == [] if expected is None else any(expected in fault for fault in found)


def test_the_validator_finds_content_where_none_was_wanted() -> None:
    assert faults_of({"input.value": "Where?"}, captured=True) == []
    assert "content" in faults_of({"input.value": "Where?"}, captured=False)[0]
