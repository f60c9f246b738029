"""What the tool commands read: definitions, usage examples, labelled queries and messages.

A file is told by its content: one JSON value, or one a line. What a tool or a message is, is for
the router to say.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import typer

from agentmem.checks import shown
from agentmem.errors import InvalidInput

__all__ = ["STDIN", "labelled_queries", "messages", "tool_definitions", "usage_examples"]

STDIN: Final = "-"
PYTHON_NAME: Final = re.compile(r"(?P<module>[^\W\d][\w.]*):(?P<attribute>[^\W\d][\w.]*)")
LISTS: Final = ("tools", "functions")  # keys of requests, and of answers of MCP servers


def tool_definitions(sources: Sequence[str]) -> list[Any]:
    """Return what the sources define, in their order.

    Args:
        sources: Files, `-` for standard input, and `module:attribute` for Python objects.

    Raises:
        InvalidInput: A source cannot be read or imported.
    """
    return [tool for source in sources for tool in _definitions(source)]


def _definitions(source: str) -> Iterator[Any]:
    name = None if source == STDIN or Path(source).exists() else PYTHON_NAME.fullmatch(source)
    if name is None:
        for value in _values(source):
            yield from _listed(value)
        return
    found = _imported(name["module"], attribute=name["attribute"])
    yield from found if isinstance(found, (list, tuple)) else [found]


def _listed(value: Any) -> list[Any]:
    """Return the tools of a list, of a request, of an answer to MCP's `tools/list`, or the one."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and "name" not in value:
        inner = value.get("result", value)
        lists = [inner[key] for key in LISTS if isinstance(inner, dict) and key in inner]
        if lists and isinstance(lists[0], list):
            return lists[0]
    return [value]


def _imported(module: str, *, attribute: str) -> Any:
    try:
        with _working_folder_importable():
            return attrgetter(attribute)(import_module(module))
    except Exception as error:
        raise InvalidInput(
            f"{module}:{attribute} cannot be imported: {type(error).__name__}: {error}. Modules "
            "are looked for here and among installed packages;  "
            f"python -c 'import {module}'  shows where it fails."
        ) from error


@contextmanager
def _working_folder_importable() -> Iterator[None]:
    """Let modules of the working folder be imported, as `python -m` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with suppress(ValueError):  # the module may have taken it out itself
            sys.path.remove(here)


def usage_examples(file: str) -> dict[str, list[str]]:
    """Return the queries of each tool, from `{tool: [query]}` or `{"tool", "query"}` a line.

    Raises:
        InvalidInput: The file cannot be read, or holds something else.
    """
    found: dict[str, list[str]] = {}
    for place, record in _records(file):
        for tool, queries in _examples(record, place=place).items():
            found.setdefault(tool, []).extend(queries)
    return found


def _examples(record: dict[str, Any], *, place: str) -> dict[str, list[str]]:
    tool, query = record.get("tool"), record.get("query")
    if isinstance(tool, str) and isinstance(query, str):
        return {tool: [query]}
    found = {name: _texts(queries) for name, queries in record.items()}
    if not all(found.values()):
        raise InvalidInput(
            f"{place} is {shown(record)}, and no usage example. Write "
            '{"tool": "get_weather", "query": "Will it rain?"} or '
            '{"get_weather": ["Will it rain?"]}. Nothing was learnt.'
        )
    return found


def _texts(value: object) -> list[str]:
    """Return a text, or a list of texts, as a list; empty where it is something else."""
    values = value if isinstance(value, list) else [value]
    texts = [one for one in values if isinstance(one, str) and one]
    return texts if len(texts) == len(values) else []


def labelled_queries(file: str) -> tuple[list[str], list[list[str] | None]]:
    """Return queries, and the tools of each that are right; None where none is.

    Args:
        file: Objects with `query` and `tools`: names, or nothing for a query that no tool fits.

    Raises:
        InvalidInput: The file cannot be read, or holds something else.
    """
    queries: list[str] = []
    labels: list[list[str] | None] = []
    for place, record in _records(file):
        query, tools = record.get("query"), record.get("tools", 0)
        names = _texts(tools)
        if not isinstance(query, str) or not (names or tools in (None, [])):
            raise InvalidInput(
                f"{place} is {shown(record)}, and no query with its tools. Write "
                '{"query": "Will it rain?", "tools": ["get_weather"]}, with [] where no tool fits.'
            )
        queries.append(query)
        labels.append(names or None)
    return queries, labels


def messages(file: str | None) -> list[Any] | None:
    """Return the messages of a file: a list, a request that holds `messages`, or one a line.

    Raises:
        InvalidInput: The file cannot be read.
    """
    if file is None:
        return None
    values = _values(file)
    if len(values) > 1:
        return values
    only = values[0]
    inside = only.get("messages", only) if isinstance(only, dict) else only
    return inside if isinstance(inside, list) else [inside]


def _records(file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a file, each with what to call it in errors."""
    values = [
        one for value in _values(file) for one in (value if isinstance(value, list) else [value])
    ]
    for number, value in enumerate(values, 1):
        place = f"record {number} of {_called(file)}"
        if not isinstance(value, dict):
            raise InvalidInput(f"{place} is {shown(value)}, and a record is a JSON object.")
        yield place, value


def _called(file: str) -> str:
    return "standard input" if file == STDIN else f"the file {file!r}"


def _values(file: str) -> list[Any]:
    """Return the JSON values of a file: one, or one a line."""
    text = _text(file)
    try:
        return [json.loads(text)]
    except RecursionError as error:
        raise _no_json(file, "it is nested too deep") from error
    except ValueError as error:
        return _lines(text, file=file, otherwise=str(error))


def _lines(text: str, *, file: str, otherwise: str) -> list[Any]:
    values: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):  # JSON lets U+2028 stand within a text
        try:
            values += [json.loads(line)] if line.strip() else []
        except (RecursionError, ValueError) as error:
            where = f"line {number}: {error}" if values else otherwise
            raise _no_json(file, where) from error
    if not values:
        raise _no_json(file, "it is empty; write [] to mean nothing at all")
    return values


def _no_json(file: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{_called(file)} is neither JSON nor JSON lines: {why}. Nothing was changed."
    )


def _text(file: str) -> str:
    try:
        data = _standard_input() if file == STDIN else Path(file).read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{_called(file)} cannot be read: {error}. Pass a file of JSON or JSON lines, - for "
            "standard input, or, where tools are asked for, module:attribute."
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{_called(file)} is not UTF-8 at byte {error.start}. Nothing was changed. Convert it, "
            "for example with  iconv -t UTF-8."
        ) from error


def _standard_input() -> bytes:
    return typer.get_binary_stream("stdin").read()
