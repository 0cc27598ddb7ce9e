"""Which files an export wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from planner.report.blocks import Block, Bullets, Cell, line


def render(paths: Sequence[Path]) -> list[Block]:
    """The files, one a line."""
    return [
        line(f"wrote {len(paths)} file{'' if len(paths) == 1 else 's'}"),
        Bullets(tuple(Cell(str(path)) for path in paths)),
    ]
