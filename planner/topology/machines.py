"""The topology of a node type of the catalog and of a cluster of them. Topology layer.

Derived from the row: `fabric`, `bridge`, `sockets`, `peer_to_peer`, `rails`, networks. How devices
hang on the host is what such machines usually have; a dump of the real one says it better.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from planner.catalog import Catalog
from planner.catalog.schema import Link, Network, Node
from planner.topology.machine import Machine, parts_of, wires_of
from planner.topology.parts import Part, Topology, Wire
from planner.topology.rates import Rate, device_pcie

_ON_ONE_SOCKET = 4
"""Devices up to which a machine is taken to have one socket."""
_MESHED = 3
"""Machines up to which each is cabled to each other one, where no switch is needed."""


def node_topology(catalog: Catalog, node: Node) -> Topology:
    """The topology of one node; a linked pair sold as one is joined by its built-in network."""
    network = None
    if node.machines > 1:
        network = catalog.networks[node.built_in_networks[0]]
    return cluster_topology(catalog, ((node, 1),), network)


def cluster_topology(
    catalog: Catalog, nodes: Sequence[tuple[Node, int]], network: Network | None
) -> Topology:
    """The topology of so many nodes of each type, their machines joined by `network`.

    Args:
        catalog: rows of links and devices.
        nodes: node types and how many of each, in order.
        network: what joins the machines; None leaves several machines unjoined.
    """
    machines = tuple(_machines(catalog, nodes, network))
    return _topology(
        " + ".join(f"{count} x {node.name}" for node, count in nodes),
        machines,
        network,
        catalog.links.get(network.name) if network is not None else None,
        peers=all(peers_of(catalog, node) for node, _ in nodes),
    )


def plain_topology(fabric: Link, devices: int) -> Topology:
    """One machine of unknown devices that `fabric` joins."""
    slot = Rate(bandwidth=fabric.bandwidth_per_direction, link=fabric.name)
    sockets = 1 if devices <= _ON_ONE_SOCKET else 2
    machine = Machine(devices=devices, fabric=fabric, slot=slot, sockets=sockets)
    return _topology(fabric.name, (machine,), None, None, peers=True)


def peers_of(catalog: Catalog, node: Node) -> bool:
    """Whether the devices of a node reach each other over PCIe without the host's memory."""
    if node.peer_to_peer is not None:
        return node.peer_to_peer
    return not catalog.gpu(node.gpu).title.startswith("GeForce")


def _machines(
    catalog: Catalog, nodes: Iterable[tuple[Node, int]], network: Network | None
) -> Iterator[Machine]:
    every = [
        (node, number)
        for node, count in nodes
        for _ in range(count)
        for number in range(node.machines)
    ]
    for number, (node, within) in enumerate(every):
        gpu, devices = catalog.gpu(node.gpu), node.gpus // node.machines
        prefix, home = ("", "") if len(every) == 1 else (f"{number}.", f"{number - within}.")
        fabric = None if node.fabric is None else catalog.links[node.fabric]
        bridge = None if node.bridge is None else catalog.links[node.bridge]
        if fabric is not None and fabric.name.endswith("-bridge"):
            bridge = fabric
        yield Machine(
            number=number,
            prefix=prefix,
            home=home,
            devices=devices,
            model=gpu.name,
            fabric=fabric,
            bridge=bridge,
            slot=_slot(catalog, node, fabric),
            shared_memory=float(gpu.memory_bandwidth) if gpu.unified else None,
            sockets=node.sockets or (1 if devices <= _ON_ONE_SOCKET else 2),
            rails=_rails(node, devices, network),
        )


def _rails(node: Node, devices: int, network: Network | None) -> int:
    """Adapters of one machine on this network: as many as built in, at most one a device."""
    if network is None:
        return 0
    return min(node.rails, devices) if network.name in node.built_in_networks[:1] else 1


def _slot(catalog: Catalog, node: Node, fabric: Link | None) -> Rate:
    """PCIe of a device: the fabric itself, or what the device has."""
    if fabric is None or fabric.kind != "host":
        return device_pcie(catalog, catalog.gpu(node.gpu), None, None)
    rate = float(fabric.bandwidth_per_direction)
    return Rate(bandwidth=rate, link=fabric.name, latency=fabric.latency or 0.0)


def _topology(
    title: str,
    machines: Sequence[Machine],
    network: Network | None,
    row: Link | None,
    *,
    peers: bool,
) -> Topology:
    parts = [
        part for machine in machines for part in parts_of(machine, network.name if network else "")
    ]
    wires = [wire for machine in machines for wire in wires_of(machine)]
    if network is not None and len(machines) > 1:
        leaves = _leaves(machines, network)
        parts += leaves
        wires += _between(machines, network, leaves, row)
    return Topology(title=title, parts=tuple(parts), wires=tuple(wires), peer_to_peer=peers)


def _leaves(machines: Sequence[Machine], network: Network) -> list[Part]:
    """Switches between machines: one a rail; none where the machines are cabled directly."""
    rails = min(machine.rails for machine in machines)
    direct = len(machines) <= network.direct and not network.name.startswith("cloud-")
    if rails == 1 and direct:
        return []
    return [Part(name=f"leaf{number}", kind="network-switch") for number in range(rails)]


def _between(
    machines: Sequence[Machine], network: Network, leaves: Sequence[Part], row: Link | None
) -> Iterator[Wire]:
    """Every adapter to the switch of its rail, or cables from machine to machine."""
    latency = (row.latency or 0.0) if row is not None else 0.0

    def cable(one: str, other: str, latency: float) -> Wire:
        return Wire(
            one=one,
            other=other,
            medium="network",
            bandwidth=network.bandwidth_per_direction,
            latency=latency,
            link=network.name,
        )

    if leaves:
        for machine in machines:
            for number in range(machine.rails):
                leaf = leaves[number % len(leaves)]
                yield cable(machine.name("nic", number), leaf.name, latency / 2)
        return
    adapters = [machine.name("nic", 0) for machine in machines]
    for one, other in itertools.combinations(adapters, 2):
        if len(adapters) <= _MESHED or one == adapters[0]:
            yield cable(one, other, latency)
