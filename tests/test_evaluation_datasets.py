"""Tests of the loaders: on tiny files of each format, and on the real data where there is some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentmem.errors import InvalidInput
from agentmem.evaluation import FORMATS, Question, load_dataset
from agentmem.evaluation.bfcl_memory import find_quoted


def _write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def _write_lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# LoCoMo


def _locomo_turn(dia_id: str, text: str, **more: object) -> dict[str, object]:
    return {"speaker": "Ada", "dia_id": dia_id, "text": text, **more}


def _locomo(evidence: list[str], *, category: int = 1) -> list[dict[str, object]]:
    return [
        {
            "sample_id": "conv-1",
            "conversation": {
                "speaker_a": "Ada",
                "speaker_b": "Ben",
                "session_10_date_time": "12:05 am on 1 January, 2024",
                "session_10": [_locomo_turn("D10:1", "Happy new year!")],
                "session_2_date_time": "1:56 pm on 8 May, 2023",
                "session_2": [
                    _locomo_turn("D2:1", "Hello"),
                    _locomo_turn("D2:2", "Look", img_url=["http://x/1.jpg"], blip_caption="a dog"),
                    _locomo_turn("D2:3", "  "),
                ],
                "session_11_date_time": "1:00 pm on 2 January, 2024",
            },
            "qa": [{"question": "Which pet?", "evidence": evidence, "category": category}],
        }
    ]


def test_locomo_sessions_come_in_order_one_second_a_turn(tmp_path: Path) -> None:
    data = load_dataset("locomo", _write(tmp_path / "l.json", _locomo(["D2:2"])))
    (conversation,) = data.conversations
    assert conversation.id == "conv-1"
    assert [(m["id"], m["session_id"], m["created_at"]) for m in conversation.messages] == [
        ("D2:1", "session_2", "2023-05-08T13:56:00+00:00"),
        ("D2:2", "session_2", "2023-05-08T13:56:01+00:00"),
        ("D10:1", "session_10", "2024-01-01T00:05:00+00:00"),
    ]
    assert data.notes == {"turns without text": 1}


def test_locomo_captions_become_attachments(tmp_path: Path) -> None:
    data = load_dataset("locomo", _write(tmp_path / "l.json", _locomo(["D2:2"])))
    by_id = {message["id"]: message for message in data.conversations[0].messages}
    image = {"type": "image", "url": "http://x/1.jpg", "caption": "a dog"}
    assert by_id["D2:2"]["attachments"] == [image]
    assert by_id["D2:1"]["attachments"] == []
    assert by_id["D2:2"]["name"] == "Ada"
    assert data.conversations[0].contents()["D2:2"] == "Look a dog"


@pytest.mark.parametrize(
    ("evidence", "gold"),
    [
        (["D2:1; D2:2"], {"D2:1", "D2:2"}),
        (["D:2:02"], {"D2:2"}),
        (["D 10:1", "D2:1"], {"D10:1", "D2:1"}),
        (["D2:2", "D99:1"], {"D2:2"}),
    ],
)
def test_malformed_locomo_evidence_is_understood(
    tmp_path: Path, evidence: list[str], gold: set[str]
) -> None:
    data = load_dataset("locomo", _write(tmp_path / "l.json", _locomo(evidence, category=4)))
    assert data.conversations[0].questions == [
        Question("Which pet?", frozenset(gold), "single-hop")
    ]


def test_locomo_questions_without_evidence_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = _locomo(["D2:1"])
    rows[0]["qa"] = [
        *rows[0]["qa"],  # type: ignore[misc]
        {"question": "Nothing?", "evidence": [], "category": 3},
        {"question": "Elsewhere?", "evidence": ["D7:7"], "category": 5},
    ]
    data = load_dataset("locomo", _write(tmp_path / "l.json", rows))
    assert data.questions == 1
    assert data.notes["questions without evidence, skipped"] == 2
    assert data.notes["evidence ids that name no turn"] == 1


# QMSum


def _meeting(spans: list[list[str]]) -> dict[str, object]:
    said = ["Good morning .", "", "The remote needs a battery .", "A solar cell ?", "No ."]
    return {
        "meeting_transcripts": [{"speaker": "PM", "content": text} for text in said],
        "general_query_list": [{"query": "Summarise."}],
        "specific_query_list": [{"query": "Which power?", "relevant_text_span": spans}],
    }


def test_qmsum_spans_are_inclusive_and_skip_silent_turns(tmp_path: Path) -> None:
    path = _write_lines(tmp_path / "val.jsonl", [_meeting([["1", "2"], ["4", "4"]])])
    (meeting,) = load_dataset("qmsum", path).conversations
    assert meeting.questions == [Question("Which power?", frozenset({"2", "4"}), "specific")]
    assert [message["id"] for message in meeting.messages] == ["0", "2", "3", "4"]


def test_qmsum_meetings_stay_undated_and_apart(tmp_path: Path) -> None:
    path = _write_lines(tmp_path / "val.jsonl", [_meeting([["0", "0"]])] * 2)
    data = load_dataset("qmsum", path)
    assert [one.id for one in data.conversations] == ["meeting-1", "meeting-2"]
    assert not any("created_at" in m for one in data.conversations for m in one.messages)


# BFCL memory

_TEXTS = {
    "a": "My name is Michael, and this is my first call - hello!",
    "b": "I'm 35 years old. I live in Seattle, and I paint.",
    "c": "I moved here from Austin, where I painted too.",
}


@pytest.mark.parametrize(
    ("quote", "found", "verbatim"),
    [
        ("My name is Michael... FIRST call…", {"a"}, True),
        ("...I live... and I", {"b"}, True),
        ("I'm 35 years old... from Austin", {"b", "c"}, True),
        ("I live in Seattle, I'm 35", {"b"}, False),
        ("nothing like this was ever said", set(), False),
        ("...", set(), False),
    ],
)
def test_quotes_are_found_by_their_words(quote: str, found: set[str], *, verbatim: bool) -> None:
    assert find_quoted(quote, texts=_TEXTS) == (frozenset(found), verbatim)


def _bfcl(folder: Path, *, source: str) -> Path:
    question = {"role": "user", "content": "How old am I?"}
    row = {"id": "memory_1", "question": [[question]], "scenario": "customer"}
    _write_lines(folder / "BFCL_v4_memory.json", [row])
    answer = {"id": "memory_1", "ground_truth": ["35"], "source": source}
    _write_lines(folder / "possible_answer" / "BFCL_v4_memory.json", [answer])
    steps = [[{"role": "user", "content": text}] for text in _TEXTS.values()]
    entries = [
        {"id": f"memory_prereq_{n}", "question": steps, "scenario": "customer"} for n in (0, 1)
    ]
    entries[1]["question"] = [[{"role": "user", "content": "Thirty-five, as I told you."}]]
    _write_lines(folder / "memory_prereq_conversation" / "memory_customer.json", entries)
    return folder


def test_each_bfcl_scenario_is_a_conversation_of_its_entries(tmp_path: Path) -> None:
    data = load_dataset("bfcl-memory", _bfcl(tmp_path, source="I'm 35 years old..."))
    (conversation,) = data.conversations
    assert conversation.id == "customer"
    assert [message["session_id"] for message in conversation.messages] == [
        *["memory_prereq_0"] * 3,
        "memory_prereq_1",
    ]
    assert conversation.questions == [
        Question("How old am I?", frozenset({"memory_prereq_0/1"}), "customer")
    ]
    assert data.notes == {}


def test_bfcl_sources_found_by_shared_words_are_counted(tmp_path: Path) -> None:
    data = load_dataset("bfcl-memory", _bfcl(tmp_path, source="Thirty-five, I told you"))
    assert data.conversations[0].questions[0].gold == {"memory_prereq_1/0"}
    assert data.notes == {"sources found by shared words": 1}


# One's own data


def _own(**changes: object) -> dict[str, object]:
    return {
        "id": "ada",
        "messages": [
            {"role": "user", "content": "I moved to Lisbon."},
            {"id": "t2", "role": "assistant", "content": "How is it?"},
        ],
        "questions": [{"question": "Where does Ada live?", "gold": ["0", "t2"]}],
        **changes,
    }


def test_own_messages_without_id_are_named_by_their_place(tmp_path: Path) -> None:
    data = load_dataset("jsonl", _write_lines(tmp_path / "own.jsonl", [_own()]))
    (conversation,) = data.conversations
    assert [message["id"] for message in conversation.messages] == ["0", "t2"]
    assert conversation.questions == [
        Question("Where does Ada live?", frozenset({"0", "t2"}), "uncategorised")
    ]


def test_own_text_may_hold_any_line_separator(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"
    row = _own(messages=[{"id": "0", "role": "user", "content": text}, {"id": "t2"}])
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n\n", encoding="utf-8")
    (conversation,) = load_dataset("jsonl", path).conversations
    assert conversation.messages[0]["content"] == text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([_own(), _own()], "line 2 .* conversation id 'ada' is used twice"),
        ([_own(messages=[{"id": "a"}, {"id": "a"}])], "two messages share an id"),
        ([_own(questions=[{"question": "?", "gold": ["zz"]}])], "names .'zz'., which no message"),
        ([_own(questions=[{"question": "?", "gold": []}])], "names none"),
        ([_own(questions=[])], "holds no question"),
        ([{"id": "ada"}], "does not have the expected fields"),
        ([["no", "object"]], "line 1 .* is not a JSON object"),
    ],
)
def test_mistakes_in_own_data_are_named(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_dataset("jsonl", _write_lines(tmp_path / "own.jsonl", rows))


# The door


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if not one.of_store])
def test_a_wrong_path_says_which_file_is_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="Expected for"):
        load_dataset(name, tmp_path / "missing")


@pytest.mark.parametrize("name", ["locomo", "qmsum", "jsonl"])
@pytest.mark.parametrize("text", [b'{"other": 1}', b"not json", b"\xff\xfe\x00", b"", b"[1, 2]"])
def test_another_file_says_which_file_is_expected(tmp_path: Path, name: str, text: bytes) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(text)
    with pytest.raises(InvalidInput, match=rf"other\.json.*Expected for '{name}'"):
        load_dataset(name, path)


def test_a_folder_without_the_bfcl_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"BFCL_v4_memory\.json.*cannot be read"):
        load_dataset("bfcl-memory", tmp_path)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="locomo, qmsum, bfcl-memory, jsonl"):
        load_dataset("locommo", tmp_path)


# The published data


def test_published_locomo_is_read_whole(real_data: Path) -> None:
    data = load_dataset("locomo", real_data / "locomo" / "locomo3-dev.json")
    assert (len(data.conversations), data.turns, data.questions) == (3, 1451, 495)
    categories = {question.category for one in data.conversations for question in one.questions}
    assert categories == {"multi-hop", "temporal", "open-domain", "single-hop", "adversarial"}


def test_published_meetings_are_read_whole(real_data: Path) -> None:
    data = load_dataset("qmsum", real_data / "qmsum" / "val.jsonl")
    assert (len(data.conversations), data.turns, data.questions) == (35, 20_106, 237)


def test_every_source_of_published_bfcl_is_found(real_data: Path) -> None:
    data = load_dataset("bfcl-memory", real_data / "bfcl")
    assert (len(data.conversations), data.turns, data.questions) == (5, 323, 155)
    assert data.notes == {"sources found by shared words": 13}
    sizes = [len(question.gold) for one in data.conversations for question in one.questions]
    assert sizes.count(1) >= 150
