"""From the arguments of a call to the scope it acts in: never wider than its handle."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentmem.checks import check_scope, shown
from agentmem.errors import InvalidInput, ScopeRequired
from agentmem.types import ALL, AllScopes, Scope

__all__ = ["Bound"]

FIELDS = ("user_id", "agent_id", "session_id")


@dataclass(frozen=True, slots=True)
class Bound:
    """The scope a handle is bound to. Calls narrow it, and cannot leave it.

    Attributes:
        scope: What every call through the handle is confined to; empty for an open handle.
    """

    scope: Scope = field(default_factory=Scope)

    def narrowed(self, given: Scope) -> Scope:
        """Add ids to the scope of the handle.

        Raises:
            InvalidInput: An id contradicts the handle's, or is none.
        """
        check_scope(given)
        return Scope(*(self._agreed(name, getattr(given, name)) for name in FIELDS))

    def reading(self, given: Scope, scope: Scope | AllScopes | None) -> Scope | AllScopes:
        """Return the scope of a read or a delete.

        Args:
            given: The ids of the call.
            scope: `ALL` to act on everyone, a `Scope` instead of ids, or None.

        Raises:
            ScopeRequired: Nothing is named, so the call would reach every user.
            InvalidInput: The call contradicts itself or its handle.
        """
        if scope is not None and not given.is_empty:
            raise InvalidInput("scope= and ids were both given. Pass either the one or the other.")
        if scope is ALL:
            if not self.scope.is_empty:
                raise InvalidInput(
                    f"this handle is bound to {self.scope}, and scope=ALL would leave it. Use "
                    "the Memory it was made from."
                )
            return ALL
        if scope is not None and not isinstance(scope, Scope):
            raise InvalidInput(f"scope={shown(scope)}: pass a Scope, or ALL to act on everyone.")
        return self.naming(given if scope is None else scope)

    def naming(self, given: Scope) -> Scope:
        """Add ids to the scope of the handle, and refuse it if there is none then.

        Raises:
            ScopeRequired: Nothing is named, so the call would reach every user.
            InvalidInput: An id contradicts the handle's, or is none.
        """
        narrowed = self.narrowed(given)
        if narrowed.is_empty:
            raise ScopeRequired(
                "no user_id, agent_id or session_id was given, so this would reach every user's "
                "turns. Name at least one, or pass scope=ALL to mean everyone."
            )
        return narrowed

    def check_open(self, call: str) -> None:
        """Refuse a call about the whole store through a handle that is bound to a part of it."""
        if not self.scope.is_empty:
            raise InvalidInput(
                f"{call}() tells of the whole store, and this handle is bound to {self.scope}. Use "
                "count() and sessions(), or the Memory the handle was made from."
            )

    def _agreed(self, name: str, given: str | None) -> str | None:
        own = getattr(self.scope, name)
        if own is not None and given is not None and own != given:
            raise InvalidInput(
                f"{name}={given!r} would leave the scope of this handle, which is bound to "
                f"{name}={own!r}. Leave it out, or use the Memory the handle was made from."
            )
        return given if own is None else own
