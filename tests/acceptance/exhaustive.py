"""Every cluster of a few node types, every order, every cut: shares no code with the solver.

Reads the catalogs, the engine's memory accounting and the times per slot; enumerates, prices and
places again. A pipeline is a row of devices; what is reachable after each is a vector over slots.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from planner import accounting
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Network, Node
from planner.performance import calibration, roofline
from planner.request import PlanRequest
from planner.subject import Subject, subject_of_request
from tests.acceptance.hand_built import MOST_DEVICES, networks, price

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Worked:
    """One cluster that keeps every limit, at its fastest."""

    cluster: tuple[tuple[str, int], ...]
    usd: Decimal
    seconds: float
    """Per token, best estimate."""


@dataclass(kw_only=True)
class Exhaustive:
    """The search through everything `request` allows."""

    catalog: Catalog
    request: PlanRequest
    subject: Subject = field(init=False)
    windows: dict[tuple[str, bool, bool], tuple[Times, Times]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.subject = subject_of_request(self.request, self.catalog, self.request.quant)

    def everything(self) -> Iterator[Worked]:
        """Every multiset of the nodes of `--only` that works, under its cheapest network."""
        nodes = [self.catalog.nodes[name] for name in self.request.only]
        most = [self.request.max_nodes // node.machines for node in nodes]
        for counts in itertools.product(*(range(count + 1) for count in most)):
            taken = [(node, count) for node, count in zip(nodes, counts, strict=True) if count]
            if taken and self._allowed(taken):
                for network in networks(self.catalog, taken):
                    yield from self._worked(taken, network)

    def _allowed(self, taken: Sequence[tuple[Node, int]]) -> bool:
        stock = {entry.node: entry.count for entry in self.request.stock}
        families = {self.catalog.gpus[node.gpu].family for node, _ in taken}
        machines = sum(node.machines * count for node, count in taken)
        return (
            machines <= self.request.max_nodes
            and (len(families) == 1 or self.request.mixed_families)
            and all(count <= stock.get(node.name, count) for node, count in taken)
        )

    def _worked(
        self, taken: Sequence[tuple[Node, int]], network: Network | None
    ) -> Iterator[Worked]:
        machines = sum(node.machines * count for node, count in taken)
        if network is not None and machines > max(network.ports, network.direct):
            return
        usd = price(self.catalog, taken, network)
        if usd is None or (self.request.budget is not None and usd > self.request.budget):
            return
        row = [node for node, count in taken for _ in range(count)]
        best, slow = self._fastest(row, network)
        if np.isinf(best) or self.request.min_speed * slow * self.request.concurrency > 1:
            return
        cluster = tuple((node.name, count) for node, count in taken)
        yield Worked(cluster=cluster, usd=usd, seconds=float(best))

    def _fastest(self, row: Sequence[Node], network: Network | None) -> tuple[float, float]:
        """Least seconds over every order, every choice of idle devices and every cut.

        The best estimate, and the case a minimum is judged by, each at its own fastest.
        """
        gpus = sum(node.gpus for node in row)
        idle = max(gpus - MOST_DEVICES, 0)
        start = np.full(self.subject.slots + 1, np.inf)
        start[0] = 0.0
        alone = len(row) == 1 and gpus == 1
        local = sum(node.machines for node in row) == 1
        least = [np.inf, np.inf]
        names = sorted(node.name for node in row)

        def place(state: tuple[Times, Times], left: tuple[str, ...], spare: int) -> None:
            """Adds one more node behind those placed."""
            if not left:
                if spare == 0:
                    for case in range(2):
                        least[case] = min(least[case], float(state[case][-1]))
                return
            for name in dict.fromkeys(left):
                node = self.catalog.nodes[name]
                behind = list(left)
                behind.remove(name)
                first = len(left) == len(names)
                now = self._device(state, node, None if first else network, alone, local)
                for used in range(1, node.gpus + 1):
                    if used > 1:
                        now = self._device(now, node, self._inside(node), alone, local)
                    resting = node.gpus - used
                    room = sum(self.catalog.nodes[other].gpus - 1 for other in behind)
                    if resting <= spare <= resting + room and np.isfinite(now[0]).any():
                        place(now, tuple(behind), spare - resting)

        place((start, start), tuple(names), idle)
        return least[0], least[1]

    def _inside(self, node: Node) -> Network | str:
        return "local" if node.machines == 1 else self.catalog.networks[node.built_in_networks[0]]

    def _device(
        self,
        state: tuple[Times, Times],
        node: Node,
        joined: Network | str | None,
        alone: bool,
        local: bool,
    ) -> tuple[Times, Times]:
        """What is reachable once one more device has taken its slots, in both cases."""
        gpu = self.catalog.gpus[node.gpu]
        hop = (0.0, 0.0)
        if joined == "local":
            inner = roofline.local_hop()
            hop = (inner.best, inner.low if self._careful(gpu) else inner.best)
        elif isinstance(joined, Network):
            hop = (roofline.network_hop(joined).best,) * 2
        best, slow = self._windows(gpu, alone, local)
        return (
            (state[0][:, None] + best).min(axis=0) + hop[0],
            (state[1][:, None] + slow).min(axis=0) + hop[1],
        )

    def _careful(self, gpu: Gpu) -> bool:
        return calibration.is_calibrated(self.subject.architecture, gpu)

    def _windows(self, gpu: Gpu, alone: bool, local: bool) -> tuple[Times, Times]:
        """Seconds of slots [first, stop) on a device, infinite where they do not fit."""
        key = (gpu.name, alone, local)
        found = self.windows.get(key)
        if found is not None:
            return found
        subject = self.subject
        capacity = accounting.capacity_of(gpu)
        assert capacity is not None
        pipelined = not alone and (local or subject.build.rpc_pipelines)
        times = roofline.slot_seconds(
            subject.architecture,
            subject.weights,
            gpu,
            depth=subject.depth,
            kv_type=subject.settings.key_type,
        )
        sums = np.cumsum([0.0, *(time.best for time in times)])
        careful = np.cumsum(
            [0.0, *(time.low if self._careful(gpu) else time.best for time in times)]
        )
        shape = (subject.slots + 1, subject.slots + 1)
        best, slow = np.full(shape, np.inf), np.full(shape, np.inf)
        for first in range(subject.slots):
            for stop in range(first + 1, subject.slots + 1):
                budget = accounting.device_budget(
                    subject, gpu, first, stop, devices=1 if alone else 2, pipelined=pipelined
                )
                if budget.total <= capacity.bytes:
                    best[first, stop] = sums[stop] - sums[first]
                    slow[first, stop] = careful[stop] - careful[first]
        self.windows[key] = (best, slow)
        return best, slow
