"""What was recorded, as one HTML page: what was retrieved, and why."""

from __future__ import annotations

from agentmem.traces.report.page import LIMIT, page_of, write_report

__all__ = ["LIMIT", "page_of", "write_report"]
