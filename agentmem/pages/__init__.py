"""What every page of a report is made with: its drawings, its style and its words.

Values in, text out. It knows nothing of what the pages tell: `traces.report` and `driftreport` do.
"""

from __future__ import annotations

__all__ = ()
