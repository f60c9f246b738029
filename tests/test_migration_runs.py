"""Who runs a migration: paused and gone on with, here or elsewhere, killed, silent, ousted."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from generation_tools import announce, seal
from memory_tools import ids, open_hashed, say
from migration_tools import NEXT, Next, assert_moved, description, filled, turns_in, without_grace
from storage_tools import run_python, start_python

from agentmem import InvalidInput, Memory, MigrationFailed
from agentmem.migration import engines, records
from agentmem.migration.handle import Migration
from agentmem.migration.migrations import Wanted
from agentmem.migration.steps import Steps
from agentmem.storage import copying
from agentmem.storage import generations as generations_module
from agentmem.storage.generations import Spaces
from agentmem.storage.turns import Store
from agentmem.testing import HashEmbedder

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="signals as Linux has them")

MIGRATOR = """
import sys, time
from memory_tools import open_hashed
from migration_tools import Next
class Slow(Next):
    def embed(self, texts, *, kind):
        if any(" said " in text for text in texts):
            time.sleep(float(sys.argv[2]))
        return super().embed(texts, kind=kind)
with open_hashed(sys.argv[1], standby=[Slow()]) as memory:
    print("ready", flush=True)
    print(memory.migrate(Slow(), progress=False).status().state, flush=True)
"""
SLOW = "0.15"  # seconds a batch


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    without_grace(monkeypatch)


def started(folder: Path, *, slow: str = SLOW) -> subprocess.Popen[str]:
    """Let another process migrate, and return once it has carried something."""
    process = start_python(MIGRATOR, folder, slow)
    with open_hashed(folder, read_only=True) as memory:
        until = time.monotonic() + 60
        while (one := memory.migration()) is None or not one.status().done:
            assert time.monotonic() < until
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
    return process


def current(memory: Memory) -> Migration:
    found = memory.migration()
    assert found is not None
    return found


def test_in_the_background_it_is_paused_and_gone_on_with(tmp_path: Path) -> None:
    embedder = Next()
    reached = threading.Event()
    go_on = threading.Event()

    def waits() -> None:
        reached.set()
        assert go_on.wait(60)

    with filled(tmp_path, 600) as memory:
        embedder.when("said", waits, after=100)
        migration = memory.migrate(embedder, background=True, share=1.0)
        assert reached.wait(60)
        assert migration.pause().requested == "pause"
        go_on.set()
        status = migration.wait(60)
        assert (status.state, status.requested, status.owner) == ("paused", None, None)
        assert len(turns_in(tmp_path, 2)) < 600
        memory.add(say("late", id="late"), user_id="ada")
        assert memory.search("late", user_id="ada").generation == 1
        assert migration.resume().wait(60).state == "done"
        assert_moved(tmp_path, NEXT)


def test_a_search_meanwhile_answers_from_the_old_space(tmp_path: Path) -> None:
    embedder, seen = Next(), []
    with filled(tmp_path, 200) as memory:
        embedder.when("said", lambda: seen.append(memory.search("word3", user_id="ada")), after=99)
        memory.migrate(embedder)
        assert [(one.generation, ids(one)[0]) for one in seen] == [(1, "ada3")]


def test_it_is_cancelled_and_nothing_of_it_stays(tmp_path: Path) -> None:
    embedder = Next()
    with filled(tmp_path, 600) as memory:
        embedder.when("said", lambda: current(memory).cancel(), after=300)
        status = memory.migrate(embedder).status()
        assert (status.state, status.owner, status.requested) == ("cancelled", None, None)
        assert sorted(description(tmp_path).generations) == [1]
        assert not list(tmp_path.glob("*_g2.lance"))
        for use in (current(memory).cancel, current(memory).pause, current(memory).resume):
            with pytest.raises(InvalidInput, match="cancelled"):
                use()
        memory.migrate(NEXT)
        assert_moved(tmp_path, NEXT, target=3)


def test_what_was_asked_for_while_gates_were_looked_at_is_done_before_the_flip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = Steps.copies
    with filled(tmp_path, 20) as memory:

        def then_paused(self: Steps) -> list[copying.Copy]:
            migration = current(memory)
            if migration.status().state == "checking":
                migration.pause()
            return copies(self)

        with monkeypatch.context() as patched:
            patched.setattr(Steps, "copies", then_paused)
            assert memory.migrate(NEXT).status().state == "paused"
        assert (description(tmp_path).active, description(tmp_path).seal) == (1, None)
        assert current(memory).cancel().state == "cancelled"
        assert sorted(description(tmp_path).generations) == [1]


def test_another_process_pauses_it_and_goes_on_with_it(tmp_path: Path) -> None:
    filled(tmp_path, 900).close()
    process = started(tmp_path)
    with open_hashed(tmp_path, standby=[NEXT]) as memory:
        migration = current(memory)
        assert migration.status().owner is not None
        migration.pause()
        out, err = process.communicate(timeout=60)
        assert (out.split()[-1], process.returncode) == ("paused", 0), err
        memory.add(say("late", id="late"), user_id="ada")
        assert migration.run(progress=False).state == "done"
        assert_moved(tmp_path, NEXT)


def test_another_process_cancels_it_without_the_model(tmp_path: Path) -> None:
    filled(tmp_path, 900).close()
    process = started(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    with open_hashed(tmp_path) as memory:
        assert current(memory).wait(1).state == "building"
        assert current(memory).cancel().state == "cancelled"
        assert sorted(description(tmp_path).generations) == [1]
        assert memory.count(user_id="ada") == 450


def test_killed_it_goes_on_where_it_was(tmp_path: Path) -> None:
    filled(tmp_path, 900).close()
    process = started(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    carried = len(turns_in(tmp_path, 2))
    assert 0 < carried < 900
    embedder = Next()
    with open_hashed(tmp_path) as memory:
        before = current(memory)
        again = memory.migrate(embedder)
        assert (again.id, again.status().state) == (before.id, "done")
        assert sum(" said word" in text for text in embedder.texts) <= 900 - carried + 32
        assert_moved(tmp_path, NEXT)


def test_killed_between_the_flip_and_the_record_of_it_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip = Steps.flip

    def then_killed(self: Steps) -> bool:
        assert flip(self)
        raise KeyboardInterrupt

    with filled(tmp_path, 20) as memory:
        with monkeypatch.context() as patched:
            patched.setattr(Steps, "flip", then_killed)
            with pytest.raises(KeyboardInterrupt):
                memory.migrate(NEXT)
        assert current(memory).status().state == "flipping"
        assert memory.search("word1", user_id="ada").generation == 2
        memory.delete(["ada1"], user_id="ada")
        assert memory.migrate(NEXT).status().state == "done"
        assert_moved(tmp_path, NEXT)


def test_interrupted_it_lets_writers_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Steps) -> bool:
        assert description(tmp_path).seal is not None
        raise KeyboardInterrupt

    with filled(tmp_path, 20) as memory:
        with monkeypatch.context() as patched:
            patched.setattr(Steps, "flip", interrupted)
            with pytest.raises(KeyboardInterrupt):
                memory.migrate(NEXT)
        status = current(memory).status()
        assert (description(tmp_path).seal, status.owner) == (None, None)
        memory.add(say("late", id="late"), user_id="ada")
        memory.migrate(NEXT)
        assert_moved(tmp_path, NEXT)


def test_a_second_run_leaves_it_to_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentmem.migration.migrator.BEAT", 0.1)
    embedder, seen = Next(), []

    def second() -> None:
        with open_hashed(tmp_path, standby=[NEXT]) as other:
            seen.append(other.migrate(NEXT).status())

    with filled(tmp_path, 300) as memory:
        embedder.when("said", second, after=100)
        assert memory.migrate(embedder).status().state == "done"
        assert [one.state for one in seen] == ["building"]
        assert_moved(tmp_path, NEXT)


@pytest.mark.slow
def test_one_that_fell_silent_is_ousted_and_writes_nothing_when_it_wakes_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SILENCE", 1.0)
    filled(tmp_path, 900).close()
    process = started(tmp_path)
    os.kill(process.pid, signal.SIGSTOP)
    with open_hashed(tmp_path) as memory:
        assert memory.migrate(NEXT).status().state == "done"
        again = [say(f"said later {n}", id=f"ada{n}") for n in range(450)]
        memory.add(again, user_id="ada", session_id="s", on_conflict="replace")
        memory.delete(user_id="bob")
        before = turns_in(tmp_path, 2)
        os.kill(process.pid, signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        assert (out.split()[-1], process.returncode) == ("done", 0), err
        assert turns_in(tmp_path, 2) == before
        assert (description(tmp_path).active, description(tmp_path).seal) == (2, None)


def test_one_that_fell_silent_under_its_seal_does_not_flip_when_it_wakes_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen that nothing is left to carry; by now something is."""
    monkeypatch.setattr(records, "SILENCE", 0.3)
    monkeypatch.setattr("agentmem.migration.migrator.BEAT", 60.0)
    flip = Steps.flip
    stages: list[str] = []

    def slept(self: Steps) -> bool:
        stages.append("slept" if not stages else "flipped")
        if stages == ["slept"]:
            with open_hashed(tmp_path, standby=[NEXT], create=False) as other:
                other.migrate(NEXT)
        elif stages == ["slept", "flipped"]:  # the other one has sealed; now the first wakes up
            stages.append("woke")
            assert woken() is False
        return flip(self)

    def woken() -> bool:
        late = Steps(*arguments, **options)
        late._seal = first[0]
        return flip(late)

    arguments: list[Any] = []
    options: dict[str, Any] = {}
    first: list[str] = []
    made: Callable[..., None] = Steps.__init__

    def init(self: Steps, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        if not first:
            arguments.extend(given)
            options.update(named)
            first.append(self._seal)

    monkeypatch.setattr(Steps, "__init__", init)
    monkeypatch.setattr(Steps, "flip", slept)
    with filled(tmp_path, 20) as memory:
        assert memory.migrate(NEXT).status().state == "done"
        assert stages == ["slept", "flipped", "woke"]
        assert [one.state for one in memory._migrations.history()] == ["done"]
        assert_moved(tmp_path, NEXT)


def test_writers_break_the_seal_of_one_that_died_and_the_next_run_carries_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        generations_module.Generations.__init__, "__kwdefaults__", {"patience": 0.3}
    )

    def died(self: Steps) -> bool:
        raise SystemExit

    def left_on(self: Steps) -> None:
        """Unseal nothing: it is dead."""

    with filled(tmp_path, 20) as memory:
        with monkeypatch.context() as patched:
            patched.setattr(Steps, "flip", died)
            patched.setattr(Steps, "unseal", left_on)
            with pytest.raises(SystemExit):
                memory.migrate(NEXT)
        assert description(tmp_path).seal is not None
        with open_hashed(tmp_path, standby=[NEXT]) as other:
            began = time.monotonic()
            other.add(say("late", id="late"), user_id="ada")
            assert time.monotonic() - began >= 0.3
            assert description(tmp_path).seal is None
        memory.migrate(NEXT)
        assert ids(memory.search("late", user_id="ada", k=1)) == ["late"]
        assert_moved(tmp_path, NEXT)


def test_a_seal_that_is_broken_under_it_is_put_on_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip, seals = Steps.flip, []
    with filled(tmp_path, 20) as memory:
        generations = memory._migrations.store.generations

        def broken(self: Steps) -> bool:
            seals.append(description(tmp_path).seal)
            if len(seals) == 1:
                generations.change(lambda now: replace(now, seal=None))
                memory.add(say("late", id="late"), user_id="ada")
            return flip(self)

        monkeypatch.setattr(Steps, "flip", broken)
        memory.migrate(NEXT)
        assert len(seals) == 2
        assert_moved(tmp_path, NEXT)


def test_a_seal_of_somebody_else_is_respected(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(NEXT, flip=False)
        seal(memory._migrations.store.generations, name="another")
        with pytest.raises(Exception, match="another migration holds the store"):
            memory.migrate(NEXT)
        assert description(tmp_path).seal == "another"
        assert description(tmp_path).active == 1
        assert migration.status().owner is None


def test_a_write_over_which_the_store_moved_there_and_back_is_repeated(tmp_path: Path) -> None:
    generations = Store.open(tmp_path, passport=NEXT.passport).whole.generations
    made = announce(generations, replace(NEXT.passport, dimension=7))
    written = []
    for one in Spaces(generations, make=lambda generation: generation.number).writing():
        written.append(one)
        if len(written) == 1:
            generations.change(lambda now: now.in_force(made.number))
            generations.change(lambda now: now.in_force(1))
    assert written == [1, 1]


def test_a_write_that_a_rollback_took_for_gone_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer slept between its commit and its acknowledgement, over a flip and the way back."""
    append = Store.append
    slept: list[Migration] = []
    with open_hashed(tmp_path, standby=[NEXT]) as memory, filled(tmp_path, 20) as other:

        def moved(self: Store, rows: Any) -> None:
            if slept:
                append(self, rows)
                return
            slept.append(other.migrate(NEXT))
            append(self, rows)  # to the generation that is not in force any more
            slept[0].rollback()

        monkeypatch.setattr(Store, "append", moved)
        (made,) = memory.add("slept over", user_id="cy")
        assert memory.get(made, user_id="cy").content == "slept over"


def test_a_failing_store_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, tries = copying.Copy.put, []

    def full(self: copying.Copy, rows: Any) -> None:
        tries.append(rows.num_rows)
        if len(tries) == 2:
            raise OSError(28, "no space left on device")
        put(self, rows)

    with filled(tmp_path, 600) as memory:
        monkeypatch.setattr(copying.Copy, "put", full)
        with pytest.raises(OSError, match="no space"):
            memory.migrate(NEXT)
        status = current(memory).status()
        assert (status.state, status.owner) == ("building", None)
        assert 0 < len(turns_in(tmp_path, 2)) < 600
        memory.migrate(NEXT)
        assert_moved(tmp_path, NEXT)


def test_an_error_in_the_background_is_raised_where_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "FIRST_WAIT", 0.001)
    embedder = Next()

    def goes_down() -> None:
        embedder.is_down = True

    with filled(tmp_path, 300) as memory:
        embedder.when("said", goes_down, after=100)
        status = memory.migrate(embedder, background=True).wait(60)
        assert status.state == "failed"
        assert status.error is not None
        assert "gave up" in status.error
        with pytest.raises(MigrationFailed):
            memory.migrate(embedder, share=0.9)


def test_a_thread_that_stays_behind_carries_everything(tmp_path: Path) -> None:
    with filled(tmp_path, 200) as memory:
        migration = memory.migrate(HashEmbedder(96), background=True)
        assert migration.begin(Wanted()) is migration  # one is at it
        assert migration.wait(60).state == "done"
        assert_moved(tmp_path, NEXT)


def test_a_finished_migration_is_told_of_in_every_process(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        migration = memory.migrate(NEXT)
    told = run_python(
        "import sys; from memory_tools import open_hashed; from migration_tools import NEXT\n"
        "with open_hashed(sys.argv[1], standby=[NEXT], read_only=True) as memory:\n"
        "    print(memory.migration().id, memory.migration().status().state)",
        tmp_path,
    )
    assert told.split() == [migration.id, "done"]
