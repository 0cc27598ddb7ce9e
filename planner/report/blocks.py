"""What a report is made of: blocks of text without colours or widths. Values only.

Report functions return blocks; `planner.report.terminal` draws them. Text in a block is never
read as markup, whoever wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "strong", "dim", "good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of text and how it is meant."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Column:
    """Heading and alignment of one column."""

    title: str
    right: bool = False
    keep: bool = False
    """Never wrapped or cut: names to copy."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Starts a section; `note` stands beside it, quieter."""

    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph of differently meant pieces, put together without spaces."""

    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command to copy: one line, never wrapped."""

    text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with headings; `narrow` is drawn instead where this one is too wide."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    narrow: Grid | None = None
    tight: bool = False
    """One space between columns instead of two."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Labels and what they name, in two aligned columns."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    items: tuple[Cell, ...]


Block = Heading | Line | Command | Grid | Pairs | Bullets


def line(*parts: str | Cell) -> Line:
    """A paragraph of `parts`; a bare string is meant plainly."""
    return Line(tuple(part if isinstance(part, Cell) else Cell(part) for part in parts))


def row(*cells: str | Cell) -> tuple[Cell, ...]:
    """One row of a grid; a bare string is meant plainly."""
    return tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)
