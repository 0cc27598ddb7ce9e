"""`nvidia-smi topo -m` (what links the parts) and `topo -p2p` (who reaches whose memory).

What real texts do to the table: colours round the header, tabs or spaces, indents, no header, rows
cut off, two cells run together, NIC rows without affinity, adapters by their own names, SOC for
SYS, a lower-case x, words behind the last column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from planner.errors import FileError
from planner.topology.importers.seen import Dump, Pair, PeerStatus, SeenAdapter, SeenDevice
from planner.topology.importers.words import refuse_crowd

FORMAT = "nvidia-smi topo -m"
PEERS = "nvidia-smi topo -p2p"
_GPU = re.compile(r"GPU(?:0|[1-9]\d{0,3})")
_CELL = re.compile(r"X|NV\d{1,2}|PIX|PXB|PHB|NODE|SYS|SOC", re.IGNORECASE)
_RUN = re.compile(r"(?:X|NV\d{1,2}|PIX|PXB|PHB|NODE|SYS|SOC)+", re.IGNORECASE)
_PEER = re.compile(r"X|OK|CNS|GNS|TNS|NS|DR|U", re.IGNORECASE)
_WORDS = re.compile(r"CPU Affinity|NUMA Affinity|GPU NUMA ID|NUMA\b", re.IGNORECASE)
_LEGEND = re.compile(r"\s*(NIC\d{1,3})\s*:\s*(\S+)\s*")
_HINT = "give the whole output of 'nvidia-smi topo -m', from its header to its last row"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    label: str
    cells: tuple[str, ...]
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    labels: tuple[str, ...]
    rows: tuple[_Row, ...]


def holds(text: str) -> bool:
    """Whether a table of `topo -m` is in `text`."""
    return _find(text.split("\n"), _CELL) is not None


def holds_peers(text: str) -> bool:
    """Whether a table of `topo -p2p` is in `text`."""
    return _find(text.split("\n"), _PEER) is not None


def read(text: str, where: str) -> Dump:
    """What `topo -m` says.

    Raises:
        FileError: no such table, cells that contradict each other, or rows that are missing so
            that two devices are left without a word about what links them.
    """
    table = _find(text.split("\n"), _CELL)
    if table is None:
        raise FileError(f"{where}: no table of 'nvidia-smi topo -m'", hint=_HINT)
    labels = table.labels
    gpus = [label for label in labels if _GPU.fullmatch(label)]
    refuse_crowd(len(labels), where)
    findings: list[str] = []
    cells = _cells(table, where, findings)
    pairs = _pairs(labels, cells, where)
    _refuse_gaps(gpus, pairs, where)
    rows = {row.label: row for row in table.rows}
    names = dict(match.groups() for match in map(_LEGEND.fullmatch, text.split("\n")) if match)
    others = [label for label in labels if label not in gpus]
    if any(label not in rows for label in others):
        missing = [label for label in others if label not in rows]
        findings.append(f"{_some(missing)}: the rows are cut off")
    return Dump(
        format=FORMAT,
        devices=tuple(
            SeenDevice(index=int(label[3:]), place=_place(rows.get(label))) for label in gpus
        ),
        adapters=tuple(
            SeenAdapter(label=f"NIC{number}", name=names.get(label, label))
            for number, label in enumerate(others)
        ),
        pairs=_relabelled(pairs, others),
        links_known=True,
        findings=tuple(findings),
    )


def read_peers(text: str, where: str) -> Dump:
    """What `topo -p2p` says.

    Raises:
        FileError: no such table.
    """
    table = _find(text.split("\n"), _PEER)
    if table is None:
        raise FileError(f"{where}: no table of 'nvidia-smi topo -p2p'", hint=_HINT)
    refuse_crowd(len(table.labels), where)
    peers = [
        PeerStatus(one=row.label, other=label, status=cell.upper())
        for row in table.rows
        for label, cell in zip(table.labels, row.cells, strict=False)
        if _PEER.fullmatch(cell) and cell.upper() != "X" and label != row.label
    ]
    return Dump(
        format=PEERS,
        devices=tuple(SeenDevice(index=int(label[3:])) for label in table.labels),
        peers=tuple(peers),
    )


def _find(lines: Sequence[str], cell: re.Pattern[str]) -> _Table | None:
    """The first table whose cells are `cell`: its header and rows, or rows without a header."""
    for number, line in enumerate(lines):
        labels = _header(line)
        rows = _rows(lines[number + 1 :], labels, cell) if labels else ()
        if labels and rows:
            return _Table(labels=labels, rows=rows)
    return _headless(lines, cell)


def _header(line: str) -> tuple[str, ...]:
    """Column names of a header, or nothing where the line is none."""
    columns = tuple(_WORDS.split(line, maxsplit=1)[0].split())
    if not columns or _GPU.fullmatch(columns[0]) is None:
        return ()
    named = all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*\d", column) for column in columns)
    return columns if named and len(set(columns)) == len(columns) else ()


def _rows(
    lines: Sequence[str], labels: tuple[str, ...], cell: re.Pattern[str]
) -> tuple[_Row, ...]:
    """Rows below a header, up to the first line that is none; each label once."""
    rows: list[_Row] = []
    for line in lines:
        row = _row(line, labels, cell)
        if row is None or any(row.label == other.label for other in rows):
            break
        rows.append(row)
    return tuple(rows)


def _headless(lines: Sequence[str], cell: re.Pattern[str]) -> _Table | None:
    """A table whose header is missing: rows `GPU0 X ...`, `GPU1 ...` tell the columns."""
    for number, line in enumerate(lines):
        words = line.split()
        if len(words) < 2 or words[0] != "GPU0" or words[1].upper() != "X":
            continue
        labels: list[str] = []
        for following in lines[number:]:
            first = following.split()[:1]
            if not first or re.fullmatch(r"(?:GPU|NIC)\d{1,3}|mlx\S*\d", first[0]) is None:
                break
            labels.append(first[0])
        if len(set(labels)) != len(labels):
            continue
        rows = _rows(lines[number:], tuple(labels), cell)
        if all(len(row.cells) >= len(labels) for row in rows):
            return _Table(labels=tuple(labels), rows=rows)
    return None


def _row(line: str, labels: tuple[str, ...], cell: re.Pattern[str]) -> _Row | None:
    """A row of the table, cut into cells and what follows them; None where the line is none."""
    words = line.split()
    if len(words) < 2 or words[0] not in labels:
        return None
    if "\t" in line.strip():
        words = [word.strip() for word in line.strip(" \n").lstrip("\t").split("\t")]
    run = cell is _CELL
    cells: list[str] = []
    for position, word in enumerate(words[1:], start=1):
        if len(cells) >= len(labels):
            return _Row(label=words[0], cells=tuple(cells), rest=tuple(words[position:]))
        if cell.fullmatch(word):
            cells.append(word)
        elif run and _RUN.fullmatch(word):
            cells += _CELL.findall(word)
        else:
            break
    return _Row(label=words[0], cells=tuple(cells), rest=()) if cells else None


def _cells(table: _Table, where: str, findings: list[str]) -> dict[tuple[str, str], str]:
    """Every cell by row and column; notes what was cut.

    Raises:
        FileError: more cells than columns, or a row without its `X` where it must be.
    """
    cells: dict[tuple[str, str], str] = {}
    for row in table.rows:
        if len(row.cells) > len(table.labels):
            raise FileError(
                f"{where}: row {row.label} has {len(row.cells)} cells for {len(table.labels)} "
                "columns",
                hint=_HINT,
            )
        own = table.labels.index(row.label)
        crosses = [i for i, cell in enumerate(row.cells) if cell.upper() == "X"]
        if crosses != ([own] if own < len(row.cells) else []):
            raise FileError(
                f"{where}: row {row.label} has its X under {_under(table.labels, crosses)}",
                hint=_HINT,
            )
        if len(row.cells) < len(table.labels):
            findings.append(
                f"row {row.label} is cut off after {len(row.cells)} of {len(table.labels)} cells"
            )
        for label, cell in zip(table.labels, row.cells, strict=False):
            cells[row.label, label] = cell.upper().replace("SOC", "SYS")
    return cells


def _under(labels: Sequence[str], crosses: Sequence[int]) -> str:
    return " and ".join(labels[i] for i in crosses) or "no column"


def _pairs(
    labels: Sequence[str], cells: dict[tuple[str, str], str], where: str
) -> dict[tuple[str, str], str]:
    """The cell of each pair that is printed, whichever half of the table it stands in.

    Raises:
        FileError: both halves have it, and they differ.
    """
    pairs: dict[tuple[str, str], str] = {}
    for i, one in enumerate(labels):
        for other in labels[i + 1 :]:
            there, back = cells.get((one, other)), cells.get((other, one))
            if there and back and there != back:
                raise FileError(
                    f"{where}: {one} to {other} is {there}, but {other} to {one} is {back}",
                    hint=_HINT,
                )
            if there or back:
                pairs[one, other] = there or back or ""
    return pairs


def _refuse_gaps(gpus: Sequence[str], pairs: dict[tuple[str, str], str], where: str) -> None:
    """Refuses a table in which two devices have no cell."""
    gaps = [
        (one, other)
        for i, one in enumerate(gpus)
        for other in gpus[i + 1 :]
        if (one, other) not in pairs
    ]
    if gaps:
        missing = sorted({name for gap in gaps for name in gap}, key=gpus.index)
        raise FileError(
            f"{where}: the rows of {_some(missing)} are cut off: nothing says what links them to "
            "each other",
            hint=_HINT,
        )


def _relabelled(pairs: dict[tuple[str, str], str], others: Sequence[str]) -> tuple[Pair, ...]:
    """`pairs` as values, adapters by their place among the adapters."""
    names = {label: f"NIC{number}" for number, label in enumerate(others)}
    found = []
    for (one, other), cell in pairs.items():
        nvlink = cell.startswith("NV")
        found.append(
            Pair.model_validate(
                {
                    "one": names.get(one, one),
                    "other": names.get(other, other),
                    "kind": "NV" if nvlink else cell,
                    "count": int(cell[2:]) if nvlink else 1,
                }
            )
        )
    return tuple(found)


def _place(row: _Row | None) -> str:
    """What tells the NUMA node of a row: its NUMA affinity, else its CPU affinity."""
    rest = [word for word in row.rest if word] if row else []
    if not rest:
        return ""
    if rest[0].upper() == "NUMA" or rest[0].upper().startswith("NUMA "):
        return "NUMA " + rest[-1].split()[-1]
    rest = [word for word in rest if word.upper() != "N/A"]
    if not rest:
        return ""
    if len(rest) > 1:
        return f"NUMA {rest[1]}"
    return f"CPU {rest[0]}"


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= 4 else f"{labels[0]} to {labels[-1]}"
