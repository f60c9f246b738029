"""Where a text holds secrets: private keys, tokens, passwords.

Every pattern is linear in the length of the text: its repetitions are bounded, or cannot be
entered in the middle. Vendors' tokens are detect-secrets' patterns, without those of its plugins
that take quadratic time (OpenAI, JWT) or mark less than the secret (private keys, npm, basic auth).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from agentmem.guards.needing import needed

__all__ = ["api_keys", "json_web_tokens", "passwords", "private_keys", "url_credentials"]

Span = tuple[int, int]

PEM: Final = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
PEM_BODY: Final = re.compile(r"(?:[A-Za-z0-9+/=\s]|\\n)*")  # of a key whose end was cut off
URL: Final = re.compile(
    r"(?<!\w)[a-z][a-z0-9+.-]{1,20}://([^\s/?#@:]{0,128}:[^\s/?#@]{1,256})@", re.IGNORECASE
)
JWT: Final = re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.eyJ[\w-]{5,}(?:\.[\w-]*){1,3}", re.ASCII)

VENDORS: Final = (
    *("artifactory", "aws", "azure_storage_key", "discord", "github_token", "gitlab_token"),
    *("mailchimp", "pypi_token", "sendgrid", "slack", "square_oauth", "stripe"),
    *("telegram_token", "twilio"),
)
TOKEN: Final = re.compile(r"[\w\-+/=]*", re.ASCII)  # a token goes on to the end of these
NEWER: Final = re.compile(  # forms that detect-secrets 1.5 does not know, as the vendors write them
    r"(?<![\w-])(?:"
    r"sk-[\w-]{20,}"  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"|github_pat_\w{22,}|gh[oprsu]_[A-Za-z0-9]{30,}"
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{28}"  # Google
    r"|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|pplx-[A-Za-z0-9]{40,}"
    r"|[prs]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{24,}"  # Stripe
    r"|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{20,}"  # Slack
    r"|npm_[A-Za-z0-9]{36}|dop_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"
    r"|hvs\.[\w-]{24,}|dapi[a-f0-9]{32}|lin_api_[A-Za-z0-9]{40}|PMAK-[a-f0-9-]{40,}"
    r"|AGE-SECRET-KEY-1[0-9A-Z]{58}"
    r")",
    re.ASCII,
)
BEARER: Final = re.compile(r"(?<!\w)(?:bearer|basic) {1,3}([\w.~+/=-]{16,2048})", re.IGNORECASE)

NAMED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:[a-z0-9]{1,20}[_-]){0,3}"
    r"(pass(?:word|wort|wd|phrase|code)|pwd|pin code|secret|token|api[_ -]?key|access[_ -]?key"
    r"|secret[_ -]?key|private[_ -]?key|client[_ -]?secret|credentials?)"
    r"[\"']?(\s{0,3}(?:=>|:=|=|:|\bis\b)\s{0,3})([\"']?)([^\s\"'<>]{4,512})",
    re.IGNORECASE,
)
ENDS: Final = ".,;:!?)]}"  # of the sentence, not of the password
NO_SECRETS: Final = re.compile(
    r"(?:none|null|nil|true|false|undefined|required|optional|missing|invalid|incorrect|expired"
    r"|string|str|x+|\*+|\.+|changeme|placeholder|redacted|example)$"
    r"|[$%({\[<]|your|os\.|env|process\.|getpass|https?://|config|settings|self\.|args\.",
    re.IGNORECASE,
)
IN_WORDS: Final = "-_/.'’"  # "none-yet", "don't": no sign of a password
LEAST: Final = 6  # characters; "password: yes" and "pin: 1234" are none
LONG: Final = 10  # of a token: shorter ones are words and numbers


def private_keys(text: str) -> Iterator[Span]:
    """From the first line of a key to its last; of one that breaks off, all that looks like it."""
    opened: re.Match[str] | None = None
    for mark in PEM.finditer(text):
        if mark[1] == "BEGIN":
            opened = opened or mark
        elif opened is not None:
            yield opened.start(), mark.end()
            opened = None
    if opened is not None:
        body = PEM_BODY.match(text, opened.end())
        yield opened.start(), opened.end() if body is None else body.end()


def url_credentials(text: str) -> Iterator[Span]:
    """The user and password in an address."""
    return (found.span(1) for found in URL.finditer(text))


def json_web_tokens(text: str) -> Iterator[Span]:
    """JSON web tokens, signed or encrypted."""
    return (found.span() for found in JWT.finditer(text))


def api_keys() -> Callable[[str], Iterable[Span]]:
    """Return what finds keys and tokens by the forms that vendors gave them.

    Raises:
        MissingDependency: detect-secrets is not installed.
    """
    patterns = [*_vendors(), NEWER]

    def find(text: str) -> Iterator[Span]:
        for pattern in patterns:
            for found in pattern.finditer(text):
                if _is_token(text, found):
                    yield found.start(), _end(text, found.end())
        yield from (found.span(1) for found in BEARER.finditer(text) if _is_mixed(found[1]))

    return lambda text: _merged(find(text))


def passwords(text: str) -> Iterator[Span]:
    """What a text names as a password, secret, token or key, where it looks like one."""
    for found in NAMED.finditer(text):
        word, assigned, quote, value = found.groups()
        value = value if quote else value.rstrip(ENDS)
        if _is_secret(value, word=word, plain=bool(assigned.strip(" ") == "=" or quote)):
            yield found.start(4), found.start(4) + len(value)


def _vendors() -> Iterator[re.Pattern[str]]:
    base: Any = needed("detect_secrets.plugins.base").RegexBasedDetector
    for name in VENDORS:
        found: list[Any] = list(vars(needed(f"detect_secrets.plugins.{name}")).values())
        for plugin in found:
            if _is_below(plugin, base):
                yield from plugin.denylist


def _is_below(found: object, base: type) -> bool:
    return isinstance(found, type) and issubclass(found, base) and found is not base


def _is_token(text: str, found: re.Match[str]) -> bool:
    """Whether a match begins where a word does, and is none of a language."""
    before = text[found.start() - 1 : found.start()]
    return not (before.isalnum() and found[0][0].isalnum()) and _is_mixed(found[0])


def _is_mixed(value: str) -> bool:
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def _end(text: str, end: int) -> int:
    rest = TOKEN.match(text, end)
    return end if rest is None else rest.end()


def _is_secret(value: str, *, word: str, plain: bool) -> bool:
    """Whether a value is a secret, as far as its letters tell.

    Args:
        value: Without quotes and the end of the sentence.
        word: What it was named.
        plain: Whether it was assigned, as in a file, so that any word may be one.
    """
    if len(value) < LEAST or NO_SECRETS.match(value):
        return False
    if word.lower().startswith(("pass", "pwd")) and plain:
        return True
    if word.lower().startswith(("pass", "pwd")):
        return any(c.isdigit() or not (c.isalpha() or c in IN_WORDS) for c in value)
    return len(value) >= LONG and _is_mixed(value) and len(set(value)) >= LONG // 2


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans without overlaps."""
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged
