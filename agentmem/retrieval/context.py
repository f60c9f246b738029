"""A search packed into a token budget: whole turns, in order, with dates and speakers.

The best hits are taken first and laid out chronologically; a question brings its answer along
and an answer its question. The count is exact, by the tokenizer given, and never exceeded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args
from unicodedata import normalize

from agentmem.checks import shown
from agentmem.errors import InvalidInput
from agentmem.protocols import TokenCounter
from agentmem.retrieval.search import Found, Request, Searcher
from agentmem.telemetry import Tracing
from agentmem.telemetry.describing import of_context, of_query
from agentmem.tokens import UncountableText
from agentmem.types import Context, Dropped, Hit, Role, Turn

__all__ = ["Neighbours", "Packer", "hits_for", "render"]

Neighbours: TypeAlias = int | Literal["auto"]
HandedOut: TypeAlias = Callable[[Iterable[tuple[str | None, str]]], None]
MOST_NEIGHBOURS: Final = 10  # a screenful on each side; more is `memory.turns(session_id=...)`
TOKENS_A_TURN: Final = 4  # role, colon, word, newline: no line is shorter
MOST_HITS: Final = 400
LINE_END: Final = re.compile(r"\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")  # as `splitlines` has it
INDENT: Final = "  "
ROLES: Final = frozenset(get_args(Role))
FRAMING: Final = re.compile(
    rf"^\s|[\[\]:\"]|{LINE_END.pattern}"
)  # of a name, what the frame is made of
PLAIN_ROLES: Final = ("user", "assistant")  # a stored system or tool message gets no such power


@dataclass(frozen=True, slots=True)
class _Unit:
    """A hit and the neighbours that complete it."""

    hit: Hit
    place: int
    beside: tuple[int, ...]


class Packer:
    """Packs searches of one store.

    Args:
        searcher: Searches it.
        counter: Counts the tokens of the reader.
        tracing: Opens spans.
        handed_out: Is told each text of a context, with the user whose turn it is.
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        counter: TokenCounter,
        tracing: Tracing,
        handed_out: HandedOut | None = None,
    ) -> None:
        self._searcher = searcher
        self._counter = counter
        self._tracing = tracing
        self._handed_out = handed_out

    def pack(self, request: Request, *, max_tokens: int, neighbours: Neighbours) -> Context:
        """Search, and pack what was found.

        Args:
            request: The search; its `k` is taken as the most hits to consider.
            max_tokens: The budget of the text.
            neighbours: "auto" completes questions and answers; a number takes as many turns
                on each side; 0 takes the hits alone.

        Raises:
            InvalidInput: The budget or `neighbours` cannot be used; see also `Searcher.search`.
        """
        _check_budget(max_tokens)
        _check_neighbours(neighbours)
        attributes = {"agentmem.store": self._tracing.store}
        with self._tracing.operation(
            "agentmem.context", attributes, scope=request.scope
        ) as current:
            found = self._searcher.found(request)
            with current.phase("pack"):
                context = self._packed(found, max_tokens=max_tokens, neighbours=neighbours)
                if self._handed_out is not None:
                    self._handed_out(_texts(context))
            current.metrics.tokens("packed", tokens=context.tokens)
            current.describe(
                lambda: of_query(request.query, current.content, names=["input.value"])
            )
            current.describe(lambda: of_context(context, current.content))
        return context

    def _packed(self, found: Found, *, max_tokens: int, neighbours: Neighbours) -> Context:
        units = [_with_neighbours(found, unit, neighbours) for unit in _distinct(found)]
        turns = self._turns(found, units)
        chosen = self._chosen(units, turns, max_tokens=max_tokens)
        used, text, tokens = self._laid_out(chosen, turns, max_tokens=max_tokens)
        shown = set(used)
        return Context(
            text=text,
            messages=tuple(_message(turns[place]) for place in used),
            hits=tuple(hit for place, hit in _ranked(found) if place in shown),
            turns=tuple(turns[place] for place in used),
            tokens=tokens,
            max_tokens=max_tokens,
            dropped=self._dropped(found, units, shown=shown),
        )

    def _turns(self, found: Found, units: Iterable[_Unit]) -> dict[int, Turn]:
        """Every turn that may be used, by place."""
        turns = {unit.place: unit.hit.turn for unit in units}
        places = sorted({p for unit in units for p in unit.beside if p not in turns})
        rows = found.sight.columns.head_row[found.sight.rows[places]] if places else ()
        read = found.store.turns_by_row(rows) if places else {}
        turns |= {p: read[int(r)] for p, r in zip(places, rows, strict=True) if int(r) in read}
        return turns

    def _chosen(
        self, units: list[_Unit], turns: Mapping[int, Turn], *, max_tokens: int
    ) -> list[tuple[int, ...]]:
        """Take units best first while they fit, without their neighbours if need be.

        Returns:
            The places that each unit taken adds to those before it.
        """
        costs: dict[int, int] = {}
        headers: dict[object, int] = {}
        taken: set[int] = set()
        said: set[tuple[str, str]] = set()
        chosen: list[tuple[int, ...]] = []
        spent = 0

        def cost(places: Iterable[int]) -> int:
            total, opened = 0, set(headers)
            for place in places:
                turn = turns[place]
                if place not in costs:
                    costs[place] = self._tokens(_line(turn) + "\n")
                total += costs[place]
                if (key := _section(turn)) not in opened:
                    opened.add(key)
                    total += self._tokens("\n" + _header(turn) + "\n")
            return total

        for unit in units:
            near = tuple(p for p in unit.beside if p in turns and _wording(turns[p]) not in said)
            full = tuple(p for p in (unit.place, *near) if p not in taken)
            for places in (full, tuple(p for p in full if p == unit.place)):
                price = cost(places)
                if spent + price <= max_tokens:
                    spent += price
                    taken.update(places)
                    said.update(_wording(turns[p]) for p in places)
                    headers.update((_section(turns[p]), 0) for p in places)
                    chosen.append(places)
                    break
        return chosen

    def _laid_out(
        self, chosen: list[tuple[int, ...]], turns: Mapping[int, Turn], *, max_tokens: int
    ) -> tuple[list[int], str, int]:
        """Lay out what was chosen, giving up the last of it while the exact count is too high.

        Returns:
            The places in order, their text, and its tokens.
        """
        while True:
            places = {place for added in chosen for place in added}
            used = sorted(places, key=lambda p: (turns[p].event_time, turns[p].ingested_at))
            text = render(turns[place] for place in used)
            tokens = self._tokens(text) if text else 0
            if tokens <= max_tokens:
                return used, text, tokens
            chosen = chosen[:-1]

    def _dropped(
        self, found: Found, units: Iterable[_Unit], *, shown: Container[int]
    ) -> tuple[Dropped, ...]:
        """Account for the hits that are not shown, best first."""
        distinct = {unit.place for unit in units}
        return tuple(
            Dropped(hit.turn, "budget" if place in distinct else "duplicate", self._cost(hit.turn))
            for place, hit in _ranked(found)
            if place not in shown
        )

    def _cost(self, turn: Turn) -> int:
        return self._tokens(_line(turn))

    def _tokens(self, text: str) -> int:
        """Count tokens; of what the counter refuses, bytes, which are never fewer.

        One odd turn so drops out of a context by its cost instead of breaking every context.
        """
        try:
            return self._counter.count(text)
        except UncountableText:
            return len(text.encode())


def hits_for(max_tokens: int) -> int:
    """How many hits a budget could hold at the most.

    Raises:
        InvalidInput: The budget is no number of tokens.
    """
    _check_budget(max_tokens)
    return max(1, min(MOST_HITS, max_tokens // TOKENS_A_TURN + 1))


def render(turns: Iterable[Turn]) -> str:
    """Lay turns out in the order given, under a heading wherever day or session changes."""
    lines: list[str] = []
    section: object = None
    for turn in turns:
        if _section(turn) != section:
            section = _section(turn)
            lines += ["", _header(turn)] if lines else [_header(turn)]
        lines.append(_line(turn))
    return "\n".join(lines)


def _texts(context: Context) -> Iterator[tuple[str | None, str]]:
    """What a context hands out in either form, turn by turn, with the user whose it is."""
    for turn, message in zip(context.turns, context.messages, strict=True):
        for text in (_header(turn), _line(turn), message["content"]):
            yield turn.user_id, text


def _section(turn: Turn) -> tuple[object, ...]:
    return turn.event_time.date(), turn.session_id


def _header(turn: Turn) -> str:
    session = f", session {turn.session_id}" if turn.session_id else ""
    return _indented(f"[{turn.event_time:%Y-%m-%d}{session}]")


def _line(turn: Turn) -> str:
    return _indented(_said(turn))


def _said(turn: Turn) -> str:
    captions = "; ".join(one.caption for one in turn.attachments if one.caption)
    shared = f" [shares {captions}]" if captions else ""
    return f"{_speaker(turn)}: {turn.content}{shared}"


def _indented(text: str) -> str:
    """Indent all lines but the first: what was said begins no line as headings and speakers do."""
    return LINE_END.sub(rf"\g<0>{INDENT}", text)


def _speaker(turn: Turn) -> str:
    """Name who spoke; a name that reads like a role or a frame stands in quotes, with the role."""
    name = turn.speaker
    letters = "".join(filter(str.isalnum, normalize("NFKC", name).casefold()))
    if name != turn.role and (letters in ROLES or FRAMING.search(name)):
        quoted = json.dumps(name, ensure_ascii=LINE_END.search(name) is not None)
        return f"{quoted} ({turn.role})"
    return name


def _message(turn: Turn) -> dict[str, str]:
    """One turn for a chat request, with its date and, unless the role says it, its speaker."""
    role = turn.role if turn.role in PLAIN_ROLES else "user"
    said = _said(turn) if turn.speaker != role else _said(turn).removeprefix(f"{role}: ")
    return {"role": role, "content": f"[{turn.event_time:%Y-%m-%d}] {said}"}


def _ranked(found: Found) -> Iterator[tuple[int, Hit]]:
    """The hits with their places, best first."""
    return zip(found.places, found.recall.hits, strict=True)


def _wording(turn: Turn) -> tuple[str, str]:
    """Speaker and words, without regard to case and white space."""
    return turn.speaker, " ".join(_line(turn).casefold().split())


def _distinct(found: Found) -> list[_Unit]:
    """The first hit of each wording of a speaker; repeats are left out."""
    units: list[_Unit] = []
    seen: set[tuple[str, str]] = set()
    for place, hit in _ranked(found):
        wording = _wording(hit.turn)
        if wording not in seen:
            seen.add(wording)
            units.append(_Unit(hit, place, ()))
    return units


def _with_neighbours(found: Found, unit: _Unit, neighbours: Neighbours) -> _Unit:
    """Add the places that complete a hit."""
    if neighbours == "auto":
        asks = found.sight.conversation.asks
        before, after = found.beside(unit.place, -1), found.beside(unit.place, 1)
        beside = [before] if before is not None and asks[before] else []
        beside += [after] if after is not None and asks[unit.place] else []
    else:
        steps = sorted(range(-neighbours, neighbours + 1), key=abs)[1:]
        near = (found.beside(unit.place, step) for step in steps)
        beside = [place for place in near if place is not None]
    return _Unit(unit.hit, unit.place, tuple(beside))


def _check_budget(max_tokens: object) -> None:
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
        raise InvalidInput(f"max_tokens={shown(max_tokens)}: pass the budget in tokens, 1 or more.")


def _check_neighbours(neighbours: object) -> None:
    if neighbours != "auto" and (
        not isinstance(neighbours, int) or not 0 <= neighbours <= MOST_NEIGHBOURS
    ):
        raise InvalidInput(
            f"neighbours={shown(neighbours)}: pass 'auto', or how many turns on each side, from 0 "
            f"to {MOST_NEIGHBOURS}."
        )
