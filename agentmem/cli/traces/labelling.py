"""The commands that keep verdicts on past retrievals: label and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentmem.cli.machine import print_json
from agentmem.cli.options import AsJson, Where, filter_of
from agentmem.cli.telling import say
from agentmem.cli.traces.options import Folder, Wanted, opened_traces

if TYPE_CHECKING:
    from agentmem.traces import Label, Traces

__all__ = ["label", "labels"]


def label(
    wanted: Wanted,
    *,
    right: Annotated[bool, typer.Option("--right", help="It came out as it should.")] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="It did not.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take its label back.")] = False,
    expected: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="A turn that answers the question, or a tool it needs. May be given several "
            "times. Default of a right one: its best hit, or the tools it handed out.",
        ),
    ] = None,
    wrong_id: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="A result that should not be there. May be given several times. Default of a "
            "wrong one: its best result.",
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What was asked, where content was not recorded."),
    ] = None,
    where: Where = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why.")] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who says so.")] = None,
    traces: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a past retrieval was right; `agentmem eval` runs what was labelled.

    Labels stay when spans are pruned. A later label of the same retrieval takes its place.
    """
    if right + wrong + remove != 1:
        raise typer.BadParameter("give one of --right, --wrong and --remove", param_hint="--right")
    found = opened_traces(traces)
    if remove:
        _remove(found, wanted, by=by, as_json=as_json)
        return
    from agentmem.traces import mark

    given = mark(
        found,
        wanted,
        verdict="right" if right else "wrong",
        expected=expected or (),
        wrong=wrong_id or (),
        query=query,
        where=filter_of(where),
        note=note,
        by=by,
    )
    _print([given], as_json=as_json, alone=True)


def _remove(found: Traces, wanted: str, *, by: str | None, as_json: bool) -> None:
    """Take back a label; that of a span which was pruned is found among the labels."""
    from agentmem.traces import unlabel
    from agentmem.traces.ids import only_match, prefix_of

    ids = [one.span_id for one in found.labels()]
    span_id = only_match(prefix_of(wanted), ids, what="labelled span", where=str(found.path))
    removed = unlabel(found.path, span_id, by=by)
    if as_json:
        print_json({"span_id": span_id, "removed": removed})
    else:
        say(f"The label of {span_id} was taken back.")


def labels(*, traces: Folder = None, as_json: AsJson = False) -> None:
    """List the labels in force, in the order in which they were given."""
    _print(opened_traces(traces).labels(), as_json=as_json)


def _print(given: list[Label], *, as_json: bool, alone: bool = False) -> None:
    if as_json:
        from agentmem.cli.traces.machine import label_form

        forms = [label_form(one) for one in given]
        print_json(forms[0] if alone else forms)
        return
    from agentmem.cli.render import make_console
    from agentmem.cli.traces.render import labels_block

    make_console().print(labels_block(given) if given else "No labels.")
