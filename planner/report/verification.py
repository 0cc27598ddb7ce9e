"""What `plan verify` found."""

from __future__ import annotations

from typing import Literal

from planner.report.blocks import Block, Bullets, Cell, line
from planner.values import Value


class Verification(Value):
    """Every violation of a plan, found without the solver."""

    kind: Literal["verification"] = "verification"
    agrees: bool
    violations: tuple[str, ...]
    same_catalog: bool
    """Whether the catalogs are those the plan was made with."""


_UNCHECKED = (
    "Checked: every cluster shown, its split, memory, speed, price and limits. What only a new "
    "search can tell is not: remedies, headroom, prices of other choices, what was left out."
)


def render(found: Verification, name: str) -> list[Block]:
    """One line when the plan holds, else every violation."""
    blocks: list[Block] = []
    if found.agrees:
        blocks.append(line(Cell("holds", "good"), f": {name}, every check agrees"))
        blocks.append(line(Cell(_UNCHECKED, "dim")))
    else:
        blocks.append(line(Cell("rejected", "bad"), f": {name}"))
        blocks.append(Bullets(tuple(Cell(text) for text in found.violations)))
    if not found.same_catalog:
        text = "the catalogs are not those the plan was made with; judged by today's"
        blocks.append(line(Cell(text, "warn")))
    return blocks
