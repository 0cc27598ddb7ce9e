"""What collectives take from the rates of links and what kernels reach over them. Topology layer.

Formulas and their accuracy: docs/topology.md.
"""

from __future__ import annotations

import math

from planner.topology import costs
from planner.topology.costs import Curve, line
from planner.topology.graph import Graph, Way
from planner.topology.measured import Operation, Software, links, prior
from planner.topology.rings import Ring, all_pairs, busiest, share

_NCCL_START = (5.5e-6, 2.3e-6)
"""Smallest collective of NCCL over NVLink: seconds, and seconds for each device but one (PyPI
aiconfigurator-core 0.12.0: A100, H100 and B200, all-reduce)."""


def predicted(
    operation: Operation,
    found: Graph,
    group: tuple[str, ...],
    ring: Ring,
    start: float,
) -> Curve:
    """From the links alone; `start` is the seconds of an empty message.

    One shot: everybody sends everything to everybody, one start. Two shots: pieces are summed
    where they belong and then sent round, two starts: over a ring, or to everybody where devices
    have links of their own.
    """
    ranks = len(group)
    pairs = all_pairs(found, group)
    round_once = (ranks - 1) / ranks / ring.rate
    match operation:
        case "all-reduce":
            two = 2 * round_once
            if ring.path == "direct":
                two = min(two, 2 * pairs / ranks)
            return costs.cheapest((line(start, pairs), line(2 * start, two)))
        case "all-gather" | "reduce-scatter":
            return line(start, min(round_once, pairs / ranks))
        case "all-to-all":
            return line(start, pairs / (ranks - 1))


def start_inside(
    found: Graph, group: tuple[str, ...], ring: Ring, software: Software | None
) -> float:
    """Seconds of an empty message inside a machine."""
    others = len(group) - 1
    if ring.path != "direct":
        peers = found.topology.peer_to_peer
        each = prior(f"collective-start-pcie-{'peer' if peers else 'staged'}")[1]
        return prior("collective-start-pcie")[1] + each * others
    medium = found.media[found.way(*ring.order[:2]).edges[0]]
    if medium == "xgmi":
        return prior("collective-start-xgmi")[1]
    if software == "nccl":
        return _NCCL_START[0] + _NCCL_START[1] * others
    return prior("collective-start-nvlink")[1] + prior("collective-start-nvlink-peer")[1] * others


def start_between(found: Graph, machines: tuple[tuple[str, ...], ...]) -> float:
    """Seconds of an empty message: up and down a tree of machines, or what kernels need."""
    firsts = [names[0] for names in machines]
    latency = max(found.way(firsts[0], name).latency for name in firsts[1:])
    steps = 2 * math.ceil(math.log2(len(machines)))
    return max(prior("network-collective")[1], steps * latency)


def rails(found: Graph, machines: tuple[tuple[str, ...], ...]) -> float:
    """Seconds per byte while the first devices of all machines pass pieces round, the second ...

    Each holds a share of the message and passes (machines - 1) / machines of it on.
    """
    count, inside = len(machines), len(machines[0])
    part = (count - 1) / count / inside
    flows = []
    for rail in range(inside):
        ring = [names[rail] for names in machines]
        hops = zip(ring, (*ring[1:], ring[0]), strict=True)
        flows += [(found.way(*hop), part) for hop in hops]
    return busiest(found, flows)


def sent(found: Graph, way: Way) -> float:
    """Bytes per second of one copy: what somebody reached over these links, else a share."""
    rates = []
    for edge in way.edges:
        row = links().get(found.rows[edge])
        capacity = found.capacities[edge]
        if row is not None and row.achieved_per_direction is not None and row.kind != "scale-up":
            rates.append(capacity * row.achieved_per_direction / row.bandwidth_per_direction)
        elif found.media[edge] == "network":
            rates.append(capacity * prior("send-share-network")[1])
        elif found.media[edge] == "pcie":
            rates.append(capacity * prior("send-share-pcie")[1])
        elif found.media[edge] == "socket":
            rates.append(capacity)
        else:
            rates.append(capacity * share(found, way) if way.distance == "direct" else capacity)
    return min(rates)
