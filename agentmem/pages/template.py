"""The template of a page, filled in: every text escaped, every control character visible.

What people said is hostile in a report; the page's own policy allows no script anyway.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from agentmem.errors import MissingDependency
from agentmem.pages.wording import as_moment, as_time, signed
from agentmem.visible import visible_in_page

__all__ = ["filled"]

TEMPLATE: Final = "page.html.j2"


def filled(package: str, values: Mapping[str, Any]) -> str:
    """Return the page of a package that holds `page.html.j2`.

    Args:
        package: Its dotted name.
        values: What the page tells, by the names its template has for them.

    Raises:
        MissingDependency: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependency("jinja2", extra="report", purpose="a report") from error
    pages = {"page": PackageLoader(package, ""), "shared": PackageLoader(__package__ or "", "")}
    page = Environment(
        loader=PrefixLoader(pages),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible_in_page,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"quoted": shlex.quote, "time": as_time, "moment": as_moment, "signed": signed}
    return page.get_template(f"page/{TEMPLATE}").render(values)
