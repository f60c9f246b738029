"""No call reaches another user's turns, whatever the ids, filters and questions hold."""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory_tools import at, ids, open_hashed, say
from storage_tools import HOSTILE

from agentmem import ALL, InvalidInput, Memory, NotFound, ScopeRequired
from agentmem.filters import And, Comparison, Filter, Not, Or, matches
from agentmem.types import Scope, Turn

FIELDS = ("user_id", "agent_id", "session_id")
NAMES = tuple(name for name in HOSTILE if name and "\0" not in name)
LONG = tuple("u" * 511 + end for end in "xy")  # alike up to the last of the most characters
ATTACKS = (
    "ada' OR '1'='1",
    "ada'; DELETE FROM turns; --",
    "ada' UNION SELECT * FROM turns --",
    "ada OR user_id IS NOT NULL",
    "' OR user_id LIKE '%",
    "ada\\' OR 1=1 --",
    "ALL",
    "None",
    "*",
    "ada ",
    "Ada",
    "ad\u0430",  # a Cyrillic a
)
USERS = tuple(dict.fromkeys(("ada", *ATTACKS, *NAMES, *LONG)))
AGENTS = (None, "helper", "' OR 1=1 --", "%")
SESSIONS = (None, "s1", "s'1", "\u2028")

Call = Callable[..., Any]


def messages() -> Iterator[dict[str, Any]]:
    """Make a few turns for every user: the same ids and words, and a secret of each one's own."""
    for place, user in enumerate(USERS):
        for number, agent, session in zip(
            range(5), AGENTS, itertools.cycle(SESSIONS), strict=False
        ):
            yield say(
                f"the secret word is {user}" if number % 2 else f"who knows the secret of {place}?",
                id=f"turn-{number}",
                name=NAMES[(place + number) % len(NAMES)],
                user_id=user,
                agent_id=agent,
                session_id=session if number else SESSIONS[place % len(SESSIONS)],
                created_at=at(place + number / 10),
                metadata={"owner": user, "n": number, "' OR 1=1 --": True},
            )


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    with open_hashed(tmp_path_factory.mktemp("shared") / "store") as opened:
        opened.add(messages())
        yield opened


class Turns(list[Turn]):
    """Turns that do not fill the screen when a test fails."""

    def __repr__(self) -> str:
        return f"{len(self)} turns"


@pytest.fixture(scope="module")
def turns(memory: Memory) -> Turns:
    """Give every stored turn: what the answers are checked against."""
    stored = Turns(memory.turns(scope=ALL, limit=10_000))
    assert len(stored) == 4 * len(USERS)
    return stored


def inside(scope: Scope, turn: Turn) -> bool:
    """Whether a turn lies in a scope, by plain comparison."""
    return all(getattr(scope, one) in (None, getattr(turn, one)) for one in FIELDS)


def asked(scope: Scope) -> dict[str, Any]:
    """Return the ids of a scope as the keywords of a call."""
    return {one: getattr(scope, one) for one in FIELDS if getattr(scope, one) is not None}


hostile = (
    st.sampled_from(USERS)
    | st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
    | st.builds(str.__add__, st.sampled_from(USERS), st.sampled_from(ATTACKS)).map(
        lambda s: s[:512]
    )
    | st.text("'\"\\;-%_ )(=" + string.ascii_lowercase, min_size=1, max_size=12)
)
named = st.sampled_from([one for one in (*AGENTS, *SESSIONS) if one]) | hostile
scopes = st.one_of(
    st.builds(Scope, st.sampled_from(USERS)),
    st.builds(Scope, hostile, st.none() | named, st.none() | named),
    st.builds(Scope, st.none(), named, st.none() | named),
    st.builds(Scope, st.none(), st.none(), named),
)
comparisons = st.builds(
    Comparison,
    st.sampled_from([*FIELDS, "id", "name", "content", "role", "metadata.owner"]),
    st.sampled_from(["eq", "ne", "contains", "gte"]),
    hostile,
) | st.builds(
    Comparison,
    st.sampled_from([*FIELDS, "metadata.' OR 1=1 --", "metadata.n"]),
    st.sampled_from(["eq", "ne"]),
    st.none(),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    comparisons,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(tuple(parts)))
        | st.lists(inner, min_size=1, max_size=2).map(lambda parts: And(tuple(parts)))
        | inner.map(Not)
    ),
    max_leaves=4,
)
questions = hostile.filter(str.strip) | st.just("who knows the secret word?")


@settings(max_examples=120)
@given(scope=scopes, where=st.none() | filters, texts=st.tuples(questions, hostile))
@example(Scope("ada' OR '1'='1"), None, ("who knows the secret word?", "turn-1"))
@example(Scope("nobody' OR 1=1 --"), Not(Comparison("user_id", "eq", None)), ("secret", "x"))
@example(Scope(session_id="s1"), Comparison("user_id", "ne", "ada"), ("secret", "turn-1"))
def test_reads_answer_from_their_scope_and_nothing_else(
    memory: Memory, turns: list[Turn], scope: Scope, where: Filter | None, texts: tuple[str, str]
) -> None:
    question, wanted = texts
    seen = [turn for turn in turns if inside(scope, turn)]
    matching = [turn for turn in seen if where is None or matches(where, turn)]
    own = {(turn.user_id, turn.agent_id, turn.id) for turn in matching}
    within = asked(scope)

    assert memory.turns(**within, where=where, limit=10_000) == matching
    assert memory.count(**within, where=where) == len(matching)
    recall = memory.search(question, **within, where=where, k=10_000, mode="lexical")
    found = memory.search(question, **within, where=where, k=10_000)
    for hits in (recall, found):
        assert {(one.turn.user_id, one.turn.agent_id, one.turn.id) for one in hits} == own
        assert hits.candidates == len(own)
    context = memory.context(question, **within, where=where, max_tokens=300, neighbours=2)
    assert all(turn in matching for turn in context.turns)
    assert all(one.turn in matching for one in context.dropped)
    sessions = {(one.user_id, one.agent_id, one.session_id) for one in memory.sessions(**within)}
    assert sessions == {(turn.user_id, turn.agent_id, turn.session_id) for turn in seen}
    assert memory.delete(**within, where=where, dry_run=True).turns == len(matching)
    for turn_id in (wanted, "turn-1"):
        check_get(memory, turn_id, scope=scope, seen=seen)


def check_get(memory: Memory, turn_id: str, *, scope: Scope, seen: list[Turn]) -> None:
    """Check that `get` finds the one turn of that id in scope, or says why not."""
    there = [turn for turn in seen if turn.id == turn_id]
    if len(there) == 1:
        assert memory.get(turn_id, **asked(scope)) == there[0]
    else:
        with pytest.raises(InvalidInput if there else NotFound):
            memory.get(turn_id, **asked(scope))
    dry = memory.delete([turn_id], **asked(scope), dry_run=True)
    assert (dry.turns, dry.missing) == (len(there), () if there else (turn_id,))


@settings(max_examples=50)
@given(bound=scopes, inner=scopes, where=st.none() | filters)
def test_a_scoped_handle_cannot_be_widened(
    memory: Memory, turns: list[Turn], bound: Scope, inner: Scope, where: Filter | None
) -> None:
    handle = memory.scoped(**asked(bound))
    both = [turn for turn in turns if inside(bound, turn) and inside(inner, turn)]
    reads: list[Call] = [
        lambda **ids: handle.turns(**ids, limit=10_000),
        lambda **ids: [hit.turn for hit in handle.search("the secret", **ids, k=10_000)],
        lambda **ids: list(handle.context("the secret", **ids, max_tokens=200).turns),
        lambda **ids: [handle.get("turn-1", **ids)],
    ]
    for read in reads:
        assert all(turn in both for turn in answer(read, **asked(inner)))
        with pytest.raises(InvalidInput, match="scope=ALL would leave it"):
            read(scope=ALL)
    if all(None in (a, b) or a == b for a, b in zip(astuple(bound), astuple(inner), strict=True)):
        assert handle.turns(**asked(inner), limit=10_000) == both
    narrower = answer(lambda **ids: handle.scoped(**ids).turns(limit=10_000), **asked(inner))
    assert all(turn in both for turn in narrower)
    own = [turn for turn in turns if inside(bound, turn)]
    assert handle.turns(limit=10_000) == own
    assert handle.count(where=where) == sum(where is None or matches(where, one) for one in own)


def answer(read: Call, **within: Any) -> list[Turn]:
    """Return what a read gives: nothing where it refuses to leave the handle, or finds none."""
    try:
        return list(read(**within))
    except (InvalidInput, NotFound):
        return []


UNSCOPED: dict[str, Call] = {
    "search": lambda memory, **given: memory.search("secret", **given),
    "context": lambda memory, **given: memory.context("secret", max_tokens=9, **given),
    "get": lambda memory, **given: memory.get("turn-0", **given),
    "turns": lambda memory, **given: memory.turns(**given),
    "sessions": lambda memory, **given: memory.sessions(**given),
    "count": lambda memory, **given: memory.count(**given),
    "delete": lambda memory, **given: memory.delete(**given),
    "delete by id": lambda memory, **given: memory.delete(["turn-0"], **given),
    "delete by filter": lambda memory, **given: memory.delete(where={"id": "turn-0"}, **given),
    "export": lambda memory, **given: memory.export("never.jsonl", **given),
}


@pytest.mark.parametrize("name", UNSCOPED)
def test_a_call_without_a_scope_is_refused(memory: Memory, turns: list[Turn], name: str) -> None:
    for given_ids in ({}, {"user_id": None}, {"scope": None}, {"scope": Scope()}):
        with pytest.raises(ScopeRequired, match="scope=ALL"):
            UNSCOPED[name](memory, **given_ids)
    wrongs: list[Any] = ["ALL", "all", True, {}, "*"]
    for wrong in wrongs:
        with pytest.raises(InvalidInput, match="pass a Scope, or ALL"):
            UNSCOPED[name](memory, scope=wrong)
    with pytest.raises(InvalidInput, match="both given"):
        UNSCOPED[name](memory, scope=ALL, user_id="ada")
    assert memory.turns(scope=ALL, limit=10_000) == turns


@pytest.mark.parametrize("name", UNSCOPED)
def test_an_id_that_cannot_be_one_is_refused(memory: Memory, name: str) -> None:
    bad: list[Any] = ["", "ada\0", "a" * 513, "\ud800", 7, b"ada", ["ada"]]
    for one in bad:
        with pytest.raises(InvalidInput, match="user_id"):
            UNSCOPED[name](memory, user_id=one)
        with pytest.raises(InvalidInput, match="session_id"):
            UNSCOPED[name](memory, user_id="ada", session_id=one)


def test_everything_is_read_only_by_its_name(memory: Memory, turns: list[Turn]) -> None:
    assert len(memory.search("secret", scope=ALL, k=10_000)) == len(turns)
    assert memory.count(scope=ALL) == len(turns)


def test_scores_owe_nothing_to_what_is_out_of_scope(
    memory: Memory, turns: list[Turn], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("alone")
    for number, scope in enumerate(
        [Scope("ada"), Scope("%"), Scope("ada", None, "s1"), Scope("ada", "helper")]
    ):
        with open_hashed(folder / str(number)) as alone:
            alone.add([turn for turn in turns if inside(scope, turn)])
            for question in ("who knows the secret word?", f"the secret of {NAMES[1]}", "ada a b"):
                answers = (one.search(question, **asked(scope)) for one in (memory, alone))
                shared, own = ([(hit.turn, hit.score, hit.terms) for hit in a] for a in answers)
                assert shared == own
                assert shared


def test_a_speaker_out_of_scope_does_not_change_what_a_question_asks(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        texts = ["I met Nora on the pier.", "The bicycle is red."]
        memory.add([*map(say, texts)], user_id="ada", session_id="s1")
        asks: dict[str, Any] = {"user_id": "ada", "session_id": "s1", "mode": "lexical"}
        before = memory.search("Where did I meet Nora?", **asks)
        assert before[0].terms["lexical"] > 0
        memory.add(say("Hello, Nora here!", name="Nora"), user_id="ada", session_id="s2")
        assert memory.search("Where did I meet Nora?", **asks).hits == before.hits


@settings(max_examples=40)
@given(scope=scopes, only=st.none() | filters)
@example(Scope("ada' OR '1'='1"), None)
@example(Scope("%"), Or((Comparison("user_id", "ne", None),)))
def test_deleting_leaves_everyone_else_s_turns_as_they_were(
    memory: Memory, turns: list[Turn], scope: Scope, only: Filter | None
) -> None:
    doomed = [one for one in turns if inside(scope, one) and (only is None or matches(only, one))]
    rest = [turn for turn in turns if turn not in doomed]
    assert memory.delete(**asked(scope), where=only).turns == len(doomed)
    try:
        assert memory.turns(scope=ALL, limit=10_000) == rest
        found = memory.search("secret word", scope=ALL, k=10_000, mode="lexical")
        assert sorted(ids(found)) == sorted(ids(rest))
    finally:
        memory.add(doomed)
    assert memory.turns(scope=ALL, limit=10_000) == turns


def test_an_export_holds_its_scope_and_nothing_else(
    memory: Memory, turns: list[Turn], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("exports")
    for number, user in enumerate(["ada", "%", "' OR 1=1 --", "nobody' OR '1'='1"]):
        file = folder / f"{number}.jsonl"
        own = [turn for turn in turns if turn.user_id == user]
        assert memory.export(file, user_id=user) == len(own)
        with open_hashed(folder / str(number)) as copy:
            copy.import_turns(file)
            assert copy.turns(scope=ALL) == own


def test_one_user_s_ids_neither_collide_with_nor_reveal_another_s(memory: Memory) -> None:
    mine, before = memory.scoped(user_id="eve"), memory.count(scope=ALL)
    try:
        assert mine.add(say("eve's own", id="turn-1")) == ["turn-1"]
        assert mine.add(say("eve's own", id="turn-1")) == ["turn-1"]
        mine.add(say("eve's new", id="turn-1"), on_conflict="replace")
        assert memory.count(scope=ALL) == before + 1
        assert memory.get("turn-1", user_id="ada").content == "the secret word is ada"
        with pytest.raises(NotFound):
            mine.get("turn-2")
        with pytest.raises(InvalidInput, match="contradicts"):
            mine.add(say("for ada", user_id="ada"))
        with pytest.raises(InvalidInput, match="leave the scope"):
            mine.add(say("for ada"), user_id="ada")
    finally:
        assert mine.delete().turns == 1


def test_closing_a_scoped_handle_leaves_the_store_open(memory: Memory) -> None:
    with memory.scoped(user_id="ada") as mine:
        assert mine.count() == 4
    assert memory.count(user_id="ada") == 4


def test_a_handle_bound_to_a_session_replaces_nothing_in_another(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add(say("kept", id="x"), user_id="ada", session_id="s2")
        handle = memory.scoped(user_id="ada", session_id="s1")
        with pytest.raises(InvalidInput, match="another session, and nothing was stored"):
            handle.add(say("put in its place", id="x"), on_conflict="replace")
        assert memory.get("x", user_id="ada").content == "kept"


def test_a_bound_handle_does_not_count_the_whole_store(tmp_path: Path) -> None:
    with (
        open_hashed(tmp_path) as memory,
        pytest.raises(InvalidInput, match="count\\(\\) and sessions"),
    ):
        memory.scoped(user_id="ada").stats()
