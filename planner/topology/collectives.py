"""Seconds of collectives over a group of devices, by size of the message. Topology layer.

What somebody measured on such a group is taken; else the fastest of the ways to do it, from the
rates of the links and what kernels reach over them. Over machines: a reduce-scatter inside, an
all-reduce of the pieces over the network, an all-gather inside. docs/topology.md has the formulas.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from planner.topology import costs
from planner.topology.costs import NOTHING, Curve, line
from planner.topology.graph import Graph, graph
from planner.topology.measured import (
    Joint,
    Operation,
    Software,
    least_start,
    links,
    measured,
    prior,
)
from planner.topology.parts import Topology
from planner.topology.predictions import predicted, rails, sent, start_between, start_inside
from planner.topology.rings import SHARES, Ring, all_pairs, best_ring

_ASSUMED = 2.0
"""Factor that a collective nobody measured may take longer, at least."""
_WHOLE = 0.99
"""Of a link's data sheet, from which a wire is that link whole; a device may have lost some."""


def all_reduce(
    topology: Topology,
    group: Sequence[str],
    software: Software | None = None,
    without: frozenset[str] = frozenset(),
) -> Curve:
    """Every device gets the sum of all devices' messages of the size asked for.

    Args:
        topology: the machines.
        group: names of devices.
        software: whose kernels; None is the mean of vLLM and SGLang.
        without: GPU rows whose measurements are left out, to judge predictions.
    """
    return joined("all-reduce", topology, tuple(group), software, without).curve


def all_gather(
    topology: Topology,
    group: Sequence[str],
    software: Software | None = None,
    without: frozenset[str] = frozenset(),
) -> Curve:
    """Every device gets the pieces of all; the size is of all pieces together."""
    return joined("all-gather", topology, tuple(group), software, without).curve


def reduce_scatter(
    topology: Topology,
    group: Sequence[str],
    software: Software | None = None,
    without: frozenset[str] = frozenset(),
) -> Curve:
    """Every device gets its piece of the sum of all devices' messages of the size asked for."""
    return joined("reduce-scatter", topology, tuple(group), software, without).curve


def all_to_all(
    topology: Topology,
    group: Sequence[str],
    software: Software | None = None,
    without: frozenset[str] = frozenset(),
) -> Curve:
    """Every device sends as much to every other one; the size is what one sends in sum."""
    return joined("all-to-all", topology, tuple(group), software, without).curve


def send(topology: Topology, one: str, other: str, *, tcp: bool = False) -> Curve:
    """From one device to another, no other one sending.

    Args:
        topology: the machines.
        one: device that sends.
        other: device that receives.
        tcp: whether machines talk over one connection of TCP.
    """
    found = graph(topology)
    way = found.way(one, other)
    rate = sent(found, way)
    if tcp and way.distance == "network":
        rate = min(rate, prior("tcp-connection")[1])
    return line(way.latency, 1 / rate)


def bus_bandwidth(curve: Curve, ranks: int) -> float:
    """Bytes per second each device of a large all-reduce passes on, each way."""
    return 2 * (ranks - 1) / ranks / curve.per_byte


class Joined(NamedTuple):
    """What a collective takes, and how far that may be off."""

    curve: Curve
    slower: float
    """Factor that it may take longer: 1 where somebody measured it on such a group."""

    @property
    def measured(self) -> bool:
        """Whether somebody measured it on such a group."""
        return self.slower == 1.0


@functools.lru_cache(maxsize=4096)
def joined(
    operation: Operation,
    topology: Topology,
    group: tuple[str, ...],
    software: Software | None = None,
    without: frozenset[str] = frozenset(),
    gpu: str = "",
) -> Joined:
    """A collective over a group of one device or more.

    Args:
        operation: what is done.
        topology: the machines.
        group: names of devices.
        software: whose kernels; None is the mean of vLLM and SGLang, or NCCL where they have none.
        without: GPU rows whose measurements are left out.
        gpu: GPU row of the devices, where the topology does not name it.
    """
    if len(group) == 1:
        return Joined(NOTHING, 1.0)
    machines = _by_machine(graph(topology), group)
    if len(machines) > 1:
        over = _over_machines(operation, topology, machines, software, without)
        return Joined(over, _ASSUMED)
    ring = _ring(topology, group)
    joint, least = _joint(graph(topology), ring, gpu), 0.0
    if joint is not None:
        known = measured(operation, joint, software, without)
        if known is not None:
            return Joined(known.sized(_buffers(operation, len(group))), 1.0)
        least = least_start(operation, joint)
    start = max(least, start_inside(graph(topology), group, ring, software))
    return Joined(predicted(operation, graph(topology), group, ring, start), _slower(ring))


def _slower(ring: Ring) -> float:
    """Factor that a group nobody measured may take longer: more where hosts differ."""
    if ring.path == "direct":
        return _ASSUMED
    low, best, _ = prior(SHARES[ring.path])
    return max(_ASSUMED, best / low)


@functools.lru_cache(maxsize=4096)
def _ring(topology: Topology, group: tuple[str, ...]) -> Ring:
    return best_ring(graph(topology), group)


def is_measured(topology: Topology, group: Sequence[str]) -> bool:
    """Whether all-reduces over such a group were measured."""
    return joined("all-reduce", topology, tuple(group)).measured


def _buffers(operation: Operation, ranks: int) -> float:
    """Message as measured for a byte as asked for: an all-to-all counts what stays, too."""
    return ranks / (ranks - 1) if operation == "all-to-all" else 1.0


def _by_machine(found: Graph, group: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The devices of each machine; machines whose devices have links of their own are one."""
    sets: list[list[str]] = []
    for name in group:
        home = next((names for names in sets if _is_together(found, names[0], name)), None)
        if home is None:
            sets.append([name])
        else:
            home.append(name)
    return tuple(tuple(names) for names in sets)


def _is_together(found: Graph, one: str, other: str) -> bool:
    if found.parts[one].machine == found.parts[other].machine:
        return True
    return found.way(one, other).distance == "direct"


def _joint(found: Graph, ring: Ring, gpu: str) -> Joint | None:
    """What joins a ring in the words of the measurements; None where a link is not whole."""
    hops = list(zip(ring.order, (*ring.order[1:], ring.order[0]), strict=True))
    names = set()
    for one, other in hops:
        edge = found.way(one, other).edges[0]
        name = found.rows[edge]
        row = links().get(name)
        if row is None or found.capacities[edge] < _WHOLE * row.bandwidth_per_direction:
            return None
        names.add(name)
    if len(names) != 1:
        return None
    models = {found.parts[name].model for name in ring.order}
    if not gpu and len(models) == 1:
        gpu = models.pop()
    return Joint(names.pop(), ring.path, len(ring.order), gpu)


def _over_machines(
    operation: Operation,
    topology: Topology,
    machines: tuple[tuple[str, ...], ...],
    software: Software | None,
    without: frozenset[str],
) -> Curve:
    """Hierarchical where the machines hold equally many devices, or all at once, if faster."""
    found, group = graph(topology), tuple(name for names in machines for name in names)
    start, size = start_between(found, machines), len(group)
    if operation == "all-to-all":
        return line(start, all_pairs(found, group) / (size - 1))
    ring = _ring(topology, group)
    rounds = 2 if operation == "all-reduce" else 1
    flat = line(start, rounds * (size - 1) / size / ring.rate)
    inside = {len(names) for names in machines}
    if len(inside) > 1:
        return flat
    inner = [joined(operation, topology, names, software, without).curve for names in machines]
    slowest = max(inner, key=lambda curve: curve.per_byte)
    between = line(start, rounds * rails(found, machines))
    return costs.cheapest((flat, costs.one_after_another((slowest, between))))
