from __future__ import annotations

import json
import logging
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from service_tools import DIMENSION, EMBEDDER, Asked, Reply, Service, answer, items, running_service
from spaces import E5Server, E5Small, e5_server, second_space
from tenacity import RetryCallState, Retrying, wait_fixed

from agentmem import Memory
from agentmem.embedding import EmbeddingUnavailable, HttpEmbedder, SentenceTransformerEmbedder
from agentmem.embedding import service as requests
from agentmem.embedding.service import BACKOFF
from agentmem.embedding.weights import bundled_folder, tokenizer_sha256
from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.tokens import CallableCounter, TiktokenCounter
from agentmem.types import Kind

KEY = "sk-" + "secret" * 4
AT_ONCE = {"Retry-After": "0"}
QUERY = {"input_type": "query"}
PASSAGE = {"input_type": "passage"}
TEXTS = ["the cat sat on the mat", "rain in turin", "Wo liegt der Schlüssel?", "猫はどこ"]


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with running_service() as running:
        yield running


@pytest.fixture
def service(running: Service) -> Service:
    running.reset()
    return running


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a moment where a service names no time; how long it really is has a test of its own."""
    monkeypatch.setattr(requests, "BACKOFF", wait_fixed(0.01))


@pytest.fixture(scope="module")
def e5_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with e5_server(tmp_path_factory.mktemp("e5")) as server:
        yield server.url


def of(service: Service, **options: Any) -> HttpEmbedder:
    """An embedder of the small service that need not ask for its dimension."""
    return HttpEmbedder(service.url, "hashed", **{"dimension": DIMENSION, **options})


def of_e5(url: str, **options: Any) -> HttpEmbedder:
    usual = {"query_parameters": QUERY, "document_parameters": PASSAGE, "timeout": 600.0}
    return HttpEmbedder(url, "multilingual-e5-small", **{**usual, **options})  # canaries take long


def everything_said(error: BaseException) -> str:
    """What a log shows of an error, with all it chains."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


# A real model behind a real server.


@pytest.mark.parametrize("kind", ["query", "document"])
def test_gives_the_vectors_of_the_model_that_the_service_runs(e5_url: str, kind: Kind) -> None:
    embedder = of_e5(e5_url)
    rows = embedder.embed(TEXTS, kind=kind)
    assert embedder.passport.dimension == 384
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(rows, second_space().embed(TEXTS, kind=kind), atol=1e-6)


def test_a_parameter_by_kind_makes_questions_and_documents_differ(e5_url: str) -> None:
    embedder = of_e5(e5_url)
    query, document = (embedder.embed(["rain"], kind=kind)[0] for kind in ("query", "document"))
    assert 0.5 < float(query @ document) < 0.99


def test_a_prompt_is_put_before_each_text(e5_url: str) -> None:
    prompted = of_e5(e5_url, query_prompt="Question: ", document_prompt="Title: ")
    prompts: dict[Kind, str] = {"query": "Question: ", "document": "Title: "}
    for kind, prompt in prompts.items():
        expected = second_space().embed([prompt + text for text in TEXTS], kind=kind)
        np.testing.assert_allclose(prompted.embed(TEXTS, kind=kind), expected, atol=1e-6)


def test_many_texts_come_back_in_order_however_they_are_sent(e5_url: str) -> None:
    texts = [f"note {number}" for number in range(30)]
    expected = second_space().embed(texts, kind="document")
    for options in ({"batch_size": 7}, {"batch_size": 7, "concurrency": 3}):
        rows = of_e5(e5_url, **options).embed(texts, kind="document")
        np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_a_long_text_is_split_and_found_by_its_piece(e5_url: str) -> None:
    e5: E5Small = second_space()
    embedder = of_e5(e5_url, window=128, counter=e5)
    page = " ".join(f"Paragraph {number} is about weather." for number in range(60))
    text = f"{page} The spare key is under the blue flower pot. {page}"
    (pieces,) = embedder.split([text], prefixes=["Ada: "])
    assert len(pieces) > 5
    assert max(e5.count("Ada: " + piece) for piece in pieces) <= 128
    question = embedder.embed(["Where is the spare key?"], kind="query")[0]
    best = int(np.argmax(embedder.embed(pieces, kind="document") @ question))
    assert "spare key" in pieces[best]


def test_a_memory_lives_in_the_space_of_a_service(e5_url: str, tmp_path: Path) -> None:
    embedder = of_e5(e5_url, dimension=384, api_key=KEY)
    with Memory.open(tmp_path / "e5", embedder=embedder) as memory:
        memory.add(
            ["La chiave di riserva è sotto il vaso blu.", "Der Zug fährt um neun."], user_id="ada"
        )
        (hit,) = memory.search("Where is the spare key?", user_id="ada", k=1)
        assert "chiave" in hit.turn.content
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"openai-compatible" in stored
    assert KEY.encode() not in stored


def test_an_address_where_nothing_embeds_is_named(e5_url: str) -> None:
    wrong = of_e5(e5_url.replace("/v1", "/v2"), max_retries=0)
    with pytest.raises(EmbeddingUnavailable, match=r"/v2/embeddings refused with HTTP 404: unknow"):
        _ = wrong.passport


@pytest.mark.slow
def test_a_service_killed_in_the_middle_is_an_error_and_the_next_one_is_used(
    tmp_path: Path,
) -> None:
    with e5_server(tmp_path) as server:
        embedder = of_e5(server.url, dimension=384, batch_size=1, max_retries=1)
        with Memory.open(tmp_path / "e5", embedder=embedder) as memory:
            killer = threading.Thread(target=kill_after, args=(server, 0.5))
            killer.start()
            started = time.monotonic()
            with pytest.raises(EmbeddingUnavailable, match="no answer in 2 attempts"):
                memory.add(["a note " * 40 + str(number) for number in range(500)], user_id="ada")
            assert time.monotonic() - started < 10
            killer.join()
            assert memory.count(user_id="ada") == 0
            server.start()
            memory.add("The spare key is under the pot.", user_id="ada")
            assert memory.count(user_id="ada") == 1


def kill_after(server: E5Server, seconds: float) -> None:
    time.sleep(seconds)
    server.kill()


# What is sent.


def test_a_request_has_the_form_of_the_openai_api(service: Service) -> None:
    embedder = HttpEmbedder(
        service.url + "/?api-version=7",
        "hashed",
        api_key=KEY,
        dimensions=DIMENSION,
        document_parameters=PASSAGE,
        headers={"X-Tenant": "ada"},
    )
    embedder.embed(["rain"], kind="document")
    embedder.embed(["rain"], kind="query")
    document, query = service.asked
    body = {"model": "hashed", "encoding_format": "float", "dimensions": DIMENSION}
    assert document.body == {**body, "input": ["rain"], "input_type": "passage"}
    assert query.body == {**body, "input": ["rain"]}
    assert document.path == "/v1/embeddings?api-version=7"
    assert document.headers["Authorization"] == f"Bearer {KEY}"
    assert document.headers["X-Tenant"] == "ada"


@pytest.mark.parametrize("ending", ["", "/", "/embeddings", "/embeddings/"])
def test_an_address_may_name_the_route_or_not(service: Service, ending: str) -> None:
    HttpEmbedder(service.url + ending, "hashed", dimension=DIMENSION).embed(["a"], kind="query")
    assert service.asked[0].path == "/v1/embeddings"
    assert "Authorization" not in service.asked[0].headers


def test_requests_hold_few_enough_texts_and_characters(service: Service) -> None:
    long = "word " * 20_000  # 100,000 characters
    of(service, batch_size=5).embed([long] * 3 + ["short"] * 12, kind="document")
    sizes = [[len(text) for text in asked.body["input"]] for asked in service.asked]
    assert sizes == [[100_000] * 2, [100_000, 5, 5, 5, 5], [5] * 5, [5] * 3]


def test_requests_of_one_call_go_one_by_one_unless_more_are_allowed(service: Service) -> None:
    service.always = Reply(body=answer, delay=0.05)
    for concurrency in (1, 3):
        service.most_under_way = 0
        of(service, batch_size=1, concurrency=concurrency).embed(list("abcdefghi"), kind="query")
        assert service.most_under_way == concurrency


WHOSE = ContextVar("WHOSE", default="nobody")


class Hearing(logging.Handler):
    """Notes in whose context requests are made."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, bool]] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert "HTTP" in record.getMessage()
        self.heard.append((WHOSE.get(), threading.current_thread() is threading.main_thread()))


def test_requests_on_other_threads_belong_to_the_same_trace(service: Service) -> None:
    hearing, logger = Hearing(), logging.getLogger("httpx2")
    token, level = WHOSE.set("ada"), logger.level
    logger.addHandler(hearing)
    logger.setLevel(logging.INFO)
    try:
        of(service, batch_size=1, concurrency=2).embed(list("abcd"), kind="query")
    finally:
        WHOSE.reset(token)
        logger.removeHandler(hearing)
        logger.setLevel(level)
    assert hearing.heard == [("ada", False)] * 4


def test_after_a_failure_the_rest_is_not_asked(service: Service) -> None:
    service.always = Reply(400, b"no", delay=0.05)
    for concurrency in (1, 2):
        service.asked = []
        with pytest.raises(EmbeddingFailed):
            of(service, batch_size=1, concurrency=concurrency).embed(
                list("abcdefghij"), kind="query"
            )
        assert len(service.asked) <= 2 * concurrency


def test_blank_texts_have_a_row_and_are_not_sent(service: Service) -> None:
    rows = of(service).embed(["", "rain", " \n"], kind="document")
    assert service.asked[0].body["input"] == ["rain"]
    np.testing.assert_allclose(rows[[0, 2]], np.float32(DIMENSION**-0.5))
    prompted = of(service, document_prompt="passage: ").embed([""], kind="document")
    assert service.asked[1].body["input"] == ["passage: "]
    assert not np.allclose(prompted, rows[0])


# What is answered.


def test_rows_are_scaled_to_unit_length(service: Service) -> None:
    rows = of(service).embed(TEXTS, kind="document")
    np.testing.assert_allclose(rows, EMBEDDER.embed(TEXTS, kind="document"), atol=1e-6)


def changed(change: Callable[[list[dict[str, Any]]], Any]) -> Reply:
    """A good answer with its items changed."""

    def body(asked: Asked) -> bytes:
        return json.dumps({"data": change(items(asked.body["input"]))}).encode()

    return Reply(body=body)


def without_index(given: list[dict[str, Any]], *, only_zero: bool) -> list[dict[str, Any]]:
    dropped = [item for item in given if item["index"] == 0 or not only_zero]
    for item in dropped:
        del item["index"]
    return given


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given[::-1],
        lambda given: without_index(given, only_zero=True)[::-1],
        lambda given: without_index(given, only_zero=False),
        lambda given: [{**item, "object": 7, "more": None} for item in given],
    ],
    ids=["shuffled", "index 0 left out", "no index", "unknown fields"],
)
def test_each_vector_goes_to_its_text(
    service: Service, change: Callable[[list[dict[str, Any]]], Any]
) -> None:
    service.replies = [changed(change)]
    rows = of(service).embed(TEXTS, kind="document")
    np.testing.assert_allclose(rows, EMBEDDER.embed(TEXTS, kind="document"), atol=1e-6)


def with_vector(embedding: object) -> Reply:
    """A good answer whose second vector is another."""
    return changed(lambda given: [given[0], {"index": 1, "embedding": embedding}, *given[2:]])


UNUSABLE = {
    "html": (Reply(body=b"<html>Welcome</html>"), "the body: Invalid JSON"),
    "nothing": (Reply(), "the body: Invalid JSON"),
    "no data": (Reply(body=b'{"error": "loading"}'), "data: Field required"),
    "a list": (Reply(body=b"[]"), "the body: Input should be"),
    "too few": (changed(lambda given: given[1:]), "3 vectors for 4 texts"),
    "too many": (changed(lambda given: [*given, given[0]]), "5 vectors for 4 texts"),
    "index twice": (changed(lambda given: [given[0], *given[:3]]), "not each once"),
    "index beyond": (changed(lambda g: [{**g[0], "index": 9}, *g[1:]]), "not each once"),
    "index below": (changed(lambda g: [*g[:3], {**g[3], "index": -1}]), "not each once"),
    "no vector": (changed(lambda given: [{"index": 0}, *given[1:]]), "data.0.embedding: Field"),
    "base64": (with_vector("AAAAAA=="), "data.1.embedding: Input should be a valid"),
    "words": (with_vector(["1.0"] * DIMENSION), "valid number"),
    "null": (with_vector([None] * DIMENSION), "valid number"),
    "truth": (with_vector([True] * DIMENSION), "valid number"),
    "nested": (with_vector([[1.0] * DIMENSION]), "valid number"),
    "empty": (changed(lambda g: [{**item, "embedding": []} for item in g]), r"vectors of \[0\]"),
    "shorter": (with_vector([1.0] * 31), r"vectors of \[31, 32\] components"),
    "NaN": (with_vector([float("nan")] * DIMENSION), "for 1 of 4 texts, the first at position 1"),
    "infinite": (with_vector([float("-inf")] * DIMENSION), "NaN, infinite or huge"),
    "huge": (with_vector([1e300] * DIMENSION), "NaN, infinite or huge"),
    "other model": (
        changed(lambda given: [{**item, "embedding": [1.0] * 8} for item in given]),
        "vectors of 8 components, where 32 are expected",
    ),
}


@pytest.mark.parametrize(("reply", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_answer_that_cannot_be_trusted_is_refused_at_once(
    service: Service, reply: Reply, why: str
) -> None:
    service.replies = [reply]
    with pytest.raises(EmbeddingFailed, match=f"{why}.*Nothing was stored|{why}.*nothing was") as e:
        of(service).embed(TEXTS, kind="document")
    assert not isinstance(e.value, EmbeddingUnavailable)
    assert "Repair: " in str(e.value)
    assert len(service.asked) == 1


# What goes wrong on the way.


def test_a_rate_limit_is_waited_for_as_long_as_the_service_asks(service: Service) -> None:
    in_two_seconds = formatdate(time.time() + 2, usegmt=True)
    service.replies = [Reply(429, headers={"Retry-After": wait}) for wait in ("1", in_two_seconds)]
    started = time.monotonic()
    of(service).embed(["rain"], kind="query")
    assert time.monotonic() - started >= 1.0
    assert len(service.asked) == 3


def test_a_wait_that_is_too_long_is_left_to_the_caller(service: Service) -> None:
    service.always = Reply(429, b'{"error": {"message": "quota"}}', {"Retry-After": "3600"})
    with pytest.raises(EmbeddingUnavailable, match=r"HTTP 429: quota.*fewer requests"):
        of(service).embed(["rain"], kind="query")
    assert len(service.asked) == 1


def test_pauses_grow_to_a_limit_and_are_never_quite_the_same() -> None:
    state = RetryCallState(Retrying(), None, (), {})
    pauses = []
    for state.attempt_number in range(1, 12):
        pauses += [BACKOFF(state)]
    for pause, least in zip(pauses, [0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8, 8], strict=True):
        assert least <= pause <= least + 0.5
    assert BACKOFF(state) != pauses[-1]


@pytest.mark.parametrize("odd", ["soon", "nan", "-5", "Mon, 99 Foo 2026"])
def test_an_odd_wait_is_not_waited_for(service: Service, odd: str) -> None:
    service.replies = [Reply(503, headers={"Retry-After": odd})]
    started = time.monotonic()
    of(service).embed(["rain"], kind="query")
    assert time.monotonic() - started < 5
    assert len(service.asked) == 2


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_a_failure_that_passes_is_not_noticed(service: Service, status: int) -> None:
    service.replies = [Reply(status, headers=AT_ONCE)] * 3
    assert of(service).embed(["rain"], kind="query").shape == (1, DIMENSION)
    assert len(service.asked) == 4


OF_A_TEXT = {500: True, 400: True, 413: True, 422: True}
OF_A_TEXT |= dict.fromkeys((401, 403, 404, 418, 429, 503), False)


@pytest.mark.parametrize(("status", "of_a_text"), OF_A_TEXT.items())
def test_a_failure_that_stays_is_told_with_what_the_service_says(
    service: Service, *, status: int, of_a_text: bool
) -> None:
    service.always = Reply(status, b'{"error": {"message": "the reason."}}', AT_ONCE)
    with pytest.raises(
        EmbeddingFailed, match=rf"HTTP {status}: the reason\. .*Repair: \w"
    ) as error:
        of(service, max_retries=2).embed(["rain"], kind="query")
    assert isinstance(error.value, EmbeddingUnavailable) is not of_a_text
    assert len(service.asked) == (3 if status in {429, 500, 503} else 1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "m", "type": "t"}}', "m"),
        (b'{"error": "e", "code": 7}', "e"),
        (b'{"message": "m", "object": "error"}', "m"),
        (b'{"detail": [{"loc": ["input"], "msg": "too long"}]}', "too long"),
        (b"plain\n  text", "plain text"),
        (b"", "Bad Request"),
        (b"\xff\xfe", "\ufffd"),
        (b"x" * 5_000, "x" * 300 + r"\. Nothing"),
    ],
)
def test_the_forms_in_which_services_complain_are_read(
    service: Service, body: bytes, said: str
) -> None:
    service.always = Reply(400, body)
    with pytest.raises(EmbeddingFailed, match=f"HTTP 400: .*{said}"):
        of(service).embed(["rain"], kind="query")


def test_a_service_that_does_not_answer_in_time_is_asked_again(service: Service) -> None:
    service.replies = [Reply(delay=1.0, body=answer)]
    assert of(service, timeout=0.3).embed(["rain"], kind="query").shape == (1, DIMENSION)
    service.replies = [Reply(delay=1.0, body=answer)] * 2
    with pytest.raises(EmbeddingUnavailable, match=r"in 2 attempts.*ReadTimeout.*timeout=.*0\.3 s"):
        of(service, timeout=0.3, max_retries=1).embed(["rain"], kind="query")


def test_a_connection_that_breaks_is_made_again(service: Service) -> None:
    service.replies = [Reply(cut=True), Reply(body=answer, headers={"Content-Length": "999999"})]
    assert of(service).embed(["rain"], kind="query").shape == (1, DIMENSION)
    assert len(service.asked) == 3


def test_a_service_that_is_not_there_is_named(service: Service) -> None:
    embedder = HttpEmbedder("http://127.0.0.1:9/v1", "m", max_retries=0)
    with pytest.raises(EmbeddingUnavailable, match=r"127\.0\.0\.1:9/v1/embeddings gave no answer"):
        _ = embedder.passport
    assert repr(embedder) == "HttpEmbedder('http://127.0.0.1:9/v1/embeddings', 'm')"


def test_a_redirect_is_not_followed_with_the_key(service: Service) -> None:
    with running_service() as elsewhere:
        service.always = Reply(307, headers={"Location": elsewhere.url + "/embeddings"})
        with pytest.raises(EmbeddingUnavailable, match="redirects"):
            of(service, api_key=KEY).embed(["rain"], kind="query")
        assert elsewhere.asked == []


# Secrets.


@pytest.mark.parametrize(
    "reply",
    [
        Reply(401, f'{{"error": {{"message": "Incorrect API key: {KEY}"}}}}'.encode()),
        Reply(400, ("x" * 290 + KEY).encode()),
        Reply(500, f"header {KEY} and {KEY[::-1]}".encode(), AT_ONCE),
        Reply(cut=True),
        Reply(body=KEY.encode()),
        Reply(body=f'{{"data": "{KEY}"}}'.encode()),
    ],
    ids=["refused", "cut off", "repeated", "broken", "no JSON", "no list"],
)
def test_neither_key_nor_headers_come_out_in_an_error(
    service: Service, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.always = reply
    embedder = of(service, api_key=KEY, headers={"api-key": KEY[::-1]}, max_retries=1)
    with pytest.raises(EmbeddingFailed) as error:
        embedder.embed(["rain"], kind="query")
    said = everything_said(error.value) + repr(embedder) + repr(embedder._service) + caplog.text
    assert "127.0.0.1" in caplog.text
    assert KEY not in said
    assert KEY[::-1] not in said
    assert "sk-sec" not in said


def test_a_key_is_read_from_the_environment_at_each_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = of(service, api_key_env="SERVICE_KEY")
    monkeypatch.delenv("SERVICE_KEY", raising=False)
    with pytest.raises(EmbeddingUnavailable, match=r"SERVICE_KEY.*is not set"):
        embedder.embed(["rain"], kind="query")
    monkeypatch.setenv("SERVICE_KEY", "a\nb")
    with pytest.raises(EmbeddingUnavailable, match="holds no usable key"):
        embedder.embed(["rain"], kind="query")
    for key in ("first", "second"):
        monkeypatch.setenv("SERVICE_KEY", f"{key}\n")
        embedder.embed(["rain"], kind="query")
    assert [asked.headers["Authorization"] for asked in service.asked] == [
        "Bearer first",
        "Bearer second",
    ]
    service.always = Reply(401, b"no key like second")
    with pytest.raises(EmbeddingUnavailable, match=r"no key like \*\*\*"):
        embedder.embed(["rain"], kind="query")


@pytest.mark.parametrize("secret", [KEY + "\n", KEY + "ü", KEY + "\0", " "])
@pytest.mark.parametrize("where", ["api_key", "headers"])
def test_a_secret_no_header_can_hold_is_refused_without_showing_it(where: str, secret: str) -> None:
    given: Any = secret if where == "api_key" else {"X-Key": secret}
    with pytest.raises(InvalidInput, match="printable ASCII") as error:
        HttpEmbedder("http://localhost/v1", "m", **{where: given})
    assert KEY not in str(error.value)


# The passport.


def test_the_passport_says_what_is_known_and_no_more(service: Service) -> None:
    embedder = of(
        service, query_prompt="q: ", document_prompt="d: ", revision="2026-05", api_key=KEY
    )
    passport = embedder.passport
    assert service.asked == []
    assert (passport.provider, passport.model) == ("openai-compatible", "hashed")
    assert (passport.revision, passport.weights, passport.tokenizer) == ("2026-05", None, None)
    assert (passport.dimension, passport.window) == (DIMENSION, None)
    assert (passport.query_prompt, passport.document_prompt) == ("q: ", "d: ")
    assert (passport.pooling, passport.precision, passport.chunker) == (
        "service",
        "float32",
        "none",
    )
    assert passport.normalized
    assert KEY not in repr(passport)


def test_the_dimension_is_learnt_by_one_request(service: Service) -> None:
    embedder = HttpEmbedder(service.url, "hashed")
    assert embedder.passport.dimension == DIMENSION
    assert embedder.passport == of(service).passport
    assert len(service.asked) == 1


def test_spaces_that_differ_have_passports_that_differ(service: Service) -> None:
    different = [
        of(service),
        of(service, dimension=16),
        of(service, dimension=None, dimensions=16, revision="1"),
        of(service, revision="2"),
        of(service, query_prompt="q: "),
        of(service, query_parameters=QUERY),
        of(service, document_parameters=QUERY),
        of(service, window=64, counter=TiktokenCounter()),
        HttpEmbedder(service.url, "other", dimension=DIMENSION),
    ]
    assert len({embedder.passport.id for embedder in different}) == len(different)
    elsewhere = HttpEmbedder("https://example.org/v1", "hashed", dimension=DIMENSION, batch_size=9)
    assert elsewhere.passport == of(service).passport


# Measuring and splitting.


def test_a_models_own_tokenizer_splits_as_the_model_does_here(
    service: Service, minilm: SentenceTransformerEmbedder
) -> None:
    folder = bundled_folder()
    assert folder is not None
    texts = ["The cat sat. " * 300, "rain", "naïve façade 猫 " * 200]
    prefixes = ["Ada: ", "", "Bo: "]
    for tokenizer in (folder, str(folder / "tokenizer.json")):
        embedder = of(service, window=256, tokenizer=tokenizer)
        assert embedder.split(texts, prefixes=prefixes) == minilm.split(texts, prefixes=prefixes)
        assert embedder.tokens(texts) == minilm.tokens(texts)
        assert embedder.passport.tokenizer == tokenizer_sha256(folder)
        assert embedder.passport.chunker == minilm.passport.chunker
    assert service.asked == []


@pytest.mark.parametrize("tokenizer", ["no/such-model", "./nowhere", "service_tools.py"])
def test_a_tokenizer_that_is_not_there_is_an_error(service: Service, tokenizer: str) -> None:
    embedder = of(service, window=256, tokenizer=tokenizer)
    with pytest.raises(EmbeddingFailed, match=re.escape(repr(tokenizer))):
        embedder.split(["rain"], prefixes=[""])
    with pytest.raises(EmbeddingFailed, match=re.escape(repr(tokenizer))):
        _ = embedder.passport


def test_a_damaged_tokenizer_is_an_error(service: Service, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EmbeddingFailed, match="could not be read"):
        of(service, window=256, tokenizer=tmp_path).split(["rain"], prefixes=[""])


def test_without_a_window_nothing_is_split(service: Service) -> None:
    text = "word " * 50_000
    assert of(service).split([text], prefixes=["Ada: "]) == [[text]]
    assert of(service).tokens([text]) is None
    assert of(service, counter=TiktokenCounter()).tokens(["hello world"]) == 4


@settings(max_examples=60)
@given(text=st.text(st.sampled_from("the cat. ran\n\tñ🦄\ud800猫ABC_"), max_size=900))
@example(text="猫" * 900)
@example(text="a" * 20_000)
@example(text=" \n" * 700)
@example(text="the cat sat on a mat. " * 200)
def test_pieces_by_a_count_cover_the_text_and_fit(text: str) -> None:
    window, counter = 48, CallableCounter(lambda text: len(text.encode("utf-8", "replace")) // 3)
    embedder = HttpEmbedder("http://localhost/v1", "m", window=window, counter=counter)
    (pieces,) = embedder.split([text], prefixes=["Ada: "])
    assert max(counter.count("Ada: " + piece) for piece in pieces) <= window * 0.9 - 2
    reached = 0
    for piece in pieces:
        place = text.rfind(piece, 0, reached + len(piece))
        assert place >= 0
        reached = max(reached, place + len(piece))
    assert reached == len(text)


def test_pieces_by_a_count_are_nearly_full(service: Service) -> None:
    counter = TiktokenCounter()
    embedder = of(service, window=256, counter=counter)
    text = " ".join(f"The cat number {number} ran home to sleep." for number in range(400))
    (pieces,) = embedder.split([text], prefixes=["Ada: "])
    counts = [counter.count("Ada: " + piece) for piece in pieces]
    assert max(counts) <= 230
    assert min(counts[:-1]) > 140


# Arguments.


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"window": 256}, "nothing to measure texts by"),
        ({"tokenizer": "x", "counter": TiktokenCounter()}, "both given"),
        ({"api_key": "x", "api_key_env": "Y"}, "both given"),
        ({"dimension": 8, "dimensions": 4}, "dimension is 8"),
        ({"dimension": 0}, "dimension is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"max_retries": -1}, "max_retries is -1"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"query_parameters": {"model": "x"}}, r"\['model'\]"),
        ({"document_parameters": {"x": float("nan")}}, "document_parameters.x"),
        ({"model": ""}, "model is empty"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        HttpEmbedder(**{"url": "http://localhost/v1", "model": "m", **options})


NO_ADDRESSES = ["", "localhost:8080/v1", "ftp://host/v1", "http:///v1", "http://host:x/v1"]
NO_ADDRESSES += ["http://[::1/v1", "http://host/v1#part", "http://host:0/v1", "http://h\0/v1"]
NO_ADDRESSES += [f"http://user:{KEY}@host/v1"]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="url") as error:
        HttpEmbedder(url, "m")
    assert KEY not in str(error.value)


@settings(max_examples=40)
@given(path=st.text(max_size=30))
@example(path="\r\nX-Key: 1")
@example(path="%zz/../..")
def test_any_path_is_refused_or_asked_for_with_a_typed_error(path: str) -> None:
    with pytest.raises((InvalidInput, EmbeddingUnavailable)):
        _ = HttpEmbedder(f"http://127.0.0.1:9/{path}", "m", max_retries=0).passport


@pytest.mark.parametrize("host", ["xn--a", "a" * 70, "a..b", "*", "a b", "\u2028", "127.0.0.1.9.9"])
def test_a_host_that_cannot_be_is_a_typed_error(host: str) -> None:
    with pytest.raises((InvalidInput, EmbeddingUnavailable)):
        _ = HttpEmbedder(f"http://{host}/v1", "m", max_retries=0).passport
