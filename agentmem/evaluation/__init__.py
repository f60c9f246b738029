"""Measuring how well a memory finds the evidence of questions, on data that anyone can fetch.

`load_dataset` reads a publisher's file, `evaluate` asks a Memory its questions, and the Report
says how much of the evidence was found, beside the baselines that have to be beaten.
"""

from __future__ import annotations

from agentmem.evaluation.datasets import Conversation, Dataset, Mistake, Question
from agentmem.evaluation.formats import FORMATS, load_dataset
from agentmem.evaluation.metrics import bootstrap_ci, measure
from agentmem.evaluation.report import Estimate, Report, Row, SystemResult, TableRow
from agentmem.evaluation.runner import DEFAULT_KS, evaluate
from agentmem.evaluation.systems import BASELINES, PRODUCT, Answer, Query, System, weighted

__all__ = [
    "BASELINES",
    "DEFAULT_KS",
    "FORMATS",
    "PRODUCT",
    "Answer",
    "Conversation",
    "Dataset",
    "Estimate",
    "Mistake",
    "Query",
    "Question",
    "Report",
    "Row",
    "System",
    "SystemResult",
    "TableRow",
    "bootstrap_ci",
    "evaluate",
    "load_dataset",
    "measure",
    "weighted",
]
