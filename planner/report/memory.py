"""The memory of every device and host, the verdict, and what would give more room."""

from __future__ import annotations

from collections.abc import Sequence

from planner.plan import Body, Device, Host, MemoryBudget, Remedy
from planner.report import ranks, serving, words
from planner.report.blocks import Block, Bullets, Cell, Column, Grid, Heading, Line, Tone, line, row

_PARTS = ("weights", "KV", "compute", "runtime", "reserve")
_NUMBERS = (*_PARTS, "total", "capacity", "spare MiB")
_SHORT = (*_PARTS, "total", "of", "spare")


def memory(body: Body, name: str = "") -> list[Block]:
    """The table of devices in GiB, the tightest one marked, then the hosts.

    `name` says which choice it is, where there are several.
    """
    if not body.devices:
        return []
    if body.ranks:
        return [*ranks.memory(body, name), *_hosts(body.hosts)]
    if name:
        title = f"Memory per device, GiB: {name}"
        return [Heading(title), _grid(body, short=False), *_hosts(body.hosts)]
    if words.tightest(body) is None:
        heading = Heading("Memory per device, GiB", "of unnamed devices: no capacity, no verdict")
    else:
        note = "spare = capacity - total, in MiB; > is the tightest"
        heading = Heading("Memory per device, GiB", note)
    return [heading, _grid(body, short=False), *_hosts(body.hosts)]


def _grid(body: Body, *, short: bool) -> Grid:
    columns = [
        Column("  device"),
        Column("layers"),
        *(Column(title, right=True) for title in (_SHORT if short else _NUMBERS)),
    ]
    tightest = words.tightest(body)
    names = _short_names(body.devices) if short else [device.id for device in body.devices]
    rows = tuple(
        _device_row(device, name, marked=device is tightest)
        for device, name in zip(body.devices, names, strict=True)
    )
    if tightest is None:
        columns, rows = columns[:-2], tuple(cells[:-2] for cells in rows)
    narrow = None if short else _grid(body, short=True)
    return Grid(tuple(columns), rows, narrow=narrow, tight=True)


def _short_names(devices: Sequence[Device]) -> list[str]:
    """`1.0`, `.1`, ...: machines numbered in order, named once."""
    names: list[str] = []
    machines: list[str] = []
    for device in devices:
        index = device.id.rpartition(".")[2]
        new = device.node not in machines
        if new:
            machines.append(device.node)
        number = str(machines.index(device.node) + 1)
        names.append(f"{number if new else ' ' * len(number)}.{index}")
    return names


def _device_row(device: Device, name: str, *, marked: bool) -> tuple[Cell, ...]:
    budget = device.budget
    spare, capacity = device.headroom_bytes, device.capacity_bytes
    tone: Tone = "bad" if spare is not None and spare < 0 else "strong" if marked else "plain"
    return row(
        Cell(f"{'>' if marked else ' '} {name}", tone),
        words.layers(device),
        *map(words.gib, _parts(budget)),
        Cell(words.gib(budget.total), "strong"),
        words.NONE if capacity is None else words.gib(capacity),
        Cell(words.NONE if spare is None else words.mib(spare), tone),
    )


def _parts(budget: MemoryBudget) -> tuple[int, int, int, int, int]:
    return budget.weights, budget.kv_cache, budget.compute, budget.runtime, budget.reserve


def _hosts(hosts: Sequence[Host]) -> list[Block]:
    blocks: list[Block] = [_host(host) for host in hosts if host.budget.total and not host.unified]
    if any(host.unified for host in hosts):
        blocks.append(line(Cell("hosts share their devices' memory and are counted there", "dim")))
    return blocks


def _host(host: Host) -> Line:
    of = "" if host.memory_bytes is None else f" of {words.gib(host.memory_bytes)}"
    named = zip(
        ("weights", "KV", "compute", "runtime", "reserve"), _parts(host.budget), strict=True
    )
    parts = ", ".join(f"{name} {words.gib(size)}" for name, size in named if size)
    short = host.memory_bytes is not None and host.budget.total > host.memory_bytes
    tone: Tone = "bad" if short else "dim"
    return line(
        Cell(f"host {host.node}: {words.gib(host.budget.total)}{of} GiB", tone),
        Cell(f" ({parts})" if parts else "", "dim"),
    )


def verdict(body: Body, remedies: Sequence[Remedy]) -> list[Block]:
    """Fits, tight or not, by how much, and every remedy that was tried."""
    tightest = words.tightest(body)
    if tightest is None:
        return []
    margin = serving.margin(body, tightest) if body.ranks else f"; {_margin(tightest)}"
    blocks: list[Block] = [line("Verdict: ", words.verdict(body.verdict), margin)]
    if remedies and body.verdict != "no" and not body.ranks:
        more = "; ".join(f"{entry.change} {words.mib(entry.headroom_bytes)}" for entry in remedies)
        blocks.append(line(Cell(f"more room, MiB spare then: {more}", "dim")))
    elif remedies:
        blocks.append(_remedies(remedies))
    return blocks


def _margin(tightest: Device) -> str:
    spare, capacity = words.spare(tightest), tightest.capacity_bytes
    reserve = tightest.budget.reserve
    if spare >= 0:
        share = f" ({100 * spare / capacity:.1f} %)" if capacity else ""
        return f"{tightest.id} keeps {words.mib(spare)} MiB{share} free beyond its reserve"
    short = f"{tightest.id} is {words.mib_short(spare)} MiB short"
    if spare + reserve < 0:
        return f"{short}, {words.mib_short(spare + reserve)} MiB even without its reserve"
    return (
        f"{short} of its full reserve of {words.mib(reserve)} MiB; without a reserve "
        f"{words.mib(spare + reserve)} MiB would be left"
    )


def _remedies(remedies: Sequence[Remedy]) -> Grid:
    rows = tuple(
        row(
            remedy.change,
            Cell(words.mib(remedy.headroom_bytes)),
            words.verdict(remedy.verdict),
            Cell(remedy.option or "", "dim"),
        )
        for remedy in remedies
    )
    columns = (
        Column("what gives more room"),
        Column("spare MiB", right=True),
        Column("verdict then"),
        Column("option"),
    )
    return Grid(columns, rows)


def settings(body: Body) -> list[Block]:
    """Commands that must be run on a machine before it has the planned memory."""
    steps = tuple(
        Cell(f"on each {node.node_type}, once: {node.setting_command}", "warn")
        for node in body.cluster
        if node.setting_command
    )
    if not steps:
        return []
    return [
        Heading("Set first", "without it the devices have less memory than planned"),
        Bullets(steps),
    ]


def commands(body: Body) -> tuple[str, ...]:
    """The commands `settings` shows."""
    return tuple(node.setting_command for node in body.cluster if node.setting_command)
