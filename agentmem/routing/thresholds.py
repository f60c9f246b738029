"""The threshold in force: the calibration that is stored, as long as it holds, or the default.

A calibration holds for the catalogue, the embedder and the routing configuration that it was
fitted with, and for no other. Asked for at every selection, so it is read at most once a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from cachetools import LRUCache

from agentmem.checks import shown
from agentmem.ranking.tools.config import Routing
from agentmem.ranking.tools.scaling import IDENTITY, Scale
from agentmem.storage.tool_store import ToolStore
from agentmem.types import Calibration

__all__ = ["Fit", "InForce", "Thresholds"]

EVERYWHERE: Final = "*"  # no namespace may be mistaken for it: see `_key`
REREAD_SECONDS: Final = 1.0  # how late another process's calibration may come into force
RULE: Final = ("threshold", "slope", "intercept", "temperature")
REMEMBERED: Final = 1_024  # namespaces: tenants come and go


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What was fitted on labelled queries.

    Attributes:
        alpha: Nominal rate of wrong refusals.
        threshold: Of the confidence as the scale gives it.
        queries: Answerable queries it was fitted on.
        unanswerable: Other queries.
        upper_bound: See `types.Calibration`, likewise `refused` and `auroc`.
        refused: See `upper_bound`.
        auroc: See `upper_bound`.
        slope: Of the scale of confidences.
        intercept: Of the same.
        temperature: Of the probabilities down the ranks; None where it could not be fitted.
    """

    alpha: float
    threshold: float
    queries: int
    unanswerable: int
    upper_bound: float
    refused: float | None
    auroc: float | None
    slope: float
    intercept: float
    temperature: float | None


@dataclass(frozen=True, slots=True)
class InForce:
    """What a selection abstains by.

    Attributes:
        calibration: The threshold and what it rests on.
        scale: From the raw confidence to the probability that the threshold is about.
        temperature: Of the probabilities down the ranks.
    """

    calibration: Calibration
    scale: Scale
    temperature: float

    @property
    def rule(self) -> dict[str, float]:
        """The numbers of it, by name: enough to abstain in the same way again."""
        scale = self.scale
        numbers = (self.calibration.threshold, scale.slope, scale.intercept, self.temperature)
        return dict(zip(RULE, numbers, strict=True))

    @classmethod
    def of_rule(cls, rule: Mapping[str, float], *, calibrated: bool) -> InForce:
        """Return what has these numbers, as `rule` gives them.

        Args:
            rule: By name.
            calibrated: Whether they came from a calibration.

        Raises:
            KeyError: One of them is missing.
            ValueError: One of them is no number.
        """
        told = {name: float(rule[name]) for name in RULE}
        reason = "the rule of a past selection"
        return cls(
            _promising_nothing(told["threshold"], reason, valid=calibrated),
            Scale(told["slope"], told["intercept"]),
            told["temperature"],
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    """A calibration as it is stored: what was fitted, when, and with what."""

    fit: Fit
    at: datetime
    fitted_with: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Read:
    stored: _Stored | None
    at: float


class Thresholds:
    """The calibrations of one store. Safe for several threads.

    Args:
        store: Where they are.
        routing: The configuration they have to be fitted with; it has the default threshold.
        seconds: A clock that never goes back.
    """

    def __init__(
        self, store: ToolStore, *, routing: Routing, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._meta = store.meta
        self._passport_id = store.passport.id
        self._routing = routing
        self._seconds = seconds
        self._lock = threading.Lock()
        self._read: LRUCache[str, _Read] = LRUCache(REMEMBERED)
        self._judged: LRUCache[str, tuple[_Stored | None, str, InForce]] = LRUCache(REMEMBERED)

    def current(self, namespace: str | None, *, fingerprint: str) -> InForce:
        """Return what a selection in a namespace abstains by; None is everywhere.

        Args:
            namespace: As the selection was asked.
            fingerprint: Of the catalogue as it is.
        """
        key = _key(namespace)
        with self._lock:
            stored = self._known(key)
            judged = self._judged.get(key)
            if judged is None or judged[0] is not stored or judged[1] != fingerprint:
                found = self._judge(stored, namespace=namespace, fingerprint=fingerprint)
                judged = self._judged[key] = stored, fingerprint, found
            return judged[2]

    def put(self, fit: Fit, *, namespace: str | None, fingerprint: str, at: datetime) -> None:
        """Store a calibration, in the place of the one before it; it is in force at once.

        Args:
            fit: What was fitted.
            namespace: For selections in it; None for those over everything.
            fingerprint: Of the catalogue it was fitted with.
            at: When (UTC).

        Raises:
            StoreError: The store is read-only, or the write failed.
        """
        key = _key(namespace)
        stored = _Stored(fit, at, self._identity(fingerprint))
        value = {"fit": asdict(fit), "at": at.isoformat(), "fitted_with": stored.fitted_with}
        self._meta.put(key, value)
        with self._lock:
            self._read[key] = _Read(stored, self._seconds())

    def _identity(self, fingerprint: str) -> dict[str, str]:
        """Return what a calibration has to be fitted with to hold now."""
        return {
            "the catalogue": fingerprint,
            "the embedder": self._passport_id,
            "the routing configuration": self._routing.id,
        }

    def _known(self, key: str) -> _Stored | None:
        known = self._read.get(key)
        if known is None or self._seconds() - known.at >= REREAD_SECONDS:
            value = self._meta.get(key)
            stored = None if value is None else _stored(value.value)
            if known is not None and known.stored == stored:
                stored = known.stored  # the same object, so that what was judged of it stays
            known = self._read[key] = _Read(stored, self._seconds())
        return known.stored

    def _judge(self, stored: _Stored | None, *, namespace: str | None, fingerprint: str) -> InForce:
        routing = self._routing
        if stored is None:
            where = "" if namespace is None else f" of namespace {shown(namespace)}"
            reason = (
                f"there is no calibration{where}, so the default threshold {routing.threshold:g} "
                "applies, which promises nothing. Call calibrate() with real queries."
            )
            return InForce(self._default(reason), IDENTITY, routing.temperature)
        identity = self._identity(fingerprint)
        changed = [what for what, now in identity.items() if stored.fitted_with.get(what) != now]
        if changed:
            return InForce(self._stale(stored, changed), IDENTITY, routing.temperature)
        fit = stored.fit
        scale = Scale(fit.slope, fit.intercept)
        return InForce(_holding(stored), scale, fit.temperature or routing.temperature)

    def _stale(self, stored: _Stored, changed: list[str]) -> Calibration:
        reason = (
            f"the calibration of {stored.at:%Y-%m-%d %H:%M} UTC no longer holds: since then "
            f"{' and '.join(changed)} changed. The default threshold {self._routing.threshold:g} "
            "applies, which promises nothing. Call calibrate() again."
        )
        return self._default(reason, at=stored.at)

    def _default(self, reason: str, *, at: datetime | None = None) -> Calibration:
        return _promising_nothing(self._routing.threshold, reason, at=at)


def _promising_nothing(
    threshold: float, reason: str, *, valid: bool = False, at: datetime | None = None
) -> Calibration:
    """Return a threshold of which no more is known."""
    return Calibration(
        alpha=1.0,
        threshold=threshold,
        queries=0,
        unanswerable=0,
        upper_bound=1.0,
        refused=None,
        auroc=None,
        valid=valid,
        reason=reason,
        realised=None,
        observed=0,
        at=at,
    )


def _holding(stored: _Stored) -> Calibration:
    fit = stored.fit
    return Calibration(
        alpha=fit.alpha,
        threshold=fit.threshold,
        queries=fit.queries,
        unanswerable=fit.unanswerable,
        upper_bound=fit.upper_bound,
        refused=fit.refused,
        auroc=fit.auroc,
        valid=True,
        reason=(
            f"split conformal on {fit.queries:,} queries that a tool fits: of others like them, at "
            f"most {fit.alpha:.1%} are refused on average, and at most {fit.upper_bound:.1%} with "
            "95 % confidence"
        ),
        realised=None,
        observed=0,
        at=stored.at,
    )


def _key(namespace: str | None) -> str:
    return f"calibration:{EVERYWHERE}" if namespace is None else f"calibration:in:{namespace}"


def _stored(value: dict[str, Any]) -> _Stored:
    """Read a stored calibration; what a newer agentmem adds to it is passed over."""
    fit = Fit(**{one.name: value["fit"][one.name] for one in fields(Fit)})
    return _Stored(fit, datetime.fromisoformat(value["at"]), value["fitted_with"])
