"""One erasure, from what is asked to the receipt.

Tombstones come first, so that nothing comes back; then the rows leave every generation, every
table and every file; then the files are read, and what they hold of it is told.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import Any, Final

import uuid_utils

from agentmem.errors import VersionGone
from agentmem.filters import Filter, to_json
from agentmem.forgetting.searching import Search, Searched
from agentmem.storage.border import persisting
from agentmem.storage.description import Description
from agentmem.storage.erasing import Holdings
from agentmem.storage.receipts import Receipts
from agentmem.storage.schema import key_of
from agentmem.storage.tombstones import Tombstones
from agentmem.storage.turns import Store
from agentmem.telemetry import Tracing
from agentmem.traces.erasing import erase as erase_spans
from agentmem.transfer import forget_imports, progress_bar
from agentmem.types import AllScopes, Receipt, Scope, Turn

__all__ = ["Forgetter", "Order"]

BATCH: Final = 1_000  # turns read at once
GRACE: Final = 2.0  # seconds for reads that began before, whose files are about to go
ROUNDS: Final = 3  # of writing anew what is still found: each lost one is another writer's


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be erased, and what is to be said of it.

    Attributes:
        scope: Whose turns.
        where: What the turns match; None for all of the scope.
        reason: Why.
        by: Who asks for it.
        key: Signs the receipt.
        traces: Folders of recorded traces.
        dry_run: Whether to look only.
        progress: Whether to draw a progress bar on a terminal.
    """

    scope: Scope | AllScopes
    where: Filter | None
    reason: str
    by: str | None = None
    key: bytes | None = None
    traces: Sequence[Path] = ()
    dry_run: bool = False
    progress: bool = False

    @property
    def subject(self) -> dict[str, Any]:
        """What was asked for, as JSON values."""
        whose = "everyone" if isinstance(self.scope, AllScopes) else asdict(self.scope)
        return {"scope": whose, "where": None if self.where is None else to_json(self.where)}


class Forgetter:
    """Erases turns from one store.

    Args:
        store: The store, of any generation.
        tombstones: Of the store.
        caches: Called when nothing that was remembered may be used any more.
        tracing: Opens spans.
        grace: Seconds between the last commit and the end of what knew the old files.
    """

    def __init__(
        self,
        store: Store,
        *,
        tombstones: Tombstones,
        caches: Callable[[], object],
        tracing: Tracing,
        grace: float = GRACE,
    ) -> None:
        self._store = store
        self._tombstones = tombstones
        self._caches = caches
        self._tracing = tracing
        self._grace = grace
        self._whole = store.whole
        self._receipts = Receipts(self._whole.opened, guard=self._whole.guard)

    def receipts(self) -> list[Receipt]:
        """Return the receipts that the store keeps, the newest last."""
        return [Receipt.from_json(one) for one in self._receipts.all()]

    def forget(self, order: Order) -> Receipt:
        """Erase turns.

        Raises:
            ScopeRequired: The scope names nothing.
            StoreError: The store could not be written; call again, what was erased stays erased.
        """
        turns = persisting(lambda: self._named(order))
        receipt = _begun(order, store=self._store.name, turns=len(turns))
        if order.dry_run:
            return replace(receipt, result="preview")
        attributes = {"gen_ai.memory.store.id": self._store.name}
        with (
            self._tracing.operation("delete_memory", attributes, scope=order.scope) as current,
            self._store.audit.entry("forget", scope=order.scope) as entry,
        ):
            entry.note(receipt=receipt.id)
            entry.tell(ids=[turn.id for turn in turns], count=len(turns))
            receipt = self._erased(turns, receipt, order)
            entry.note(result=receipt.result)
            current.set({"gen_ai.memory.record.count": len(turns)})
        signed = receipt if order.key is None else receipt.signed(order.key)
        self._receipts.put(replace(signed, subject=None).to_json())
        return signed

    def erase(self, turns: Sequence[Turn]) -> None:
        """Erase turns that were erased before, and came back in a write that had begun by then.

        Raises:
            StoreError: The store could not be written.
        """
        everywhere = self._everywhere()
        self._remove(turns, everywhere)
        self._drop_past(everywhere)

    def _named(self, order: Order) -> list[Turn]:
        """Return the turns of every generation and snapshot that are meant, each once."""
        found: dict[str, Turn] = {}
        for store in self._generations():
            batches = store.scan_turns(scope=order.scope, where=order.where, batch_turns=BATCH)
            for turn in chain.from_iterable(batches):
                found.setdefault(key_of(turn), turn)
        return list(found.values())

    def _stores(self) -> list[Store]:
        """Return the store, and those that its snapshots are."""
        return [self._store, *self._store.snapshots()]

    def _everywhere(self) -> list[Holdings]:
        return [Holdings(one.whole) for one in self._stores()]

    def _generations(self) -> Iterator[Store]:
        """Give every store in every generation that it keeps."""
        for store in self._stores():
            for generation in Holdings(store.whole).generations():
                with suppress(VersionGone):
                    yield store.at_generation(generation)

    def _erased(self, turns: Sequence[Turn], receipt: Receipt, order: Order) -> Receipt:
        stones = self._tombstones.put(turns, receipt_id=receipt.id, at=receipt.at)
        self._whole.generations.change(_once_more)
        everywhere = self._everywhere()  # whoever makes a generation or snapshot looks again now
        search = Search(self._store.folder, everywhere, keys=[key_of(turn) for turn in turns])
        rows = self._remove(turns, everywhere, whole=order.scope if order.where is None else None)
        spans = sum(erase_spans(folder, turns) for folder in order.traces)
        pruned = self._drop_past(everywhere)
        with progress_bar(None, shown=order.progress, doing="looking for what is left") as tell:
            found = search.run(tell=tell)
            for _ in range(ROUNDS):
                if not found.rewritable:
                    break
                self._rewrite(found, everywhere)
                found = search.run(tell=tell)
        return replace(
            receipt,
            at=datetime.now(timezone.utc),
            rows=rows,
            spans=spans,
            tombstones=stones,
            versions_pruned=pruned,
            sought=found.sought,
            shared=found.shared,
            files_scanned=found.files,
            bytes_scanned=found.bytes,
            remains=found.remains,
            result="incomplete" if found.remains else "erased",
        )

    def _remove(
        self,
        turns: Sequence[Turn],
        everywhere: Sequence[Holdings],
        *,
        whole: Scope | AllScopes | None = None,
    ) -> Mapping[str, int]:
        """Remove what is of these turns from every table; return how many rows of each kind."""
        forget_imports(self._store.checkpoints)
        rows: Counter[str] = Counter()
        ended = self._ended(turns)
        for holdings in everywhere:
            rows["turns"] += holdings.remove_turns([key_of(turn) for turn in turns])
            rows["tool_examples"] += holdings.remove_examples(list({one.content for one in turns}))
            rows["drift_events"] += holdings.forget_sessions(ended)
            rows["set_aside"] += holdings.forget_set_aside(turns)
        if whole is not None:
            for store in self._generations():
                store.watching.questions.forget(whole)
        forget_imports(self._store.checkpoints)
        self._caches()
        return {name: count for name, count in rows.items() if count}

    def _ended(self, turns: Sequence[Turn]) -> set[str]:
        """Return the sessions of turns of which nobody has another turn."""
        going = Counter(turn.session_id for turn in turns if turn.session_id is not None)
        counted = {one: self._store.count(scope=Scope(session_id=one)) for one in going}
        return {one for one, count in counted.items() if count <= going[one]}

    def _drop_past(self, everywhere: Sequence[Holdings]) -> int:
        time.sleep(self._grace)
        return sum(table.drop_past() for one in everywhere for table in one.tables())

    def _rewrite(self, found: Searched, everywhere: Sequence[Holdings]) -> None:
        for table in (table for one in everywhere for table in one.all_tables()):
            if table.folder in found.rewritable:
                table.rewrite()
                table.drop_past()


def _begun(order: Order, *, store: str, turns: int) -> Receipt:
    subject = order.subject
    canonical = json.dumps(subject, sort_keys=True, separators=(",", ":"))
    return Receipt(
        id=str(uuid_utils.uuid7()),
        store=store,
        at=datetime.now(timezone.utc),
        by=order.by,
        reason=order.reason,
        subject=subject,
        subject_hash=hashlib.sha256(canonical.encode()).hexdigest(),
        turns=turns,
    )


def _once_more(now: Description) -> Description:
    return replace(now, erasures=now.erasures + 1)
