"""The border to LanceDB: every failure of it becomes a `StoreError` that tells the repair.

Lance reports most failures as a RuntimeError whose text alone tells them apart, so the texts
are read here and nowhere else; `tests/test_storage_border.py` provokes the real ones.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from agentmem.errors import AgentmemError, ConcurrentWrite, StoreError

__all__ = ["commit", "store_errors"]

T = TypeVar("T")

ATTEMPTS: Final = 8  # Lance retries by itself first; together they outlast any burst we could make
FIRST_WAIT: Final = 0.02  # seconds; a commit takes 3 to 10 ms, so the winner is done by then
LONGEST_WAIT: Final = 1.0  # seconds; eight attempts then give up within five

CONFLICT: Final = re.compile(
    r"commit conflict|concurrent|preempted|too many attempts", re.IGNORECASE
)
FULL: Final = re.compile(
    r"no space left|file too large|quota exceeded|os error (28|27|122)", re.IGNORECASE
)
DENIED: Final = re.compile(
    r"permission denied|read-only file system|operation not permitted|access ?denied|forbidden"
    r"|os error (13|30|1)\b",
    re.IGNORECASE,
)
# What comes of a bucket is the text of the server's answer or, while LanceDB connects, Rust's
# debugging form of it. Ordered: an answer that names a bucket may also say "not found".
OF_BUCKETS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), told)
    for pattern, told in (
        (
            r"NoSuchBucket",
            "there is no such bucket. Repair: make it first, and check its name and aws_region.",
        ),
        (
            (
                r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AccessDenied"
                r"|status: 40[13]\b|40[13] (Forbidden|Unauthorized)|failed to get aws credentials"
            ),
            (
                "permission denied. Repair: pass keys that may read and write the bucket in "
                "storage_options (aws_access_key_id, aws_secret_access_key, aws_session_token), or "
                "set them in the environment; read_only=True needs only the right to read and list."
            ),
        ),
        (
            r"BadScheme|scheme is not allowed",
            (
                "its endpoint is an http:// address, which is not encrypted. Repair: use https://, "
                'or pass storage_options={"allow_http": "true", ...}.'
            ),
        ),
        (
            r"No object store provider",
            (
                "there is no such kind of address. Repair: pass a folder, or an address that "
                "begins with s3://, gs:// or az://."
            ),
        ),
        (
            (
                r"kind: Connect\b|connection refused|error sending request|dns error|timed? ?out"
                r"|SlowDown|status: 5\d\d|50[0234] "
            ),
            (
                "the server of the bucket did not answer. Repair: check the network and "
                "aws_endpoint in storage_options, and call again."
            ),
        ),
    )
)
MISSING: Final = re.compile(r"not found|no such file|os error 2\b", re.IGNORECASE)
CODES: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EFBIG, errno.EDQUOT), FULL),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), DENIED),
    errno.ENOENT: MISSING,
}


@contextmanager
def store_errors(uri: str, action: str) -> Iterator[None]:
    """Turn whatever LanceDB raises inside into a StoreError.

    Args:
        uri: The store, named in the message.
        action: What was being done, to follow "could not": "read turns".

    Raises:
        ConcurrentWrite: Another writer's commit came first.
        StoreError: Anything else went wrong; the cause is chained.
    """
    try:
        yield
    except AgentmemError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise _translated(error, uri=uri, action=action) from error


def _translated(error: Exception, *, uri: str, action: str) -> StoreError:
    text = str(error)
    known = CODES.get(error.errno) if isinstance(error, OSError) and error.errno else None
    what = f"could not {action} in {uri}: "
    if known is FULL or FULL.search(text):
        return StoreError(
            what + "the disk or the quota is full. What was stored before is unharmed, nothing "
            "of this call was stored. Repair: free some space and call again."
        )
    for pattern, told in OF_BUCKETS if "://" in uri else ():
        if pattern.search(text):
            return StoreError(what + told)
    if known is DENIED or DENIED.search(text):
        return StoreError(
            what + "permission denied. Repair: give this user write access to the folder (or "
            "bucket), or open the store with read_only=True if reading is enough."
        )
    if CONFLICT.search(text):
        return ConcurrentWrite(
            what + "other writers kept committing first, and nothing of this call was stored. "
            "Repair: call again, or let fewer processes write at once."
        )
    if known is MISSING or MISSING.search(text):
        return StoreError(
            what + f"files of the store are missing ({_short(text)}). Repair: restore the folder "
            "from a backup, and let nothing but agentmem delete files in it."
        )
    return StoreError(
        what + f"{_short(text)}. Repair: if the folder was copied while it was written to, or the "
        "disk has errors, restore it from a backup; otherwise report this as a bug."
    )


def _short(text: str) -> str:
    """Return the first line of Lance's message without the source location at its end."""
    return re.sub(r",? ?/\S+\.rs:\d+:\d+.*$", "", text.partition("\n")[0])[:300]


def commit(operation: Callable[[], T], *, uri: str, action: str) -> T:
    """Make a commit, again and again while other writers come first.

    Args:
        operation: Makes one attempt; a failed attempt must leave nothing behind.
        uri: The store.
        action: What is being done, to follow "could not".

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        StoreError: The store could not be written.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(ConcurrentWrite),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        reraise=True,
    )

    def attempt() -> T:
        with store_errors(uri, action):
            return operation()

    result: T = retrying(attempt)
    return result
