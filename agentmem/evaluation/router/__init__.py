"""Measuring how well a router finds the tools that queries need, on data that anyone can fetch.

`load_routing` reads a publisher's files, `evaluate_router` registers the tools with a ToolRouter
and asks it, and the RouterReport puts it beside the baselines that have to be beaten.
"""

from __future__ import annotations

from agentmem.evaluation.router.formats import (
    DEFAULT_SEED,
    ROUTING_FORMATS,
    RoutingFormat,
    load_routing,
)
from agentmem.evaluation.router.learning import CURVE, Amount, Teaching
from agentmem.evaluation.router.report import (
    MACRO,
    CalibrationResult,
    HistoryGain,
    ProbeResult,
    RouterReport,
)
from agentmem.evaluation.router.runner import DEFAULT_ALPHA, DEFAULT_ROUTER_KS, evaluate_router
from agentmem.evaluation.router.tasks import Probe, RoutingMistake, RoutingQuery, RoutingTask

__all__ = [
    "CURVE",
    "DEFAULT_ALPHA",
    "DEFAULT_ROUTER_KS",
    "DEFAULT_SEED",
    "MACRO",
    "ROUTING_FORMATS",
    "Amount",
    "CalibrationResult",
    "HistoryGain",
    "Probe",
    "ProbeResult",
    "RouterReport",
    "RoutingFormat",
    "RoutingMistake",
    "RoutingQuery",
    "RoutingTask",
    "Teaching",
    "evaluate_router",
    "load_routing",
]
