"""`typing.TypedDict` made readable for pydantic, which before Python 3.12 takes another's only.

The older class does not tell which keys are required where classes inherit from each other;
`typing_extensions` does. On Python 3.12 and later nothing is to be done.
"""

from __future__ import annotations

import sys
import types
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions

__all__ = ["readable"]


def readable(hint: Any) -> Any:
    """Return a type hint with every `typing.TypedDict` in it as one of `typing_extensions`."""
    return hint if sys.version_info >= (3, 12) else _modern(hint, made={})


def _modern(hint: Any, *, made: dict[Any, Any]) -> Any:
    if is_typeddict(hint):
        return _typed_dict(hint, made=made)
    arguments = get_args(hint)
    found = tuple(_modern(one, made=made) for one in arguments)
    if all(new is old for new, old in zip(found, arguments, strict=True)):
        return hint
    return _generic(get_origin(hint), found)


def _generic(origin: Any, arguments: tuple[Any, ...]) -> Any:
    if origin is Annotated:
        return Annotated[arguments]
    if origin in (Union, types.UnionType):
        return Union[arguments]  # noqa: UP007 - the members are known at run time only
    return origin[arguments]


def _typed_dict(hint: Any, *, made: dict[Any, Any]) -> Any:
    if hint not in made:
        made[hint] = Any  # a dictionary that holds itself holds anything there
        keys = {
            key: _key(_modern(one, made=made), required=key in hint.__required_keys__)
            for key, one in get_type_hints(hint, include_extras=True).items()
        }
        make: Any = typing_extensions.TypedDict
        made[hint] = make(hint.__name__, keys)
        made[hint].__doc__ = hint.__doc__
    return made[hint]


def _key(hint: Any, *, required: bool) -> Any:
    if get_origin(hint) in (typing_extensions.Required, typing_extensions.NotRequired):
        return hint
    return typing_extensions.Required[hint] if required else typing_extensions.NotRequired[hint]
