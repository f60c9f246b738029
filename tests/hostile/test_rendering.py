"""What people wrote is shown and never obeyed, by every command and on every page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile_commands import COMMANDS, HOSTILE, NAME, Place, filled, leaves
from traces_tools import fresh_process

from agentmem import embedding
from agentmem.cli import app as cli
from agentmem.cli import maintain, options
from agentmem.testing import HashEmbedder

STEERING = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
STYLE = re.compile(r"\x1b\[[\d;]*m")  # what rich writes where colours are forced; nothing else
FORGED = re.compile(r"^\s*ERROR   forged", re.MULTILINE)
WHOLE = {"context", "turns", "get", "tools get"}  # show texts with their lines
BARRED = {"eval memory", "eval router", "tools eval"}  # draw a bar where colours are forced
TELLING = {  # whose plain output quotes what was stored or typed
    *("search", "context", "turns", "get", "sessions", "add", "update", "delete", "supersede"),
    *("tools select", "tools list", "tools get", "tools history", "tools revert", "replay"),
    *("traces list", "traces show", "traces labels", "traces label", "snapshot list"),
    *("snapshot drop", "drift acknowledge", "migrate", "audit"),
}
REFUSED = {  # what is asked of them is not there, or wrong, and the error quotes it
    *("tools revert", "drift acknowledge", "migrate", "migrate status", "migrate poisoned"),
    *("migrate pause", "migrate cancel", "migrate rollback", "migrate drop", "snapshot drop"),
    "backup restore",
}


class Hashed(HashEmbedder):
    """Stands for any model that a name is given of."""

    def __init__(self, model: str | None = None, **_: object) -> None:
        if model:
            raise embedding_failed(model)
        super().__init__(128)


def embedding_failed(model: str) -> Exception:
    from agentmem import EmbeddingFailed

    return EmbeddingFailed(f"there is no model {model}. Name another.")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    options.embedder.cache_clear()
    with pytest.MonkeyPatch.context() as patch, fresh_process():
        patch.setattr(embedding, "SentenceTransformerEmbedder", Hashed)
        patch.setattr(maintain, "_step_back", lambda: None)  # of this process
        yield filled(tmp_path_factory.mktemp("hostile"))
    options.embedder.cache_clear()


def test_every_command_is_tried() -> None:
    assert {name for name, _ in leaves()} == set(COMMANDS)
    assert set(COMMANDS) >= TELLING | REFUSED


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_obeys_what_people_wrote(place: Place, name: str) -> None:
    done = place.run(name, FORCE_COLOR="1", NO_COLOR="", TERM="xterm")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code not in (0, 1, 3) or "error:" in done.output) == (name in REFUSED)
    shown = STYLE.sub("", done.stdout if name in BARRED else done.output)
    assert not STEERING.search(shown)
    assert not FORGED.search(shown) or name in WHOLE
    if name in TELLING:
        assert "owned" in re.sub(r"\s", "", shown)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_ascii_and_holds_texts_as_they_are(place: Place, name: str) -> None:
    done = place.run(name, "--json")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.output.isascii()
    assert not STEERING.search(done.output)
    told = json.loads(done.stdout or done.stderr)
    if name == "get":
        assert (told["id"], told["content"]) == (NAME, f"{HOSTILE}\0")
        assert told["metadata"] == {HOSTILE: [HOSTILE]}


def test_wrong_usage_repeats_what_was_typed_and_does_not_obey_it(place: Place) -> None:
    for wrong in (
        ["get", "x", f"--{HOSTILE}"],
        [HOSTILE],
        [f"--{HOSTILE}"],
        ["tools", HOSTILE],
        ["search", "x", "--mode", HOSTILE],
        ["search", "x", "--all", "--where", HOSTILE],
        ["tools", "select", "x", "-k", HOSTILE],
    ):
        done = place.invoke(*wrong, FORCE_COLOR="1", NO_COLOR="", TERM="xterm")
        assert done.exit_code == 2, wrong
        assert not STEERING.search(STYLE.sub("", done.output)), wrong


def test_a_line_of_output_is_printed_in_two_places_only() -> None:
    folder = Path(cli.__file__).parent
    echoing = {path.name for path in folder.rglob("*.py") if "typer.echo(" in path.read_text()}
    assert echoing == {"machine.py", "app.py"}  # JSON, which is ASCII, and the version
    consoles = {path.name for path in folder.rglob("*.py") if " Console(" in path.read_text()}
    assert consoles == {"render.py"}


PAGES = {"traces report": "traces", "drift report": "drift"}


class Page(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.text += data


@pytest.mark.parametrize(
    ("command", "file"), [("traces report", "traces"), ("drift report", "drift")]
)
def test_a_page_has_no_element_or_attribute_of_a_text(
    place: Place, command: str, file: str
) -> None:
    assert place.run(command).exit_code in (0, 1)
    text = (place.folder / f"{file}.html").read_text("utf-8")
    page = Page(text)
    assert not {"script", "img", "iframe", "link", "object", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "#").startswith("#"), attributes
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "default-src 'none'" in text
    if file == "traces":
        assert "<script>alert(1)</script>" in page.text
        assert "![i](http://x/y.png)" in page.text
