"""Parameters in whatever spelling become one JSON Schema object, or are refused with the path.

Understands JSON Schema, type names of Python in its place (`dict`, `str`, `float`), and bare
mappings of an argument's name to its schema. References are kept; only one at the top is resolved,
because models' APIs ask for an object there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from agentmem.checks import shown
from agentmem.errors import InvalidInput

__all__ = ["COMBINED", "object_schema", "resolved", "rooted"]

COMBINED: Final = ("allOf", "anyOf", "oneOf")
NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions"})
LISTED: Final = frozenset({*COMBINED, "prefixItems"})
SINGLE: Final = frozenset(
    {"items", "additionalProperties", "contains", "not", "if", "then", "else"}
)
KEYWORDS: Final = NAMED | LISTED | SINGLE | {"type", "required", "title", "description"}
TYPES: Final = {  # what functions' documentation calls them, and what JSON Schema does
    **{
        name: name for name in ("object", "array", "string", "number", "integer", "boolean", "null")
    },
    **dict.fromkeys(("dict", "dictionary"), "object"),
    **dict.fromkeys(("list", "tuple", "set"), "array"),
    **dict.fromkeys(("float", "double"), "number"),
    **dict.fromkeys(("none", "nonetype"), "null"),
    "str": "string",
    "int": "integer",
    "bool": "boolean",
}
FLAGS: Final = (True, False)  # of JSON Schema's draft 3, which put `required` into each argument
ANYTHING: Final = "any"  # no type in JSON Schema, where saying nothing allows everything
WANTED: Final = (
    'Write parameters like {"type": "object", "properties": {"city": {"type": "string"}}, '
    '"required": ["city"]}.'
)


def object_schema(parameters: object, *, required: object = None) -> dict[str, Any]:
    """Return the parameters of a tool as a JSON Schema object.

    Args:
        parameters: A JSON Schema, a mapping of names to schemas, or None for no arguments.
        required: Names that a bare mapping's owner lists beside it.

    Raises:
        InvalidInput: They describe no object, or are malformed; names the path.
    """
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping):
        raise InvalidInput(
            f"parameters {shown(parameters)} is a {type(parameters).__name__}, which describes no "
            f"arguments. {WANTED}"
        )
    if _is_bare(parameters):
        parameters = _from_bare(parameters, required=required)
    elif parameters and not any(key in KEYWORDS or key[:1] == "$" for key in parameters):
        raise InvalidInput(
            f"parameters {shown(parameters)} is neither a JSON Schema nor a mapping of names to "
            f"schemas, so its arguments are unknown. {WANTED}"
        )
    return _as_object(rooted(_normal(parameters, what="parameters")))


def _is_bare(parameters: Mapping[str, Any]) -> bool:
    """Whether this maps arguments to their schemas, rather than being a schema itself."""
    properties = parameters.get("properties")
    holds_arguments = isinstance(properties, Mapping) and not isinstance(
        properties.get("type"),
        (str, list),  # or else an argument is called `properties`
    )
    return (
        bool(parameters)
        and not holds_arguments
        and all(isinstance(one, Mapping) for one in parameters.values())
        and not any(key[:1] == "$" or key == "additionalProperties" for key in parameters)
    )


def _from_bare(parameters: Mapping[str, Any], *, required: object) -> dict[str, Any]:
    needed = [name for name, one in parameters.items() if one.get("required") is True]
    properties = {
        name: {key: value for key, value in one.items() if key != "required" or value not in FLAGS}
        for name, one in parameters.items()
    }
    listed = needed if required is None else required
    return {"properties": properties} | ({"required": listed} if listed else {})


def _as_object(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise InvalidInput(
            f"parameters is of type {shown(kind)}, and the arguments of a tool are an object. "
            f"{WANTED}"
        )
    found = {"type": kind, **schema}
    if not any(key in found for key in ("$ref", *COMBINED)):
        found.setdefault("properties", {})
    return found


def _normal(schema: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Return a copy of a schema with JSON Schema's type names throughout."""
    _check(schema, what=what)
    found: dict[str, Any] = {}
    for key, value in schema.items():
        path = f"{what}.{key}"
        if key == "type":
            if not (isinstance(value, str) and value.lower() == ANYTHING):
                found[key] = _types(value)
        elif key in NAMED and isinstance(value, Mapping):
            found[key] = {name: _part(one, what=f"{path}.{name}") for name, one in value.items()}
        elif key in LISTED or (key == "items" and isinstance(value, list)):
            found[key] = _each(value, what=path)
        else:
            found[key] = _part(value, what=path) if key in SINGLE else value
    return found


def _part(value: Any, *, what: str) -> Any:
    return _normal(value, what=what) if isinstance(value, Mapping) else value


def _each(value: Any, *, what: str) -> Any:
    if not isinstance(value, list):
        return value
    return [_part(one, what=f"{what}[{place}]") for place, one in enumerate(value)]


def _types(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_types(one) for one in kind]
    return TYPES.get(kind.lower(), kind) if isinstance(kind, str) else kind


def _check(schema: Mapping[str, Any], *, what: str) -> None:
    """Refuse a schema whose arguments cannot be told."""
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        raise InvalidInput(
            f"{what}.properties {shown(properties)} is no mapping of names to schemas. {WANTED}"
        )
    for name, one in properties.items():
        if not isinstance(one, (Mapping, bool)):
            raise InvalidInput(
                f"{what}.properties.{name} {shown(one)} is no schema. Write it like "
                '{"type": "string", "description": "..."}.'
            )
    required = schema.get("required", [])
    listed = isinstance(required, list) and all(isinstance(name, str) for name in required)
    if not listed and not (isinstance(required, bool) and what != "parameters"):
        raise InvalidInput(
            f"{what}.required {shown(required)} is no list of names. Pass the names of the "
            'arguments that must be given, such as ["city"].'
        )


def rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that refers to a part of itself, as recursive ones do, as that part."""
    seen = set()
    while isinstance(reference := schema.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        target = resolved(reference, root=schema)
        if target is None:
            break
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def resolved(reference: object, *, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part of a schema that a reference (a JSON Pointer, RFC 6901) points to.

    Returns:
        None where it points outside the schema, or nowhere.
    """
    if not isinstance(reference, str) or reference[:1] != "#":
        return None
    found: Any = root
    for step in unquote(reference[1:]).split("/")[1:]:
        found = _step(found, step.replace("~1", "/").replace("~0", "~"))
    return found if isinstance(found, Mapping) else None


def _step(holder: Any, step: str) -> Any:
    if isinstance(holder, list):
        return holder[int(step)] if step in map(str, range(len(holder))) else None
    return holder.get(step) if isinstance(holder, Mapping) else None
