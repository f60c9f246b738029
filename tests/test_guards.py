"""Admission: what hooks may do to a message, what they may not, and who is told."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_tools import MAY, Meddling, contents, open_hashed, say
from telemetry_tools import forget_providers, installed_exporter, installed_reader, points

from agentmem import Memory
from agentmem.errors import GuardFailed, InvalidInput
from agentmem.guards import admission
from agentmem.types import Attachment, Turn
from agentmem.types.guards import AddedIds, Admitted, LeftOut

RECIPE = "walnut cake recipe"


def masked(turn: Turn) -> Turn:
    return replace(turn, content=turn.content.replace(RECIPE, "***"))


def no_spam(turn: Turn) -> Turn | None:
    return None if "buy now" in turn.content else turn


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with open_hashed(tmp_path / "ada.mem", before_store=[masked, no_spam]) as opened:
        yield opened


def test_a_hook_changes_what_is_stored_embedded_and_found(memory: Memory) -> None:
    ids = memory.add(say(f"the {RECIPE} is in the drawer"), user_id="ada")
    assert ids.left_out == ()
    (stored,) = memory.turns(user_id="ada")
    assert stored.content == "the *** is in the drawer"
    assert stored.id == ids[0]
    (hit,) = memory.search("walnut", user_id="ada", mode="lexical")
    assert hit.score == 0  # the word is not there to be found


def test_a_refused_message_keeps_its_place_among_the_ids_and_is_not_stored(memory: Memory) -> None:
    given = [say("one", id="1"), say("buy now!", id="2"), say("three", id="3")]
    ids = memory.add(given, user_id="ada")
    assert isinstance(ids, list)
    assert ids == ["1", "2", "3"]
    (out,) = ids.left_out
    assert (out.id, out.reason, out.by) == ("2", "refused", "no_spam")
    assert "buy now" not in repr(out)
    assert contents(memory.turns(user_id="ada")) == ["one", "three"]


def test_a_write_of_which_nothing_is_let_in_stores_nothing(memory: Memory) -> None:
    ids = memory.add([say("buy now"), say("buy now, please")], user_id="ada")
    assert len(ids) == len(ids.left_out) == 2
    assert memory.count(user_id="ada") == 0


def test_the_ids_survive_pickling_and_compare_as_a_list() -> None:
    ids = AddedIds(["1", "2"], left_out=(LeftOut("2", "refused", "no_spam"),))
    again = pickle.loads(pickle.dumps(ids))  # noqa: S301 - made here
    assert again == ids == ["1", "2"]
    assert again.left_out == ids.left_out


def test_the_same_message_again_is_the_same_after_the_hook(memory: Memory) -> None:
    message = say(f"the {RECIPE}", id="m1", created_at=MAY)
    assert memory.add(message, user_id="ada") == memory.add(message, user_id="ada")
    assert memory.count(user_id="ada") == 1


def test_a_message_twice_in_one_call_passes_once(tmp_path: Path) -> None:
    seen: list[str] = []

    def noting(turn: Turn) -> Turn:
        seen.append(turn.id)
        return turn

    with open_hashed(tmp_path / "ada.mem", before_store=[noting]) as memory:
        one = say("hello", id="m1")
        assert memory.add([one, one], user_id="ada") == ["m1", "m1"]
        assert memory.count(user_id="ada") == 1
    assert seen == ["m1"]


def failing(turn: Turn) -> Turn:
    raise RuntimeError(f"cannot reach the scanner for {turn.content}")


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        (failing, "failing failed with RuntimeError"),
        (lambda turn: replace(turn, id="other"), "more of the message 'm2' than it may"),
        (lambda turn: replace(turn, user_id="eve"), "more of the message"),
        (lambda turn: replace(turn, role="system"), "more of the message"),
        (lambda turn: replace(turn, event_time=MAY), "more of the message"),
        (lambda turn: replace(turn, expires_at=MAY), "more of the message"),
        (lambda turn: replace(turn, attachments=(Attachment("image"),)), "more of the message"),
        (lambda turn: turn.content, "returned a str"),
        (lambda turn: replace(turn, content=" "), "content is empty"),
        (lambda turn: replace(turn, content="\ud800"), "surrogate"),
        (lambda turn: replace(turn, metadata={"x": object()}), "JSON cannot hold"),
        (lambda turn: replace(turn, name="x" * 513), "513 characters"),
    ],
)
def test_a_hook_that_fails_or_goes_too_far_fails_the_whole_write(
    hook: Any, told: str, tmp_path: Path
) -> None:
    def second(turn: Turn) -> Turn | None:
        changed: Turn | None = hook(turn) if turn.id == "m2" else turn
        return changed

    second.__qualname__ = getattr(hook, "__qualname__", "hook")
    with open_hashed(tmp_path / "ada.mem", before_store=[second]) as memory:
        with pytest.raises(GuardFailed, match=told) as caught:
            memory.add([say("one", id="m1"), say("my secret", id="m2")], user_id="ada")
        assert "my secret" not in str(caught.value)
        assert "Nothing of this call was stored" in str(caught.value)
        assert "Repair:" in str(caught.value)
        assert memory.count(user_id="ada") == 0


def test_a_hook_may_change_name_metadata_and_captions(tmp_path: Path) -> None:
    def anonymous(turn: Turn) -> Turn:
        shared = tuple(replace(one, caption="a picture") for one in turn.attachments)
        return replace(turn, name="somebody", metadata={"seen": [1, "x"]}, attachments=shared)

    with open_hashed(tmp_path / "ada.mem", before_store=[anonymous]) as memory:
        picture = {"type": "image", "url": "https://x/y.png", "caption": "Ada at the sea"}
        memory.add(say("look", name="Ada", attachments=[picture]), user_id="ada")
        (stored,) = memory.turns(user_id="ada")
    assert (stored.name, stored.metadata) == ("somebody", {"seen": [1, "x"]})
    assert stored.attachments == (Attachment("image", "https://x/y.png", "a picture"),)


@pytest.mark.parametrize("hooks", [7, "masked", [masked, "no_spam"], masked])
def test_what_is_no_hook_is_refused_before_a_store_is_made(hooks: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="before_store"):
        open_hashed(tmp_path / "ada.mem", before_store=hooks)
    assert not (tmp_path / "ada.mem").exists()


def test_a_correction_passes_the_hooks_as_well(memory: Memory) -> None:
    memory.add(say("it is in the cellar", id="m1"), user_id="ada")
    memory.supersede("m1", say(f"the {RECIPE} is in the drawer"), user_id="ada")
    assert "*** is in the drawer" in " ".join(contents(memory.turns(user_id="ada")))
    with pytest.raises(InvalidInput, match=r"the correction was left out.*no_spam"):
        memory.supersede("m1", say("buy now"), user_id="ada")
    assert memory.count(user_id="ada") == 2


def test_an_import_counts_what_is_left_out_and_sets_it_aside_without_its_text(
    memory: Memory, tmp_path: Path
) -> None:
    source = tmp_path / "chat.jsonl"
    records = [say("one"), say("buy now, secret 7"), say(""), say(f"the {RECIPE}")]
    source.write_text("".join(json.dumps(one) + "\n" for one in records))
    report = memory.import_turns(source, user_id="ada", progress=False)
    assert (report.stored, report.left_out, report.rejected) == (2, 1, 1)
    assert contents(memory.turns(user_id="ada")) == ["one", "the ***"]
    assert report.rejects_path is not None
    refused, empty = sorted(
        map(json.loads, Path(report.rejects_path).read_text().splitlines()),
        key=lambda one: one["line"],
    )
    assert (refused["line"], refused["raw"]) == (2, None)
    assert "no_spam" in refused["error"]
    assert "secret 7" not in json.dumps(refused)
    assert empty["raw"] == json.dumps(say(""))


def test_a_hook_that_fails_stops_an_import_which_goes_on_later(tmp_path: Path) -> None:
    source = tmp_path / "chat.jsonl"
    source.write_text("".join(json.dumps(say(f"m{n}")) + "\n" for n in range(6)))
    broken = True

    def flaky(turn: Turn) -> Turn:
        if broken and turn.content == "m4":
            raise OSError("scanner down")
        return turn

    with open_hashed(tmp_path / "ada.mem", before_store=[flaky]) as memory:
        with pytest.raises(GuardFailed):
            memory.import_turns(source, user_id="ada", batch_size=2, progress=False)
        assert memory.count(user_id="ada") == 4
        broken = False
        memory.import_turns(source, user_id="ada", batch_size=2, progress=False)
        assert contents(memory.turns(user_id="ada")) == [f"m{n}" for n in range(6)]


def test_a_write_that_loses_a_race_asks_no_hook_twice(tmp_path: Path) -> None:
    seen: list[str] = []

    def noting(turn: Turn) -> Turn:
        seen.append(turn.content)
        return turn

    embedder = Meddling()
    with (
        open_hashed(tmp_path / "ada.mem", embedder=embedder, before_store=[noting]) as memory,
        open_hashed(tmp_path / "ada.mem") as other,
    ):
        embedder.meanwhile = lambda: other.add(say("mine", id="m1", created_at=MAY), user_id="ada")
        memory.add([say("mine", id="m1", created_at=MAY), say("more")], user_id="ada")
        assert memory.count(user_id="ada") == 2
    assert seen == ["mine", "more"]


def test_spans_and_metrics_count_what_guards_did_and_quote_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_providers(monkeypatch)
    exporter, reader = installed_exporter(), installed_reader()
    hooks = [masked, no_spam]
    with open_hashed(tmp_path / "a.mem", before_store=hooks, capture_content=True) as memory:
        memory.add([say(f"the {RECIPE}"), say("buy now"), say("plain")], user_id="ada")
        spans = [one for one in exporter.get_finished_spans() if one.name == "create_memory"]
        counted = {
            one.attributes["agentmem.guard.outcome"]: one.value
            for one in points(reader)["agentmem.guarded"]
        }
    told = dict(spans[0].attributes or {})
    assert told["agentmem.memory.given"] == 3
    assert told["agentmem.guard.refused"] == told["agentmem.guard.changed"] == 1
    assert "agentmem.guard.recalled" not in told
    assert "plain" in str(told)
    everything = str([one.attributes for one in exporter.get_finished_spans()])
    assert RECIPE not in everything
    assert "buy now" not in everything
    assert counted == {"refused": 1, "changed": 1}


def test_what_was_changed_and_left_out_is_told_stage_by_stage() -> None:
    turns = [
        Turn(id=str(n), role="user", content=f"c{n}", event_time=MAY, ingested_at=MAY)
        for n in range(3)
    ]
    out = LeftOut("1", "forgotten", "tombstones")
    seen: list[list[str]] = []

    def first(given: Any) -> list[Turn | LeftOut]:
        return [out if one.id == "1" else one for one in given]

    def second(given: Any) -> list[Turn | LeftOut]:
        seen.append([one.id for one in given])
        return [replace(one, content="x") if one.id == "2" else one for one in given]

    became = admission(first, second)(turns)
    assert became == Admitted((turns[0], out, replace(turns[2], content="x")), changed=1)
    assert became.left_out == (out,)
    assert became.kept == [turns[0], replace(turns[2], content="x")]
    assert seen == [["0", "2"]]
