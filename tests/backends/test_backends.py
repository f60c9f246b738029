"""What real backends make of agentmem's spans, read back through their own interfaces.

`make test-backends` installs and runs them; `make test` leaves this folder out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from servers import MLflow, Phoenix, Seen, mlflow, phoenix
from traffic import QUERY, SESSION, TOOLS, USER, WordOverlap

from agentmem.demo import conversation

TRAFFIC = Path(__file__).parent / "traffic.py"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
HTTP, GRPC = "http/protobuf", "grpc"
SAID = [one["content"] for one in conversation() if one["session_id"] == SESSION]


@dataclass(frozen=True)
class Sent:
    """What was done, and how a backend shows it."""

    backend: Phoenix | MLflow
    with_content: bool
    done: dict[str, Any]
    seen: list[Seen]

    def of(self, span_id: str) -> Seen:
        """Return one span."""
        (found,) = (one for one in self.seen if one.id == span_id)
        return found

    def under(self, parent: str) -> dict[str, str]:
        """Return names and kinds of the spans right below another."""
        return {one.name: one.kind for one in self.seen if one.parent == parent}

    def named(self, name: str) -> list[Seen]:
        """Return the spans of a name."""
        return [one for one in self.seen if one.name == name]

    def inside(self, parent: str, kind: str) -> Seen:
        """Return the only span of a kind right below another."""
        (found,) = (one for one in self.seen if one.parent == parent and one.kind == kind)
        return found


@pytest.fixture(scope="session")
def on_phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    with phoenix(tmp_path_factory.mktemp("phoenix")) as server:
        yield server


@pytest.fixture(scope="session")
def on_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    with mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


def send(backend: Phoenix | MLflow, folder: Path, *, protocol: str, with_content: bool) -> Sent:
    """Do everything once in a process of its own, and read back what arrived."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    environment = {
        **inherited,
        **backend.environment(protocol=protocol),
        "OTEL_SERVICE_NAME": "tests",
        "OTEL_METRICS_EXPORTER": "none",  # these backends take none
        "NO_PROXY": "127.0.0.1",
        CAPTURE: "SPAN_ONLY" if with_content else "NO_CONTENT",
    }
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(TRAFFIC), str(folder)],
        env=environment,
        capture_output=True,
        check=False,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert b"Failed to export" not in ran.stderr, ran.stderr.decode()
    done = json.loads(ran.stdout)
    return Sent(backend, with_content, done, backend.whole(done["trace_id"]))


@pytest.fixture(scope="module")
def phoenix_with_content(on_phoenix: Phoenix, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    return send(on_phoenix, tmp_path_factory.mktemp("a"), protocol=HTTP, with_content=True)


@pytest.fixture(scope="module")
def phoenix_without(on_phoenix: Phoenix, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    return send(on_phoenix, tmp_path_factory.mktemp("b"), protocol=GRPC, with_content=False)


@pytest.fixture(scope="module")
def mlflow_with_content(on_mlflow: MLflow, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    return send(on_mlflow, tmp_path_factory.mktemp("c"), protocol=HTTP, with_content=True)


@pytest.fixture(scope="module")
def mlflow_without(on_mlflow: MLflow, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    return send(on_mlflow, tmp_path_factory.mktemp("d"), protocol=HTTP, with_content=False)


WITH_CONTENT = ["phoenix_with_content", "mlflow_with_content"]
WITHOUT = ["phoenix_without", "mlflow_without"]


@pytest.fixture
def sent(request: pytest.FixtureRequest) -> Sent:
    """Give what a fixture of that name sent."""
    given: Sent = request.getfixturevalue(request.param)
    return given


everywhere = pytest.mark.parametrize("sent", WITH_CONTENT + WITHOUT, indirect=True)
with_content = pytest.mark.parametrize("sent", WITH_CONTENT, indirect=True)
without_content = pytest.mark.parametrize("sent", WITHOUT, indirect=True)


@everywhere
def test_what_was_done_in_one_turn_is_one_tree(sent: Sent) -> None:
    (root,) = (one for one in sent.seen if one.parent is None)
    assert root.name == "turn"
    assert {one.parent for one in sent.seen} <= {None, *(one.id for one in sent.seen)}
    below = {name.split()[0]: kind for name, kind in sent.under(root.id).items()}
    assert below == {
        "agentmem.router.register": "CHAIN",
        "create_memory": "CHAIN",
        "search_memory": "RETRIEVER",
        "agentmem.context": "CHAIN",
        "retrieval": "RETRIEVER",
    }


@everywhere
def test_no_span_of_agentmem_is_of_an_unknown_kind(sent: Sent) -> None:
    assert {one.kind for one in sent.seen if one.name != "turn"} == {
        "RETRIEVER",
        "EMBEDDING",
        "RERANKER",
        "CHAIN",
    }


@everywhere
def test_a_search_shows_its_phases_and_its_documents(sent: Sent) -> None:
    search = sent.of(sent.done["search"]["span_id"])
    assert search.kind == "RETRIEVER"
    assert sent.under(search.id) == {
        f"embeddings {MODEL}": "EMBEDDING",
        "agentmem.load": "CHAIN",
        "agentmem.dense": "CHAIN",
        "agentmem.lexical": "CHAIN",
        "agentmem.fuse": "CHAIN",
        "agentmem.neighbours": "CHAIN",
        "agentmem.priors": "CHAIN",
        f"rerank {WordOverlap.model}": "RERANKER",
        "agentmem.fetch": "CHAIN",
    }
    shown = sent.done["search"]["documents"]
    assert len(shown) == 5
    assert search.documents() == [
        [one, score, text if sent.with_content else None] for one, score, text in shown
    ]


@everywhere
def test_a_selection_shows_the_tools_as_documents(sent: Sent) -> None:
    selection = sent.of(sent.done["selection"]["span_id"])
    assert selection.kind == "RETRIEVER"
    shown = sent.done["selection"]["documents"]
    assert next(one for one, _, _ in shown) == "default/find_flat"
    assert selection.documents() == [
        [one, score, text if sent.with_content else None] for one, score, text in shown
    ]
    assert selection.attributes["agentmem.router.chosen"][0] == "find_flat"


@everywhere
def test_an_embedding_shows_its_model_and_a_reranker_its_scores(sent: Sent) -> None:
    search = sent.done["search"]["span_id"]
    embedding = sent.inside(search, "EMBEDDING")
    assert embedding.attributes["embedding.model_name"] == MODEL
    reranking = sent.inside(search, "RERANKER")
    read = reranking.documents("reranker.output_documents")
    assert reranking.attributes["reranker.model_name"] == WordOverlap.model
    assert len(read) == 20
    assert read[0][0] == sent.done["search"]["documents"][0][0]
    scores = [score for _, score, _ in read]
    assert scores == sorted(scores, reverse=True)
    assert all((text in SAID) is sent.with_content for _, _, text in read)


@everywhere
def test_an_add_shows_how_many_turns_were_stored(sent: Sent) -> None:
    (added,) = sent.named("create_memory")
    assert added.attributes["gen_ai.memory.record.count"] == sent.done["added"] == len(SAID)
    assert list(sent.under(added.id).values()).count("EMBEDDING") == 1


@everywhere
def test_user_and_session_are_on_every_operation(sent: Sent) -> None:
    (root,) = sent.named("turn")
    for one in sent.seen:
        if one.parent == root.id:
            assert one.attributes["user.id"] == USER
            assert one.attributes["session.id"] == SESSION


@with_content
def test_the_query_is_the_input_and_the_context_an_output(sent: Sent) -> None:
    for of in ("search", "selection"):
        assert sent.of(sent.done[of]["span_id"]).attributes["input.value"] == QUERY
    (context,) = sent.named("agentmem.context")
    assert context.attributes["input.value"] == QUERY
    assert context.attributes["output.value"] == sent.done["context"]


@without_content
def test_nothing_that_was_said_arrives_where_content_is_off(sent: Sent) -> None:
    arrived = json.dumps([one.attributes for one in sent.seen], ensure_ascii=False)
    private = [QUERY, *SAID, *(tool["description"] for tool in TOOLS)]
    assert [text for text in private if text in arrived] == []
    assert sent.done["search"]["documents"][0][0] in arrived


def test_phoenix_puts_the_trace_into_its_session(phoenix_with_content: Sent) -> None:
    backend = phoenix_with_content.backend
    assert isinstance(backend, Phoenix)
    assert phoenix_with_content.done["trace_id"] in backend.sessions()[SESSION]


def test_phoenix_filters_by_what_is_agentmems_own(phoenix_with_content: Sent) -> None:
    backend, search = phoenix_with_content.backend, phoenix_with_content.done["search"]["span_id"]
    assert isinstance(backend, Phoenix)
    assert search in backend.found("attributes['agentmem']['margin'] < 1000")
    assert search not in backend.found("attributes['agentmem']['margin'] > 1000")


def test_mlflow_knows_the_user_and_the_session_of_the_trace(mlflow_without: Sent) -> None:
    backend = mlflow_without.backend
    assert isinstance(backend, MLflow)
    told = backend.trace(mlflow_without.done["trace_id"])["trace_info"]["trace_metadata"]
    assert told["mlflow.trace.user"] == USER
    assert told["mlflow.trace.session"] == SESSION


@pytest.mark.parametrize("of", ["search", "selection"])
def test_mlflow_lays_out_the_documents_of_a_retriever(mlflow_with_content: Sent, of: str) -> None:
    done = mlflow_with_content.done[of]
    shown = mlflow_with_content.of(done["span_id"]).attributes
    assert shown["mlflow.spanInputs"] == QUERY
    assert shown["mlflow.spanOutputs"] == [
        {"id": one, "page_content": text, "metadata": {"score": score}}
        for one, score, text in done["documents"]
    ]
