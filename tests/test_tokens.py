from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem import tokens
from agentmem.errors import InvalidInput, MissingDependency
from agentmem.protocols import TokenCounter
from agentmem.tokens import CallableCounter, TiktokenCounter, UncountableText


def test_counts_as_published_for_cl100k_base() -> None:
    # The first two are worked examples of OpenAI's cookbook, "How to count tokens with tiktoken".
    counter = TiktokenCounter()
    assert counter.count("tiktoken is great!") == 6
    assert counter.count("antidisestablishmentarianism") == 6
    assert counter.count("") == 0


def test_marks_of_a_model_in_the_text_are_plain_text() -> None:
    assert TiktokenCounter().count("<|endoftext|>") > 1


@given(st.text(), st.text())
def test_any_text_can_be_counted_and_joining_adds_no_more_than_a_little(a: str, b: str) -> None:
    counter = TiktokenCounter()
    assert 0 <= counter.count(a) <= len(a.encode("utf-8", "replace")) * 3
    assert counter.count(a + b) <= counter.count(a) + counter.count(b) + len(a + b)


def test_lone_surrogates_and_a_megabyte_are_counted() -> None:
    counter = TiktokenCounter()
    assert counter.count("a\ud800b") >= 3
    assert counter.count("word " * 200_000) >= 200_000


def test_pattern_is_tiktoken_s_own() -> None:
    from tiktoken_ext import openai_public

    assert repr(tokens._LOCAL_PATTERN)[1:-1] in repr(inspect.getsource(openai_public.cl100k_base))


def test_unknown_encoding_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="cl100k_base"):
        TiktokenCounter("cl100k").count("a")


def test_vocabulary_with_other_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cl100k_base.tiktoken"
    file.write_text("IQ== 0\n")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # tiktoken itself then checks no hash
    with pytest.raises(MissingDependency, match=r"agentmem\[offline\]"):
        tokens._from_file(file)


def test_without_vocabulary_and_network_counting_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # a port where nobody listens
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(MissingDependency, match="never guessed"):
        TiktokenCounter("o200k_base").count("a")


def test_any_function_can_count() -> None:
    counter = CallableCounter(lambda text: len(text.split()))
    assert counter.count("three short words") == 3
    assert isinstance(counter, TokenCounter)
    assert isinstance(TiktokenCounter(), TokenCounter)


def test_white_space_that_tiktoken_cannot_get_through_is_refused_not_guessed() -> None:
    with pytest.raises(UncountableText, match="white space"):
        TiktokenCounter().count("a" + " \t" * 500_000 + "b")
    assert TiktokenCounter().count("a" + " " * 200_000 + "b") > 1
