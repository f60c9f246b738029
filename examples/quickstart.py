"""Remember a conversation, ask about it, build a prompt from it: python examples/quickstart.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agentmem import Memory

CONVERSATION = [
    {"role": "user", "name": "Ada", "content": "I moved to Lisbon in May, for the new office."},
    {"role": "assistant", "content": "How is the new flat?"},
    {
        "role": "user",
        "name": "Ada",
        "content": "Third floor, no lift. Sill the cat hates the stairs.",
    },
    {"role": "assistant", "content": "Poor Sill. And what do you do about lunch down there?"},
    {"role": "user", "name": "Ada", "content": "Anything without hazelnuts, I'm allergic to them."},
]


def main() -> None:
    """Add five turns, search them, and pack a context."""
    with tempfile.TemporaryDirectory() as folder, Memory.open(Path(folder) / "ada.mem") as memory:
        memory.add(CONVERSATION, user_id="ada", session_id="monday")

        for question in ("Where does Ada live?", "Which food is dangerous for Ada?"):
            best = memory.search(question, user_id="ada", k=1)[0]
            print(f"{question}\n  {best.turn.speaker}: {best.turn.content}")

        context = memory.context("What does Ada's pet dislike?", user_id="ada", max_tokens=60)
        print(f"\nA context of {context.tokens} tokens for the next prompt:\n{context.text}")


if __name__ == "__main__":
    main()
