"""Ask why a memory answered as it did, days later: python examples/trace_and_replay.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agentmem import Memory, Replay
from agentmem.telemetry import record
from agentmem.traces import open_traces

BEFORE = [
    {"id": "m1", "role": "user", "content": "I moved to Lisbon in May, for the new office."},
    {"id": "m2", "role": "user", "content": "Third floor, no lift. The cat hates the stairs."},
    {"id": "m3", "role": "user", "content": "The office in Lisbon closes at six."},
]
AFTER = {"id": "m4", "role": "user", "content": "I live in Porto now, near the bridge."}
QUESTION = "Where do I live?"


def main() -> None:
    """Record a search, change the memory, and run the search again as it was."""
    with tempfile.TemporaryDirectory() as folder:
        store, kept = Path(folder) / "ada.mem", Path(folder) / "traces"
        with Memory.open(store, capture_content=True) as memory:
            with record(kept):  # in an application: once, at the start, or to your own backend
                memory.add(BEFORE, user_id="ada")
                memory.search(QUESTION, user_id="ada", k=2)
            memory.add(AFTER, user_id="ada")
            memory.delete("m2", user_id="ada")

            traces = open_traces(kept)
            (span,) = traces.retrievals()
            print(f"Asked {span.query!r}, {span.results} results in {span.milliseconds:.0f} ms")
            tell(memory.replay(traces.record(span.span_id), now=True))


def tell(replay: Replay) -> None:
    """Print what came out, and what would today."""
    print(f"{replay.verdict}: {replay.reason}")
    for one in replay.replayed:
        print(f"  then  {one.score:5.2f}  {one.id}  {one.state}")
    for one in replay.now or ():
        print(f"  today {one.score:5.2f}  {one.id}")
    for change in replay.changes:
        print(f"  {change.id} {change.reason}")


if __name__ == "__main__":
    main()
