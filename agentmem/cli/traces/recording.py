"""The commands' own spans, kept where the environment asks for it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

from agentmem.cli.traces.options import VARIABLE

__all__ = ["recording"]


def recording() -> AbstractContextManager[object]:
    """Record the spans of a block in the folder that AGENTMEM_TRACES names; else do nothing."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return nullcontext()
    from agentmem.telemetry import record

    return record(folder)
