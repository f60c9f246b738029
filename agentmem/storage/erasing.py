"""What of a store is of some turns, beside their rows: and how it leaves the store.

Usage examples that are what an erased turn said, sampled questions, findings of drift that name
a session, and rows that a migration set aside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import pyarrow as pa

from agentmem.storage.description import Generation
from agentmem.storage.erasure import Rewriter
from agentmem.storage.generations import Whole
from agentmem.storage.journal import EVENTS
from agentmem.storage.lessons import EXAMPLES
from agentmem.storage.opening import META, TURNS, open_meta
from agentmem.storage.questions import QUESTIONS
from agentmem.storage.quoting import any_of
from agentmem.storage.sql import keys_sql
from agentmem.types import Turn

__all__ = ["Holdings"]

HELD: Final = (TURNS, EXAMPLES, QUESTIONS)
KEYS_A_READ: Final = 1_000  # 4 MB of rows
KEYS_A_DELETE: Final = 5_000  # 180 kB of SQL
TEXTS_A_DELETE: Final = 200  # some of them long
SET_ASIDE: Final = "migration:poison:"
NOBODY: Final = '"(erased)"'


class Holdings:
    """Everything of one store that may hold what a turn said.

    Args:
        whole: The store.
    """

    def __init__(self, whole: Whole) -> None:
        self._whole = whole
        self._opened, self._guard = whole.opened, whole.guard
        self._changed_values = False

    def generations(self) -> list[Generation]:
        """Return the generations that are kept or being made."""
        return list(self._whole.generations.read().generations.values())

    def rewriter(self, name: str) -> Rewriter:
        """Return what erases from a table."""
        return Rewriter(self._opened, name, self._guard)

    def tables(self) -> list[Rewriter]:
        """Return every table that may hold what a turn said, or said until a moment ago.

        The store's values are among them only where something was taken out of them: every process
        reads them all the time.
        """
        return [one for one in self.all_tables() if one.name != META or self._changed_values]

    def all_tables(self) -> list[Rewriter]:
        """Return every table that may hold what a turn said, and the store's values."""
        of_generations = (one.table(held) for one in self.generations() for held in HELD)
        return [one for one in map(self.rewriter, [*of_generations, EVENTS, META]) if one.is_there]

    def remove_turns(self, keys: Sequence[str]) -> int:
        """Remove the rows of turns in every generation; return how many rows were removed."""
        count = 0
        for table in self._of_turns():
            for start in range(0, len(keys), KEYS_A_DELETE):
                count += table.remove(keys_sql(keys[start : start + KEYS_A_DELETE]))
        return count

    def remove_examples(self, contents: Sequence[str]) -> int:
        """Remove usage examples whose query is exactly what an erased turn said."""
        count = 0
        for generation in self.generations():
            table = self.rewriter(generation.table(EXAMPLES))
            if table.is_there:
                for start in range(0, len(contents), TEXTS_A_DELETE):
                    some = contents[start : start + TEXTS_A_DELETE]
                    count += table.remove(any_of("query", some))
        return count

    def forget_sessions(self, sessions: Collection[str]) -> int:
        """Take the ids of sessions out of the findings of drift; return how many named them."""
        table = self.rewriter(EVENTS)
        if not table.is_there:
            return 0
        return sum(table.replace("event", f'"{one}"', by=NOBODY) for one in sorted(sessions))

    def forget_set_aside(self, turns: Collection[Turn]) -> int:
        """Take turns out of the lists of rows that migrations set aside."""
        gone = {(one.id, one.user_id, one.agent_id) for one in turns}
        meta = open_meta(self._opened, guard=self._guard)
        count = 0
        for name in meta.names(SET_ASIDE):
            found = meta.get(name)
            rows = [] if found is None else found.value
            kept = [
                one
                for one in rows
                if one["held"] != TURNS or (one["id"], one["user_id"], one["agent_id"]) not in gone
            ]
            if len(kept) < len(rows):
                meta.put(name, kept)
                self._changed_values = True
                count += len(rows) - len(kept)
        return count

    def rows_of(self, keys: Sequence[str], *, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Give the rows of turns in every generation, some at a time."""
        for table in self._of_turns():
            for start in range(0, len(keys), KEYS_A_READ):
                yield table.rows(keys_sql(keys[start : start + KEYS_A_READ]), columns=columns)

    def live(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Stream columns of the turns of every generation."""
        for table in self._of_turns():
            for batch in table.batches(columns):
                yield pa.Table.from_batches([batch])

    def _of_turns(self) -> list[Rewriter]:
        named = [self.rewriter(one.table(TURNS)) for one in self.generations()]
        return [one for one in named if one.is_there]

    def is_said_elsewhere(self, text: str, *, columns: Sequence[str]) -> bool:
        """Return whether a row that stays holds a text: of a turn, or a usage example."""
        examples = [self.rewriter(one.table(EXAMPLES)) for one in self.generations()]
        return any(
            table.holding(column, text) for table in self._of_turns() for column in columns
        ) or any(
            table.holding(column, text)
            for table in examples
            if table.is_there
            for column in ("query", "lexemes")
        )
