"""A memory and a plain-Python model of it are asked the same, at random: they never differ.

Several handles on one store are asked, scoped ones among them, while it is compacted, reopened,
moved to another embedding space and back. AGENTMEM_MODEL_EXAMPLES and AGENTMEM_MODEL_STEPS ask
for more than `make test` does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from memory_tools import at
from plain_memory import Key, Plain, Test, key_of

from agentmem import ALL, AgentmemError, Memory
from agentmem.migration.gates import Bounds
from agentmem.storage.schema import turn_key
from agentmem.testing import HashEmbedder
from agentmem.types import AllScopes, Scope, Turn

EXAMPLES: Final = int(os.environ.get("AGENTMEM_MODEL_EXAMPLES", "14"))
STEPS: Final = int(os.environ.get("AGENTMEM_MODEL_STEPS", "50"))
WINDOW: Final = 8  # words: many turns are of several chunks
HANDLES: Final = 3
ANY_GATES: Final = Bounds(agreement=0.0)  # two spaces of hashed words need not agree

USERS: Final = ("ada", "bob")
AGENTS: Final = (None, None, "helper")
SESSIONS: Final = (None, "s1", "s2")
IDS: Final = ("1", "2", "3", "4", "5")
TEXTS: Final = (
    *("I like tea", "I like coffee", "the ferry to Lisbon", "it's 5 o'clock -- or 6; 'no'"),
    "the ferry to Porto leaves from the pier behind the harbour at noon on every other day",
    "I like tea with milk and a biscuit or two before the ferry to Lisbon leaves the old harbour",
)
WHERE: Final[tuple[tuple[dict[str, Any], Test], ...]] = (
    ({"role": "user"}, lambda turn: turn.role == "user"),
    ({"content": {"contains": "tea"}}, lambda turn: "tea" in turn.content),
    ({"metadata.n": {"gte": 2}}, lambda turn: turn.metadata.get("n", 0) >= 2),
    ({"id": {"in": ["1", "2"]}}, lambda turn: turn.id in ("1", "2")),
    ({"not": {"session_id": "s1"}}, lambda turn: turn.session_id != "s1"),
    ({"pinned": True}, lambda turn: turn.pinned),
    ({"superseded_by": None}, lambda turn: turn.superseded_by is None),
    ({"expires_at": None}, lambda turn: turn.expires_at is None),
    ({"event_time": {"lt": at(5).isoformat()}}, lambda turn: turn.event_time < at(5)),
    (
        {"or": [{"user_id": "bob"}, {"metadata.n": 1}]},
        lambda turn: turn.user_id == "bob" or turn.metadata.get("n") == 1,
    ),
)

T = TypeVar("T")

moments = st.integers(0, 20).map(at)
scopes = st.builds(
    Scope, st.sampled_from(USERS), st.sampled_from(AGENTS), st.sampled_from(SESSIONS)
)
readings = st.just(ALL) | scopes | st.sampled_from([Scope(session_id="s1"), Scope("ada")])
wheres = st.none() | st.sampled_from(WHERE)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": st.sampled_from(TEXTS)},
    optional={
        "id": st.sampled_from(IDS),
        "created_at": moments,
        "session_id": st.sampled_from(["s1", "s2"]),
        "metadata": st.fixed_dictionaries({"n": st.integers(0, 3)}),
        "name": st.just("Ada"),
        "valid_until": moments,
        "expires_at": st.sampled_from([at(3), at(100_000)]),
        "pinned": st.booleans(),
    },
)
ends = st.none() | moments
changes = (
    st.fixed_dictionaries({"valid_until": ends}, optional={"expires_at": ends})
    | st.fixed_dictionaries({"expires_at": ends})
    | st.fixed_dictionaries({"pinned": st.booleans()})
)


def asked(scope: Scope | AllScopes) -> dict[str, Any]:
    """Return a scope as the keywords of a call."""
    return {"scope": scope}


def named(scope: Scope) -> dict[str, Any]:
    """Return the ids of a scope as the keywords of a call."""
    names = ("user_id", "agent_id", "session_id")
    return {one: getattr(scope, one) for one in names if getattr(scope, one) is not None}


class Machine(RuleBasedStateMachine):
    """A store with several handles, and its model."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="agentmem-model-"))
        self.spaces = (HashEmbedder(64, window=WINDOW), HashEmbedder(96, window=WINDOW))
        self.model = Plain()
        self.handles: list[Memory] = []
        self.past: list[tuple[str, dict[str, Any], str, Scope | AllScopes, datetime | None]] = []
        self.files = 0
        self.turn = 0

    @initialize()
    def begin(self) -> None:
        """Open the store."""
        self.handles = [self._opened() for _ in range(HANDLES)]

    def teardown(self) -> None:
        """Close it, and take its folder away."""
        for handle in self.handles:
            handle.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _opened(self) -> Memory:
        first, second = self.spaces
        return Memory.open(self.folder / "store", embedder=first, standby=[second])

    @property
    def handle(self) -> Memory:
        """The next handle, in turn."""
        self.turn += 1
        return self.handles[self.turn % HANDLES]

    def both(self, of_model: Callable[[Plain], T], of_store: Callable[[], object]) -> T | None:
        """Ask the model and the store; where the model refuses, the store does so alike."""
        Machine.steps += 1
        tried = Plain(dict(self.model.turns))
        try:
            wanted = of_model(tried)
        except AgentmemError as error:
            with pytest.raises(type(error)):
                of_store()
            return None
        self.model = tried
        return wanted

    def _learn(self, keys: Sequence[Key], *, since: datetime, ttl: timedelta | None = None) -> None:
        """Tell the model the moments that the store gave to turns."""
        keyed = [turn_key(turn_id, user_id=user, agent_id=agent) for user, agent, turn_id in keys]
        stored = self.handle._home.parts.store.turns_by_key(keyed)
        assert len(stored) == len(set(keys)), "what was acknowledged is not stored"
        for turn in stored.values():
            self.model.learn(turn, since=since, ttl=ttl)

    @rule(
        given=st.lists(messages, min_size=1, max_size=4),
        scope=scopes,
        replaces=st.booleans(),
        ttl=st.sampled_from([None, None, timedelta(days=1)]),
        through_scoped=st.booleans(),
    )
    def add(
        self,
        given: list[dict[str, Any]],
        scope: Scope,
        replaces: bool,  # noqa: FBT001 - hypothesis passes it by name
        ttl: timedelta | None,
        through_scoped: bool,  # noqa: FBT001 - likewise
    ) -> None:
        """Add messages; some have ids, some of them are taken."""
        if scope.session_id is not None:
            given = [{k: v for k, v in one.items() if k != "session_id"} for one in given]
        known = [{**one, "id": one.get("id", f"made{n}")} for n, one in enumerate(given)]
        since, ids, handle = datetime.now(timezone.utc), list[str](), self.handle
        whose = named(scope)
        if through_scoped:
            handle, whose = handle.scoped(**whose), {}
        options: dict[str, Any] = {"on_conflict": "replace" if replaces else "error", "ttl": ttl}
        keys = self.both(
            lambda model: model.add(known, scope, replaces=replaces, ttl=ttl),
            lambda: handle.add(given, **whose, **options),
        )
        if keys is None:
            return
        ids = handle.add(given, **whose, **options)
        assert len(ids) == len(given)
        final = []
        for key, own, turn_id in zip(keys, given, ids, strict=True):
            if "id" not in own:
                self.model.rename(key, turn_id)
            assert own.get("id", turn_id) == turn_id
            final.append((key[0], key[1], turn_id))
        self._learn(final, since=since, ttl=ttl)

    @rule(
        turn_id=st.sampled_from(IDS),
        new=messages,
        new_id=st.sampled_from([*IDS, "6", "7"]),
        scope=readings,
        ends=ends,
    )
    def supersede(
        self,
        turn_id: str,
        new: dict[str, Any],
        new_id: str,
        scope: Scope | AllScopes,
        ends: datetime | None,
    ) -> None:
        """Correct a turn, maybe one that is not there, or was corrected."""
        self.past.append((turn_id, new, new_id, scope, ends))
        self._supersede(turn_id, new, new_id, scope=scope, ends=ends)

    @precondition(lambda self: self.past)
    @rule(which=st.integers(0, 3))
    def supersede_again(self, which: int) -> None:
        """Make a correction once more, after whatever happened since."""
        turn_id, new, new_id, scope, ends = self.past[-1 - which % len(self.past)]
        self._supersede(turn_id, new, new_id, scope=scope, ends=ends)

    def _supersede(
        self,
        turn_id: str,
        new: dict[str, Any],
        new_id: str,
        *,
        scope: Scope | AllScopes,
        ends: datetime | None,
    ) -> None:
        new, since, handle = {**new, "id": new_id}, datetime.now(timezone.utc), self.handle

        def correct() -> str:
            return handle.supersede(turn_id, new, **asked(scope), valid_until=ends)

        before = {key_of(turn) for turn in self.model.living(scope)}
        key = self.both(
            lambda model: model.supersede(turn_id, new, scope, valid_until=ends), correct
        )
        if key is not None:
            assert correct() == new_id
            old = next(one for one in before if one[2] == turn_id and one[:2] == key[:2])
            self._learn([key, old], since=since)

    @rule(
        ids=st.none() | st.lists(st.sampled_from([*IDS, "none"]), min_size=1, max_size=3),
        scope=readings,
        where=wheres,
        given=changes,
        dry_run=st.booleans(),
    )
    def update(
        self,
        ids: list[str] | None,
        scope: Scope | AllScopes,
        where: tuple[dict[str, Any], Test] | None,
        given: dict[str, Any],
        dry_run: bool,  # noqa: FBT001 - hypothesis passes it by name
    ) -> None:
        """Change until when turns are true and found."""
        Machine.steps += 1
        text, test = where or (None, None)
        keys, missing = self.model.selected(ids, scope, test)
        since = datetime.now(timezone.utc)
        found = self.handle.update(ids, **asked(scope), where=text, **given, dry_run=dry_run)
        assert (found.turns, found.missing) == (len(keys), missing)
        if not dry_run and keys:
            self.model.change(keys, given)
            self._learn(keys, since=since)

    @rule(
        ids=st.none() | st.lists(st.sampled_from([*IDS, "none"]), min_size=1, max_size=2),
        scope=scopes,
        where=wheres,
        dry_run=st.booleans(),
    )
    def delete(
        self,
        ids: list[str] | None,
        scope: Scope,
        where: tuple[dict[str, Any], Test] | None,
        dry_run: bool,  # noqa: FBT001 - hypothesis passes it by name
    ) -> None:
        """Delete turns, or say which would be."""
        Machine.steps += 1
        text, test = where or (None, None)
        keys, missing = self.model.selected(ids, scope, test)
        found = self.handle.delete(ids, **asked(scope), where=text, dry_run=dry_run)
        assert (found.turns, found.missing) == (len(keys), missing)
        if not dry_run:
            self.model.drop(keys)

    @rule(
        scope=readings,
        where=wheres,
        times=st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("since", "until", "as_of", "known_at"), moments)
        ),
        mode=st.sampled_from(["hybrid", "dense", "lexical"]),
    )
    def search(
        self,
        scope: Scope | AllScopes,
        where: tuple[dict[str, Any], Test] | None,
        times: dict[str, Any],
        mode: Any,
    ) -> None:
        """Search: exactly the turns that may be found are, each once and as it is."""
        Machine.steps += 1
        text, test = where or (None, None)
        wanted = self.model.candidates(scope, where=test, **times)
        found = self.handle.search(
            "tea on the ferry", **asked(scope), where=text, k=1_000, mode=mode, **times
        )
        assert sorted(map(str, (key_of(hit.turn) for hit in found))) == sorted(map(str, wanted))
        assert all(hit.turn == self.model.turns[key_of(hit.turn)] for hit in found)
        few = self.handle.search("tea", **asked(scope), where=text, k=2, mode=mode, **times)
        assert len(few) == min(2, len(wanted))

    @rule(seconds=st.integers(0, 3), scope=readings)
    def search_as_known_lately(self, seconds: int, scope: Scope | AllScopes) -> None:
        """Search by what the store knew at a moment at which it learnt something."""
        Machine.steps += 1
        learnt = sorted(
            moment
            for turn in self.model.turns.values()
            for moment in (turn.ingested_at, turn.superseded_at)
            if moment is not None
        )
        known = learnt[-1 - seconds % len(learnt)] if learnt else at(0)
        found = self.handle.search("tea", **asked(scope), k=1_000, known_at=known)
        wanted = self.model.candidates(scope, where=None, known_at=known)
        assert {key_of(hit.turn) for hit in found} == wanted

    @rule(scope=readings, where=wheres, turn_id=st.sampled_from(IDS), offset=st.integers(0, 3))
    def read(
        self,
        scope: Scope | AllScopes,
        where: tuple[dict[str, Any], Test] | None,
        turn_id: str,
        offset: int,
    ) -> None:
        """List, count, look up."""
        text, test = where or (None, None)
        handle, wanted = self.handle, self.model.living(scope, where=test)
        page = handle.turns(**asked(scope), where=text, offset=offset, limit=3)
        assert page == wanted[offset : offset + 3]
        assert handle.count(**asked(scope), where=text) == len(wanted)
        sessions = handle.sessions(**asked(scope))
        assert sorted(map(str, sessions)) == sorted(map(str, self.model.sessions(scope)))
        assert [one.first for one in sessions] == sorted(one.first for one in sessions)
        turn = self.both(
            lambda model: model.get(turn_id, scope), lambda: handle.get(turn_id, **asked(scope))
        )
        if turn is not None:
            assert handle.get(turn_id, **asked(scope)) == turn

    @rule(scope=scopes, where=wheres)
    def read_scoped(self, scope: Scope, where: tuple[dict[str, Any], Test] | None) -> None:
        """Read through a handle that is bound to a scope."""
        Machine.steps += 1
        text, test = where or (None, None)
        mine = self.handle.scoped(**named(scope))
        assert mine.turns(where=text) == self.model.living(scope, where=test)
        found = {key_of(hit.turn) for hit in mine.search("harbour", where=text, k=1_000)}
        assert found == self.model.candidates(scope, where=test)

    @rule(scope=readings, suffix=st.sampled_from([".jsonl", ".jsonl.gz", ".parquet"]))
    def export_and_import(self, scope: Scope | AllScopes, suffix: str) -> None:
        """Export a scope, delete it, and import the file: it is as it was."""
        Machine.steps += 1
        self.files += 1
        path = self.folder / f"{self.files}{suffix}"
        wanted = self.model.living(scope)
        assert self.handle.export(path, **asked(scope), progress=False) == len(wanted)
        again = self.handle.import_turns(path, progress=False)
        assert (again.stored, again.unchanged, again.rejected) == (0, len(wanted), 0)
        keys, _ = self.model.selected(None, scope, None)
        assert self.handle.delete(**asked(scope)).turns == len(keys)
        report = self.handle.import_turns(path, progress=False)
        assert (report.stored, report.rejected) == (len(wanted), 0)
        self.model.drop(set(keys) - {key_of(turn) for turn in wanted})

    @rule()
    def copy_to_another_store(self) -> None:
        """Export everything, and import it into a new store."""
        Machine.steps += 1
        self.files += 1
        path, copy = self.folder / f"{self.files}.jsonl", self.folder / f"copy{self.files}"
        self.handle.export(path, scope=ALL, progress=False)
        with Memory.open(copy, embedder=self.spaces[1]) as other:
            other.import_turns(path, progress=False)
            assert other.turns(scope=ALL, limit=10_000) == self.model.living()

    @rule(which=st.integers(0, HANDLES - 1))
    def reopen(self, which: int) -> None:
        """Close a handle, and open another one."""
        Machine.steps += 1
        self.handles[which].close()
        self.handles[which] = self._opened()

    @rule()
    def compact(self) -> None:
        """Merge what small writes left behind."""
        Machine.steps += 1
        self.handle._home.parts.store.compact()

    @precondition(lambda self: self.turn % 5 == 0)
    @rule()
    def move(self) -> None:
        """Migrate to the other space; or back, if it lies there."""
        Machine.steps += 1
        handle = self.handle
        under_way = handle.migration()
        if under_way is not None and under_way.status().state == "done":
            under_way.rollback(progress=False)
        else:
            handle.migrate(self.spaces[1], bounds=ANY_GATES, progress=False)

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        """Compare all there is, turn by turn and in order."""
        if self.handles:
            assert self.handle.turns(scope=ALL, limit=10_000) == self.model.living()


def test_a_memory_does_what_its_plain_model_does() -> None:
    before = Machine.steps
    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None),
    )
    assert Machine.steps - before > EXAMPLES * STEPS / 4


def test_the_model_itself_finds_a_turn_that_was_altered() -> None:
    machine = Machine()
    machine.begin()
    try:
        turn = Turn("1", "user", "tea", event_time=at(0), ingested_at=at(0), user_id="ada")
        machine.model.turns[key_of(turn)] = turn
        with pytest.raises(AssertionError):
            machine.everything_is_as_the_model_says()
    finally:
        machine.teardown()
