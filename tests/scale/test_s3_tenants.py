"""Tenants in a bucket: opened, listed and deleted like those in a folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from memory_tools import contents
from object_store import BUCKET, Server, running

from agentmem import Tenants
from agentmem.errors import StoreNotFound
from agentmem.testing import HashEmbedder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("s3")) as one:
        yield one


def test_tenants_live_in_a_bucket_and_leave_it_alone(server: Server) -> None:
    root = f"s3://{BUCKET}/tenants"
    options = {"embedder": HashEmbedder(), "storage_options": dict(server.options)}
    with Tenants.open(root, **options) as tenants:
        for name in ("acme", "Zürich/9"):
            with tenants.memory(name) as memory:
                memory.add(f"the harbour of {name}", user_id="ada")
    with Tenants.open(root, **options) as tenants:
        assert [one.id for one in tenants.list()] == ["Zürich/9", "acme"]
        with tenants.memory("acme") as memory:
            assert contents(memory.turns(user_id="ada")) == ["the harbour of acme"]
        assert tenants.delete("acme", dry_run=True).tenant == "acme"
        before = server.objects("tenants/")
        tenants.delete("acme")
        assert [one.id for one in tenants.list()] == ["Zürich/9"]
        assert 0 < len(server.objects("tenants/")) < len(before)
        with pytest.raises(StoreNotFound):
            tenants.delete("acme")
        with tenants.memory("Zürich/9") as memory:
            assert contents(memory.turns(user_id="ada")) == ["the harbour of Zürich/9"]
