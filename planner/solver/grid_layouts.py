"""Layouts of one site, fastest first, and the first of them that fits. Exact, remembered.

A site is so many nodes of one type, or of several types where every pipeline stage is on devices of
one model.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from planner.accounting import capacity_of, siting
from planner.accounting.siting import Site
from planner.catalog.load import Catalog
from planner.catalog.schema import Node
from planner.engines.candidates import divisors
from planner.engines.grid import Grid, Place
from planner.errors import FactsError
from planner.served import Served
from planner.subject import ByDigest

_MOVES = 40
"""Layers moved between stages before a site of several models is given up."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timed:
    """A legal layout and its time per token of all users together, nanoseconds, rounded up."""

    site: Site
    grid: Grid
    best: int
    floor: int


Nodes = tuple[tuple[str, int], ...]
"""Node types and how many of each."""


class Layouts:
    """The legal layouts of the sites of one served model."""

    def __init__(self, served: Served, catalog: Catalog) -> None:
        self.served, self.catalog = served, catalog
        self._timed: dict[tuple[Nodes, str | None], tuple[Timed, ...]] = {}
        self._stages: dict[tuple[Nodes, str | None], float] = {}
        self._fits: dict[tuple[object, ...], Grid | None] = {}

    def fastest(
        self,
        nodes: Nodes,
        network: str | None,
        *,
        by_floor: bool = False,
        floor: int | None = None,
        best: int | None = None,
        first: tuple[int, int] | None = None,
    ) -> Timed | None:
        """The fastest layout that fits and keeps within the times; None where there is none.

        `first` is a prompt's tokens and the most nanoseconds to the first token of its answer.
        """
        timed: tuple[Timed, ...] = self.timed(nodes, network)
        if by_floor:
            timed = tuple(sorted(timed, key=lambda each: each.floor))
        for each in timed:
            if best is not None and each.best > best:
                continue
            if floor is not None and each.floor > floor:
                continue
            if first is not None and self._first_token(each, first[0]) > first[1]:
                continue
            if self.fitting(each.site, each.grid) == each.grid:
                return each
        return None

    def _first_token(self, timed: Timed, tokens: int) -> int:
        case = siting.case_of(self.served, self.catalog, timed.site, timed.grid)
        return siting.first_token(self.served, case, tokens)

    def timed(self, nodes: Nodes, network: str | None) -> tuple[Timed, ...]:
        """Every legal layout, fastest first; whether it fits is asked only where layers move."""
        key = (nodes, network)
        found = self._timed.get(key)
        if found is None:
            every = [
                self._time(site, grid)
                for site in self.sites(nodes, network)
                for grid in self._settled(site)
            ]
            found = self._timed[key] = tuple(sorted(every, key=lambda each: each.best))
        return found

    def layouts_of_site(self, site: Site) -> list[Timed]:
        """Every legal layout of a site, fastest first."""
        every = (self._time(site, grid) for grid in self._legal(site))
        return sorted(every, key=lambda each: each.best)

    def least_stage(self, nodes: Nodes, network: str | None) -> float:
        """Seconds of a step of one user on the best single stage of some of `nodes`.

        All have devices of one model. Whether it fits or not: no pipeline of such stages takes
        less, nor do their shares of the layers on the stages of another's.
        """
        joint = None if sum(count for _, count in nodes) == 1 else network
        key = (nodes, joint)
        found = self._stages.get(key)
        if found is None:
            found = self._single_stages(nodes, joint)
            for less, _ in nodes:
                counts = ((name, count - (name == less)) for name, count in nodes)
                fewer = tuple((name, count) for name, count in counts if count)
                if fewer:
                    found = min(found, self.least_stage(fewer, joint))
            self._stages[key] = found
        return found

    def _single_stages(self, nodes: Nodes, network: str | None) -> float:
        rows = tuple((self.catalog.node(name), count) for name, count in nodes)
        joint = None if network is None else self.catalog.networks[network]
        least = min(node.gpus // node.machines for node, _ in rows)
        counts = {*divisors(least), *self._used([node for node, _ in rows])}
        sites = (Site(nodes=rows, used=used, network=joint) for used in sorted(counts))
        return min(
            self._stage(site, grid)
            for site in sites
            for grid in self.served.grids(siting.place_of(self.catalog, site))
            if grid.pipeline_parallel == 1
        )

    def _stage(self, site: Site, grid: Grid) -> float:
        """Seconds of a step of one user on a single stage, legal or not.

        Without end where the format cannot store a rank's share of a matrix: then no pipeline of
        such stages can either.
        """
        try:
            return siting.step(self.served, self.catalog, site, grid, users=1).best
        except FactsError:
            return math.inf

    def sites(self, nodes: Nodes, network: str | None) -> Iterator[Site]:
        """All devices of every machine, or as many as a power of two."""
        rows = tuple((self.catalog.node(name), count) for name, count in nodes)
        joint = None if network is None else self.catalog.networks[network]
        for used in self._used([node for node, _ in rows]):
            site = Site(nodes=rows, used=used, network=joint)
            rooms = (node.machines * count * used * self._room(node) for node, count in rows)
            if sum(rooms) >= self.served.least_bytes:
                yield site

    @staticmethod
    def _used(nodes: Sequence[Node]) -> list[int]:
        """Devices of every machine: all of equally many, or a power of two, most first."""
        each = {node.gpus // node.machines for node in nodes}
        counts = {1 << bit for bit in range(min(each).bit_length())}
        return sorted(counts | (each if len(each) == 1 else set()), reverse=True)

    def _room(self, node: Node) -> int:
        capacity = capacity_of(self.catalog.gpu(node.gpu))
        return 0 if capacity is None else self.served.room(capacity.bytes)

    def _legal(self, site: Site) -> Iterator[Grid]:
        served, catalog = self.served, self.catalog
        place = siting.place_of(catalog, site)
        for grid in served.grids(place):
            stages = siting.stages_of(served, catalog, site, grid)
            if stages is None:
                continue
            shared = grid if len(stages) == 1 else self._shared_out(grid, stages)
            if not served.illegal(shared, place):
                yield shared

    def _settled(self, site: Site) -> Iterator[Grid]:
        """The legal layouts; where layers can move, as they fit, and only those that do."""
        for grid in self._legal(site):
            if not grid.partition:
                yield grid
                continue
            settled = self.fitting(site, grid)
            if settled is not None:
                yield settled

    def _shared_out(self, grid: Grid, stages: siting.Stages) -> Grid:
        """Layers of each stage in proportion to the memory of its devices."""
        layers, total = self.served.architecture.depth, sum(seen for _, seen in stages)
        stops = itertools.accumulate(seen for _, seen in stages)
        marks = [0, *(round(layers * stop / total) for stop in stops)]
        return replace(grid, partition=tuple(b - a for a, b in itertools.pairwise(marks)))

    def _time(self, site: Site, grid: Grid) -> Timed:
        case = siting.case_of(self.served, self.catalog, site, grid)
        best, floor = siting.times(self.served, case)
        return Timed(site=site, grid=grid, best=best, floor=floor)

    def fitting(self, site: Site, grid: Grid) -> Grid | None:
        """The layout, or one with layers moved from the fullest stage, that fits; None of neither.

        Layers move only where stages are on different devices.
        """
        key = (*site.memory_key, grid)
        if key not in self._fits:
            self._fits[key] = self._moved(site, grid)
        return self._fits[key]

    def _moved(self, site: Site, grid: Grid) -> Grid | None:
        place = siting.place_of(self.catalog, site)
        stages = siting.stages_of(self.served, self.catalog, site, grid)
        assert stages is not None
        rooms = self._rooms(grid, stages, place)
        for _ in range(_MOVES if len(stages) > 1 else 0):
            if min(rooms) >= 0:
                break
            partition = list(grid.partition)
            partition[rooms.index(min(rooms))] -= 1
            partition[rooms.index(max(rooms))] += 1
            if min(partition) < 1:
                return None
            moved = replace(grid, partition=tuple(partition))
            after = self._rooms(moved, stages, place)
            if min(after) <= min(rooms):
                return None
            grid, rooms = moved, after
        return grid if min(rooms) >= 0 else None

    def _rooms(self, grid: Grid, stages: siting.Stages, place: Place) -> list[int]:
        """Free bytes of the fullest rank of each stage, overheads at their upper ends."""
        memory = self.served.memory(grid, stages, place)
        rooms: dict[int, int] = {}
        for rank in memory.ranks:
            left = rank.device - rank.total
            rooms[rank.rank.stage] = min(left, rooms.get(rank.rank.stage, left))
        return list(rooms.values())


@functools.lru_cache(maxsize=64)
def layouts_of(served: Served, catalog: ByDigest) -> Layouts:
    """The layouts of a served model, the same each time it is asked for."""
    return Layouts(served, catalog.catalog)
