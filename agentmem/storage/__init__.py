"""Where turns are kept: the one package that knows LanceDB.

`turns.Store` is a store of turns, `resident.Residents` keeps a scope's columns in memory,
`schema` says what a row is, and `sql` is the only place that writes SQL.
"""

from __future__ import annotations

__all__ = ()
