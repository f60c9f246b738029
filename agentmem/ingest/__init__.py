"""The write path: messages to turns, pieces, vectors and terms, in one commit; and corrections."""

from __future__ import annotations

from agentmem.ingest.changing import Changer, Superseded
from agentmem.ingest.clock import Clock, StoppedClock
from agentmem.ingest.rows import pieces_of, rows_of
from agentmem.ingest.writing import Added, OnConflict, Writer, admit_all

__all__ = ["Added", "Changer", "Clock", "OnConflict", "Superseded", "Writer", "pieces_of"]
__all__ += ["StoppedClock", "admit_all", "rows_of"]
