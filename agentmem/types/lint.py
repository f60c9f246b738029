"""The words of lint: what to repair in a catalogue of tools before it is deployed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Collision", "Confusion", "LintIssue", "LintReport"]


@dataclass(frozen=True, slots=True)
class Collision:
    """Two tools that the router can hardly tell apart."""

    first: str
    second: str
    similarity: float
    namespace: str


@dataclass(frozen=True, slots=True)
class LintIssue:
    """One thing to repair about a tool, with how."""

    tool: str
    namespace: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """Usage examples of one tool for which another was ranked first, each left out in turn.

    Attributes:
        tool: The tool whose examples were asked.
        mistaken_for: The tool that came first instead.
        examples: How often.
        share: Of the tool's examples.
        query: One of them.
    """

    tool: str
    mistaken_for: str
    examples: int
    share: float
    query: str


@dataclass(frozen=True, slots=True)
class LintReport:
    """What to repair in a catalogue before deployment.

    Attributes:
        tools: How many were looked at.
        collisions: Pairs too much alike, most alike first.
        issues: Findings about single tools.
        confusions: Expected confusion by leave-one-out on usage examples, most frequent first.
        expected_recall: Share of usage examples whose own tool came first, each left out in
            turn; None without examples.
    """

    tools: int
    collisions: tuple[Collision, ...]
    issues: tuple[LintIssue, ...]
    confusions: tuple[Confusion, ...]
    expected_recall: float | None
