"""How the answer was proved, what it assumes, what to beware of, and what to run next."""

from __future__ import annotations

from planner.plan import Plan, Solver
from planner.report import words
from planner.report.blocks import Block, Bullets, Cell, Command, Heading, Line, line
from planner.units import usd


def proof(solver: Solver) -> Line:
    """Status, objective, bound, gap and the space the bound holds for."""
    if solver.status == "evaluated":
        return line(Cell("A layout you named; nothing was optimised.", "dim"))
    objective, bound = _amount(solver.objective, solver.unit), _amount(solver.bound, solver.unit)
    if solver.status == "optimal":
        start = Cell("Proved cheapest: ", "good")
        says = f"{objective}, lower bound {bound}, over {solver.space}"
    else:
        start = Cell("Not proved, the time limit came first: ", "warn")
        gap = "" if solver.gap is None else f" (gap {100 * solver.gap:.1f} %)"
        says = f"{objective}, nothing below {bound}{gap}, over {solver.space}"
    effort = f" [{solver.deterministic_time:.2f} deterministic s, seed {solver.seed}]"
    return line(start, says, Cell(effort, "dim"))


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "none"
    match unit:
        case "USD":
            return usd(value)
        case "USD/h":
            return words.hourly(value)
        case _:
            return f"{value:g} {unit}"


def notes(warnings: tuple[str, ...], assumptions: tuple[str, ...]) -> list[Block]:
    """Warnings first, then what was assumed."""
    blocks: list[Block] = []
    if warnings:
        blocks += [Heading("Warnings"), Bullets(tuple(Cell(text, "warn") for text in warnings))]
    if assumptions:
        blocks += [Heading("Assumed"), Bullets(tuple(Cell(text) for text in assumptions))]
    return blocks


def next_commands(plan: Plan) -> list[Block]:
    """What to run next."""
    if not plan.next_commands:
        return []
    return [Heading("Next"), *(Command(text) for text in plan.next_commands)]


def provenance(planner_version: str, catalog_digest: str) -> Line:
    """Version of the planner and of the catalogs."""
    return line(Cell(f"planner {planner_version}, catalogs {catalog_digest[:12]}", "dim"))
