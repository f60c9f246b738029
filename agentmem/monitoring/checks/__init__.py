"""The checks of drift: one module a kind."""

from __future__ import annotations

from typing import Final

from agentmem.monitoring.checks.answers import AnswersCheck
from agentmem.monitoring.checks.content import ContentCheck
from agentmem.monitoring.checks.language import LanguageCheck
from agentmem.monitoring.checks.length import LengthCheck
from agentmem.monitoring.checks.model import ModelCheck
from agentmem.monitoring.checks.questions import QuestionsCheck
from agentmem.monitoring.checks.texts import TextsCheck
from agentmem.monitoring.given import Check

__all__ = ["CHECKS"]

CHECKS: Final[tuple[Check, ...]] = (
    ModelCheck(),
    TextsCheck(),
    ContentCheck(),
    QuestionsCheck(),
    AnswersCheck(),
    LanguageCheck(),
    LengthCheck(),
)
"""Every check, in the order in which they are made: the exact ones first."""
