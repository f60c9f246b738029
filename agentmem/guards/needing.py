"""Modules of the libraries that the redactor is built on, or how to install them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from agentmem.errors import MissingDependency

__all__ = ["needed"]

PACKAGES = {
    "detect_secrets": "detect-secrets",
    "phonenumbers": "phonenumbers",
    "stdnum": "python-stdnum",
}


def needed(module: str) -> Any:
    """Return a module.

    Raises:
        MissingDependency: Its package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = PACKAGES[module.partition(".")[0]]
        raise MissingDependency(package, extra="redact", purpose="Redactor") from error
