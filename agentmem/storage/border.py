"""The border to LanceDB: every failure of it becomes a `StoreError` that tells the repair.

Lance reports most failures as a RuntimeError whose text alone tells them apart, so the texts
are read here and nowhere else; `tests/test_storage_border.py` provokes the real ones.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from agentmem.errors import (
    AgentmemError,
    ConcurrentWrite,
    FilesMissing,
    StoreError,
    StoreNotFound,
    VersionGone,
)
from agentmem.storage.damage import cut_short

__all__ = ["commit", "persisting", "store_errors"]

T = TypeVar("T")

ATTEMPTS: Final = 8  # Lance retries by itself first; together they outlast any burst we could make
FIRST_WAIT: Final = 0.02  # seconds; a commit takes 3 to 10 ms, so the winner is done by then
READS: Final = 5  # a version is dropped once; five in a row are files that somebody deleted
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
            r"NoSuchBucket|NO_SUCH_BUCKET",
            "there is no such bucket. Repair: make it first, and check its name and aws_region.",
        ),
        (
            (
                r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AccessDenied"
                r"|ACCESS_DENIED|INVALID_ACCESS_KEY"
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
                r"kind: Connect\b|NETWORK_CONNECTION"
                r"|connection refused|error sending request|dns error|timed? ?out"
                r"|SlowDown|status: 5\d\d|50[0234] "
            ),
            (
                "the server of the bucket did not answer. Repair: check the network and "
                "aws_endpoint in storage_options, and call again."
            ),
        ),
    )
)
PANICS: Final = frozenset({"RustPanic", "PanicException"})  # made by pyo3, with no module to import
NAMED: Final = 3  # damaged files in one message
MISSING: Final = re.compile(r"not found|no such file|not a directory|os error 2\b", re.IGNORECASE)
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
    except BaseException as error:
        if type(error).__name__ not in PANICS:
            raise
        raise _translated(error, uri=uri, action=action) from error


def _translated(error: BaseException, *, uri: str, action: str) -> StoreError:
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
    missing = known is MISSING or MISSING.search(text) is not None
    if missing and _is_gone(uri):
        return StoreNotFound(
            what + "the store is not there any more: its folder was deleted or moved away since it "
            "was opened. Repair: open it where it is now, or a new one."
        )
    if missing:
        told = (
            f"files of the store are missing ({_short(text)}). Repair: restore the folder from a "
            "backup, and let nothing but agentmem delete files in it."
        )
    else:
        told = (
            f"{_short(text)}. Repair: if the folder was copied while it was written to, or the "
            "disk has errors, `agentmem doctor` names the damaged file: restore it from a backup; "
            "otherwise report this as a bug."
        )
    damaged = _damaged(uri)
    kind = FilesMissing if missing and damaged is None else StoreError
    return kind(what + (damaged or told))


def _is_gone(uri: str) -> bool:
    """Return whether the folder of a local store is not there."""
    return "://" not in uri and not Path(uri).expanduser().is_dir()


def _damaged(uri: str) -> str | None:
    """Name the files of a local store that are cut short, and say what to do about them."""
    if "://" in uri:
        return None
    folder = Path(uri).expanduser()
    damaged = [path.relative_to(folder).as_posix() for path in cut_short(folder)]
    if not damaged:
        return None
    more = f" and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
    return (
        f"cut short are {', '.join(damaged[:NAMED])}{more}, and no turn of that table can be read "
        "until this is mended. Repair: restore these files from a backup. After a power cut, move "
        "the newest manifest (the lowest number in _versions) out of the folder: the table is then "
        "as it was one commit before."
    )


def _short(text: str) -> str:
    """Return the first line of Lance's message without the source location at its end."""
    return re.sub(r",? ?/\S+\.rs:\d+:\d+.*$", "", text.partition("\n")[0])[:300]


def persisting(operation: Callable[[], T]) -> T:
    """Read, and read again where the version that was being read is dropped meanwhile.

    Erasure and maintenance drop past versions with their files while others read.

    Raises:
        VersionGone: The version is no longer kept.
        FilesMissing: The files are not there, as often as it was tried.
        StoreError: The store could not be read.
    """
    retrying = Retrying(
        retry=retry_if_exception_type((FilesMissing, VersionGone)),
        stop=stop_after_attempt(READS),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        reraise=True,
    )
    result: T = retrying(operation)
    return result


def commit(operation: Callable[[], T], *, uri: str, action: str, repeatable: bool = True) -> T:
    """Make a commit, again and again while other writers come first.

    Args:
        operation: Makes one attempt; a failed attempt must leave nothing behind.
        uri: The store.
        action: What is being done, to follow "could not".
        repeatable: Whether making it twice does what making it once does: then it is made again
            as well where the version that it began from was dropped meanwhile.

    Raises:
        ConcurrentWrite: Others came first at every attempt.
        FilesMissing: The version that it began from was dropped, and it must not be made twice.
        StoreError: The store could not be written.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(
            (ConcurrentWrite, FilesMissing) if repeatable else ConcurrentWrite
        ),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        reraise=True,
    )

    def attempt() -> T:
        with store_errors(uri, action):
            return operation()

    result: T = retrying(attempt)
    return result
