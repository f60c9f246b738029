"""Sessions of Ray that a migration starts itself: what they leave behind, and how they fail.

`make test-scale` installs Ray; `make test` leaves this folder out.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from memory_tools import ids, open_hashed, say
from migration_tools import assert_moved, description, rows_in
from ray_tools import TO_COME, Marking, Same, gone, kin, numbered, short_folder, until, watched
from storage_tools import start_python

from agentmem import EmbeddingFailed, Memory
from agentmem.embedding import SentenceTransformerEmbedder
from agentmem.migration import cluster, ray_engine
from agentmem.migration.cluster import encode_with_ray

TURNS = 1_500


def fill(folder: Path) -> None:
    """Make a store of turns, more than are embedded without Ray."""
    with open_hashed(folder) as memory:
        said = [say(f"word{n} of the harbour", id=f"t{n}") for n in range(TURNS)]
        memory.add(said, user_id="ada", session_id="s")


def test_a_real_model_moves_a_store_on_workers_of_which_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    target = SentenceTransformerEmbedder(truncate_dim=128, device="cpu")
    handler = signal.getsignal(signal.SIGTERM)
    with watched(monkeypatch) as seen, open_hashed(tmp_path) as memory:
        migration = memory.migrate(target, engine="ray", workers=2, background=True)
        while not migration.status().is_finished:
            seen.update(kin(os.getpid()))
            time.sleep(0.5)
        assert migration.wait().state == "done"
    assert signal.getsignal(signal.SIGTERM) == handler
    assert len([args for args in seen.values() if args.startswith("ray::_Worker")]) >= 2
    assert_moved(tmp_path, target)
    with Memory.open(tmp_path, embedder=target) as memory:
        assert ids(memory.search("What was word7?", user_id="ada", k=1)) == ["t7"]


def test_a_session_of_the_main_thread_leaves_nothing_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with watched(monkeypatch) as seen:
        rows = encode_with_ray((numbered(n, n + 1) for n in range(99)), Same(), workers=1)
        assert next(rows)["pid"][0].as_py() != os.getpid()
        seen.update(kin(os.getpid()))
        rows.close()
    assert signal.getsignal(signal.SIGTERM) == handler


DRIVER = """
import sys
from pathlib import Path
from memory_tools import open_hashed
from ray_tools import Marking
store, marks = map(Path, sys.argv[1:])
with open_hashed(store) as memory:
    memory.migrate(Marking(marks, seconds=0.01), engine="ray", workers=2)
"""


def test_a_driver_that_is_killed_takes_its_session_along_and_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, marks = tmp_path / "store", tmp_path / "marks"
    marks.mkdir()
    fill(store)
    with short_folder(monkeypatch):
        driver = start_python(DRIVER, store, marks)
        until(lambda: len(description(store).generations) == 2)
        until(lambda: driver.poll() is not None or len(rows_in(store, 2)) > TURNS / 4)
        started = kin(driver.pid)
        driver.kill()
        _, err = driver.communicate(timeout=TO_COME)
        assert driver.returncode == -signal.SIGKILL, err
        assert any(args.startswith("ray::_Worker") for args in started.values())
        carried = len(rows_in(store, 2))
        assert TURNS / 4 < carried < TURNS
        target = Marking(marks)
        with open_hashed(store) as memory:
            monkeypatch.setattr(ray_engine, "WORTH_RAY", 1)
            assert memory.migrate(target, engine="ray", workers=2).status().state == "done"
        made = sum(count for pid, count in target.marks().items() if pid not in started)
        assert TURNS - carried <= made < TURNS
        assert_moved(store, target)
        gone(started, seconds=TO_COME)  # Ray's agents ask the dead for a minute or two


WITHOUT_RAY = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ray":
            raise ImportError(f"No module named {name!r}")

from memory_tools import open_hashed
from agentmem import MissingDependency
from agentmem.testing import HashEmbedder
sys.meta_path.insert(0, Missing())
with open_hashed(sys.argv[1]) as memory:
    try:
        memory.migrate(HashEmbedder(96), engine="ray")
    except MissingDependency as error:
        print(error.package, error.extra, memory.migration())
    print(memory.migrate(HashEmbedder(96)).status().state)
"""


def test_without_ray_it_is_said_what_to_install_and_nothing_is_begun(tmp_path: Path) -> None:
    with open_hashed(tmp_path) as memory:
        memory.add("the harbour", user_id="ada")
    other = start_python(WITHOUT_RAY, tmp_path)
    out, err = other.communicate(timeout=TO_COME)
    assert (out.splitlines(), other.returncode) == (["ray ray None", "done"], 0), err


def test_a_session_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with pytest.raises(EmbeddingFailed, match="could not be started or reached at nowhere"):
        next(encode_with_ray([numbered(0, 1)], Same(), workers=1))


def test_the_folder_of_a_session_leaves_room_for_the_names_of_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 20)))
    with cluster._short_folder() as folder:
        assert len(folder) <= cluster.LONGEST_FOLDER
    assert not Path(folder).exists()
