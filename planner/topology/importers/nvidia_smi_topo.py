"""`nvidia-smi topo -m` (what links the parts) and `topo -p2p` (who reaches whose memory).

What real texts do to the table: colours round the header, tabs or spaces, indents, no header, rows
cut off, two cells run together, NIC rows without affinity, adapters by their own names, SOC for
SYS, a lower-case x, words behind the last column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from planner.errors import FileError
from planner.topology.importers.seen import Dump, Pair, PeerStatus, SeenAdapter, SeenDevice
from planner.topology.importers.topo_table import GPU, LINK, PEER, Row, Table, find
from planner.topology.importers.words import refuse_crowd

FORMAT = "nvidia-smi topo -m"
PEERS = "nvidia-smi topo -p2p"
_LEGEND = re.compile(r"\s*(NIC\d{1,3})\s*:\s*(\S+)\s*")
_HINT = "give the whole output of 'nvidia-smi topo -m', from its header to its last row"


def holds(text: str) -> bool:
    """Whether a table of `topo -m` is in `text`."""
    return find(text.split("\n"), LINK) is not None


def holds_peers(text: str) -> bool:
    """Whether a table of `topo -p2p` is in `text`."""
    table = find(text.split("\n"), PEER)
    return table is not None and any(set(row.cells) != {"X"} for row in table.rows)


def read(text: str, where: str) -> Dump:
    """What `topo -m` says.

    Raises:
        FileError: no such table, cells that contradict each other, or rows that are missing so
            that two devices are left without a word about what links them.
    """
    table = find(text.split("\n"), LINK)
    if table is None:
        raise FileError(f"{where}: no table of 'nvidia-smi topo -m'", hint=_HINT)
    labels = table.labels
    gpus = [label for label in labels if GPU.fullmatch(label)]
    refuse_crowd(len(labels), where)
    findings: list[str] = []
    cells = _cells(table, where, findings)
    pairs = _pairs(labels, cells, where)
    _refuse_gaps(gpus, pairs, where)
    rows = {row.label: row for row in table.rows}
    legend = [match for match in map(_LEGEND.fullmatch, text.split("\n")) if match]
    names = {match[1]: match[2] for match in legend}
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
        FileError: no such table, or parts in it that are no GPUs.
    """
    table = find(text.split("\n"), PEER)
    if table is None:
        raise FileError(f"{where}: no table of 'nvidia-smi topo -p2p'", hint=_HINT)
    others = [label for label in table.labels if GPU.fullmatch(label) is None]
    if others:
        raise FileError(f"{where}: {others[0]} is no GPU, and stands in the table", hint=_HINT)
    refuse_crowd(len(table.labels), where)
    peers = [
        PeerStatus(one=row.label, other=label, status=cell.upper())
        for row in table.rows
        for label, cell in zip(table.labels, row.cells, strict=False)
        if PEER.fullmatch(cell) and cell.upper() != "X" and label != row.label
    ]
    return Dump(
        format=PEERS,
        devices=tuple(SeenDevice(index=int(label[3:])) for label in table.labels),
        peers=tuple(peers),
    )


def _cells(table: Table, where: str, findings: list[str]) -> dict[tuple[str, str], str]:
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
        FileError: both halves have it, and they differ; or an adapter has NVLink.
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
            cell = there or back
            if cell and cell.startswith("NV") and not (GPU.match(one) and GPU.match(other)):
                raise FileError(
                    f"{where}: {one} to {other} is {cell}, but adapters have no NVLink", hint=_HINT
                )
            if cell:
                pairs[one, other] = cell
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


def _place(row: Row | None) -> str:
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
