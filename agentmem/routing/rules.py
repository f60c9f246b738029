"""What lint has to say about one tool by itself: its name, its description, its arguments.

Each rule takes a tool and gives what is wrong with how to repair it, or None. They read
definitions alone, no vectors and no usage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from agentmem.analysis import analyze
from agentmem.checks import shown
from agentmem.toolspec.schemas import COMBINED, resolved
from agentmem.types import LintIssue, Tool

__all__ = ["RULES", "Rule", "findings"]

Rule: TypeAlias = Callable[[Tool], str | None]

ACCEPTED_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # OpenAI's rule, the strictest in use
LONGEST_NAME: Final = 64
LONGEST_DESCRIPTION: Final = 1_024  # characters OpenAI takes; longer ones are refused there
FEWEST_WORDS: Final = 3  # "sends mail" says no more than the name; a third word sets it apart
LISTED: Final = 5  # arguments named in a message


def findings(tool: Tool) -> list[LintIssue]:
    """Return what every rule finds about a tool."""
    told = ((name, rule(tool)) for name, rule in RULES.items())
    return [LintIssue(tool.name, tool.namespace, name, text) for name, text in told if text]


def accepted_name(tool: Tool) -> str | None:
    """Find a name that models' APIs refuse."""
    if ACCEPTED_NAME.fullmatch(tool.name):
        return None
    repaired = re.sub(r"[^a-zA-Z0-9_-]+", "_", tool.name).strip("_")[:LONGEST_NAME]
    offer = f", such as {repaired!r}" if repaired else ""
    return (
        f"the name {shown(tool.name)} is not accepted by OpenAI and others: up to {LONGEST_NAME} "
        f"letters of ASCII, digits, _ and - may make one. Rename it{offer}."
    )


def description(tool: Tool) -> str | None:
    """Find a tool without a description."""
    if tool.description.strip():
        return None
    return (
        "it has no description, so only its name and arguments can match a query. Say in a "
        "sentence or two what it does and when to use it."
    )


def telling_description(tool: Tool) -> str | None:
    """Find a description of too few words."""
    terms = set(analyze(tool.description))
    if not tool.description.strip() or len(terms) >= FEWEST_WORDS:
        return None
    return (
        f"the description {shown(tool.description)} has {len(terms)} telling "
        f"word{'' if len(terms) == 1 else 's'}. Say what it does, to what, and when to use it."
    )


def short_description(tool: Tool) -> str | None:
    """Find a description that models' APIs refuse."""
    if len(tool.description) <= LONGEST_DESCRIPTION:
        return None
    return (
        f"the description has {len(tool.description):,} characters, and OpenAI refuses more than "
        f"{LONGEST_DESCRIPTION:,}. Shorten it; details of an argument belong into its own "
        "description."
    )


def described_arguments(tool: Tool) -> str | None:
    """Find arguments without a description."""
    properties = tool.parameters.get("properties")
    given = properties.items() if isinstance(properties, Mapping) else ()
    bare = [name for name, schema in given if not _is_described(schema, root=tool.parameters)]
    if not bare:
        return None
    listed = ", ".join(map(shown, bare[:LISTED]))
    more = f" and {len(bare) - LISTED} more" if len(bare) > LISTED else ""
    subject = (
        f"the argument {listed} has" if len(bare) == 1 else f"the arguments {listed}{more} have"
    )
    return f"{subject} no description. Say what each one means, with its unit or format."


RULES: Final[Mapping[str, Rule]] = {
    "name-not-accepted": accepted_name,
    "no-description": description,
    "thin-description": telling_description,
    "long-description": short_description,
    "undescribed-arguments": described_arguments,
}
"""Each rule by the name that reports give it."""


def _is_described(schema: Any, *, root: Mapping[str, Any]) -> bool:
    """Whether an argument, what it refers to, or one of its alternatives has a description."""
    return any(
        isinstance(part.get("description"), str) and part["description"].strip()
        for part in _parts(schema, root=root)
    )


def _parts(schema: Any, *, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a schema, what it refers to, and its alternatives, one level deep."""
    if not isinstance(schema, Mapping):
        return
    members = [one for key in COMBINED for one in _listed(schema.get(key))]
    for part in (schema, *members):
        if isinstance(part, Mapping):
            yield part
            reference = part.get("$ref")
            if isinstance(reference, str):
                yield resolved(reference, root=root) or {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
