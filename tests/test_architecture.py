"""The house rules that a reader relies on: floors, sizes, signatures, errors, import budget."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import agentmem

PACKAGE = Path(agentmem.__file__).parent

# A room is a module or package right below agentmem/. Imports go down only.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "types", "checks", "visible", "background", "gathering", "demo"),
    ("protocols", "messages", "filters", "scopes", "telemetry", "toolspec", "pages"),
    ("ranking", "statistics"),
    ("embedding", "analysis", "tokens", "reranking", "transfer", "traces", "driftreport"),
    ("storage",),
    (
        *("ingest", "retrieval", "administration", "routing", "replay", "migration", "monitoring"),
        *("forgetting", "guards", "maintenance", "backup"),
    ),
    ("memory", "router"),
    ("evaluation", "cli", "tenants", "asynchronous", "testing"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

SIBLINGS = {
    ("errors", "types"): "EmbedderMismatch carries the two passports",
    ("types", "errors"): "a tool refuses a format that there is none of",
    ("checks", "errors"): "a check refuses by raising InvalidInput",
    ("checks", "types"): "a scope is checked whole",
    ("ingest", "administration"): "a correction looks up the turn it corrects",
    ("replay", "retrieval"): "a past search runs through the same pipeline",
    ("replay", "routing"): "and so does a past selection",
    ("migration", "ingest"): "turns are embedded anew as they were written",
    ("migration", "routing"): "and so are tools",
    ("migration", "retrieval"): "the same questions are asked of both generations",
    ("maintenance", "administration"): "what has expired is deleted as `delete` does it",
    ("maintenance", "ingest"): "a sample is embedded anew as it was written",
    ("maintenance", "migration"): "a seal is dead if the process that migrates is",
    ("maintenance", "routing"): "a calibration holds for one catalogue",
    ("cli", "evaluation"): "`agentmem eval` is the evaluation's command line",
    ("cli", "tenants"): "and `agentmem tenants` that of tenants",
}
OWNERS = {  # only this room may import that library, so that its traps are met in one place
    "lancedb": "storage",
    "lance": "storage",
    "onnxruntime": "embedding",
    "sentence_transformers": "embedding reranking",
    "torch": "embedding reranking",
    "tiktoken": "tokens",
    "typer": "cli",
}
IMPURE = {"io", "logging", "opentelemetry", "os", "pathlib", "pyarrow", "pydantic"}
IMPURE |= {
    "random",
    "secrets",
    "threading",
    "time",
}  # floor 2 gets time and randomness as arguments

BROUGHT = {  # parts of sentence-transformers' own interface, at the versions it asks for
    *("huggingface_hub", "tokenizers", "torch", "transformers"),
    "pydantic_core",  # the same of pydantic: PydanticUndefined and its errors
}

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_MEDIAN_FUNCTION_LINES = 9
MAX_POSITIONAL = 2

OUTSIDE_THE_TREE = {"BaseException", "Exception", "ImportError", "KeyError", "LookupError"}
OUTSIDE_THE_TREE |= {"IndexError", "OSError", "RuntimeError", "TypeError", "ValueError"}
BUILTIN_RAISES: dict[tuple[str, str], str] = {}  # (module, builtin): why the tree does not fit

HEAVY = {"lancedb", "onnxruntime", "pyarrow", "sentence_transformers", "tiktoken", "torch"}
HEAVY |= {"transformers"}
BUDGETS = {  # what is imported: the libraries it must not bring along
    "agentmem": HEAVY | {"numpy", "opentelemetry", "pydantic", "rich", "scipy", "typer"},
    "agentmem.types": HEAVY | {"numpy", "opentelemetry", "pydantic", "rich", "typer"},
    "agentmem.filters": HEAVY | {"rich", "typer"},
    "agentmem.embedding": HEAVY | {"rich", "typer"},
    "agentmem.memory": HEAVY - {"lancedb", "pyarrow"} | {"rich", "typer"},
    "agentmem.router": HEAVY - {"lancedb", "pyarrow"} | {"rich", "typer"},
}
IMPORT_CPU_SECONDS = 0.15  # measured 0.012; what is guarded against is a library, which costs 0.1
HELP_CPU_RATIO = 8  # to its libraries alone, measured 2.5 to 5; a person waits for it

PUBLIC_NAMES = {
    *("AsyncMemory", "AsyncToolRouter"),
    *("AuditEvent", "AuditFailed", "AuditLog", "acting_as"),
    *("ALL", "AgentmemError", "Attachment", "CachedEmbedder", "ConcurrentWrite", "Context"),
    *("FilesMissing", "GuardFailed", "Receipt", "RetentionPolicy"),
    *("DriftEvent", "DriftReport", "HttpEmbedder", "Labelled", "Migration", "MigrationFailed"),
    *("MigrationPlan", "MigrationStatus", "WritesBlocked"),
    *("CrossEncoderReranker", "DuplicateTool", "EmbedderMismatch", "EmbeddingFailed", "Filter"),
    *("Hit", "InvalidInput", "Memory", "MissingDependency", "NotFound", "Passport", "Ranking"),
    *("Recall", "Replay", "SchemaTooNew", "Scope", "ScopeRequired", "Selection"),
    *("SentenceTransformerEmbedder", "StoreError", "StoreNotFound", "Tenants", "TiktokenCounter"),
    *("Tool", "ToolMatch", "ToolRouter", "Turn", "VersionGone", "__version__", "field"),
}

MODULES = sorted(PACKAGE.rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def label(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a tree imports anywhere, in functions and for types alike."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            named = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
            yield from (name for name in named if isinstance(name, str))


def rooms_imported(tree: ast.AST) -> set[str]:
    """Rooms of agentmem that a tree imports, and public names, which are on no floor."""
    own = [name.split(".") for name in imports(tree) if name.split(".")[0] == "agentmem"]
    return {parts[1] if len(parts) > 1 else "agentmem" for parts in own} - {"__version__"}


def floor_violations(room: str, imported: set[str]) -> list[str]:
    """Rooms that a room may not import."""
    allowed = {room} | {sibling for owner, sibling in SIBLINGS if owner == room}
    below = {other for other in imported if FLOOR_OF.get(other, 99) < FLOOR_OF[room]}
    return sorted(imported - allowed - below)


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function with a body of its own; protocol members and overloads have none."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and not is_stub(node):
            yield node


def is_stub(function: Function) -> bool:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return all(isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in body)


def length(function: Function) -> int:
    """Lines from `def` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function):
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def public_functions(tree: ast.AST, *, owner: str = "") -> Iterator[tuple[str, int]]:
    """Public functions and methods with how many arguments they take by position."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node, owner=f"{node.name}.")
        elif isinstance(node, Function) and (node.name == "__init__" or node.name[0] != "_"):
            static = any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
            receiver = int(bool(owner) and not static)
            yield owner + node.name, len(node.args.posonlyargs + node.args.args) - receiver


def builtins_raised(tree: ast.AST) -> set[str]:
    raised = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc)
    names = {ast.unparse(exc.func if isinstance(exc, ast.Call) else exc) for exc in raised}
    return names & OUTSIDE_THE_TREE


every_module = pytest.mark.parametrize("path", MODULES, ids=label)
every_room_module = pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.parent != PACKAGE or path.stem != "__init__"],
    ids=label,
)


@every_room_module
def test_imports_go_down_the_floors_only(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR_OF, f"{room} has no floor: draw it in FLOORS and in DESIGN.md"
    wrong = floor_violations(room, rooms_imported(parsed(path)))
    assert not wrong, f"{label(path)} (floor {FLOOR_OF[room]}) imports {wrong}"


@every_room_module
def test_a_library_with_traps_is_imported_in_its_own_room_only(path: Path) -> None:
    libraries = {name.split(".")[0] for name in imports(parsed(path))}
    strays = {lib for lib in libraries & OWNERS.keys() if room_of(path) not in OWNERS[lib].split()}
    assert not strays, f"{label(path)} imports {strays}, which belong to {OWNERS}"


def plain(distribution: str) -> str:
    return distribution.lower().replace("_", "-")


def test_every_library_that_is_imported_is_declared() -> None:
    roots = {name.split(".")[0] for path in MODULES for name in imports(parsed(path))}
    third_party = roots - sys.stdlib_module_names - BROUGHT - {"agentmem"}
    providers = packages_distributions()
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8").split("\ndev = [")[0]
    declared = {plain(name) for name in re.findall(r'^ +"([\w-]+)[<>=]', project, re.MULTILINE)}
    assert {"lancedb", "numpy"} <= declared
    missing = {
        library
        for library in third_party
        if not {plain(name) for name in providers.get(library, [library])} & declared
    }
    assert not missing, f"add {missing} to pyproject.toml"


@every_room_module
def test_mathematics_has_no_clock_and_no_input_or_output(path: Path) -> None:
    if FLOOR_OF.get(room_of(path)) == FLOOR_OF["ranking"]:
        assert not {name.split(".")[0] for name in imports(parsed(path))} & IMPURE
        called = {ast.unparse(n.func) for n in ast.walk(parsed(path)) if isinstance(n, ast.Call)}
        assert not called & {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}


@every_module
def test_a_module_says_what_it_is_and_what_it_exports_and_stays_small(path: Path) -> None:
    tree = parsed(path)
    assert (ast.get_docstring(tree) or "").strip(), "no module docstring"
    bound = {ast.unparse(t) for n in tree.body if isinstance(n, ast.Assign) for t in n.targets}
    assert "__all__" in bound
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


@every_module
def test_no_function_is_long(path: Path) -> None:
    long = {f.name: length(f) for f in functions(parsed(path)) if length(f) > MAX_FUNCTION_LINES}
    assert not long


def test_the_median_function_is_short() -> None:
    lengths = [length(f) for path in MODULES for f in functions(parsed(path))]
    assert statistics.median(lengths) <= MAX_MEDIAN_FUNCTION_LINES


@every_module
def test_public_functions_take_few_arguments_by_position(path: Path) -> None:
    greedy = {name: n for name, n in public_functions(parsed(path)) if n > MAX_POSITIONAL}
    assert not greedy


@every_module
def test_errors_come_from_the_tree(path: Path) -> None:
    stray = {(label(path), name) for name in builtins_raised(parsed(path))}
    assert not stray - BUILTIN_RAISES.keys(), "raise a class of agentmem.errors"


def test_every_exception_to_a_rule_is_still_needed() -> None:
    assert {room_of(path) for path in MODULES} >= FLOOR_OF.keys()
    used = {(room_of(p), room) for p in MODULES for room in rooms_imported(parsed(p))}
    assert used >= SIBLINGS.keys()
    raised = {(label(p), name) for p in MODULES for name in builtins_raised(parsed(p))}
    assert raised >= BUILTIN_RAISES.keys()


def test_the_checks_see_what_they_look_for() -> None:
    hidden = ast.parse(
        "def f():\n    if TYPE_CHECKING:\n        from agentmem.memory import Memory"
    )
    assert floor_violations("storage", rooms_imported(hidden)) == ["memory"]
    lazy = ast.parse("importlib.import_module('agentmem.cli.app')\nfrom agentmem import Memory")
    assert floor_violations("retrieval", rooms_imported(lazy)) == ["Memory", "cli"]
    assert floor_violations("ingest", {"retrieval", "storage", "types"}) == ["retrieval"]
    sample = ast.parse(
        'class C:\n    def f(self, a, b, c):\n        """D."""\n        raise ValueError'
    )
    assert dict(public_functions(sample)) == {"C.f": 3}
    assert [length(f) for f in functions(sample)] == [2]
    assert builtins_raised(sample) == {"ValueError"}


def child(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.parametrize("module", BUDGETS)
def test_an_import_brings_no_heavy_library_along(module: str) -> None:
    loaded = child(f"import {module}, sys; print(*sys.modules)").stdout.split()
    assert module in loaded
    assert not BUDGETS[module] & set(loaded)


def test_importing_agentmem_is_cheap() -> None:
    code = "import time; t = time.process_time(); import agentmem; print(time.process_time() - t)"
    assert min(float(child(code).stdout) for _ in range(3)) < IMPORT_CPU_SECONDS


HELP = "import sys; sys.argv = ['agentmem', '--help']; from agentmem.cli.app import main; main()"


def test_help_answers_at_once() -> None:
    assert cpu_seconds(HELP) < HELP_CPU_RATIO * cpu_seconds("import typer, rich.console")


def cpu_seconds(code: str) -> float:
    """Return what a process needs, the least of three: others may share the core's caches."""
    seconds = []
    for _ in range(3):
        before = os.times()
        child(code)
        after = os.times()
        seconds.append(sum(after[2:4]) - sum(before[2:4]))
    return min(seconds)


def test_help_loads_no_model_and_no_database() -> None:
    code = f"import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules)); {HELP}"
    loaded = child(code).stdout.split("LOADED")[1].split()
    assert "agentmem.cli.app" in loaded
    assert not HEAVY & set(loaded)


def test_the_public_names_are_these_and_no_others() -> None:
    assert set(agentmem.__all__) == PUBLIC_NAMES
    assert set(dir(agentmem)) >= PUBLIC_NAMES


@pytest.mark.parametrize("name", sorted(PUBLIC_NAMES))
def test_a_public_name_resolves_and_says_where_it_lives(name: str) -> None:
    value = getattr(agentmem, name)
    home = getattr(value, "__module__", "agentmem")
    assert str(home).startswith("agentmem") or name == "Filter"  # a union of types has no module


def test_type_checkers_and_the_interpreter_find_the_same_names() -> None:
    guarded = [n for n in parsed(PACKAGE / "__init__.py").body if isinstance(n, ast.If)]
    assert set(imports(guarded[0])) == {
        f"{home}.{name}" for home, names in agentmem._HOMES.items() for name in names
    }


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Memroy'"):
        agentmem.Memroy  # noqa: B018
