"""Whether spans may carry what people said, and who looks at it first.

Off by default. The standard environment variable or an argument of `open` turns it on, and a
redaction hook sees every text before a span does. A hook that fails loses the text, never the
call: what could not be redacted is not recorded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from agentmem.telemetry.passing import passed_over

__all__ = ["MOST_CHARACTERS", "Content", "Redact", "captured_by_environment"]

Redact: TypeAlias = Callable[[str], str]

VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
ON: Final = ("true", "1", "span_only", "span_and_event")  # the first two: of older conventions
LONGEST: Final = 1 << 16  # of any text: collectors refuse messages of 4 MiB, of many spans
MOST_CHARACTERS: Final = 2_000  # of a document; dashboards show no more, and collectors cut it


def captured_by_environment() -> bool:
    """Whether the standard environment variable asks for content on spans."""
    return os.environ.get(VARIABLE, "").strip().lower() in ON


@dataclass(frozen=True, slots=True)
class Content:
    """What may be recorded of what people said.

    Attributes:
        captured: Whether anything may; as the environment says if None, asked each time.
        redact: Sees every text first, and gives what may be recorded in its place.
    """

    captured: bool | None = None
    redact: Redact | None = None

    @property
    def is_on(self) -> bool:
        """Whether texts are recorded now."""
        return captured_by_environment() if self.captured is None else self.captured

    def text(self, text: str) -> str | None:
        """Return what may be recorded of a text, at most `LONGEST` of it; None if nothing."""
        if not self.is_on:
            return None
        if self.redact is None:
            return text[:LONGEST]
        try:
            redacted: object = self.redact(text)
        except Exception as error:  # noqa: BLE001 - whatever a hook raises, the call goes on
            passed_over("the redaction hook failed, and what it saw is left out", error)
            return None
        return redacted[:LONGEST] if isinstance(redacted, str) else None

    def short(self, text: str) -> str | None:
        """Return what may be recorded of a document: at most `MOST_CHARACTERS` of it."""
        allowed = self.text(text)
        return None if allowed is None else allowed[:MOST_CHARACTERS]
