"""Which machines hold the model: every node type alone, and those with unified memory joined.

Layers are split exactly (`planner.solver.partition`), by memory alone: no speed, no price.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planner import accounting
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Node
from planner.market import REASONS, Reason
from planner.services.requirements_values import LeftOut
from planner.solver import partition
from planner.solver.formulate import kind_of, problem_of
from planner.solver.problem import Kind, Limits, Option, Pick, Problem
from planner.subject import Subject

MOST_JOINED = 4
"""Machines with unified memory that are joined at most, as in a default search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """So many nodes of one type."""

    node: Node
    gpu: Gpu
    count: int

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from others."""
        return self.node.name, self.count

    @property
    def machines(self) -> int:
        """Machines in all."""
        return self.node.machines * self.count

    @property
    def devices(self) -> int:
        """Devices in all."""
        return self.node.gpus * self.count


def places(catalog: Catalog) -> tuple[tuple[Place, ...], tuple[LeftOut, ...]]:
    """What can be judged, in order of name, and what cannot."""
    found: list[Place] = []
    left: list[LeftOut] = []
    for node in sorted(catalog.nodes.values(), key=lambda node: node.name):
        gpu = catalog.gpu(node.gpu)
        reason = _unjudged(gpu)
        if reason is not None:
            left.append(LeftOut(name=node.name, reason=REASONS[reason]))
            continue
        found.extend(
            Place(node=node, gpu=gpu, count=count) for count in _counts(catalog, node, gpu)
        )
    return tuple(found), tuple(left)


def _unjudged(gpu: Gpu) -> Reason | None:
    if gpu.family == "other":
        return "unsupported"
    if gpu.usable_memory is None or {"all", "usable_memory"} & set(gpu.unverified):
        return "unverified memory"
    return None


def _counts(catalog: Catalog, node: Node, gpu: Gpu) -> Iterator[int]:
    """One, and as many more as are joined at most where device and host share memory."""
    yield 1
    ports = max((catalog.networks[name].ports for name in node.networks), default=1)
    most = min(MOST_JOINED, ports) // node.machines
    if gpu.unified:
        yield from range(2, most + 1)


class Fits:
    """Answers whether places hold a model in any of several quantizations of it.

    Args:
        catalog: where the places come from.
        subjects: one for each quantization, all with the same settings.
        recommended: the one whose margins are asked for.
        everywhere: every place that will be asked about.
    """

    __slots__ = (
        "_catalog",
        "_evenest",
        "_index",
        "_larger_first",
        "_problem",
        "_problems",
        "recommended",
    )

    def __init__(
        self,
        catalog: Catalog,
        subjects: Sequence[Subject],
        recommended: Subject,
        everywhere: Sequence[Place],
    ) -> None:
        self._index = {place.key: number for number, place in enumerate(everywhere)}
        self._larger_first = sorted(
            subjects, key=lambda at: (-at.weights.total_bytes, -at.quantization.rank)
        )
        kinds: dict[str, int] = {}
        rows: list[Kind] = []
        for place in everywhere:
            if place.gpu.name not in kinds:
                kinds[place.gpu.name] = len(rows)
                rows.append(kind_of(recommended, place.gpu))
        options = tuple(_option(place, kinds[place.gpu.name]) for place in everywhere)
        self.recommended = recommended
        self._catalog = catalog
        limits = Limits(
            budget=None,
            floor=None,
            machines=max(place.machines for place in everywhere),
            devices=recommended.max_devices,
            mixed_families=False,
        )
        self._problem = problem_of(catalog, recommended, rows, options, limits)
        self._problems: dict[str, Problem] = {recommended.quantization.name: self._problem}
        self._evenest: dict[tuple[object, ...], partition.Placement] = {}

    def capacity(self, place: Place) -> int:
        """Memory free on one idle device."""
        capacity = accounting.capacity_of(place.gpu)
        assert capacity is not None
        return capacity.bytes

    def _most_devices(self, place: Place) -> int:
        """Devices one engine process can use of those there are."""
        return min(place.devices, self._problem.limits.devices, self._problem.slots)

    def split(self, place: Place) -> tuple[int, tuple[accounting.Assigned, ...]]:
        """The most balanced split, and the bytes free on its tightest device.

        Negative bytes are missing. All devices the engine can use take part; only one does where
        that leaves more room.
        """
        kind = self._problem.kinds[self._problem.options[self._index[place.key]].kind]
        splits = [self._most_even(kind, n, place) for n in sorted({1, self._most_devices(place)})]
        best = min(splits, key=lambda split: -split.headroom)
        return kind.capacity + best.headroom, _assigned(place, best)

    def largest(self, place: Place, *, fits: bool) -> str | None:
        """The quantization with the largest file that fits; None where none does.

        `fits`: whether the recommended one does, so that only larger or smaller files are tried.
        """
        number, devices = self._index[place.key], self._most_devices(place)
        known = self.recommended.weights.total_bytes
        tried = [
            at
            for at in self._larger_first
            if (at.weights.total_bytes > known if fits else at.weights.total_bytes < known)
        ]
        held = (at.quantization.name for at in tried if self._holds(number, devices, at))
        return next(held, self.recommended.quantization.name if fits else None)

    def _holds(self, number: int, devices: int, at: Subject) -> bool:
        problem = self._problem_of(at)
        kind = problem.kinds[problem.options[number].kind]
        if sum(problem.sizes) > devices * kind.capacity:
            return False
        return partition.reaches(problem, (Pick(number, 1),))

    def _problem_of(self, at: Subject) -> Problem:
        name = at.quantization.name
        if name not in self._problems:
            known = self._problem
            self._problems[name] = problem_of(
                self._catalog, at, known.kinds, known.options, known.limits
            )
        return self._problems[name]

    def _most_even(self, kind: Kind, devices: int, place: Place) -> partition.Placement:
        """The split whose fullest device holds least; `headroom` is minus what that holds.

        It depends on the kind of device only by padding and by what the host leaves on it.
        """
        mode = self._problem.mode(devices, place.machines)
        key = (kind.padded, kind.head_bytes[mode], devices, mode)
        if key not in self._evenest:
            bare = dataclasses.replace(kind, capacity=0)
            option = dataclasses.replace(_option(place, 0), gpus=devices)
            problem = dataclasses.replace(self._problem, kinds=(bare,), options=(option,))
            split = partition.most_balanced(problem, (Pick(0, 1),), None)
            assert split is not None  # there are no more devices than slots
            self._evenest[key] = split
        return self._evenest[key]


def _assigned(place: Place, split: partition.Placement) -> tuple[accounting.Assigned, ...]:
    """The devices of a split under their names, idle ones last."""
    windows = [(device.first, device.stop) for device in split.devices]
    windows += [(0, 0)] * (place.devices - len(windows))
    return tuple(
        accounting.Assigned(
            node=place.node.name,
            number=number // place.node.gpus + 1,
            index=number % place.node.gpus,
            first=first,
            stop=stop,
        )
        for number, (first, stop) in enumerate(windows)
    )


def _option(place: Place, kind: int) -> Option:
    """A place as one option: joined nodes are taken together."""
    return Option(
        name=f"{place.count}x {place.node.name}",
        kind=kind,
        gpus=place.devices,
        machines=place.machines,
        price=0,
        family=place.gpu.family,
        networks=(),
        adapters=(),
        inner_best=0,
        inner_floor=0,
        stock=1,
    )
