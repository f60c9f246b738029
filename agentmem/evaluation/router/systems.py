"""The names of the systems in a report of a router: the product after so many lessons."""

from __future__ import annotations

from typing import Final

from agentmem.evaluation.router.learning import Amount

__all__ = [
    "ABOUT_LEARNING",
    "CALIBRATED",
    "LEARNING",
    "LEARNING_NO_HISTORY",
    "NO_HISTORY",
    "about",
    "is_product",
    "name_of",
]

_PRODUCT: Final = "agentmem"
NO_HISTORY: Final = f"{_PRODUCT}, no history"
LEARNING: Final = f"{_PRODUCT} learning, with history"
LEARNING_NO_HISTORY: Final = f"{_PRODUCT} learning, without history"
CALIBRATED: Final = f"{_PRODUCT} +others, calibrated"  # by other conversations
ABOUT_LEARNING: Final = "the product's defaults, taught each conversation once it was asked"


def name_of(amount: Amount) -> str:
    """Return the name of the product after so many examples a tool, such as `agentmem +5`."""
    return f"{_PRODUCT} +{amount}" if amount else _PRODUCT


def about(amount: Amount) -> str:
    """Return one line on what it learnt."""
    if not amount:
        return "the product's defaults, taught nothing"
    return f"the product's defaults with {amount} usage examples of each tool"


def is_product(name: str) -> bool:
    """Whether a system is the product, taught or not, and no baseline."""
    return name.startswith(_PRODUCT)
