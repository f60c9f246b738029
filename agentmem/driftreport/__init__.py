"""What checks of drift found, as one HTML page, one figure, or data: see `write_report`."""

from __future__ import annotations

from agentmem.driftreport.data import check_form, event_form, migration_form, report_form
from agentmem.driftreport.files import check_ending, write_report
from agentmem.driftreport.page import page_of

__all__ = [
    "check_ending",
    "check_form",
    "event_form",
    "migration_form",
    "page_of",
    "report_form",
    "write_report",
]
