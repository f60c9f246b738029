"""What is durable when a call returns, and what damage does: real kills, disks, files and forks."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from memory_tools import Meddling, ids, open_hashed, say
from storage_tools import run_python, start_python

from agentmem import ALL, EmbeddingFailed, Memory, StoreError

TABLE = "turns_g1.lance"

DIE = """
import json, os, signal, sys
from memory_tools import at, open_hashed, say
from agentmem.router import ToolRouter
from agentmem.testing import HashEmbedder
folder, call = sys.argv[1:]
memory = open_hashed(folder + "/store")
memory.add([say("I live in Lisbon", id="old", created_at=at(0)), say("tea", id="tea")],
           user_id="ada")
file = folder + "/given.jsonl"
with open(file, "w") as given:
    given.writelines(json.dumps(say(f"line {n}", id=f"l{n}")) + "\\n" for n in range(9))
new = say("I live in Porto", id="new", created_at=at(1))
{
    "add": lambda: memory.add([say("one", id="1"), say("two", id="2")], user_id="ada"),
    "replace": lambda: memory.add(say("coffee", id="tea"), user_id="ada", on_conflict="replace"),
    "supersede": lambda: memory.supersede("old", new, user_id="ada"),
    "update": lambda: memory.update("tea", user_id="ada", pinned=True),
    "delete": lambda: memory.delete("tea", user_id="ada"),
    "import": lambda: memory.import_turns(file, user_id="ada", batch_size=4, progress=False),
    "migrate": lambda: memory.migrate(HashEmbedder(640), progress=False),
}[call]()
os.kill(os.getpid(), signal.SIGKILL)
"""
DONE: dict[str, Callable[[Memory], object]] = {
    "add": lambda memory: ids(memory.turns(user_id="ada"))[-2:] == ["1", "2"],
    "replace": lambda memory: memory.get("tea", user_id="ada").content == "coffee",
    "supersede": lambda memory: (
        memory.get("old", user_id="ada").superseded_by == "new" and memory.get("new", user_id="ada")
    ),
    "update": lambda memory: memory.get("tea", user_id="ada").pinned,
    "delete": lambda memory: ids(memory.turns(user_id="ada")) == ["old"],
    "import": lambda memory: memory.count(user_id="ada") == 11,
    "migrate": lambda memory: memory.passport.dimension == 640 and memory.count(scope=ALL) == 2,
}


@pytest.mark.slow(keep=2)
@pytest.mark.parametrize("call", DONE)
def test_what_returned_survives_a_kill_at_once(tmp_path: Path, call: str) -> None:
    from agentmem.testing import HashEmbedder

    process = start_python(DIE, tmp_path, call)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors
    with open_hashed(tmp_path / "store", standby=[HashEmbedder(640)]) as memory:
        assert DONE[call](memory)


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[None]:
    """Mount a small disk in a folder, where that is permitted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk takes root")
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607 - as found


def fill_up(memory: Memory, stored: list[str]) -> str:
    """Add turns until that is refused, and return what was said."""
    for number in range(400):
        try:
            stored += memory.add(say(os.urandom(30_000).hex(), id=f"{number}"), user_id="ada")
        except StoreError as error:
            return str(error)
    return "the disk was never full"


def test_a_full_disk_refuses_the_write_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, megabytes=6):
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (2 << 20))
        with open_hashed(disk / "store") as memory:
            stored: list[str] = []
            said = fill_up(memory, stored)
            assert "full" in said
            assert "nothing of this call was stored" in said
            assert stored
            assert ids(memory.turns(user_id="ada", limit=999)) == stored
            ballast.unlink()
            stored += memory.add(say("room again", id="again"), user_id="ada")
        with open_hashed(disk / "store") as memory:
            assert ids(memory.turns(user_id="ada", limit=999)) == stored


def test_a_read_only_folder_can_be_read_and_refuses_writes(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, megabytes=16):
        with open_hashed(disk / "store") as memory:
            memory.add(say("the harbour", id="1"), user_id="ada")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)  # noqa: S607 - as found
        for options in ({}, {"read_only": True}):
            with open_hashed(disk / "store", **options) as memory:
                assert ids(memory.search("harbour", user_id="ada")) == ["1"]
                for write in (
                    lambda: memory.add(say("no"), user_id="ada"),
                    lambda: memory.supersede("1", "no", user_id="ada"),
                    lambda: memory.update("1", user_id="ada", pinned=True),
                    lambda: memory.delete("1", user_id="ada"),
                ):
                    with pytest.raises(StoreError, match=r"read_only|Read-only"):
                        write()
                assert memory.count(user_id="ada") == 1


LIMITED = """
import json, os, resource, signal, sys
from memory_tools import open_hashed, say
from agentmem import StoreError
memory = open_hashed(sys.argv[1])
memory.add([say("early", id="early"), say("other", id="other")], user_id="ada")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
large = say(os.urandom(500_000).hex(), id="large")
said = []
for write in (
    lambda: memory.add([say("small", id="small"), large], user_id="ada"),
    lambda: memory.add({**large, "id": "early"}, user_id="ada", on_conflict="replace"),
    lambda: memory.supersede("early", large, user_id="ada"),
    lambda: memory.import_turns([say("small", id="small"), large], user_id="ada", progress=False),
):
    try:
        write()
    except StoreError as error:
        said.append(str(error))
print(json.dumps(said))
"""


@pytest.mark.slow
def test_no_call_is_half_done_where_a_file_cannot_grow(tmp_path: Path) -> None:
    said = json.loads(run_python(LIMITED, tmp_path))
    assert len(said) == 4
    assert all("full" in one for one in said)
    with open_hashed(tmp_path) as memory:
        assert {turn.id: turn.content for turn in memory.turns(user_id="ada")} == {
            "early": "early",
            "other": "other",
        }
        assert memory.get("early", user_id="ada").superseded_by is None


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a store of three commits."""
    with open_hashed(tmp_path / "store") as memory:
        for number in range(3):
            memory.add(say(f"the harbour {number}", id=f"{number}"), user_id="ada")
    return tmp_path / "store"


def newest(store: Path, kind: str) -> Path:
    """Return the file that was written last of a kind."""
    return max((store / TABLE).glob(kind), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize("kind", ["data/*.lance", "_versions/*.manifest"])
@pytest.mark.parametrize("left", [0.0, 0.6])
def test_a_file_that_is_cut_short_is_named_and_the_way_out_works(
    store: Path, kind: str, left: float
) -> None:
    damaged = newest(store, kind)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: int(len(whole) * left)])
    name = re.escape(damaged.relative_to(store).as_posix())
    with (
        pytest.raises(StoreError, match=f"{name}.*Repair: restore.*backup.*move"),
        open_hashed(store) as memory,
    ):
        memory.turns(scope=ALL)
    newest(store, "_versions/*.manifest").rename(store.parent / "aside")
    with open_hashed(store) as memory:
        assert ids(memory.turns(user_id="ada")) == ["0", "1"], "as it was one commit before"
        assert ids(memory.search("harbour", user_id="ada", k=9)) != []
        memory.add(say("and on it goes", id="3"), user_id="ada")
        assert memory.count(user_id="ada") == 3


def test_a_file_that_is_missing_is_named(store: Path) -> None:
    missing = newest(store, "data/*.lance")
    missing.unlink()
    with open_hashed(store) as memory, pytest.raises(StoreError, match=missing.name):
        memory.turns(scope=ALL)


def test_a_damaged_hint_harms_nothing(store: Path) -> None:
    (store / TABLE / "_versions" / "latest_version_hint.json").write_text("{", "utf-8")
    with open_hashed(store) as memory:
        assert ids(memory.turns(user_id="ada")) == ["0", "1", "2"]


FLIPPED = """
import json, random, shutil, sys
from pathlib import Path
from memory_tools import open_hashed, say
from agentmem import ALL, StoreError
store, copy, rng = Path(sys.argv[1]), Path(sys.argv[1] + ".copy"), random.Random(6)
files = sorted(path.relative_to(store) for path in store.glob("turns_g1.lance/*/*.*a*"))
told = {"read": 0, "refused": 0}
for _ in range(30):
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(store, copy)
    path = copy / rng.choice(files)
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    try:
        with open_hashed(copy) as memory:
            memory.turns(scope=ALL)
            memory.search("harbour", scope=ALL)
            memory.add(say("more"), user_id="ada")
        told["read"] += 1
    except StoreError as error:
        assert "Repair" in str(error)
        told["refused"] += 1
print(json.dumps(told))
"""


@pytest.mark.slow
def test_a_flipped_bit_gives_an_answer_or_our_own_error_and_never_ends_the_process(
    store: Path,
) -> None:
    told = json.loads(run_python(FLIPPED, store))
    assert told["read"] + told["refused"] == 30
    assert told["refused"] > 0


FORKED = """
import json, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which is the point
from memory_tools import open_hashed, say
from router_tools import define, open_router
from agentmem import ALL, StoreError
from agentmem.testing import HashEmbedder
folder = sys.argv[1]
memory, router = open_hashed(folder + "/store"), open_router(folder + "/tools")
memory.add(say("the harbour", id="1"), user_id="ada")
router.register([define("get_weather", "Tells the weather.")])
found = memory.search("harbour", user_id="ada")
whose = {"user_id": "ada"}
calls = {
    "add": lambda: memory.add(say("x"), **whose),
    "search": lambda: memory.search("harbour", **whose),
    "context": lambda: memory.context("harbour", **whose, max_tokens=99),
    "get": lambda: memory.get("1", **whose),
    "turns": lambda: memory.turns(**whose),
    "sessions": lambda: memory.sessions(**whose),
    "count": lambda: memory.count(**whose),
    "stats": lambda: memory.stats(),
    "delete": lambda: memory.delete("1", **whose),
    "update": lambda: memory.update("1", **whose, pinned=True),
    "supersede": lambda: memory.supersede("1", "x", **whose),
    "export": lambda: memory.export(folder + "/out.jsonl", **whose, progress=False),
    "import_turns": lambda: memory.import_turns([say("x")], **whose, progress=False),
    "scoped": lambda: memory.scoped(**whose).turns(),
    "replay": lambda: memory.replay(found),
    "migrate": lambda: memory.migrate(HashEmbedder(64), progress=False),
    "plan_migration": lambda: memory.plan_migration(HashEmbedder(64)),
    "migration": lambda: memory.migration(),
    "drift.check": lambda: memory.drift.check(),
    "register": lambda: router.register([define("send_mail", "Sends mail.")]),
    "sync": lambda: router.sync([define("send_mail", "Sends mail.")]),
    "select": lambda: router.select("weather"),
    "list": lambda: router.list(),
    "remove": lambda: router.remove("get_weather"),
}
if os.fork() == 0:
    told = {}
    for name, call in calls.items():
        try:
            call()
        except StoreError as error:
            told[name] = "spawn" in str(error)
        except BaseException as error:
            told[name] = repr(error)
        else:
            told[name] = "was not refused"
    print(json.dumps({name: said for name, said in told.items() if said is not True}), flush=True)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
assert memory.count(**whose) == 1
memory.add(say("the parent goes on"), **whose)
"""


@pytest.mark.slow
def test_every_call_is_refused_after_a_fork_with_the_repair(tmp_path: Path) -> None:
    assert json.loads(run_python(FORKED, tmp_path)) == {}


def test_an_interrupt_while_embedding_leaves_nothing(tmp_path: Path) -> None:
    embedder = Meddling()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with open_hashed(tmp_path, embedder=embedder) as memory:
        memory.add(say("the harbour", id="1"), user_id="ada")
        for write in (
            lambda: memory.add([say("one"), say("two")], user_id="ada"),
            lambda: memory.supersede("1", "new", user_id="ada"),
        ):
            embedder.meanwhile = interrupt
            with pytest.raises(KeyboardInterrupt):
                write()
        assert ids(memory.turns(user_id="ada")) == ["1"]
        assert memory.get("1", user_id="ada").superseded_by is None


class LateError(Exception):
    """Raised by a timer."""


@contextmanager
def timeout(seconds: float) -> Iterator[None]:
    """Raise in the middle of whatever is done after some seconds, as a timeout does."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise LateError

    before = signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    except (LateError, EmbeddingFailed):  # which is what an embedder's own timeout becomes
        time.sleep(0.1)  # LanceDB's threads may still be at it, and finish
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of LanceDB's
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")  # own coroutines, never awaited
def test_a_timeout_in_the_middle_of_a_write_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with open_hashed(tmp_path) as memory:
        memory.add(say("the harbour", id="old"), user_id="ada")
        for number in range(30):
            names = [f"{number}-{place}" for place in range(4)]
            with timeout(0.001 + number % 20 / 1_000):
                acknowledged += memory.add([say(one, id=one) for one in names], user_id="ada")
            there = set(ids(memory.turns(user_id="ada", limit=999)))
            assert len(there & set(names)) in (0, 4)
            assert there.issuperset(acknowledged)
            with timeout(0.001 + number % 20 / 1_000):
                memory.supersede("old", say("the pier", id="new"), user_id="ada")
            found = {turn.id: turn for turn in memory.turns(user_id="ada", limit=999)}
            assert (found["old"].superseded_by == "new") == ("new" in found)
            memory.delete("new", user_id="ada")
            memory.update("old", user_id="ada", valid_until=None)
        assert memory.count(user_id="ada") % 4 == 1


ONE_ADD = """
import os, sys
from memory_tools import open_hashed, say
memory = open_hashed(sys.argv[1])
memory.add(say("warm"), user_id="ada")
os.write(2, b"begins\\n")
memory.add(say("the harbour"), user_id="ada")
os.write(2, b"returned\\n")
"""


@pytest.mark.slow
def test_a_manifest_comes_after_the_data_it_names_and_nothing_is_synced(tmp_path: Path) -> None:
    """What docs/durability.md says of power cuts; a LanceDB that syncs makes it say more."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    trace, calls = (
        tmp_path / "trace",
        "fsync,fdatasync,sync_file_range,rename,renameat,linkat,write",
    )
    watching = [strace, "-f", "-e", f"trace={calls}", "-o", str(trace)]
    ran = subprocess.run(
        [*watching, sys.executable, "-c", ONE_ADD, str(tmp_path / "store")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        timeout=300,
        check=False,
    )
    if not trace.exists() or b"returned" not in ran.stderr:
        pytest.skip("strace may not trace here")
    during = trace.read_text("utf-8", "replace").split("begins")[1].split("returned")[0]
    data = during.index(f"{TABLE}/data/")
    manifest = during.index(".manifest", during.index(f"{TABLE}/_versions/"))
    assert data < manifest
    assert re.findall(r"\b(?:fsync|fdatasync|sync_file_range)\(", during) == []
