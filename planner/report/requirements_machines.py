"""The machines of a requirements page: equal hardware in one row, what does not fit in few."""

from __future__ import annotations

from collections.abc import Sequence

from planner.report import words
from planner.report.blocks import Block, Bullets, Cell, Column, Grid, Heading, line, row
from planner.services.requirements_values import Machine, Requirements
from planner.units import GIB

_NAMED = 2
"""Node types named in one row."""


def machines(page: Requirements) -> list[Block]:
    """What holds the recommended quantization, what only a smaller one, and what nothing.

    Of each device model the fewest that hold it, else the most there are.
    """
    able, smaller, none = [], [], []
    for groups in _by_gpu(page.machines):
        fitting = [group for group in groups if group[0].verdict != "no"]
        held = [group for group in groups if group[0].largest_quant is not None]
        if fitting:
            able.append(fitting[0])
        elif held:
            smaller.append(held[-1])
        else:
            none.append(groups[-1])
    blocks: list[Block] = [
        Heading(
            f"Machines that hold {page.recommended} with {page.model.context:,} tokens",
            "fewest of each, all with --json; ? uncalibrated",
        ),
        _able(able) if able else line("None of the catalog."),
        *_settings(able),
    ]
    if smaller:
        blocks += [Heading("Only smaller quantizations", "most of each"), _smaller(smaller)]
    if none:
        names = "; ".join(_devices(group[0]) for group in none)
        blocks += [Heading("No quantization", "most of each"), line(Cell(names, "dim"))]
    return blocks + _left_out(page)


def _by_gpu(machines: Sequence[Machine]) -> list[list[list[Machine]]]:
    """Machines with the same devices in one group, and the groups of one device model together.

    The smallest first in both.
    """
    groups: dict[tuple[str, int, int], list[Machine]] = {}
    for machine in sorted(machines, key=lambda m: (m.count, m.kind == "rented", m.node)):
        key = (machine.gpu, machine.devices, machine.machines)
        groups.setdefault(key, []).append(machine)
    found: dict[str, list[list[Machine]]] = {}
    for group in sorted(groups.values(), key=lambda group: _size(group[0])):
        found.setdefault(group[0].gpu, []).append(group)
    return sorted(found.values(), key=lambda groups: groups[0][0].capacity_bytes)


def _size(machine: Machine) -> tuple[int, int, str]:
    return machine.capacity_bytes * machine.devices, machine.machines, machine.gpu


def _devices(machine: Machine) -> str:
    """`8x H100 SXM 80GB`, `15 of 16x V100 SXM2 32GB`, `4x GB10 in 4 machines`."""
    joined = f" in {machine.machines} machines" if machine.machines > 1 else ""
    some = f"{machine.devices_used} of " if 1 < machine.devices_used < machine.devices else ""
    return f"{some}{machine.devices}x {machine.gpu_title}{joined}"


def _able(groups: list[list[Machine]]) -> Grid:
    columns = (
        Column("devices"),
        Column("verdict"),
        Column("spare GiB", right=True),
        Column("tok/s", right=True),
        Column("largest"),
        Column("such as"),
    )
    return Grid(columns, tuple(_able_row(group) for group in groups), tight=True)


def _able_row(group: list[Machine]) -> tuple[Cell, ...]:
    machine = group[0]
    speed = words.NONE
    if machine.tokens_per_second is not None and machine.calibration is not None:
        doubt = "?" if machine.calibration.startswith("uncalibrated") else ""
        speed = words.rate(machine.tokens_per_second.best) + doubt
    return row(
        _devices(machine),
        words.verdict(machine.verdict),
        _gib(machine.spare_bytes),
        speed,
        machine.largest_quant or words.NONE,
        Cell(_names(group), "dim"),
    )


def _smaller(groups: list[list[Machine]]) -> Grid:
    columns = (
        Column("devices"),
        Column("short GiB", right=True),
        Column("largest"),
        Column("such as"),
    )
    rows = tuple(
        row(
            _devices(group[0]),
            _gib(-group[0].spare_bytes),
            group[0].largest_quant or words.NONE,
            Cell(_names(group), "dim"),
        )
        for group in groups
    )
    return Grid(columns, rows, tight=True)


def _gib(size: int) -> str:
    return f"{size / GIB:,.2f}" if size < 10 * GIB else f"{size / GIB:,.1f}"


def _names(group: list[Machine]) -> str:
    """The first node types and how many more there are; what cannot be had new is marked."""
    names = [_name(machine) for machine in group[:_NAMED]]
    more = len(group) - len(names)
    return ", ".join(names) + (f" +{more}" if more else "")


def _name(machine: Machine) -> str:
    several = f"{machine.count}x " if machine.count > 1 else ""
    state = "" if machine.availability == "new" else f" ({machine.availability})"
    return f"{several}{machine.node}{state}"


def _settings(groups: list[list[Machine]]) -> list[Block]:
    """Commands without which a device does not have the memory it is judged by."""
    commands = {m.gpu_title: m.setting_command for group in groups for m in group}
    items = tuple(
        Cell(f"{title}: {command}") for title, command in commands.items() if command is not None
    )
    return [Heading("Settings these machines need"), Bullets(items)] if items else []


def _left_out(page: Requirements) -> list[Block]:
    """What was not judged, by reason."""
    reasons: dict[str, list[str]] = {}
    for left in page.left_out:
        reasons.setdefault(left.reason, []).append(left.name)
    items = tuple(Cell(f"{', '.join(names)}: {reason}") for reason, names in reasons.items())
    return [Heading("Not judged"), Bullets(items)] if items else []
