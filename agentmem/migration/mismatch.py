"""What opening a store does when it is in another space than the embedder that was given."""

from __future__ import annotations

import logging
from typing import Literal, TypeAlias, get_args

from agentmem.embedding.choice import Embedders
from agentmem.errors import EmbedderMismatch, EmbeddingFailed, InvalidInput
from agentmem.migration.handle import Migration
from agentmem.migration.migrations import Migrations, Wanted
from agentmem.types import Passport

__all__ = ["Mismatch", "move_on", "needs_moving"]

Mismatch: TypeAlias = Literal["raise", "serve_old", "migrate"]
"""Refuse; go on in the store's own space; or do so while the store is moved to the given one."""

logger = logging.getLogger("agentmem")


def needs_moving(stored: Passport, *, embedders: Embedders, policy: Mismatch) -> bool:
    """Whether a store is in another space than the embedders that were given, and may stay so.

    Raises:
        EmbedderMismatch: It is, and the policy is to refuse that, or there is no model of its
            space to serve with.
        InvalidInput: There is no such policy.
    """
    if policy not in get_args(Mismatch):
        raise InvalidInput(
            f"on_mismatch={policy!r}: pass one of {', '.join(map(repr, get_args(Mismatch)))}."
        )
    try:
        embedders.matching(stored)
    except EmbedderMismatch as error:
        if policy == "raise":
            raise
        if policy == "serve_old":
            embedders.of(stored)
        given = embedders.primary.passport
        logger.warning(
            "the store is in the space of %s (%s), not of %s (%s): on_mismatch=%r. It differs in "
            "%s.",
            *(stored.model, stored.id, given.model, given.id, policy),
            ", ".join(error.stored.differences(given)),
        )
        return True
    return False


def move_on(migrations: Migrations, *, embedders: Embedders, stored: Passport) -> None:
    """Move a store to the embedder that was given: beside serving, where the old model is here.

    Without the old model nothing can be asked of the store, so it is moved before this returns,
    with a progress bar on a terminal.

    Raises:
        EmbeddingFailed: The new model does not work.
        StoreError: The store is read-only, or could not be written.
    """
    wanted = Wanted()
    migration = Migration(migrations.start(embedders.primary.inner, wanted), of=migrations)
    try:
        embedders.of(stored)
    except (EmbedderMismatch, EmbeddingFailed):
        migration.run(wanted)
        return
    migration.begin(wanted)
