"""Islands of devices, the worst link of a group, bisection: what a graph says of a whole topology.

Topology layer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from planner.topology.graph import DISTANCES, Way, graph, graph_of
from planner.topology.parts import Topology


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The narrowest place of a group."""

    one: str
    other: str
    """The pair of devices."""
    way: Way


def worst(topology: Topology, group: Iterable[str]) -> Bottleneck:
    """The pair of a group with the narrowest way; of equals the farthest, then the first."""
    ways = graph(topology).ways(sorted(group, key=[p.name for p in topology.parts].index))
    pair = min(ways, key=lambda p: (ways[p].bandwidth, -DISTANCES.index(ways[p].distance)))
    return Bottleneck(*pair, ways[pair])


def bisection(topology: Topology) -> float:
    """Bytes per second, each way, between the worst halves of the devices.

    Every half of up to 12 devices is tried; of more, halves of neighbours in their order.
    """
    import networkx

    names = [part.name for part in topology.gpus]
    if len(names) < 2:
        return math.inf
    whole = graph_of(topology)
    least = math.inf
    for half in _halves(names):
        flow = whole.copy()
        for name in names:
            flow.add_edge("one half" if name in half else "other half", name)
        value, _ = networkx.minimum_cut(flow, "one half", "other half", capacity="bandwidth")
        least = min(least, value)
    return least


def _halves(names: list[str]) -> Iterable[frozenset[str]]:
    size = len(names) // 2
    if len(names) <= 12:
        first, *rest = names
        return (frozenset((first, *some)) for some in itertools.combinations(rest, size - 1))
    doubled = names + names
    return (frozenset(doubled[start : start + size]) for start in range(len(names) - size + 1))


def islands(topology: Topology) -> tuple[tuple[str, ...], ...]:
    """Sets of devices each of which has links of its own kind to all others, in order.

    Full speed all to all: over NVLink, xGMI or chip to chip, at the width of the widest such way
    of the topology's devices at half at least. A device without is an island of its own.
    """
    found = graph(topology)
    widths = {
        pair: way.bandwidth
        for pair in itertools.combinations(found.gpus, 2)
        if (way := found.way_if_any(*pair)) is not None and way.distance == "direct"
    }
    full = max(widths.values(), default=0.0) / 2
    sets: list[list[str]] = []
    for name in found.gpus:
        home = next(
            (s for s in sets if all(widths.get((other, name), 0.0) >= full > 0 for other in s)),
            None,
        )
        if home is None:
            sets.append([name])
        else:
            home.append(name)
    return tuple(tuple(members) for members in sets)


def outsiders(topology: Topology) -> tuple[str, ...]:
    """Devices without links of their own in a machine where most others have them all."""
    found = []
    for machine in sorted({part.machine for part in topology.gpus}):
        own = {part.name for part in topology.gpus if part.machine == machine}
        inside = [i for i in (set(s) & own for s in islands(topology)) if i]
        largest = max(inside, key=len)
        if 2 * len(largest) > len(own):
            found += sorted(own - largest)
    return tuple(found)
