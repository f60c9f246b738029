"""The check of languages, and what scripts and languages are told by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from check_tools import EMBEDDER, at, given, said, session, store_sessions, watched
from hypothesis import given as for_all
from hypothesis import strategies as st

from agentmem.monitoring.checks.language import LanguageCheck
from agentmem.monitoring.checks.tongues import (
    Breadth,
    breadth_of,
    can_tell_languages,
    language_of,
    scripts_of,
)
from agentmem.testing import HashEmbedder
from agentmem.types import DriftFinding, Passport

check = LanguageCheck()
ENGLISH = (
    "I walked along the river this morning and it was colder than I had thought.",
    "Did you remember to call the plumber about the kitchen sink?",
    "We should book the train before the prices go up again next week.",
)
OTHERS = {
    "es": (
        "Esta mañana caminé junto al río y hacía más frío de lo que pensaba.",
        "¿Te acordaste de llamar al fontanero por el fregadero de la cocina?",
        "Deberíamos reservar el tren antes de que suban los precios otra vez.",
    ),
    "fr": (
        "Ce matin, je me suis promené le long de la rivière et il faisait plus froid que prévu.",
        "Est-ce que tu as pensé à appeler le plombier pour l'évier de la cuisine ?",
        "Nous devrions réserver le train avant que les prix n'augmentent encore.",
    ),
    "de": (
        "Heute Morgen bin ich am Fluss entlanggegangen, und es war kälter, als ich dachte.",
        "Hast du daran gedacht, den Klempner wegen der Spüle in der Küche anzurufen?",
        "Wir sollten den Zug buchen, bevor die Preise nächste Woche wieder steigen.",
    ),
    "it": (
        "Stamattina ho camminato lungo il fiume e faceva più freddo di quanto pensassi.",
        "Ti sei ricordato di chiamare l'idraulico per il lavandino della cucina?",
        "Dovremmo prenotare il treno prima che i prezzi aumentino di nuovo.",
    ),
    "pt": (
        "Esta manhã caminhei ao longo do rio e estava mais frio do que eu pensava.",
        "Lembraste-te de ligar ao canalizador por causa do lava-loiça da cozinha?",
        "Devíamos reservar o comboio antes que os preços voltem a subir.",
    ),
}
RUSSIAN = ("Сегодня утром я гулял вдоль реки.", "Ты не забыл позвонить водопроводчику?")
CHINESE = ("今天早上我沿着河边散步。", "你记得给水管工打电话了吗")


class Named(HashEmbedder):
    """An embedder of another name."""

    def __init__(self, model: str) -> None:
        super().__init__(EMBEDDER.passport.dimension)
        self._passport = replace(self._passport, model=model)

    @property
    def passport(self) -> Passport:
        return self._passport


def found(
    folder: Path, *, newer: Sequence[str], model: str = "all-MiniLM-L6-v2", share: int = 1
) -> DriftFinding:
    """Check a store in which every so-manieth session after the baseline is of other texts."""
    one = watched(folder, embedder=Named(model))
    held = [said(n, *(newer if n >= 40 and n % share == 0 else ENGLISH)) for n in range(80)]
    store_sessions(one, held)
    return check(given(one, kind="language", baseline=at(39.5), now=at(81)))


@pytest.mark.parametrize(("script", "texts"), [("CYRILLIC", RUSSIAN), ("CJK", CHINESE)])
def test_another_script_is_noticed(tmp_path: Path, script: str, texts: Sequence[str]) -> None:
    finding = found(tmp_path, newer=texts, share=2)
    assert (finding.status, finding.recommendation) == ("drifted", "evaluate")
    assert finding.detail["new"] == [script]
    assert finding.statistic == pytest.approx(0.5, abs=0.01)
    assert "made for one language" in finding.meaning


@pytest.mark.parametrize("language", OTHERS)
def test_another_language_in_the_same_script_is_noticed(tmp_path: Path, language: str) -> None:
    finding = found(tmp_path, newer=OTHERS[language], share=2)
    assert finding.status == "drifted"
    assert finding.detail["usual"] == ["LATIN", "en"]
    assert finding.detail["new"] == [language]


def test_the_same_language_is_no_drift(tmp_path: Path) -> None:
    finding = found(tmp_path, newer=ENGLISH[::-1])
    assert (finding.status, finding.statistic, finding.p_value) == ("stable", 0, 1)


def test_one_session_in_another_language_is_no_drift(tmp_path: Path) -> None:
    assert found(tmp_path, newer=RUSSIAN, share=39).status == "stable"


def test_a_model_for_many_languages_is_exempt(tmp_path: Path) -> None:
    finding = found(tmp_path, newer=RUSSIAN, model="intfloat/multilingual-e5-small")
    assert (finding.status, finding.recommendation) == ("stable", "nothing")
    assert "CYRILLIC" in finding.meaning


def test_of_an_unknown_model_it_is_said_that_nobody_knows(tmp_path: Path) -> None:
    finding = found(tmp_path, newer=RUSSIAN, model="our own")
    assert finding.status == "drifted"
    assert "not known" in finding.meaning


def test_too_few_sessions_and_routers_are_insufficient(tmp_path: Path) -> None:
    one = watched(tmp_path)
    ends = given(one, kind="language", baseline=at(0), now=at(1))
    assert check(ends).status == "insufficient_data"
    assert check(replace(ends, store=None, subject="router")).status == "insufficient_data"


def test_sessions_without_a_letter_are_no_failure(tmp_path: Path) -> None:
    one = watched(tmp_path)
    vectors = EMBEDDER.embed(["1"], kind="document")
    store_sessions(one, [session(n, texts=["123 + 4"], vectors=vectors) for n in range(60)])
    finding = check(given(one, kind="language", baseline=at(39.5), now=at(61)))
    assert (finding.status, finding.statistic) == ("stable", 0)


@pytest.mark.parametrize(
    ("model", "breadth"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", "one language"),
        ("BAAI/bge-small-en-v1.5", "one language"),
        ("BAAI/bge-large-zh", "one language"),
        ("intfloat/e5-base-v2", "one language"),
        ("nomic-ai/nomic-embed-text-v1.5", "one language"),
        ("Snowflake/snowflake-arctic-embed-m-v1.5", "one language"),
        ("embed-english-v3.0", "one language"),
        ("intfloat/multilingual-e5-large", "many languages"),
        ("paraphrase-multilingual-MiniLM-L12-v2", "many languages"),
        ("sentence-transformers/LaBSE", "many languages"),
        ("BAAI/bge-m3", "many languages"),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "many languages"),
        ("text-embedding-3-small", "many languages"),
        ("Alibaba-NLP/gte-multilingual-base", "many languages"),
        ("hashed-words-v1", "unknown"),
        ("acme/entailment", "unknown"),
    ],
)
def test_how_many_languages_a_model_is_for_is_read_off_its_name(
    model: str, breadth: Breadth
) -> None:
    assert breadth_of(model) == breadth


def test_scripts_are_counted_by_letters() -> None:
    assert dict(scripts_of(["abc 12!", "Привет", "日本語 kana かな"])) == {
        "LATIN": 7,
        "CYRILLIC": 6,
        "CJK": 3,
        "HIRAGANA": 2,
    }


@for_all(st.lists(st.text()))
def test_any_text_has_scripts_and_perhaps_a_language(texts: list[str]) -> None:
    assert scripts_of(texts).total() == sum(c.isalpha() for text in texts for c in text)
    language = language_of(texts)
    assert language is None or len(language) in {2, 3}


def test_a_language_is_told_of_enough_letters_alone() -> None:
    assert can_tell_languages()
    assert language_of(ENGLISH[:1]) is None
    assert language_of(ENGLISH) == "en"
    assert language_of(RUSSIAN * 9) is None  # another script is told by itself
