"""Drift through the public calls: the decorator, scoped handles, and a real model that changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from drift_tools import Changeable, Scripted, open_memory, open_router, scripted
from numpy.typing import NDArray

from agentmem import InvalidInput, Memory, NotFound, SentenceTransformerEmbedder
from agentmem.tokens import CallableCounter
from agentmem.types import DriftEvent, Kind, Passport


def test_the_decorator_takes_a_function_bare_or_with_what_it_wants(tmp_path: Path) -> None:
    seen: list[str] = []
    with open_memory(tmp_path) as memory:

        @memory.on_drift
        def everything(event: DriftEvent) -> None:
            seen.append(f"everything {event.kind}")

        @memory.on_drift(kind=["model", "texts"], severity="critical")
        async def worst(event: DriftEvent) -> None:
            seen.append(f"worst {event.kind}")

        assert callable(everything)
        assert callable(worst)
        assert [one.function for one in memory.drift.hooks] == [everything, worst]
        checks = (Scripted("content"), Scripted("model", severity="critical"))
        scripted(memory.drift, *checks).check()
        assert sorted(seen) == ["everything content", "everything model", "worst model"]
        assert memory.drift.hooks.remove(everything)
        with pytest.raises(InvalidInput, match="is no function"):
            memory.on_drift("no function")  # type: ignore[call-overload]
        with pytest.raises(InvalidInput, match="severity='loud'"):
            memory.on_drift(severity="loud")(worst)  # type: ignore[call-overload]


def test_a_handle_that_is_bound_to_a_scope_has_no_drift(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        scoped = memory.scoped(user_id="ada")
        with pytest.raises(InvalidInput, match="whole store"):
            _ = scoped.drift
        with pytest.raises(InvalidInput, match="whole store"):
            scoped.on_drift(print)


def test_handles_on_one_store_share_its_drift(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, open_router(tmp_path) as router:
        assert memory.drift is memory.drift
        memory.add("I moved to Lisbon.", user_id="ada")
        assert len(memory.drift.check().findings) == len(router.drift.check().findings) == 7


def test_an_event_that_is_not_there_cannot_be_acknowledged(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        with pytest.raises(NotFound, match="no drift event 'e1'"):
            memory.drift.acknowledge("e1")
        with pytest.raises(InvalidInput):
            memory.drift.acknowledge("")


def test_drift_is_of_the_generation_in_force(tmp_path: Path) -> None:
    old, new = Changeable(64), Changeable(32)
    with open_memory(tmp_path, old) as memory:
        memory.add("I moved to Lisbon.", user_id="ada")
        old.is_another = True
        assert memory.drift.check("model").events[0].generation == 1
        memory.migrate(new, progress=False)
        report = memory.drift.check("model")
        assert (report.generation, report.drifted) == (2, False)
        assert report.passport == new.passport
        assert memory.drift.events() == []
        new.is_another = True
        assert memory.drift.check("model").events[0].generation == 2


class Cleaned:
    """MiniLM behind a service that began to strip punctuation, and says nothing of it."""

    def __init__(self, inner: SentenceTransformerEmbedder) -> None:
        self.inner = inner
        self.strips = False

    @property
    def passport(self) -> Passport:
        """Of the model, which is the same."""
        return self.inner.passport

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Embed what is left of the texts."""
        kept = ["".join(c for c in text if c.isalnum() or c == " ") for text in texts]
        return self.inner.embed(kept if self.strips else texts, kind=kind)

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        """Split texts as the model does."""
        return self.inner.split(texts, prefixes=prefixes)


def test_a_real_model_that_changes_silently_is_caught_hooked_and_repaired(
    tmp_path: Path, minilm: SentenceTransformerEmbedder
) -> None:
    service = Cleaned(minilm)
    seen: list[DriftEvent] = []
    counter = CallableCounter(len)
    with Memory.open(tmp_path, embedder=service, token_counter=counter) as memory:
        memory.on_drift(kind="model", severity="critical")(seen.append)
        memory.add(["I moved to Lisbon.", "The cat is called Tom."], user_id="ada")
        service.strips = True
        report = memory.drift.check("model")
        assert [one.id for one in seen] == [one.id for one in report.events]
        found = report.findings[0]
        assert found.statistic is not None
        assert found.statistic < 0.9
        assert found.detail["cause"] == "tokenizer"
        assert found.evidence["documents"].shape == (64,)
        assert found.evidence["queries"].shape == (16,)
        assert found.evidence["long_documents"].sum() == 16
        memory.migrate(service, reembed=True, progress=False)
        same = memory.drift.check("model").findings[0]
        assert same.status == "stable"
        assert same.statistic is not None
        assert same.statistic > 0.9999
        assert memory.drift.events() == []
        hit = memory.search("Where does Ada live?", user_id="ada", k=1)[0]
        assert hit.turn.content == "I moved to Lisbon."
