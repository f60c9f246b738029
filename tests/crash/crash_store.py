"""The store that the crash test begins with: built once, and copied for every run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any, Final

from crash_ledger import Whole
from crash_spaces import spaces
from crash_texts import fixed_texts, message

from agentmem import Memory
from agentmem.storage.schema import SCHEMA_VERSION

__all__ = ["FIXED", "KEPT", "WRITERS", "built", "first_turns", "users_of"]

WRITERS: Final = 3
FIXED: Final = "fixed"  # the user whose turns nobody changes
KEPT: Final = 40
PEOPLE: Final = 20
SESSION_TURNS: Final = 40
WRITTEN_SHARE: Final = 0.12  # turns of the users that writers change
MADE_BY: Final = 1  # raised when the store is built otherwise


def users_of(writer: int) -> tuple[str, str]:
    """Return the users whose turns a writer changes, and nobody else."""
    return f"writer{writer}a", f"writer{writer}b"


def first_turns(folder: Path) -> dict[Whole, tuple[str, str]]:
    """Return session and content of the turns a store began with, of the users of all writers."""
    told = json.loads((folder / "turns.json").read_text("utf-8"))
    return {(user, turn_id): (session, content) for user, turn_id, session, content in told}


def built(cache: Path, *, space: str, turns: int) -> Path:
    """Return a folder with such a store, built unless it is there."""
    folder = cache / f"{space}-{turns}-{SCHEMA_VERSION}-{MADE_BY}"
    if not folder.exists():
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        _build(unfinished, space=space, turns=turns)
        unfinished.rename(folder)
    return folder


def _build(folder: Path, *, space: str, turns: int) -> None:
    rng, told = Random(turns), []
    folder.mkdir(parents=True)
    written = [user for writer in range(WRITERS) for user in users_of(writer)]
    with Memory.open(folder / "store", embedder=spaces(space)[0]) as memory:
        memory.add(
            [{"id": f"k{n}", "role": "user", "content": one} for n, one in _kept()],
            user_id=FIXED,
            session_id="box",
        )
        left = turns - KEPT
        while left > 0:
            changes = rng.random() < WRITTEN_SHARE
            user = rng.choice(written) if changes else f"person{rng.randrange(PEOPLE)}"
            session = f"s{rng.randrange(9)}" if changes else f"s{rng.randrange(999)}"
            said = _session(rng, first=left, size=min(SESSION_TURNS, left))
            memory.add(said, user_id=user, session_id=session)
            left -= len(said)
            told += [(user, one["id"], session, one["content"]) for one in said if changes]
    (folder / "turns.json").write_text(json.dumps(told), "utf-8")


def _session(rng: Random, *, first: int, size: int) -> list[dict[str, Any]]:
    return [message(rng, turn_id=f"t{first - n}", tag=f"entry{first - n}") for n in range(size)]


def _kept() -> list[tuple[int, str]]:
    return list(enumerate(fixed_texts(KEPT)))
