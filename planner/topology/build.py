"""From what a dump says to the topology of one machine, with rates from the catalogs.

Topology layer. PCIe wires go from the part below to the part above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from planner.catalog import Catalog
from planner.catalog.schema import Gpu
from planner.topology.importers.seen import Branch, Dump, SeenAdapter, SeenDevice
from planner.topology.parts import Part, Topology, Wire
from planner.topology.place import place
from planner.topology.rates import SOCKET_LINK, chip_to_chip, device_pcie
from planner.topology.scale_up import scale_up


def build(
    dump: Dump, gpus: Sequence[Gpu | None], catalog: Catalog, title: str, where: str
) -> Topology:
    """The topology of the machine that `dump` is of.

    Args:
        dump: what was read; one file's, or several merged.
        gpus: catalog row of each device, in order; None where nobody knows it.
        catalog: the link rows.
        title: what to call the machine.
        where: the files, for messages.

    Raises:
        FileError: links that fit no machine.
    """
    rows = {device.label: gpu for device, gpu in zip(dump.devices, gpus, strict=True)}
    names = {device.label: f"gpu{device.index}" for device in dump.devices}
    names |= {adapter.label: adapter.label.lower() for adapter in dump.adapters}
    branches, notes = (dump.tree, ()) if dump.tree else place(dump, where)
    links = scale_up(dump, rows, names, catalog, where)
    wires, assumed = _pcie_wires(dump, branches, rows, names, catalog)
    parts = (
        *(_gpu(device, rows[device.label], names) for device in dump.devices),
        *links.switches,
        *(
            Part(name=branch.name, kind=branch.kind, model=branch.model, bus=branch.bus)
            for branch in branches
            if branch.kind not in ("gpu", "nic")
        ),
        *(_nic(adapter, names) for adapter in dump.adapters),
    )
    peers, peer_note = _peer_to_peer(dump, gpus)
    chips = _chip_to_chip(dump, branches, names, catalog)
    unsaid = _unsaid(dump)
    found = (
        *dump.findings,
        *links.findings,
        *unsaid,
        *notes,
        *assumed,
        *peer_note,
        *_links_down(dump),
    )
    return Topology(
        title=title,
        parts=parts,
        wires=(*links.wires, *chips, *wires, *_socket_wires(branches)),
        peer_to_peer=peers,
        findings=tuple(dict.fromkeys(found)),
    )


def _gpu(device: SeenDevice, row: Gpu | None, names: Mapping[str, str]) -> Part:
    return Part(
        name=names[device.label],
        kind="gpu",
        model=row.name if row else device.name,
        bus=device.bus,
        memory=device.memory,
        free=device.free,
    )


def _nic(adapter: SeenAdapter, names: Mapping[str, str]) -> Part:
    return Part(name=names[adapter.label], kind="nic", model=adapter.name, bus=adapter.bus)


def _pcie_wires(
    dump: Dump,
    branches: Sequence[Branch],
    rows: Mapping[str, Gpu | None],
    names: Mapping[str, str],
    catalog: Catalog,
) -> tuple[list[Wire], list[str]]:
    """One wire upwards from every part that is no socket.

    A device's is as printed, or as its GPU has it; a switch has that of its fastest part below
    unless printed; a host bridge carries all that is below it at once.
    """
    devices = {device.label: device for device in dump.devices}
    adapters = {adapter.label: adapter for adapter in dump.adapters}
    up: dict[str, Wire] = {}
    assumed: list[str] = []
    children: dict[str, list[str]] = {}
    for branch in branches:
        children.setdefault(branch.parent, []).append(branch.name)
    for branch in _lowest_first(branches):
        if not branch.parent:
            continue
        below = [up[child] for child in children.get(branch.name, ())]
        device, adapter = devices.get(branch.name), adapters.get(branch.name)
        generation, width = branch.generation, branch.width
        row = rows.get(branch.name)
        if device is not None:
            generation = device.generation or generation
            width = device.width or width
        elif adapter is not None:
            generation = adapter.generation or generation or _common(devices)
            width = adapter.width or width
        rate = device_pcie(catalog, row, generation, width)
        bandwidth, link = rate.bandwidth, rate.link
        if branch.bandwidth is not None and not (device and device.generation):
            bandwidth, link = branch.bandwidth, ""
        elif branch.kind == "root":
            bandwidth, link = sum(wire.bandwidth for wire in below), ""
        elif branch.kind == "pcie-switch" and generation is None and below:
            fastest = max(below, key=lambda wire: wire.bandwidth)
            bandwidth, link = fastest.bandwidth, fastest.link
        elif device is not None and rate.assumed:
            assumed.append(branch.name)
        up[branch.name] = Wire(
            one=names.get(branch.name, branch.name),
            other=branch.parent,
            medium="pcie",
            bandwidth=bandwidth or rate.bandwidth,
            latency=rate.latency,
            link=link,
        )
    assumed.sort(key=[*devices].index)
    notes = [f"{_some(assumed)}: PCIe 4.0 with 16 lanes assumed"] if assumed else []
    return [up[branch.name] for branch in branches if branch.name in up], notes


def _common(devices: Mapping[str, SeenDevice]) -> int | None:
    """PCIe generation printed for a device, for adapters that have none printed."""
    return next((device.generation for device in devices.values() if device.generation), None)


def _lowest_first(branches: Sequence[Branch]) -> list[Branch]:
    above = {branch.name: branch.parent for branch in branches}

    def depth(branch: Branch) -> int:
        steps, name = 0, branch.name
        while above.get(name):
            steps, name = steps + 1, above[name]
        return steps

    return sorted(branches, key=depth, reverse=True)


def _socket_wires(branches: Sequence[Branch]) -> list[Wire]:
    """Every socket with every other."""
    sockets = [branch.name for branch in branches if branch.kind == "socket"]
    return [
        Wire(one=one, other=other, medium="socket", bandwidth=SOCKET_LINK)
        for i, one in enumerate(sockets)
        for other in sockets[i + 1 :]
    ]


def _chip_to_chip(
    dump: Dump, branches: Sequence[Branch], names: Mapping[str, str], catalog: Catalog
) -> list[Wire]:
    """From devices to the socket they share a board with."""
    above = {branch.name: branch.parent for branch in branches}
    wires = []
    for link in dump.beside:
        top = link.device
        while above.get(top):
            top = above[top]
        if link.kind == "c2c" and top != link.device:
            rate = chip_to_chip(catalog)
            wires.append(
                Wire(
                    one=names[link.device],
                    other=top,
                    medium="c2c",
                    bandwidth=rate.bandwidth,
                    latency=rate.latency,
                    link=rate.link,
                )
            )
    return wires


def _peer_to_peer(dump: Dump, gpus: Sequence[Gpu | None]) -> tuple[bool, list[str]]:
    """Whether devices reach each other's memory over PCIe, and how that is known."""
    if len(dump.devices) < 2:
        return True, []
    refused = sorted({peer.status for peer in dump.peers if peer.status != "OK"})
    if dump.peers:
        if not refused:
            return True, []
        pairs = sum(peer.status != "OK" for peer in dump.peers)
        return False, [
            f"peer-to-peer over PCIe is off for {pairs} of {len(dump.peers)} pairs "
            f"({', '.join(refused)}): traffic goes through the host's memory"
        ]
    if any(gpu is not None and gpu.title.startswith("GeForce") for gpu in gpus):
        return False, [
            "peer-to-peer over PCIe is taken to be off, as the driver has it for GeForce; "
            "'nvidia-smi topo -p2p r' tells"
        ]
    return True, []


def _unsaid(dump: Dump) -> list[str]:
    """Says so where nothing tells what links several devices."""
    if dump.links_known or len(dump.devices) < 2:
        return []
    place = "" if dump.tree else ", nor where they are on PCIe (taken as NODE apart)"
    return [
        f"nothing says whether NVLink or xGMI links the devices{place}: add the output of "
        "'nvidia-smi topo -m', 'rocm-smi --showtopo' or 'amd-smi topology'"
    ]


def _links_down(dump: Dump) -> list[str]:
    notes = [
        f"{device.label.lower()} has {device.nvlinks_down} NVLinks that are down"
        for device in dump.devices
        if device.nvlinks_down
    ]
    notes += [
        f"{device.label.lower()} has {device.width} PCIe lanes of {device.full_width}"
        for device in dump.devices
        if device.width and device.full_width and device.width < device.full_width
    ]
    return notes


def _some(labels: Sequence[str]) -> str:
    names = [label.lower() for label in labels]
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} to {names[-1]}"
