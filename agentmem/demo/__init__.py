"""The conversation that `agentmem demo` loads, and the questions it asks.

Twelve sessions of one year in the life of an invented person, written for this package: plans
that change, facts that are corrected later, facts spread over two sessions, and small talk.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["conversation", "questions"]


def conversation() -> list[dict[str, Any]]:
    """Return the turns in order, each a message that `memory.add` takes."""
    return [json.loads(line) for line in _read("conversation.jsonl").splitlines()]


def questions() -> list[dict[str, Any]]:
    """Return the questions, each with `question`, `answer`, `kind` and the `evidence` turn ids."""
    loaded: list[dict[str, Any]] = json.loads(_read("questions.json"))
    return loaded


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
