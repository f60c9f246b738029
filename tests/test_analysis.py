"""Texts to search terms: what is folded, split, stemmed, left out, and kept whole."""

from __future__ import annotations

import threading
import time

import pytest
import Stemmer
from hypothesis import example, given
from hypothesis import strategies as st

from agentmem import analysis
from agentmem.analysis import ASKS, LONGEST_TERM, analyze, stored_terms, words

# Every category, surrogates included: nothing that a caller may pass may raise.
ANY_TEXT = st.text(st.characters(codec=None))
ENGLISH = st.sampled_from(
    (
        *("moved", "Lisbon", "flats", "iPhone", "LinkedIn", "snake_case", "node.js", "v1.2.3"),
        *("O'Brien", "don't", "2023-05-03", "café", "日本語"),
    )
)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Moving moved moves", ["move"] * 3),
        ("the cats of my mother", ["cat", "mother"]),
        ("Crème brûlée, naïve Ångström", ["creme", "brule", "naiv", "angstrom"]),
        ("Nguyễn Văn", ["nguyen", "van"]),
        ("\ufb01ne \uff11\uff12 m\u00b2", ["fine", "12", "m2"]),
        ("e\u0301cole x\u0302", ["ecol", "x"]),
        ("😀 🎉👍🏽 ❤️", []),
        ("", []),
        (" \t\n … --- ' _ ", []),
    ],
)
def test_words_are_folded_stemmed_and_freed_of_grammar(text: str, terms: list[str]) -> None:
    assert analyze(text) == terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("snake_case", ["snake", "case", "snake_case"]),
        ("__init__", ["init"]),
        ("getUserName", ["get", "user", "name", "getusernam"]),
        ("HTTPServer", ["http", "server", "httpserver"]),
        ("iPhone", ["phone", "iphon"]),
        ("node.js", ["node", "js", "node.js"]),
        ("theModule.getX", ["modul", "themodul", "get", "x", "getx", "themodule.getx"]),
        ("ada@example.org", ["ada", "exampl", "org", "ada@example.org"]),
        ("v1.2.3", ["v1", "2", "3", "v1.2.3"]),
        ("3.14", ["3", "14", "3.14"]),
        ("2023-05-03", ["2023", "05", "03", "2023-05-03"]),
        ("10:30", ["10", "30", "10:30"]),
        ("src/main.py", ["src", "main", "py", "src/main.py"]),
        ("well-known", ["well", "known"]),
        ("1,000.", ["1", "000"]),
    ],
)
def test_identifiers_are_their_parts_and_themselves(text: str, terms: list[str]) -> None:
    assert analyze(text) == terms


@pytest.mark.parametrize("apostrophe", ["'", "\u2019", "\u02bc"])
@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("don't doesn't won't can't isn't", []),
        ("DON'T", []),
        ("I'll I'm we've they're it's he'd", []),
        ("let's go", ["go"]),
        ("Caroline's", ["carolin"]),
        ("the students' union", ["student", "union"]),
        ("O'Brien", ["o", "brien", "o'brien"]),
        ("rock'n'roll", ["rock", "n", "roll", "rock'n'roll"]),
        ("he is 5'10", ["5", "10", "5'10"]),
        ("it's.Paris", ["pari", "it.paris"]),
        ("Ada's/Bob's", ["ada", "bob", "ada/bob"]),
    ],
)
def test_contractions_are_grammar_and_names_are_not(
    text: str, terms: list[str], apostrophe: str
) -> None:
    assert analyze(text.replace("'", apostrophe)) == terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("東京都に住む", ["東京", "京都", "都に", "に住", "住む"]),
        ("猫", ["猫"]),
        ("人々", ["人々"]),
        ("カメラ", ["カメ", "メラ"]),
        ("ｶﾒﾗ", ["カメ", "メラ"]),
        ("한국어", ["한국", "국어"]),
        ("บ้าน", ["บ้", "้า", "าน"]),
        ("iPhoneを買う", ["phone", "iphon", "を買", "買う"]),
    ],
)
def test_scripts_without_spaces_become_pairs_of_characters(text: str, terms: list[str]) -> None:
    assert analyze(text) == terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Москва́", ["москва"]),
        ("שָׁלוֹם", ["שלום"]),
        ("مُحَمَّد", ["محمد"]),
        ("Αθήνα", ["αθήνα"]),
    ],
)
def test_words_of_other_scripts_stay_whole_without_their_points(
    text: str, terms: list[str]
) -> None:
    assert analyze(text) == terms
    assert words(text) == terms


@given(ANY_TEXT)
@example("\u0130stanbul \u017feptember \ud800 a\0b")
def test_any_text_has_terms_that_survive_being_stored(text: str) -> None:
    terms = analyze(text)
    assert terms == analyze(text)
    assert all(0 < len(term) <= LONGEST_TERM for term in terms)
    stored = stored_terms(text).split()
    assert stored in ([*terms, ASKS], terms)
    assert ASKS not in terms
    assert all(word and " " not in word for word in words(text))


@given(st.lists(ENGLISH, min_size=1), st.data())
def test_a_question_and_a_text_with_the_same_words_share_terms(
    said: list[str], data: st.DataObject
) -> None:
    asked = data.draw(st.permutations(said))
    assert sorted(analyze(", ".join(said) + ".")) == sorted(analyze(" ".join(asked) + "?"))


@given(st.text(st.characters(max_codepoint=127)))
def test_lower_case_is_found_in_any_case(text: str) -> None:
    assert set(analyze(text.lower())) <= set(analyze(text))


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("How is the flat?", True),
        ("How? \n", True),
        ("元気\uff1f", True),
        ("كيف حالك؟", True),
        ("Why? Because.", False),
        ("", False),
    ],
)
def test_a_text_that_ends_in_a_question_mark_is_marked(text: str, *, asks: bool) -> None:
    assert (ASKS in stored_terms(text).split()) == asks


def test_words_are_whole_and_in_lower_case_for_recognising_names() -> None:
    assert words("Did Anne-Marie O’Brien meet Zoë?") == [
        "did",
        "anne",
        "marie",
        "o",
        "brien",
        "meet",
        "zoe",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10**6,
        "a_" * 10**5,
        "a'" * 10**5,
        "a." * 10**5 + "!",
        "aB" * 10**5,
        "'" * 10**5,
        "-" * 10**6,
        "n't" * 10**5,
        "é" * 10**6,
        "日" * 10**6,
        "the quick brown fox jumps over it. " * 30_000,
    ],
    ids=lambda text: text[:4],
)
def test_a_megabyte_of_anything_is_read_in_seconds(text: str) -> None:
    started = time.process_time()
    stored_terms(text)
    words(text)
    assert time.process_time() - started < 5


def test_a_blob_is_cut_to_a_term_that_does_not_fill_memory() -> None:
    assert analyze("A" * 10**5) == ["a" * LONGEST_TERM]
    assert all(len(term) <= LONGEST_TERM for term in analyze("ab_9" * 10**4))


def test_eight_threads_stem_as_one_does() -> None:
    vocabulary = [
        f"{stem}{end}"
        for stem in ("mov", "walk", "connect", "gener", "relat")
        for end in ("e", "ed", "ing", "ion", "ions", "ational", "ously", "ivity")
    ] * 20
    alone = Stemmer.Stemmer("english").stemWords(vocabulary)
    analysis._stem.cache_clear()
    found: list[list[str]] = []
    ready = threading.Barrier(8)

    def stem() -> None:
        ready.wait()
        found.append(analyze(" ".join(vocabulary)))

    threads = [threading.Thread(target=stem) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 8
