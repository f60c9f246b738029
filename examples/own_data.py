"""Your own data: import a file, search it by date and by filter, export it, compare the copy.

python examples/own_data.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from agentmem import Memory, field

TICKETS = [
    ("2025-01-14T09:12:00Z", "mira", "billing", "I was charged twice for December."),
    ("2025-01-14T09:30:00Z", "support", "billing", "Sorry! The second charge is refunded."),
    ("2025-02-03T11:02:00Z", "mira", "login", "The reset link says it has expired at once."),
    ("2025-02-03T11:20:00Z", "support", "login", "Your clock is an hour off; set it and try."),
    ("2025-03-21T16:45:00Z", "mira", "billing", "Can I pay by invoice instead of by card?"),
    ("2025-03-22T08:10:00Z", "support", "billing", "Yes, from ten seats on. How many have you?"),
    ("2025-03-22T08:31:00Z", "mira", "billing", "Fourteen. Please send it to the accountants."),
]


def write_file(path: Path) -> None:
    """Write the tickets as JSON lines, and one line that is broken."""
    messages = [
        {
            "id": f"ticket-{number}",
            "role": "assistant" if who == "support" else "user",
            "name": who,
            "content": text,
            "created_at": when,
            "session_id": topic,
            "metadata": {"topic": topic},
        }
        for number, (when, who, topic, text) in enumerate(TICKETS, start=1)
    ]
    lines = [json.dumps(message) for message in messages]
    path.write_text("\n".join([*lines[:3], '{"role": "user", ', *lines[3:]]), encoding="utf-8")


def load(memory: Memory, path: Path) -> None:
    """Import the file, and show what was set aside."""
    report = memory.import_turns(path, user_id="mira")
    print(f"Imported {report.stored} turns, set {report.rejected} aside:")
    for line in Path(report.rejects_path or "").read_text(encoding="utf-8").splitlines():
        reject = json.loads(line)
        print(f"  line {reject['line']}: {reject['error']}")
    again = memory.import_turns(path, user_id="mira")
    print(f"Imported again: {again.stored} new, {again.unchanged} already there.")


def ask(memory: Memory) -> None:
    """Ask with a date and with filters; both act before the ranking."""
    spring = memory.search("How will Mira pay?", user_id="mira", since="2025-03-01T00:00:00Z", k=2)
    print("\nSince March:", *(hit.turn.content for hit in spring), sep="\n  ")
    answers = (field("metadata.topic") == "login") & (field("role") == "assistant")
    solved = memory.search("What was the solution?", user_id="mira", where=answers)
    print("Support on logins:", *(hit.turn.content for hit in solved), sep="\n  ")


def main() -> None:
    """Import, ask, export, and compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_file(folder / "tickets.jsonl")
        with Memory.open(folder / "one.mem") as one, Memory.open(folder / "two.mem") as two:
            load(one, folder / "tickets.jsonl")
            ask(one)
            written = one.export(folder / "all.parquet", user_id="mira")
            two.import_turns(folder / "all.parquet")
            same = two.turns(user_id="mira") == one.turns(user_id="mira")
            print(
                f"\nExported {written} turns; the copy is {'identical' if same else 'different'}."
            )


if __name__ == "__main__":
    main()
