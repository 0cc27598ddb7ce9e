"""Which devices of a machine form its groups of tensor parallelism. Topology layer.

Branch and bound over partitions: the group of the first device that is still free is chosen first,
groups with the most bandwidth first, and a branch whose worst group is no better than the best
partition's is cut.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from planner.topology.collectives import all_reduce, bus_bandwidth
from planner.topology.graph import graph
from planner.topology.islands import outsiders
from planner.topology.parts import Topology

_SEARCHED = 10
"""Devices up to which partitions are searched; of more, neighbours form groups."""
_EQUAL = 1e-6
Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Groups of equal size, and what is left over."""

    groups: Groups
    """Devices of each group, in the order of the topology."""
    left: tuple[str, ...]
    """Devices in no group."""
    bandwidths: tuple[float, ...]
    """Bus bandwidth of a large all-reduce of each group, bytes/s; empty for groups of one."""

    @property
    def worst(self) -> float:
        """Of the group with least; infinite for groups of one."""
        return min(self.bandwidths, default=float("inf"))


@functools.lru_cache(maxsize=256)
def best_groups(topology: Topology, size: int, count: int | None = None) -> Partition:
    """The partition into groups of `size` whose worst group has the most all-reduce bandwidth.

    Of equals the one with the most in sum, then the one that comes first. Devices that have none
    of the links the others have are left out where that leaves enough.

    Args:
        topology: one machine, or several.
        size: devices of a group.
        count: groups asked for; None is as many as the devices make.
    """
    names = [part.name for part in topology.gpus]
    wanted = count if count is not None else len(names) // size
    assert wanted * size <= len(names), f"{wanted} groups of {size} need more than {len(names)}"
    apart = set(outsiders(topology))
    sound = [name for name in names if name not in apart]
    if wanted * size > len(sound):
        sound = names
    if size == 1:
        alone: Groups = tuple((name,) for name in sound[:wanted])
        return Partition(groups=alone, left=_left(names, alone), bandwidths=())
    if len(sound) > _SEARCHED or _is_uniform(topology, sound):
        chosen = tuple(tuple(sound[at : at + size]) for at in range(0, wanted * size, size))
    else:
        chosen = _Search(topology, size).best(tuple(sound), wanted)
    rates = tuple(_bandwidth(topology, group) for group in chosen)
    return Partition(groups=chosen, left=_left(names, chosen), bandwidths=rates)


def _is_uniform(topology: Topology, names: Sequence[str]) -> bool:
    """Whether every two devices are joined alike, so that any groups are as good."""
    found = graph(topology)
    pairs = itertools.combinations(names, 2)
    ways = [found.way_if_any(*pair) for pair in pairs]
    return len({way and (way.bandwidth, way.distance, way.latency) for way in ways}) == 1


def _left(names: Sequence[str], groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    taken = {name for group in groups for name in group}
    return tuple(name for name in names if name not in taken)


def _bandwidth(topology: Topology, group: tuple[str, ...]) -> float:
    return bus_bandwidth(all_reduce(topology, group), len(group))


class _Search:
    """One search, with the bandwidths found so far."""

    def __init__(self, topology: Topology, size: int) -> None:
        self.topology = topology
        self.size = size
        self.best_rates = (-1.0, -1.0)
        self.best_groups: Groups = ()

    def best(self, names: tuple[str, ...], count: int) -> Groups:
        """The best `count` groups of `names`."""
        self._extend(names, count, (), float("inf"), 0.0)
        return self.best_groups

    def _extend(
        self, free: tuple[str, ...], count: int, chosen: Groups, worst: float, total: float
    ) -> None:
        if count == 0:
            if self._is_better(worst, total):
                self.best_rates, self.best_groups = (worst, total), chosen
            return
        if len(free) < count * self.size or not self._may_be_better(worst):
            return
        first, rest = free[0], free[1:]
        options = [(first, *others) for others in itertools.combinations(rest, self.size - 1)]
        rated = sorted(options, key=lambda group: -_bandwidth(self.topology, group))
        for group in rated:
            rate = _bandwidth(self.topology, group)
            if not self._may_be_better(min(worst, rate)):
                break
            left = tuple(name for name in rest if name not in group)
            self._extend(left, count - 1, (*chosen, group), min(worst, rate), total + rate)
        if len(free) > count * self.size:
            self._extend(rest, count, chosen, worst, total)

    def _is_better(self, worst: float, total: float) -> bool:
        best_worst, best_total = self.best_rates
        if worst > best_worst * (1 + _EQUAL):
            return True
        return worst >= best_worst * (1 - _EQUAL) and total > best_total * (1 + _EQUAL)

    def _may_be_better(self, worst: float) -> bool:
        return worst >= self.best_rates[0] * (1 - _EQUAL)
