"""What links two parts, in the words of `nvidia-smi topo`: read off a topology again.

Topology layer. In an imported topology a PCIe wire goes from the part below (`one`) to the part
above it (`other`), and every part has one above at most; wires of sockets go between equals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from planner.topology.parts import Topology, Wire

SCALE_UP = ("nvlink", "xgmi")
"""Media that join devices themselves."""


def kind(topology: Topology, one: str, other: str) -> str:
    """What links parts `one` and `other`: `NV18`, `XGMI`, `PIX`, `PXB`, `PHB`, `NODE` or `SYS`.

    Links of the devices' own come first, as in the table of `nvidia-smi topo -m`. Through a switch
    it is as many as the one with fewer has.
    """
    direct = [
        wire
        for wire in topology.wires
        if wire.medium in SCALE_UP and {wire.one, wire.other} == {one, other}
    ]
    if direct:
        return _name(direct[0].medium, sum(wire.lanes for wire in direct))
    through = [
        min(mine.lanes, theirs.lanes)
        for mine in _up(topology, one, "switch")
        for theirs in _up(topology, other, "switch")
        if mine.other == theirs.other
    ]
    if through:
        return _name("nvlink", sum(through))
    return pcie_kind(_above(topology), _part_kinds(topology), one, other)


def _name(medium: str, lanes: int) -> str:
    return f"NV{lanes}" if medium == "nvlink" else "XGMI"


def pcie_kind(above: Mapping[str, str], kinds: Mapping[str, str], one: str, other: str) -> str:
    """How far two parts are apart on PCIe, by the part that is first above both.

    A switch with both right below it is PIX, else PXB; a host bridge PHB; a socket NODE; no such
    part SYS.
    """
    mine, theirs = _path(above, one), _path(above, other)
    common = next((part for part in mine if part in theirs), "")
    match kinds.get(common, ""):
        case "pcie-switch":
            return "PIX" if mine.index(common) == theirs.index(common) == 1 else "PXB"
        case "root":
            return "PHB"
        case "socket":
            return "NODE"
        case _:
            return "SYS"


def _path(above: Mapping[str, str], part: str) -> list[str]:
    """`part` and what is above it, lowest first."""
    path = [part]
    while path[-1] in above and above[path[-1]] not in path:
        path.append(above[path[-1]])
    return path


def _above(topology: Topology) -> dict[str, str]:
    return {wire.one: wire.other for wire in topology.wires if wire.medium == "pcie"}


def _part_kinds(topology: Topology) -> dict[str, str]:
    return {part.name: part.kind for part in topology.parts}


def _up(topology: Topology, part: str, kind: str) -> list[Wire]:
    """Wires from `part` to parts of one kind."""
    kinds = _part_kinds(topology)
    return [wire for wire in topology.wires if wire.one == part and kinds[wire.other] == kind]


def groups(names: Sequence[str], joined: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """`names` in groups that `joined` pairs hold together, in order of first member."""
    group: dict[str, list[str]] = {name: [name] for name in names}
    for one, other in joined:
        if group[one] is not group[other]:
            group[one].extend(group[other])
            for name in group[other]:
                group[name] = group[one]
    found: list[tuple[str, ...]] = []
    for name in names:
        members = tuple(sorted(group[name], key=names.index))
        if members[0] == name:
            found.append(members)
    return found


def linked_groups(topology: Topology) -> list[tuple[str, ...]]:
    """Devices held together by NVLink or xGMI, directly or not; a device without is alone."""
    gpus = [part.name for part in topology.gpus]
    names = [part.name for part in topology.parts]
    wires = [(wire.one, wire.other) for wire in topology.wires if wire.medium in SCALE_UP]
    together = groups(names, wires)
    return [tuple(n for n in group if n in gpus) for group in together if set(group) & set(gpus)]
