"""Draws docs/tracing.svg, a real trace: python docs/tracing_picture.py.

Remembers the demo conversation, registers some tools, and traces what an agent asks of both
before it answers. Durations are those of this run.
"""

# ruff: noqa: INP001 - a script that stands by itself

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentmem import Memory, ToolRouter
from agentmem.analysis import words
from agentmem.demo import conversation
from agentmem.telemetry import scope_baggage
from agentmem.telemetry.conventions import PHASES

PICTURE: Final = Path(__file__).with_name("tracing.svg")
WIDTH, ROW, TOP = 1040, 26, 64
NAMES, BARS, TOLD = 24, 330, 640  # where the columns begin
SPAN: Final = 262  # width of the whole trace
COLOURS: Final = {
    "RETRIEVER": "#2f6fde",
    "EMBEDDING": "#c2571a",
    "RERANKER": "#8a3fc4",
    "CHAIN": "#5f7285",
    "": "#9aa5b1",
}
STYLE: Final = """\
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1c2733}
.small{font-size:11.5px;fill:#55626f}.head{font-weight:600}.line{stroke:#c9d1d9}
.back{fill:#ffffff}.stripe{fill:#f4f6f8}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9da9b5}
.line{stroke:#3a444e}.back{fill:#0d1117}.stripe{fill:#151b23}}"""
TOOLS: Final = {
    "get_weather": "Tells the weather forecast of a place.",
    "book_flight": "Books a seat on a plane between two airports.",
    "find_hotel": "Finds a room in a city for some nights.",
    "send_mail": "Sends a letter by electronic mail.",
    "play_music": "Plays a song or an album.",
    "track_parcel": "Tells where a parcel is.",
    "convert_currency": "Converts an amount of money into another currency.",
    "set_reminder": "Reminds of something at a given time.",
}
QUESTION: Final = "How much rent does Ada pay in Lisbon?"
REQUEST: Final = "Convert my rent into dollars"


class WordOverlap:
    """A reranker that needs no model: the words of the question in a text, by its length."""

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Score texts; see `agentmem.protocols.Reranker`."""
        asked = set(words(query))
        held = [set(words(text)) for text in texts]
        return np.array([len(asked & one) / (8 + len(one)) for one in held])


def traced() -> list[ReadableSpan]:
    """Return the spans of one question, asked of a memory and of a router."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory.open(Path(folder) / "a.mem", reranker=WordOverlap())
        router = ToolRouter.open(Path(folder) / "a.mem")
        memory.add(conversation(), user_id="ada")
        router.register([{"name": name, "description": told} for name, told in TOOLS.items()])
        for question in ("When was Jonas's daughter born?", "Who is Jonas?"):  # to warm up
            memory.context(question, user_id="ada", max_tokens=500)
            router.select(question)
        exporter.clear()
        with (
            trace.get_tracer("app").start_as_current_span("your application"),
            scope_baggage(user_id="ada"),
        ):
            memory.context(QUESTION, user_id="ada", max_tokens=500)
            router.select(REQUEST, k=2)
        memory.close()
        router.close()
    return list(exporter.get_finished_spans())


def in_order(
    spans: Sequence[ReadableSpan], parent: int | None = None, depth: int = 0
) -> Iterator[tuple[ReadableSpan, int]]:
    """Give the spans as a tree is read, each with its depth."""
    below = [one for one in spans if (one.parent.span_id if one.parent else None) == parent]
    for span in sorted(below, key=lambda one: one.start_time or 0):
        yield span, depth
        yield from in_order(spans, span.context.span_id if span.context else 0, depth + 1)


def told(span: ReadableSpan) -> str:
    """Return the attributes that a person looks at first, in words."""
    of: dict[str, Any] = dict(span.attributes or {})
    phase = of.get("agentmem.phase")
    if span.name == "agentmem.context":
        text = "{agentmem.context.turns} turns in {agentmem.context.tokens} tokens"
    elif span.name == "search_memory":
        text = "{gen_ai.memory.record.count} of {agentmem.search.candidates} turns, best "
        text += "{agentmem.top_score:.1f}, margin {agentmem.margin:.1f}"
    elif span.name.startswith("retrieval"):
        text = "{agentmem.router.chosen}, {agentmem.router.tokens_saved} tokens saved"
        of["agentmem.router.chosen"] = ", ".join(of["agentmem.router.chosen"])
    elif phase == "embeddings":
        text = "{gen_ai.usage.input_tokens} tokens, {agentmem.embeddings.cached} from the cache"
    elif phase == "rerank":
        text = "{reranker.top_k} turns read"
    else:
        return PHASES[phase].means if phase else ""
    names = {name: name.replace(".", "_") for name in of}
    for name in sorted(of, key=len, reverse=True):
        text = text.replace("{" + name, "{" + names[name])
    return text.format(**{names[name]: value for name, value in of.items()})


def drawn(spans: Sequence[ReadableSpan]) -> str:
    """Return the picture."""
    rows = list(in_order(spans))
    height = TOP + ROW * len(rows) + 38
    begin = min(span.start_time or 0 for span in spans)
    whole = max(span.end_time or 0 for span in spans) - begin
    heads = {NAMES: "span", BARS: "milliseconds", TOLD: "some of what it tells"}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>A trace of {len(rows)} spans in {whole / 1e6:.0f} ms</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}" rx="8"/>',
        *(f'<text class="head" x="{x}" y="34">{head}</text>' for x, head in heads.items()),
    ]
    for place, (span, depth) in enumerate(rows):
        parts += row(span, place=place, depth=depth, begin=begin, whole=whole)
    return "\n".join([*parts, *legend(height - 16), "</svg>", ""])


def row(span: ReadableSpan, *, place: int, depth: int, begin: int, whole: int) -> Iterator[str]:
    """Draw one span."""
    start, end = (span.start_time or 0) - begin, (span.end_time or 0) - begin
    of = span.attributes or {}
    colour = COLOURS[str(of.get("openinference.span.kind", ""))]
    x, y, indent = BARS + SPAN * start / whole, TOP + ROW * place, NAMES + 18 * depth
    long = max(SPAN * (end - start) / whole, 1.5)
    name = span.name.replace("sentence-transformers/", "")
    name = name if "a.mem" not in name else "retrieval ada.mem"  # a folder of this machine
    if place % 2 == 0:
        yield f'<rect class="stripe" x="12" y="{y - 18}" width="{WIDTH - 24}" height="{ROW}"/>'
    if depth:
        yield f'<path class="line" fill="none" d="M{indent - 13} {y - 16}v12h9"/>'
    yield f'<text x="{indent}" y="{y}">{escape(name)}</text>'
    yield f'<rect x="{x:.1f}" y="{y - 11}" width="{long:.1f}" height="13" rx="2" fill="{colour}"/>'
    spent = f"{(end - start) / 1e6:.1f}"
    left = x + long + 36 > TOLD  # no room on the right
    at, anchor = (x - 6, "end") if left and x > BARS + 40 else (x + long + 6, "start")
    yield f'<text class="small" text-anchor="{anchor}" x="{at:.1f}" y="{y}">{spent}</text>'
    yield f'<text class="small" x="{TOLD}" y="{y}">{escape(told(span))}</text>'


def legend(y: int) -> Iterator[str]:
    """Say what the colours mean."""
    x = NAMES
    for kind, colour in COLOURS.items():
        label = kind or "not agentmem's"
        yield f'<rect x="{x}" y="{y - 10}" width="12" height="12" rx="2" fill="{colour}"/>'
        yield f'<text class="small" x="{x + 18}" y="{y}">{label}</text>'
        x += 44 + 8 * len(label)


if __name__ == "__main__":
    PICTURE.write_text(drawn(traced()), encoding="utf-8")
