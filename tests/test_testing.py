from __future__ import annotations

import subprocess
import sys

import pytest

from agentmem.errors import InvalidInput
from agentmem.testing import HashEmbedder


def test_texts_that_share_words_are_nearer_than_those_that_do_not() -> None:
    embedder = HashEmbedder(256)
    question = embedder.embed(["Where does Ada live?"], kind="query")[0]
    near, far = embedder.embed(
        ["Ada moved to Lisbon, she will live there", "Buy milk"], kind="document"
    )
    assert question @ near > question @ far


def test_vectors_do_not_depend_on_python_s_hash_seed() -> None:
    script = (
        "from agentmem.testing import HashEmbedder as E;"
        "print(E(8).embed(['a b c'], kind='query').tolist())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_windows_count_words() -> None:
    embedder = HashEmbedder(window=10)
    assert embedder.split(["a b c d e f g h"], prefixes=["Ada: "]) == [["a b c d e f g h"]]
    assert len(embedder.split(["a b c d e f g h i j"], prefixes=["Ada: "])[0]) == 2
    with pytest.raises(InvalidInput):
        HashEmbedder(0)
    with pytest.raises(InvalidInput, match="shorten"):
        embedder.split(["a b"], prefixes=["one two three four five six seven eight nine ten"])
