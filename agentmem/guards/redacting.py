"""`Redactor`: a hook that replaces secrets and personal data by what they were.

Built on phonenumbers (telephone numbers), python-stdnum (check digits) and detect-secrets
(vendors' tokens), with patterns of its own for the rest. Deterministic, offline, and linear in
the length of a text. It finds what has a form; names and addresses of people have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias, get_args

from agentmem.checks import nearest, shown
from agentmem.errors import InvalidInput
from agentmem.guards import credentials, identities, personal
from agentmem.types import Turn

__all__ = ["RedactedKind", "Redactor"]

RedactedKind: TypeAlias = Literal[
    "private_key",
    "url_credentials",
    "jwt",
    "api_key",
    "password",
    "email",
    "iban",
    "card",
    "national_id",
    "ip",
    "phone",
]
KINDS: Final[tuple[RedactedKind, ...]] = get_args(RedactedKind)  # in this order they are looked for

Span: TypeAlias = tuple[int, int]
Find: TypeAlias = Callable[[str], Iterable[Span]]

BLANK: Final = "\0"  # stands where something was found: no later pattern reaches across it


class Redactor:
    """Replaces secrets and personal data in what is said, names, captions and metadata.

    Args:
        kinds: What is looked for; all kinds if None.
        replace: What is put in its place, with `{kind}` for what it was.
        regions: Countries whose telephone numbers are found without their country code.

    Raises:
        MissingDependency: A library it is built on is not installed.
        InvalidInput: An argument cannot be used.
    """

    def __init__(
        self,
        kinds: Iterable[RedactedKind] | None = None,
        *,
        replace: str = "[{kind}]",
        regions: Sequence[str] = ("US",),
    ) -> None:
        wanted = KINDS if kinds is None else _checked(kinds)
        self._words = {kind: _word(replace, kind) for kind in wanted}
        finders = _finders(regions)
        self._finders = {kind: finders[kind]() for kind in KINDS if kind in wanted}

    def __call__(self, turn: Turn, /) -> Turn:
        """Return the turn without them; the same turn where there are none."""
        shared = tuple(
            replace(one, caption=None if one.caption is None else self.redacted(one.caption))
            for one in turn.attachments
        )
        return replace(
            turn,
            content=self.redacted(turn.content),
            name=None if turn.name is None else self.redacted(turn.name),
            metadata={key: self._value(one) for key, one in turn.metadata.items()},
            attachments=shared,
        )

    def redacted(self, text: str) -> str:
        """Return a text without them. Fits `Memory.open(..., redact=...)` as well."""
        pieces, end = [], 0
        for start, stop, kind in self.found(text):
            pieces += [text[end:start], self._words[kind]]
            end = stop
        return "".join([*pieces, text[end:]]) if pieces else text

    def found(self, text: str) -> list[tuple[int, int, RedactedKind]]:
        """Return where they are and what they are, in order; no two overlap."""
        left = text
        found: list[tuple[int, int, RedactedKind]] = []
        for kind, find in self._finders.items():
            spans = sorted(set(find(left)))
            found += [(start, stop, kind) for start, stop in spans]
            left = _blanked(left, spans)
        return sorted(found)

    def _value(self, value: Any) -> Any:
        """Return a value of metadata with every text in it redacted."""
        if isinstance(value, str):
            return self.redacted(value)
        if isinstance(value, Mapping):
            return {key: self._value(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._value(one) for one in value]
        return value


def _finders(regions: Sequence[str]) -> dict[RedactedKind, Callable[[], Find]]:
    """What makes the search for each kind; the libraries are loaded when it is called."""
    return {
        "private_key": lambda: credentials.private_keys,
        "url_credentials": lambda: credentials.url_credentials,
        "jwt": lambda: credentials.json_web_tokens,
        "api_key": credentials.api_keys,
        "password": lambda: credentials.passwords,
        "email": lambda: personal.emails,
        "iban": identities.ibans,
        "card": identities.cards,
        "national_id": identities.national_ids,
        "ip": lambda: personal.ip_addresses,
        "phone": lambda: personal.phones(regions),
    }


def _blanked(text: str, spans: Sequence[Span]) -> str:
    pieces, end = [], 0
    for start, stop in spans:
        pieces += [text[end:start], BLANK * (stop - max(start, end))]
        end = max(stop, end)
    return "".join([*pieces, text[end:]]) if pieces else text


def _checked(kinds: Iterable[RedactedKind]) -> tuple[RedactedKind, ...]:
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    unknown = next((one for one in wanted if one not in KINDS), None)
    if unknown is not None or not wanted:
        hint = nearest(str(unknown), KINDS) if wanted else ""
        raise InvalidInput(f"kinds={shown(kinds)}: pass some of {', '.join(KINDS)}.{hint}")
    return tuple(kind for kind in KINDS if kind in wanted)


def _word(form: object, kind: RedactedKind) -> str:
    if isinstance(form, str) and "\0" not in form:
        return form.replace("{kind}", kind)
    raise InvalidInput(f'replace={shown(form)}: pass a text such as "[{{kind}}]".')
