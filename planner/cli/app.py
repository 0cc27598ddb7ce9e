"""The command `plan`: its groups of commands and the shorthand `plan MODEL`.

Imported for `--help`: typer and the standard library only; commands import what they need.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from planner.cli import (
    catalog,
    evaluate,
    export,
    facts,
    inventory,
    requirements,
    solve,
    tables,
    verify,
)

_PLAN = "Ask"
_USE = "Use a plan"
_OWN = "Own machines"
_LOOK_UP = "Look up"

_EPILOG = """Examples:

  plan kimi-k2 --quant Q4_K_M --budget 300000 -o plan.json

  plan deepseek-r1 --budget-per-hour 40 --context 32768 --concurrency 4

  plan evaluate kimi-k2 --quant Q4_K_M --node dgx-spark:6

  plan facts ./config.json

  plan export llama.cpp plan.json -o launch

Exit codes: 0 yes, 1 no (infeasible, does not fit), 2 usage, 3 catalog or file, 4 time limit."""


class ModelOrCommand(TyperGroup):
    """`plan MODEL ...` is shorthand for `plan solve MODEL ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `solve` before a first argument that is neither a command nor an option."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["solve", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="plan",
    cls=ModelOrCommand,
    help="Which machines does a model need, and how exactly is it split over them?",
    epilog=_EPILOG,
    subcommand_metavar="MODEL | COMMAND [ARGS]...",
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        from planner import __version__

        print(f"planner {__version__}")
        raise typer.Exit


@app.callback()
def _plan(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Which machines does a model need, and how exactly is it split over them?"""


app.command(rich_help_panel=_PLAN)(solve.solve)
app.command(rich_help_panel=_PLAN)(evaluate.evaluate)
app.command(rich_help_panel=_PLAN)(requirements.requirements)
app.command(rich_help_panel=_PLAN)(facts.facts)
app.command(rich_help_panel=_USE)(verify.verify)
app.command(rich_help_panel=_USE)(export.export)
app.add_typer(inventory.app, rich_help_panel=_OWN)
for _name in tables.SUMMARIES:
    app.add_typer(tables.table(_name), rich_help_panel=_LOOK_UP)
app.add_typer(catalog.app, rich_help_panel=_LOOK_UP)
