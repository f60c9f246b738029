"""What people say in the store of the crash test: made up, of every length, the same every time."""

from __future__ import annotations

from random import Random
from typing import Any, Final

__all__ = ["fixed_texts", "message", "text"]

WHO: Final = ("my sister", "the plumber", "our landlord", "Dr. Okafor", "the team", "a neighbour")
DID: Final = ("called about", "is worried about", "finally fixed", "asked me to pay for", "forgot")
WHAT: Final = (
    *("the leaking tap", "the train to Bergen", "the quarterly report", "two kayaks", "the visa"),
    *("grandmother's recipe for plum cake", "the broken heating", "a piano teacher", "the fence"),
    *("the migration of the billing service", "our trip to Lisbon", "the allergy test", "the cat"),
)
WHEN: Final = (
    "yesterday",
    "in early May",
    "last winter",
    "at half past six",
    "before the holidays",
)
ASKED: Final = ("What should I do about {}?", "When did {} come up first?", "Who knows about {}?")
LONGEST: Final = 60  # sentences: twice the window of the model
LONG_SHARE: Final = 0.03


def sentence(rng: Random) -> str:
    """Return something that was said."""
    told = f"{rng.choice(WHO)} {rng.choice(DID)} {rng.choice(WHAT)} {rng.choice(WHEN)}"
    return f"{told[0].upper()}{told[1:]}, which came to {rng.randrange(9_000)} in all."


def text(rng: Random, *, tag: str) -> str:
    """Return the words of one turn: mostly short, some longer than the window of a model.

    Args:
        rng: Makes it.
        tag: A word that no other turn has.
    """
    if rng.random() < 0.1:
        return f"{tag}: {rng.choice(ASKED).format(rng.choice(WHAT))}"
    size = rng.randint(1, 4) if rng.random() > LONG_SHARE else rng.randint(12, LONGEST)
    return f"{tag}: " + " ".join(sentence(rng) for _ in range(size))


def message(rng: Random, *, turn_id: str, tag: str) -> dict[str, Any]:
    """Return one message with everything that a message may have."""
    said: dict[str, Any] = {"id": turn_id, "role": rng.choice(["user", "assistant"])}
    said["content"] = text(rng, tag=tag)
    said["created_at"] = f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T12:00:00Z"
    said["metadata"] = {"mood": rng.choice(["calm", "cross"]), "page": rng.randrange(99)}
    if rng.random() < 0.05:
        said["importance"] = round(rng.random(), 2)
    if rng.random() < 0.05:
        picture = {
            "type": "image",
            "url": f"https://example.org/{tag}.png",
            "caption": sentence(rng),
        }
        said["attachments"] = [picture]
    return said


def fixed_texts(count: int) -> list[str]:
    """Return texts that are told apart by their own words, and never change."""
    rng = Random(7)
    return [f"keepsake{n}: {sentence(rng)}" for n in range(count)]
