"""The examples: each runs by itself, without a network, and prints what it is there to show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

SAID = {  # what the output of each is worth reading for
    "quickstart.py": [
        "Where does Ada live?\n  Ada: I moved to Lisbon in May",
        "Which food is dangerous for Ada?\n  Ada: Anything without hazelnuts",
        "tokens for the next prompt",
        "Ada: Third floor, no lift. Sill the cat hates the stairs.",
    ],
    "chat_with_memory.py": [
        "My sister Wilma had her baby this morning! Her name is Signe.\n",
        "Of course. And no hazelnuts on the way, I turned out to be allergic.\n",
        "The flat costs 1,380 euros a month and has a balcony with basil on it.\n",
        "more did not fit",
        "Stored now: 12 turns in 4 sessions.",
    ],
    "own_data.py": [
        "Imported 7 turns, set 1 aside:\n  line 4: not JSON",
        "Imported again: 0 new, 7 already there.",
        "Since March:\n  Can I pay by invoice instead of by card?",
        "Support on logins:\n  Your clock is an hour off; set it and try.\n\n",
        "Exported 7 turns; the copy is identical.",
    ],
    "trace_and_replay.py": [
        "Asked 'Where do I live?', 2 results in ",
        "identical: version 2 gives the same 2 results in the same order\n",
        "m2  gone\n",
        "m4 came in at 1: this turn is new\n",
        "m2 dropped out from 2: this turn was deleted\n",
    ],
    "drift_and_migration.py": [
        "On the first day\n  model: stable, least cosine of 80 canaries 1.00; 8 of 8 questions",
        "  hook: model, critical: everything moved far",
        "  model: drifted, least cosine of 80 canaries -0.14; ",
        "  done: 9 turns are in generation 2\n  these gates held: parity, space, poison, ",
        "Afterwards\n  model: stable, least cosine of 80 canaries 1.00; 8 of 8 questions",
        "drift events that stand: 0",
    ],
    "tool_agent.py": [
        "Registered 500 tools.\nAbstains below a confidence of ",
        "  called  billing_send_invoice\n",
        "User: Who wrote Middlemarch?\n  no tool: nothing fits: ",
        "User: Will I need an umbrella on Saturday as well?\n  offered weather_get_forecast, ",
        "8 messages: ",
        " tokens sent, 24",
    ],
}


def run(example: str, *, folder: Path) -> str:
    """Run an example as a reader does, elsewhere, and return what it printed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1", "TMPDIR": str(folder)}
    command = [sys.executable, "-W", "error", str(EXAMPLES / example)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("example", SAID)
def test_an_example_prints_what_it_promises_and_leaves_nothing_behind(
    example: str, tmp_path: Path
) -> None:
    printed = run(example, folder=tmp_path)
    assert [text for text in SAID[example] if text not in printed] == []
    left = {path.name.split("_")[0] for path in tmp_path.iterdir()}
    assert left <= {"data-gym-cache", "torchinductor"}  # caches of tiktoken and of torch


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAID)
