"""The backends, as real servers on free ports of this machine, and what they show read back.

Each is started in a process group of its own and always stopped. Their logs stay in
`results/backends/`.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

__all__ = ["MLflow", "Phoenix", "Seen", "mlflow", "phoenix"]

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = ROOT / os.environ.get("AGENTMEM_BACKENDS", ".venv-backends") / "bin"
LOGS: Final = ROOT / "results" / "backends"
TO_START: Final = 180.0  # seconds; Phoenix takes 30 on two cores that have nothing else to do
TO_STOP: Final = 20.0
TO_ARRIVE: Final = 30.0  # seconds; both write what they receive some time after they accept it
QUIET: Final = 1.0  # seconds without another span after which a trace counts as whole


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as a backend shows it: `kind` is what it takes it for."""

    name: str
    kind: str
    id: str
    parent: str | None
    attributes: Mapping[str, Any]

    def documents(self, prefix: str = "retrieval.documents") -> list[list[Any]]:
        """Return id, score and text of each document, in order."""
        return [
            [self.attributes.get(f"{prefix}.{place}.document.{part}") for part in PARTS]
            for place in range(len(self.attributes))
            if f"{prefix}.{place}.document.id" in self.attributes
        ]


PARTS: Final = ("id", "score", "content")


class Server(ABC):
    """A backend that runs; `port` takes HTTP."""

    def __init__(self, port: int) -> None:
        self.port = port

    def asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return what it answers, as JSON; None where it has nothing there yet."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TO_ARRIVE)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status == 404:
            return None
        assert response.status == 200, f"{method} {path}: {response.status} {answer[:500]!r}"
        return json.loads(answer)

    @abstractmethod
    def spans(self, trace_id: str) -> list[Seen]:
        """Return the spans of a trace that have arrived."""

    def whole(self, trace_id: str) -> list[Seen]:
        """Return the spans of a trace, once its root is there and no more arrive."""
        deadline = time.monotonic() + TO_ARRIVE
        before: list[Seen] = []
        while time.monotonic() < deadline:
            now = self.spans(trace_id)
            if any(one.parent is None for one in now) and len(now) == len(before):
                return now
            before = now
            time.sleep(QUIET)
        raise AssertionError(f"{len(before)} spans of {trace_id} arrived in {TO_ARRIVE:.0f} s")


class Phoenix(Server):
    """Phoenix; `grpc` is its other port."""

    def __init__(self, port: int, *, grpc: int) -> None:
        super().__init__(port)
        self.grpc = grpc

    def environment(self, *, protocol: str) -> dict[str, str]:
        """Return the variables that send spans here."""
        port = self.grpc if protocol == "grpc" else self.port
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_RESOURCE_ATTRIBUTES": "openinference.project.name=tests",
        }

    def spans(self, trace_id: str) -> list[Seen]:
        """Return the spans of a trace that have arrived."""
        answer = self.asked("GET", f"/v1/projects/tests/spans?limit=1000&trace_id={trace_id}")
        return [
            Seen(
                one["name"],
                one["span_kind"],
                one["context"]["span_id"],
                one["parent_id"],
                one["attributes"],
            )
            for one in (answer or {"data": []})["data"]
            if one["context"]["trace_id"] == trace_id
        ]

    def found(self, condition: str) -> set[str]:
        """Return the ids of the spans that a filter of its own language finds."""
        query = """query ($condition: String!) { projects { edges { node { name
            spans(first: 1000, filterCondition: $condition) { edges { node { spanId } } } } } } }"""
        asked = {"query": query, "variables": {"condition": condition}}
        projects = self.asked("POST", "/graphql", asked)["data"]["projects"]["edges"]
        (project,) = (one["node"] for one in projects if one["node"]["name"] == "tests")
        return {edge["node"]["spanId"] for edge in project["spans"]["edges"]}

    def sessions(self) -> dict[str, list[str]]:
        """Return the traces of each session it knows."""
        answer = self.asked("GET", "/v1/projects/tests/sessions?limit=100")
        return {
            one["session_id"]: [trace["trace_id"] for trace in one["traces"]]
            for one in answer["data"]
        }


class MLflow(Server):
    """MLflow, with an experiment of its own."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        created = self.asked("POST", "/api/2.0/mlflow/experiments/create", {"name": "agentmem"})
        self.experiment = created["experiment_id"]

    def environment(self, *, protocol: str) -> dict[str, str]:
        """Return the variables that send spans here; it takes HTTP alone."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-mlflow-experiment-id={self.experiment}",
        }

    def trace(self, trace_id: str) -> dict[str, Any]:
        """Return a trace as it has arrived: `trace_info` and `spans`."""
        answer = self.asked("GET", f"/api/3.0/mlflow/traces/get?trace_id=tr-{trace_id}")
        found: dict[str, Any] = (answer or {}).get("trace", {"spans": []})
        return found

    def spans(self, trace_id: str) -> list[Seen]:
        """Return the spans of a trace that have arrived."""
        return [_of_mlflow(one) for one in self.trace(trace_id)["spans"]]


@contextmanager
def phoenix(folder: Path) -> Iterator[Phoenix]:
    """Run Phoenix with its data in a folder."""
    port, grpc = free_port(), free_port()
    settings = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    with running(
        "phoenix", ["serve"], settings=settings, folder=folder, port=port, path="/healthz"
    ):
        yield Phoenix(port, grpc=grpc)


@contextmanager
def mlflow(folder: Path) -> Iterator[MLflow]:
    """Run MLflow with its data in a folder."""
    port = free_port()
    arguments = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    settings = {
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # judges and the like, in more processes
    }
    with running("mlflow", arguments, settings=settings, folder=folder, port=port, path="/health"):
        yield MLflow(port)


@contextmanager
def running(
    program: str,
    arguments: list[str],
    *,
    settings: Mapping[str, str],
    folder: Path,
    port: int,
    path: str,
) -> Iterator[None]:
    """Run a server until the end of a block, which begins once it answers."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{program}.log"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PHOENIX_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(PROGRAMS / program), *arguments],
            cwd=folder,
            env={**inherited, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that it stops with the processes that it starts
        )
        try:
            _wait_until_it_answers(process, log=log, port=port, path=path)
            yield
        finally:
            _stop(process)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait_until_it_answers(
    process: subprocess.Popen[bytes], *, log: Path, port: int, path: str
) -> None:
    deadline = time.monotonic() + TO_START
    while time.monotonic() < deadline:
        assert process.poll() is None, f"stopped by itself with {process.returncode}: see {log}"
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.5)
    raise AssertionError(f"no answer within {TO_START:.0f} s: see {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a server and whatever it started, by force if it takes its time."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(TO_STOP)
        except subprocess.TimeoutExpired:
            continue
    process.wait(TO_STOP)


def _of_mlflow(span: Mapping[str, Any]) -> Seen:
    attributes = {one["key"]: _plain(one["value"]) for one in span["attributes"]}
    parent = span.get("parent_span_id")
    kind = attributes.get("mlflow.spanType", "UNKNOWN")
    return Seen(span["name"], kind, _hex(span["span_id"]), parent and _hex(parent), attributes)


def _hex(encoded: str) -> str:
    return base64.b64decode(encoded).hex()


def _plain(value: Mapping[str, Any]) -> Any:
    """Return the Python value of one of OpenTelemetry's typed ones."""
    ((kind, held),) = value.items()
    if kind == "array_value":
        return [_plain(one) for one in held.get("values", [])]
    if kind == "kvlist_value":
        return {one["key"]: _plain(one["value"]) for one in held.get("values", [])}
    return int(held) if kind == "int_value" else held
