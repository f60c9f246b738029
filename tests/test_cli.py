"""Tests of the command line, with the default model on real stores."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from agentmem import Memory
from agentmem.cli.app import app
from agentmem.cli.demonstration import kept_or_temporary
from agentmem.cli.options import ModeName
from agentmem.cli.reference import reference
from agentmem.cli.render import visible
from agentmem.demo import conversation, questions
from agentmem.types import Mode

DOCS = Path(__file__).parents[1] / "docs"
MAIN = "from agentmem.cli.app import main; main()"
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066\u200b]")
HOSTILE = "\x1b[2J\x1b]0;owned\x07 \x9b31m [red]bold[/red] :smile: \u202etxt.exe \r\x08 last"


def run(*arguments: object, stdin: str | None = None, **environment: str) -> Result:
    variables: dict[str, str | None] = {"COLUMNS": "80", "AGENTMEM_STORE": None, **environment}
    return CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, env=variables)


def printed(*arguments: object, stdin: str | None = None, **environment: str) -> str:
    result = run(*arguments, stdin=stdin, **environment)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def machine(*arguments: object, stdin: str | None = None) -> Any:
    """Give what a command prints as JSON; whatever else is printed breaks it."""
    stdout = printed(*arguments, "--json", stdin=stdin)
    assert stdout.isascii()
    return json.loads(stdout)


def write_messages(path: Path, *messages: dict[str, Any]) -> Path:
    lines = [json.dumps(message) for message in messages]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


MOVED = {
    "id": "m1",
    "session_id": "s1",
    "role": "user",
    "name": "Ada",
    "content": "I moved to Lisbon in May.",
    "created_at": "2025-05-05T09:00:00Z",
    "metadata": {"topic": "home"},
}
FLAT = {
    "id": "m2",
    "session_id": "s1",
    "role": "assistant",
    "content": "How is the new flat?",
    "created_at": "2025-05-05T09:01:00Z",
}
CELLO = {
    "id": "m3",
    "session_id": "s2",
    "role": "user",
    "name": "Ada",
    "content": "My sister plays the cello.",
    "created_at": "2025-06-01T10:00:00Z",
    "attachments": [{"type": "image", "caption": "a cello by the window", "url": "c.jpg"}],
}


def fill(place: Path) -> Path:
    file = write_messages(place / "messages.jsonl", MOVED, FLAT, CELLO)
    assert run("import", file, "--store", place / "store", "--user", "ada").exit_code == 0
    return place / "store"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store that tests only read."""
    return fill(tmp_path_factory.mktemp("read"))


@pytest.fixture
def own_store(tmp_path: Path) -> Path:
    """Give a store that a test may change."""
    return fill(tmp_path)


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Give the store of a demo, and what the demo printed."""
    place = tmp_path_factory.mktemp("demo") / "ada.mem"
    return place, printed("demo", "--store", place)


def test_a_search_prints_rank_score_date_speaker_text_and_terms(store: Path) -> None:
    text = printed("search", "When did Ada move to Lisbon?", "--store", store, "--user", "ada")
    assert re.search(r"^   1 +\d+\.\d\d 2025-05-05  Ada  m1$", text, re.MULTILINE)
    assert "I moved to Lisbon in May." in text
    assert re.search(r"dense [+-]\d\.\d\d", text)
    assert "ms encoding the question" in text
    assert "3 turns in sight" in text
    assert "\x1b" not in text


def test_an_explained_search_draws_the_terms_and_names_the_words(store: Path) -> None:
    text = printed("search", "Lisbon cello", "--store", store, "--user", "ada", "--explain")
    assert re.search(r"lexical +\+\d\.\d\d █+", text)
    assert "words in common: Lisbon" in text
    assert "cosine 0." in text
    assert "[image] a cello by the window" in text


def test_a_search_as_json_holds_terms_that_add_up(store: Path) -> None:
    found = machine("search", "Who plays?", "--store", store, "--user", "ada", "--explain", "-k", 2)
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    for hit in found["hits"]:
        assert sum(hit["terms"].values()) == pytest.approx(hit["score"], abs=1e-4)
        assert set(hit["evidence"]) == {"similarity", "bm25", "words", "chunk"}
    assert found["hits"][0]["turn"]["id"] == "m3"
    assert found["scope"] == {"user_id": "ada", "agent_id": None, "session_id": None}


def test_filters_dates_and_mode_narrow_a_search(store: Path) -> None:
    def ids(*options: object) -> list[str]:
        found = machine("search", "Lisbon flat cello", "--store", store, "--all", *options)
        return sorted(hit["turn"]["id"] for hit in found["hits"])

    assert ids() == ["m1", "m2", "m3"]
    assert ids("--since", "2025-06-01T00:00:00Z") == ["m3"]
    assert ids("--until", "2025-06-01T00:00:00Z", "--where", '{"role": "assistant"}') == ["m2"]
    assert ids("--mode", "lexical", "--where", '{"metadata.topic": "home"}') == ["m1"]


def test_nothing_found_is_said(store: Path) -> None:
    text = printed("search", "Lisbon", "--store", store, "--user", "nobody", "--mode", "lexical")
    assert text.startswith("Nothing found.")


def test_a_context_goes_to_stdout_and_its_account_to_stderr(store: Path) -> None:
    result = run("context", "Lisbon?", "--store", store, "--user", "ada", "--max-tokens", 60)
    assert "Ada: I moved to Lisbon in May." in result.stdout
    assert re.search(r"^\d+ of 60 tokens, \d turns", result.stderr)
    assert "tokens" not in result.stdout


def test_a_context_as_json_keeps_the_budget(store: Path) -> None:
    packed = machine("context", "Lisbon?", "--store", store, "--user", "ada", "--max-tokens", 30)
    assert 0 < packed["tokens"] <= packed["max_tokens"] == 30
    assert {"text", "messages", "hits", "turns", "dropped"} < set(packed)


def test_turns_are_listed_by_page(store: Path) -> None:
    result = run("turns", "--store", store, "--user", "ada", "--limit", 2)
    assert result.stdout.splitlines()[0] == "session s1, user ada (times in UTC)"
    assert "2025-05-05 09:00 Ada  m1" in result.stdout
    assert "--offset 2 goes on" in result.stderr
    rest = machine("turns", "--store", store, "--user", "ada", "--limit", 2, "--offset", 2)
    assert [turn["id"] for turn in rest] == ["m3"]


def test_sessions_are_listed(store: Path) -> None:
    text = printed("sessions", "--store", store, "--user", "ada")
    assert re.search(r"^s1 +ada +2 +2025-05-05 09:00 +2025-05-05 09:01", text, re.MULTILINE)
    listed = machine("sessions", "--store", store, "--user", "ada")
    assert [(one["session_id"], one["turns"]) for one in listed] == [("s1", 2), ("s2", 1)]
    assert listed[0]["first"] == "2025-05-05T09:00:00+00:00"


def test_one_turn_is_shown_whole(store: Path) -> None:
    text = printed("get", "m3", "--store", store, "--user", "ada")
    assert "a cello by the window  c.jpg" in text
    assert "2025-06-01 10:00:00 UTC" in text
    turn = machine("get", "m1", "--store", store, "--user", "ada")
    assert {key: turn[key] for key in MOVED if key != "created_at"} == {
        key: value for key, value in MOVED.items() if key != "created_at"
    }


def test_stats_tell_sizes_and_the_model(store: Path) -> None:
    text = printed("stats", "--store", store)
    assert "all-MiniLM-L6-v2" in text
    assert str(store) in text.replace("\n", "").replace(" ", "")
    found = machine("stats", "--store", store)
    assert (found["turns"], found["sessions"], found["users"]) == (3, 2, 1)
    assert found["passport"]["dimension"] == 384


def test_what_is_added_from_standard_input_is_stored_verbatim(tmp_path: Path) -> None:
    given = "  two\n lines\n\n"
    store = ("--store", tmp_path / "store", "--user", "ada")
    when = "2025-05-05T09:00:00+02:00"
    options = ("--role", "assistant", "--name", "Bo", "--id", "x", "--created-at", when)
    assert printed("add", "-", *store, *options, stdin=given + "\n") == "x\n"
    turn = machine("get", "x", *store)
    assert turn["content"] == given
    assert (turn["role"], turn["name"]) == ("assistant", "Bo")
    assert turn["created_at"] == "2025-05-05T07:00:00+00:00"
    assert len(machine("add", "more", *store)["ids"]) == 1


def test_standard_input_that_is_no_text_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["add", "-", "--store", str(tmp_path)], input=b"caf\xe9")
    assert result.exit_code == 1
    assert "not UTF-8 at byte 3" in result.stderr


def test_an_export_imports_back_identically(store: Path, tmp_path: Path) -> None:
    file, again = tmp_path / "turns.jsonl", tmp_path / "again"
    assert "3 turns written" in printed("export", file, "--store", store, "--all")
    assert run("export", file, "--store", store, "--all").exit_code == 1
    report = machine("export", file, "--store", store, "--all", "--overwrite", "--vectors")
    assert report == {"turns": 3, "path": str(file)}
    assert printed("import", file, "--store", again) == "3 stored.\n"
    turns = machine("turns", "--store", again, "--all")
    assert turns == machine("turns", "--store", store, "--all")


def test_an_import_sets_bad_records_aside_and_says_where(tmp_path: Path) -> None:
    file = write_messages(tmp_path / "some.jsonl", MOVED, {"role": "user"}, FLAT)
    first = printed("import", file, "--store", tmp_path / "store")
    assert first.startswith("2 stored, 1 set aside in ")
    report = machine("import", file, "--store", tmp_path / "store")
    assert (report["stored"], report["unchanged"], report["rejected"]) == (0, 2, 1)
    rejects = Path(report["rejects_path"]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["line"] for line in rejects] == [2]


def test_an_import_replaces_turns_only_when_told(own_store: Path, tmp_path: Path) -> None:
    file = write_messages(tmp_path / "other.jsonl", {**MOVED, "content": "I moved to Faro."})
    options = ("--store", own_store, "--user", "ada")
    assert machine("import", file, *options)["rejected"] == 1
    assert machine("import", file, *options, "--replace", "--restart")["stored"] == 1
    assert machine("get", "m1", *options)["content"] == "I moved to Faro."


def remaining(store: Path) -> list[str]:
    return [turn["id"] for turn in machine("turns", "--store", store, "--all")]


def test_a_deletion_shows_what_would_go_and_asks(own_store: Path) -> None:
    options = ("--store", own_store, "--user", "ada", "--session", "s1")
    refused = run("delete", *options, stdin="n\n")
    assert refused.exit_code == 1
    assert "I moved to Lisbon in May." in refused.stdout
    assert "cello" not in refused.stdout
    assert remaining(own_store) == ["m1", "m2", "m3"]
    assert printed("delete", *options, stdin="y\n").endswith("2 turns deleted.\n")
    assert remaining(own_store) == ["m3"]


def test_a_deletion_by_id_names_those_not_there(own_store: Path) -> None:
    options = ("--store", own_store, "--user", "ada")
    assert "1 turn would be deleted; not there: no." in printed(
        "delete", "m2", "no", *options, "--dry-run"
    )
    assert remaining(own_store) == ["m1", "m2", "m3"]
    assert printed("delete", "m2", "no", *options, "--yes") == "1 turn deleted; not there: no.\n"
    assert remaining(own_store) == ["m1", "m3"]


def test_a_deletion_shows_only_what_its_filter_leaves(own_store: Path) -> None:
    where = '{"role": "assistant"}'
    options = ("--store", own_store, "--user", "ada", "--where", where, "--dry-run")
    text = printed("delete", "m1", "m2", *options)
    assert "How is the new flat?" in text
    assert "Lisbon" not in text
    assert "1 turn would be deleted" in text


def test_json_deletes_nothing_unasked(own_store: Path) -> None:
    options = ("--store", own_store, "--all")
    assert machine("delete", *options) == {"turns": 3, "missing": [], "dry_run": True}
    assert len(remaining(own_store)) == 3
    assert machine("delete", *options, "--yes") == {"turns": 3, "missing": [], "dry_run": False}
    assert remaining(own_store) == []
    assert printed("turns", *options) == "No turns.\n"
    assert printed("sessions", *options) == "No sessions.\n"


def test_deleting_and_not_deleting_at_once_is_wrong_usage(own_store: Path) -> None:
    result = run("delete", "--store", own_store, "--all", "--yes", "--dry-run")
    assert result.exit_code == 2
    assert len(remaining(own_store)) == 3


def test_an_unnamed_scope_is_refused_with_the_options_that_name_one(store: Path) -> None:
    result = run("search", "Lisbon", "--store", store)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "--all to mean everyone" in result.stderr


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        ([], "ScopeRequired", 1),
        (["--user", "a", "--since", "2025-05-05T09:00:00"], "InvalidInput", 1),
        (["--user", "a", "--k", "0"], "InvalidInput", 1),
        (["--user", "a", "--where", '{"no": 1}'], "InvalidInput", 1),
        (["--user", "a", "--all"], "UsageError", 2),
        (["--user", "a", "--where", "{"], "UsageError", 2),
        (["--user", "a", "--where", "[1]"], "UsageError", 2),
        (["--user", "a", "--k", "ten"], "UsageError", 2),
        (["--nonsense"], "UsageError", 2),
    ],
)
def test_an_error_is_json_where_results_are(
    store: Path, options: list[str], kind: str, code: int
) -> None:
    result = run("search", "Lisbon", "--store", store, "--mode", "lexical", *options, "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    error = json.loads(result.stderr)["error"]
    assert error["type"] == kind
    assert error["message"]


def test_a_store_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    result = run("stats", "--store", tmp_path / "none")
    assert result.exit_code == 1
    assert "`agentmem add` and `import` make one" in result.stderr
    assert not (tmp_path / "none").exists()


def test_a_model_that_is_not_there_is_told_without_a_traceback(tmp_path: Path) -> None:
    result = run("demo", "--model", tmp_path / "no-model", FORCE_COLOR="1", NO_COLOR="")
    assert result.exit_code == 1
    assert result.stderr.startswith("\x1b[31merror: there is no model folder")
    assert "Traceback" not in result.stderr


def test_another_model_than_the_stores_is_refused(store: Path, tiny_transformer: Path) -> None:
    options = ("--user", "ada", "--model", tiny_transformer, "--json")
    result = run("search", "Lisbon", "--store", store, *options)
    assert json.loads(result.stderr)["error"]["type"] == "EmbedderMismatch"


def test_an_unexpected_error_keeps_its_traceback(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Memory) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Memory, "stats", fail)
    assert isinstance(run("stats", "--store", store).exception, ZeroDivisionError)


def test_the_environment_names_the_store(store: Path) -> None:
    text = printed("stats", "--json", AGENTMEM_STORE=str(store))
    assert json.loads(text)["store"] == str(store)


def test_without_a_name_the_store_lies_among_the_users_data(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    printed("add", "hello", "--id", "x", **home)
    found = json.loads(printed("stats", "--json", **home))
    assert found["turns"] == 1
    assert Path(found["store"]).is_relative_to(tmp_path)


@pytest.fixture(scope="module")
def hostile_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    message = {
        "id": f"id {HOSTILE}",
        "session_id": f"session {HOSTILE}",
        "role": "user",
        "name": f"name {HOSTILE}",
        "content": f"I moved to Lisbon. {HOSTILE}",
        "metadata": {f"key {HOSTILE}": HOSTILE},
        "attachments": [{"type": f"t {HOSTILE}", "caption": HOSTILE, "url": HOSTILE}],
    }
    file = write_messages(place / "hostile.jsonl", message)
    assert run("import", file, "--store", place / "store", "--user", HOSTILE).exit_code == 0
    return place / "store"


@pytest.mark.parametrize(
    "command",
    [
        ["search", "Lisbon", "--all"],
        ["search", "Lisbon", "--all", "--explain"],
        ["context", "Lisbon", "--all"],
        ["turns", "--all"],
        ["sessions", "--all"],
        ["get", f"id {HOSTILE}", "--all"],
        ["get", f"not there {HOSTILE}", "--all"],
        ["delete", "--all", "--dry-run"],
        ["delete", f"not there {HOSTILE}", "--all", "--dry-run"],
    ],
    ids=lambda command: " ".join(command)[:20],
)
def test_what_was_stored_cannot_steer_the_terminal(hostile_store: Path, command: list[str]) -> None:
    output = run(*command, "--store", hostile_store).output
    assert not STEERING.search(output)
    assert "owned" in output  # shown, as a text among others

    # Not even on a terminal: all that is left are colours of ours.
    coloured = run(*command, "--store", hostile_store, FORCE_COLOR="1", NO_COLOR="").output
    assert not STEERING.search(re.sub(r"\x1b\[[\d;]*m", "", coloured))


def test_what_was_stored_is_no_markup(hostile_store: Path) -> None:
    text = printed("search", "Lisbon", "--all", "--store", hostile_store)
    assert "[red]bold[/red] :smile:" in text
    assert "␛[2J␛]0;owned␇" in text
    assert "<U+202E>txt.exe" in text


def test_json_gives_what_was_stored_exactly(hostile_store: Path) -> None:
    turn = machine("turns", "--all", "--store", hostile_store)[0]
    assert turn["content"] == f"I moved to Lisbon. {HOSTILE}"
    assert turn["user_id"] == HOSTILE


@given(text=st.text(st.characters()), lines=st.booleans())
def test_visible_text_holds_no_control_and_can_be_encoded(*, text: str, lines: bool) -> None:
    shown = visible(text, lines=lines)
    kept = "\n\t" if lines else ""
    controls = {one for one in shown if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")}
    assert controls <= set(kept)
    assert not STEERING.search(shown.replace("\t", ""))
    shown.encode()


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_colours_respect_no_color(store: Path) -> None:
    options = ("search", "Lisbon", "--store", store, "--user", "ada", "--explain")
    colour = re.compile(r"\x1b\[(?:\d+;)*3\d")
    assert colour.search(printed(*options, FORCE_COLOR="1", NO_COLOR="", TERM="xterm"))
    assert not colour.search(printed(*options, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm"))


def test_the_demo_shows_every_question_with_its_evidence_and_time(
    demonstrated: tuple[Path, str],
) -> None:
    text = demonstrated[1]
    assert f"{len(conversation())} messages of 12 conversations" in text
    for number, question in enumerate(questions(), 1):
        assert f" {number}  {question['question']}" in text
    assert text.count("ms encoding the question, ") == len(questions())
    assert len(re.findall(r"^✓ ", text, re.MULTILINE)) >= len(questions())
    assert re.search(r"✓  1 +\d+\.\d\d 2025-\d\d-\d\d  Ada  s\d\d-\d\d", text)
    assert re.search(r"\d+ of 14 in the first 5, \d+ of 14 in the\s+first 10", text)
    assert re.search(r"\d+ of 200 tokens", text)
    assert text.count("\n  agentmem ") == 3
    assert "\x1b" not in text


def test_the_demo_fits_80_columns(demonstrated: tuple[Path, str]) -> None:
    shown = demonstrated[1].split(" Try next ")[0]  # commands are never broken, to be copied
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80


def test_the_demo_as_json_tells_the_rank_of_every_evidence_turn(
    demonstrated: tuple[Path, str],
) -> None:
    place, _ = demonstrated
    shown = machine("demo", "--store", place)
    assert [one["question"] for one in shown["questions"]] == [
        one["question"] for one in questions()
    ]
    complete = {5: 0, 10: 0}
    for one in shown["questions"]:
        found = [hit["turn"]["id"] for hit in one["recall"]["hits"]]
        for turn_id, rank in one["evidence"].items():
            assert found.index(turn_id) + 1 == rank if rank else turn_id not in found
        for depth in complete:
            complete[depth] += set(one["evidence"]) <= set(found[:depth])
    assert shown["all_evidence_in_top"] == {str(k): count for k, count in complete.items()}
    assert complete[10] >= 10
    assert shown["context"]["tokens"] <= 200
    assert machine("stats", "--store", place)["turns"] == len(conversation())  # stored once


def test_what_the_demo_proposes_works(demonstrated: tuple[Path, str]) -> None:
    proposed = [line.strip() for line in demonstrated[1].splitlines() if line[:3] == "  a"]
    for command in proposed:
        program, *arguments = [a or b for a, b in re.findall(r'"([^"]+)"|(\S+)', command)]
        assert program == "agentmem"
        printed(*arguments)


def test_the_demos_own_store_is_removed() -> None:
    with kept_or_temporary(None) as place:
        assert Path(place).is_dir()
    assert not Path(place).exists()


def test_every_mode_can_be_chosen() -> None:
    assert tuple(one.value for one in ModeName) == get_args(Mode)


def test_the_reference_in_the_docs_is_up_to_date() -> None:
    written = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m agentmem.cli.reference > docs/cli.md"


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"agentmem \S+\n", printed("--version"))


@pytest.mark.parametrize(
    "command", ["demo", "search", "import", "tools", "tools select", "eval memory"]
)
def test_every_command_has_help(command: str) -> None:
    assert "Usage: " in printed(*command.split(), "--help")


def process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, **environment}
    )


def test_a_process_prints_its_result_and_no_noise(store: Path) -> None:
    done = process("search", "Lisbon", "--store", store, "--user", "ada", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["hits"][0]["turn"]["id"] == "m1"


def test_a_terminal_without_unicode_is_no_obstacle(hostile_store: Path) -> None:
    done = process("turns", "--store", hostile_store, "--all", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"I moved to Lisbon. ?[2J?]0;owned?" in done.stdout


def test_what_was_erased_is_left_out_unless_it_is_allowed(tmp_path: Path) -> None:
    store = tmp_path / "own"
    says = ["add", "I live in Lisbon.", "--id", "a", "--user", "ada", "--store", store]
    printed(*says)
    erase = ["forget", "a", "--reason", "asked", "--yes", "--user", "ada", "--store", store]
    assert "erased" in printed(*erase)
    assert "1 turn  erased" in printed("receipts", "--store", store)
    again = run(*says)
    assert again.exit_code == 1
    assert again.stdout == ""
    assert "left out, and not stored: forgotten" in again.stderr
    assert json.loads(run(*says, "--json").stdout)["left_out"][0]["reason"] == "forgotten"
    assert printed(*says, "--allow-forgotten") == "a\n"
