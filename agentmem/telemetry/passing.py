"""How failures of telemetry are passed over: logged by their class alone, each kind once."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

__all__ = ["passed_over"]

KINDS: Final = 256  # of failures; an application meets few

logger = logging.getLogger("agentmem")


def passed_over(what: str, error: BaseException) -> None:
    """Log that telemetry failed, the first time that it does so in this way.

    The message is left out, because it may quote what a user said.
    """
    _warn(what, type(error).__name__)


@lru_cache(KINDS)
def _warn(what: str, kind: str) -> None:
    logger.warning("%s: %s (said once)", what, kind)
