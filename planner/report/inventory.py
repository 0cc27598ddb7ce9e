"""Own machines for people: a tree of sockets, switches and devices, and what links each two."""

from __future__ import annotations

from collections.abc import Sequence

from planner.inventory import Inventory, Machine, OwnedDevice
from planner.report import words
from planner.report.blocks import Block, Bullets, Cell, Column, Grid, Heading, Line, Tone, line, row
from planner.topology.islands import islands
from planner.topology.kinds import SCALE_UP, kind
from planner.topology.parts import Part, Topology, Wire
from planner.units import gib, significant

_MATRIX = 16
"""Devices up to which the table of links is drawn."""
_INDENT = "  "


def render(inventory: Inventory) -> list[Block]:
    """Every machine: what it has, its tree, its links, what a reader must know."""
    blocks: list[Block] = []
    for number, machine in enumerate(inventory.machines):
        name, summary = machine.name, _summary(machine)
        first = line(Cell(name, "strong"), f": {summary}")
        blocks += [Heading(name, note=summary) if number else first, *_machine(machine)]
    return blocks


def _machine(machine: Machine) -> list[Block]:
    topology = machine.topology
    blocks: list[Block] = [*_tree(machine), *_own_links(topology)]
    if 1 < len(topology.gpus) <= _MATRIX:
        blocks += [Heading("Links", note=_peers(topology)), _matrix(topology)]
    blocks += _slices(machine)
    if topology.findings:
        notes = tuple(Cell(finding) for finding in topology.findings)
        blocks += [Heading("To know"), Bullets(notes)]
    return blocks


def _summary(machine: Machine) -> str:
    counts: dict[str, int] = {}
    for device in machine.devices:
        title = device.gpu or device.reported or "unknown GPU"
        counts[title] = counts.get(title, 0) + 1
    parts = [f"{count}x {title}" for title, count in counts.items()]
    if machine.host_memory is not None:
        free = "" if machine.host_free is None else f", {gib(machine.host_free)} free"
        parts.append(f"host memory {gib(machine.host_memory)} GiB{free}")
    return ", ".join(parts)


def _peers(topology: Topology) -> str:
    return "" if topology.peer_to_peer else "PCIe traffic goes through the host's memory"


def _tree(machine: Machine) -> list[Line]:
    """Sockets, below each its host bridges, switches, adapters and devices, with their links."""
    topology = machine.topology
    owned = {device.part: device for device in machine.devices}
    up = {wire.one: wire for wire in topology.wires if wire.medium == "pcie"}
    below: dict[str, list[Part]] = {}
    for part in topology.parts:
        parent = up[part.name].other if part.name in up else ""
        below.setdefault(parent, []).append(part)
    lines: list[Line] = []
    waiting = [(part, 0) for part in reversed(below.get("", [])) if part.kind != "switch"]
    drawn: set[str] = set()
    while waiting:
        part, depth = waiting.pop()
        if part.name in drawn:
            continue
        drawn.add(part.name)
        lines.append(_branch(part, depth, owned.get(part.name), up.get(part.name)))
        waiting += [(child, depth + 1) for child in reversed(below.get(part.name, []))]
    return lines


def _branch(part: Part, depth: int, device: OwnedDevice | None, wire: Wire | None) -> Line:
    cells: list[Cell | str] = [_INDENT * depth, Cell(part.name, "strong")]
    if device is not None:
        name = device.gpu or device.reported or "unknown GPU"
        cells += [f"  {name}", Cell(f"  {device.bus}" if device.bus else "", "dim")]
        cells += ["  ", _memory(device)]
    elif part.model or part.bus:
        cells += [Cell(f"  {part.model}" if part.model else "", "plain")]
        cells += [Cell(f"  {part.bus}" if part.bus else "", "dim")]
    if wire is not None and part.kind != "root":
        cells.append(Cell(f"  {_rate(wire.bandwidth)}", "dim"))
    return line(*cells)


def _memory(device: OwnedDevice) -> Cell:
    if device.slices:
        return Cell(f"cut into {words.plural(len(device.slices), 'slice')}", "warn")
    if device.free is not None and device.memory is not None:
        tone: Tone = "plain" if device.free > 0.1 * device.memory else "warn"
        return Cell(f"{gib(device.free)} of {gib(device.memory)} GiB free", tone)
    if device.memory is not None:
        return Cell(f"{gib(device.memory)} GiB")
    return Cell("shares the host's memory" if device.shares_host else "memory not known", "warn")


def _rate(bandwidth: float) -> str:
    return f"{significant(bandwidth / 1e9)} GB/s"


def _own_links(topology: Topology) -> list[Line]:
    """Switches of the devices' own, and groups that are linked beside PCIe."""
    lines = []
    for switch in topology.parts:
        ports = [wire for wire in topology.wires if wire.other == switch.name]
        if switch.kind == "switch" and ports:
            lanes = {wire.lanes for wire in ports}
            each = f"{min(lanes)} to {max(lanes)}" if len(lanes) > 1 else str(lanes.pop())
            rate = _rate(min(wire.bandwidth for wire in ports))
            lines.append(
                line(
                    Cell(switch.name, "strong"),
                    f"  {_some([wire.one for wire in ports])}: {each} NVLinks each, {rate}",
                )
            )
    if any(wire.medium in SCALE_UP for wire in topology.wires):
        groups = [group for group in islands(topology) if len(group) > 1]
        lines.append(line(Cell("islands", "strong"), "  ", "; ".join(_some(g) for g in groups)))
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} to {names[-1]}"


def _matrix(topology: Topology) -> Grid:
    names = [part.name for part in topology.gpus]
    columns = (Column("", keep=True), *(Column(name) for name in names))
    return Grid(
        columns,
        tuple(
            row(one, *("-" if one == other else kind(topology, one, other) for other in names))
            for one in names
        ),
        tight=True,
    )


def _slices(machine: Machine) -> list[Block]:
    rows = tuple(
        row(
            device.part,
            str(number),
            part.profile or "-",
            part.instance or "-",
            "-" if part.memory is None else f"{gib(part.memory)} GiB",
            "-" if part.free is None else f"{gib(part.free)} GiB",
        )
        for device in machine.devices
        for number, part in enumerate(device.slices)
    )
    titles = ("device", "slice", "profile", "instance", "memory", "free")
    columns = tuple(Column(title, right=title in ("memory", "free")) for title in titles)
    return [Heading("Slices"), Grid(columns, rows)] if rows else []
