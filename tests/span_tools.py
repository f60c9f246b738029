"""What the tests of spans share: every operation run once, what was heard of it, and a validator.

`run_everything` says private things wherever agentmem takes text, each with a mark in it, so that
one search for the mark tells whether anything private came out.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from drift_tools import Scripted, scripted
from numpy.typing import NDArray
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from agentmem import ALL, Memory, Ranking, ToolRouter
from agentmem.errors import AgentmemError
from agentmem.migration import Bounds
from agentmem.telemetry import scope_baggage
from agentmem.telemetry.conventions import OPERATIONS, PHASES, SpanSpec
from agentmem.telemetry.table import attribute_of, attributes
from agentmem.testing import HashEmbedder
from agentmem.tokens import CallableCounter
from agentmem.types import Kind, Turn

MARK = "qzx7"  # of what is private; letters and a digit, so that no analysis cuts it
WIDE = 512  # components of hashed words, so that few words collide
TYPES = {"str": str, "int": int, "float": float, "bool": bool}
MOST = 20  # documents, texts and the like on one span
UNUSABLE = {("agentmem.search.mode", "InvalidInput")}  # refused for what should be told here


class Listener(logging.Handler):
    """Keeps log records, with what they say."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.said.append(f"{record.getMessage()} {record.args} {record.exc_info}")


@dataclass(frozen=True, slots=True)
class Ears:
    """What an application with a real SDK hears of agentmem."""

    spans_heard: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    logs: Listener = field(default_factory=Listener)
    complaints: Listener = field(default_factory=Listener)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Every span that ended."""
        return list(self.spans_heard.get_finished_spans())

    def points(self) -> list[tuple[str, dict[str, Any]]]:
        """Every combination of attributes that was measured, with its instrument's name."""
        data = self.reader.get_metrics_data()
        return [
            (metric.name, dict(point.attributes or {}))
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]

    def said(self) -> Iterator[str]:
        """Every text in everything heard."""
        for span in self.spans:
            yield from texts_of(span)
        data = self.reader.get_metrics_data()
        yield from () if data is None else _texts(asdict(data))
        yield from self.logs.said

    def leaks(self, mark: str = MARK) -> list[str]:
        """Texts with a mark in them."""
        return [text for text in self.said() if mark.lower() in text.lower()]


@contextmanager
def listening() -> Iterator[Ears]:
    """Put a real SDK in place for a while: OpenTelemetry itself allows one for each process."""
    ears = Ears()
    tracers, meters = TracerProvider(), MeterProvider([ears.reader])
    tracers.add_span_processor(SimpleSpanProcessor(ears.spans_heard))
    internal: Any = metrics._internal
    before = trace._TRACER_PROVIDER, internal._METER_PROVIDER
    logger, sdk = logging.getLogger("agentmem"), logging.getLogger("opentelemetry")
    level = logger.level
    trace._TRACER_PROVIDER, internal._METER_PROVIDER = tracers, meters
    logger.addHandler(ears.logs)
    logger.setLevel(logging.DEBUG)
    ears.complaints.addFilter(_is_not_of_an_exporter)
    sdk.addHandler(ears.complaints)
    try:
        yield ears
    finally:
        trace._TRACER_PROVIDER, internal._METER_PROVIDER = before
        logger.removeHandler(ears.logs)
        logger.setLevel(level)
        sdk.removeHandler(ears.complaints)


def _is_not_of_an_exporter(record: logging.LogRecord) -> bool:
    """Whether it is said by who calls the SDK: one left over elsewhere has a thread of its own."""
    return not str(record.threadName).startswith("Otel")


def texts_of(span: ReadableSpan) -> Iterator[str]:
    """Every text in a span: names, attributes, status, events, links, resource, library."""
    scope = span.instrumentation_scope
    yield span.name
    yield from _texts(dict(span.attributes or {}))
    yield from _texts([span.status.description, dict(span.resource.attributes)])
    yield from _texts([(event.name, dict(event.attributes or {})) for event in span.events])
    yield from _texts([dict(link.attributes or {}) for link in span.links])
    yield from _texts([scope.name, scope.version, scope.schema_url] if scope else [])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield str(key)
            yield from _texts(one)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _texts(asdict(value))
    elif isinstance(value, (list, tuple, set)):
        for one in value:
            yield from _texts(one)
    else:
        yield str(value)


# The validator.


def kind_of(span: ReadableSpan) -> str:
    """Return the operation or the phase that a span is of."""
    told = span.attributes or {}
    return str(told.get("agentmem.phase") or span.name.partition(" ")[0])


def faults(span: ReadableSpan, *, captured: bool) -> list[str]:
    """Return what is wrong with a span by the attribute table; nothing if all is well.

    Args:
        span: The span.
        captured: Whether content was to be recorded.
    """
    told, kind = dict(span.attributes or {}), kind_of(span)
    if kind not in {*OPERATIONS, *PHASES}:
        return [f"{span.name!r} is no operation and no phase"]
    found = [*_of_shape(span, kind), *_of_lists(told), *_of_json(told)]
    for name, value in told.items():
        row = attribute_of(name)
        if row is None:
            found.append(f"{name} is not in the table")
        elif kind not in row.spans:
            found.append(f"{name} is not for {kind}")
        elif row.level == "opt-in" and not captured:
            found.append(f"{name} is content, and none was to be recorded")
        elif not _is_of_type(value, row.type):
            found.append(f"{name} is no {row.type}: {value!r}")
    needed = {row.name for row in attributes() if row.level == "required" and kind in row.spans}
    absent = sorted(needed - told.keys())
    error = str(told.get("error.type"))
    found += [f"{name} is required" for name in absent if (name, error) not in UNUSABLE]
    return [f"{span.name}: {one}" for one in found]


def _of_shape(span: ReadableSpan, kind: str) -> Iterator[str]:
    """What is wrong with a span besides its attributes."""
    told = span.attributes or {}
    specs: dict[str, SpanSpec] = {**OPERATIONS, **PHASES}  # type: ignore[dict-item]
    names = {kind, f"agentmem.{kind}"} if kind in PHASES else {kind}
    tail = told.get("gen_ai.data_source.id") if kind == "retrieval" else None
    tail = tail or told.get("gen_ai.request.model") or told.get("reranker.model_name")
    if span.name not in names | {f"{kind} {tail}"}:
        yield "its name is none of the conventions"
    if span.kind is not SpanKind.INTERNAL:
        yield "it is not internal"
    if told.get("openinference.span.kind") != specs[kind].kind:
        yield f"it is no {specs[kind].kind}"
    if (span.status.status_code is StatusCode.ERROR) != ("error.type" in told):
        yield "status and error.type disagree"
    if span.status.description or span.events or span.links:
        yield "it has a description, events or links"
    if span.parent is None and kind in PHASES:
        yield "a phase has no operation above it"


def _of_lists(told: Mapping[str, object]) -> Iterator[str]:
    """Lists are numbered from 0 without a gap, and short."""
    places: dict[str, set[int]] = {}
    for name in told:
        for found in re.finditer(r"\.(\d+)\.", name):
            places.setdefault(name[: found.start()], set()).add(int(found[1]))
    for name, numbers in places.items():
        if numbers != set(range(len(numbers))) or len(numbers) > MOST:
            yield f"{name} is numbered {sorted(numbers)}"


def _of_json(told: Mapping[str, Any]) -> Iterator[str]:
    """JSON reads back, with what the conventions ask of its elements."""
    for record in json.loads(told.get("gen_ai.memory.records", "[]")):
        if not isinstance(record.get("content"), str):
            yield "a memory record has no content"
    for document in json.loads(told.get("gen_ai.retrieval.documents", "[]")):
        if (type(document["id"]), type(document["score"])) != (str, float):
            yield "a document has no id or no score"
    for name in ("agentmem.ranking.config", "agentmem.routing.config", "agentmem.router.rule"):
        if not isinstance(json.loads(told.get(name, "{}")), dict):
            yield f"{name} is no object"


def _is_of_type(value: object, expected: str) -> bool:
    if expected == "str[]":
        return isinstance(value, tuple) and all(type(one) is str for one in value)
    return type(value) is TYPES[expected]


# Every operation.


class Embedder(HashEmbedder):
    """Fails when told to, and quotes what it was given, as clients of services do."""

    def __init__(self) -> None:
        super().__init__(WIDE, window=40)
        self.broken = False

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts."""
        if self.broken:
            raise RuntimeError(f"HTTP 400 for {list(texts)}")
        return super().embed(texts, kind=kind)


class Reranker:
    """Likes long texts; fails when told to, and quotes what it was given."""

    def __init__(self) -> None:
        self.broken = False

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Score texts."""
        if self.broken:
            raise RuntimeError(f"HTTP 400 for {query!r} and {list(texts)}")
        return np.array([float(len(text)) for text in texts])


@dataclass(slots=True)
class Lab:
    """A memory and a router, and how private things are said to them.

    Attributes:
        memory: The memory.
        router: The router, of the same store.
        embedder: Of both.
        reranker: Of the memory.
        folder: For files.
        private: Gives a text of some kind with the mark in it.
        size: Turns and tools of the larger operations.
    """

    memory: Memory
    router: ToolRouter
    embedder: Embedder
    reranker: Reranker
    folder: Path
    private: Callable[[str], str]
    size: int
    options: dict[str, Any]

    def refused(self, operation: Callable[[], object]) -> None:
        """Run an operation that fails."""
        try:
            operation()
        except (AgentmemError, RuntimeError):
            return
        raise AssertionError("it did not fail")

    def message(self, what: str, **fields: Any) -> dict[str, Any]:
        """Return a message that is private in every part."""
        private = self.private
        shared = {"type": "image", "url": f"http://{private('url').split()[0]}.example"}
        return {
            "role": "user",
            "content": private(what),
            "name": private("name"),
            "metadata": {private("key"): private("value"), "topic": private("topic")},
            "attachments": [{**shared, "caption": private("caption")}],
            **fields,
        }

    def definition(self, name: str, what: str = "described") -> dict[str, Any]:
        """Return a tool that is private in every part but its name."""
        argument = {"type": "string", "description": self.private("argument")}
        parameters = {"type": "object", "properties": {self.private("parameter"): argument}}
        return {"name": name, "description": self.private(what), "parameters": parameters}


def run_everything(
    folder: Path, *, size: int = 3, mark: str = MARK, around: str = "", **options: Any
) -> None:
    """Run every operation, in its forms and its failures.

    Args:
        folder: An empty one.
        size: Turns and tools of the larger operations.
        mark: Put into everything that is private.
        around: Put there too, beside the mark.
        options: Of `Memory.open` and `ToolRouter.open`.
    """
    embedder, reranker = Embedder(), Reranker()
    options = {"embedder": embedder, "token_counter": CallableCounter(len), **options}

    def private(what: str) -> str:
        return f"{mark}{what} the {around}{what} {mark} said"

    store = folder / "a.mem"
    with (
        Memory.open(store, reranker=reranker, **options) as memory,
        ToolRouter.open(store, **options) as router,
    ):
        lab = Lab(memory, router, embedder, reranker, folder, private, size, options)
        for group in GROUPS:
            group(lab)


def _write(lab: Lab) -> None:
    memory = lab.memory
    memory.add(lab.private("plain"), user_id="ada", session_id="s1")
    memory.add(lab.message("one", id="t1"), user_id="ada", agent_id="guide", session_id="s1")
    memory.add(lab.message("one", id="t1"), user_id="ada", agent_id="guide", session_id="s1")
    many = [lab.message(f"many{n}", id=f"m{n}") for n in range(lab.size)]
    memory.add(many, user_id="ada", session_id="s2")
    memory.add([], user_id="ada")
    memory.add(lab.private("long") * 40, user_id="ada", session_id="s3")
    changed = lab.message("changed", id="t1")
    owner: dict[str, Any] = {"user_id": "ada", "agent_id": "guide", "session_id": "s1"}
    memory.add(changed, on_conflict="replace", **owner)
    memory.supersede("t1", lab.message("corrected", id="t2"), **owner)
    memory.update("t2", **owner, pinned=True)
    forgotten = lab.message("forgotten for good", id="f1")
    memory.add(forgotten, user_id="ada")
    memory.forget("f1", user_id="ada", reason=lab.private("reason"), progress=False)
    memory.add(forgotten, user_id="ada")
    with scope_baggage(user_id="bob", agent_id="guide", session_id="s9"):
        memory.add(lab.private("nobody's"))


def _guard(lab: Lab) -> None:
    """Let guards redact, refuse and recognise; what they see is private as well."""

    def hook(turn: Turn) -> Turn | None:
        if turn.name == "refused":
            return None
        return replace(turn, content="masked") if turn.name == "changed" else turn

    with Memory.open(lab.folder / "guarded.mem", before_store=[hook], **lab.options) as memory:
        for name in ("refused", "changed", "plain"):
            memory.add(lab.message(name, name=name), user_id="ada")
        handed = memory.context(lab.private("plain"), user_id="ada", max_tokens=500)
        memory.add({"role": "tool", "content": handed.text}, user_id="ada")
        with suppress(AgentmemError):
            memory.add(lab.message("broken", name="x" * 1_000), user_id="ada")


def _import(lab: Lab) -> None:
    bad = {**lab.message("bad"), "role": lab.private("role")}
    lab.memory.import_turns(
        [lab.message("imported"), bad, 7], user_id="ada", session_id="s4", progress=False
    )
    path = lab.folder / f"{lab.size}.jsonl"
    lines = [json.dumps(lab.message(f"line{n}", id=f"i{n}")) for n in range(lab.size)]
    path.write_text("\n".join([*lines, lab.private("no JSON")]), encoding="utf-8")
    lab.memory.import_turns(path, user_id="ada", batch_size=2, progress=False)


def _read(lab: Lab) -> None:
    memory, query = lab.memory, lab.private("query")
    for mode in ("hybrid", "dense", "lexical"):
        memory.search(query, user_id="ada", mode=mode)
    memory.search(query, user_id="ada", explain=True, k=50)
    memory.search(query, user_id="ada", ranking=Ranking(diversity=0.5, recency=1.0))
    times: dict[str, Any] = {"since": "2020-01-01T00:00Z", "until": "2030-01-01T00:00Z"}
    where = {"metadata.topic": lab.private("topic")}
    memory.search(query, user_id="ada", **times, where=where)
    memory.search(query, user_id="ada", where={"content": {"contains": lab.private("absent")}})
    then = "2030-01-01T00:00Z"
    memory.search(query, user_id="ada", as_of=then, known_at=then, now=then, dates="filter")
    memory.search(query, scope=ALL)
    memory.search(query, user_id="nobody")
    memory.scoped(user_id="ada", agent_id="guide").search(query, session_id="s1")
    memory.context(query, user_id="ada", max_tokens=400, neighbours=1)
    memory.context(query, scope=ALL, max_tokens=1)


def _fail_to_read(lab: Lab) -> None:
    memory, query, mode = lab.memory, lab.private("failing query"), lab.private("mode")
    lab.refused(lambda: memory.search("", user_id="ada"))
    lab.refused(lambda: memory.search(query, user_id="ada", k=0))
    lab.refused(lambda: memory.search(query, user_id="ada", k=query))  # type: ignore[arg-type]
    lab.refused(lambda: memory.search(query, user_id="ada", mode=mode))  # type: ignore[arg-type]
    lab.refused(lambda: memory.search(query, user_id="ada", where={lab.private("field"): 1}))
    lab.refused(lambda: memory.search(query))
    lab.reranker.broken = True
    lab.refused(lambda: memory.search(query, user_id="ada"))
    lab.reranker.broken, lab.embedder.broken = False, True
    lab.refused(lambda: memory.search(lab.private("never embedded"), user_id="ada"))
    lab.refused(lambda: memory.context(lab.private("nor this"), user_id="ada", max_tokens=99))
    lab.embedder.broken = False


def _fail_to_write(lab: Lab) -> None:
    memory, taken = lab.memory, lab.message("other", id="t1")
    owner: dict[str, Any] = {"user_id": "ada", "agent_id": "guide", "session_id": "s1"}
    lab.refused(lambda: memory.add(taken, **owner))
    lab.refused(lambda: memory.add(taken, user_id="ada", agent_id="guide", session_id="s2"))
    lab.refused(lambda: memory.supersede(lab.private("none"), lab.private("x"), user_id="ada"))
    lab.refused(lambda: memory.add({"role": lab.private("role"), "content": "x"}, user_id="ada"))
    lab.refused(lambda: memory.add({**taken, lab.private("field"): 1}, user_id="ada"))
    lab.embedder.broken = True
    lab.refused(lambda: memory.add(lab.message("never stored"), user_id="ada"))
    lab.refused(lambda: memory.add(taken, on_conflict="replace", **owner))
    lab.embedder.broken = False


def _register(lab: Lab) -> None:
    router = lab.router
    lab.router.select(lab.private("to an empty catalogue"))
    tools = [lab.definition(f"tool_{n}", f"described{n}") for n in range(lab.size)]
    examples = {"tool_0": [lab.private("example")]}
    router.register(tools, examples=examples, tags=[lab.private("tag")])
    router.register(tools, tags=[lab.private("tag")])
    router.register(lab.definition("tool_0", "changed"), on_conflict="replace")
    router.register([lab.definition("gone"), lab.definition("kept")], namespace="mail")
    router.sync([lab.definition("kept", "new")], namespace="mail", dry_run=True)
    router.sync([lab.definition("kept", "new"), lab.definition("more")], namespace="mail")
    router.remove("more", namespace="mail", dry_run=True)
    router.remove("more", namespace="mail")


def _select(lab: Lab) -> None:
    router, query = lab.router, lab.private("wanted")
    router.select(query)
    call = {"function": {"name": "tool_1", "arguments": lab.private("given")}}
    history = [
        {"role": "user", "content": lab.private("said before")},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "name": "tool_1", "content": lab.private("answered")},
    ]
    recalled = lab.memory.search(lab.private("recalled"), user_id="ada")
    where = {"tags": {"contains": lab.private("tag")}}
    router.select(query, k="auto", history=history, memory=recalled, max_tokens=10_000)
    router.select(query, namespace="default", where=where, exclude="tool_0", explain=True)
    router.select(query, max_tokens=1, k=2)
    router.select("tool_0 please")
    router.select_batch([query, lab.private("wanted too")], where=where)
    with scope_baggage(user_id="ada", session_id="s1"):
        router.select(lab.private("wanted by ada"))


def _learn(lab: Lab) -> None:
    router, query = lab.router, lab.private("taught")
    router.add_examples({"tool_1": [lab.private("an example")]}, by=lab.private("by"))
    router.add_examples({"tool_1": [lab.private("an example")]})
    selection = router.select(query)
    router.feedback(selection, used="tool_1", succeeded=True)
    lesson = router.feedback(query, used="tool_2", succeeded=False)
    router.feedback(lab.private("needs nothing"), used=None)
    router.revert(lesson.id, dry_run=True)
    router.revert(lesson.id)
    asked = [lab.private(f"asked{n}") for n in range(30)]
    router.calibrate(asked, [["tool_1"]] * 28 + [[]] * 2, alpha=0.2)
    router.select(query, namespace="default")


def _fail_to_route(lab: Lab) -> None:
    router, query, unknown = lab.router, lab.private("lost"), lab.private("unknown").split()[0]
    lab.refused(lambda: router.register(lab.definition("tool_0", "another")))
    lab.refused(lambda: router.register({"name": "x", "parameters": lab.private("no schema")}))
    lab.refused(lambda: router.sync([lab.definition("a"), lab.definition("a", "twin")]))
    lab.refused(lambda: router.remove(unknown))
    lab.refused(lambda: router.add_examples({unknown: [query]}))
    lab.refused(lambda: router.add_examples({"tool_0": query}))
    lab.refused(lambda: router.feedback(query, used=unknown))
    lab.refused(lambda: router.feedback("", used=None))
    lab.refused(lambda: router.revert(unknown))
    lab.refused(lambda: router.calibrate([query], [[unknown]]))
    lab.refused(lambda: router.calibrate([query], [], alpha=0.1))
    lab.refused(lambda: router.select(query, k=query))  # type: ignore[arg-type]
    lab.embedder.broken = True
    lab.refused(lambda: router.select(lab.private("never embedded")))
    lab.refused(lambda: router.select_batch([lab.private("this"), lab.private("that")]))
    lab.refused(lambda: router.register(lab.definition("new_tool", "never stored")))
    lab.refused(lambda: router.sync(lab.definition("new_tool", "never stored")))
    lab.refused(lambda: router.feedback(lab.private("unlearnt"), used="tool_0"))
    lab.refused(lambda: router.add_examples({"tool_0": [lab.private("unlearnt too")]}))
    lab.refused(lambda: router.calibrate([lab.private("un")] * 9, [["tool_0"]] * 9, alpha=0.5))
    lab.embedder.broken = False


def _replay(lab: Lab) -> None:
    """Replay what was found, beside today's answer too, and what is no retrieval."""
    question, memory, router = lab.private("once more"), lab.memory, lab.router
    recall, selection = memory.search(question, user_id="ada"), router.select(question)
    memory.replay(recall)
    memory.replay(recall, now=True)
    router.replay(selection)
    router.replay(selection, now=True)
    lab.refused(lambda: memory.replay({"input.value": question}))
    lab.refused(lambda: router.replay({"input.value": question}))
    lab.embedder.broken = True
    with Memory.open(lab.folder / "a.mem", **lab.options) as other:  # which remembers no vectors
        lab.refused(lambda: other.replay(recall))
    lab.embedder.broken = False


def _drift(lab: Lab) -> None:
    """Look for drift, in a store of too little to say much, and with something found."""
    lab.memory.drift.check()
    lab.router.drift.check()
    scripted(lab.memory.drift, Scripted("content", severity="critical")).check()


def _migrate(lab: Lab) -> None:
    """Move a store of its own to another space."""
    with Memory.open(lab.folder / f"moved{lab.size}.mem", **lab.options) as memory:
        memory.add([lab.message(f"moved{n}", id=f"v{n}") for n in range(3)], user_id="ada")
        memory.migrate(HashEmbedder(WIDE + 8), bounds=Bounds(agreement=0.0), progress=False)


def _delete(lab: Lab) -> None:
    memory = lab.memory
    memory.delete("m0", user_id="ada", dry_run=True)
    memory.delete("m0", user_id="ada")
    memory.delete(["m1", lab.private("no such id")], user_id="ada")
    memory.delete(user_id="ada", where={"metadata.topic": lab.private("topic")})
    lab.refused(lambda: memory.delete(user_id="ada", where={lab.private("field"): 1}))
    memory.delete(scope=ALL)


def _fail_to_store(lab: Lab) -> None:
    """Let LanceDB itself fail: a store without its files, and one that must not be written."""
    store = lab.folder / "broken.mem"
    options = lab.options
    with Memory.open(store, **options) as memory, ToolRouter.open(store, **options) as router:
        memory.add(lab.message("lost", id="t1"), user_id="ada")
        router.register(lab.definition("tool_0"))
    for table in store.glob("*.lance"):
        if table.stem != "meta":  # without it nothing opens
            shutil.rmtree(table / "data")
    with Memory.open(store, **options) as memory, ToolRouter.open(store, **options) as router:
        query = lab.private("of a broken store")
        lab.refused(lambda: memory.search(query, user_id="ada"))
        lab.refused(lambda: memory.add(lab.message("other", id="t1"), user_id="ada"))
        lab.refused(lambda: memory.migrate(HashEmbedder(WIDE + 8), progress=False))
        lab.refused(lambda: memory.delete(user_id="ada", where={"metadata.topic": query}))
        lab.refused(lambda: router.select(query))
        lab.refused(memory.drift.check)
        with suppress(AgentmemError):
            router.feedback(query, used="tool_0")
    options, store = {**options, "read_only": True}, lab.folder / "a.mem"
    with Memory.open(store, **options) as memory, ToolRouter.open(store, **options) as router:
        lab.refused(lambda: memory.add(lab.message("refused"), user_id="ada"))
        lab.refused(lambda: router.remove("tool_0"))
        lab.refused(lambda: router.feedback(lab.private("refused"), used="tool_0"))


GROUPS: tuple[Callable[[Lab], None], ...] = (
    _write,
    _guard,
    _import,
    _read,
    _fail_to_read,
    _fail_to_write,
    _register,
    _select,
    _learn,
    _fail_to_route,
    _replay,
    _drift,
    _migrate,
    _delete,
    _fail_to_store,
)
