"""The commands `agentmem drift` and `agentmem passport`, with a small model on real stores."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from shutil import copytree
from typing import Any, get_args

import numpy as np
import pytest
from driftreport_tools import finding, report_of
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from agentmem import Memory, SentenceTransformerEmbedder, ToolRouter
from agentmem.cli.app import app
from agentmem.cli.drift.checking import FailOn
from agentmem.cli.drift.options import KindName, SubjectName
from agentmem.cli.drift.render import SHOWN, reports_block, stale_block
from agentmem.cli.render import make_console
from agentmem.embedding.passports import passport_from_json
from agentmem.storage.canaries import ensure_canaries
from agentmem.storage.turns import Store
from agentmem.types import DriftKind, DriftSubject, Kind, Passport, Severity, StaleText

STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
HOSTILE = "\x1b[2J [red]bold[/red] \u202etxt"


class Swapped:
    """A model, but for its vectors: what a silent swap behind a name looks like."""

    def __init__(self, inner: SentenceTransformerEmbedder) -> None:
        self._inner = inner

    @property
    def passport(self) -> Passport:
        return self._inner.passport

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        return np.roll(self._inner.embed(texts, kind=kind), 1, axis=1)

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        return self._inner.split(texts, prefixes=prefixes)


@pytest.fixture(autouse=True)
def model(tiny_transformer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have every command use a model that embeds all canaries in a moment."""
    monkeypatch.setenv("AGENTMEM_MODEL", str(tiny_transformer))
    return tiny_transformer


@pytest.fixture(scope="module")
def tiny(tiny_transformer: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(str(tiny_transformer), device="cpu")


def run(*arguments: object, **environment: str) -> Result:
    variables: dict[str, str | None] = {"COLUMNS": "80", "AGENTMEM_STORE": None, **environment}
    return CliRunner().invoke(app, [str(one) for one in arguments], env=variables)


def printed(*arguments: object, code: int = 0, **environment: str) -> str:
    result = run(*arguments, **environment)
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def machine(*arguments: object, code: int = 0) -> Any:
    stdout = printed(*arguments, "--json", code=code)
    assert stdout.isascii()
    return json.loads(stdout)


def refused(*arguments: object, code: int) -> str:
    """Give what is said to a command that fails."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def turn(number: int) -> dict[str, str]:
    return {"role": "user", "content": f"I saw {number} cats.", "id": f"t{number}"}


def canaries(store: Path, *, embedder: Any) -> None:
    """Have a store keep an embedder's canaries, if it keeps none."""
    with_canaries = Store.open(store, passport=None, create=False)
    ensure_canaries(with_canaries.watching.canaries, embedder)
    with_canaries.close()


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, tiny: SentenceTransformerEmbedder
) -> dict[str, Path]:
    """Give stores that tests copy: an ordinary one, one whose model was swapped, one of tools."""
    folder = tmp_path_factory.mktemp("stores")
    stores = {name: folder / f"{name}.mem" for name in ("plain", "swapped", "tools")}
    for name, embedder in (("plain", tiny), ("swapped", Swapped(tiny))):
        with Memory.open(stores[name], embedder=embedder) as memory:
            memory.add([turn(1), turn(2)], user_id="ada")
        canaries(stores[name], embedder=embedder)
    with ToolRouter.open(stores["tools"], embedder=tiny) as router:
        router.register([{"name": "weather", "description": "Tomorrow's weather in a town."}])
    canaries(stores["tools"], embedder=tiny)
    return stores


@pytest.fixture
def plain(made: dict[str, Path], tmp_path: Path) -> Path:
    return Path(copytree(made["plain"], tmp_path / "plain.mem"))


@pytest.fixture
def swapped(made: dict[str, Path], tmp_path: Path) -> Path:
    return Path(copytree(made["swapped"], tmp_path / "swapped.mem"))


@pytest.fixture
def tools(made: dict[str, Path], tmp_path: Path) -> Path:
    return Path(copytree(made["tools"], tmp_path / "tools.mem"))


def test_the_values_of_the_options_are_those_of_the_types() -> None:
    assert tuple(one.value for one in KindName) == get_args(DriftKind)
    assert tuple(one.value for one in SubjectName) == get_args(DriftSubject)
    assert tuple(one.value for one in FailOn) == get_args(Severity)[1:]


def test_a_passport_is_shown_without_a_model_and_reads_back(
    plain: Path, tiny: SentenceTransformerEmbedder
) -> None:
    form = machine("passport", "show", "--store", plain)
    with Memory.open(plain, embedder=tiny, read_only=True) as memory:
        assert passport_from_json(form) == memory.passport
    text = printed("passport", "show", "--store", plain)
    assert re.search(r"^generation +1 *$", text, re.MULTILINE)
    assert re.search(r"^dimension +16 *$", text, re.MULTILINE)
    assert re.search(r"^revision +– *$", text, re.MULTILINE)
    assert text == printed("passport", "show", AGENTMEM_STORE=str(plain))


def test_equal_passports_have_no_difference(plain: Path, tools: Path) -> None:
    assert printed("passport", "diff", "--store", plain).startswith("No difference: both are ")
    told = machine("passport", "diff", "--store", plain, "--other", tools)
    assert (told["comparable"], told["differences"]) == (True, [])
    assert told["stored"] == told["given"]


def test_differences_are_told_field_by_field(plain: Path) -> None:
    other = "all-MiniLM-L6-v2"
    told = machine("passport", "diff", "--store", plain, "--model", other)
    fields = {one["field"]: one for one in told["differences"]}
    assert not told["comparable"]
    assert (fields["dimension"]["stored"], fields["dimension"]["given"]) == (16, 384)
    assert fields["query_prompt"]["stored"] == "the cat "
    text = printed("passport", "diff", "--store", plain, "--model", other)
    lines = [line.rstrip() for line in text.splitlines()]
    place = lines.index("dimension  incomparable")
    assert lines[place + 1 : place + 3] == ["  stored  16", "  given   384"]
    assert lines[place + 3].startswith("  means   vectors of different length")
    assert "window  comparable" in lines
    assert '  given   ""' in lines


def test_verify_passes_the_model_that_made_the_store(plain: Path, tools: Path) -> None:
    text = printed("passport", "verify", "--store", plain)
    assert text.startswith("The passports are the same.\nCanaries: same, the least cosine is ")
    assert text.endswith("Verdict: same.\n")
    told = machine("passport", "verify", "--store", tools)
    assert (told["verdict"], told["canaries"]["verdict"]) == ("same", "same")
    assert told["canaries"]["minimum"] > 0.9999


def test_verify_catches_a_model_that_was_swapped_behind_its_name(swapped: Path) -> None:
    assert "Verdict: other." in printed("passport", "verify", "--store", swapped, code=1)
    told = machine("passport", "verify", "--store", swapped, code=1)
    assert (told["verdict"], told["differences"]) == ("other", [])
    assert told["canaries"]["minimum"] < 0.5


def test_verify_says_where_a_store_keeps_no_canaries(
    tmp_path: Path, tiny: SentenceTransformerEmbedder
) -> None:
    Store.open(tmp_path / "new.mem", passport=tiny.passport).close()
    assert "No canaries:" in printed("passport", "verify", "--store", tmp_path / "new.mem")
    told = machine("passport", "verify", "--store", tmp_path / "new.mem")
    assert (told["verdict"], told["canaries"]) == ("same", None)


def test_verify_tells_another_model_from_a_check_that_could_not_be_made(
    plain: Path, tmp_path: Path
) -> None:
    told = machine("passport", "verify", "--store", plain, "--model", "all-MiniLM-L6-v2", code=1)
    assert (told["verdict"], told["comparable"], told["canaries"]) == ("other", False, None)
    text = printed("passport", "verify", "--store", plain, "--model", "all-MiniLM-L6-v2", code=1)
    assert "Canaries: not embedded" in text
    assert "there is no store" in refused(
        "passport", "verify", "--store", tmp_path / "none", code=2
    )
    assert refused("passport", "verify", "--store", plain, "--model", tmp_path / "no model", code=2)


def test_a_small_difference_is_a_warning(tmp_path: Path, tiny: SentenceTransformerEmbedder) -> None:
    earlier = replace(tiny.passport, chunker="overlap-v0")
    Store.open(tmp_path / "old.mem", passport=earlier).close()
    told = machine("passport", "verify", "--store", tmp_path / "old.mem")
    assert (told["verdict"], told["comparable"]) == ("warn", True)


def test_an_ordinary_store_is_stable(plain: Path) -> None:
    text = printed("drift", "check", "--store", plain, "--kind", "model", "--kind", "texts")
    assert re.search(r"^model +stable +\d", text, re.MULTILINE)
    assert "Stable: model, texts." in text
    (told,) = machine("drift", "check", "--store", plain)
    assert [one["kind"] for one in told["findings"]] == list(get_args(DriftKind))
    assert not told["drifted"]
    assert told["subject"] == "memory"
    assert "evidence" not in told["findings"][0]
    assert printed("drift", "events", "--store", plain) == "No events.\n"


def test_a_swapped_model_fails_a_scheduled_check(swapped: Path) -> None:
    text = printed("drift", "check", "--store", swapped, "--kind", "model", code=1)
    assert re.search(r"^model +drifted, critical ", text, re.MULTILINE)
    assert re.search(r"^model:\n  The model gives other vectors", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80
    (told,) = machine("drift", "check", "--store", swapped, "--fail-on", "critical", code=1)
    assert told["drifted"]
    assert told["events"] == []  # the first check had it


def test_an_event_is_listed_until_it_is_over_and_acknowledged_by_its_id(swapped: Path) -> None:
    printed("drift", "check", "--store", swapped, code=1)
    (event,) = machine("drift", "events", "--store", swapped)
    assert (event["kind"], event["severity"], event["store"]) == ("model", "critical", str(swapped))
    text = printed("drift", "events", "--store", swapped)
    assert text.startswith(event["id"])
    assert max(map(len, text.splitlines())) <= 80
    said = printed("drift", "acknowledge", event["id"], "--store", swapped)
    assert said.startswith("Acknowledged: memory, model, found 20")
    assert machine("drift", "acknowledge", event["id"], "--store", swapped)["id"] == event["id"]
    assert len(machine("drift", "events", "--store", swapped, "--all")) == 1
    assert "there is no drift event" in refused(
        "drift", "acknowledge", "x", "--store", swapped, code=1
    )


def test_the_baseline_is_moved_only_when_asked_in_earnest(
    plain: Path, tiny: SentenceTransformerEmbedder
) -> None:
    machine("drift", "check", "--store", plain)
    would = machine("drift", "rebase", "--store", plain, "--dry-run")
    assert would == {"dry_run": True, "over": {"memory": []}}
    said = printed("drift", "rebase", "--store", plain)
    assert said == "memory: today is the baseline; no events are over.\n"
    with Memory.open(plain, embedder=tiny) as memory:
        assert len(memory.drift.history()) == len(get_args(DriftKind))


def test_a_store_of_tools_is_checked_as_a_router(tools: Path) -> None:
    (told,) = machine("drift", "check", "--store", tools, "--kind", "texts")
    assert told["subject"] == "router"
    (asked,) = machine("drift", "check", "--store", tools, "--kind", "model", "--of", "memory")
    assert asked["subject"] == "memory"


def test_a_store_of_both_is_checked_as_both(plain: Path, tiny: SentenceTransformerEmbedder) -> None:
    with ToolRouter.open(plain, embedder=tiny) as router:
        router.register([{"name": "weather", "description": "Tomorrow's weather in a town."}])
    told = machine("drift", "check", "--store", plain, "--kind", "model")
    assert [one["subject"] for one in told] == ["memory", "router"]
    text = printed("drift", "check", "--store", plain, "--kind", "model")
    assert "Memory, generation 1" in text
    assert "Router, generation 1" in text
    only = machine("drift", "check", "--store", plain, "--kind", "model", "--of", "router")
    assert [one["subject"] for one in only] == ["router"]


def test_stale_texts_are_listed_and_embedded_anew(plain: Path) -> None:
    assert printed("drift", "stale", "--store", plain) == "No stale texts.\n"
    assert machine("drift", "stale", "--store", plain) == []
    spoil(plain)
    (stale,) = machine("drift", "stale", "--store", plain)
    assert (stale["id"], stale["reason"]) == ("t1", "space")
    text = printed("drift", "stale", "--store", plain)
    assert "another model made its vector" in " ".join(text.split())
    would = printed("drift", "reembed", "--store", plain, "--dry-run")
    assert would == "memory: 1 text would be embedded anew.\n"
    assert len(machine("drift", "stale", "--store", plain)) == 1
    done = machine("drift", "reembed", "--store", plain, "--limit", "5")
    assert done["memory"]["embedded"] == 1
    assert machine("drift", "stale", "--store", plain) == []


def spoil(store: Path) -> None:
    """Mark a turn as embedded by another model."""
    from lancedb import connect

    table = connect(str(store)).open_table("turns_g1")
    table.update(where="id = 't1'", values={"passport": "0" * 16})


def test_a_report_is_written_as_its_name_says(plain: Path, tmp_path: Path) -> None:
    page = tmp_path / "drift.html"
    said = printed("drift", "report", "--store", plain, "--out", page)
    assert said == f"{page}: nothing drifted.\n"
    text = page.read_text(encoding="utf-8")
    for words in ("The canaries", "Cosines of 80 fixed texts", ">long</bdi>", ">turns</bdi>"):
        assert words in text
    assert "default-src 'none'" in text
    told = machine("drift", "report", "--store", plain, "--out", tmp_path / "drift.json")
    assert told["drifted"] == {"memory": []}
    data = json.loads((tmp_path / "drift.json").read_text(encoding="utf-8"))
    assert len(data["reports"][0]["findings"][0]["evidence"]["documents"]) == 64
    assert len(data["history"]) == 2 * len(get_args(DriftKind))
    printed("drift", "report", "--store", plain, "--kind", "model", "--out", tmp_path / "drift.png")
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_names_what_drifted(swapped: Path, tmp_path: Path) -> None:
    out = tmp_path / "drift.html"
    said = printed("drift", "report", "--store", swapped, "--kind", "model", "--out", out)
    assert said == f"{out}: memory: model drifted.\n"
    assert "drifted, critical" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["drift", "check", "--store", "none.mem"], 2, "there is no store"),
        (["drift", "check", "--store", "none.mem", "--json"], 2, '"type": "StoreNotFound"'),
        (["drift", "check", "--store", "x", "--kind", "weather"], 2, "weather"),
        (["drift", "check", "--store", "x", "--fail-on", "info"], 2, "info"),
        (["drift", "check", "--store", "x", "--of", "agent"], 2, "agent"),
        (["drift", "events", "--store", "none.mem"], 1, "there is no store"),
        (["drift", "acknowledge", "--store", "none.mem"], 2, "ID"),
        (["drift", "rebase", "--store", "none.mem"], 1, "there is no store"),
        (["drift", "reembed", "--store", "none.mem", "--limit", "0"], 2, "--limit"),
        (["drift", "report", "--store", "none.mem", "--out", "drift.pdf"], 1, ".html for a page"),
        (
            ["drift", "report", "--store", "none.mem", "--out", "no/where.html"],
            2,
            "there is no folder",
        ),
        (["drift", "report", "--store", "none.mem", "--out", "drift.html"], 1, "there is no store"),
        (["passport", "show", "--store", "none.mem"], 1, "there is no store"),
        (
            ["passport", "diff", "--store", "x", "--other", "y", "--model", "z"],
            2,
            "either --model or --other",
        ),
        (["passport", "verify", "--store", "none.mem", "--json"], 2, '"type": "StoreNotFound"'),
    ],
)
def test_wrong_input_is_told_with_its_exit_code(
    arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(*arguments, code=code)
    assert not list(tmp_path.iterdir())


def test_a_store_of_another_model_cannot_be_checked_and_says_why(plain: Path) -> None:
    said = refused("drift", "check", "--store", plain, "--model", "all-MiniLM-L6-v2", code=2)
    assert "written by another embedder" in said


def shown(block: Any) -> str:
    console = make_console()
    console.width = 80
    with console.capture() as captured:
        console.print(block)
    return captured.get()


def test_texts_of_a_store_steer_no_terminal() -> None:
    told = {"meaning": HOSTILE, "advice": HOSTILE, "status": "drifted", "severity": "warning"}
    text = shown(reports_block([report_of(finding("texts", **told), store=HOSTILE)]))
    assert "[red]bold[/red]" in text
    assert not STEERING.search(text)
    stale = StaleText(held="turns", key="k", id=HOSTILE, source=HOSTILE, reason="failed", churn=0.5)
    text = shown(stale_block([stale] * (SHOWN + 1)))
    assert not STEERING.search(text)
    assert f"{SHOWN + 1} in all" in text


def test_a_moment_of_an_event_is_in_universal_time(swapped: Path) -> None:
    before = datetime.now(timezone.utc)
    printed("drift", "check", "--store", swapped, "--kind", "model", code=1)
    (event,) = machine("drift", "events", "--store", swapped)
    at = datetime.fromisoformat(event["at"])
    assert at.utcoffset() == timezone.utc.utcoffset(None)
    assert before <= at <= datetime.now(timezone.utc)
