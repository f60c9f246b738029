"""Erasure: no byte of it in any file, nothing else touched, nothing comes back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_tools import contents, ids, open_hashed, say

from agentmem import InvalidInput, Memory, ScopeRequired, field
from agentmem.forgetting import forgetter
from agentmem.storage.schema import turn_key
from agentmem.telemetry.local import record
from agentmem.testing import HashEmbedder
from agentmem.traces import open_traces
from agentmem.types import ALL, Receipt

WHY = "request of the user"


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetter.Forgetter.__init__, "__kwdefaults__", {"grace": 0.0})


def secret(user: str, number: int) -> str:
    stone = "blue" if number % 2 else "red"
    return f"password-{user}-{number:03d} lies below the {stone} stone that {user} found at the sea"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_hashed(tmp_path / "store", embedder=HashEmbedder(1024, window=12)) as memory:
        for user in ("ada", "bob"):
            for part in range(3):
                said = [
                    say(
                        secret(user, n),
                        id=f"identity-{user}-{n:03d}",
                        metadata={"note": f"meta-{user}-{n:03d}"},
                    )
                    for n in range(part * 20, part * 20 + 20)
                ]
                memory.add(said, user_id=user, session_id=f"session-{user}-{part}")
        yield memory


def folder_of(memory: Memory) -> Path:
    folder = memory._home.parts.store.folder
    assert folder is not None
    return folder


def holding(memory: Memory, *sought: bytes) -> list[str]:
    """Files of the store that hold any of these bytes."""
    folder = folder_of(memory)
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and any(one in path.read_bytes() for one in sought)
    ]


def bytes_of(memory: Memory, user: str, number: int) -> list[bytes]:
    """What a turn has in the files: its words, id, key, metadata, terms and vectors."""
    key = turn_key(f"identity-{user}-{number:03d}", user_id=user, agent_id=None)
    vectors = memory._home.parts.store.vectors_by_key([key])[key][:1]  # others share the rest
    return [
        f"password-{user}-{number:03d}".encode(),
        f"identity-{user}-{number:03d}".encode(),
        f"meta-{user}-{number:03d}".encode(),
        key.encode(),
        *(vector.tobytes() for vector in vectors),
    ]


def test_no_byte_of_an_erased_turn_is_in_any_file(memory: Memory) -> None:
    gone = [bytes_of(memory, "ada", n) for n in (7, 22)]
    kept = bytes_of(memory, "ada", 8)
    for turn in gone:
        for one in turn:
            assert holding(memory, one), "else the scan below shows nothing"
    receipt = memory.forget(
        ["identity-ada-007", "identity-ada-022"], user_id="ada", reason=WHY, progress=False
    )
    assert (receipt.result, receipt.remains, receipt.turns) == ("erased", (), 2)
    for turn in gone:
        for one in turn:
            assert holding(memory, one) == [], one
    assert [one for one in kept if not holding(memory, one)] == []
    assert memory.count(user_id="ada") == 58
    assert memory.count(user_id="bob") == 60
    assert receipt.files_scanned > 0
    assert receipt.sought > 10


def test_a_user_is_erased_and_another_is_untouched(memory: Memory) -> None:
    before = memory.turns(user_id="bob", limit=999)
    mine = [one for n in range(0, 60, 7) for one in bytes_of(memory, "ada", n)]
    preview = memory.forget(user_id="ada", reason=WHY, dry_run=True)
    assert (preview.result, preview.turns) == ("preview", 60)
    assert memory.count(user_id="ada") == 60
    receipt = memory.forget(user_id="ada", reason=WHY, progress=False)
    assert receipt.result == "erased"
    assert (
        holding(memory, *mine, b"identity-ada", b"password-ada", b"session-ada", b"meta-ada") == []
    )
    assert memory.turns(user_id="bob", limit=999) == before
    assert ids(memory.search("password-bob-003", user_id="bob", k=1)) == ["identity-bob-003"]
    assert memory.search("password-ada-003", user_id="ada").candidates == 0


def test_what_others_say_as_well_stays_theirs(memory: Memory) -> None:
    memory.add(say("the very same words of two people", id="same-a"), user_id="ada")
    memory.add(say("the very same words of two people", id="same-b"), user_id="bob")
    receipt = memory.forget("same-a", user_id="ada", reason=WHY, progress=False)
    assert receipt.result == "erased"
    assert receipt.shared > 0
    assert memory.get("same-b", user_id="bob").content == "the very same words of two people"
    assert holding(memory, turn_key("same-a", user_id="ada", agent_id=None).encode()) == []


def test_a_receipt_names_nobody_in_the_store_and_is_signed(memory: Memory) -> None:
    key = secrets.token_bytes(32)
    receipt = memory.forget(
        user_id="ada",
        where=field("session_id") == "session-ada-0",
        reason=WHY,
        by="ops",
        key=key,
        progress=False,
    )
    assert receipt.subject is not None
    assert receipt.verify(key)
    assert not receipt.verify(secrets.token_bytes(32))
    (kept,) = memory.receipts()
    assert kept.subject is None
    assert kept.verify(key)
    assert (kept.id, kept.turns, kept.by, kept.reason) == (receipt.id, 20, "ops", WHY)
    assert Receipt.from_json(receipt.to_json()) == receipt
    assert holding(memory, b"session-ada-0") == []


def test_a_replayed_transcript_does_not_bring_it_back(memory: Memory) -> None:
    memory.forget(["identity-ada-007"], user_id="ada", reason=WHY, progress=False)
    again = memory.add(
        [
            say(secret("ada", 7), id="identity-ada-007"),
            say(secret("ada", 7)),
            say(f"  {secret('ada', 7)}\r\n", id="another"),
            say(secret("ada", 8), id="identity-ada-008", metadata={"note": "meta-ada-008"}),
            say("something new", id="new"),
        ],
        user_id="ada",
        session_id="session-ada-0",
    )
    assert [one.reason for one in again.left_out] == ["forgotten"] * 3
    assert memory.search("password-ada-007", user_id="ada").candidates == 60
    assert memory.get("new", user_id="ada").content == "something new"
    assert holding(memory, b"password-ada-007") == []
    report = memory.import_turns([say(secret("ada", 7))], user_id="ada", progress=False)
    assert report.stored == 0
    bob = memory.add(say(secret("ada", 7), id="identity-ada-007"), user_id="bob")
    assert not bob.left_out, "a tombstone is one user's"
    wanted = memory.add(
        say(secret("ada", 7), id="identity-ada-007"), user_id="ada", allow_forgotten=True
    )
    assert not wanted.left_out
    assert memory.get("identity-ada-007", user_id="ada").content == secret("ada", 7)
    assert not memory.add(say(secret("ada", 7), id="once-more"), user_id="ada").left_out


def test_a_short_word_may_be_said_again(memory: Memory) -> None:
    memory.add(say("yes, thanks", id="short"), user_id="ada")
    memory.forget("short", user_id="ada", reason=WHY, progress=False)
    assert not memory.add(say("yes, thanks", id="later"), user_id="ada").left_out
    assert memory.add(say("anything", id="short"), user_id="ada").left_out


def test_every_generation_forgets(memory: Memory) -> None:
    gone = bytes_of(memory, "ada", 7)
    memory.migrate(HashEmbedder(64, window=12), progress=False)
    gone += bytes_of(memory, "ada", 7)
    receipt = memory.forget("identity-ada-007", user_id="ada", reason=WHY, progress=False)
    assert receipt.result == "erased"
    assert holding(memory, *gone) == []
    migration = memory.migration()
    assert migration is not None
    migration.rollback(progress=False)
    assert memory.count(user_id="ada") == 59
    assert holding(memory, *gone) == []


def test_usage_examples_that_quote_it_go_too(memory: Memory) -> None:
    from learning_tools import CATALOGUE
    from router_tools import open_router

    folder = folder_of(memory)
    with open_router(folder, embedder=HashEmbedder(1024, window=12)) as router:
        router.register(CATALOGUE)
        router.add_examples({"fix_car": [secret("ada", 7), "my car is broken"]})
    receipt = memory.forget("identity-ada-007", user_id="ada", reason=WHY, progress=False)
    assert receipt.rows["tool_examples"] == 1
    assert holding(memory, b"password-ada-007") == []
    with open_router(folder, embedder=HashEmbedder(1024, window=12)) as router:
        assert router.select("my car is broken", k=1).names == ["fix_car"]


def test_nothing_is_erased_by_mistake(memory: Memory) -> None:
    with pytest.raises(ScopeRequired):
        memory.forget("identity-ada-007", reason=WHY)
    with pytest.raises(InvalidInput, match="empty list"):
        memory.forget([], user_id="ada", reason=WHY)
    with pytest.raises(InvalidInput, match="reason"):
        memory.forget(user_id="ada", reason=" ")
    with pytest.raises(InvalidInput, match="16 bytes"):
        memory.forget(user_id="ada", reason=WHY, key=b"short")
    with pytest.raises(InvalidInput):
        memory.scoped(user_id="bob").forget(user_id="ada", reason=WHY)
    with pytest.raises(InvalidInput, match="receipts"):
        memory.scoped(user_id="bob").receipts()
    assert memory.forget("nobody-has-this", user_id="ada", reason=WHY, progress=False).turns == 0
    assert memory.count(scope=ALL) == 120
    assert len(contents(memory.turns(user_id="ada", limit=999))) == 60


def test_snapshots_forget_too(memory: Memory) -> None:
    gone = bytes_of(memory, "ada", 7)
    memory.snapshot("before")
    memory.delete("identity-ada-007", user_id="ada")
    receipt = memory.forget("identity-ada-007", user_id="ada", reason=WHY, progress=False)
    assert (receipt.result, receipt.turns) == ("erased", 1), "it was in the snapshot alone"
    assert holding(memory, *gone) == []
    with memory.at("before") as then:
        assert then.count(user_id="ada") == 59
        assert then.count(user_id="bob") == 60
    memory.restore("before")
    assert memory.count(user_id="ada") == 59


def test_recorded_traces_lose_the_spans_that_name_or_quote_it(
    memory: Memory, tmp_path: Path
) -> None:
    folder, store = tmp_path / "traces", folder_of(memory)
    embedder = HashEmbedder(1024, window=12)
    with record(folder), open_hashed(store, embedder=embedder, capture_content=True) as watched:
        watched.context("password-ada-007", user_id="ada", max_tokens=100)
        watched.search("password-bob-003", user_id="bob", k=1)
    assert len(open_traces(folder).retrievals()) == 2
    receipt = memory.forget(
        "identity-ada-007", user_id="ada", reason=WHY, traces=folder, progress=False
    )
    assert receipt.spans > 0
    (left,) = open_traces(folder).retrievals()
    assert left.user_id == "bob"
