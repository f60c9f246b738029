"""The demo conversation is what its docstring says, and its questions can be answered from it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from agentmem.demo import conversation, questions


def test_the_conversation_is_long_and_spans_months_of_dated_sessions() -> None:
    turns = conversation()
    times = [datetime.fromisoformat(turn["created_at"]) for turn in turns]
    assert len(turns) >= 150
    assert len({turn["session_id"] for turn in turns}) >= 10
    assert times == sorted(times)
    assert len(set(times)) == len(times)
    assert times[-1] - times[0] > timedelta(days=180)


def test_every_turn_is_a_complete_message_with_an_id_of_its_own() -> None:
    turns = conversation()
    assert len({turn["id"] for turn in turns}) == len(turns)
    for turn in turns:
        assert turn["role"] == ("user" if turn.get("name") == "Ada" else "assistant")
        assert turn["content"].strip() == turn["content"] != ""
        assert datetime.fromisoformat(turn["created_at"]).tzinfo is not None


def test_images_are_shared_with_captions() -> None:
    images = [image for turn in conversation() for image in turn.get("attachments", [])]
    assert len(images) >= 3
    assert all(image["type"] == "image" and image["url"] and image["caption"] for image in images)


def test_the_questions_name_their_evidence_and_cover_each_kind() -> None:
    ids = {turn["id"] for turn in conversation()}
    asked = questions()
    assert {q["kind"] for q in asked} == {
        *("single fact", "temporal", "corrected", "two sessions", "other words", "image"),
    }
    assert all(q["evidence"] and set(q["evidence"]) <= ids and q["answer"] for q in asked)


def test_a_question_about_two_sessions_has_evidence_in_both() -> None:
    spread = [q for q in questions() if q["kind"] == "two sessions"]
    assert all(len({turn_id.split("-")[0] for turn_id in q["evidence"]}) > 1 for q in spread)


@pytest.mark.parametrize("corrected", [q for q in questions() if q["kind"] == "corrected"])
def test_a_corrected_fact_is_said_after_what_it_corrects(corrected: dict[str, object]) -> None:
    first_said = {"Lisbon": "Porto", "Hazelnuts": "Walnuts", "Mondays": "Tuesdays", "29": "8 April"}
    old = next(old for new, old in first_said.items() if new in str(corrected["answer"]))
    evidence = min(str(turn_id) for turn_id in corrected["evidence"])  # type: ignore[attr-defined]
    earlier = [turn["content"] for turn in conversation() if turn["id"] < evidence]
    assert any(old in content for content in earlier)
