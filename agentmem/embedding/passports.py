"""Passports read by people and written to files: what a difference means, and the JSON form.

Takes passports, gives one `Difference` a field, in the order of the fields. Looks at no vectors:
what a model does in spite of its passport, canaries tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Final

from agentmem.errors import InvalidInput
from agentmem.types import Passport
from agentmem.types.passport import PASSPORT_VERSION

__all__ = ["Difference", "describe_differences", "passport_from_json", "passport_json"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two passports differ.

    Attributes:
        field: Its name.
        stored: Its value in the store.
        given: Its value for the embedder.
        comparable: Whether vectors of both may still be compared, were this the only difference.
        meaning: What follows for the vectors.
        cause: How it usually comes about.
    """

    field: str
    stored: Any
    given: Any
    comparable: bool
    meaning: str
    cause: str


@dataclass(frozen=True, slots=True)
class _About:
    """What is known of a field."""

    comparable: bool
    meaning: str
    cause: str


_OTHER_MODEL: Final = "vectors of another model lie elsewhere, and a cosine between them is noise"
_RENAMED: Final = _About(
    comparable=True,
    meaning="the weights are the same, byte for byte: only their name differs",
    cause="the model was opened from a folder or a mirror",
)

_ABOUT: Final[Mapping[str, _About]] = {
    "provider": _About(
        comparable=False,
        meaning="another library or service may tokenize, pool and scale otherwise",
        cause="the embedder was exchanged",
    ),
    "model": _About(comparable=False, meaning=_OTHER_MODEL, cause="the embedder was exchanged"),
    "dimension": _About(
        comparable=False,
        meaning="vectors of different length cannot be compared at all",
        cause="another model, or another truncate_dim or dimensions",
    ),
    "revision": _About(
        comparable=False,
        meaning="another revision may have other weights, and then its vectors lie elsewhere",
        cause="a branch or tag moved on; pin a commit",
    ),
    "weights": _About(
        comparable=False,
        meaning=_OTHER_MODEL,
        cause="the model was trained further, quantised, converted or damaged under the same name",
    ),
    "tokenizer": _About(
        comparable=False,
        meaning="the same text becomes other tokens, and its vector another one",
        cause="a tokenizer file or its settings (lower case, accents) were edited or updated",
    ),
    "window": _About(
        comparable=True,
        meaning="texts within both windows have the same vectors; longer ones are cut elsewhere",
        cause="max_seq_length, or the service's limit, was changed",
    ),
    "pooling": _About(
        comparable=False,
        meaning="the tokens of a text are combined otherwise, and its vector is another one",
        cause="another pooling was configured, in the model's folder or in the service",
    ),
    "normalized": _About(
        comparable=False,
        meaning="directions are the same, lengths are not, and similarity is right for unit length",
        cause="the step that scales vectors was left out or added",
    ),
    "query_prompt": _About(
        comparable=False,
        meaning="stored documents stay right, but questions lie elsewhere, as do stored examples",
        cause="query_prompt was passed, or the model's configuration has another one",
    ),
    "document_prompt": _About(
        comparable=False,
        meaning="new documents lie elsewhere than the stored ones",
        cause="document_prompt was passed, or the model's configuration has another one",
    ),
    "precision": _About(
        comparable=True,
        meaning="between float32, float16 and bfloat16 cosines stay above .9999",
        cause="the model was loaded, or its weights were stored, in another number format",
    ),
    "text_format": _About(
        comparable=True,
        meaning="the space is the same, but another text of each turn was embedded",
        cause="agentmem was upgraded",
    ),
    "chunker": _About(
        comparable=True,
        meaning="the space is the same, but long texts are cut elsewhere",
        cause="agentmem was upgraded, or the embedder now has, or lacks, a tokenizer to cut by",
    ),
    "full_dimension": _About(
        comparable=False,
        meaning="the components kept are the first of another model's, or were learnt otherwise",
        cause="another model, or truncation on one side only",
    ),
    "version": _About(
        comparable=True,
        meaning="the passport itself has other fields; this says nothing of the vectors",
        cause="agentmem was upgraded",
    ),
}
_FLOATS: Final = frozenset({"float32", "float16", "bfloat16"})
_QUANTISED: Final = _About(
    comparable=False,
    meaning="quantised weights give other vectors: int8 moved canaries to a cosine of .76",
    cause="the model was quantised, or is no longer",
)


def describe_differences(stored: Passport, given: Passport) -> list[Difference]:
    """Say of each field that differs what it means and where it usually comes from.

    Vectors of both may be compared if every difference is comparable.
    """
    same_weights = stored.weights is not None and stored.weights == given.weights
    described = []
    for name, values in stored.differences(given).items():
        about = _about(name, values, same_weights=same_weights)
        described.append(
            Difference(name, *values, about.comparable, meaning=about.meaning, cause=about.cause)
        )
    return described


def passport_json(passport: Passport) -> dict[str, Any]:
    """Return the fields of a passport and its `id`, ready for `json.dumps`."""
    return {"id": passport.id, **asdict(passport)}


def passport_from_json(data: Mapping[str, Any]) -> Passport:
    """Read what `passport_json` gave, or an older form of it with fewer fields.

    Raises:
        InvalidInput: It is no passport, was written by a newer agentmem, or was altered.
    """
    if not isinstance(data, Mapping):
        raise InvalidInput(
            f"a passport is a JSON object, and this is {type(data).__name__}. Repair: pass what "
            "`agentmem passport show --json` prints."
        )
    given = {name: value for name, value in data.items() if name != "id"}
    _check_known(given)
    passport = _validated(given)
    complete = given.keys() == {field.name for field in fields(Passport)}
    if complete and data.get("id", passport.id) != passport.id:
        raise InvalidInput(
            f"the passport says that its id is {data['id']!r}, but its fields make "
            f"{passport.id!r}: it was altered. Repair: read it again from the store."
        )
    return passport


def _about(name: str, values: tuple[Any, Any], *, same_weights: bool) -> _About:
    if name in {"model", "revision"} and same_weights:
        return _RENAMED
    if name == "precision" and not _FLOATS.issuperset(values):
        return _QUANTISED
    return _ABOUT[name]


def _check_known(given: Mapping[str, Any]) -> None:
    unknown = sorted(map(str, given.keys() - {field.name for field in fields(Passport)}))
    version = given.get("version", PASSPORT_VERSION)
    if unknown or (isinstance(version, int) and version > PASSPORT_VERSION):
        raise InvalidInput(
            f"the passport has version {version} and fields that this agentmem does not know "
            f"({', '.join(unknown) or 'none by name'}): a newer one wrote it, and spaces that it "
            "tells apart would look the same here. Repair:  pip install --upgrade agentmem"
        )
    missing = [field.name for field in fields(Passport) if field.default is MISSING]
    missing = [name for name in missing if name not in given]
    if missing:
        raise InvalidInput(
            f"the passport lacks {', '.join(missing)}. Repair: pass what "
            "`agentmem passport show --json` prints."
        )


def _validated(given: Mapping[str, Any]) -> Passport:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Passport).validate_json(json.dumps(given), strict=True)
    except TypeError as error:
        raise InvalidInput(
            f"the passport is no JSON: {error}. Repair: pass JSON values."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            f"the passport's {'.'.join(map(str, first['loc']))} cannot be used: {first['msg']}. "
            "Repair: pass what `agentmem passport show --json` prints."
        ) from error
