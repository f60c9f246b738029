"""The doctor: what ails a store is found, named and told with its repair; some is repaired."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import Bitmap, IvfPq
from lancedb.table import Table
from memory_tools import WIDE, open_hashed, say
from typer.testing import CliRunner, Result

from agentmem import ALL, Memory, StoreError, ToolRouter
from agentmem.cli.app import app
from agentmem.maintenance.ailing import COLUMNS, Ailing
from agentmem.migration.records import Owner, Record, Records
from agentmem.migration.steps import Steps, add_generation
from agentmem.storage.lease import look
from agentmem.testing import HashEmbedder
from agentmem.types.maintenance import Diagnosis, Examination

LONG = " ".join(f"word{n}" for n in range(700))  # three chunks


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a healthy store of four files, once."""
    folder = tmp_path_factory.mktemp("built") / "store"
    with open_hashed(folder) as memory:
        for part in range(4):
            turns = [say(f"turn {n} of {part}", id=f"{part}-{n}") for n in range(10)]
            memory.add(turns, user_id="ada", session_id=f"s{part}")
        memory.add(say(LONG, id="long"), user_id="bob")
        memory.supersede("0-1", say("corrected", id="new"), user_id="ada")
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "store"))


@pytest.fixture
def memory(folder: Path) -> Iterator[Memory]:
    with open_hashed(folder) as opened:
        yield opened


def table_of(memory: Memory) -> Table:
    found: Table = lancedb.connect(memory._home.name).open_table("turns_g1")
    return found


def seen(diagnosis: Diagnosis, name: str) -> Examination:
    (found,) = (one for one in diagnosis.examinations if one.name == name)
    return found


def problems(diagnosis: Diagnosis) -> set[str]:
    return {one.name for one in diagnosis.problems}


def row_of(table: Table, **changes: Any) -> pa.Table:
    """Return a stored row with some values changed."""
    row = table.search().where("id = '2-3'").to_arrow()
    for name, value in changes.items():
        place, told = row.schema.get_field_index(name), row.schema.field(name)
        row = row.set_column(place, told, pa.array([value], told.type))
    return row


def test_a_healthy_store_has_no_problem_and_is_not_changed(memory: Memory) -> None:
    before = {path: path.read_bytes() for path in Path(memory._home.name).rglob("*.manifest")}
    diagnosis = memory.doctor()
    assert diagnosis.problems == ()
    assert diagnosis.verdict == "ok"
    assert diagnosis.facts["rows"] == 44
    assert {path: path.read_bytes() for path in Path(memory._home.name).rglob("*.manifest")} == (
        before
    )
    assert len({one.name for one in diagnosis.examinations}) == len(diagnosis.examinations) >= 25


AILMENTS: Mapping[str, tuple[str, Callable[[Table], object]]] = {
    "duplicates": ("2-3|/0", lambda table: table.add(row_of(table))),
    "keys": (
        "'2-3'",
        lambda table: table.update(where="id = '2-3'", values={"key": "f" * 32}),
    ),
    "chunks": ("'long': 2 of 3 chunks", lambda table: table.delete("id = 'long' AND chunk = 1")),
    "contents": (
        "'2-3': content_hash does not match",
        lambda table: table.update(where="id = '2-3'", values={"content": "never said"}),
    ),
    "lengths": (
        "'2-3': length 3.0000",
        lambda table: table.update(
            where="id = '2-3'", values={"vector": [3.0] + [0.0] * (WIDE - 1)}
        ),
    ),
    "passports": (
        "'2-3': another",
        lambda table: table.update(where="id = '2-3'", values={"passport": "another"}),
    ),
    "not embedded": (
        "'2-3'",
        lambda table: table.update(where="id = '2-3'", values={"passport": ""}),
    ),
    "clocks": (
        "'2-3'",
        lambda table: table.update(
            where="id = '2-3'",
            values={"ingested_at": datetime.now(timezone.utc) + timedelta(days=1)},
        ),
    ),
    "corrections": ("'0-1'", lambda table: table.delete("id = 'new'")),
}


@pytest.mark.parametrize("name", AILMENTS)
def test_what_ails_the_rows_is_found_and_named(memory: Memory, name: str) -> None:
    example, ail = AILMENTS[name]
    ail(table_of(memory))
    diagnosis = memory.doctor(sample=0)
    found = seen(diagnosis, name)
    assert found.verdict != "ok"
    assert found.count == 1
    assert any(part in found.examples[0] for part in example.split("|"))
    assert found.repair


def test_a_head_without_content_is_found(memory: Memory) -> None:
    table_of(memory).update(where="id = '2-3'", values_sql={"content": "NULL"})
    assert seen(memory.doctor(sample=0), "contents").examples == ("'2-3': no content",)


def test_a_turn_without_its_head_is_found(memory: Memory) -> None:
    table_of(memory).delete("id = 'long' AND chunk = 0")
    assert seen(memory.doctor(sample=0), "chunks").count == 1


def test_vectors_that_are_not_finite_are_found(memory: Memory) -> None:
    rows = table_of(memory).search().select(list(COLUMNS)).to_arrow()
    vectors = np.array(rows["vector"].to_pylist(), np.float32)
    vectors[3, 0], vectors[5, 1] = np.nan, np.inf
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), WIDE)
    ailing = Ailing(passport_id=memory.passport.id, now=datetime.now(timezone.utc))
    ailing.take(rows.drop_columns(["vector"]).append_column("vector", flat))
    ids = rows["id"].to_pylist()
    assert ailing.unreadable.examples == [repr(ids[3]), repr(ids[5])]
    assert (ailing.unreadable.count, ailing.lengths.count) == (2, 0)


def test_a_vector_of_another_text_is_found_by_embedding_it_again(memory: Memory) -> None:
    other = [1.0] + [0.0] * (WIDE - 1)
    table_of(memory).update(where="id = '2-3'", values={"vector": other})
    found = seen(memory.doctor(sample=1_000), "vectors")
    assert found.verdict == "error"
    assert found.examples[0].startswith("'2-3': cosine")


def test_a_column_that_is_missing_or_of_another_type_is_found(memory: Memory) -> None:
    table_of(memory).drop_columns(["importance"])
    found = seen(memory.doctor(sample=0), "schema")
    assert found.examples == ("turns_g1 lacks the column 'importance'",)


def test_a_primary_key_that_was_lost_is_found_and_marked_again(memory: Memory) -> None:
    rows = table_of(memory).to_arrow()
    field = rows.schema.field("chunk_key").with_metadata({})
    bare = rows.cast(rows.schema.set(rows.schema.get_field_index("chunk_key"), field))
    folder = Path(memory._home.name)
    memory.close()
    db = lancedb.connect(folder, storage_options={"new_table_enable_stable_row_ids": "true"})
    db.create_table("turns_g1", bare, mode="overwrite")
    with open_hashed(folder) as again:
        found = seen(again.doctor(sample=0), "primary keys")
        assert found.examples == ("turns_g1.chunk_key",)
        assert found.fixable
        assert again.doctor(fix=True, sample=0).repairs[0].error is None
        assert seen(again.doctor(sample=0), "primary keys").verdict == "ok"
        assert again.count(scope=ALL) == 42


def test_equal_rows_are_made_one_and_unequal_ones_are_kept(memory: Memory) -> None:
    table = table_of(memory)
    table.add(row_of(table))
    assert "removed 1 rows" in memory.doctor(fix=True, sample=0).repairs[0].done
    assert problems(memory.doctor(sample=0)) == set()
    table = table_of(memory)
    table.add(row_of(table, name="another name"))
    fixed = memory.doctor(fix=True, sample=0)
    assert "1 differ from their twin and were kept" in fixed.repairs[0].done
    assert seen(memory.doctor(sample=0), "duplicates").count == 1


def data_files(memory: Memory) -> list[Path]:
    place = Path(memory._home.name) / "turns_g1.lance" / "data"
    return sorted(place.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def ruin(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-400] + bytes(byte ^ 0xFF for byte in content[-400:]))


@pytest.mark.parametrize("how", ["truncated", "missing", "overwritten"])
def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_examined(
    memory: Memory, how: str
) -> None:
    table_of(memory).update(where="id = '1-1'", values={"passport": "another"})
    ruined = data_files(memory)[2]
    ruin(ruined, how)
    diagnosis = memory.doctor(sample=0)
    found = seen(diagnosis, "files")
    assert found.verdict == "error"
    assert found.count == 1
    assert ruined.name in found.examples[0]
    assert "10 rows" in found.examples[0]
    assert found.repair is not None
    assert "backup" in found.repair
    assert diagnosis.facts["rows"] == 34
    assert seen(diagnosis, "passports").examples == ("'1-1': another",), "the rest was read"


def test_what_a_damaged_file_held_is_told_where_a_past_version_knows(memory: Memory) -> None:
    memory._home.parts.store.compact()
    newest = data_files(memory)[-1]
    ruin(newest, "truncated")
    found = seen(memory.doctor(sample=0), "files")
    assert newest.name in found.examples[0]
    assert "it held '0-0'" in found.examples[0]


def test_a_flipped_bit_is_found_by_its_checksum(memory: Memory) -> None:
    memory.maintain()
    path = data_files(memory)[-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    found = seen(memory.doctor(sample=0), "checksums")
    assert found.verdict == "error"
    assert found.examples == (f"turns_g1.lance/data/{path.name}",)


def test_a_damaged_file_of_deletions_is_an_error_too(memory: Memory) -> None:
    memory.delete("3-3", user_id="ada")
    for path in (Path(memory._home.name) / "turns_g1.lance" / "_deletions").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    diagnosis = memory.doctor(sample=0)
    assert seen(diagnosis, "files").verdict == "error"
    assert ".arrow" in seen(diagnosis, "files").examples[0]


def test_another_model_is_found_by_the_canaries(folder: Path) -> None:
    class Changed(HashEmbedder):
        """Gives other vectors under the same passport."""

        def embed(self, texts: Any, *, kind: Any) -> Any:
            return np.roll(super().embed(texts, kind=kind), 1, axis=1)

    with open_hashed(folder, embedder=Changed(WIDE)) as memory:
        diagnosis = memory.doctor()
    assert seen(diagnosis, "canaries").verdict == "error"
    assert seen(diagnosis, "vectors").verdict == "error"


def test_rows_that_an_index_does_not_cover_are_found(memory: Memory) -> None:
    table_of(memory).create_index("user_id", config=Bitmap())
    assert seen(memory.doctor(sample=0), "indexes").verdict == "ok"
    memory.add(say("later"), user_id="ada")
    found = seen(memory.doctor(sample=0), "indexes")
    assert found.examples == ("turns_g1.user_id_idx: 1 rows",)
    assert memory.doctor(fix=True, sample=0).repairs[0].error is None
    assert seen(memory.doctor(sample=0), "indexes").verdict == "ok"


def test_an_index_that_misses_too_much_is_found(memory: Memory) -> None:
    rng = np.random.default_rng(0)
    memory.add(
        [say(" ".join(f"w{n}" for n in rng.integers(0, 5_000, 6))) for _ in range(600)],
        user_id="ada",
    )
    table = table_of(memory)
    table.create_index(
        "vector", config=IvfPq(distance_type="cosine", num_partitions=64, num_sub_vectors=2)
    )
    found = seen(memory.doctor(sample=0), "indexes")
    assert found.verdict == "warning"
    assert "recall@10" in found.examples[0]


def test_many_small_files_are_found_and_compacted(folder: Path) -> None:
    for n in range(52):
        with open_hashed(folder) as memory:
            memory._home.parts.store._table._compacts = False
            memory._home.parts.store._table.tidy = lambda: None  # type: ignore[method-assign]
            memory.add(say(f"small {n}"), user_id="ada")
    with open_hashed(folder) as memory:
        assert seen(memory.doctor(sample=0), "fragments").examples[0].startswith("turns_g1: 5")
        memory.doctor(fix=True, sample=0)
        assert seen(memory.doctor(sample=0), "fragments").verdict == "ok"
        assert memory.count(scope=ALL) == 94


def test_a_repair_deletes_no_turn_whose_time_has_come(memory: Memory) -> None:
    memory.update("1-1", user_id="ada", expires_at=datetime(2024, 1, 1, tzinfo=timezone.utc))
    table_of(memory).create_index("user_id", config=Bitmap())
    memory.add(say("later"), user_id="ada")
    assert seen(memory.doctor(fix=True, sample=0), "retention").verdict == "warning"
    memory.update("1-1", user_id="ada", expires_at=None)
    assert memory.get("1-1", user_id="ada").id == "1-1"


def dead() -> Owner:
    me = Owner.me()
    return Owner(me.host, 2**22 + 1, me.token, 1, me.boot)


def test_locks_and_migrations_of_dead_processes_are_found(memory: Memory) -> None:
    whole = memory._home.parts.store.whole
    migrations = memory._home.migrations
    embedder = HashEmbedder(WIDE * 2)
    migration = memory.migrate(embedder, flip=False, progress=False)
    identity = migration.status().id

    def orphaned(record: Record) -> Record:
        return Record(record.status, dead(), record.beat + 1, record.kind, record.options)

    Records(whole.meta).change(identity, orphaned)
    target = migrations.records.need(identity).status.target
    assert Steps(whole, name=identity, source=1, target=target).seal()
    whole.meta.put("lease:maintenance", {"owner": dead().to_json(), "beat": 3})
    diagnosis = memory.doctor(sample=0)
    assert seen(diagnosis, "migration").verdict == "warning"
    assert identity in seen(diagnosis, "migration").found
    assert seen(diagnosis, "locks").count == 2
    (done,) = memory.doctor(fix=True, sample=0).repairs
    assert "broke the seal" in done.done
    assert "freed the lease" in done.done
    assert whole.generations.read().seal is None
    left = look(whole.meta)
    assert left is not None
    assert left.owner is None


def test_a_calibration_older_than_the_catalogue_is_found(folder: Path) -> None:
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        return city

    def flight(day: str) -> str:
        """Book a flight on a day."""
        return day

    with ToolRouter.open(folder, embedder=HashEmbedder(WIDE)) as router:
        router.register([weather])
        queries = [f"weather of city number {n}" for n in range(40)]
        router.calibrate(queries, ["weather"] * 40, alpha=0.1)
        with open_hashed(folder) as memory:
            assert seen(memory.doctor(sample=0), "calibration").verdict == "ok"
            router.register([flight])
            found = seen(memory.doctor(sample=0), "calibration")
            assert found.verdict == "warning"
            assert "catalogue changed" in found.examples[0]


def test_a_folder_open_to_everyone_is_told(memory: Memory) -> None:
    folder = Path(memory._home.name)
    folder.chmod(0o777)
    found = seen(memory.doctor(sample=0), "privacy")
    assert found.examples == (str(folder),)
    assert found.repair == f"chmod -R o-w {folder}"


def test_repairing_through_a_read_only_handle_is_refused(folder: Path) -> None:
    with open_hashed(folder, read_only=True) as memory:
        assert memory.doctor(sample=0).verdict == "ok"
        with pytest.raises(StoreError, match="read_only"):
            memory.doctor(fix=True)


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], input=stdin)


def test_the_command_tells_a_healthy_store_by_its_exit_code(folder: Path) -> None:
    told = run("doctor", "--store", folder)
    assert told.exit_code == 0, told.output
    assert "0 problems; the worst: ok" in told.output


def test_the_command_shows_the_plan_asks_and_repairs(folder: Path) -> None:
    with open_hashed(folder) as memory:
        table = table_of(memory)
        table.add(row_of(table))
    told = run("doctor", "--store", folder, "--fix", stdin="n\n")
    assert told.exit_code == 1
    assert "would repair: duplicates" in told.output
    assert run("doctor", "--store", folder).exit_code == 1
    told = run("doctor", "--store", folder, "--fix", stdin="y\n")
    assert told.exit_code == 0, told.output
    assert "removed 1 rows" in told.output
    assert run("doctor", "--store", folder).exit_code == 0


def test_the_command_prints_json_and_repairs_nothing_without_yes(folder: Path) -> None:
    with open_hashed(folder) as memory:
        table = table_of(memory)
        table.add(row_of(table))
    told = run("doctor", "--store", folder, "--fix", "--json")
    assert told.exit_code == 1
    form = json.loads(told.stdout)
    assert form["verdict"] == "error"
    assert form["repairs"] == []
    names = {one["name"] for one in form["examinations"]}
    assert {"schema", "duplicates", "files", "orphans"} <= names
    assert run("doctor", "--store", folder, "--fix", "--json", "--yes").exit_code == 0


def test_a_store_that_cannot_be_opened_is_a_diagnosis(folder: Path) -> None:
    for path in (folder / "meta.lance" / "_versions").glob("*.manifest"):
        path.write_bytes(path.read_bytes()[:40])
    told = run("doctor", "--store", folder, "--json")
    assert told.exit_code == 1
    form = json.loads(told.stdout)
    assert [one["name"] for one in form["examinations"]] == ["opening"]


def test_hostile_ids_are_shown_and_not_obeyed(folder: Path) -> None:
    with open_hashed(folder) as memory:
        memory.add(say("x", id="evil\u202e[red]id"), user_id="ada")
        table_of(memory).update(where="content = 'x'", values={"content": "y"})
    told = run("doctor", "--store", folder)
    assert told.exit_code == 1
    assert "\u202e" not in told.output
    assert "evil" in told.output


def test_maintenance_on_the_command_line_says_what_it_did(folder: Path) -> None:
    told = run("maintain", "--store", folder, "--dry-run")
    assert told.exit_code == 0, told.output
    assert "would look at" in told.output
    told = run("maintain", "--store", folder, "--json")
    assert told.exit_code == 0, told.output
    form = json.loads(told.stdout)
    assert {one["name"] for one in form["steps"]} >= {"expire", "compact", "clean", "checksums"}
    assert form["skipped"] is None
    assert run("maintain", "--store", folder, "--every", "soon").exit_code == 2
    assert run("maintain", "--store", folder.parent / "nowhere").exit_code == 1


def test_every_examination_has_a_name_of_its_own_and_a_repair_where_it_is_wrong(
    memory: Memory,
) -> None:
    table_of(memory).delete("id = 'long' AND chunk = 1")
    diagnosis = memory.doctor(sample=0)
    for one in diagnosis.problems:
        assert one.repair, asdict(one)
    add_generation(memory._home.parts.store.whole, HashEmbedder(WIDE * 2))
    assert seen(memory.doctor(sample=0), "schema").verdict == "ok"
