"""Recorded spans, read: lists, trees, the records that replays need, labels, and pruning."""

from __future__ import annotations

from agentmem.traces.files import read_span_file, read_spans
from agentmem.traces.folder import Traces, open_traces
from agentmem.traces.labels import Label, read_labels, unlabel, write_label
from agentmem.traces.marking import mark
from agentmem.traces.pruning import Pruned, prune
from agentmem.traces.records import record_of_spans
from agentmem.traces.spans import RETRIEVALS, Branch, SpanRow, SpanTree, tree_of

__all__ = [
    "RETRIEVALS",
    "Branch",
    "Label",
    "Pruned",
    "SpanRow",
    "SpanTree",
    "Traces",
    "mark",
    "open_traces",
    "prune",
    "read_labels",
    "read_span_file",
    "read_spans",
    "record_of_spans",
    "tree_of",
    "unlabel",
    "write_label",
]
