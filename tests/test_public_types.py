"""What a type checker says of the public API: mypy reads the function, nothing runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import assert_type

import agentmem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentmem import (
        ALL,
        AsyncMemory,
        AsyncToolRouter,
        Context,
        Hit,
        Memory,
        Recall,
        Tool,
        ToolRouter,
        Turn,
        field,
    )
    from agentmem.filters import And, Comparison
    from agentmem.types import CatalogueChange, Deletion, ImportReport, Session, StoreStats
    from agentmem.types.guards import AddedIds

    def public(memory: Memory) -> None:
        assert_type(Memory.open("ada.mem"), Memory)
        assert_type(memory.scoped(user_id="ada"), Memory)
        assert_type(memory.add("hello", user_id="ada"), AddedIds)
        assert_type(memory.import_turns("turns.jsonl"), ImportReport)
        assert_type(memory.export("turns.parquet", scope=ALL), int)
        recall = memory.search("where?", user_id="ada")
        assert_type(recall, Recall)
        assert_type(recall[0], Hit)
        assert_type(recall[:2], tuple[Hit, ...])
        assert_type([hit.turn for hit in recall], list[Turn])
        assert_type(recall[0].terms, Mapping[str, float])
        assert_type(memory.context("where?", max_tokens=100, user_id="ada"), Context)
        assert_type(memory.get("id", user_id="ada"), Turn)
        assert_type(memory.turns(session_id="s1"), list[Turn])
        assert_type(memory.sessions(user_id="ada"), list[Session])
        assert_type(memory.count(user_id="ada"), int)
        assert_type(memory.stats(), StoreStats)
        assert_type(memory.delete("id", user_id="ada"), Deletion)
        condition = field("metadata.topic") == "travel"
        assert_type(condition, Comparison)
        assert_type(condition & (field("role") == "user"), And)
        memory.search("where?", user_id="ada", where=condition, since="2026-01-01T00:00:00Z")

    async def awaited(memory: AsyncMemory, router: AsyncToolRouter) -> None:
        assert_type(await AsyncMemory.open("ada.mem"), AsyncMemory)
        assert_type(memory.scoped(user_id="ada"), AsyncMemory)
        assert_type(await memory.add("hello", user_id="ada"), AddedIds)
        assert_type(await memory.search("where?", user_id="ada"), Recall)
        assert_type(await memory.turns(session_id="s1"), list[Turn])
        assert_type(await router.list(), list[Tool])
        async with AsyncToolRouter.open("ada.mem") as opened:
            assert_type(opened, AsyncToolRouter)

    def routing(router: ToolRouter) -> None:
        assert_type(ToolRouter.open("ada.mem"), ToolRouter)
        assert_type(router.register([routing], tags=["free"]), CatalogueChange)
        assert_type(router.sync([], namespace="asia", dry_run=True), CatalogueChange)
        assert_type(router.remove(["routing"]), CatalogueChange)
        assert_type(router.get("routing"), Tool)
        assert_type(router.list(where=field("tags").contains("free")), list[Tool])
        assert_type(router.namespaces(), dict[str, int])


def test_every_public_name_resolves() -> None:
    assert all(hasattr(agentmem, name) for name in agentmem.__all__)
