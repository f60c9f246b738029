"""JSON Schemas as pydantic writes them: of models, and of the arguments of a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, PydanticUserError, TypeAdapter, create_model
from pydantic.errors import (
    PydanticInvalidForJsonSchema,
    PydanticSchemaGenerationError,
    PydanticUndefinedAnnotation,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import PydanticSerializationError

from agentmem.errors import InvalidInput
from agentmem.toolspec.definition import Definition
from agentmem.toolspec.docstrings import Documentation, read_docstring
from agentmem.toolspec.json_form import json_copy
from agentmem.toolspec.schemas import rooted

__all__ = ["INSTEAD", "arguments_schema", "documented", "from_model", "is_json", "model_schema"]

INSTEAD: Final = "pass a dictionary with name, description and parameters"


class _Writer(GenerateJsonSchema):
    """JSON Schema without the titles that repeat each name, and without warnings."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - pydantic's declaration
        "skipped-choice",  # a choice that JSON cannot hold is none the model has
        "non-serializable-default",  # the argument stays optional
    }

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic asks it so
        """Say no: `"title": "City"` beside `"city"` costs tokens and tells nothing."""
        return False

    def encode_default(self, dft: Any) -> Any:
        """Return a default as JSON; one that JSON cannot hold, such as infinity, is left out."""
        try:
            return json_copy(super().encode_default(dft), what="default")
        except InvalidInput as error:
            raise PydanticSerializationError(str(error)) from error


def from_model(model: type[BaseModel]) -> Definition:
    """Read a pydantic model: its name, its docstring, and its fields as the arguments."""
    schema = model_schema(model)
    said = read_docstring(schema.pop("description", ""))
    return Definition(model.__name__, said.description, documented(schema, said), "pydantic")


def model_schema(model: Any) -> dict[str, Any]:
    """Return the JSON Schema of a pydantic model of version 2 or 1, without its title.

    Raises:
        InvalidInput: A field has a type that JSON cannot hold.
    """
    try:
        if hasattr(model, "model_json_schema"):
            schema = model.model_json_schema(schema_generator=_Writer)
        else:
            schema = model.schema()
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise InvalidInput(
            f"the model {model.__name__} has a field that JSON Schema cannot describe: "
            f"{error.message}. Change the field's type, or {INSTEAD}."
        ) from error
    schema = rooted(schema)
    schema.pop("title", None)
    return schema


def is_json(hint: Any) -> bool:
    """Whether JSON can hold the values of a type."""
    try:
        TypeAdapter(hint).json_schema(schema_generator=_Writer)
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema):
        return False
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError):
        return True  # a mistake in the hint, which is told when all of them are written
    return True


def arguments_schema(hints: Mapping[str, Any], *, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of arguments.

    Args:
        hints: Their types by name, in order.
        defaults: What those have that need not be given, or pydantic's `Field(...)`.

    Raises:
        InvalidInput: A hint is mistaken.
    """
    fields: dict[str, Any] = {  # by alias, because a field may not be `_x`, `schema` or `model_x`
        f"p{place}": (Annotated[hint, Field(alias=name)], defaults.get(name, ...))
        for place, (name, hint) in enumerate(hints.items())
    }
    try:
        model = create_model("Arguments", **fields)
        schema: dict[str, Any] = model.model_json_schema(schema_generator=_Writer)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError) as error:
        raise InvalidInput(
            f"its type hints make no JSON Schema: {getattr(error, 'message', error)}. "
            f"Change them, or {INSTEAD}."
        ) from error
    schema.pop("title", None)
    return schema


def documented(schema: dict[str, Any], said: Documentation) -> dict[str, Any]:
    """Return a schema whose undescribed arguments have what the docstring says of them."""
    properties = {
        name: {**one, "description": said.arguments[name]}
        if name in said.arguments and "description" not in one
        else one
        for name, one in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema
