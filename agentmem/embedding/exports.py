"""Exported models on disk: made once, found by every later process, under what they were made of.

A folder an export, in the user's cache: graph, tokenizer, and `export.json`, which says how near
its vectors come to torch's, or why there is no graph. It appears whole or not at all; a damaged
one counts as none. All of it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from agentmem.embedding.canaries import CANARY_SHA256
from agentmem.embedding.facts import ModelFacts, module_folders
from agentmem.embedding.weights import file_sha256, weights_sha256

__all__ = ["CACHE_VARIABLE", "Export", "cache_folder", "export_key", "find", "put"]

CACHE_VARIABLE: Final = "AGENTMEM_CACHE"
FORMAT: Final = 1  # raised when what is exported, or how it is checked, changes
MAKERS: Final = ("torch", "transformers", "sentence-transformers", "tokenizers")
READ: Final = ("*.json", "*.txt", "*.model", "*.jinja")  # what a model is made of beside weights
FOUND: Final = "export.json"
MAKING: Final = ".making-"  # before the name of an unfinished one
ABANDONED: Final = 24 * 3600  # seconds after which it belongs to a process that was killed


@dataclass(frozen=True, slots=True)
class Export:
    """What became of a model.

    Attributes:
        facts: Its shape and habits.
        least: Least cosine between its vectors and torch's; None without a graph.
        refused: Why torch runs it; None if the graph may.
        folder: Where it lies.
    """

    facts: ModelFacts
    least: float | None
    refused: str | None
    folder: Path


def cache_folder() -> Path:
    """Return where exports are kept; the environment variable `AGENTMEM_CACHE` names another."""
    from platformdirs import user_cache_path

    told = os.environ.get(CACHE_VARIABLE, "").strip()
    return (Path(told) if told else user_cache_path("agentmem")) / "onnx"


def export_key(folder: Path, *, runtime: str) -> str:
    """Name what an export depends on: the model's files, and whoever makes, runs and checks it.

    Args:
        folder: The model's folder.
        runtime: Version of ONNX Runtime.
    """
    parts = module_folders(folder)
    files = sorted({file for part in parts for kind in READ for file in (folder / part).glob(kind)})
    made_of = {
        "format": FORMAT,
        "weights": weights_sha256(folder, parts=parts),
        "files": {file.relative_to(folder).as_posix(): file_sha256(file) for file in files},
        "makers": {maker: version(maker) for maker in MAKERS},
        "runtime": runtime,
        "machine": platform.machine(),
        "canaries": CANARY_SHA256,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]


def find(key: str) -> Export | None:
    """Return an export that is whole, or None."""
    folder = cache_folder() / key
    try:
        found = json.loads((folder / FOUND).read_text(encoding="utf-8"))
        whole = all(file_sha256(folder / name) == own for name, own in found.pop("files").items())
        facts = ModelFacts(**found.pop("facts"))
        return Export(**found, facts=facts, folder=folder) if whole else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def put(key: str, make: Callable[[Path], Export]) -> Export:
    """Make an export in a folder of its own and move it to its place, all at once.

    Of processes that make the same one at a time the first wins, and the others use its.

    Args:
        key: What it is made of.
        make: Fills a folder and says what became of the model.

    Raises:
        OSError: The cache cannot be written.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    _clear(cache)
    with tempfile.TemporaryDirectory(
        dir=cache, prefix=MAKING, ignore_cleanup_errors=True
    ) as temporary:
        making = Path(temporary) / "export"
        making.mkdir()
        made = make(making)
        (making / FOUND).write_text(json.dumps(_described(made)), encoding="utf-8")
        return _placed(made, key=key, cache=cache)


def _described(made: Export) -> dict[str, Any]:
    if made.refused is not None:
        for file in made.folder.iterdir():
            file.unlink()
    files = {file.name: file_sha256(file) for file in sorted(made.folder.iterdir())}
    found = {"least": made.least, "refused": made.refused, "files": files}
    return {**found, "facts": asdict(made.facts)}


def _placed(made: Export, *, key: str, cache: Path) -> Export:
    first = find(key)
    if first is not None:
        return first
    place = cache / key
    shutil.rmtree(place, ignore_errors=True)  # a damaged one
    try:
        made.folder.rename(place)
    except OSError:
        first = find(key)  # another process was faster
        if first is None:
            raise
        return first
    return replace(made, folder=place)


def _clear(cache: Path) -> None:
    """Remove what processes that were killed had begun."""
    for begun in cache.glob(f"{MAKING}*"):
        with suppress(OSError):
            if time.time() - begun.stat().st_mtime > ABANDONED:
                shutil.rmtree(begun, ignore_errors=True)
