"""The command `agentmem`: its commands in panels, and what every one does with an error.

Loads typer and this package's words; models, the database and rich load inside the commands.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from agentmem.cli import correcting, demo, evaluate, forgetting, reading, replay, writing
from agentmem.cli.audit import audit
from agentmem.cli.backup import app as backup
from agentmem.cli.doctor import doctor
from agentmem.cli.drift import app as drift
from agentmem.cli.drift import passport
from agentmem.cli.maintain import maintain
from agentmem.cli.migrate import app as migrate
from agentmem.cli.snapshots import app as snapshots
from agentmem.cli.telling import tell_error
from agentmem.cli.tenants import app as tenants
from agentmem.cli.tools import app as tools
from agentmem.cli.traces import app as traces
from agentmem.cli.traces.recording import recording
from agentmem.errors import AgentmemError
from agentmem.visible import visible

__all__ = ["app", "main"]

ERROR: Final = 1  # exit code of an error of agentmem; typer gives 2 to wrong usage
USAGE_ERROR: Final[Any] = typer.BadParameter.__bases__[0]  # typer exports no name for it
UNRECORDED: Final = (  # they ask what was recorded, or what nobody asked; `tools` sees to itself
    *("audit", "eval", "replay", "tools", "traces"),
)
QUIET: Final = {  # read by third parties when they are imported; what the user has set stays
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",  # else a warning whenever a process is started
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


class _Group(TyperGroup):
    """The group of all commands: an error of agentmem is told in words, without a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.obj = "--json" in args
        with _readable():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _readable():
                return super().invoke(ctx)
        except AgentmemError as error:
            tell_error(type(error).__name__, message=str(error), as_json=ctx.obj)
            raise typer.Exit(ERROR) from error
        except USAGE_ERROR as error:
            if not ctx.obj:
                raise  # typer shows it beside the usage
            tell_error("UsageError", message=error.format_message(), as_json=True)
            raise typer.Exit(error.exit_code) from error


@contextmanager
def _readable() -> Iterator[None]:
    """Let an error of usage repeat what was typed; a script may have typed what users wrote."""
    try:
        yield
    except USAGE_ERROR as error:
        error.message = visible(error.message)
        raise


app = typer.Typer(
    name="agentmem",
    cls=_Group,
    help="Conversation memory for agents: stored verbatim, found by meaning and by word.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks would print the turns in local variables
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from agentmem import __version__

        typer.echo(f"agentmem {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            is_eager=True,
            callback=lambda value: _version(wanted=value),
        ),
    ] = False,
) -> None:
    """Conversation memory for agents: stored verbatim, found by meaning and by word."""
    if not version and ctx.invoked_subcommand not in UNRECORDED:
        ctx.with_resource(recording())


_PANELS: Final[dict[str, dict[str, Callable[..., None]]]] = {
    "Begin": {"demo": demo.demo},
    "Ask": {"search": reading.search, "context": reading.context},
    "Remember": {
        "add": writing.add,
        "import": writing.import_file,
        "export": writing.export,
        "supersede": correcting.supersede,
        "update": correcting.update,
        "delete": writing.delete,
        "forget": forgetting.forget,
    },
    "Look": {
        "sessions": reading.sessions,
        "turns": reading.turns,
        "get": reading.get,
        "stats": reading.stats,
        "replay": replay.replay,
        "receipts": forgetting.receipts,
    },
    "Look after": {"maintain": maintain, "doctor": doctor, "audit": audit},
}

for _panel, _commands in _PANELS.items():
    for _name, _function in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_function)
app.add_typer(tools.app, name="tools", rich_help_panel="Tools")
app.add_typer(traces.app, name="traces", rich_help_panel="Traces")
app.add_typer(passport.app, name="passport", rich_help_panel="Vectors")
app.add_typer(drift.app, name="drift", rich_help_panel="Vectors")
app.add_typer(migrate.app, name="migrate", rich_help_panel="Vectors")
app.add_typer(snapshots, name="snapshot", rich_help_panel="Keep")
app.add_typer(backup, name="backup", rich_help_panel="Keep")
app.add_typer(tenants, name="tenants", rich_help_panel="Keep")
app.add_typer(evaluate.app, name="eval", rich_help_panel="Measure")


def main() -> None:
    """Run the command line, as the script `agentmem` does."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character shows "?"
            stream.reconfigure(errors="replace")
    app(prog_name="agentmem")
