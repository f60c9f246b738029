"""From the id of a tenant to the name of its folder, and back.

Different ids have different names on every file system: names are lower-case ASCII, and every
other byte of an id is written as `=` and two hexadecimal digits. Knows no file system itself.
"""

from __future__ import annotations

import re
from typing import Final

from agentmem.checks import identifier, shown
from agentmem.errors import InvalidInput

__all__ = ["MAX_NAME_BYTES", "folder_name", "tenant_of"]

MAX_NAME_BYTES: Final = 200  # file systems take 255; what is moved aside bears up to 48 more
KEPT: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
FIRST: Final = frozenset(b"-.")  # an option of a command, or a hidden file
LAST: Final = frozenset(b".")  # Windows drops it
NEVER: Final[frozenset[int]] = frozenset()
RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # devices, on Windows
ESCAPED: Final = re.compile(rb"=([0-9a-f]{2})")


def folder_name(tenant: str) -> str:
    """Return the name of a tenant's folder.

    Raises:
        InvalidInput: The id is no text, empty, holds a NUL, or is too long for a folder's name.
    """
    data = identifier(tenant, what="tenant").encode()
    ends = {len(data) - 1: LAST, 0: FIRST}
    parts = [_written(byte, never=ends.get(place, NEVER)) for place, byte in enumerate(data)]
    if RESERVED.fullmatch("".join(parts)):
        parts[0] = _escaped(data[0])
    name = "".join(parts)
    if len(name) > MAX_NAME_BYTES:
        raise InvalidInput(
            f"tenant {shown(tenant)} takes {len(name)} bytes as the name of a folder, and at most "
            f"{MAX_NAME_BYTES} fit (a capital letter takes 3, a letter that is not ASCII 6 or "
            "more). Pass a shorter id, such as a hash of it."
        )
    return name


def tenant_of(name: str) -> str | None:
    """Return the tenant whose folder has that name; None if it is no tenant's."""
    try:
        data = ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), name.encode())
        tenant = data.decode()
        return tenant if folder_name(tenant) == name else None
    except (UnicodeError, InvalidInput):
        return None


def _written(byte: int, *, never: frozenset[int]) -> str:
    return chr(byte) if byte in KEPT and byte not in never else _escaped(byte)


def _escaped(byte: int) -> str:
    return f"={byte:02x}"
