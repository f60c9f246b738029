"""Every number that tunes the choice of tools, in one frozen value with a hash.

The defaults come from reasons that held on several kinds of catalogue at once (MetaTool plugins,
Seal-Tools and BFCL functions); `agentmem eval router` repeats the measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from agentmem.errors import InvalidInput
from agentmem.ranking.weights import hash_of, weights_of

__all__ = ["Routing"]

DIVISORS = (  # fields that something is divided by
    *("trust", "shrinkage", "neighbours_half", "bandwidth", "success_strength", "temperature"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Weights of a selection, in standard deviations over the catalogue unless said otherwise.

    Attributes:
        arguments: Weight of the cosine with the arguments, against the description's 1.
        name: The same of the cosine with the name alone.
        lexical: Weight of BM25, times the share of the query's information that the best tool
            holds: a query whose words the catalogue does not know is left to the vectors.
        trust: Usage examples of a tool from which they count as much as all its descriptions.
        shrinkage: Usage examples that weigh as much as the description in a tool's prototype.
        sketch: Weight of the words against the meaning in the space of usage examples.
        discriminant: Weight of Fisher's discriminant, against the prototypes' 1.
        neighbours: Weight of the nearest usage examples, once there are many.
        neighbours_half: Mean examples a tool at which it has half that weight.
        bandwidth: Of the kernel over usage examples, in cosine.
        usage_words: Weight of BM25 for tools that are known by their usage.
        negative: Weight of a query for which a tool was wrong, against one for which it was right.
        affinity: Weight of the logarithm of how much likelier a tool gets by its likeness to those
            called so far, as far as the query leaves doubt which tool is meant, and if any, and
            usage does not know better.
        transition: Weight of the logarithm of how much likelier a tool gets after those called
            in the turn before, as far as the query leaves doubt.
        co_use: Weight of the rate at which a tool is used together with the best ones.
        context: Weight of recent messages and recalled turns, for a query that alone is too
            short or too weak to choose by.
        success: Weight of the logarithm of a tool's success rate against the usual one.
        success_strength: Uses that the usual success rate counts for.
        half_life_days: Age at which a usage example counts half; 0 for no decay.
        outcome_days: The same of a success or failure: services recover.
        threshold: Confidence below which an uncalibrated router abstains.
        coverage: Share of the needed tools that `k="auto"` aims at.
        temperature: Drop of the score, below the best one's, at which a tool's probability of
            being needed falls to 1/e.
    """

    arguments: float = 0.3  # one aspect of a tool; the description names them all
    name: float = 0.3  # as the arguments
    lexical: float = 1.5  # flat from 1 to 2 on the three kinds; 1 loses on many-need queries
    trust: float = (
        2.0  # from 1 to 3 alike; more helps queries of two needs, and costs five examples
    )
    shrinkage: float = 3.0  # flat from 2 to 4
    sketch: float = 0.7  # words weigh half: 0.7 squared
    discriminant: float = 0.5
    neighbours: float = 1.0
    neighbours_half: float = 20.0  # with five examples a tool its neighbours are chance
    bandwidth: float = 0.03  # the difference of two paraphrases' cosines
    usage_words: float = 0.2
    negative: float = 0.25  # Rocchio's classical ratio, rounded (Manning et al. 2008, 9.1.1)
    affinity: float = 1.5  # at 1 large catalogues gain less; above, the tools just called lose
    transition: float = 0.6  # BFCL gains two points at the first rank, and one at five
    co_use: float = 4.0
    context: float = 1.0  # as the query's own meaning; for clear queries it costs BFCL a point
    success: float = 2.0  # a tool that always fails loses what a good example is worth
    success_strength: float = 4.0
    half_life_days: float = 180.0
    outcome_days: float = 7.0
    threshold: float = (
        0.15  # wrong for 0.1 to 1 % of queries over large catalogues, more over ten tools
    )
    coverage: float = 0.9
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse numbers that would turn the selection upside down."""
        given: Mapping[str, object] = self.weights  # of whatever type the caller passed
        for name, value in given.items():
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise InvalidInput(
                    f"Routing({name}={value!r}): weights are finite numbers, 0 or more"
                )
        for name in ("threshold", "coverage"):
            if getattr(self, name) > 1:
                raise InvalidInput(f"Routing({name}={getattr(self, name)!r}) is bounded by 1")
        for name in DIVISORS:
            if not getattr(self, name):
                raise InvalidInput(
                    f"Routing({name}=0): must be above 0; switch a term off by its weight"
                )

    @property
    def id(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 over the canonical JSON of all fields."""
        return hash_of(self)

    @property
    def weights(self) -> dict[str, float]:
        """Every weight, by name."""
        return weights_of(self)
