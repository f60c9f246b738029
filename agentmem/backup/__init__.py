"""Snapshots, and backups of a store out of its own place: made, verified, and put back.

    from agentmem import backup

    backup.verify("backups/ada")
    backup.restore("backups/ada", "ada.mem")

A backup is made by `Memory.backup`, or by `agentmem backup`.
"""

from __future__ import annotations

from agentmem.backup.archive import Archive, Past, open_archive
from agentmem.backup.checking import verify
from agentmem.backup.restoring import restore

__all__ = ["Archive", "Past", "open_archive", "restore", "verify"]
