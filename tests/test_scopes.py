"""Scopes: a call may narrow what its handle is bound to, and never leaves or widens it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentmem.errors import InvalidInput, ScopeRequired
from agentmem.scopes import FIELDS, Bound
from agentmem.types import ALL, AllScopes, Scope

IDS = st.none() | st.sampled_from(["ada", "bob", "' OR 1=1 --", "ada'--", "*", "%", "日本"])
SCOPES = st.builds(Scope, IDS, IDS, IDS)
ADA = Bound(Scope(user_id="ada"))


def is_within(inner: Scope, outer: Scope) -> bool:
    """Whether everything that the inner scope sees is seen by the outer."""
    return all(getattr(outer, name) in (None, getattr(inner, name)) for name in FIELDS)


@given(SCOPES, SCOPES)
def test_a_call_sees_what_both_it_and_its_handle_see_or_is_refused(
    own: Scope, given_: Scope
) -> None:
    contradiction = any(
        None not in (mine, theirs) and mine != theirs
        for mine, theirs in ((getattr(own, name), getattr(given_, name)) for name in FIELDS)
    )
    try:
        found = Bound(own).narrowed(given_)
    except InvalidInput:
        assert contradiction
    else:
        assert not contradiction
        assert is_within(found, own)
        assert is_within(found, given_)
        for name in FIELDS:
            assert getattr(found, name) in (getattr(own, name), getattr(given_, name))


@given(SCOPES, st.lists(st.tuples(SCOPES, st.none()) | st.tuples(st.just(Scope()), SCOPES)))
def test_no_chain_of_calls_leaves_the_first_handle(
    own: Scope, calls: list[tuple[Scope, Scope | None]]
) -> None:
    handle = Bound(own)
    for call, scope in calls:
        try:
            found = handle.reading(call, scope)
        except (InvalidInput, ScopeRequired):
            continue
        assert isinstance(found, Scope)
        assert not found.is_empty
        assert is_within(found, own)
        handle = Bound(found)


@given(SCOPES, SCOPES, SCOPES | st.just(ALL))
def test_everyone_is_only_seen_by_an_open_handle_that_was_asked_for_everyone(
    own: Scope, call: Scope, scope: Scope | AllScopes
) -> None:
    assume(scope is ALL or not call.is_empty)
    if own.is_empty and call.is_empty:
        assert Bound(own).reading(call, scope) is ALL
    else:
        with pytest.raises(InvalidInput):
            Bound(own).reading(call, scope)


def test_an_open_handle_needs_an_id_to_read() -> None:
    for scope in (None, Scope()):
        with pytest.raises(ScopeRequired, match="user_id"):
            Bound().reading(Scope(), scope)


def test_a_bound_handle_needs_none() -> None:
    assert ADA.reading(Scope(), None) == Scope(user_id="ada")
    assert ADA.reading(Scope(), Scope()) == Scope(user_id="ada")
    assert ADA.reading(Scope(session_id="s"), None) == Scope(user_id="ada", session_id="s")


def test_writing_needs_no_scope() -> None:
    assert Bound().narrowed(Scope()) == Scope()


@pytest.mark.parametrize("scope", ["all", "ALL", True, {"user_id": "ada"}, ("ada",)])
def test_what_only_looks_like_a_scope_is_refused(scope: Any) -> None:
    with pytest.raises(InvalidInput, match="pass a Scope, or ALL"):
        Bound().reading(Scope(), scope)


@pytest.mark.parametrize("value", ["", 7, "a\0b", "\ud800", "x" * 513])
@pytest.mark.parametrize("name", FIELDS)
def test_an_id_that_cannot_be_one_is_refused_by_name(name: str, value: Any) -> None:
    given_ = Scope(**{name: value})
    with pytest.raises(InvalidInput, match=name):
        Bound().narrowed(given_)
    with pytest.raises(InvalidInput, match=name):
        Bound().reading(Scope(), given_)


def test_refusals_name_the_repair() -> None:
    with pytest.raises(InvalidInput, match="Memory the handle was made from"):
        ADA.narrowed(Scope(user_id="bob"))
    with pytest.raises(InvalidInput, match="Memory it was made from"):
        ADA.reading(Scope(), ALL)
    with pytest.raises(InvalidInput, match="either the one or the other"):
        ADA.reading(Scope(user_id="ada"), Scope(user_id="ada"))
