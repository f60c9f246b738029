"""How a memory forgets: turns leave every file, and a receipt proves it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agentmem.administration import Wanted
from agentmem.checks import check_key, location, shown
from agentmem.errors import InvalidInput
from agentmem.forgetting import Order
from agentmem.memory.home import Home
from agentmem.memory.records import Where, as_filter
from agentmem.scopes import Bound
from agentmem.types import AllScopes, Receipt, Scope

__all__ = ["Forgetting"]


class Forgetting:
    """The part of `Memory` that erases."""

    _home: Home
    _bound: Bound

    def forget(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        reason: str,
        user_id: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | AllScopes | None = None,
        where: Where | None = None,
        by: str | None = None,
        key: bytes | None = None,
        traces: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        dry_run: bool = False,
        progress: bool = True,
    ) -> Receipt:
        """Erase turns: from every table, generation, past version, snapshot and file.

        Unlike `delete` it drops the past versions of the store, so that past retrievals cannot be
        replayed; it keeps tombstones, so that a replayed transcript does not bring the turns back;
        and it reads every file afterwards. Others may read and write meanwhile.

        Args:
            ids: The turns, within the scope; None erases every turn of the scope.
            reason: Why; kept with the receipt, so it should name nobody.
            user_id: Whose turns; likewise `agent_id`, `session_id`. At least one is needed.
            agent_id: See `user_id`.
            session_id: See `user_id`.
            scope: `ALL` to erase everyone's.
            where: Only turns that match a filter.
            by: Who asks for it; kept with the receipt.
            key: Signs the receipt (HMAC-SHA256), at least 16 bytes.
            traces: Folders of recorded traces, out of which spans that name or quote the turns go.
            dry_run: Count, and erase nothing.
            progress: Whether to draw a progress bar on a terminal.

        Returns:
            The receipt. Its `result` is "incomplete", with what remains and why, where a file could
            not be cleaned yet: call again.

        Raises:
            ScopeRequired: No scope was named.
            InvalidInput: An argument cannot be used.
            StoreError: The store could not be written; call again, what was erased stays erased.
        """
        reading = self._bound.reading(Scope(user_id, agent_id, session_id), scope)
        _check(reason, by=by, key=key)
        wanted = Wanted.of([ids] if isinstance(ids, str) else ids, where=as_filter(where))
        if wanted is None:
            raise InvalidInput(
                "ids is an empty list. Name the turns, or pass None for all of them."
            )
        folders = [traces] if isinstance(traces, (str, os.PathLike)) else traces
        return self._home.forgetter.forget(
            Order(
                scope=reading,
                where=wanted.filter,
                reason=reason,
                by=by,
                key=key,
                traces=[Path(location(one, what="traces")) for one in folders],
                dry_run=dry_run,
                progress=progress,
            )
        )

    def receipts(self) -> list[Receipt]:
        """Return what was erased from the store, the newest last; names nobody.

        Raises:
            InvalidInput: The handle is bound to a scope, which the whole store leaves.
            StoreError: The store could not be read.
        """
        self._bound.check_open("receipts")
        return self._home.forgetter.receipts()


def _check(reason: object, *, by: object, key: object) -> None:
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidInput(
            f"reason={shown(reason)}: say why, such as reason='request of the user'. It is kept "
            "with the receipt."
        )
    if by is not None and not isinstance(by, str):
        raise InvalidInput(f"by={shown(by)}: pass a name, or None.")
    check_key(key, what="the key that signs receipts")
