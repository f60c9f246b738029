"""What a memory still gives away of what was corrected, ended or erased."""

from __future__ import annotations

from agentmem.evaluation.forgetting.cases import CATEGORIES, Case, cases
from agentmem.evaluation.forgetting.running import Outcome, evaluate

__all__ = ["CATEGORIES", "Case", "Outcome", "cases", "evaluate"]
