"""How texts are measured where the model itself is elsewhere: by its tokenizer, or by a count.

Takes a window and what to count by; gives the splitter, and what the passport says of both.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agentmem.embedding.counting import COUNTED_SHARE, CountedTokenizer
from agentmem.embedding.splitting import Splitter
from agentmem.embedding.weights import tokenizer_sha256
from agentmem.errors import EmbeddingFailed, InvalidInput
from agentmem.protocols import TokenCounter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Measure"]


class Measure:
    """A window and what texts are measured by; reads a tokenizer at the first use.

    Args:
        window: Longest input in tokens; None splits nothing.
        tokenizer: A `tokenizer.json`, its folder, or a name on the hub.
        counter: Counts tokens instead.
        prompt: Text put before every document.
    """

    def __init__(
        self,
        *,
        window: int | None,
        tokenizer: str | Path | None,
        counter: TokenCounter | None,
        prompt: str,
    ) -> None:
        if tokenizer is not None and counter is not None:
            raise InvalidInput("tokenizer and counter are both given. Repair: pass the tokenizer.")
        if window is not None and tokenizer is None and counter is None:
            raise InvalidInput(
                f"window is {window} tokens, but nothing to measure texts by was given. Repair: "
                "pass tokenizer=, the model's tokenizer.json or its name on the hub, or counter=, "
                "such as TiktokenCounter() for the models of OpenAI."
            )
        self.window = window
        self._tokenizer, self._counter, self._prompt = tokenizer, counter, prompt
        self._lock = threading.Lock()
        self._splitter: Splitter | None = None

    @property
    def splitter(self) -> Splitter:
        """Splits texts and counts tokens.

        Raises:
            EmbeddingFailed: The tokenizer could not be read.
        """
        with self._lock:
            if self._splitter is None:
                self._splitter = self._made_splitter()
            return self._splitter

    @property
    def chunker(self) -> str:
        """How a text longer than the window is split, for the passport."""
        if self.window is None:
            return "none"
        return "overlap-v1" if self._counter is None else "overlap-counted-v1"

    @property
    def tokenizer_sha256(self) -> str | None:
        """Hash of the tokenizer, if there is one.

        Raises:
            EmbeddingFailed: It could not be found.
        """
        if self._tokenizer is None:
            return None
        return tokenizer_sha256(_file(self._tokenizer).parent)

    def _made_splitter(self) -> Splitter:
        if self._tokenizer is not None:
            return Splitter(_read(self._tokenizer), window=self.window, prompt=self._prompt)
        if self._counter is None:
            return Splitter(None, window=None, prompt=self._prompt)
        counting = cast("Tokenizer", CountedTokenizer(self._counter))  # in what a Splitter asks
        filled = None if self.window is None else int(self.window * COUNTED_SHARE)
        return Splitter(counting, window=filled, prompt=self._prompt)


def _read(source: str | Path) -> Tokenizer:
    """Read a tokenizer, without truncation and padding."""
    from tokenizers import Tokenizer

    file = _file(source)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises Exception itself
        raise _unreadable(source, error) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _file(source: str | Path) -> Path:
    """Find `tokenizer.json`, in the hub's cache or at the hub where no path leads to one."""
    path = Path(source).expanduser()
    for file in (path, path / "tokenizer.json"):
        if file.name == "tokenizer.json" and file.is_file():
            return file
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(str(source), "tokenizer.json"))
    except Exception as error:  # the hub's errors share no base class
        raise _unreadable(source, error) from error


def _unreadable(source: str | Path, error: Exception) -> EmbeddingFailed:
    why = str(error).partition("\n")[0].rstrip(".")
    return EmbeddingFailed(
        f"the tokenizer {str(source)!r} could not be read: {type(error).__name__}: {why}. Nothing "
        "was stored. Repair: pass a file named tokenizer.json, its folder, or a name on the hub; "
        "without a network, one that was downloaded before."
    )
