"""An S3 server on a free port of this machine: moto, as a process of its own.

It can refuse every key, and lose the answer to a commit. Its log stays in `results/scale/`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

__all__ = ["BUCKET", "Server", "free_port", "running"]

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = ROOT / os.environ.get("AGENTMEM_SCALE", ".venv-scale") / "bin"
LOGS: Final = ROOT / "results" / "scale"
BUCKET: Final = "agentmem"
TO_START: Final = 120.0  # seconds; moto takes 3 on two cores that have nothing else to do
TO_STOP: Final = 20.0
TO_ANSWER: Final = 60.0
NOBODY: Final = "0"  # so many requests may come without a key that the server knows
ANYBODY: Final = "inf"

# S3 promises that of several puts with `If-None-Match: *` one wins. moto looks and then puts, with
# nothing between: with threads that switch often 2 of 100 races had two winners. Hence the lock.
PROGRAM: Final = """
import sys, threading
from pathlib import Path
from moto.s3.responses import S3Response
from moto.server import main

put, lock, to_lose = S3Response.put_object, threading.Lock(), Path(sys.argv[2])

def put_alone(self):
    with lock:
        answer = put(self)
        if "/_versions/" in self.path and to_lose.exists() and to_lose.read_text() in self.path:
            to_lose.unlink()
            raise SystemExit("the answer is lost")
    return answer

S3Response.put_object = put_alone
main(["--host", "127.0.0.1", "--port", sys.argv[1]])
"""

# Whom a request is from; without, moto lets an object be put only once. Nothing checks signatures.
SIGNED: Final = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20240501/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, with one bucket.

    Attributes:
        port: Where it takes HTTP.
        to_lose: A file that names the table whose next commit is to be left unanswered.
    """

    port: int
    to_lose: Path

    @property
    def options(self) -> dict[str, str]:
        """The storage options that reach it."""
        return {
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "aws_region": "us-east-1",
            "aws_endpoint": f"http://127.0.0.1:{self.port}",
            "allow_http": "true",
        }

    def objects(self, prefix: str) -> str:
        """Return the listing of what is stored under a prefix."""
        return self.asked("GET", f"/{BUCKET}?list-type=2&prefix={prefix}")

    def asked(self, method: str, path: str, body: str = "") -> str:
        """Return what it answers."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TO_ANSWER)
        try:
            connection.request(method, path, body, SIGNED)
            response = connection.getresponse()
            answer = response.read().decode()
        finally:
            connection.close()
        assert response.status == 200, f"{method} {path}: {response.status} {answer[:500]}"
        return answer

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Let it know no key, until the end of a block."""
        self.asked("POST", "/moto-api/reset-auth", NOBODY)
        try:
            yield
        finally:
            self.asked("POST", "/moto-api/reset-auth", ANYBODY)

    @contextmanager
    def losing(self, table: str) -> Iterator[None]:
        """Let it store the next commit to a table without a word; there must be one."""
        self.to_lose.write_text(f"/{table}")
        yield
        assert not self.to_lose.exists(), f"nothing was committed to {table}"


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server with an empty bucket until the end of a block."""
    LOGS.mkdir(parents=True, exist_ok=True)
    server = Server(free_port(), folder / "to-lose")
    with (LOGS / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAMS / "python", "-c", PROGRAM, str(server.port), server.to_lose],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_it_answers(process, server=server)
            server.asked("PUT", f"/{BUCKET}")
            yield server
        finally:
            _stop(process)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait_until_it_answers(process: subprocess.Popen[bytes], *, server: Server) -> None:
    deadline = time.monotonic() + TO_START
    while time.monotonic() < deadline:
        assert process.poll() is None, f"stopped by itself with {process.returncode}: see {LOGS}"
        try:
            server.asked("GET", "/moto-api/data.json")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"no answer within {TO_START:.0f} s: see {LOGS}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server, by force if it takes its time."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        process.send_signal(how)
        try:
            process.wait(TO_STOP)
        except subprocess.TimeoutExpired:
            continue
        return
