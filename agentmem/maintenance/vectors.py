"""The examinations of vectors: against the embedder, the canaries, and exact search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from agentmem.embedding.canaries import OTHER, compare, embed_canaries
from agentmem.errors import EmbeddingFailed
from agentmem.ingest import pieces_of
from agentmem.maintenance.patient import Patient, examples_of
from agentmem.storage.schema import key_of
from agentmem.storage.watching import DriftTables
from agentmem.types import ALL, Turn
from agentmem.types.maintenance import Examination, Verdict

__all__ = ["canaries", "indexes", "sampled"]

VERDICTS: Final[Mapping[str, Verdict]] = {"same": "ok", "warn": "warning", "other": "error"}
NEAREST: Final = 10
ASKED: Final = 20  # vectors that an index is asked for: a recall is known to a few percent
LEAST_RECALL: Final = 0.9  # of the ten nearest; what the storage study found of a good index is .94
NO_EMBEDDER: Final = "not looked at: the store's embedder is not to be had here"
REMAKE: Final = "Embed them again: `agentmem drift reembed`, or memory.migrate(to, reembed=True)."


def sampled(patient: Patient) -> Iterator[Examination]:
    """Embed some stored texts again, and compare with the vectors that are stored."""
    if patient.embedder is None:
        yield Examination(name="vectors", verdict="ok", found=NO_EMBEDDER)
        return
    turns = _some(patient)
    try:
        wrong = [told for turn in turns if (told := _differs(patient, turn)) is not None]
    except EmbeddingFailed as error:
        repair = "Open the store with the embedder that wrote it; see `agentmem passport`."
        yield Examination(
            name="vectors", verdict="warning", found=f"{NO_EMBEDDER} ({error})", repair=repair
        )
        patient.embedder = None
        return
    yield Examination(
        name="vectors",
        verdict="error" if wrong else "ok",
        found=f"{len(wrong)} of {len(turns)} turns have another vector than their text has now",
        count=len(wrong),
        examples=examples_of(wrong),
        repair=REMAKE if wrong else None,
    )


def _some(patient: Patient) -> list[Turn]:
    """Return turns of equal distances in the order in which they were said."""
    count = patient.store.count(scope=ALL)
    wanted = min(patient.sample, count)
    places = np.linspace(0, count - 1, wanted).astype(int).tolist() if wanted > 0 else []
    pages = [patient.store.page(scope=ALL, offset=place, limit=1) for place in places]
    return [turn for page in pages for turn in page]


def _differs(patient: Patient, turn: Turn) -> str | None:
    """Return in what the stored vectors of a turn differ from those of its text now."""
    if patient.embedder is None:
        return None
    key = key_of(turn)
    stored = patient.store.vectors_by_key([key]).get(key)
    texts = pieces_of([turn], embedder=patient.embedder)[1]
    if stored is None or len(stored) != len(texts):
        return f"{turn.id!r}: {0 if stored is None else len(stored)} of {len(texts)} vectors"
    fresh = patient.embedder.embed(texts, kind="document")
    least = float(np.einsum("ij,ij->i", stored, fresh).min())
    return f"{turn.id!r}: cosine {least:.3f}" if least < OTHER and np.any(fresh) else None


def canaries(patient: Patient) -> Iterator[Examination]:
    """Compare the canaries of the generation with what the embedder makes of them now."""
    whole = patient.whole
    kept = DriftTables.of(
        whole.opened.at(whole.generations.read().generation), guard=whole.guard
    ).canaries.get()
    if kept is None or patient.embedder is None:
        missing = "none are kept so far: the first write makes them"
        yield Examination(
            name="canaries", verdict="ok", found=missing if kept is None else NO_EMBEDDER
        )
        return
    found = compare(kept.canaries, embed_canaries(patient.embedder))
    verdict = VERDICTS[found.verdict]
    yield Examination(
        name="canaries",
        verdict=verdict,
        found=f"least cosine {found.minimum:.4f} with those of {kept.made_at:%Y-%m-%d %H:%M} UTC",
        count=int(found.verdict != "same"),
        repair=None
        if found.verdict == "same"
        else f"{found.reason} Go back to the model that wrote the store, or `agentmem migrate`.",
    )


def indexes(patient: Patient) -> Iterator[Examination]:
    """Look at rows that no index covers, and at what an index of vectors misses."""
    there, behind, poor = 0, [], []
    for name, seen in patient.tables.items():
        covered = seen.unindexed()
        there += len(covered)
        behind += [f"{name}.{one}: {out} rows" for one, (_, out) in covered.items() if out]
        recall = _recall(patient, name) if covered and "vector" in seen.schema.names else 1.0
        poor += [f"{name}: recall@{NEAREST} {recall:.2f}"] if recall < LEAST_RECALL else []
    wrong = [*behind, *poor]
    yield Examination(
        name="indexes",
        verdict="warning" if wrong else "ok",
        found=f"{there} indexes; {len(behind)} do not cover every row, {len(poor)} miss too much",
        count=len(wrong),
        examples=examples_of(wrong),
        repair="Run `agentmem maintain`, which folds new rows in." if wrong else None,
        fixable=bool(behind),
    )


def _recall(patient: Patient, name: str) -> float:
    """Return how many of the nearest rows an index finds, over some stored vectors."""
    seen, shares = patient.tables[name], []
    for batch in seen.batches(["vector"]):
        for vector in batch["vector"].to_pylist()[:ASKED]:
            asked = np.asarray(vector, np.float32)
            exact = set(seen.nearest(asked, NEAREST, exact=True))
            found = set(seen.nearest(asked, NEAREST, exact=False))
            shares.append(len(exact & found) / max(len(exact), 1))
        break
    return float(np.mean(shares)) if shares else 1.0
