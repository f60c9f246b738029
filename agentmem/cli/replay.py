"""The command `replay`: a past search or selection run again, found by its span."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Model, filter_of, load_model, opened, waiting
from agentmem.cli.tools.inputs import messages
from agentmem.cli.tools.options import opened_router
from agentmem.cli.traces.options import Folder, opened_traces
from agentmem.errors import InvalidInput, StoreNotFound
from agentmem.types import Replay, SearchRecord, SelectionRecord, Verdict

__all__ = ["replay"]

EXIT_CODES: Final[dict[Verdict, int]] = {"identical": 0, "different": 3, "impossible": 4}


def replay(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="SPAN|TRACE_ID|FILE",
            help="A span or trace id or its first digits, or a file of spans as JSON.",
        ),
    ],
    *,
    span: Annotated[
        str | None, typer.Option(metavar="ID", help="Which retrieval of a file of several.")
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What was asked, where content was not recorded."),
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="JSON", help="The filter of then, likewise.")
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The conversation of then, likewise; of a selection."),
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Ask today as well, and say what moved and why.")
    ] = False,
    traces: Folder = None,
    store: Annotated[
        str | None,
        typer.Option(  # not of the environment, which names the store of today's work
            metavar="PATH", help="Folder or address of the store, if not the one on the record."
        ),
    ] = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Run a past search or selection again, as it was.

    Exits with 0 if the same came out, with 3 if not, and with 4 if what it rests on is gone.
    """
    given = {"query": query, "where": filter_of(where), "history": messages(history)}
    record = _record(wanted, span=span, traces=traces)
    _refuse_lacking(record, given)
    replayed = _replayed(record, given, now=now, store=store, model=model)
    if as_json:
        from agentmem.cli.replayed import replay_form

        print_json(replay_form(replayed))
    else:
        from agentmem.cli.render import make_console
        from agentmem.cli.replayed import replay_block

        make_console().print(replay_block(replayed))
    raise typer.Exit(EXIT_CODES[replayed.verdict])


def _record(wanted: str, *, span: str | None, traces: str | None) -> SearchRecord | SelectionRecord:
    """Find the retrieval that is meant."""
    if Path(wanted).is_file() or wanted.endswith(".json"):
        from agentmem.traces import read_span_file, record_of_spans

        return record_of_spans(read_span_file(wanted), span)
    return opened_traces(traces).record(wanted)


def _refuse_lacking(record: SearchRecord | SelectionRecord, given: dict[str, Any]) -> None:
    """Name the options for what was not recorded, before a model is loaded."""
    missing = [f"--{name}" for name in record.lacks if given[name] is None]
    if missing:
        raise InvalidInput(
            "the span does not say everything that was asked, because content was not recorded, "
            f"or was redacted. Give {' and '.join(missing)} exactly as it was asked."
        )


def _replayed(
    record: SearchRecord | SelectionRecord,
    given: dict[str, Any],
    *,
    now: bool,
    store: str | None,
    model: str | None,
) -> Replay:
    """Open the store, and run it."""
    place = record.origin.store if store is None else store
    query, where, history = given["query"], given["where"], given["history"]
    try:
        if isinstance(record, SearchRecord):
            if history is not None:
                raise typer.BadParameter("a search has none", param_hint="--history")
            with opened(place, model=model) as memory:
                if record.mode != "lexical":
                    load_model(model)
                return memory.replay(record, query=query, where=where, now=now)
        with opened_router(place, model=model) as router:
            load_model(model)
            with waiting("replaying"):
                return router.replay(record, query=query, where=where, history=history, now=now)
    except StoreNotFound as error:
        if store is not None:
            raise
        raise StoreNotFound(f"{error} It is the store on the record; --store names another.") from (
            error
        )
