"""No command shows, changes or deletes what is another's, whatever ids and filters it is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hostile_commands import leaves
from hostile_room import EMBEDDER, MARK, PEOPLE, Room, fill, hostile
from typer.testing import CliRunner, Result

from agentmem import ALL, InvalidInput
from agentmem.cli import options
from agentmem.cli.app import app

WHOSE = {"--user", "--agent", "--session", "--all"}
READS = {
    "search": ["secret word"],
    "context": ["secret word"],
    "turns": [],
    "sessions": [],
    "get": ["turn-1"],
    "export": ["{file}", "--overwrite"],
}
WRITES = {
    "update": ["--pin"],
    "supersede": ["turn-2", "what is true instead"],
    "delete": ["turn-3", "--yes"],
    "forget": ["turn-4", "--reason", "asked for", "--yes"],
}
UNSCOPED = {  # take ids and need none: what they write is given; spans and logs are the operator's
    *("add", "audit", "import", "traces list", "traces prune"),
}
FILTERED = ("search", "context", "turns", "update", "delete", "forget")
CALLERS = (*PEOPLE[:8:4], *PEOPLE[22:46:8], "-x", "@/etc/passwd", "ada' OR 'x'='x")
SEED = 11


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(options, "embedder", lambda _: EMBEDDER)
    made = fill(tmp_path)
    yield made
    made.memory.close()


def run(room: Room, name: str, *arguments: str) -> Result:
    file = str(room.folder / "out.jsonl")
    given = [one.replace("{file}", file) for one in arguments]
    store = {"AGENTMEM_STORE": str(room.folder / "store")}
    return CliRunner().invoke(app, [*name.split(), *given], env=store, input="")


def others(text: str, who: str) -> set[str]:
    """Return the marks of other people in a text."""
    own = {f"{PEOPLE.index(who):02d}"} if who in PEOPLE else set()
    return set(MARK.findall(text)) - own


def kept(room: Room) -> dict[str | None, list[object]]:
    """Return all turns, by whose they are."""
    found: dict[str | None, list[object]] = {}
    for turn in room.memory.turns(scope=ALL, limit=10_000):
        found.setdefault(turn.user_id, []).append(turn)
    return found


def test_every_command_that_takes_a_scope_is_tried_here() -> None:
    scoped = {
        name
        for name, command in leaves()
        if WHOSE & {option for parameter in command.params for option in parameter.opts}
    }
    assert scoped - {"drift events"} == {*READS, *WRITES, *UNSCOPED}  # whose --all is of events


def test_the_environment_names_no_scope() -> None:
    for name, command in leaves():
        for parameter in command.params:
            assert not (WHOSE & set(parameter.opts) and parameter.envvar), name


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_missing_scope_is_refused_and_never_everyone(room: Room, name: str) -> None:
    before = kept(room)
    given = (READS | WRITES)[name]
    for scope in ([], ["--user="], ["--user", ""], ["--session=", "--agent="]):
        done = run(room, name, *given, *scope)
        assert done.exit_code == 1, scope
        assert "error: " in done.stderr
        assert not MARK.search(done.output)
        told = json.loads(run(room, name, *given, *scope, "--json").stderr)
        assert told["error"]["type"] in ("ScopeRequired", "InvalidInput")
    both = run(room, name, *given, "--all", "--user=ada")
    assert both.exit_code == 2
    assert not MARK.search(both.output)
    assert kept(room) == before


@pytest.mark.parametrize("name", READS)
def test_a_read_shows_nothing_of_others(room: Room, name: str) -> None:
    rng, answered = Random(SEED), 0
    for who in CALLERS:
        where = [f"--where={json.dumps(hostile(rng, who))}"] if name in FILTERED else []
        for more in ([], ["--json"], where):
            (room.folder / "out.jsonl").unlink(missing_ok=True)
            done = run(room, name, f"--user={who}", *more, *READS[name])
            assert done.exception is None or isinstance(done.exception, SystemExit)
            text = done.output + _written(room)
            assert not others(text, who), (who, more)
            answered += bool(MARK.search(text))
    assert answered or name == "sessions"  # which tells ids and counts alone


def _written(room: Room) -> str:
    file = room.folder / "out.jsonl"
    return file.read_text("utf-8") if file.exists() else ""


@pytest.mark.parametrize("name", WRITES)
def test_a_write_changes_nothing_of_others(room: Room, name: str) -> None:
    before, changed = kept(room), 0
    for who in CALLERS:
        done = run(room, name, f"--user={who}", *WRITES[name])
        assert not others(done.output, who), who
        after = kept(room)
        assert {user: turns for user, turns in after.items() if user != who} == {
            user: turns for user, turns in before.items() if user != who
        }
        changed += after != before
        before = after
    assert changed >= sum(who in PEOPLE for who in CALLERS)


def test_hostile_filters_widen_no_write(room: Room) -> None:
    rng, before, who = Random(SEED), kept(room), PEOPLE[0]
    for _ in range(6):
        where = f"--where={json.dumps(hostile(rng, who))}"
        for name, more in (("update", ["--pin"]), ("delete", ["--yes"])):
            done = run(room, name, f"--user={who}", where, *more)
            assert not others(done.output, who), where
    after = kept(room)
    assert {u: t for u, t in after.items() if u != who} == {
        u: t for u, t in before.items() if u != who
    }


def test_a_file_says_whose_its_turns_are_and_a_scoped_handle_refuses_others(room: Room) -> None:
    file = room.folder / "in.jsonl"
    mine = {"id": "mine", "role": "user", "content": "of nobody yet"}
    foreign = {"id": "turn-1", "role": "user", "content": "forged", "user_id": PEOPLE[0]}
    file.write_text(f"{json.dumps(mine)}\n{json.dumps(foreign)}\n", "utf-8")
    before = kept(room)
    bound = room.memory.scoped(user_id="mallory")
    with pytest.raises(InvalidInput):
        bound.add([foreign])
    report = bound.import_turns(file, on_conflict="replace", progress=False)
    assert (report.stored, report.rejected) == (1, 1)
    assert kept(room)[PEOPLE[0]] == before[PEOPLE[0]]
    done = run(room, "import", str(file), "--restart", "--user=mallory")
    assert (
        "1 set aside" in done.stdout
    )  # its id is taken by another content; --replace is asked for
    assert kept(room)[PEOPLE[0]] == before[PEOPLE[0]]
    assert not others(done.output, "mallory")


def test_what_an_operator_looks_at_without_a_scope_names_no_content(room: Room) -> None:
    for name in ("stats", "receipts", "maintain --dry-run", "doctor", "snapshot list"):
        done = run(room, name)
        assert not MARK.search(done.output), name
