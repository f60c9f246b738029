"""The reads themselves: in process, on the command line, and of a router's tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

from hostile_room import AGENTS, PEOPLE, SESSIONS, STRANGERS, Guard, Room, hostile
from typer.testing import CliRunner

from agentmem import ALL, Memory, ToolRouter
from agentmem.cli.app import app
from agentmem.types import Scope

__all__ = ["command_lines", "reads", "selections"]

QUERIES: Final = (
    *(
        "the secret word",
        "who is ada?",
        "' OR 1=1 --",
        "zq07a",
        "number 1; --",
        "\u0430da's picture",
    ),
    *("find the secret", "SELECT * FROM turns", "metadata.owner", "%", "secret\x00word", "\ud800"),
)
IDS: Final = ("turn-1", "turn-1' OR '1'='1", "turn-%", "TURN-1", "turn-1 ", "turn-", "*", "turn-9")
EXPORT_SHARE: Final = 0.02  # of the reads: a file each
MODES: Final = ("hybrid", "dense", "lexical")


class _Asking:
    """One random read of somebody, or of nobody that is there."""

    def __init__(self, room: Room, rng: Random) -> None:
        self._room, self._rng = room, rng
        self.who = rng.choice(PEOPLE) if rng.random() < 0.8 else rng.choice(STRANGERS)
        self.query = rng.choice(QUERIES)
        self.where = hostile(rng, self.who) if rng.random() < 0.6 else None
        self.scope = self._scope()

    def _scope(self) -> dict[str, Any]:
        """Name the person, perhaps with an agent and a session; or try to name nobody."""
        rng = self._rng
        whose: dict[str, Any] = {"user_id": self.who}
        if rng.random() < 0.2:
            whose["agent_id"] = rng.choice([*AGENTS, *STRANGERS])
        if rng.random() < 0.2:
            whose["session_id"] = rng.choice([*SESSIONS, *STRANGERS])
        form = rng.random()
        if form < 0.1:
            return {"scope": Scope(**whose)}
        if form < 0.15:
            wrong: list[Any] = ["ALL", "*", {}, {"user_id": None}, True, self.who]
            return {"scope": rng.choice(wrong)}
        if form < 0.18:
            return rng.choice([{}, {"user_id": None}, {"user_id": ""}, {"user_id": "a\0"}])
        return whose

    def call(self) -> Callable[[], object]:
        """Return the read."""
        memory, rng = self._room.memory, self._rng
        if rng.random() < 0.25:
            return self._through_a_handle(memory)
        if rng.random() < EXPORT_SHARE:
            return self._export(memory)
        return self._read(memory, self.scope)

    def _read(self, memory: Memory, scope: dict[str, Any]) -> Callable[[], object]:
        rng, where, query = self._rng, self.where, self.query
        mode: Any = rng.choice(MODES)
        turn_id = rng.choice(IDS)
        kinds: list[Callable[[], object]] = [
            lambda: memory.search(query, **scope, where=where, k=99, mode=mode, explain=True),
            lambda: memory.search(query, **scope, where=where, k=3, mode=mode),
            lambda: memory.context(query, **scope, where=where, max_tokens=400, neighbours=3),
            lambda: memory.turns(**scope, where=where, limit=500),
            lambda: memory.count(**scope, where=where),
            lambda: memory.sessions(**scope),
            lambda: memory.get(turn_id, **scope),
            lambda: memory.delete(**scope, where=where, dry_run=True),
            lambda: memory.delete(turn_id, **scope, dry_run=True),
            lambda: memory.update(turn_id, **scope, pinned=True, dry_run=True),
            lambda: memory.supersede("turn-99", "x", **scope),
        ]
        return rng.choice(kinds)

    def _through_a_handle(self, memory: Memory) -> Callable[[], object]:
        """Read through a handle that is bound to the person, which tries to leave it."""
        other = self._rng.choice(PEOPLE)
        within: dict[str, Any] = self._rng.choice(
            [{}, {}, {"user_id": other}, {"scope": ALL}, {"session_id": "s1"}]
        )
        if self._rng.random() < 0.1:
            return lambda: memory.scoped(user_id=self.who).stats()
        if self._rng.random() < 0.1:
            return lambda: memory.scoped(user_id=self.who).scoped(user_id=other).turns()
        return lambda: self._read(memory.scoped(user_id=self.who), within)()  # noqa: PLW0108 - refused as it is read

    def _export(self, memory: Memory) -> Callable[[], object]:
        path = self._room.folder / "export.jsonl"

        def export() -> str:
            memory.export(path, **self.scope, progress=False, overwrite=True)
            return path.read_text("utf-8")

        return export


def reads(room: Room, guard: Guard, *, count: int, rng: Random) -> None:
    """Make random reads in process, and check each."""
    with guard.listening():
        for _ in range(count):
            asking = _Asking(room, rng)
            result = guard.check(
                asking.who, asking.call(), given=f"{asking.query} {asking.scope} {asking.where}"
            )
            if isinstance(result, int):  # a count tells of others, too
                assert result <= room.counts.get(asking.who, 0), asking.scope


def command_lines(room: Room, guard: Guard, *, count: int, rng: Random) -> None:
    """Make random reads on the command line, in this process, and check what is printed."""
    runner, store = CliRunner(), str(room.folder / "store")
    for _ in range(count):
        who = rng.choice(PEOPLE) if rng.random() < 0.8 else rng.choice(STRANGERS)
        where, turn_id, query = hostile(rng, who), rng.choice(IDS), rng.choice(QUERIES[:-2])
        filtered = [f"--where={where if isinstance(where, str) else json.dumps(where)}"]
        scope = [f"--user={who}"] if rng.random() < 0.95 else []
        arguments = rng.choice(
            [
                ["search", *filtered, *scope, "--", query],
                ["search", "--explain", "--mode=lexical", *filtered, *scope, "--", query],
                ["context", *filtered, *scope, "--max-tokens=300", "--", query],
                ["turns", *filtered, *scope],
                ["sessions", *scope],
                ["get", *scope, "--", turn_id],
                ["delete", "--dry-run", *scope, "--", turn_id],
                ["export", *scope, "--", "-"],
            ]
        )
        arguments[1:1] = ["--json"] * (rng.random() < 0.5 and arguments[0] != "export")
        result = runner.invoke(app, arguments, env={"AGENTMEM_STORE": store})
        guard.reads += 1
        heard = [result.output, result.stderr, repr(result.exception)]
        guard.look(who if scope else "", heard, given=" ".join(arguments))


def selections(router: ToolRouter, guard: Guard, *, count: int, rng: Random) -> None:
    """Make random reads of the tools of one namespace, and check each."""
    with guard.listening():
        for _ in range(count):
            who = rng.choice((*PEOPLE[:20], *STRANGERS))
            query, where = rng.choice(QUERIES), rng.choice([None, hostile(rng, who)])
            name = rng.choice(["find_secret", "tool_", "tool_' OR '1'='1", "find_secrte", "*"])
            call = rng.choice(_selecting(router, who, name=name, query=query, where=where))
            guard.check(who, call, given=f"{query} {name} {where}")


def _selecting(
    router: ToolRouter, who: str, *, name: str, query: str, where: Any
) -> list[Callable[[], object]]:
    return [
        lambda: router.select(query, namespace=who, where=where, k=20, explain=True),
        lambda: router.select(query, namespace=who, where=where, max_tokens=200).schemas("openai"),
        lambda: router.list(namespace=who, where=where),
        lambda: router.get(name, namespace=who),
        lambda: router.remove(name, namespace=who, dry_run=True),
    ]
