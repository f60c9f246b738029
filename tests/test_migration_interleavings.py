"""Writers, a migration there and back, and deaths, a step at a time in any order: nothing is lost.

Each step is one commit or one look, so that whatever processes can do to each other comes about
in one process, and can be made smaller until it is understood.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from generation_tools import announce, sealed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from storage_tools import key_of, turn

from agentmem.filters import field
from agentmem.ingest import pieces_of, rows_of
from agentmem.migration.making import RowMaker
from agentmem.storage.copying import Copy, copies, make_tables
from agentmem.storage.description import Description, Generation
from agentmem.storage.generations import Spaces
from agentmem.storage.rows import Stamps
from agentmem.storage.turns import Store
from agentmem.testing import HashEmbedder
from agentmem.types import ALL, Scope

EMBEDDERS = {1: HashEmbedder(4), 2: HashEmbedder(4, window=9)}
STEPS = 3  # of a write: where to, the commit, and whether the store moved meanwhile
WRITERS = st.integers(0, 1)
KEYS = st.integers(0, 2)
SIZES = st.integers(1, 30)  # words: up to four chunks in the second space
ADA = Scope(user_id="ada")


@dataclass
class Write:
    """A write that is under way: where it is to be made, and what it makes of a turn."""

    writing: Iterator[Store]
    store: Store | None
    turn_id: str
    content: str | None


class Interleavings(RuleBasedStateMachine):
    """A store of two generations whose turns are written while it moves."""

    @initialize()
    def begin_store(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store.open(self.folder, passport=EMBEDDERS[1].passport)
        self.whole = self.store.whole
        self.generations = self.whole.generations
        made = announce(self.generations, EMBEDDERS[2].passport)
        make_tables(self.whole.opened, made, held=["turns"])
        self.spaces = Spaces(self.generations, make=self.store.at_generation)
        self.allowed: dict[str, set[str | None]] = {}
        self.writes: dict[int, Write] = {}
        self.said = 0
        self.seals: list[str] = []

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.finish()
            self.store.close()
            shutil.rmtree(self.folder)

    @property
    def told(self) -> Description:
        return self.generations.read()

    @property
    def is_open(self) -> bool:
        return self.told.seal is None

    @property
    def copy(self) -> Copy:
        """What is carried: from the generation in force to the other one."""
        kept, active = self.told.generations, self.told.active
        source, target = kept[active], kept[3 - active]
        whole = self.whole
        (found,) = copies(whole.opened, source=source, target=target, guard=whole.guard)
        return found

    @rule(writer=WRITERS, key=KEYS, size=SIZES, is_delete=st.booleans())
    def go_on(self, writer: int, key: int, size: int, *, is_delete: bool) -> None:
        """A writer takes its next step, unless it has to wait for that."""
        write = self.writes.get(writer)
        if write is not None and write.store is not None:
            self.commit(write.store, write)
            write.store = None
        elif not self.is_open:
            return
        elif write is not None:
            self.acknowledge(writer)
        else:
            self.said += 1
            content = None if is_delete else " ".join([f"said{self.said}", *["more"] * size])
            turn_id = f"w{writer}k{key}"
            writing = self.spaces.writing()
            self.writes[writer] = Write(writing, next(writing), turn_id, content)
            self.allowed.setdefault(turn_id, {None}).add(content)

    @precondition(lambda self: self.is_open)
    @rule(writer=WRITERS, key=KEYS, size=SIZES, is_delete=st.booleans())
    def go_through(self, writer: int, key: int, size: int, *, is_delete: bool) -> None:
        """A writer ends what it began, and makes a whole write."""
        while writer in self.writes:
            self.go_on(writer, key, size, is_delete=is_delete)
        for _ in range(STEPS):
            self.go_on(writer, key, size, is_delete=is_delete)

    def commit(self, store: Store, write: Write) -> None:
        """Write where it was meant to be written, whatever is in force by now."""
        if write.content is not None:
            self.put(store, write.turn_id, write.content)
            return
        self.delete(store, write.turn_id)
        for other in self.spaces.others(store.generation):
            self.delete(self.store.at_generation(other), write.turn_id)

    def acknowledge(self, writer: int) -> None:
        """See whether the store moved: if not the writer is done, else it has to write again."""
        write = self.writes[writer]
        write.store = next(write.writing, None)
        if write.store is None:
            self.allowed[write.turn_id] = {write.content}
            del self.writes[writer]

    @precondition(lambda self: self.writes)
    @rule(writer=WRITERS)
    def kill_writer(self, writer: int) -> None:
        """A writer dies; a delete may have reached one generation and not the other."""
        write = self.writes.pop(writer, None)
        if write is not None and write.store is not None and write.content is None:
            self.delete(write.store, write.turn_id)

    @rule(share=st.sampled_from([0.4, 1.0]))
    def carry(self, share: float) -> None:
        """The migration brings some of what is outstanding to the other generation."""
        copy = self.copy
        outstanding = copy.outstanding()
        copy.remove(outstanding.gone)
        keys = outstanding.keys[: round(len(outstanding.keys) * share)]
        target = EMBEDDERS[3 - self.told.active]
        copy.put(RowMaker(target, texts=8).rows("turns", copy.read(keys)).rows)

    @precondition(lambda self: self.is_open)
    @rule()
    def seal(self) -> None:
        self.seals.append(f"run{len(self.seals)}")
        assert self.generations.change(sealed(self.seals[-1])) is not None

    @precondition(lambda self: not self.is_open)
    @rule(writer=WRITERS)
    def flip(self, writer: int) -> None:
        """The migration flips if it saw nothing left under its seal, whoever commits since."""
        is_clean = len(self.copy.outstanding()) == 0
        self.go_on(writer, 0, 1, is_delete=False)
        if is_clean:
            assert self.flipped(self.seals[-1])

    @precondition(lambda self: self.is_open)
    @rule()
    def move(self) -> None:
        """A whole migration between two steps of a writer."""
        self.carry(1.0)
        self.seal()
        self.carry(1.0)
        assert self.flipped(self.seals[-1])

    @precondition(lambda self: self.seals)
    @rule()
    def flip_late(self) -> None:
        """A run that slept while its seal was broken wakes up, and wants to flip."""
        for name in self.seals:
            if name != self.told.seal:
                assert not self.flipped(name)

    @precondition(lambda self: not self.is_open)
    @rule()
    def break_seal(self) -> None:
        """The migration gives up, or died and is not waited for any longer."""
        self.generations.change(lambda now: replace(now, seal=None))

    @invariant()
    def is_nothing_lost(self) -> None:
        """Readers find what was acknowledged, and nothing else, whole."""
        if not hasattr(self, "folder"):
            return
        found = self.contents(self.told.generation)
        for turn_id in {*found, *self.allowed}:
            assert found.get(turn_id) in self.allowed[turn_id]

    def finish(self) -> None:
        """End every write and the migration; then both generations hold the same."""
        self.generations.change(lambda now: replace(now, seal=None))
        for writer in list(self.writes):
            while writer in self.writes:
                self.go_on(writer, 0, 1, is_delete=False)
        self.is_nothing_lost()
        self.carry(1.0)
        kept = self.told.generations
        assert self.contents(kept[1]) == self.contents(kept[2])

    def flipped(self, name: str) -> bool:
        other = 3 - self.told.active
        changed = self.generations.change(
            lambda now: now.in_force(other) if now.seal == name else None
        )
        return changed is not None

    def contents(self, generation: Generation) -> dict[str, str | None]:
        store = self.store.at_generation(generation)
        with store._table.reading() as table:
            rows = table.search().limit(10**6).to_arrow().to_pylist()
        assert len({row["chunk_key"] for row in rows}) == len(rows)
        assert {row["passport"] for row in rows} <= {generation.passport.id}
        by_key: dict[str, list[int]] = {}
        for row in rows:
            by_key.setdefault(f"{row['id']} {row['rev']} {row['chunks']}", []).append(row["chunk"])
        assert len({key.partition(" ")[0] for key in by_key}) == len(by_key)
        for key, chunks in by_key.items():
            assert sorted(chunks) == list(range(int(key.rpartition(" ")[2])))
        found = [one for some in store.scan_turns(scope=ALL, batch_turns=99) for one in some]
        return {one.id: one.content for one in found}

    def put(self, store: Store, turn_id: str, content: str) -> None:
        one = turn(turn_id, content=content)
        pieces, texts = pieces_of([one], embedder=EMBEDDERS[store.generation])
        vectors = EMBEDDERS[store.generation].embed(texts, kind="document")
        self.said += 1  # no two writes share a revision
        stamps = Stamps([self.said], [store.passport.id])
        rows = rows_of([one], pieces=pieces, vectors=vectors, stamps=stamps)
        store.replace(store.revisions([key_of(one)]), rows)

    def delete(self, store: Store, turn_id: str) -> None:
        store.delete(scope=ADA, where=field("id") == turn_id)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=8,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
