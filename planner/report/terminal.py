"""Draws blocks on a terminal with rich, or as plain text of a fixed width for pipes and files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import TextIO, assert_never

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from planner.report.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Command,
    Grid,
    Heading,
    Line,
    Pairs,
    Tone,
)

PLAIN_WIDTH = 100
NARROWEST = 40
WIDEST = 140
"""Paragraphs longer than this are hard to read, however wide the terminal."""
_UNLIMITED = 10_000
_STYLES: dict[Tone, str] = {
    "plain": "",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
}
_RULE = "    \n    \n -- \n    \n    \n    \n    \n    \n"
_PLAIN_BOX = box.Box(_RULE, ascii=True)


def is_plain(file: TextIO, *, plain: bool) -> bool:
    """Whether `file` gets plain text: asked for, or not a terminal."""
    return plain or not Console(file=file).is_terminal


def print_blocks(blocks: Iterable[Block], file: TextIO, *, plain: bool) -> None:
    """Draws `blocks` on `file`, plainly where asked or where it is no terminal.

    Plain text is 100 columns wide, or COLUMNS; rich honours NO_COLOR, COLUMNS and TERM.
    """
    if is_plain(file, plain=plain):
        file.write(plain_text(blocks, plain_width(os.environ.get("COLUMNS", ""))))
        return
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    draw(blocks, console, plain=False)


def plain_width(columns: str) -> int:
    """The width COLUMNS asks for, or 100 where it asks for nothing sensible."""
    width = int(columns) if columns.isascii() and columns.isdigit() else 0
    return width if width >= NARROWEST else PLAIN_WIDTH


def plain_text(blocks: Iterable[Block], width: int = PLAIN_WIDTH) -> str:
    """`blocks` as plain text of `width` columns, no line ending in a space."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        color_system=None,
        force_terminal=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    draw(blocks, console, plain=True)
    return "".join(f"{drawn.rstrip()}\n" for drawn in file.getvalue().split("\n")[:-1])


def draw(blocks: Iterable[Block], console: Console, *, plain: bool) -> None:
    """Draws `blocks` one below the other; `plain` keeps tables free of box characters."""
    for block in blocks:
        match block:
            case Heading():
                console.line()
                console.print(_heading(block))
            case Line():
                console.print(Text.assemble(*map(_text, block.cells)))
            case Command():
                console.print(_command(block), soft_wrap=True)
            case Grid():
                console.print(_table(block, console, plain=plain))
            case Pairs():
                console.print(_pairs(block))
            case Bullets():
                console.print(_bullets(block))
            case _:
                assert_never(block)


def printable(text: str) -> str:
    """`text` without anything a terminal would obey: control and direction characters."""
    return "".join(_printable(char) for char in text)


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"


def _command(command: Command) -> Text:
    label = f"  {printable(command.label)}  " if command.label else "  "
    return Text.assemble((label, "dim"), (printable(command.text), "cyan"))


def _text(cell: Cell) -> Text:
    return Text(printable(cell.text), style=_STYLES[cell.tone])


def _heading(heading: Heading) -> Text:
    text = Text(printable(heading.text), style="bold cyan")
    if heading.note:
        text.append("  " + printable(heading.note), style="not bold dim")
    return text


def _table(grid: Grid, console: Console, *, plain: bool) -> Table:
    table = Table(
        box=_PLAIN_BOX if plain else box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1 if grid.tight else 2, 0, 0),
        header_style="dim",
        border_style="dim",
    )
    for index, column in enumerate(grid.columns):
        _add_column(table, column, [cells[index] for cells in grid.rows])
    for cells in grid.rows:
        table.add_row(*map(_text, cells))
    unlimited = console.options.update(max_width=_UNLIMITED)
    wanted = Measurement.get(console, unlimited, table).maximum
    if grid.narrow is not None and wanted > console.width:
        return _table(grid.narrow, console, plain=plain)
    return table


def _add_column(table: Table, column: Column, cells: list[Cell]) -> None:
    longest = max((_text(cell).cell_len for cell in cells), default=0)
    table.add_column(
        Text(printable(column.title)),
        justify="right" if column.right else "left",
        vertical="top",
        no_wrap=column.keep,
        min_width=longest if column.keep else None,
        overflow="fold",
    )


def _pairs(pairs: Pairs) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, cell in pairs.rows:
        table.add_row(Text(printable(label), style="dim"), _text(cell))
    return table


def _bullets(bullets: Bullets) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for item in bullets.items:
        table.add_row(Text("-", style="dim"), _text(item))
    return table
