"""The pipelines of the tool router: catalogues kept, tools selected, lessons learnt."""

from __future__ import annotations

from agentmem.routing.budget import Budget
from agentmem.routing.calibrating import Calibrator
from agentmem.routing.explaining import explain
from agentmem.routing.guarding import Guard
from agentmem.routing.holdings import Holdings
from agentmem.routing.labels import Label
from agentmem.routing.lessons import LessonLog, Row, checked_namespace
from agentmem.routing.linting import lint
from agentmem.routing.observing import read_examples
from agentmem.routing.recording import Recorder
from agentmem.routing.registrar import OnConflict, Registrar
from agentmem.routing.reverting import History
from agentmem.routing.roster import Roster
from agentmem.routing.selector import Request, Selector
from agentmem.routing.teaching import Teacher
from agentmem.routing.thresholds import Thresholds

__all__ = [
    "Budget",
    "Calibrator",
    "Guard",
    "History",
    "Holdings",
    "Label",
    "LessonLog",
    "OnConflict",
    "Recorder",
    "Registrar",
    "Request",
    "Roster",
    "Row",
    "Selector",
    "Teacher",
    "Thresholds",
    "checked_namespace",
    "explain",
    "lint",
    "read_examples",
]
