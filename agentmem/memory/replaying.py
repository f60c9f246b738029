"""How a memory runs past searches again: never outside the scope of its handle."""

from __future__ import annotations

from agentmem.errors import InvalidInput
from agentmem.memory.home import Home
from agentmem.memory.records import Where, as_filter
from agentmem.replay.given import Given, record_from
from agentmem.scopes import Bound
from agentmem.types import AllScopes, Replay, Scope, SearchRecord

__all__ = ["Replaying"]


class Replaying:
    """The part of `Memory` that replays."""

    _home: Home
    _bound: Bound

    def replay(
        self,
        record: Given,
        *,
        query: str | None = None,
        where: Where | None = None,
        now: bool = False,
    ) -> Replay:
        """Run a past search again: same question, weights and moment, same version of the turns.

        A turn that was deleted since is named by its id alone, though the old version holds it.

        Args:
            record: What `search` returned, its span, the attributes of that span, or a record of
                it from `agentmem.traces`.
            query: The question, where content was not recorded.
            where: The filter, where there was one and content was not recorded.
            now: Whether to ask the same today, and say of each result that moved why.

        Returns:
            Whether the same came out, what differs, and why. A version that is no longer kept
            makes a replay impossible, which is a verdict and no error.

        Raises:
            InvalidInput: It is no record of a search, lacks something that was not given, or is
                of a scope that leaves this handle's.
            EmbeddingFailed: The question could not be embedded.
            StoreError: The store could not be read.
        """
        found = record_from(record)
        if not isinstance(found, SearchRecord):
            raise InvalidInput(
                "this is a selection of tools, not a search. Replay it with ToolRouter.replay()."
            )
        self._check_within(found.scope)
        return self._home.replay(found, query=query, where=as_filter(where), now=now)

    def _check_within(self, scope: Scope | AllScopes) -> None:
        """Refuse a search that saw more than this handle may."""
        if self._bound.reading(Scope(), scope) != scope:
            raise InvalidInput(
                f"the search was made over {scope}, and this handle is bound to "
                f"{self._bound.scope}. Use the Memory it was made from."
            )
