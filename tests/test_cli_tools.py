"""Tests of `agentmem tools`, with the default model on real stores."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from test_cli import HOSTILE, STEERING, machine, printed, process, run

from agentmem.cli.tools.options import FormatName
from agentmem.types import SchemaFormat

TURIN = "Will it rain in Turin tomorrow?"
POETRY = "Compose a sonnet about moonlit melancholy"


def plain(name: str, description: str, **arguments: str) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": text} for key, text in arguments.items()}
    return {
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": properties},
    }


WEATHER = plain("get_weather", "Weather forecast of a city: rain, sun, wind.", city="The city.")
FLIGHT = plain("book_flight", "Book a flight between two airports.", origin="From.", to="To.")
MAIL = plain("send_email", "Send an email to somebody.", recipient="Who gets it.", text="What.")
STOCK = plain("stock_price", "Current price of a share on the stock market.", ticker="Symbol.")
ALARM = plain("set_alarm", "Set an alarm clock.", time="When it rings.")
TOOLS = [WEATHER, FLIGHT, MAIL, STOCK, ALARM]
NAMES = sorted(tool["name"] for tool in TOOLS)


def write(path: Path, *values: object) -> Path:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values), encoding="utf-8")
    return path


def fill(place: Path) -> Path:
    machine("tools", "register", write(place / "tools.jsonl", *TOOLS), "--store", place / "store")
    return place / "store"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store that tests only read."""
    return fill(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def own_store(tmp_path: Path) -> Path:
    """Give a store that a test may change."""
    return fill(tmp_path)


def listed(store: Path, *options: object) -> list[str]:
    return sorted(tool["name"] for tool in machine("tools", "list", "--store", store, *options))


def test_registering_again_changes_nothing(own_store: Path, tmp_path: Path) -> None:
    again = machine("tools", "register", tmp_path / "tools.jsonl", "--store", own_store)
    assert again["unchanged"] == NAMES
    assert (again["added"], again["embedded"]) == ([], 0)
    text = printed("tools", "register", tmp_path / "tools.jsonl", "--store", own_store)
    assert text == "5 unchanged.\n"


def test_a_registration_shows_what_it_added(tmp_path: Path) -> None:
    file = write(tmp_path / "tools.json", [FLIGHT, WEATHER])
    options = (
        "--store",
        tmp_path / "store",
        "--namespace",
        "travel",
        "--tag",
        "free",
        "--tag",
        "x",
    )
    text = printed("tools", "register", file, *options)
    assert text == "+ book_flight\n+ get_weather\n2 added in travel.\n"
    tools = machine("tools", "list", "--store", tmp_path / "store")
    assert [(tool["namespace"], tool["tags"]) for tool in tools] == [("travel", ["free", "x"])] * 2


def test_tools_are_registered_from_standard_input_and_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docstring = '"""Tell the time.\n\n    Args:\n        city: Where.\n    """'
    code = f"def get_time(city: str) -> str:\n    {docstring}\n"
    (tmp_path / "tools_of_a_cli_test.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    sources = ("-", "tools_of_a_cli_test:get_time")
    request = json.dumps({"model": "m", "tools": [{"type": "function", "function": MAIL}]})
    done = machine("tools", "register", *sources, "--store", "store", stdin=request)
    assert done["added"] == ["get_time", "send_email"]
    tool = machine("tools", "get", "get_time", "--store", "store")
    assert tool["source"] == "function"
    assert tool["parameters"]["properties"]["city"]["description"] == "Where."


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced(
    own_store: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "edited.json", plain("get_weather", "Climate statistics."))
    options = ("--store", own_store, "--json")
    refused = run("tools", "register", file, *options)
    assert refused.exit_code == 1
    assert json.loads(refused.stderr)["error"]["type"] == "DuplicateTool"
    assert machine("tools", "register", file, *options, "--replace")["changed"] == ["get_weather"]
    tool = machine("tools", "get", "get_weather", "--store", own_store)
    assert tool["description"] == "Climate statistics."


def test_of_a_file_with_a_bad_definition_nothing_is_registered(tmp_path: Path) -> None:
    file = write(tmp_path / "bad.json", [WEATHER, {"description": "nameless"}])
    result = run("tools", "register", file, "--store", tmp_path / "store")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: tool 2 of 2")
    assert printed("tools", "list", "--store", tmp_path / "store") == "No tools.\n"


def changed_list(place: Path) -> Path:
    """Write the tools with one added, one edited and two taken away."""
    edited = plain("stock_price", "Price of a bond.")
    return write(place / "changed.json", [WEATHER, FLIGHT, edited, plain("new", "Something new.")])


def test_a_dry_sync_shows_the_difference_and_writes_nothing(
    own_store: Path, tmp_path: Path
) -> None:
    text = printed("tools", "sync", changed_list(tmp_path), "--store", own_store, "--dry-run")
    assert text.splitlines() == [
        "+ new",
        "~ stock_price",
        "- send_email",
        "- set_alarm",
        "1 added, 1 changed, 2 removed, 2 unchanged; nothing was written.",
    ]
    assert listed(own_store) == NAMES


def test_a_sync_asks_before_it_removes(own_store: Path, tmp_path: Path) -> None:
    command = ("tools", "sync", changed_list(tmp_path), "--store", own_store)
    refused = run(*command, stdin="n\n")
    assert refused.exit_code == 1
    assert "- send_email" in refused.stdout
    assert listed(own_store) == NAMES
    agreed = printed(*command, stdin="y\n")
    assert agreed.endswith("1 added, 1 changed, 2 removed, 2 unchanged.\n")
    assert listed(own_store) == ["book_flight", "get_weather", "new", "stock_price"]


def test_a_sync_that_removes_nothing_does_not_ask(own_store: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "more.json", [*TOOLS, plain("new", "Something new.")])
    assert printed("tools", "sync", file, "--store", own_store) == "+ new\n1 added, 5 unchanged.\n"


def test_json_removes_nothing_unasked(own_store: Path, tmp_path: Path) -> None:
    command = ("tools", "sync", changed_list(tmp_path), "--store", own_store)
    kept = machine(*command)
    assert (kept["dry_run"], kept["removed"]) == (True, ["send_email", "set_alarm"])
    assert listed(own_store) == NAMES
    done = machine(*command, "--yes")
    assert (done["dry_run"], done["added"], done["changed"]) == (False, ["new"], ["stock_price"])
    removal = ("tools", "remove", "new", "--store", own_store)
    assert machine(*removal)["dry_run"]
    assert "new" in listed(own_store)
    assert machine(*removal, "--yes")["removed"] == ["new"]
    assert "new" not in listed(own_store)


def test_an_empty_file_is_not_an_empty_catalogue(own_store: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("", encoding="utf-8")
    result = run("tools", "sync", tmp_path / "empty.json", "--store", own_store, "--yes")
    assert result.exit_code == 1
    assert "write [] to mean nothing" in " ".join(result.stderr.split())
    assert listed(own_store) == NAMES
    write(tmp_path / "empty.json", [])
    printed("tools", "sync", tmp_path / "empty.json", "--store", own_store, "--yes")
    assert printed("tools", "list", "--store", own_store) == "No tools.\n"


def test_removing_shows_what_goes_and_asks(own_store: Path) -> None:
    command = ("tools", "remove", "set_alarm", "stock_price", "--store", own_store)
    refused = run(*command, stdin="n\n")
    assert refused.exit_code == 1
    assert refused.stdout.startswith("- set_alarm\n- stock_price\n")
    assert "nothing was written" in printed(*command, "--dry-run")
    assert listed(own_store) == NAMES
    assert "2 removed." in printed(*command, "--yes")
    assert listed(own_store) == ["book_flight", "get_weather", "send_email"]


def test_removing_a_name_that_is_not_there_names_the_nearest(own_store: Path) -> None:
    result = run("tools", "remove", "get_wether", "set_alarm", "--store", own_store, "--yes")
    assert result.exit_code == 1
    assert "get_weather" in result.stderr
    assert listed(own_store) == NAMES


@pytest.mark.parametrize("command", ["sync tools.json", "remove get_weather"])
def test_doing_and_not_doing_at_once_is_wrong_usage(store: Path, command: str) -> None:
    result = run("tools", *command.split(), "--store", store, "--yes", "--dry-run")
    assert result.exit_code == 2


def test_tools_are_listed_by_namespace_and_filter(tmp_path: Path) -> None:
    store = ("--store", tmp_path / "store")
    printed("tools", "register", write(tmp_path / "a.json", WEATHER), *store, "--tag", "free")
    printed(
        "tools", "register", write(tmp_path / "b.json", FLIGHT), *store, "--namespace", "travel"
    )
    place = tmp_path / "store"
    assert listed(place) == ["book_flight", "get_weather"]
    assert listed(place, "--namespace", "travel") == ["book_flight"]
    assert listed(place, "--where", '{"tags": {"contains": "free"}}') == ["get_weather"]
    text = printed("tools", "list", *store)
    assert re.search(r"^get_weather +Weather forecast of a city.* free +$", text, re.MULTILINE)
    assert "book_flight in travel" in text


def test_one_tool_is_shown_whole_or_missed_with_the_nearest(store: Path) -> None:
    text = printed("tools", "get", "get_weather", "--store", store)
    assert "Weather forecast of a city: rain, sun, wind." in text
    assert '"description": "The city."' in text
    assert machine("tools", "get", "get_weather", "--store", store)["original"] == WEATHER
    missed = run("tools", "get", "get_wether", "--store", store)
    assert missed.exit_code == 1
    assert "get_weather" in missed.stderr


def test_a_selection_prints_rank_tool_score_probability_and_terms(store: Path) -> None:
    text = printed("tools", "select", TURIN, "--store", store)
    assert re.search(r"^1 +get_weather +-?\d+\.\d\d +\d+% *$", text, re.MULTILINE)
    assert re.search(r"meaning [+-]\d\.\d\d +words [+-]\d\.\d\d", text)
    assert re.search(r"confidence \d\.\d\d, threshold 0\.15 \(the default", text)
    assert re.search(r"\d+ tokens of schemas, \d+ saved; 5 tools in sight", text)
    assert "ms encoding the question" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_explained_selection_shows_evidence(store: Path) -> None:
    text = printed("tools", "select", TURIN, "--store", store, "--explain")
    assert re.search(r"\+\d\.\d\d █+", text)
    assert re.search(r"cosine 0\.\d\d +words in common: .*rain", text)
    assert "best view: " in text


def test_a_selection_as_json_holds_terms_that_add_up(store: Path) -> None:
    found = machine("tools", "select", TURIN, "--store", store, "-k", 3, "--explain")
    assert found["matches"][0]["name"] == "get_weather"
    assert [match["rank"] for match in found["candidates"]] == [1, 2, 3]
    for match in found["candidates"]:
        assert sum(match["terms"].values()) == pytest.approx(match["score"], abs=1e-4)
        assert 0 <= match["probability"] <= 1
        assert "similarity" in match["evidence"]
    assert (found["query"], found["catalogue"], found["abstained"]) == (TURIN, 5, False)


def test_k_and_exclusions_and_filters_narrow_a_selection(store: Path) -> None:
    def names(*options: object) -> list[str]:
        found = machine("tools", "select", TURIN, "--store", store, *options)
        return [match["name"] for match in found["candidates"]]

    assert names("-k", 1) == ["get_weather"]
    assert len(names("-k", "auto")) >= 1
    assert "get_weather" not in names("--exclude", "get_weather", "--exclude", "set_alarm")
    assert names("--where", '{"name": "send_email"}') == ["send_email"]
    assert names("--namespace", "elsewhere") == []


def test_a_budget_of_tokens_is_kept(store: Path) -> None:
    whole = machine("tools", "select", TURIN, "--store", store)
    found = machine("tools", "select", TURIN, "--store", store, "--max-tokens", 60)
    assert found["tokens"] <= 60
    assert len(found["matches"]) < len(whole["matches"]) or whole["tokens"] <= 60


def test_an_abstention_says_so_and_why(store: Path) -> None:
    query = "Who painted the Mona Lisa, zyxgloop?"
    found = machine("tools", "select", query, "--store", store)
    assert (found["abstained"], found["matches"]) == (True, [])
    assert len(found["candidates"]) == 5
    assert "zyxgloop" in found["unmatched_terms"]
    text = printed("tools", "select", query, "--store", store)
    assert text.startswith("No tool fits")
    assert "zyxgloop" in text
    assert "Nearest, and not chosen:" in text


def test_schemas_go_to_stdout_and_the_account_to_stderr(store: Path) -> None:
    result = run("tools", "select", TURIN, "--store", store, "-k", 1, "--schemas", "openai")
    (schema,) = json.loads(result.stdout)
    assert schema["function"]["name"] == "get_weather"
    assert "tokens of schemas" in result.stderr
    command = ("tools", "select", TURIN, "--store", store, "-k", 1, "--schemas", "anthropic")
    assert machine(*command)["schemas"][0]["input_schema"] == WEATHER["parameters"]


def test_the_conversation_so_far_is_read_from_a_file(store: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "said.jsonl", {"role": "user", "content": "I want to fly to Rome."})
    without = machine("tools", "select", "Now do it", "--store", store)
    conditioned = machine("tools", "select", "Now do it", "--store", store, "--history", file)
    assert conditioned["candidates"][0]["name"] == "book_flight"
    assert conditioned["confidence"] != without["confidence"]


def test_tools_called_in_the_conversation_are_read_and_told(store: Path, tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "book_flight", "arguments": "{}"}}
    said = [{"role": "user", "content": "Book it."}, {"role": "assistant", "tool_calls": [call]}]
    history = ("--history", write(tmp_path / "said.jsonl", *said))
    assert machine("tools", "select", TURIN, "--store", store)["called"] == []
    found = machine("tools", "select", TURIN, "--store", store, *history)
    assert found["called"] == ["book_flight"]
    assert "called" in found["candidates"][0]["terms"]


def test_an_explanation_names_the_losers_and_the_margin(store: Path) -> None:
    found = machine("tools", "explain", TURIN, "--store", store, "-k", 2)
    chosen = [match["name"] for match in found["selection"]["matches"]]
    losers = [match["name"] for match in found["losers"]]
    assert chosen[0] == "get_weather"
    assert losers
    assert not set(chosen) & set(losers)
    text = printed("tools", "explain", TURIN, "--store", store, "-k", 2)
    assert "get_weather" in text
    assert losers[0] in text


RAIN = ["Is it raining in Oslo?", "Do I need an umbrella?", "How windy is it?", "Will it snow?"]


def taught(store: Path, place: Path) -> dict[str, Any]:
    file = write(place / "examples.json", {"get_weather": RAIN})
    lesson: dict[str, Any] = machine("tools", "examples", file, "--store", store, "--by", "ada")
    return lesson


def test_examples_are_learnt_and_listed(own_store: Path, tmp_path: Path) -> None:
    lesson = taught(own_store, tmp_path)
    assert (lesson["kind"], lesson["observations"], lesson["applied"]) == ("examples", 4, True)
    assert (lesson["tools"], lesson["by"]) == (["get_weather"], "ada")
    query = "Should I carry an umbrella?"
    found = machine("tools", "select", query, "--store", own_store, "--explain")
    assert found["examples_version"] > 0
    examples = found["matches"][0]["evidence"]["examples"]
    assert examples[0][0] == "Do I need an umbrella?"
    text = printed("tools", "history", "--store", own_store)
    assert lesson["id"] in text
    assert "4 observations, of get_weather, by ada" in text


def test_feedback_is_a_lesson(own_store: Path) -> None:
    store = ("--store", own_store)
    given = ("--used", "get_weather", "--failed", "--by", "bo")
    lesson = machine("tools", "feedback", TURIN, *given, *store)
    assert (lesson["kind"], lesson["by"]) == ("feedback", "bo")
    assert "get_weather" in lesson["tools"]
    text = printed("tools", "feedback", POETRY, "--none", *store)
    assert "feedback" in text
    assert len(machine("tools", "history", *store)) == 2
    assert len(machine("tools", "history", *store, "--limit", 1)) == 1


@pytest.mark.parametrize("options", [[], ["--used", "get_weather", "--none"]])
def test_feedback_names_a_tool_or_says_that_none_fits(store: Path, options: list[str]) -> None:
    result = run("tools", "feedback", TURIN, *options, "--store", store)
    assert result.exit_code == 2


def test_a_revert_undoes_what_came_after_and_can_be_shown_first(
    own_store: Path, tmp_path: Path
) -> None:
    store = ("--store", own_store)
    first = taught(own_store, tmp_path)
    machine("tools", "feedback", "Wake me at six", "--used", "set_alarm", *store)

    def active() -> list[str]:
        lessons = machine("tools", "history", *store)
        return [one["kind"] for one in lessons if one["active"] and one["kind"] != "revert"]

    assert machine("tools", "revert", first["id"], "--dry-run", *store)["dry_run"]
    assert "Nothing was undone." in printed("tools", "revert", first["id"], "--dry-run", *store)
    assert sorted(active()) == ["examples", "feedback"]
    assert machine("tools", "revert", first["id"], *store)["reverted_to"] == first["id"]
    assert active() == ["examples"]
    printed("tools", "revert", "--everything", *store)
    assert active() == []
    assert "reverted" in printed("tools", "history", *store)


@pytest.mark.parametrize("options", [[], ["0190", "--everything"]])
def test_a_revert_names_a_lesson_or_everything(store: Path, options: list[str]) -> None:
    assert run("tools", "revert", *options, "--store", store).exit_code == 2


def test_no_lessons_are_said(store: Path) -> None:
    assert printed("tools", "history", "--store", store) == "No lessons.\n"


def labelled(place: Path) -> Path:
    rain = [{"query": f"Weather forecast of city {n}", "tools": ["get_weather"]} for n in range(15)]
    mail = [{"query": f"Email person {n}", "tools": "send_email"} for n in range(15)]
    none = [{"query": f"{POETRY} {n}", "tools": []} for n in range(6)]
    return write(place / "labelled.jsonl", *rain, *mail, *none)


def test_a_calibration_states_its_bound_and_is_remembered(own_store: Path, tmp_path: Path) -> None:
    store = ("--store", own_store)
    default = machine("tools", "calibrate", *store)
    assert (default["queries"], default["at"]) == (0, None)
    fitted = machine("tools", "calibrate", labelled(tmp_path), "--alpha", "0.2", *store)
    assert (fitted["queries"], fitted["unanswerable"], fitted["alpha"]) == (30, 6, 0.2)
    assert fitted["valid"]
    assert machine("tools", "calibrate", *store)["threshold"] == fitted["threshold"]
    text = " ".join(printed("tools", "calibrate", *store).split())
    assert f"at most {fitted['upper_bound']:.1%} (with 95 % confidence)" in text
    assert machine("tools", "select", TURIN, *store)["calibrated"]


def test_lint_reports_what_to_repair(tmp_path: Path) -> None:
    twin = {**WEATHER, "name": "fetch_weather"}
    file = write(tmp_path / "tools.json", [WEATHER, twin, plain("vague", "", x="")])
    store = ("--store", tmp_path / "store")
    printed("tools", "register", file, *store)
    report = machine("tools", "lint", *store)
    assert report["tools"] == 3
    assert {report["collisions"][0]["first"], report["collisions"][0]["second"]} == {
        "get_weather",
        "fetch_weather",
    }
    assert "vague" in {issue["tool"] for issue in report["issues"]}
    text = printed("tools", "lint", *store)
    assert "Too much alike (1)" in text
    assert "vague" in text


def test_lint_fails_only_where_it_is_to_and_there_is_something(store: Path, tmp_path: Path) -> None:
    assert run("tools", "lint", "--strict", "--store", store).exit_code == 0
    other = ("--store", tmp_path / "store")
    printed("tools", "register", write(tmp_path / "bad.json", plain("vague", "")), *other)
    assert run("tools", "lint", *other).exit_code == 0
    strict = run("tools", "lint", "--strict", "--json", *other)
    assert strict.exit_code == 1
    assert json.loads(strict.stdout)["issues"]


def test_a_store_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    result = run("tools", "select", TURIN, "--store", tmp_path / "none")
    assert result.exit_code == 1
    assert "`agentmem tools register` makes one" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        (["--k", "0"], "InvalidInput", 1),
        (["--k", "some"], "UsageError", 2),
        (["--where", '{"role": "user"}'], "InvalidInput", 1),
        (["--where", "[1]"], "UsageError", 2),
        (["--history", "absent.json"], "InvalidInput", 1),
        (["--schemas", "yaml"], "UsageError", 2),
        (["--max-tokens", "0"], "InvalidInput", 1),
    ],
)
def test_an_error_is_json_where_results_are(
    store: Path, options: list[str], kind: str, code: int
) -> None:
    result = run("tools", "select", TURIN, "--store", store, *options, "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert json.loads(result.stderr)["error"]["type"] == kind


def test_a_memory_and_its_tools_share_a_store(own_store: Path) -> None:
    printed("add", "I moved to Lisbon.", "--store", own_store, "--user", "ada", "--id", "m1")
    assert printed("get", "m1", "--store", own_store, "--user", "ada")
    assert listed(own_store) == NAMES


@pytest.fixture(scope="module")
def hostile_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    tool = {**plain("weather", f"Weather {HOSTILE}", city=HOSTILE), "x": HOSTILE}
    file = write(place / "tools.json", [tool, {**tool, "name": "weather2"}])
    options = ("--store", place / "store", "--namespace", f"n {HOSTILE}", "--tag", HOSTILE)
    assert run("tools", "register", file, *options).exit_code == 0
    return place / "store"


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["get", "weather", "--namespace", f"n {HOSTILE}"],
        ["get", f"absent {HOSTILE}", "--namespace", f"n {HOSTILE}"],
        ["select", f"weather {HOSTILE}"],
        ["select", f"weather {HOSTILE}", "--explain"],
        ["explain", f"weather {HOSTILE}"],
        ["remove", "weather", "--namespace", f"n {HOSTILE}", "--dry-run"],
        ["lint"],
    ],
    ids=lambda command: " ".join(command)[:20],
)
def test_what_was_registered_cannot_steer_the_terminal(
    hostile_store: Path, command: list[str]
) -> None:
    output = run("tools", *command, "--store", hostile_store).output
    assert not STEERING.search(output)
    assert "owned" in output.replace("\n", "").replace(" ", "")


def test_every_schema_format_can_be_chosen() -> None:
    assert tuple(one.value for one in FormatName) == get_args(SchemaFormat)


def test_a_process_prints_its_selection_and_no_noise(store: Path) -> None:
    done = process("tools", "select", TURIN, "--store", store, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["matches"][0]["name"] == "get_weather"


def test_a_router_is_measured_from_either_group(tmp_path: Path) -> None:
    write(tmp_path / "tools.jsonl", *TOOLS)
    write(tmp_path / "queries.jsonl", {"query": TURIN, "tools": ["get_weather"]})
    options = ("--dataset", "jsonl", tmp_path, "--k", "1", "--out", tmp_path / "report.json")
    by_tools = machine("tools", "eval", *options)
    by_eval = machine("eval", "router", *options)
    assert by_tools["systems"][0]["name"] == by_eval["systems"][0]["name"] == "agentmem"
    assert by_tools["ks"] == by_eval["ks"] == [1]
