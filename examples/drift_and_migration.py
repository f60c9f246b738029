"""A silent model swap is caught, told, and repaired without stopping.

A service exchanges the model behind an address. Its name stays, so the passport stays; stored
texts and new questions are in different spaces from then on. Canaries show it, a hook hears of
it and has everything embedded anew, and searches go on meanwhile.

python examples/drift_and_migration.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Queue

import numpy as np
from numpy.typing import NDArray

from agentmem import (
    CachedEmbedder,
    DriftEvent,
    Memory,
    Migration,
    Passport,
    SentenceTransformerEmbedder,
)
from agentmem.types import Kind

NOTES = {  # what is stored, and a question that shares no word with it
    "Sill sleeps on the balcony between two pots of basil.": "Where does my cat nap?",
    "My sister gave birth to a girl called Signe in March.": "Who is the new baby?",
    "The landlord wants 1,380 euros on the first of each month.": "How much rent is due?",
    "Hazelnuts make my throat swell.": "Am I allergic to any food?",
    "The dentist moved me to Thursday at half past nine.": "When is my medical appointment?",
    "The bread needs two hours to rise before it is baked.": "How long should dough rest?",
    "Bruno repaired the gearbox and asked for a bottle of wine.": "Who fixed that car?",
    "We fly to Oslo on Friday and come back a week later.": "What are our travel plans?",
}


class Service:
    """Stands for an embedding service: a name and an address, and who knows what behind them.

    Attributes:
        passport: What the service says of itself.
        was_exchanged: Whether another model answers by now.
    """

    def __init__(self) -> None:
        self.passport = Passport(provider="my-service", model="text-embed", dimension=384)
        self.was_exchanged = False
        self._model = SentenceTransformerEmbedder(device="cpu")

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Return vectors; the other model is as good as this one, in a space of its own."""
        rows = self._model.embed(texts, kind=kind)
        return rows[:, ::-1].copy() if self.was_exchanged else rows

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split long texts as the model's tokenizer does."""
        return self._model.split(texts, prefixes=prefixes)


def found(memory: Memory) -> str:
    """Say how many questions find their note first."""
    best = [memory.search(question, user_id="ada", k=1)[0] for question in NOTES.values()]
    right = sum(hit.turn.content == note for hit, note in zip(best, NOTES, strict=True))
    return f"{right} of {len(NOTES)} questions find their note"


def look(memory: Memory) -> None:
    """Check the model, and print what came out."""
    (finding,) = memory.drift.check("model").findings
    print(f"  model: {finding.status}, least cosine of {finding.samples[1]} canaries ", end="")
    print(f"{finding.statistic:.2f}; {found(memory)}")


def main() -> None:
    """Exchange the model behind a service, and let a hook repair the store."""
    service = Service()
    fresh = CachedEmbedder(service, max_bytes=0)  # every question is asked of the service anew
    moves: Queue[Migration] = Queue()
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory.open(Path(folder) / "ada.mem", embedder=fresh) as memory,
    ):

        @memory.on_drift(kind="model", severity="critical")
        def repair(event: DriftEvent) -> None:
            print(f"  hook: {event.kind}, {event.severity}: {event.detail['reason']}")
            print(f"  hook: {event.recommendation} away from generation {event.generation}")
            moves.put(memory.migrate(service, background=True, reembed=True))

        memory.add(list(NOTES), user_id="ada")
        print("On the first day")
        look(memory)

        service.was_exchanged = True
        print("\nThe service exchanges its model, and tells nobody")
        look(memory)
        meanwhile(memory, moves.get())

        print("\nAfterwards")
        look(memory)
        print(f"  drift events that stand: {len(memory.drift.events())}")


def meanwhile(memory: Memory, migration: Migration) -> None:
    """Go on searching and adding while everything is embedded anew."""
    memory.add("This was said during the move.", user_id="ada")
    answered = 0
    while not (status := migration.status()).is_finished:
        answered += len(memory.search("What was said?", user_id="ada", k=1))
        time.sleep(0.1)
    migration.wait()  # raises what went wrong, if anything did
    print(f"  {answered} searches were answered meanwhile")
    print(f"  {status.state}: {status.done} turns are in generation {status.target}")
    print("  these gates held:", ", ".join(gate.name for gate in status.gates if gate.passed))


if __name__ == "__main__":
    main()
