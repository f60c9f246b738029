"""A chat loop with a memory: each message gets a context within a token budget, then is stored.

The assistant is scripted, so that everything here runs without a language model. Put the call of
yours where `reply` is; nothing else changes.

python examples/chat_with_memory.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from agentmem import Context, Memory

BUDGET = 60  # tokens of each prompt that memories may take

PAST = [
    ("2025-03-12", "My sister Wilma had her baby this morning! Her name is Signe."),
    ("2025-03-12", "Congratulations! Is everybody well?"),
    ("2025-04-02", "I am moving to Lisbon in May. The office in Porto was cancelled."),
    ("2025-04-02", "A big change. Does Sill the cat come along?"),
    ("2025-04-02", "Of course. And no hazelnuts on the way, I turned out to be allergic."),
    ("2025-05-20", "The flat costs 1,380 euros a month and has a balcony with basil on it."),
]
TODAY = {
    "What is my sister's baby called?": "Signe. She was born on 12 March.",
    "Which nuts am I allergic to?": "Hazelnuts. You told me before the move.",
    "How many euros do I pay for my flat?": "1,380 a month.",
}


def reply(message: str, *, system: str) -> str:
    """Stand in for a language model, which would read the memories in its system prompt."""
    return TODAY[message] if "[20" in system else "I do not remember anything."


def past() -> list[dict[str, str]]:
    """Return earlier conversations as messages, one session a month."""
    return [
        {
            "role": "assistant" if text.endswith("?") else "user",
            "content": text,
            "session_id": f"chat-{day[5:7]}",
            "created_at": f"{day}T18:{minute:02d}:00Z",
        }
        for minute, (day, text) in enumerate(PAST)
    ]


def show(context: Context) -> None:
    """Print what was remembered, and why."""
    print(f"  remembered {len(context.turns)} turns in {context.tokens} of {BUDGET} tokens")
    for hit in context.hits[:2]:
        why = ", ".join(f"{name} {value:+.1f}" for name, value in hit.terms.items())
        print(f"    {hit.score:5.1f} = {why}\n          {hit.turn.content}")
    if context.dropped:
        print(f"    {len(context.dropped)} more did not fit")


def main() -> None:
    """Talk to somebody who was here before."""
    with tempfile.TemporaryDirectory() as folder, Memory.open(Path(folder) / "chat.mem") as store:
        memory = store.scoped(user_id="ada")  # nothing below can reach another user
        memory.add(past())
        for message in TODAY:
            print(f"\nUser: {message}")
            context = memory.context(message, max_tokens=BUDGET)
            show(context)
            answer = reply(message, system=f"What you remember:\n{context.text}")
            print(f"Assistant: {answer}")
            said = [("user", message), ("assistant", answer)]  # found from the next message on
            memory.add([{"role": r, "content": c} for r, c in said], session_id="today")
        print(f"\nStored now: {memory.count()} turns in {len(memory.sessions())} sessions.")


if __name__ == "__main__":
    main()
