"""`Owner`: the process that holds a right, such as a lease, and whether it is still there.

A process is told from a later one of the same number by when it started. Of another machine, or
of another room of processes on this one, nothing is known: its beat has to be watched.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["Owner"]

BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
ROOM: Final = Path("/proc/self/ns/pid")  # containers may share a host name, but not their numbers
STARTED: Final = 19  # of the fields of /proc/PID/stat behind the name, in ticks since the boot


@dataclass(frozen=True, slots=True)
class Owner:
    """One run of one process.

    Attributes:
        host: Name of its machine.
        pid: Its number.
        token: Tells two runs within one process apart.
        started: When the process started, in ticks since the boot; None where nobody says.
        boot: Which boot of which machine, and which room of processes; None likewise.
    """

    host: str
    pid: int
    token: str
    started: int | None = None
    boot: str | None = None

    @classmethod
    def me(cls) -> Owner:
        """Return a new one, of this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, secrets.token_hex(8), _started(pid), _boot())

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Owner:
        """Return what `to_json` gave; what a newer agentmem adds to it is passed over."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: one for name, one in value.items() if name in known})

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @property
    def name(self) -> str:
        """Host and number, for people."""
        return f"{self.host}:{self.pid}"

    @property
    def is_gone(self) -> bool:
        """Whether it was a process of this machine that is there no more."""
        if self.host != socket.gethostname() or self.boot not in (None, _boot()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # somebody else's process: it is there
            pass
        return None not in (self.started, now := _started(self.pid)) and now != self.started


@cache
def _boot() -> str | None:
    try:
        return f"{BOOT.read_text('ascii').strip()} {ROOM.readlink()}"
    except (OSError, UnicodeDecodeError):
        return None


def _started(pid: int) -> int | None:
    """Return when a process started; None where it is gone, or the system does not say."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        return int(told.rpartition(")")[2].split()[STARTED])
    except (OSError, IndexError, ValueError):
        return None
