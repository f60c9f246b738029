"""Docstrings of Google, NumPy and Sphinx style: what a function does, and its arguments."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

import docstring_parser

__all__ = ["Documentation", "read_docstring"]


@dataclass(frozen=True, slots=True)
class Documentation:
    """A docstring taken apart.

    Attributes:
        description: What stands before the first section, or all of a docstring without any.
        arguments: Descriptions by name of argument or attribute.
    """

    description: str = ""
    arguments: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Documentation:
    """Take a docstring apart; one that no style explains is a description as a whole."""
    whole = inspect.cleandoc(text or "")
    try:
        parsed = docstring_parser.parse(whole)
    except (docstring_parser.ParseError, IndexError):  # the latter at a lone `::`, as of 0.18
        return Documentation(whole)
    if not parsed.meta:
        return Documentation(whole)
    arguments = {
        name.strip().lstrip("*"): one.description
        for one in parsed.params
        for name in one.arg_name.split(",")  # NumPy documents several of one kind together
        if one.description
    }
    return Documentation((parsed.description or "").strip(), arguments)
