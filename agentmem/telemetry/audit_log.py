"""`AuditLog`: an audit log as a file of JSON lines, which several processes may share.

One entry is one line and one write at the end of the file. A file that was moved away, as log
rotation does, is made anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias, final

from agentmem.checks import check_key, location, shown
from agentmem.errors import AuditFailed, InvalidInput
from agentmem.types import AuditEvent, AuditSink

__all__ = ["AuditLog", "AuditTo", "audit_sink", "key_of", "pseudonym", "read_audit_log"]

VARIABLE: Final = "AGENTMEM_AUDIT_LOG"
KEY_VARIABLE: Final = "AGENTMEM_AUDIT_KEY_FILE"
DIGITS: Final = 32  # of a pseudonym: 128 bits, so that no two people share one
APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT
OWNERS_ONLY: Final = 0o600

AuditTo: TypeAlias = AuditSink | str | os.PathLike[str] | None


def pseudonym(value: str, *, key: bytes) -> str:
    """Return what stands for an id in a log with a key: its HMAC-SHA256, shortened to 128 bits."""
    return hmac.new(key, value.encode("utf-8"), hashlib.sha256).hexdigest()[:DIGITS]


@final
class AuditLog:
    """Writes entries to a file. Safe for several threads, and for several processes.

    Args:
        path: The file; made if it is not there, readable by its owner alone.
        key: Puts a pseudonym in the place of every user, session and turn id, at least 16 bytes.
            Whoever has the key can look for somebody; destroying it makes the log anonymous.

    Raises:
        InvalidInput: The key is too short, or that is no path.
        OSError: The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, key: bytes | None = None) -> None:
        check_key(key, what="the key of an audit log")
        self.path = Path(location(path, what="audit")).expanduser()
        self._key = key
        self._lock = threading.Lock()
        os.close(os.open(self.path, APPEND, OWNERS_ONLY))

    def __call__(self, event: AuditEvent) -> None:
        """Write one entry.

        Raises:
            AuditFailed: The disk is full; likewise OSError for whatever else prevents it.
        """
        told = event if self._key is None else self._pseudonymous(event, self._key)
        self._append((json.dumps(told.to_json(), separators=(",", ":")) + "\n").encode("ascii"))

    def _append(self, data: bytes) -> None:
        """Write a line in one piece; after one that was cut off, on a line of its own."""
        with self._lock:
            file = os.open(self.path, APPEND, OWNERS_ONLY)
            try:
                whole = data if _ends_a_line(file) else b"\n" + data
                written = os.write(file, whole)
            finally:
                os.close(file)
        if written < len(whole):  # the disk is full: a reader skips the half line
            raise AuditFailed(f"only {written} of {len(whole)} bytes of an entry were written")

    def _pseudonymous(self, event: AuditEvent, key: bytes) -> AuditEvent:
        def hidden(value: str | None) -> str | None:
            return None if value is None else pseudonym(value, key=key)

        return replace(
            event,
            user_id=hidden(event.user_id),
            session_id=hidden(event.session_id),
            ids=tuple(pseudonym(one, key=key) for one in event.ids),
        )


def read_audit_log(path: str | os.PathLike[str]) -> Iterator[AuditEvent]:
    """Read the entries of a file, the oldest first; a line that was cut off is skipped.

    Raises:
        InvalidInput: There is no such file.
    """
    place = Path(location(path, what="audit log")).expanduser()
    if not place.is_file():
        raise InvalidInput(f"there is no audit log {str(place)!r}. Check the path.")
    with place.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield AuditEvent.from_json(json.loads(line))
            except (KeyError, TypeError, ValueError):
                continue


def audit_sink(given: AuditTo, *, store: str) -> AuditSink | None:
    """Return what takes the entries of a store.

    Args:
        given: A function, the path of a file, or None for the file that the environment names.
        store: The folder or address, which the file may not lie in.

    Raises:
        InvalidInput: It is none of these, or the file lies in the store or cannot be written.
    """
    wanted = (os.environ.get(VARIABLE) or None) if given is None else given
    if wanted is None or isinstance(wanted, AuditLog):
        return None if wanted is None else _outside(wanted, store=store)
    if isinstance(wanted, (str, os.PathLike)):
        return _outside(_log_at(wanted), store=store)
    if not callable(wanted):
        raise InvalidInput(
            f"audit={shown(wanted)}: pass the path of a file, an AuditLog, or a function that "
            "takes an AuditEvent."
        )
    return wanted


def key_of(path: str | os.PathLike[str]) -> bytes:
    """Return the key that a file holds.

    Raises:
        InvalidInput: It cannot be read.
    """
    try:
        return Path(path).expanduser().read_bytes().strip()
    except OSError as error:
        raise InvalidInput(
            f"the key of the audit log, {os.fspath(path)!r}, cannot be read: {error}. Nothing was "
            f"done. Check the path; {KEY_VARIABLE} names the file for every process."
        ) from error


def _log_at(path: str | os.PathLike[str]) -> AuditLog:
    key_file = os.environ.get(KEY_VARIABLE)
    key = key_of(key_file) if key_file else None
    try:
        return AuditLog(path, key=key)
    except OSError as error:
        raise InvalidInput(
            f"the audit log {os.fspath(path)!r} cannot be opened: {error}. The store was not "
            f"opened. Repair: pass a file in a folder that this process may write to; check "
            f"{VARIABLE} if you passed none."
        ) from error


def _outside(log: AuditLog, *, store: str) -> AuditLog:
    place = Path(store).expanduser().resolve()
    if "://" not in store and place in log.path.resolve().parents:
        raise InvalidInput(
            f"the audit log {str(log.path)!r} lies in the store itself, where `forget` would have "
            "to change it. Repair: keep it outside."
        )
    return log


def _ends_a_line(file: int) -> bool:
    if os.lseek(file, 0, os.SEEK_END) == 0:
        return True
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) == b"\n"
