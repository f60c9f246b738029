"""The read path: a question, the turns it may see, their ranking, and a context for a prompt."""

from __future__ import annotations

from agentmem.retrieval.context import Neighbours, Packer, hits_for, render
from agentmem.retrieval.search import Request, Searcher

__all__ = ["Neighbours", "Packer", "Request", "Searcher", "hits_for", "render"]
