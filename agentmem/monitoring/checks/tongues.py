"""Which scripts and languages texts are in, and which models were made for one language alone.

Scripts are read off Unicode's names of letters. Languages within the Latin script are told by
`py3langid` (Lui & Baldwin, "langid.py: An off-the-shelf language identification tool", ACL 2012)
where the extra `languages` is installed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Final, Literal, TypeAlias

__all__ = ["Breadth", "breadth_of", "can_tell_languages", "language_of", "scripts_of"]

Breadth: TypeAlias = Literal["one language", "many languages", "unknown"]

MANY: Final = re.compile(
    r"multilingual|labse|distiluse|bge-m3|jina-embeddings-v3|arctic-embed-.*v2|qwen3-embedding"
    r"|text-embedding-(3|ada|00)|embed-v4|gemini|embeddinggemma|voyage|mistral|sonar|mgte|gritlm"
    r"|nomic-embed-text-v2|granite-embedding-(107|278)m|static-similarity-mrl"
)
ONE: Final = re.compile(
    r"all-minilm|all-mpnet|all-distilroberta|all-roberta|paraphrase-(minilm|albert|mpnet)"
    r"|embed-english|multi-qa-|msmarco-|gtr-t5|sentence-t5|(^|/)e5-(small|base|large)|nomic-embed-text-v1"
    r"|arctic-embed|mxbai-embed-large|instructor-|potion-base|potion-retrieval"
    r"|[-_](en|zh|de|fr|es|ja|ko|ru|nl|it|pt)([-_.]|$)|gte-(small|base|large)$"
)
LETTERS: Final = 100  # below, a language is a guess: at 100 it named 2 of 4,615 English texts wrong
READ: Final = 1_000  # characters; more did not tell more, and takes 0.5 ms as it is
MOST_CHARACTERS: Final = 4_000  # of a text whose scripts are counted; about 1 ms
NO_LANGUAGE: Final = "zxx"  # code, numbers, made-up words: nothing a model was made for or not
UNNAMED: Final = "UNNAMED"


def breadth_of(model: str) -> Breadth:
    """Return how many languages a model was made for, by its name."""
    name = model.lower()
    if MANY.search(name):
        return "many languages"
    return "one language" if ONE.search(name) else "unknown"


def scripts_of(texts: Iterable[str]) -> Counter[str]:
    """Count the letters of each script, such as `LATIN` or `CJK`, in all texts together."""
    letters = Counter(char for text in texts for char in text[:MOST_CHARACTERS] if char.isalpha())
    found: Counter[str] = Counter()
    for letter, count in letters.items():
        found[_script(letter)] += count
    return found


def can_tell_languages() -> bool:
    """Whether the library that tells languages is installed."""
    return find_spec("py3langid") is not None


def language_of(texts: Sequence[str]) -> str | None:
    """Return the ISO 639 code of the language most of what is in Latin script is in.

    None where that is too little to tell, or the extra `languages` is not installed.
    """
    whole = " ".join(texts)[: 2 * READ]
    latin = "".join(char for char in whole if not char.isalpha() or _script(char) == "LATIN")[:READ]
    if sum(map(str.isalpha, latin)) < LETTERS or not can_tell_languages():
        return None
    import py3langid

    code = str(py3langid.classify(latin)[0])
    return None if code == NO_LANGUAGE else code


@cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, UNNAMED).split()[0]
