"""Finds the tables of `nvidia-smi topo` in a text: a header and rows, or rows alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from planner.topology.importers.words import MOST_DEVICES

GPU = re.compile(r"GPU(?:0|[1-9]\d{0,3})")
LINK = re.compile(r"X|NV[1-9]\d?|PIX|PXB|PHB|NODE|SYS|SOC", re.IGNORECASE)
PEER = re.compile(r"X|OK|CNS|GNS|TNS|NS|DR|U", re.IGNORECASE)
"""Cells of `topo -m` and of `topo -p2p`."""
_RUN = re.compile(r"(?:X|NV[1-9]\d?|PIX|PXB|PHB|NODE|SYS|SOC)+", re.IGNORECASE)
_WORDS = re.compile(r"CPU Affinity|NUMA Affinity|GPU NUMA ID|NUMA\b", re.IGNORECASE)
_PART = re.compile(r"(?:GPU|NIC)\d{1,3}|mlx\S{0,20}\d")
_MOST_ROWS = 2 * MOST_DEVICES
"""Lines of a table that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: its label, its cells, and the words behind the last one."""

    label: str
    cells: tuple[str, ...]
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Names of the columns, and the rows."""

    labels: tuple[str, ...]
    rows: tuple[Row, ...]


def find(lines: Sequence[str], cell: re.Pattern[str]) -> Table | None:
    """The first table whose cells are `cell`: its header and rows, or rows without a header."""
    for number, line in enumerate(lines):
        labels = _header(line)
        rows = _rows(lines[number + 1 : number + _MOST_ROWS], labels, cell) if labels else ()
        if labels and rows:
            return Table(labels=labels, rows=rows)
    return _headless(lines, cell)


def _header(line: str) -> tuple[str, ...]:
    """Column names of a header, or nothing where the line is none."""
    columns = tuple(_WORDS.split(line, maxsplit=1)[0].split())
    if not columns or GPU.fullmatch(columns[0]) is None:
        return ()
    named = all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*\d", column) for column in columns)
    return columns if named and len(set(columns)) == len(columns) else ()


def _rows(lines: Sequence[str], labels: tuple[str, ...], cell: re.Pattern[str]) -> tuple[Row, ...]:
    """Rows below a header, up to the first line that is none; each label once."""
    rows: list[Row] = []
    for line in lines:
        row = _row(line, labels, cell)
        if row is None or any(row.label == other.label for other in rows):
            break
        rows.append(row)
    return tuple(rows)


def _headless(lines: Sequence[str], cell: re.Pattern[str]) -> Table | None:
    """A table whose header is missing: rows `GPU0 X ...`, `GPU1 ...` tell the columns."""
    for number, line in enumerate(lines):
        words = line.split()
        if len(words) < 2 or words[0] != "GPU0" or words[1].upper() != "X":
            continue
        labels: list[str] = []
        for following in lines[number : number + _MOST_ROWS]:
            first = following.split(maxsplit=1)[:1]
            if not first or _PART.fullmatch(first[0]) is None or first[0] in labels:
                break
            labels.append(first[0])
        rows = _rows(lines[number : number + len(labels)], tuple(labels), cell)
        if len(rows) == len(labels) and all(len(row.cells) >= len(labels) for row in rows):
            return Table(labels=tuple(labels), rows=rows)
    return None


def _row(line: str, labels: tuple[str, ...], cell: re.Pattern[str]) -> Row | None:
    """A row of the table, cut into cells and what follows them; None where the line is none."""
    words = line.split()
    if len(words) < 2 or words[0] not in labels:
        return None
    if "\t" in line.strip():
        words = [word.strip() for word in line.strip(" \n").lstrip("\t").split("\t")]
        if words[0] not in labels:
            return None
    run = cell is LINK
    cells: list[str] = []
    for position, word in enumerate(words[1:], start=1):
        if len(cells) >= len(labels):
            return Row(label=words[0], cells=tuple(cells), rest=tuple(words[position:]))
        if cell.fullmatch(word):
            cells.append(word)
        elif run and _RUN.fullmatch(word):
            cells += LINK.findall(word)
        elif word:
            return None
        else:
            break
    return Row(label=words[0], cells=tuple(cells), rest=()) if cells else None
