"""Import and export: turns as files, and files as turns, in bounded memory.

JSON lines (also gzipped) and Parquet, chosen by the suffix. What `write_turns` writes,
`import_records` reads back as identical turns. Knows nothing of stores: the facade supplies
what writes a batch.
"""

from __future__ import annotations

from agentmem.transfer.importing import Written, import_records
from agentmem.transfer.progress import Tell, forget_imports, progress_bar
from agentmem.transfer.reading import Record, read_records
from agentmem.transfer.records import derived_id, turn_record
from agentmem.transfer.writing import write_turns

__all__ = [
    "Record",
    "Tell",
    "Written",
    "derived_id",
    "forget_imports",
    "import_records",
    "progress_bar",
    "read_records",
    "turn_record",
    "write_turns",
]
