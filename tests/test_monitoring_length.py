"""The check of lengths: turns that outgrow the baseline and the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from check_tools import DIMENSION, EMBEDDER, at, given, session, store_sessions, watched
from numpy.typing import NDArray

from agentmem.monitoring.checks.length import LengthCheck
from agentmem.protocols import Embedder
from agentmem.testing import HashEmbedder
from agentmem.types import DriftFinding, Kind, Passport

check = LengthCheck()


class Countless:
    """An embedder that counts no tokens."""

    passport: Passport = EMBEDDER.passport

    def embed(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        return EMBEDDER.embed(texts, kind=kind)

    def split(self, texts: Sequence[str], *, prefixes: Sequence[str]) -> list[list[str]]:
        return EMBEDDER.split(texts, prefixes=prefixes)


def found(
    folder: Path, *, longer: int, chunks: int = 1, seed: int = 0, embedder: Embedder = EMBEDDER
) -> DriftFinding:
    """Check a store whose turns are so many times longer after the baseline."""
    one = watched(folder, embedder=embedder)
    rng = np.random.default_rng(seed)
    held = []
    for n in range(80):
        factor = longer if n >= 40 else 1
        usual = rng.integers(5, 30)  # sessions differ in how long people talk
        texts = ["word " * int(factor * rng.integers(3, usual + 1)) for _ in range(4)]
        vectors = EMBEDDER.embed(texts, kind="document")
        made = session(n, texts=texts, vectors=vectors)
        held.append(replace(made, chunks=chunks if n >= 40 else 1))
    store_sessions(one, held)
    return check(given(one, kind="length", baseline=at(39.5), now=at(81)))


def test_turns_that_are_split_are_noticed(tmp_path: Path) -> None:
    finding = found(tmp_path, longer=20, chunks=3)
    assert (finding.status, finding.recommendation) == ("drifted", "evaluate")
    assert finding.detail["split"]["latest"] == 1
    assert finding.detail["tokens"]["latest"] > 10 * finding.detail["tokens"]["baseline"]
    assert "100 % are split, against 0 %" in finding.meaning
    assert len(finding.evidence["tokens_then"]) == 160


def test_longer_turns_far_below_the_window_are_no_loss(tmp_path: Path) -> None:
    finding = found(tmp_path, longer=3)
    assert finding.status == "stable"
    assert finding.p_value is not None
    assert finding.p_value < 0.01
    assert finding.detail["window"] == 256


def test_longer_turns_near_the_window_are_noticed(tmp_path: Path) -> None:
    assert found(tmp_path, longer=10).status == "drifted"


def test_ordinary_lengths_are_seldom_called_drift(tmp_path: Path) -> None:
    narrow = HashEmbedder(DIMENSION, window=20)  # which every length is near to
    findings = [
        found(tmp_path / str(seed), longer=1, seed=seed, embedder=narrow) for seed in range(20)
    ]
    assert min(finding.detail["tokens"]["latest"] for finding in findings) > 0.25 * 20
    assert sum(finding.status == "drifted" for finding in findings) <= 1


def test_without_a_count_of_tokens_characters_are_counted(tmp_path: Path) -> None:
    finding = found(tmp_path, longer=1, embedder=Countless())
    counted = found(tmp_path / "counted", longer=1)
    ratio = finding.detail["tokens"]["latest"] / counted.detail["tokens"]["latest"]
    assert ratio == pytest.approx(5 / 4)


def test_an_empty_store_and_a_router_are_insufficient(tmp_path: Path) -> None:
    one = given(watched(tmp_path), kind="length", baseline=at(0), now=at(1))
    assert check(one).status == "insufficient_data"
    assert check(replace(one, store=None, subject="router")).status == "insufficient_data"
