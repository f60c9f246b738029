"""What a store says of itself: its schema, its generations, and which of them is in force.

A generation is every table that holds vectors, in one embedding space. One value holds all of
this, so that one compare-and-swap moves a store from one generation to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from agentmem.analysis import ANALYSIS
from agentmem.errors import StoreError
from agentmem.storage.schema import SCHEMA_VERSION
from agentmem.types import FIRST_GENERATION, Passport

__all__ = ["DESCRIPTION", "Description", "Generation", "passport_from"]

DESCRIPTION: Final = "store"
"""The name of the description among the values of a store."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One embedding space that a store is, was, or is about to be in.

    Attributes:
        number: Counted from 1; never used twice, not even of a migration that was given up.
        passport: Identity of the space.
    """

    number: int
    passport: Passport

    def table(self, holding: str) -> str:
        """Return the name of a table of vectors, such as that of "turns"."""
        return f"{holding}_g{self.number}"


@dataclass(frozen=True, slots=True)
class Description:
    """What a store says of itself.

    Attributes:
        created_at: ISO text of when it was made.
        generations: Those whose tables are kept, by number.
        active: Number of the one in force.
        last: The highest number ever given.
        flips: How often another generation was put in force.
        seal: Name of the run of a migration for which writers wait; None while they need not.
        shadow: Number of a generation that live questions are asked of as well, to compare.
        erasures: How often something was erased; what was known of it has to be forgotten.
        ready: Whether creation was not cut short.
        schema_version: Of its tables.
        analysis: How texts were cut into words.
    """

    created_at: str
    generations: Mapping[int, Generation]
    active: int = FIRST_GENERATION
    last: int = FIRST_GENERATION
    flips: int = 0
    seal: str | None = None
    shadow: int | None = None
    erasures: int = 0
    ready: bool = False
    schema_version: int = field(default=SCHEMA_VERSION)
    analysis: str = field(default=ANALYSIS)

    @classmethod
    def first(cls, passport: Passport, *, created_at: str) -> Description:
        """Return that of a store that is being made."""
        return cls(created_at, {FIRST_GENERATION: Generation(FIRST_GENERATION, passport)})

    @property
    def generation(self) -> Generation:
        """The generation in force."""
        return self.generations[self.active]

    def in_force(self, number: int) -> Description:
        """Return it with another generation in force, and writers free to go on."""
        return replace(self, active=number, flips=self.flips + 1, seal=None)

    def with_next(self, passport: Passport) -> tuple[Description, Generation]:
        """Return it with one generation more, which is not in force, and that generation."""
        made = Generation(self.last + 1, passport)
        return replace(self, last=made.number).having(made), made

    def having(self, generation: Generation) -> Description:
        """Return it with a generation whose number was given before."""
        return replace(self, generations={**self.generations, generation.number: generation})

    def without(self, number: int) -> Description:
        """Return it without a generation that is not in force."""
        kept = {one: told for one, told in self.generations.items() if one != number}
        return replace(self, generations=kept)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        kept = self.generations.items()
        return {**told, "generations": {str(n): asdict(one.passport) for n, one in kept}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Description:
        """Return what `to_json` gave; what a newer agentmem adds to it is passed over.

        Raises:
            StoreError: It was changed by something else.
        """
        known = {one.name for one in fields(cls)}
        try:
            told = {name: one for name, one in value.items() if name in known}
            numbered = {int(number): one for number, one in told["generations"].items()}
            told["generations"] = {
                number: Generation(number, passport_from(one)) for number, one in numbered.items()
            }
            found = cls(**told)
            _ = found.generation
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"the store's description cannot be read ({type(error).__name__}: {error}): it was "
                "changed by something else. Nothing was changed. Repair: restore the folder from "
                "a backup."
            ) from error
        return found


def passport_from(stored: Mapping[str, Any]) -> Passport:
    """Return a passport as it is stored."""
    known = {one.name for one in fields(Passport)}
    return Passport(**{name: value for name, value in stored.items() if name in known})
