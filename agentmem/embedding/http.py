"""The embedder over HTTP: any service with the embeddings request of the OpenAI API.

OpenAI itself, vLLM, Text Embeddings Inference, Ollama, llama.cpp, LM Studio and others. Takes
texts, gives unit float32 rows and the passport of their space, which is as good as what it was
told: behind an address the model may be exchanged, and only its vectors can show it.
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.checks import identifier, json_value
from agentmem.embedding.measuring import Measure
from agentmem.embedding.service import EmbeddingService
from agentmem.embedding.vectors import clean, clean_all, unit_rows
from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.protocols import TokenCounter
from agentmem.types import Kind, Passport

__all__ = ["HttpEmbedder"]

BATCH_SIZE: Final = 32  # texts a request; Text Embeddings Inference refuses more unless told
BATCH_CHARS: Final = 250_000  # a request; OpenAI takes 300,000 tokens, rarely more than characters
PROBE: Final = "How long is a vector?"  # embedded to learn the dimension where it was not given
OWN_FIELDS: Final = frozenset({"dimensions", "encoding_format", "input", "model"})


class HttpEmbedder:
    """Embeds with a service over HTTP. Several threads may use one at a time.

    Args:
        url: Address of the service up to `/embeddings`, such as `http://localhost:8080/v1`. It is
            not part of the passport: the same model may be served elsewhere.
        model: Name of the model, as the service knows it.
        api_key: Sent as a bearer token. Not shown in errors, spans or `repr`.
        api_key_env: Instead of it, the environment variable that holds the key.
        dimension: Components of the vectors; learnt by one request if absent.
        dimensions: Asks the service for that many components (Matryoshka models).
        query_prompt: Text put before a query, unless the service does it.
        document_prompt: Text put before a document, unless the service does it.
        query_parameters: Further fields of a request for queries, such as
            `{"input_type": "query"}`.
        document_parameters: The same for documents.
        window: Longest input in tokens; longer texts are split. None leaves long texts to the
            service, and some read only their beginning without a word.
        tokenizer: The model's own, which texts are measured and split by: a `tokenizer.json`, its
            folder, or a name on the Hugging Face hub.
        counter: Counts tokens where no `tokenizer` can be had; a tenth of the window is then
            kept free.
        revision: Version of the model, if the service has any; it becomes part of the passport.
        batch_size: Most texts of a request.
        concurrency: Requests of one call that are under way at a time.
        timeout: Seconds to wait for an answer.
        max_retries: Attempts after the first at a rate limit, an overload or a broken connection.
        headers: Sent with every request; their values are kept as secret as the key.

    Raises:
        InvalidInput: An argument cannot be used. Nothing is asked of the service before the
            first passport, split or embedding.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        api_key_env: str | None = None,
        dimension: int | None = None,
        dimensions: int | None = None,
        query_prompt: str = "",
        document_prompt: str = "",
        query_parameters: Mapping[str, Any] | None = None,
        document_parameters: Mapping[str, Any] | None = None,
        window: int | None = None,
        tokenizer: str | Path | None = None,
        counter: TokenCounter | None = None,
        revision: str | None = None,
        batch_size: int = BATCH_SIZE,
        concurrency: int = 1,
        timeout: float = 30.0,
        max_retries: int = 4,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        _at_least(1, dimension=dimension, dimensions=dimensions, window=window)
        _at_least(1, batch_size=batch_size, concurrency=concurrency)
        _at_least(0, max_retries=max_retries)
        if not timeout > 0:
            raise InvalidInput(f"timeout is {timeout}, but has to be more than 0 seconds.")
        if None not in {dimension, dimensions} and dimension != dimensions:
            raise InvalidInput(
                f"dimension is {dimension}, but the service is asked for {dimensions} by "
                "dimensions. Repair: leave dimension out."
            )
        self._service = EmbeddingService(
            url,
            api_key=api_key,
            api_key_env=api_key_env,
            headers=headers,
            timeout=timeout,
            max_retries=max_retries,
        )
        self._model = identifier(model, what="model")
        self._revision = revision
        self._dimension = dimension or dimensions
        self._dimensions = dimensions
        self._prompts: dict[Kind, str] = {
            "query": clean(query_prompt),
            "document": clean(document_prompt),
        }
        self._parameters: dict[Kind, dict[str, Any]] = {
            "query": _parameters(query_parameters, what="query_parameters"),
            "document": _parameters(document_parameters, what="document_parameters"),
        }
        self._measure = Measure(
            window=window, tokenizer=tokenizer, counter=counter, prompt=self._prompts["document"]
        )
        self._batch_size, self._concurrency = batch_size, concurrency
        self._lock = threading.RLock()
        self._passport: Passport | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._service.shown!r}, {self._model!r})"

    @property
    def passport(self) -> Passport:
        """The identity of the space, as far as it was told: weights behind an address have no hash.

        Raises:
            EmbeddingFailed: The dimension was not given, and the service could not be asked.
        """
        with self._lock:
            if self._passport is None:
                self._passport = self._made_passport()
            return self._passport

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed texts in requests of at most `batch_size`; see `protocols.Embedder`.

        A text without anything but white space gets a fixed row: most services refuse it.

        Raises:
            EmbeddingUnavailable: The service cannot be used now, whatever the texts.
            EmbeddingFailed: It does not take these texts, or gave no usable vectors.
        """
        ready, dimension = clean_all(texts), self.passport.dimension
        whole = [self._prompts[kind] + text for text in ready]
        rows = np.zeros((len(whole), dimension), dtype=np.float64)
        batches = list(self._batches(whole))

        def one(batch: list[int]) -> NDArray[np.float64]:
            return self._asked([whole[position] for position in batch], kind=kind)

        for batch, vectors in zip(batches, self._each(one, batches), strict=True):
            if vectors.shape[1] != dimension:
                raise self._other_dimension(vectors.shape[1], expected=dimension)
            rows[batch] = vectors
        return unit_rows(rows)

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split texts that exceed the window; see `protocols.Embedder`.

        Without a window no text is split.

        Raises:
            EmbeddingFailed: The tokenizer could not be read.
        """
        return self._measure.splitter.split(texts, prefixes=prefixes)

    def tokens(self, texts: Sequence[str]) -> int | None:
        """Count the tokens of texts, prompts left out; None without tokenizer and counter."""
        return self._measure.splitter.tokens(texts)

    def _made_passport(self) -> Passport:
        dimension = self._dimension
        if dimension is None:
            dimension = int(self._asked([PROBE], kind="document").shape[1])
        return Passport(
            provider="openai-compatible",
            model=self._model,
            revision=self._revision,
            tokenizer=self._measure.tokenizer_sha256,
            dimension=dimension,
            window=self._measure.window,
            pooling=self._way(),
            query_prompt=self._prompts["query"],
            document_prompt=self._prompts["document"],
            chunker=self._measure.chunker,
        )

    def _way(self) -> str:
        """Say how the service makes vectors: its own way, with the parameters it was given."""
        told = {kind: given for kind, given in self._parameters.items() if given}
        return " ".join(["service", *([json.dumps(told, sort_keys=True)] if told else [])])

    def _asked(self, texts: list[str], *, kind: Kind) -> NDArray[np.float64]:
        """Embed the texts of one request."""
        body: dict[str, Any] = {**self._parameters[kind], "model": self._model, "input": texts}
        body["encoding_format"] = "float"
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        return self._service.vectors(body, texts=len(texts))

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Group the positions of texts that say something into requests, in order."""
        batch: list[int] = []
        chars = 0
        for position, text in enumerate(texts):
            if not text.strip():
                continue
            if batch and (len(batch) == self._batch_size or chars + len(text) > BATCH_CHARS):
                yield batch
                batch, chars = [], 0
            batch.append(position)
            chars += len(text)
        if batch:
            yield batch

    def _each(
        self, one: Callable[[list[int]], NDArray[np.float64]], batches: Sequence[list[int]]
    ) -> Iterator[NDArray[np.float64]]:
        """Ask for each batch, several at a time if that was allowed; spans keep their parent."""
        workers = min(self._concurrency, len(batches))
        if workers <= 1:
            yield from map(one, batches)
            return
        with ThreadPoolExecutor(workers, "agentmem-embed") as pool:
            contexts = (contextvars.copy_context() for _ in batches)
            under_way = [
                pool.submit(context.run, one, batch)
                for context, batch in zip(contexts, batches, strict=True)
            ]
            try:
                yield from (asked.result() for asked in under_way)
            finally:
                pool.shutdown(cancel_futures=True)  # after a failure the rest is not asked

    def _other_dimension(self, found: int, *, expected: int) -> EmbeddingFailed:
        return EmbeddingFailed(
            f"{self!r} gave vectors of {found} components, where {expected} are expected: another "
            "model answers there, or the dimension given is wrong. Nothing was stored. Repair: "
            "check which model the service runs, and dimension= and dimensions=."
        )


def _at_least(least: int, **numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and value < least:
            raise InvalidInput(f"{name} is {value}, but has to be at least {least}.")


def _parameters(given: Mapping[str, Any] | None, *, what: str) -> dict[str, Any]:
    """Return further fields of a request, made of JSON's own types."""
    fields: dict[str, Any] = json_value(dict(given or {}), what=what)
    taken = sorted(fields.keys() & OWN_FIELDS)
    if taken:
        raise InvalidInput(
            f"{what} holds {taken}, which the embedder sets itself. Repair: leave them out; pass "
            "model and dimensions as arguments."
        )
    return fields
