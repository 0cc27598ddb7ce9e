"""How the answer was proved, what it assumes, what to beware of, and what to run next."""

from __future__ import annotations

from planner.plan import Plan, Solver
from planner.report import words
from planner.report.blocks import Block, Bullets, Cell, Command, Heading, Line, line
from planner.units import usd


def proof(solver: Solver) -> list[Block]:
    """Status, objective, bound, gap and the space the bound holds for."""
    objective, bound = _amount(solver.objective, solver.unit), _amount(solver.bound, solver.unit)
    if solver.status == "optimal":
        start = Cell("Optimal: ", "good")
        says = f"{objective}, and nothing below {bound} is possible"
    else:
        start = Cell("Not proved, the time limit came first: ", "warn")
        gap = "" if solver.gap is None else f" (gap {100 * solver.gap:.1f} %)"
        says = f"{objective}, while nothing below {bound} is possible{gap}"
    effort = f"{solver.deterministic_time:.2f} deterministic s, seed {solver.seed}"
    return [Heading("Proof", effort), line(start, says, f"; among {solver.space}")]


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


def notes(
    warnings: tuple[str, ...], assumptions: tuple[str, ...], shown: tuple[str, ...] = ()
) -> list[Block]:
    """Warnings first, less those about a command in `shown`, then what was assumed."""
    left = [text for text in warnings if not any(command in text for command in shown)]
    blocks: list[Block] = []
    if left:
        blocks += [Heading("Warnings"), Bullets(tuple(Cell(text, "warn") for text in left))]
    if assumptions:
        blocks += [Heading("Assumed"), line("; ".join(assumptions) + ".")]
    return blocks


def next_commands(plan: Plan) -> list[Block]:
    """What to run next."""
    if not plan.next_commands:
        return []
    return [Heading("Next"), *(Command(text) for text in plan.next_commands)]


def provenance(planner_version: str, catalog_digest: str) -> Line:
    """Version of the planner and of the catalogs."""
    return line(Cell(f"planner {planner_version}, catalogs {catalog_digest[:12]}", "dim"))
