"""Rings over a group of devices, and what all its pairs at once load the wires with.

Topology layer. A wire carries so much each way; flows over it in the same direction share it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from planner.catalog.schema import Path
from planner.topology.graph import DISTANCES, Edge, Graph, Way
from planner.topology.measured import links, prior

_FEW = 6
"""Devices up to which every order is tried."""
_MANY = 16
"""Devices from which on no order but theirs and the greedy one is tried."""
_ENOUGH = 1 - 1e-9
_MOST_RINGS = 12
_WORTHWHILE = 0.01
"""Of the first ring's rate, from which another ring beside it counts."""
SHARES = {
    "switch": "ring-share-pcie-switch",
    "root": "ring-share-pcie-root",
    "socket": "ring-share-pcie-socket",
    "network": "network-share",
}
"""Prior of the share kernels reach, by the farthest hop."""

Ways = Mapping[tuple[str, str], Way]


class Ring(NamedTuple):
    """Devices that pass pieces on in a circle, or in several at once over other wires."""

    order: tuple[str, ...]
    """Of the first circle."""
    rate: float
    """Bytes per second each device passes on, all circles together."""
    path: Path
    """Farthest hop of the first circle."""


def share(graph: Graph, way: Way) -> float:
    """Of the data sheet's rate, what kernels reach over such a way, best estimate.

    Over links of the devices' own what somebody reached over that row of the link catalog.
    """
    if way.distance == "direct":
        row = links().get(graph.rows.get(way.edges[0], ""))
        if row is not None and row.achieved_per_direction is not None:
            return row.achieved_per_direction / row.bandwidth_per_direction
        medium = graph.media[way.edges[0]]
        return prior("ring-share-xgmi" if medium == "xgmi" else "ring-share-nvlink")[1]
    return prior(SHARES[way.distance])[1]


def best_ring(graph: Graph, group: Sequence[str]) -> Ring:
    """The order with the fastest slowest hop.

    Over links of the devices' own also further circles over what it leaves free; over PCIe one
    circle already keeps kernels at the rate they reach.
    """
    ways = graph.ways(group)
    left = dict(graph.capacities)
    order, raw = _best_order(graph, group, ways, left)
    path = max((ways[hop].distance for hop in _hops(order)), key=DISTANCES.index)
    rate = _rate(graph, order, ways, left, shared=True)
    if path == "direct":
        rate += _beside(graph, order, raw, ways, left)
    return Ring(order, rate, path)


def _beside(
    graph: Graph, order: tuple[str, ...], raw: float, ways: Ways, left: dict[Edge, float]
) -> float:
    """Rate of further circles over what the ones before leave free; takes from `left`."""
    first, total = raw, 0.0
    for _ in range(_MOST_RINGS):
        for edge, flows in _loads(order, ways).items():
            left[edge] -= raw * flows
        order, raw = _best_order(graph, order, ways, left)
        if raw < _WORTHWHILE * first:
            break
        total += _rate(graph, order, ways, left, shared=True)
    return total


def _best_order(
    graph: Graph,
    group: Sequence[str],
    ways: Ways,
    left: Mapping[Edge, float],
) -> tuple[tuple[str, ...], float]:
    """The order whose slowest hop is fastest, and its rate by the data sheet."""
    most = min(
        max(_alone(graph, ways[one, other], left) for other in group if other != one)
        for one in group
    )
    best, found = tuple(group), -1.0
    for start in (tuple(group), _greedy(graph, group, ways, left)):
        order, rate = start, _rate(graph, start, ways, left, shared=True)
        better = True
        while better and rate < most * _ENOUGH:
            better = False
            for other in _neighbours(order):
                other_rate = _rate(graph, other, ways, left, shared=True)
                if other_rate * _ENOUGH > rate:
                    order, rate, better = other, other_rate, True
                    break
        if rate * _ENOUGH > found:
            best, found = order, rate
        if found >= most * _ENOUGH:
            break
    return best, _rate(graph, best, ways, left, shared=False)


def _alone(graph: Graph, way: Way, left: Mapping[Edge, float]) -> float:
    return _hop_rate(graph, way, left, Counter(way.edges), shared=True)


def _greedy(
    graph: Graph, group: Sequence[str], ways: Ways, left: Mapping[Edge, float]
) -> tuple[str, ...]:
    """From the first device on, always to the one with the widest way."""
    order = [group[0]]
    rest = list(group[1:])
    while rest:
        rates = {name: _alone(graph, ways[order[-1], name], left) for name in rest}
        order.append(max(rest, key=lambda name: rates[name]))
        rest.remove(order[-1])
    return tuple(order)


def _neighbours(order: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All orders of few devices; of more, those with one stretch turned round, or all of it."""
    if len(order) > _MANY:
        return
    if len(order) <= _FEW:
        yield from ((order[0], *rest) for rest in itertools.permutations(order[1:]))
        return
    yield order[::-1]
    for start, stop in itertools.combinations(range(1, len(order) + 1), 2):
        if stop - start > 1:
            yield (*order[:start], *reversed(order[start:stop]), *order[stop:])


def _hops(order: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(order, (*order[1:], order[0]), strict=True)


def _loads(order: Sequence[str], ways: Ways) -> Counter[Edge]:
    """Flows over each direction of a wire."""
    return Counter(edge for hop in _hops(order) for edge in ways[hop].edges)


def _rate(
    graph: Graph,
    order: Sequence[str],
    ways: Ways,
    left: Mapping[Edge, float],
    *,
    shared: bool,
) -> float:
    """Of the slowest hop; `shared` counts what kernels reach, else the data sheet holds."""
    loads = _loads(order, ways)
    return min(_hop_rate(graph, ways[hop], left, loads, shared=shared) for hop in _hops(order))


def _hop_rate(
    graph: Graph, way: Way, left: Mapping[Edge, float], loads: Mapping[Edge, int], *, shared: bool
) -> float:
    factor = share(graph, way) if shared else 1.0
    rates = []
    for edge in way.edges:
        own = 1.0 if graph.media[edge] == "socket" else factor
        rates.append(max(0.0, left[edge]) * own / loads[edge])
    return min(rates)


def all_pairs(graph: Graph, group: Sequence[str]) -> float:
    """Seconds per byte while every device sends a byte to every other one."""
    return busiest(graph, ((way, 1.0) for way in graph.ways(group).values()))


def busiest(graph: Graph, flows: Iterable[tuple[Way, float]]) -> float:
    """Seconds the busiest wire takes for flows of so many bytes, all at once."""
    taken: dict[Edge, float] = {}
    for way, size in flows:
        factor = share(graph, way)
        for edge in way.edges:
            own = 1.0 if graph.media[edge] == "socket" else factor
            taken[edge] = taken.get(edge, 0.0) + size / (graph.capacities[edge] * own)
    return max(taken.values(), default=0.0)
