"""A small embedding service of the OpenAI form that fails on purpose, for tests over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from agentmem.testing import HashEmbedder

__all__ = ["Asked", "Reply", "Service", "answer", "running_service"]

DIMENSION = 32
EMBEDDER = HashEmbedder(DIMENSION)


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """What is answered: `body` as it is, or made of the request; `cut` hangs up instead."""

    status: int = 200
    body: bytes | Callable[[Asked], bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False


def answer(asked: Asked) -> bytes:
    """Answer as a service does: the vectors of `HashEmbedder`, each three times as long."""
    return json.dumps({"object": "list", "data": items(asked.body["input"])}).encode()


def items(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the items of an answer."""
    rows = 3.0 * EMBEDDER.embed(texts, kind="document")
    return [
        {"object": "embedding", "index": number, "embedding": row.tolist()}
        for number, row in enumerate(rows)
    ]


@dataclass
class Service:
    """A running service: the next replies in order, after them good ones; and what was asked."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    always: Reply = field(default_factory=lambda: Reply(body=answer))
    asked: list[Asked] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self) -> None:
        """Forget everything."""
        self.replies, self.always, self.asked = [], Reply(body=answer), []
        self.under_way = self.most_under_way = 0

    def take(self, asked: Asked) -> Reply:
        """Note a request and return what it gets."""
        with self.lock:
            self.asked.append(asked)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            return self.replies.pop(0) if self.replies else self.always

    def done(self) -> None:
        """Note that a request is about to be answered."""
        with self.lock:
            self.under_way -= 1


class _Handler(BaseHTTPRequestHandler):
    service: ClassVar[Service]

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        asked = Asked(self.path, dict(self.headers), json.loads(sent))
        reply = self.service.take(asked)
        time.sleep(reply.delay)
        self.service.done()
        with suppress(BrokenPipeError, ConnectionResetError):  # the client waited no longer
            if not reply.cut:
                self.give(reply, asked)

    def give(self, reply: Reply, asked: Asked) -> None:
        body = reply.body(asked) if callable(reply.body) else reply.body
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextmanager
def running_service() -> Iterator[Service]:
    """Run a service on a free port of this machine until the end of a block."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        service = Service(f"http://127.0.0.1:{server.server_port}/v1")
        handler.service = service  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
