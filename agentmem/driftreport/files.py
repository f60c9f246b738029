"""A report on drift as a file: a page, a picture or data, by the ending of its name."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agentmem.checks import location
from agentmem.driftreport.data import check_form, migration_form, report_form
from agentmem.driftreport.page import page_of
from agentmem.driftreport.picture import picture_of
from agentmem.errors import InvalidInput
from agentmem.pages.files import write_bytes, write_text
from agentmem.types import DriftCheck, DriftReport, MigrationStatus

__all__ = ["ENDINGS", "check_ending", "write_report"]

ENDINGS: Final = (".html", ".json", ".png")


def write_report(
    path: str | os.PathLike[str],
    reports: Sequence[DriftReport],
    *,
    history: Sequence[DriftCheck] = (),
    migrations: Sequence[MigrationStatus] = (),
) -> None:
    """Write a report on drift.

    Args:
        path: A file that ends with .html (a page that needs nothing else), .png (its charts in
            one picture) or .json (everything as data); one that is there is replaced.
        reports: Of the memory, of the router, or of both.
        history: Past checks.
        migrations: Those of the store, finished or not.

    Raises:
        InvalidInput: The file ends otherwise.
        MissingDependency: jinja2 or matplotlib is not installed.
        StoreError: The file cannot be written.
    """
    target = Path(location(path, what="path"))
    ending = check_ending(target)
    if ending == ".html":
        write_text(target, page_of(reports, history=history, migrations=migrations))
    elif ending == ".png":
        write_bytes(target, picture_of(reports, history=history))
    else:
        write_text(target, _data_of(reports, history=history, migrations=migrations))


def check_ending(path: Path) -> str:
    """Return the ending of a file, where a report can be written as that.

    Raises:
        InvalidInput: It cannot.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InvalidInput(
            f"{path} does not say what the report is to be. Repair: let it end with .html for a "
            "page, .png for its charts in one picture, or .json for its data."
        )
    return ending


def _data_of(
    reports: Sequence[DriftReport],
    *,
    history: Sequence[DriftCheck],
    migrations: Sequence[MigrationStatus],
) -> str:
    data = {
        "reports": [report_form(one, evidence=True) for one in reports],
        "history": [check_form(one) for one in history],
        "migrations": [migration_form(one) for one in migrations],
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"
