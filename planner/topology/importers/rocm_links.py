"""What weight, hops and link type of ROCm's tools say about a pair of devices.

A weight is 15 for each xGMI hop and 20 for each segment of PCIe (ROCm/rocm-systems 7372). Hops
are 1 over xGMI even where other devices lie between (ROCm/rocm-systems 5763), 2 through one CPU,
3 through two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from planner.errors import FileError
from planner.topology.importers.seen import Pair

ONE_XGMI_HOP = 15
_ONE_SOCKET_HOPS = 2
_ONE_SOCKET_WEIGHT = 40
"""Two segments of PCIe, up to the CPU and down."""
_HINT = "give the output whole: weights, hops and link types"

Table = Mapping[tuple[str, str], str]
"""Cells by row and column."""


def pairs(
    labels: Sequence[str], types: Table, hops: Table, weights: Table, where: str
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """How each two of `labels` reach each other, and what a reader must know.

    xGMI through other devices is no link of the pair's own and gives no pair.

    Raises:
        FileError: a pair without a link type, or both halves of the table differ.
    """
    found: list[Pair] = []
    indirect = 0
    for i, one in enumerate(labels):
        for other in labels[i + 1 :]:
            link = _cell(types, one, other, where, "link type").upper()
            weight = _number(_cell(weights, one, other, where, "weight"))
            steps = _number(_cell(hops, one, other, where, "hops"))
            if link == "XGMI":
                if weight is not None and weight > ONE_XGMI_HOP:
                    indirect += 1
                else:
                    found.append(Pair(one=one, other=other, kind="XGMI", weight=weight))
            elif link in ("PCIE", "PCI"):
                near = _near(steps, weight)
                kind = "NODE" if near else "SYS"
                found.append(
                    Pair.model_validate(
                        {"one": one, "other": other, "kind": kind, "weight": weight}
                    )
                )
            else:
                raise FileError(
                    f"{where}: {one} to {other} has link type {link or 'none'}", hint=_HINT
                )
    return tuple(found), _notes(found, indirect)


def _near(steps: int | None, weight: int | None) -> bool:
    if steps is not None:
        return steps <= _ONE_SOCKET_HOPS
    return weight is not None and weight <= _ONE_SOCKET_WEIGHT


def _cell(table: Table, one: str, other: str, where: str, what: str) -> str:
    there, back = table.get((one, other), ""), table.get((other, one), "")
    if there and back and there != back:
        raise FileError(
            f"{where}: {what} of {one} to {other} is {there}, but of {other} to {one} {back}",
            hint=_HINT,
        )
    return there or back


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _notes(found: Sequence[Pair], indirect: int) -> tuple[str, ...]:
    notes = []
    if indirect:
        notes.append(f"{indirect} pairs reach each other over xGMI through other devices only")
    if any(pair.kind == "XGMI" and pair.weight is None for pair in found):
        notes.append("weights are not printed: every xGMI pair is taken to be linked directly")
    if any(pair.kind in ("NODE", "SYS") for pair in found):
        notes.append(
            "ROCm prints no PCIe switches: devices of one socket are taken to be NODE apart"
        )
    return tuple(notes)
