"""The commands `agentmem traces`, on spans that the commands themselves recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from traces_tools import NOON, Work, fresh_process, row, work, write_rows
from typer.testing import CliRunner, Result

from agentmem.cli.app import app
from agentmem.traces import open_traces, read_labels, read_span_file, record_of_spans

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
HOSTILE = "\x1b[2J [red]bold[/red] \u202etxt"


def run(*arguments: object, stdin: str | None = None, **environment: str) -> Result:
    variables: dict[str, str | None] = {"COLUMNS": "80", "AGENTMEM_TRACES": None, **environment}
    return CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, env=variables)


def printed(*arguments: object, stdin: str | None = None, **environment: str) -> str:
    result = run(*arguments, stdin=stdin, **environment)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def machine(*arguments: object, **environment: str) -> Any:
    stdout = printed(*arguments, "--json", **environment)
    assert stdout.isascii()
    return json.loads(stdout)


def refused(*arguments: object) -> str:
    """Give what is said to a command that fails."""
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return work(tmp_path_factory.mktemp("worked"))


@pytest.fixture
def traces(worked: Work, tmp_path: Path) -> Path:
    """Give a folder of its own to a test."""
    return Path(copytree(worked.folder, tmp_path / "traces"))


@pytest.fixture
def fresh() -> Iterator[None]:
    with fresh_process():
        yield


def test_any_command_records_its_spans_where_the_environment_says_so(
    tmp_path: Path, fresh: None
) -> None:
    folder, store = tmp_path / "traces", tmp_path / "ada.mem"
    said = tmp_path / "said.jsonl"
    said.write_text(json.dumps({"role": "user", "content": "I live in Lisbon.", "id": "t1"}))
    wanted = {"AGENTMEM_TRACES": str(folder), CONTENT: "true"}
    printed("import", said, "--store", store, "--user", "ada", **wanted)
    found = machine("search", "Lisbon?", "--store", store, "--user", "ada", **wanted)
    printed("search", "not recorded", "--store", store, "--user", "ada")
    (span,) = machine("traces", "list", **wanted)
    assert span["span_id"] == found["span_id"]
    assert span["attributes"]["input.value"] == "Lisbon?"
    assert len(machine("traces", "list", "--operation", "create_memory", **wanted)) == 1


def test_the_list_shows_scores_durations_and_what_came_of_it(traces: Path, worked: Work) -> None:
    text = printed("traces", "list", "--traces", traces)
    lines = text.splitlines()
    assert len(lines) == 8
    assert str(worked.refused.span_id)[:8] in lines[1]
    assert "no tool fits" in lines[1]
    assert "search: EmbeddingFailed" in text
    assert re.search(r" 3 turns  Who lived in Turin\?", text)
    assert re.search(r"[\d.]+ +-?\d\.\d\d +\d\.\d\d  2 tools  Book a seat", text)
    assert max(map(len, lines)) <= 80


def test_the_list_is_narrowed_by_every_option(traces: Path, worked: Work) -> None:
    def listed(*options: object) -> list[str]:
        return [one["span_id"] for one in machine("traces", "list", "--traces", traces, *options)]

    everything = listed()
    assert len(everything) == 7
    assert listed("--limit", 2) == everything[:2]
    assert listed("--abstained") == [worked.refused.span_id]
    assert len(listed("--errors")) == 1
    assert len(listed("--user", "bob")) == 1
    assert listed("--slow", "1h") == []
    assert listed("--slow", "0ms") == everything
    assert listed("--since", "1d") == everything
    assert listed("--since", "2100-01-01T00:00:00Z") == []
    assert set(listed("--below", "1000")) == set(everything) - set(listed("--errors"))
    assert printed("traces", "list", "--traces", traces, "--slow", "1h") == "No spans.\n"


def test_a_search_is_shown_as_a_tree_with_the_terms_of_its_scores(
    traces: Path, worked: Work
) -> None:
    text = printed("traces", "show", str(worked.found.span_id)[:12], "--traces", traces)
    assert re.search(r"^search_memory +[\d.]+ ms +█+", text, re.MULTILINE)
    assert re.search(r"^  agentmem\.dense +[\d.]+ ms +█+", text, re.MULTILINE)
    assert re.search(r"query +Who lived in Turin\?", text)
    best = worked.found[0]
    assert re.search(rf"^1 +{best.turn.id} +{best.score:.2f}", text, re.MULTILINE)
    assert re.search(r"dense +[+-]\d\.\d\d █+", text)
    assert f"agentmem replay {str(worked.found.span_id)[:8]}" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_selection_is_shown_with_the_tools_it_handed_out(traces: Path, worked: Work) -> None:
    text = printed("traces", "show", worked.selected.trace_id, "--traces", traces)
    assert re.search(r"✓ 1 +default/book_flight", text)
    assert re.search(r"chosen +book_flight", text)
    hidden = printed("traces", "show", worked.hidden.span_id, "--traces", traces)
    assert re.search(r"query +not recorded", hidden)


def test_what_show_prints_as_json_reads_back(traces: Path, worked: Work, tmp_path: Path) -> None:
    file = tmp_path / "span.json"
    file.write_text(printed("traces", "show", worked.found.span_id, "--traces", traces, "--json"))
    record = record_of_spans(read_span_file(file))
    assert record == open_traces(traces).record(str(worked.found.span_id))


def test_a_label_is_kept_shown_listed_and_taken_back(traces: Path, worked: Work) -> None:
    span, place = worked.found.span_id, ("--traces", traces)
    text = printed("traces", "label", span, "--wrong", "--expected", "t9", "--by", "Grace", *place)
    assert re.search(r"search  wrong  Grace", text)
    (label,) = read_labels(traces)
    assert (label.verdict, label.relevant, label.by) == ("wrong", ("t9",), "Grace")
    (form,) = machine("traces", "labels", *place)
    assert form["span_id"] == span
    assert form["relevant"] == ["t9"]
    assert form["scope"] == {"user_id": "ada", "agent_id": None, "session_id": None}
    assert "labelled wrong by Grace" in printed("traces", "show", span, *place)
    removed = machine("traces", "label", str(span)[:8], "--remove", *place)
    assert removed == {"span_id": span, "removed": True}
    assert printed("traces", "labels", *place) == "No labels.\n"
    assert "no labelled span" in refused("traces", "label", span, "--remove", *place)


def test_a_label_asks_for_what_was_not_recorded(traces: Path, worked: Work) -> None:
    hidden, place = worked.hidden.span_id, ("--traces", traces)
    assert "--query" in refused("traces", "label", hidden, "--right", *place)
    form = machine(
        *("traces", "label", hidden, "--right", "--query", "Where?"),
        *("--where", '{"role": "user"}', "--wrong-id", "t2", *place),
    )
    assert (form["query"], form["where"], form["wrong"]) == ("Where?", {"role": "user"}, ["t2"])


def test_a_label_is_one_verdict(traces: Path, worked: Work) -> None:
    for verdicts in ([], ["--right", "--wrong"], ["--right", "--remove"]):
        said = refused("traces", "label", worked.found.span_id, *verdicts, "--traces", traces)
        assert "give one of --right, --wrong and --remove" in said


def test_pruning_shows_what_would_go_and_asks(traces: Path) -> None:
    command = ("traces", "prune", "--user", "ada", "--traces", traces)
    said = printed(*command, "--dry-run")
    assert re.fullmatch(r"\d+ spans would be deleted; \d+ left\.\n", said)
    no = run(*command, stdin="n\n")
    assert no.exit_code == 1
    assert open_traces(traces).retrievals(user_id="ada")
    assert machine(*command)["dry_run"]
    assert open_traces(traces).retrievals(user_id="ada")
    yes = run(*command, stdin="y\n")
    assert "spans deleted" in yes.stdout
    assert not open_traces(traces).retrievals(user_id="ada")
    assert open_traces(traces).retrievals()
    done = machine("traces", "prune", "--all", "--yes", "--traces", traces)
    assert (done["spans_left"], done["dry_run"]) == (0, False)


def test_pruning_by_age_leaves_what_is_newer(traces: Path) -> None:
    assert machine("traces", "prune", "--older-than", "1d", "--traces", traces)["spans"] == 0
    future = "2100-01-01T00:00:00Z"
    done = machine("traces", "prune", "--older-than", future, "--traces", traces)
    assert done["spans_left"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--slow", "soon"], "is no duration"),
        (["list", "--slow", "9" * 400 + "d"], "is no duration"),
        (["list", "--since", "9" * 9 + "d"], "before any date"),
        (["list", "--since", "yesterday"], "not an ISO 8601 moment"),
        (["list", "--operation", "dream"], "there is no operation"),
        (["show", "zz"], "is no span or trace id"),
        (["show", "ffffffffffffffff"], "no span or trace in"),
        (["prune"], "nothing says which spans go"),
        (["prune", "--all", "--yes", "--dry-run"], "not both"),
    ],
)
def test_wrong_usage_is_told_in_words(traces: Path, arguments: list[str], said: str) -> None:
    assert said in refused("traces", *arguments, "--traces", traces).replace("│ ", "")


def test_a_folder_without_traces_says_how_to_get_some(tmp_path: Path) -> None:
    said = refused("traces", "list", "--traces", tmp_path / "nowhere")
    assert "there is no such folder" in said
    assert "AGENTMEM_TRACES=PATH" in said


def test_files_that_are_left_out_are_named(tmp_path: Path) -> None:
    broken = write_rows(tmp_path, row(0), at=NOON)
    broken.write_bytes(b"nothing")
    result = run("traces", "list", "--traces", tmp_path)
    assert result.stdout == "No spans.\n"
    assert f"left out: {broken.name}" in result.stderr


def test_hostile_texts_of_spans_neither_steer_the_terminal_nor_style_it(tmp_path: Path) -> None:
    told = {"gen_ai.operation.name": "search_memory", "input.value": HOSTILE}
    hostile = {"name": HOSTILE, "error_type": HOSTILE, "store": HOSTILE, "user_id": HOSTILE}
    write_rows(tmp_path, row(0, status="ERROR", **hostile, attributes=json.dumps(told)))
    write_rows(tmp_path, row(1, **hostile, attributes=json.dumps(told)))
    for command in (["list"], ["show", "1".zfill(16)], ["show", "2".zfill(16)]):
        text = printed("traces", *command, "--traces", tmp_path)
        assert not STEERING.search(text)
        assert "[red]" in text
