"""A service that embeds, over HTTP: requests bounded in time, repeated where that helps, checked.

Takes the body of a request, gives the vectors of the answer. Whatever the network, the service or
its JSON does wrong becomes `EmbeddingFailed` or, where no text can be the cause,
`EmbeddingUnavailable`. The API key and the headers are in no message, repr or chained error.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
import weakref
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from agentmem.checks import location
from agentmem.embedding.answers import SHOWN_CHARS, read_complaint, read_vectors
from agentmem.errors import EmbeddingFailed, InvalidInput

if TYPE_CHECKING:
    from httpx2 import Client, Response

__all__ = ["EmbeddingService", "EmbeddingUnavailable"]

FIRST_PAUSE: Final = 0.5  # seconds; a rate limit or a restart is rarely over sooner
LONGEST_PAUSE: Final = 8.0  # seconds between attempts, where the service names none
LONGEST_ASKED: Final = 60.0  # seconds that a service may ask to wait; beyond, the caller decides
BACKOFF: Final = wait_exponential(FIRST_PAUSE, LONGEST_PAUSE) + wait_random(0, FIRST_PAUSE)

OK: Final = 200
REDIRECTS: Final = range(300, 400)
PASSING: Final = frozenset({408, 429, *range(500, 600)})  # may be over at the next attempt
OF_A_TEXT: Final = frozenset({400, 413, 422, 500})  # that one of the texts may be the cause of
REPAIRS: Final = {
    400: "give window= and tokenizer= (or counter=) if a text was too long; check model=",
    401: "pass the service's key as api_key= or by api_key_env=",
    403: "pass a key that may use this model as api_key= or by api_key_env=",
    404: "check the address, which is the part before /embeddings, and model=",
    413: "pass a smaller batch_size=, or a window= with a tokenizer=",
    422: "pass a smaller batch_size=, or a window= with a tokenizer=",
    429: "wait, send fewer requests at once, or ask for a higher limit",
}
UNKNOWN_REPAIR: Final = "see the service's log, and call again if the cause has passed"

SHORTEST_SECRET: Final = 6  # characters of a header's value that is kept out of messages
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]*")


class EmbeddingUnavailable(EmbeddingFailed):
    """The service cannot be used now, whatever the texts; the same call may succeed later."""


class _Again(Exception):
    """A failure that may pass, and the seconds the service asks to wait."""

    def __init__(self, failure: EmbeddingFailed, *, after: float | None = None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.after = after


class EmbeddingService:
    """One address that embeds. Several threads may use it at a time; it keeps connections open.

    Args:
        url: Address up to `/embeddings`, such as `http://localhost:8080/v1`.
        api_key: Sent as a bearer token.
        api_key_env: Environment variable that holds the key, read at each request.
        headers: Sent with every request.
        timeout: Seconds to connect, and between any two pieces of an answer.
        max_retries: Attempts after the first, where a failure may pass.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        api_key_env: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float,
        max_retries: int,
    ) -> None:
        if api_key is not None and api_key_env is not None:
            raise InvalidInput("api_key and api_key_env are both given. Repair: pass one of them.")
        self._address, self.shown = _addresses(url)
        self._key, self._key_env = api_key, api_key_env
        self._headers = {name: _sendable(name, value) for name, value in (headers or {}).items()}
        if api_key is not None:
            _sendable("the API key", api_key)
        self._timeout = timeout
        self._attempts = max_retries + 1
        self._lock = threading.Lock()
        self._client: Client | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shown!r})"

    def vectors(self, body: Mapping[str, Any], *, texts: int) -> NDArray[np.float64]:
        """Send a request, again where a failure may pass, and read the vectors of its answer.

        Raises:
            EmbeddingUnavailable: The service cannot be reached, refuses, or is overloaded.
            EmbeddingFailed: It does not take these texts, or its answer cannot be used.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=_pause,
            retry=retry_if_exception_type(_Again),
            reraise=True,
        )
        try:
            answer: bytes = retrying(self._asked, body)
        except _Again as again:
            raise again.failure from again.__cause__
        return read_vectors(answer, texts=texts, source=self._name)

    @property
    def _name(self) -> str:
        return f"the embedding service at {self.shown}"

    def _asked(self, body: Mapping[str, Any]) -> bytes:
        """Make one attempt."""
        import httpx2

        try:
            response = self._connected().post(self._address, json=body, headers=self._sent())
        except httpx2.TransportError as error:
            raise _Again(self._unreachable(error, attempts=self._attempts)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:  # of a host's name
            raise self._unreachable(error, attempts=1) from error
        if response.status_code == OK:
            return response.content
        failure, asked = self._refusal(response), _asked_pause(response)
        if response.status_code in PASSING and (asked or 0.0) <= LONGEST_ASKED:
            raise _Again(failure, after=asked)
        raise failure

    def _connected(self) -> Client:
        import httpx2

        with self._lock:
            if self._client is None:
                self._client = httpx2.Client(timeout=self._timeout)
                weakref.finalize(self, self._client.close)
            return self._client

    def _sent(self) -> dict[str, str]:
        """Return the headers of a request; made for it alone, so that no client keeps the key."""
        key = self._current_key()
        return self._headers if key is None else {**self._headers, "Authorization": f"Bearer {key}"}

    def _current_key(self) -> str | None:
        if self._key_env is None:
            return self._key
        key = os.environ.get(self._key_env, "").strip()
        if not key or not _HEADER_VALUE.fullmatch(key):
            raise EmbeddingUnavailable(
                f"the environment variable {self._key_env}, which api_key_env names, "
                f"{'holds no usable key' if key else 'is not set'}, so {self._name} was not asked. "
                "Nothing was stored. Repair: set it to the service's key."
            )
        return key

    def _unreachable(self, error: Exception, *, attempts: int) -> EmbeddingUnavailable:
        what = f"{type(error).__name__}: {str(error).rstrip('.')}".rstrip(": ")
        return EmbeddingUnavailable(
            f"{self._name} gave no answer in {attempts} attempts, the last of which ended with "
            f"{what}. Nothing was stored. Repair: check the address and that the service runs; if "
            f"it is slow, pass a longer timeout= (now {self._timeout:g} s) or a smaller "
            "batch_size=."
        )

    def _refusal(self, response: Response) -> EmbeddingFailed:
        status = response.status_code
        kind = EmbeddingFailed if status in OF_A_TEXT else EmbeddingUnavailable
        said = self._without_secrets(read_complaint(response.content))[:SHOWN_CHARS]
        repair = REPAIRS.get(status, UNKNOWN_REPAIR)
        if status in REDIRECTS:
            said = "it redirects, and a key is sent to the address given alone"
            repair = "pass the address that it redirects to, if you trust it"
        return kind(
            f"{self._name} refused with HTTP {status}: {said or response.reason_phrase}. "
            f"Nothing was stored. Repair: {repair}."
        )

    def _without_secrets(self, text: str) -> str:
        """Blank what was sent as a secret: some services repeat the key that they refuse."""
        key = self._key if self._key_env is None else os.environ.get(self._key_env, "").strip()
        long = [value for value in self._headers.values() if len(value) >= SHORTEST_SECRET]
        for secret in filter(None, (key, *long)):
            text = text.replace(secret, "***")
        return text


def _addresses(url: str) -> tuple[str, str]:
    """Return the address to post to, and the same without its query, to be shown."""
    try:
        parts = urlsplit(location(url, what="url").strip())
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except InvalidInput:
        raise
    except ValueError:  # of a port or an IPv6 address
        usable = False
    if not usable or parts.username is not None or parts.fragment:
        raise InvalidInput(
            "url is no address of a service. Repair: pass one such as 'http://localhost:8080/v1', "
            "the part before /embeddings, without user, password and fragment; send a key as "
            "api_key= or in headers=."
        )
    path = parts.path.rstrip("/")
    path = path if path.endswith("/embeddings") else f"{path}/embeddings"
    shown = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), shown


def _sendable(what: str, value: str) -> str:
    """Return a header's value, or refuse it without showing it: the HTTP library would show it."""
    if not value.strip() or not _HEADER_VALUE.fullmatch(value):
        raise InvalidInput(
            f"{what} is empty, or has characters that no HTTP header can hold, such as the end of "
            "a line. Repair: pass it as printable ASCII; .strip() what was read from a file."
        )
    return value


def _pause(state: RetryCallState) -> float:
    """Return the seconds to wait: what the service asks for, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.after if isinstance(error, _Again) else None
    return BACKOFF(state) if asked is None else asked


def _asked_pause(response: Response) -> float | None:
    """Read `Retry-After`: seconds, or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
