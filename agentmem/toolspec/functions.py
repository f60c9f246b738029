"""Python functions, methods, partials and callable objects as tools.

A parameter whose type JSON cannot hold (a database session), or that is a run context of an agent
framework, is left out, because whoever calls the function fills it in and not the model. So are
`*args`, as models give arguments by name.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from pydantic import Field
from pydantic.fields import FieldInfo

from agentmem.errors import InvalidInput
from agentmem.toolspec.definition import Definition
from agentmem.toolspec.docstrings import read_docstring
from agentmem.toolspec.models import INSTEAD, arguments_schema, documented, is_json
from agentmem.toolspec.typed_dicts import readable

__all__ = ["from_function"]

RECEIVERS: Final = ("self", "cls")  # of a method taken from its class, which has none yet
CONTEXTS: Final = frozenset(  # types by which MCP, Pydantic AI, OpenAI's and Google's SDK inject
    {"Context", "RunContext", "RunContextWrapper", "RunnableConfig", "ToolContext"}
)
UNNAMED: Final = "<lambda>"


def from_function(function: Callable[..., Any]) -> Definition:
    """Read a function: its name, its docstring, and its type hints as the arguments.

    Raises:
        InvalidInput: It has no name, no readable signature, or a type hint that cannot be read.
    """
    bound = _without_partials(function)
    name = getattr(bound, "__name__", type(bound).__name__)
    if name == UNNAMED:
        raise InvalidInput(f"a lambda has no name to call it by. Write it as a def, or {INSTEAD}.")
    code = _code(bound)
    own = code.__doc__ if inspect.isfunction(code) and code.__name__ == "__call__" else None
    said = read_docstring(own or bound.__doc__)
    schema = _schema(_parameters(function), hints=_hints(code))
    return Definition(name, said.description, documented(schema, said), "function")


def _without_partials(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what runs when a function, a wrapper of one or an object is called."""
    if not inspect.isroutine(function) and not hasattr(function, "__wrapped__"):
        function = type(function).__call__
    code: Callable[..., Any] = inspect.unwrap(function)
    return code


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters that are still open and can be given by name."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"its signature cannot be read: {error}. Write a function around it, or {INSTEAD}."
        ) from error
    given = function.keywords if isinstance(function, functools.partial) else {}
    if parameters and parameters[0].name in RECEIVERS and _is_untyped(parameters[0]):
        parameters = parameters[1:]
    return [
        one for one in parameters if one.kind is not one.VAR_POSITIONAL and one.name not in given
    ]


def _is_untyped(parameter: inspect.Parameter) -> bool:
    return parameter.annotation is parameter.empty


def _hints(code: Any) -> dict[str, Any]:
    """Return the type hints of the parameters; that of the result may be unreadable."""
    try:
        written = dict(getattr(code, "__annotations__", {}))
        written.pop("return", None)
        stub = types.FunctionType((lambda: None).__code__, getattr(code, "__globals__", {}))
        stub.__annotations__ = written
        return get_type_hints(stub, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise InvalidInput(
            f"a type hint cannot be read: {error}. Import what it names where the function is "
            f"defined, and not for type checking only, or {INSTEAD}."
        ) from error


def _schema(parameters: list[inspect.Parameter], *, hints: dict[str, Any]) -> dict[str, Any]:
    named = [one for one in parameters if one.kind is not one.VAR_KEYWORD]
    types_ = {one.name: readable(hints.get(one.name, Any)) for one in named}
    schema = arguments_schema(
        {name: _noted(hint) for name, hint in types_.items() if _is_open(hint)},
        defaults={one.name: one.default for one in named if one.default is not one.empty},
    )
    takes_more = len(named) < len(parameters)
    return {**schema, "additionalProperties": True} if takes_more else schema


def _is_open(hint: Any) -> bool:
    """Whether an argument is one that a model can give."""
    return getattr(get_origin(hint) or hint, "__name__", "") not in CONTEXTS and is_json(hint)


def _noted(hint: Any) -> Any:
    """Return a hint with the text of `Annotated[int, "text"]` or `Doc("text")` as description."""
    if get_origin(hint) is not Annotated:
        return hint
    notes = [getattr(note, "documentation", note) for note in get_args(hint)[1:]]
    texts = [note for note in notes if isinstance(note, str)]
    told = any(isinstance(note, FieldInfo) and note.description for note in notes)
    return Annotated[hint, Field(description=texts[0])] if texts and not told else hint
