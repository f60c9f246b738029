"""A store for each tenant: apart from each other, opened once, closed when idle."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tools import WIDE, contents, open_hashed, say
from test_tenants_naming import HOSTILE

from agentmem import Memory, Tenants, ToolRouter
from agentmem.errors import EmbedderMismatch, InvalidInput, StoreError, StoreNotFound
from agentmem.tenants.naming import folder_name
from agentmem.tenants.pool import Pool
from agentmem.tenants.settings import Settings
from agentmem.testing import HashEmbedder

THREADS = 8
ADA: dict[str, Any] = {"user_id": "ada"}


def opened(root: Path, **options: Any) -> Tenants:
    """Open tenants whose vectors are hashed words."""
    return Tenants.open(root, **{"embedder": HashEmbedder(WIDE), **options})


def told(tenants: Tenants, tenant: str) -> list[str]:
    """Return what a tenant's memory holds."""
    with tenants.memory(tenant) as memory:
        return contents(memory.turns(**ADA))


def test_tenants_do_not_see_each_other(tmp_path: Path) -> None:
    with opened(tmp_path / "root") as tenants:
        for tenant in ("acme", "Acme"):
            with tenants.memory(tenant) as memory:
                memory.add(say(f"the harbour of {tenant}"), **ADA)
        for tenant in ("acme", "Acme"):
            with tenants.memory(tenant) as memory:
                assert contents(memory.search("harbour", **ADA)) == [f"the harbour of {tenant}"]
        assert [one.id for one in tenants.list()] == ["Acme", "acme"]


def test_memory_and_router_of_a_tenant_share_its_folder(tmp_path: Path) -> None:
    with opened(tmp_path) as tenants:
        with tenants.memory("acme") as memory, tenants.router("acme") as router:
            memory.add(say("hello"), **ADA)
            router.register([told])
        (tenant,) = tenants.list()
        assert tenant.path == tenants.path("acme") == str(tmp_path / "acme")
        figures = tenant.figures()
        assert (figures.turns, figures.tools) == (1, 1)
        files = [path for path in (tmp_path / "acme").rglob("*") if path.is_file()]
        assert figures.bytes >= sum(path.stat().st_size for path in files) > 0
    with open_hashed(tmp_path / "acme", create=False) as memory:
        assert contents(memory.turns(**ADA)) == ["hello"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=6)), max_size=3))
def test_no_id_touches_another_tenant_or_a_file_outside(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    around = tmp_path_factory.mktemp("around")
    (around / "secret").write_text("keep", encoding="utf-8")
    with opened(around / "root") as tenants:
        with tenants.memory("victim") as memory:
            memory.add(say("the victim's"), **ADA)
        for tenant in {*ids} - {"victim"}:
            try:
                with tenants.memory(tenant) as memory:
                    assert memory.count(**ADA) == 0
                    memory.add(say("mine"), **ADA)
            except InvalidInput:
                continue
            made = folder_name(tenant)
            assert {path.name for path in (around / "root").iterdir()} == {"victim", made}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("agentmem.tenants.removing.LINGER", 0)
                assert tenants.delete(tenant).turns == 1
        assert told(tenants, "victim") == ["the victim's"]
    assert {path.name for path in around.iterdir()} == {"root", "secret"}
    assert [path.name for path in (around / "root").iterdir()] == ["victim"]


def test_threads_that_ask_for_one_tenant_get_one_store(tmp_path: Path) -> None:
    barrier = threading.Barrier(THREADS)
    with opened(tmp_path) as tenants:

        def ask(_: int) -> Memory:
            barrier.wait(60)
            with tenants.memory("acme") as memory:
                memory.add(say("hello", id="1"), **ADA)
                return memory

        with ThreadPoolExecutor(THREADS) as pool:
            assert len({id(one) for one in pool.map(ask, range(THREADS))}) == 1
        assert told(tenants, "acme") == ["hello"]


class Slow(HashEmbedder):
    """Is asked for its passport while a store is made, and waits until it may answer."""

    def __init__(self) -> None:
        super().__init__(WIDE)
        self.asked = threading.Event()
        self.may = threading.Event()
        self.waits = False

    @property
    def passport(self) -> Any:
        if self.waits and threading.current_thread().name == "slow":
            self.asked.set()
            assert self.may.wait(60)
        return super().passport


def test_a_slow_opening_holds_up_nobody_else(tmp_path: Path) -> None:
    embedder = Slow()
    with opened(tmp_path, embedder=embedder) as tenants:
        embedder.waits = True
        slow = threading.Thread(target=lambda: told(tenants, "slow"), name="slow")
        slow.start()
        assert embedder.asked.wait(60)
        assert told(tenants, "quick") == []
        assert slow.is_alive()
        embedder.may.set()
        slow.join(60)
        assert [one.id for one in tenants.list()] == ["quick", "slow"]


def test_the_longest_unused_is_closed_and_nothing_in_use(tmp_path: Path) -> None:
    with opened(tmp_path, max_open=2) as tenants:
        with tenants.memory("a") as a, tenants.memory("b") as b, tenants.memory("c") as c:
            assert [one.closed for one in (a, b, c)] == [False] * 3
        assert [one.closed for one in (a, b, c)] == [False, False, True]  # given back first
        with tenants.memory("a") as again:
            assert again is a
        with tenants.memory("d"):
            assert b.closed
            assert not a.closed
        assert told(tenants, "b") == []


def test_many_threads_over_more_tenants_than_may_be_open(tmp_path: Path) -> None:
    names = [f"t{n}" for n in range(5)]
    with opened(tmp_path, max_open=2) as tenants:

        def talk(thread: int) -> None:
            for n in range(10):
                name = names[(thread + n) % len(names)]
                with tenants.memory(name) as memory:
                    memory.add(say(f"{name} heard {thread} {n}"), **ADA)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(talk, range(THREADS)))
        heard = [line for name in names for line in told(tenants, name) if line.startswith(name)]
        assert len(heard) == THREADS * 10
        assert sum(len(told(tenants, name)) for name in names) == THREADS * 10


def test_a_pool_closes_each_value_once_and_none_in_use() -> None:
    class Value:
        def __init__(self, name: str) -> None:
            self.name, self.closed, self.users = name, 0, 0

        def close(self) -> None:
            assert self.users == 0
            self.closed += 1

    made: list[Value] = []
    lock = threading.Lock()

    def make(name: str) -> Value:
        made.append(Value(name))
        return made[-1]

    pool = Pool(make, most=3)

    def work(thread: int) -> None:
        for n in range(300):
            with pool.using(str((thread * 7 + n) % 9)) as value:
                with lock:
                    value.users += 1
                assert not value.closed
                with lock:
                    value.users -= 1

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))
    assert len(pool.names) == 3
    assert [one for one in made if not one.closed] == [
        one for one in made if one.name in pool.names and not one.closed
    ]
    assert len(made) > 9
    pool.close()
    assert {one.closed for one in made} == {1}


def test_a_store_that_its_user_closed_is_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as tenants:
        with tenants.memory("acme") as memory:
            memory.close()
        assert told(tenants, "acme") == []


def test_one_embedder_and_one_cache_serve_all(tmp_path: Path) -> None:
    class Counting(HashEmbedder):
        asked: list[str] = []  # noqa: RUF012 - of one test

        def embed(self, texts: Any, *, kind: Any) -> Any:
            self.asked.extend(texts)
            return super().embed(texts, kind=kind)

    with opened(tmp_path, embedder=Counting(WIDE)) as tenants:
        for tenant in ("a", "b"):
            with tenants.memory(tenant) as memory:
                memory.add(say("said once"), **ADA)
                memory.search("asked once", **ADA)
    assert Counting.asked.count("asked once") == 1


def test_settings_reach_the_stores(tmp_path: Path) -> None:
    def refuse(turn: Any) -> None:
        return None

    with opened(tmp_path, before_store=[refuse]) as tenants:
        with tenants.memory("acme") as memory:
            assert len(memory.add(say("secret"), **ADA).left_out) == 1
        assert told(tenants, "acme") == []
    with opened(tmp_path, embedder=HashEmbedder(8)) as tenants:  # noqa: SIM117 - one at a time
        with pytest.raises(EmbedderMismatch), tenants.memory("acme"):
            pass
    with opened(tmp_path, embedder=HashEmbedder(8), standby=[HashEmbedder(WIDE)]) as tenants:
        assert told(tenants, "acme") == []


def test_every_setting_is_one_of_memory_or_router() -> None:
    openings = (Memory.open, ToolRouter.open)
    taken = {name for one in openings for name in inspect.signature(one).parameters}
    own = {*inspect.signature(Tenants.open).parameters} - {"settings", "root", "max_open"}
    assert own | set(Settings.__annotations__) == taken - {"path"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_open": 0}, "max_open=0"),
        ({"resident_bytes": -1}, "resident_bytes=-1"),
        ({"rankin": None}, "Did you mean 'ranking'"),
        ({"on_mismatch": "migrate"}, "one at a time"),
        ({"drift_policy": "migrate"}, "one at a time"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        opened(tmp_path, **options)


def test_a_tenant_without_a_store_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="no folder of tenants"):
        opened(tmp_path / "none", create=False)
    for options in ({"create": False}, {"read_only": True}):
        with opened(tmp_path, **options) as tenants:
            with pytest.raises(StoreNotFound, match="tenant 'acme' has no store") as caught:
                told(tenants, "acme")
            assert isinstance(caught.value, FileNotFoundError)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_root_is_read(tmp_path: Path) -> None:
    with opened(tmp_path) as tenants, tenants.memory("acme") as memory:
        memory.add(say("hello"), **ADA)
    with opened(tmp_path, read_only=True) as tenants:
        assert told(tenants, "acme") == ["hello"]
        with pytest.raises(StoreError, match="read_only=True"), tenants.memory("acme") as memory:
            memory.add(say("no"), **ADA)
        with pytest.raises(StoreError, match="read_only=True"):
            tenants.delete("acme")


def test_a_store_is_no_root_and_a_root_no_store(tmp_path: Path) -> None:
    with opened(tmp_path) as tenants:
        told(tenants, "acme")
    with pytest.raises(StoreNotFound, match="is a store itself"):
        opened(tmp_path / "acme")
    with pytest.raises(StoreNotFound, match="is not an agentmem store"):
        open_hashed(tmp_path)


@pytest.mark.parametrize("linked", ["acme", "acme/turns_g1.lance"])
def test_a_link_is_not_followed(tmp_path: Path, linked: str) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    with opened(root) as tenants:
        told(tenants, "acme")
    (root / linked).rename(outside)
    (root / linked).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    with opened(root) as tenants:
        with pytest.raises(StoreError, match="symbolic link"):
            told(tenants, "acme")
        with pytest.raises(StoreError, match="symbolic link"):
            told(tenants, "acme")
    assert sorted(outside.rglob("*")) == before


def test_a_closed_root_gives_nothing_but_leaves_what_is_in_use(tmp_path: Path) -> None:
    tenants = opened(tmp_path)
    with tenants.memory("acme") as memory:
        tenants.close()
        memory.add(say("still here"), **ADA)
    assert memory.closed
    for call in (lambda: told(tenants, "acme"), tenants.list, lambda: tenants.delete("acme")):
        with pytest.raises(StoreError, match="is closed"):
            call()
