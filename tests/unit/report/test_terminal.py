"""Blocks drawn on terminals, pipes and files."""

from __future__ import annotations

import io

import pytest

from planner.report.blocks import Bullets, Cell, Column, Grid, Heading, Pairs, line, row
from planner.report.terminal import plain_text, plain_width, print_blocks

BLOCKS = [
    Heading("Title", "note"),
    line("some ", Cell("bad", "bad"), " news"),
    Grid((Column("a"), Column("b", right=True)), (row("x", "1"), row("yy", "22"))),
    Pairs((("label", Cell("value")),)),
    Bullets((Cell("item"),)),
]


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def drawn(monkeypatch, *, plain=False, **environment):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = Terminal()
    print_blocks(BLOCKS, file, plain=plain)
    return file.getvalue()


def test_plain_text_is_ascii_without_colour_or_boxes():
    text = plain_text(BLOCKS)
    assert text.isascii()
    assert "\x1b" not in text
    assert text.splitlines() == [
        "",
        "Title  note",
        "some bad news",
        "a     b",
        "-------",
        "x     1",
        "yy   22",
        "label  value",
        "- item",
    ]


def test_a_terminal_gets_colour_and_lines(monkeypatch):
    text = drawn(monkeypatch)
    assert "\x1b[1;31mbad" in text
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in text


def test_no_color_keeps_the_lines_and_drops_the_colour(monkeypatch):
    text = drawn(monkeypatch, NO_COLOR="1")
    assert "[31m" not in text
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in text


def test_plain_on_a_terminal_is_what_a_pipe_gets(monkeypatch):
    assert drawn(monkeypatch, plain=True) == plain_text(BLOCKS)


def test_a_file_that_is_no_terminal_gets_plain_text(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    file = io.StringIO()
    print_blocks(BLOCKS, file, plain=False)
    assert file.getvalue() == plain_text(BLOCKS)


@pytest.mark.parametrize(
    ("columns", "width"),
    [("", 100), ("80", 80), ("140", 140), ("x", 100), ("0", 100), ("\N{SUPERSCRIPT TWO}", 100)],
)
def test_columns_sets_the_width_of_plain_text(columns, width):
    assert plain_width(columns) == width


def test_the_narrow_table_is_drawn_only_where_the_wide_one_has_no_room():
    narrow = Grid((Column("n"),), (row("narrow"),))
    wide = Grid((Column("w"), Column("x")), (row("w" * 30, "x" * 30),), narrow=narrow)
    assert "narrow" in plain_text([wide], 60)
    assert "w" * 30 in plain_text([wide], 70)


def test_a_column_to_copy_from_is_never_wrapped():
    name = "a-very-long-name-of-a-node-type"
    grid = Grid((Column("node", keep=True), Column("note")), (row(name, "word " * 20),))
    assert name in plain_text([grid], 50)
