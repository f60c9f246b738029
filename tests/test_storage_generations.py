"""Generations: one in force, changed by swap; a write counts once it is in the one in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from generation_tools import announce, flip, flipped, seal, sealed, unsealed
from storage_tools import PASSPORT, open_store, start_python

from agentmem.errors import ConcurrentWrite, StoreError, VersionGone
from agentmem.storage import generations as module
from agentmem.storage.description import Description, Generation
from agentmem.storage.generations import Generations, Spaces

OTHER = replace(PASSPORT, model="large", dimension=8)
RACERS = 6
PATIENCE = 1.0


class Clock:
    """Time that passes only while somebody sleeps, and what happens then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.coming: list[tuple[float, Callable[[], object]]] = []

    def at(self, moment: float, happening: Callable[[], object]) -> None:
        """Let something happen once that much time has passed."""
        self.coming.append((moment, happening))

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [one for one in self.coming if one[0] <= self.now]
        for one in due:
            self.coming.remove(one)
            one[1]()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    return found


def following(folder: Path, **options: bool) -> Generations:
    """Open a store and follow it, as another process would."""
    store = open_store(folder, **options)
    return Generations(store._opened, guard=store._guard, patience=PATIENCE)


@pytest.fixture
def mine(tmp_path: Path) -> Generations:
    return following(tmp_path)


@pytest.fixture
def theirs(mine: Generations, tmp_path: Path) -> Generations:
    return following(tmp_path)


def spaces_of(generations: Generations) -> Spaces[Generation]:
    """Hold of each generation nothing but itself."""
    return Spaces(generations, make=lambda generation: generation)


def numbers(writing: Iterator[Generation]) -> list[int]:
    return [one.number for one in writing]


def test_a_change_is_seen_by_every_process_at_once(mine: Generations, theirs: Generations) -> None:
    assert theirs.read().generations == {1: Generation(1, PASSPORT)}
    made = announce(mine, OTHER)
    assert theirs.read().generations[2] == made == Generation(2, OTHER)
    assert theirs.read() == mine.read()


def test_what_is_unchanged_is_not_read_again(mine: Generations, theirs: Generations) -> None:
    before = mine.read()
    assert mine.read() is before
    assert theirs.change(lambda _: None) is None
    assert mine.read() is before
    announce(theirs, OTHER)
    assert mine.read() is not before


def test_another_value_of_the_store_changes_no_description(
    mine: Generations, tmp_path: Path
) -> None:
    before = mine.read()
    with_values = open_store(tmp_path)
    with_values.whole.meta.put("a", 1)
    assert mine.read() is before


def test_of_threads_that_race_to_change_none_is_lost(tmp_path: Path) -> None:
    racers = [following(tmp_path) for _ in range(RACERS)]
    with ThreadPoolExecutor(RACERS) as pool:
        made = list(pool.map(lambda one: announce(one, OTHER).number, racers))
    assert sorted(made) == list(range(2, RACERS + 2))
    assert sorted(racers[0].read().generations) == [1, *sorted(made)]


ANNOUNCER = """
import sys
from dataclasses import replace
from generation_tools import announce, sealed
from storage_tools import PASSPORT, open_store
generations = open_store(sys.argv[1]).whole.generations
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[3])):
    announce(generations, replace(PASSPORT, model=f"{sys.argv[2]}{n}"))
print("won" if generations.change(sealed(sys.argv[2])) else "lost")
"""


def test_of_processes_that_race_to_change_none_is_lost_and_one_seals(tmp_path: Path) -> None:
    generations, count = following(tmp_path), 8
    racers = [start_python(ANNOUNCER, tmp_path, name, str(count)) for name in "ab"]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    said = {}
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for name, racer in zip("ab", racers, strict=True):
        out, err = racer.communicate(timeout=120)
        assert racer.returncode == 0, err
        said[name] = out.strip()
    told = generations.read()
    models = [told.generations[n].passport.model for n in range(2, told.last + 1)]
    assert sorted(models) == sorted(f"{name}{n}" for name in "ab" for n in range(count))
    for name in "ab":
        assert [one for one in models if one[0] == name] == [f"{name}{n}" for n in range(count)]
    assert sorted(said.values()) == ["lost", "won"]
    assert said[told.seal or ""] == "won"


def test_others_that_keep_coming_first_are_an_error_and_nothing_is_changed(
    mine: Generations, theirs: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWAPS", 3)

    def slowly(now: Description) -> Description:
        announce(theirs, OTHER)
        return replace(now, active=99)

    with pytest.raises(ConcurrentWrite, match="nothing was changed"):
        mine.change(slowly)
    assert (mine.read().active, mine.read().last) == (1, 4)


def test_a_writer_waits_while_the_generation_is_sealed(
    mine: Generations, theirs: Generations, clock: Clock
) -> None:
    announce(theirs, OTHER)
    assert mine.open_to_writers().number == 1
    assert clock.now == 0
    seal(theirs)
    clock.at(0.5, lambda: flip(theirs, to=2))
    assert mine.open_to_writers().number == 2
    assert clock.now == pytest.approx(0.5, abs=2 * module.POLL)


def test_a_migration_that_gives_up_lets_the_writers_go_on(
    mine: Generations, theirs: Generations, clock: Clock
) -> None:
    seal(theirs)
    clock.at(0.5, lambda: theirs.change(unsealed("migration")))
    assert mine.open_to_writers().number == 1
    assert clock.now == pytest.approx(0.5, abs=2 * module.POLL)


def test_a_seal_whose_owner_died_is_broken_and_the_owner_s_flip_fails(
    mine: Generations, theirs: Generations, clock: Clock
) -> None:
    announce(theirs, OTHER)
    seal(theirs)
    assert mine.open_to_writers().number == 1
    assert clock.now == pytest.approx(PATIENCE, abs=2 * module.POLL)
    assert theirs.change(flipped(2, name="migration")) is None
    assert (theirs.read().active, theirs.read().seal) == (1, None)


def test_each_seal_has_the_patience_of_writers_anew(
    mine: Generations, theirs: Generations, clock: Clock
) -> None:
    def passed_on() -> None:
        assert theirs.change(unsealed("first")) is not None
        seal(theirs, name="second")

    announce(theirs, OTHER)
    seal(theirs, name="first")
    clock.at(0.7 * PATIENCE, passed_on)
    clock.at(1.5 * PATIENCE, lambda: flip(theirs, to=2, name="second"))
    assert mine.open_to_writers().number == 2
    assert clock.now == pytest.approx(1.5 * PATIENCE, abs=2 * module.POLL)


def test_breaking_a_seal_leaves_that_of_the_next_migration_alone(
    mine: Generations, theirs: Generations, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = mine.change
    once: list[None] = [None]

    def just_before(one: Callable[[Description], Description | None]) -> object:
        if once:
            once.pop()
            assert theirs.change(unsealed("dead")) is not None
            seal(theirs, name="alive")
            clock.at(clock.now + 0.1, lambda: flip(theirs, to=2, name="alive"))
        return change(one)

    announce(theirs, OTHER)
    seal(theirs, name="dead")
    monkeypatch.setattr(mine, "change", just_before)
    assert mine.open_to_writers().number == 2
    assert once == []


def test_one_seals_at_a_time(mine: Generations, theirs: Generations) -> None:
    seal(mine)
    assert theirs.change(sealed("other")) is None
    assert mine.read().seal == "migration"


def test_a_write_is_made_once_where_nothing_moves(mine: Generations, clock: Clock) -> None:
    assert numbers(spaces_of(mine).writing()) == [1]
    assert clock.now == 0


def test_a_write_is_repeated_after_each_flip(mine: Generations, theirs: Generations) -> None:
    for _ in range(2):
        announce(theirs, OTHER)
    written = []
    for one in spaces_of(mine).writing():
        written.append(one.number)
        if len(written) < 3:
            seal(theirs)
            flip(theirs, to=len(written) + 1)
    assert written == [1, 2, 3]


def test_a_write_under_a_seal_counts_only_once_the_seal_is_gone(
    mine: Generations, theirs: Generations, clock: Clock
) -> None:
    announce(theirs, OTHER)
    written = []
    for one in spaces_of(mine).writing():
        written.append(one.number)
        if one.number == 1:
            seal(theirs)
            clock.at(0.4, lambda: flip(theirs, to=2))
    assert written == [1, 2]
    assert clock.now >= 0.4


def test_a_write_beside_a_migration_that_gave_up_is_not_repeated(
    mine: Generations, theirs: Generations, clock: Clock
) -> None:
    written = []
    for one in spaces_of(mine).writing():
        written.append(one.number)
        seal(theirs)
        clock.at(0.4, lambda: theirs.change(unsealed("migration")))
    assert written == [1]
    assert clock.now >= 0.4


def test_a_write_is_repeated_when_a_rollback_comes_between(
    mine: Generations, theirs: Generations
) -> None:
    announce(theirs, OTHER)
    seal(theirs)
    flip(theirs, to=2)
    written = []
    for one in spaces_of(mine).writing():
        written.append(one.number)
        if one.number == 2:
            seal(theirs)
            flip(theirs, to=1)
    assert written == [2, 1]


def test_readers_follow_and_are_not_held_up_by_a_seal(
    mine: Generations, theirs: Generations, clock: Clock
) -> None:
    spaces = spaces_of(mine)
    announce(theirs, OTHER)
    assert spaces.current().number == 1
    seal(theirs)
    assert spaces.current().number == 1
    flip(theirs, to=2)
    assert spaces.current() == Generation(2, OTHER)
    assert clock.now == 0


def test_a_generation_that_is_gone_or_has_no_model_is_not_kept(
    mine: Generations, theirs: Generations
) -> None:
    spaces = spaces_of(mine)
    announce(theirs, OTHER)
    assert spaces.kept(2) == Generation(2, OTHER)
    assert spaces.kept(3) is None


def test_a_generation_that_was_dropped_is_gone_even_where_it_is_held(
    mine: Generations, theirs: Generations
) -> None:
    spaces = spaces_of(mine)
    announce(theirs, OTHER)
    seal(theirs)
    flip(theirs, to=2)
    assert spaces.at(1) == Generation(1, PASSPORT)
    assert theirs.change(lambda now: now.without(1)) is not None
    with pytest.raises(VersionGone, match=r"generation 1.*no longer kept") as caught:
        spaces.at(1)
    assert caught.value.version == 1
    with pytest.raises(VersionGone, match="generation 9"):
        spaces.at(9)
    assert spaces.current().number == 2


def test_others_are_all_that_is_kept_or_being_made(mine: Generations, theirs: Generations) -> None:
    spaces = spaces_of(mine)
    assert spaces.others(1) == []
    made = announce(theirs, OTHER)
    assert spaces.others(1) == [made]
    assert spaces.others(2) == [Generation(1, PASSPORT)]
    theirs.change(lambda now: now.without(2))
    assert spaces.others(1) == []


def test_what_is_held_of_a_generation_is_made_once(mine: Generations) -> None:
    made = []

    def make(generation: Generation) -> object:
        made.append(generation.number)
        return object()

    spaces = Spaces(mine, make=make)
    with ThreadPoolExecutor(RACERS) as pool:
        found = set(pool.map(lambda _: spaces.current(), range(4 * RACERS)))
    assert made == [1]
    assert spaces.held() == list(found)


def test_what_could_not_be_made_is_tried_again(mine: Generations) -> None:
    failing = [True]

    def make(generation: Generation) -> int:
        if failing.pop():
            raise StoreError("not now")
        return generation.number

    spaces = Spaces(mine, make=make)
    with pytest.raises(StoreError, match="not now"):
        spaces.current()
    assert spaces.held() == []
    failing.append(False)
    assert spaces.current() == 1


def test_a_reader_neither_waits_for_a_seal_nor_breaks_it(mine: Generations, tmp_path: Path) -> None:
    reader = following(tmp_path, read_only=True)
    seal(mine)
    assert reader.open_to_writers().number == 1  # the write itself is refused
    assert mine.read().seal == "migration"


def test_a_store_that_is_closed_meanwhile_ends_the_wait(
    theirs: Generations, tmp_path: Path, clock: Clock
) -> None:
    store = open_store(tmp_path)
    seal(theirs)
    clock.at(0.2, store.close)
    with pytest.raises(StoreError, match="is closed"):
        store.whole.generations.open_to_writers()


def test_a_description_that_vanished_is_an_error(mine: Generations, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.whole.meta._table.delete("true")
    with pytest.raises(StoreError, match=r"is gone.*backup"):
        mine.read()
