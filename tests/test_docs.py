"""The documentation: every Python block runs, every output shown is the output, every link leads.

Blocks of one file share their names from top to bottom, in an empty folder. After a change
`pytest tests/test_docs.py --update-examples` writes the new outputs into the files.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples
from telemetry_tools import forget_providers
from test_architecture import FLOORS
from typer.testing import CliRunner

from agentmem import Memory, ToolRouter
from agentmem.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FORMATTED, EXPECTED = "# > ", "#> "  # ruff puts a space into comments, pytest-examples wants none

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def shows_output(block: CodeExample) -> bool:
    """Whether a block says what it prints, as `# > ...` or as a text in triple quotes."""
    return FORMATTED in block.source or '\n"""\n' in block.source


def run_block(block: CodeExample, names: dict[str, Any], *, runner: EvalExample) -> dict[str, Any]:
    """Run a block with the names of the blocks before it, and return its own with them."""
    if not shows_output(block):
        return runner.run(block, module_globals=names)
    block.source = block.source.replace(FORMATTED, EXPECTED)
    if not runner.update_examples:
        return runner.run_print_check(block, module_globals=names)
    found = runner.run_print_update(block, module_globals=names)
    block.source = block.source.replace(EXPECTED, FORMATTED)
    return found


@every_page
def test_every_python_block_runs_and_prints_what_it_shows(
    page: Path,
    eval_example: EvalExample,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # each block becomes it
    forget_providers(monkeypatch)
    monkeypatch.chdir(tmp_path_factory.mktemp("docs"))
    eval_example.set_config(line_length=100, quotes="double", target_version="py310")
    names: dict[str, Any] = {}
    for block in find_examples(page):
        names = run_block(block, names, runner=eval_example)
    for one in names.values():
        if isinstance(one, (Memory, ToolRouter)):
            one.close()  # gauges report what is open, and every page calls its store alike


def test_an_output_that_is_not_the_output_is_found(eval_example: EvalExample) -> None:
    if eval_example.update_examples:
        pytest.skip("outputs are being written, not checked")
    run_block(CodeExample.create("print(1)\n# > 1\n"), {}, runner=eval_example)
    with pytest.raises(pytest.fail.Exception, match="Print output changed"):
        run_block(CodeExample.create("print(1)\n# > 2\n"), {}, runner=eval_example)


def test_there_are_python_blocks_to_run() -> None:
    blocks = [(page.name, block) for page in PAGES for block in find_examples(page)]
    assert len(blocks) >= 30
    assert sum(name == "README.md" for name, _ in blocks) >= 5
    assert sum(shows_output(block) for _, block in blocks) >= 20
    assert [name for name, block in blocks if EXPECTED in block.source] == []


def shell_lines(page: Path) -> list[str]:
    """Commands in the page's bash blocks, without their comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def accepted(arguments: list[str]) -> bool:
    """Whether the command line knows the command and each of its options; runs nothing."""
    return CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


def test_every_command_shown_is_one_of_the_command_line() -> None:
    shown = [shlex.split(line, comments=True) for page in PAGES for line in shell_lines(page)]
    commands = [words[1:] for words in shown if words[0] == "agentmem"]
    assert len(commands) >= 5
    assert [words for words in commands if not accepted(words)] == []
    assert not accepted(["search", "--no-such-option"])
    assert not accepted(["no-such-command"])


def test_every_make_target_shown_is_in_the_makefile() -> None:
    shown = {line.split()[1] for page in PAGES for line in shell_lines(page) if line[:5] == "make "}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert shown
    assert shown <= targets


def test_every_link_into_the_project_leads_somewhere() -> None:
    pattern = re.compile(r"\]\(([^)\s]+)\)")
    links = [(page, link) for page in PAGES for link in pattern.findall(page.read_text("utf-8"))]
    inside = [(page, link.split("#")[0]) for page, link in links if "://" not in link]
    assert len(inside) >= 15
    assert [(p.name, link) for p, link in inside if not (p.parent / link).exists()] == []


def test_the_picture_of_the_house_shows_each_room_on_its_floor() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    picture = text.split("```text\n")[1].split("```")[0]
    floors = re.split(r"^ *floor (\d) ", picture, flags=re.MULTILINE)[1:]
    drawn = {
        int(number): set(re.findall(r"\b([a-z]+)(?:\.py|/)", rooms))
        for number, rooms in zip(floors[::2], floors[1::2], strict=True)
    }
    assert drawn == {number: set(rooms) for number, rooms in enumerate(FLOORS)}
