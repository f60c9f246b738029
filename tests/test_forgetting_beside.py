"""Erasure beside others: readers, writers, a migration, a kill, a file nobody committed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_tools import Meddling, open_hashed, say
from migration_tools import Next

from agentmem import Memory
from agentmem.forgetting import forgetter
from agentmem.storage.schema import turn_key
from agentmem.types import ALL

WHY = "request of the user"


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetter.Forgetter.__init__, "__kwdefaults__", {"grace": 0.0})


def files_with(folder: Path, sought: bytes) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file() and sought in one.read_bytes()]


def said(user: str, count: int) -> list[dict[str, object]]:
    return [
        say(f"{user} said something-{user}-{n:04d}", id=f"{user}-id-{n:04d}") for n in range(count)
    ]


def test_what_is_written_while_it_is_erased_does_not_stay(tmp_path: Path) -> None:
    embedder = Meddling()
    with open_hashed(tmp_path, embedder=embedder) as memory, open_hashed(tmp_path) as other:
        memory.add(said("ada", 3), user_id="ada")
        embedder.meanwhile = lambda: other.forget(user_id="ada", reason=WHY, progress=False)
        again = memory.add(
            [*said("ada", 3), say("ada said another thing", id="new")], user_id="ada"
        )
        assert [one.id for one in again.left_out] == ["ada-id-0000", "ada-id-0001", "ada-id-0002"]
        assert [turn.id for turn in memory.turns(user_id="ada")] == ["new"]
        assert files_with(tmp_path, b"something-ada-0001") == []
        assert files_with(tmp_path, b"ada-id-0001") == []


def test_a_migration_does_not_carry_what_is_erased_meanwhile(tmp_path: Path) -> None:
    embedder = Next()
    with open_hashed(tmp_path, standby=[embedder]) as memory, open_hashed(tmp_path) as other:
        memory.add(said("ada", 300), user_id="ada")
        memory.add(said("bob", 300), user_id="bob")
        receipts = []

        def erase() -> None:
            receipts.append(other.forget(user_id="ada", reason=WHY, progress=False))

        embedder.when("something", erase, after=150)
        memory.migrate(embedder, progress=False)
        assert receipts[0].turns == 300
        assert memory.count(scope=ALL) == 300
        assert memory.search("something-bob-0007", user_id="bob", k=1).hits
        assert files_with(tmp_path, b"something-ada-") == []
        key = turn_key("ada-id-0007", user_id="ada", agent_id=None)
        assert files_with(tmp_path, key.encode()) == []


def test_others_read_and_write_meanwhile(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add(said("bob", 200), user_id="bob")
        for n in range(6):
            memory.add(
                [
                    say(f"ada {n} said something-ada-{n}-{i}", id=f"ada-id-{n}-{i}")
                    for i in range(50)
                ],
                user_id="ada",
                session_id=f"s{n}",
            )
        stop = threading.Event()
        failures: list[Exception] = []
        added: list[str] = []

        def work(number: int) -> None:
            with open_hashed(tmp_path) as mine:
                while not stop.is_set():
                    try:
                        assert len(mine.search("something-bob-0007", user_id="bob", k=5)) == 5
                        assert mine.get("bob-id-0007", user_id="bob").content.endswith("0007")
                        added.extend(mine.add(f"new {number} {time.monotonic()}", user_id="cy"))
                    except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
                        failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for one in threads:
            one.start()
        for n in range(6):
            receipt = memory.forget(user_id="ada", session_id=f"s{n}", reason=WHY, progress=False)
            assert receipt.turns == 50
            assert [one for one in receipt.remains if "moments ago" not in one.why] == []
        stop.set()
        for one in threads:
            one.join()
        assert failures == []
        assert memory.count(user_id="bob") == 200
        assert memory.count(user_id="cy") == len(added) > 0
        assert memory.forget(user_id="ada", reason=WHY, progress=False).turns == 0
        assert files_with(tmp_path, b"something-ada-") == []


def test_a_file_that_a_dead_writer_left_is_removed_and_a_fresh_one_is_told(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add(said("ada", 3), user_id="ada")
        data = next((tmp_path / "turns_g1.lance" / "data").iterdir())
        left = [data.with_name(f"left-{name}.lance") for name in ("old", "new")]
        for one in left:
            one.write_bytes(data.read_bytes())
        hours_ago = time.time() - 7200
        os.utime(left[0], (hours_ago, hours_ago))
        receipt = memory.forget(user_id="ada", reason=WHY, progress=False)
        assert not left[0].exists()
        assert receipt.result == "incomplete"
        assert {one.file for one in receipt.remains} == {"turns_g1.lance/data/left-new.lance"}
        assert all("ten minutes" in one.why for one in receipt.remains)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from memory_tools import open_hashed
with open_hashed(Path(sys.argv[1])) as memory:
    print("ready", flush=True)
    memory.forget(user_id="ada", reason="test", progress=False)
"""


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.4, 2.1])
def test_an_erasure_that_is_killed_is_made_whole_by_the_next(tmp_path: Path, after: float) -> None:
    with open_hashed(tmp_path) as memory:
        for part in range(3):
            memory.add(said("ada", 100)[part * 30 : part * 30 + 30], user_id="ada")
        memory.add(said("bob", 50), user_id="bob")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    with open_hashed(tmp_path) as memory:
        assert memory.count(user_id="bob") == 50
        memory.forget(user_id="ada", reason=WHY, progress=False)
        assert memory.count(user_id="ada") == 0
        assert not [
            one for one in files_with(tmp_path, b"something-ada-") if "data" not in one.parts
        ]


names = st.sampled_from(["ada", "Ada", "ada ", "a", "' OR '1'='1", "ada%", "ада", "ada/../bob"])
turns = st.lists(
    st.tuples(names, st.sampled_from(["1", "2", "'"]), st.sampled_from(["x", "hello there you"])),
    max_size=12,
)


@given(turns, names)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_erasing_one_user_never_touches_another(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str, str]], user: str
) -> None:
    with open_hashed(tmp_path_factory.mktemp("store")) as memory:
        for name, turn_id, content in dict.fromkeys(written):
            memory.add(say(content, id=turn_id), user_id=name, on_conflict="replace")
        before = _whole(memory)
        receipt = memory.forget(user_id=user, reason=WHY, progress=False)
        assert receipt.turns == sum(owner == user for owner, _, _ in before)
        assert _whole(memory) == {one for one in before if one[0] != user}


def _whole(memory: Memory) -> set[tuple[str | None, str, str]]:
    found = memory.turns(scope=ALL, limit=999)
    return {(turn.user_id, turn.id, turn.content) for turn in found}
