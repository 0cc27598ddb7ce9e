"""No plan exists: what was asked, which limits conflict, and what would fix it."""

from __future__ import annotations

from planner.plan import Conflict, Infeasible, Relaxation
from planner.report import words
from planner.report.blocks import Block, Cell, Column, Command, Grid, Heading, line, row
from planner.report.choices import question
from planner.report.proof import notes, provenance
from planner.units import usd


def render(outcome: Infeasible) -> list[Block]:
    """The whole answer, relaxations with the commands that make them."""
    blocks: list[Block] = [
        question(outcome.model, f"{outcome.engine} {outcome.build}"),
        line(Cell("No plan", "bad"), " exists within these limits."),
    ]
    if outcome.conflicts:
        columns = (Column("limit"), Column("value"), Column("conflict"))
        rows = tuple(map(_conflict, outcome.conflicts))
        blocks += [Heading("What conflicts"), Grid(columns, rows)]
    blocks += _relaxations(outcome)
    blocks += [Heading("Proof"), line(f"Nothing fits among {outcome.space}")]
    blocks += notes((), outcome.assumptions)
    return [*blocks, provenance(outcome.planner_version, outcome.catalog_digest)]


def _conflict(conflict: Conflict) -> tuple[Cell, ...]:
    value = _amount(conflict.limit, conflict.value)
    return row(Cell(conflict.limit, "strong"), value, conflict.detail)


def _relaxations(outcome: Infeasible) -> list[Block]:
    if not outcome.relaxations:
        return []
    rented = outcome.request.budget_per_hour is not None
    columns = (
        Column("", right=True),
        Column("change this alone"),
        Column("from", right=True),
        Column("to", right=True),
        Column("then costs", right=True),
    )
    helpful = [entry for entry in outcome.relaxations if entry.to is not None]
    numbers = {id(entry): str(number) for number, entry in enumerate(helpful, 1)}
    rows = tuple(
        _relaxation(entry, numbers.get(id(entry), ""), rented=rented)
        for entry in outcome.relaxations
    )
    blocks: list[Block] = [
        Heading("Smallest change that makes it feasible", "each proved by solving again"),
        Grid(columns, rows),
    ]
    commands = [entry for entry in helpful if entry.command]
    if commands:
        blocks.append(Heading("Run"))
    return blocks + [Command(entry.command or "", label=numbers[id(entry)]) for entry in commands]


def _relaxation(entry: Relaxation, number: str, *, rented: bool) -> tuple[Cell, ...]:
    if entry.to is None:
        return row(
            "",
            Cell(entry.change, "dim"),
            Cell(_amount(entry.change, entry.from_), "dim"),
            Cell("no value helps", "dim"),
            "",
        )
    price = ""
    if entry.cost_usd is not None:
        price = words.hourly(entry.cost_usd) if rented else usd(entry.cost_usd)
    before, after = _amount(entry.change, entry.from_), _amount(entry.change, entry.to)
    return row(Cell(number, "dim"), entry.change, before, Cell(after, "good"), price)


def _amount(limit: str, value: str) -> str:
    """A bare number with separators, and as dollars where the limit is a budget."""
    try:
        number = float(value)
    except ValueError:  # a name or a yes
        return value
    if limit.startswith("budget"):
        return words.hourly(number) if "hour" in limit else usd(number)
    return f"{number:,.10g}"
