"""Where turns and tools are kept: the one package that knows LanceDB.

`turns.Store` is a store of turns, `tool_store.ToolStore` one of tools, often in one folder.
`resident.Residents` keeps a scope's columns in memory, the `schema` modules say what a row is,
and `sql` is the only place that writes SQL.
"""

from __future__ import annotations

__all__ = ()
