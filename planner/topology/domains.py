"""What a machine's links join, as the speed of grids asks for it again and again. Topology layer.

Machines of one shape share the search for their groups.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Generic, TypeVar

from planner.catalog import Catalog
from planner.catalog.schema import Link, Node
from planner.topology import collectives
from planner.topology.costs import Curve, line
from planner.topology.groups import best_groups
from planner.topology.machines import node_topology, plain_topology
from planner.topology.measured import Operation, Software
from planner.topology.parts import Topology

_PLAIN_DEVICES = 8
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
    """The devices that links inside a machine join; compared by identity, so made once."""

    topology: Topology
    """Without names of models, so that machines alike are equal."""
    gpu: str
    """GPU row of the devices; empty is unknown."""
    reach: int
    """Devices in it."""
    machines: int = 1
    """Machines they are in; several where links of the devices' own join these (NVL72)."""


class _Keyed(Generic[T]):
    """A value whose equality is that of a key, so that what is made of it is made once."""

    def __init__(self, value: T, key: tuple[object, ...]) -> None:
        self.value = value
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def domain_of(catalog: Catalog, node: Node) -> Domain:
    """The domain of one machine of a node, or of all where their devices' own links join them."""
    return _domain(_Keyed((catalog, node), (catalog.digest, node.name)))


@functools.lru_cache(maxsize=1024)
def _domain(keyed: _Keyed[tuple[Catalog, Node]]) -> Domain:
    catalog, node = keyed.value
    fabric = None if node.fabric is None else catalog.links[node.fabric]
    machines = node.machines
    if machines > 1 and (fabric is None or fabric.kind != "scale-up"):
        one = {"machines": 1, "gpus": node.gpus // machines, "fabric": None}
        node, machines = node.model_copy(update=one), 1
    whole = node_topology(catalog, node)
    return Domain(_nameless(whole), node.gpu, len(whole.gpus), machines)


def plain_domain(fabric: Link, devices: int = _PLAIN_DEVICES) -> Domain:
    """The domain of unknown devices that a link joins: a machine full of them, or more."""
    devices = max(devices, _PLAIN_DEVICES)
    return _plain(_Keyed(fabric, (fabric.name, fabric.bandwidth_per_direction)), devices)


@functools.lru_cache(maxsize=256)
def _plain(fabric: _Keyed[Link], devices: int) -> Domain:
    return Domain(_nameless(plain_topology(fabric.value, devices)), "", devices)


def _nameless(topology: Topology) -> Topology:
    parts = tuple(part.model_copy(update={"model": ""}) for part in topology.parts)
    return topology.model_copy(update={"title": "", "parts": parts})


@functools.lru_cache(maxsize=4096)
def slowest(
    domain: Domain, operation: Operation, ranks: int, groups: int, software: Software | None
) -> collectives.Joined:
    """What the slowest of the best `groups` groups of so many devices takes."""
    found = best_groups(domain.topology, ranks, groups)
    rates = found.bandwidths
    group = found.groups[rates.index(min(rates))] if rates else found.groups[0]
    return collectives.joined(operation, domain.topology, group, software, gpu=domain.gpu)


@functools.lru_cache(maxsize=1024)
def sent(domain: Domain) -> Curve:
    """Seconds from one device to the next."""
    names = [part.name for part in domain.topology.gpus]
    if len(names) == 1:
        return line(0.0, 0.0)
    return collectives.send(domain.topology, names[0], names[1])
