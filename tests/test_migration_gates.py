"""What has to hold before readers move: each gate is seen to fail, and then nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from memory_tools import open_hashed, say
from migration_tools import Next, assert_moved, description, filled, rows_in, without_grace
from numpy.typing import NDArray

from agentmem import Labelled, Memory, MigrationFailed
from agentmem.migration.agreement import Labelled as SameLabelled
from agentmem.migration.gates import Bounds, Gates
from agentmem.migration.making import RowMaker
from agentmem.storage import copying
from agentmem.testing import HashEmbedder
from agentmem.types import Kind, MigrationStatus, Scope

Floats = NDArray[np.float32]


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    without_grace(monkeypatch)


def asked(folder: Path, **options: object) -> Memory:
    """Open a store of questions and answers."""
    memory = open_hashed(folder, **options)
    topics = [f"topic{n} harbour{n} market{n}" for n in range(40)]
    said = [say(f"what about {topic}?", id=f"q{n}") for n, topic in enumerate(topics)]
    said += [say(f"{topic} is fine", id=f"a{n}") for n, topic in enumerate(topics)]
    memory.add(said, user_id="ada")
    return memory


def failed(memory: Memory, folder: Path, embedder: HashEmbedder, **options: object) -> set[str]:
    """Migrate, and return the gates that failed; nothing may have changed for anybody."""
    with pytest.raises(MigrationFailed, match="serves as before") as caught:
        memory.migrate(embedder, **options)  # type: ignore[arg-type]
    migration = memory.migration()
    assert migration is not None
    status = migration.status()
    assert (status.state, status.id) == ("failed", caught.value.migration_id)
    assert {gate.name for gate in status.gates if not gate.passed} == set(caught.value.gates)
    told = description(folder)
    assert (told.active, told.seal, told.shadow) == (1, None, None)
    assert memory.search("topic1", user_id="ada").generation == 1
    memory.add("still writable", user_id="ada")
    return set(caught.value.gates)


def gates_of(status: MigrationStatus) -> set[str]:
    return {gate.name for gate in status.gates}


def test_every_gate_is_looked_at(tmp_path: Path) -> None:
    labels = [Labelled("topic3?", frozenset({"q3", "a3"}), Scope(user_id="ada"))]
    with asked(tmp_path) as memory:
        migration = memory.migrate(HashEmbedder(96), labels=labels)
        status = migration.status()
        assert gates_of(status) == {
            *("parity", "space", "poison", "vectors", "canaries", "spot_check", "agreement"),
            "labels",
        }
        assert all(gate.passed and gate.detail for gate in status.gates)
        back = migration.rollback()
        assert gates_of(back) == {"parity", "space", "poison", "vectors"}
    assert Labelled is SameLabelled


def test_a_model_that_changes_in_the_middle_is_noticed_and_made_anew_the_next_time(
    tmp_path: Path,
) -> None:
    embedder = Next()

    def changes() -> None:
        embedder.spoil = lambda vectors: np.ascontiguousarray(vectors[:, ::-1])

    embedder.when("said", changes, after=200)
    with filled(tmp_path, 600) as memory:
        assert {"canaries", "spot_check"} <= failed(memory, tmp_path, embedder)
        embedder.spoil = None
        memory.migrate(embedder)
        assert_moved(tmp_path, HashEmbedder(96), target=description(tmp_path).active)


def test_a_model_that_was_another_one_for_a_while_is_noticed(tmp_path: Path) -> None:
    embedder = Next()

    def another() -> None:
        embedder.spoil = lambda vectors: np.ascontiguousarray(vectors[:, ::-1])

    def itself() -> None:
        embedder.spoil = None

    embedder.when("said", another, after=200)
    embedder.when("said", itself, after=400)
    with filled(tmp_path, 600) as memory:
        found = failed(memory, tmp_path, embedder)
        assert "spot_check" in found
        assert "canaries" not in found


def test_vectors_that_are_no_numbers_or_no_unit_vectors_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spoilt in (np.nan, 2.0):
        folder = tmp_path / str(spoilt)
        with asked(folder) as memory, monkeypatch.context() as patched:

            def stored(self: copying.Copy, spoilt: float = spoilt) -> list[Floats]:
                first = np.zeros((3, 96), np.float32)
                first[:, 0] = [1, spoilt, 1]
                return [first]

            patched.setattr(copying.Copy, "vectors", stored)
            assert "vectors" in failed(memory, folder, HashEmbedder(96))


def test_a_space_that_agrees_on_nothing_is_noticed(tmp_path: Path) -> None:
    class Noise(HashEmbedder):
        def embed(self, texts: Sequence[str], *, kind: Kind) -> Floats:
            made = super().embed(texts, kind=kind)
            for place, text in enumerate(texts):
                seed = np.frombuffer(text.encode().ljust(8, b"\0")[-64:], np.uint8)
                made[place] = np.random.default_rng(seed).standard_normal(96)
            made /= np.linalg.norm(made, axis=1, keepdims=True)
            return made

    with asked(tmp_path) as memory:
        rng = np.random.default_rng(3)
        memory.add(
            [say(" ".join(f"w{n}" for n in rng.integers(0, 50, 9)) + "?") for _ in range(300)],
            user_id="ada",
        )
        assert failed(memory, tmp_path, Noise(96)) == {"agreement"}
        memory.migrate(Noise(96), bounds=Bounds(agreement=0.0))
        assert memory.search("topic1", user_id="ada").generation == 2


def test_labelled_questions_that_are_answered_worse_are_noticed(tmp_path: Path) -> None:
    scope = Scope(user_id="ada")
    labels = [Labelled(f"topic{n}", frozenset({f"q{n}", f"a{n}"}), scope) for n in range(9)]
    with asked(tmp_path) as memory:
        deaf = Next()
        deaf.spoil = lambda vectors: np.full_like(vectors, vectors.shape[1] ** -0.5)
        options = {"labels": [_at(label, 3) for label in labels], "bounds": LENIENT}
        found = failed(memory, tmp_path, deaf, **options)
        assert "labels" in found


LENIENT = Bounds(agreement=0.0, recall=-0.5)


def _at(label: Labelled, number: int) -> Labelled:
    return Labelled(f"{label.question} again {number}", label.ids, label.scope)


def test_rows_of_another_space_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Callable[..., object] = RowMaker._stamps

    def stamps(self: RowMaker, revs: Sequence[int], passport_id: str | None) -> object:
        return made(self, revs, "another" if len(revs) > 1 else passport_id)

    monkeypatch.setattr(RowMaker, "_stamps", stamps)
    with asked(tmp_path) as memory:
        assert failed(memory, tmp_path, HashEmbedder(96)) == {"space"}
        monkeypatch.undo()
        memory.migrate(HashEmbedder(96))
        assert_moved(tmp_path, HashEmbedder(96), target=description(tmp_path).active)


def test_more_rows_than_writers_can_wait_for_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Gates.look

    def late(self: Gates, copies: Sequence[copying.Copy], *, poisoned: int) -> object:
        memory.add([say(f"late {n}") for n in range(200)], user_id="bob")
        return look(self, copies, poisoned=poisoned)

    with asked(tmp_path) as memory:
        with monkeypatch.context() as patched:
            patched.setattr(Gates, "look", late)
            assert failed(memory, tmp_path, HashEmbedder(96)) == {"parity"}
        memory.migrate(HashEmbedder(96))
        assert_moved(tmp_path, HashEmbedder(96))


def test_few_rows_that_are_written_while_gates_are_looked_at_are_carried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Gates.look

    def late(self: Gates, copies: Sequence[copying.Copy], *, poisoned: int) -> object:
        memory.add([say(f"late {n}", id=f"l{n}") for n in range(50)], user_id="bob")
        memory.delete(["q1"], user_id="ada")
        return look(self, copies, poisoned=poisoned)

    with asked(tmp_path) as memory:
        monkeypatch.setattr(Gates, "look", late)
        memory.migrate(HashEmbedder(96))
        assert memory.count(user_id="bob") == 50
        assert_moved(tmp_path, HashEmbedder(96))


def test_a_spot_that_is_written_meanwhile_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = copying.Copy.some

    def then_written(self: copying.Copy, count: int, *, rng: np.random.Generator) -> list[str]:
        chosen = some(self, count, rng=rng)
        again = [say(f"quite other words {n}", id=f"q{n}") for n in range(40)]
        memory.add(again, user_id="ada", on_conflict="replace")
        memory.delete([f"a{n}" for n in range(20)], user_id="ada")
        return chosen

    with asked(tmp_path) as memory:
        monkeypatch.setattr(copying.Copy, "some", then_written)
        memory.migrate(HashEmbedder(96), bounds=Bounds(agreement=0.0))  # of other words by now
        assert_moved(tmp_path, HashEmbedder(96))


def test_stored_vectors_are_what_is_looked_at(tmp_path: Path) -> None:
    with filled(tmp_path, 20) as memory:
        memory.migrate(HashEmbedder(96), flip=False)
        rows = rows_in(tmp_path, 2)
        assert len(rows) == 20
        assert np.allclose([np.linalg.norm(row["vector"]) for row in rows], 1, atol=1e-5)
