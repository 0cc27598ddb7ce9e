"""Draws blocks on a terminal with rich, or as plain text of a fixed width for pipes and files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import TextIO, assert_never

from rich import box
from rich.console import Console, RenderableType
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


def text_console(file: TextIO, width: int | None = None) -> Console:
    """A console that writes plain text: no colour, no box drawing.

    `width` None is COLUMNS, or 100 without it.
    """
    columns = os.environ.get("COLUMNS", "")
    default = int(columns) if columns.isascii() and columns.isdigit() else 0
    return Console(
        file=file,
        width=width or default or PLAIN_WIDTH,
        color_system=None,
        force_terminal=False,
        highlight=False,
        markup=False,
        emoji=False,
    )


def rich_console(file: TextIO) -> Console:
    """A console for the terminal behind `file`; rich honours NO_COLOR, COLUMNS and TERM."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    return console


def print_blocks(blocks: Iterable[Block], file: TextIO, *, plain: bool) -> None:
    """Draws `blocks` on `file`, plainly where asked or where it is no terminal."""
    if is_plain(file, plain=plain):
        draw(blocks, text_console(file), plain=True)
    else:
        draw(blocks, rich_console(file), plain=False)


def plain_text(blocks: Iterable[Block], width: int = PLAIN_WIDTH) -> str:
    """`blocks` as plain text of `width` columns, no line ending in a space."""
    file = io.StringIO()
    draw(blocks, text_console(file, width), plain=True)
    return file.getvalue()


def draw(blocks: Iterable[Block], console: Console, *, plain: bool) -> None:
    """Draws `blocks` one below the other."""
    for block in blocks:
        _draw(block, console, plain=plain)


def printable(text: str) -> str:
    """`text` without anything a terminal would obey: control and direction characters."""
    return "".join(_printable(char) for char in text)


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"


def _draw(block: Block, console: Console, *, plain: bool) -> None:
    match block:
        case Heading():
            console.line()
            _write(_heading(block), console, plain=plain)
        case Line():
            _write(Text.assemble(*map(_text, block.cells)), console, plain=plain)
        case Command():
            _write_unwrapped(block, console)
        case Grid():
            _write(_table(block, console, plain=plain), console, plain=plain)
        case Pairs():
            _write(_pairs(block), console, plain=plain)
        case Bullets():
            _write(_bullets(block), console, plain=plain)
        case _:
            assert_never(block)


def _write(renderable: RenderableType, console: Console, *, plain: bool) -> None:
    if not plain:
        console.print(renderable)
        return
    with console.capture() as capture:
        console.print(renderable)
    for drawn in capture.get().splitlines():
        console.file.write(drawn.rstrip() + "\n")


def _write_unwrapped(command: Command, console: Console) -> None:
    label = f"{command.label}  " if command.label else ""
    text = Text.assemble(("  " + label, "dim"), (printable(command.text), "cyan"))
    console.print(text, soft_wrap=True)


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
    for column in grid.columns:
        _add_column(table, column)
    for cells in grid.rows:
        table.add_row(*map(_text, cells))
    unlimited = console.options.update(max_width=_UNLIMITED)
    wanted = Measurement.get(console, unlimited, table).maximum
    if grid.narrow is not None and wanted > console.width:
        return _table(grid.narrow, console, plain=plain)
    return table


def _add_column(table: Table, column: Column) -> None:
    title = Text(printable(column.title)) if "\n" not in column.title else Text(column.title)
    table.add_column(title, justify="right" if column.right else "left", vertical="top")


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
