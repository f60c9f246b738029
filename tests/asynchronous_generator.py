"""Writes agentmem/asynchronous/delegates/: each method of the facades, awaited in a thread.

python tests/asynchronous_generator.py
"""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "agentmem"
DELEGATES = PACKAGE / "asynchronous" / "delegates"

LENGTHY = {"import_turns", "export", "maintain", "doctor", "restore", "backup", "forget"}
LENGTHY |= {"migrate", "plan_migration", "run", "wait", "rollback", "check", "reembed"}
LENGTHY |= {"calibrate", "replay"}
MIGRATION = "AsyncMigration({}, self._workers)"
NOT_YET = "None if (found := {}) is None else AsyncMigration(found, self._workers)"


@dataclass(frozen=True)
class Part:
    """A class of the synchronous facades, and where its twin stands."""

    module: str
    source: str
    of: str  # what it delegates to: module:class
    skipped: frozenset[str] = frozenset()
    returns: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the twin's module."""
        return self.source.lower()

    @property
    def path(self) -> Path:
        """Of the twin's module."""
        return DELEGATES / f"{self.name}.py"


MEMORY, ROUTER = "agentmem.memory:Memory", "agentmem.router:ToolRouter"
HANDLE = {"migrate": ("AsyncMigration", MIGRATION), "migration": ("AsyncMigration | None", NOT_YET)}
ITSELF = dict.fromkeys(("begin", "resume"), ("AsyncMigration", MIGRATION))
FACADE = frozenset({"open", "scoped", "close", "closed"})
INTERNAL = frozenset({"before_write", "listener", "forget", "look", "conclude", "close"})
PARTS = (
    Part("agentmem.memory.facade", "Memory", MEMORY, FACADE),
    Part("agentmem.memory.records", "Records", MEMORY),
    Part("agentmem.memory.archiving", "Archiving", MEMORY, frozenset({"at"})),
    Part("agentmem.memory.correcting", "Correcting", MEMORY),
    Part("agentmem.memory.forgetting", "Forgetting", MEMORY),
    Part("agentmem.memory.maintaining", "Maintaining", MEMORY, frozenset({"retention"})),
    Part("agentmem.memory.replaying", "Replaying", MEMORY),
    Part("agentmem.router.selecting", "Selecting", ROUTER),
    Part("agentmem.router.learning", "Learning", ROUTER),
    Part("agentmem.router.entries", "Entries", ROUTER),
    Part("agentmem.router.looking", "Looking", ROUTER),
    Part("agentmem.migration.moving", "Moving", "agentmem.migration:Moving", returns=HANDLE),
    Part("agentmem.migration.handle", "Migration", "agentmem.migration:Migration", returns=ITSELF),
    Part("agentmem.monitoring.drift", "Drift", "agentmem.monitoring:Drift", INTERNAL),
    Part("agentmem.maintenance.retention", "Retention", "agentmem.maintenance:Retention"),
)


def methods(part: Part) -> Iterator[ast.FunctionDef]:
    """Public methods of a class as they are written, properties that read a store included."""
    bodies = (
        node.body
        for node in parsed(part).body
        if isinstance(node, ast.ClassDef) and node.name == part.source
    )
    for member in next(bodies):
        is_public = isinstance(member, ast.FunctionDef) and member.name[0] != "_"
        if isinstance(member, ast.FunctionDef) and is_public and member.name not in part.skipped:
            yield member


def parsed(part: Part) -> ast.Module:
    """Return the source of the class."""
    return ast.parse((ROOT / f"{part.module.replace('.', '/')}.py").read_text("utf-8"))


def names(node: ast.AST) -> set[str]:
    """Return every name that a tree uses."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def imports(part: Part) -> Iterator[str]:
    """Give the imports that the twins of the methods need."""
    functions = list(methods(part))
    wanted = set().union(*(names(one.args) for one in functions))
    for one in functions:
        wanted |= set() if one.name in part.returns else names(one.returns or ast.Constant(None))
    for node in parsed(part).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            taken = [one for one in node.names if (one.asname or one.name) in wanted]
            for alias in taken:
                start = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
                yield f"{start}import {alias.name}"
        else:
            own = bound(node) & wanted - {part.source}
            yield from (f"from {part.module} import {name}" for name in own)
    if part.returns and part.source != "Migration":
        yield "from agentmem.asynchronous.delegates.migration import AsyncMigration"


def bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module defines."""
    if isinstance(node, ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return {ast.unparse(target) for target in targets}


def passed(args: ast.arguments) -> str:
    """Return a call's arguments, each passed on under its name."""
    given = [one.arg for one in [*args.posonlyargs, *args.args][1:]]
    return ", ".join([*given, *(f"{one.arg}={one.arg}" for one in args.kwonlyargs)])


def twin(function: ast.FunctionDef, part: Part) -> str:
    """Return the asynchronous twin of a method."""
    is_property = bool(function.decorator_list)
    call = f"self._sync.{function.name}"
    given = passed(function.args)
    if is_property or given:
        call = f"lambda: {call}" if is_property else f"lambda: {call}({given})"
    run = "run_long" if function.name in LENGTHY else "run"
    returned, shape = part.returns.get(function.name, (None, "{}"))
    returned = returned or ast.unparse(function.returns or ast.Constant(None))
    awaited = f"await self._workers.{run}({call})"
    body = awaited if returned == "None" else f"return {shape.format(awaited)}"
    lines = [
        f"async def {function.name}({ast.unparse(function.args)}) -> {returned}:",
        textwrap.indent(documentation(function), "    "),
        f"    {body}",
    ]
    return textwrap.indent("\n".join(lines), "    ")


def documentation(function: ast.FunctionDef) -> str:
    """Return the text of a method, as it stands."""
    text = ast.get_docstring(function) or ""
    end = "\n" if "\n" in text else ""
    return f'"""{text}{end}"""'


def generated(part: Part) -> str:
    """Return the module of the twin."""
    module, held = part.of.split(":")
    needed = {f"from {module} import {held}", "from agentmem.asynchronous.workers import Workers"}
    lines = [
        f'"""`{part.source}`, awaited. Written by `make generate` from `{part.module}`."""',
        "from __future__ import annotations",
        *sorted(needed | set(imports(part))),
        f'__all__ = ["Async{part.source}"]',
        f"class Async{part.source}:",
        f'    """`{part.source}`, each call awaited in a thread."""',
        "",
        f"    _sync: {held}",
        "    _workers: Workers",
        *(
            [
                "",
                f"    def __init__(self, given: {held}, workers: Workers) -> None:",
                "        self._sync = given",
                "        self._workers = workers",
            ]
            if part.source in ("Migration", "Drift", "Retention")
            else []
        ),
        *(f"\n{twin(one, part)}" for one in methods(part)),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every module, and format it."""
    DELEGATES.mkdir(exist_ok=True)
    for part in PARTS:
        part.path.write_text(generated(part), "utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "-q", "--fix", "--select", "I", str(DELEGATES)], check=True)
    subprocess.run([*ruff, "format", "-q", str(DELEGATES)], check=True)


if __name__ == "__main__":
    main()
