"""Span and trace ids as people type them: whole, or the first digits of one."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from agentmem.checks import shown
from agentmem.errors import InvalidInput, NotFound

__all__ = ["only_match", "prefix_of"]

HEXADECIMAL: Final = re.compile(r"[0-9a-f]{1,32}")
SHOWN: Final = 5  # ids that an ambiguous prefix may mean


def prefix_of(text: object) -> str:
    """Return the digits of an id or of its beginning, in the form in which ids are recorded.

    Raises:
        InvalidInput: It is no id.
    """
    digits = text.strip().lower().removeprefix("0x") if isinstance(text, str) else ""
    if not HEXADECIMAL.fullmatch(digits):
        raise InvalidInput(
            f"{shown(text)} is no span or trace id. Pass the hexadecimal digits of one, or the "
            "first few: `agentmem traces list` shows them, and so does recall.span_id."
        )
    return digits


def only_match(prefix: str, ids: Collection[str], *, what: str, where: str) -> str:
    """Return the one id that begins like this; a whole id is never ambiguous.

    Args:
        prefix: As `prefix_of` gives it.
        ids: To choose from.
        what: What they are called, such as "span".
        where: Where they were looked for.

    Raises:
        NotFound: There is none.
        InvalidInput: There are several.
    """
    if prefix in ids:
        return prefix
    found = sorted(one for one in set(ids) if one.startswith(prefix))
    if not found:
        raise NotFound(
            f"no {what} in {where} has an id that begins with {prefix!r}. It may have been "
            "pruned, or not written yet: spans are written about a second after they end."
        )
    if len(found) > 1:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise InvalidInput(
            f"{prefix!r} may mean {', '.join(found[:SHOWN])}{more}. Give more digits."
        )
    return found[0]
