"""Every command with arguments that make it show something, over a store of hostile texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer
from typer.testing import CliRunner, Result

from agentmem import Tenants
from agentmem.cli.app import app
from agentmem.testing import HashEmbedder

__all__ = ["COMMANDS", "HOSTILE", "NAME", "Place", "filled", "leaves"]

HOSTILE: Final = (
    "owned \x1b[2J\x1b[31m\x1b]0;t\x07\x1b]8;;http://x\x1b\\link\x1b]52;c;aGk=\x07 \x9b31m\x9d0;t "
    "\x9c[red]b[/red] [link=http://x]l[/link] [/] \u202etxt\u2066\u2069\u200b\ufeff \r\x08\n"
    "ERROR   forged row\x7f\x85\u2028 <script>alert(1)</script><img src=x onerror=alert(1)> "
    "\"onmouseover='x' </style></title> ]]> &lt; | a | ![i](http://x/y.png) `c` javascript:x"
)
NAME: Final = f"id {HOSTILE}"
TOOL: Final = "get_weather"
TENANT: Final = "\x1b[2J\x9b31m\u202e\n[red]"  # whose folder's name is short enough
LONG: Final = "long " * 5_000

COMMANDS: Final[dict[str, tuple[str, ...]]] = {  # in an order in which what is there still is
    "demo": ("--store", "{place}/demo"),
    "search": (HOSTILE, "--all", "--explain"),
    "context": (HOSTILE, "--all"),
    "sessions": ("--all",),
    "turns": ("--all",),
    "get": (NAME, "--all"),
    "stats": (),
    "replay": ("{trace}", "--traces", "{place}/traces", "--now"),
    "add": (HOSTILE, "--user", HOSTILE, "--name", HOSTILE, "--id", f"added {HOSTILE}"),
    "import": ("{place}/said.jsonl", "--user", HOSTILE),
    "export": ("{place}/out.jsonl", "--all", "--overwrite"),
    "supersede": (f"old {HOSTILE}", HOSTILE, "--user", HOSTILE, "--id", f"new {HOSTILE}"),
    "update": (NAME, f"absent {HOSTILE}", "--user", HOSTILE, "--pin"),
    "delete": (f"old {HOSTILE}", f"absent {HOSTILE}", "--user", HOSTILE, "--dry-run"),
    "forget": ("erased", "--user", HOSTILE, "--reason", HOSTILE, "--by", HOSTILE, "--yes"),
    "receipts": (),
    "tools register": ("{place}/tools.json", "--namespace", HOSTILE, "--tag", HOSTILE),
    "tools examples": ("{place}/examples.json", "--namespace", HOSTILE, "--by", HOSTILE),
    "tools feedback": (HOSTILE, "--used", TOOL, "--namespace", HOSTILE, "--by", HOSTILE),
    "tools select": (HOSTILE, "--explain"),
    "tools explain": (HOSTILE,),
    "tools list": (),
    "tools get": (TOOL, "--namespace", HOSTILE),
    "tools history": (),
    "tools calibrate": (),
    "tools lint": (),
    "tools revert": (f"absent {HOSTILE}",),
    "tools sync": ("{place}/tools.json", "--namespace", f"other {HOSTILE}", "--yes"),
    "tools remove": (TOOL, "--namespace", HOSTILE, "--dry-run"),
    "tools eval": ("{place}/routing", "--dataset", "jsonl"),
    "traces list": ("--traces", "{place}/traces"),
    "traces show": ("{trace}", "--traces", "{place}/traces"),
    "traces report": ("--traces", "{place}/traces", "--out", "{place}/traces.html"),
    "traces label": (
        *("{span}", "--right", "--note", HOSTILE, "--by", HOSTILE, "--expected", NAME),
        *("--traces", "{place}/traces"),
    ),
    "traces labels": ("--traces", "{place}/traces"),
    "traces prune": ("--traces", "{place}/traces", "--user", HOSTILE, "--dry-run"),
    "passport show": (),
    "passport diff": (),
    "passport verify": (),
    "drift check": (),
    "drift report": ("--out", "{place}/drift.html"),
    "drift events": ("--all",),
    "drift acknowledge": (HOSTILE,),
    "drift rebase": (),
    "drift stale": (),
    "drift reembed": ("--dry-run",),
    "migrate": ("--to", HOSTILE, "--dry-run"),
    "migrate status": (),
    "migrate history": (),
    "migrate poisoned": (),
    "migrate pause": (),
    "migrate cancel": ("--yes",),
    "migrate rollback": ("--yes",),
    "migrate drop": ("--yes",),
    "snapshot make": ("tag", "--note", HOSTILE),
    "snapshot list": (),
    "snapshot drop": (HOSTILE, "--dry-run"),
    "snapshot restore": ("tag", "--dry-run"),
    "backup make": ("{place}/backups",),
    "backup verify": ("{place}/backups",),
    "backup restore": ("{place}/backups", "--id", HOSTILE, "--store", "{place}/back.mem"),
    "maintain": ("--dry-run",),
    "doctor": (),
    "audit": ("{place}/audit.jsonl",),
    "tenants list": ("{place}/tenants",),
    "tenants path": ("{place}/tenants", TENANT),
    "tenants delete": ("{place}/tenants", TENANT, "--yes"),
    "eval memory": ("{place}/own.jsonl", "--dataset", "jsonl", "--failures", "3"),
    "eval router": ("{place}/routing", "--dataset", "jsonl"),
    "eval forgetting": (),
}
STORELESS: Final = {
    *("demo", "backup verify", "backup restore", "eval forgetting", "eval memory"),
    *("audit", "tenants list", "tenants path", "tenants delete"),
    *("eval router", "tools eval", *(one for one in COMMANDS if one.startswith("traces"))),
}


def leaves(command: Any = None, *, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its name."""
    command = typer.main.get_command(app) if command is None else command
    below: dict[str, Any] = getattr(command, "commands", {})
    if not below or command.invoke_without_command:
        yield " ".join(path), command
    for name, one in below.items():
        yield from leaves(one, path=(*path, name))


class Place:
    """A folder with a store of hostile texts, and what the commands read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.span = self.trace = ""

    def run(self, name: str, *more: str, **environment: str) -> Result:
        """Run a command as the table has it."""
        known = {"{place}": str(self.folder), "{span}": self.span, "{trace}": self.trace}
        given = list(COMMANDS[name])
        for mark, value in known.items():
            given = [one.replace(mark, value) for one in given]
        store = [] if name in STORELESS else ["--store", str(self.folder / "store")]
        return self.invoke(*name.split(), *store, *more, *given, **environment)

    def invoke(self, *arguments: str, **environment: str) -> Result:
        """Run a command line in this process."""
        kept: dict[str, str | None] = {"COLUMNS": "100", "AGENTMEM_TRACES": None, **environment}
        return CliRunner().invoke(app, list(arguments), env=kept)


def filled(folder: Path) -> Place:
    """Put hostile texts wherever the command line takes any."""
    place = Place(folder)
    turn: dict[str, Any] = {
        "role": "user",
        "session_id": HOSTILE,
        "agent_id": HOSTILE,
        "name": HOSTILE,
    }
    turn |= {"metadata": {HOSTILE: [HOSTILE]}}
    turn |= {"attachments": [{"type": HOSTILE, "caption": HOSTILE, "url": HOSTILE}]}
    said = [
        {**turn, "id": NAME, "content": f"{HOSTILE}\0"},
        {**turn, "id": f"old {HOSTILE}", "content": f"{LONG} {HOSTILE}"},
        {**turn, "id": "erased", "content": "forget me"},
        {"role": HOSTILE, "content": "of no role"},
    ]
    _lines(folder / "said.jsonl", *said)
    parameters = {"type": "object", "properties": {HOSTILE: {"description": HOSTILE}}}
    tools = [
        {"name": one, "description": HOSTILE, "parameters": parameters}
        for one in (TOOL, "get_weather_too", "find")
    ]
    _lines(folder / "tools.json", *tools)
    _lines(folder / "examples.json", {TOOL: [HOSTILE, f"weather {HOSTILE}"]})
    (folder / "routing").mkdir()
    _lines(folder / "routing" / "tools.jsonl", *tools)
    _lines(folder / "routing" / "queries.jsonl", {"query": HOSTILE, "tools": ["find"]})
    question = {"question": HOSTILE, "gold": [HOSTILE], "category": HOSTILE}
    turns = [{"id": HOSTILE, "role": "user", "content": HOSTILE, "session_id": HOSTILE}]
    _lines(folder / "own.jsonl", {"id": HOSTILE, "messages": turns, "questions": [question]})
    traced = {
        "AGENTMEM_TRACES": str(folder / "traces"),
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
    }
    logged = {"AGENTMEM_AUDIT_LOG": str(folder / "audit.jsonl")}
    for name in ("import", "tools register"):
        done = place.run(name, **traced, **logged)
        assert done.exit_code == 0, done.output
    with (
        Tenants.open(folder / "tenants", embedder=HashEmbedder(128)) as tenants,
        tenants.memory(TENANT) as memory,
    ):
        memory.add(HOSTILE, user_id=HOSTILE)
    found = json.loads(place.run("search", "--json", **traced).stdout)
    place.span, place.trace = found["span_id"], found["trace_id"]
    (folder / "traces" / f"spans-{'x' * 3}\x1b[2J\u202e.parquet").write_bytes(b"no parquet")
    return place


def _lines(path: Path, *values: object) -> None:
    path.write_text("\n".join(map(json.dumps, values)) + "\n", encoding="utf-8")
