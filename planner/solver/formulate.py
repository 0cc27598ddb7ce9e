"""llama.cpp: from a request and the catalogs to a `Problem`, scaled, rounded against the plan."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import accumulate

from planner import accounting, market
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Network, Node
from planner.engines.llama_cpp import overheads, rules
from planner.errors import EngineError
from planner.market import Market
from planner.performance import roofline
from planner.plan import Body, LlamaCpp, Remedy, Solver
from planner.request import PlanRequest
from planner.solver import partition, search
from planner.solver.formulation import Formulation
from planner.solver.partition import Placement
from planner.solver.problem import (
    MODES,
    MONEY_UNIT,
    Goal,
    Joint,
    Kind,
    Limits,
    Mode,
    NeedFunction,
    Option,
    Picks,
    Problem,
)
from planner.solver.search import Candidate, Clock, Found
from planner.subject import Subject, shape_of_request, subject_of_request
from planner.values import Range
from planner.verify import check_body, split_of

UNLIMITED_STOCK = 10_000
_NANOSECONDS = 10**9


@dataclass(frozen=True, kw_only=True, eq=False)
class SlotFormulation(Formulation):
    """A layer split of llama.cpp with what it was made from."""

    subject: Subject
    problem: Problem

    def minimise(
        self,
        goal: Goal,
        clock: Clock,
        start: Candidate | None = None,
        *,
        limits: Limits | None = None,
    ) -> Found:
        """By scenarios, masters and cuts."""
        problem = self.problem if limits is None else self.problem.limited(limits)
        return search.minimise(problem, goal, clock, start)

    def assess(self, picks: Picks, joint: Joint | None) -> Candidate | None:
        """By the exact partition."""
        return search.assess(self.problem, picks, joint)

    def holds(self, candidate: Candidate, picks: Picks) -> bool:
        """Whether any split of the nodes holds it."""
        return partition.latency(self.problem, picks, candidate.joint) is not None

    def body(self, candidate: Candidate, proof: Solver) -> Body:
        """The body of the best split."""
        placement = partition.place(self.problem, candidate.picks, candidate.joint)
        assert placement is not None, "a candidate has a split"
        return accounting.body(
            self.subject,
            self.catalog,
            assigned(self.problem, placement),
            self.network(candidate.joint),
            proof,
            input_tokens=self.request.input_tokens,
            budget=market.budget(self.request),
            rented=market.rented(self.request),
        )

    def engine(self, candidate: Candidate | None) -> LlamaCpp:
        """llama.cpp and the subject's settings, whatever the candidate."""
        return accounting.engine_of(self.subject)

    def user_speed(self, candidate: Candidate, users: int) -> float:
        """The users share one stream."""
        return _NANOSECONDS / candidate.best / users

    def remedies(self, candidate: Candidate, body: Body) -> tuple[Remedy, ...]:
        """On the same nodes in pipeline order."""
        from planner.solver.remedies import Rig, remedies  # which formulates named clusters itself

        split = split_of(self.catalog, body)
        nodes = dict.fromkeys((device.node, device.number) for device in split)
        rig = Rig(
            catalog=self.catalog,
            model=self.request.model,
            quant=self.subject.quantization.name,
            shape=shape_of_request(self.request, self.catalog),
            nodes=[(self.catalog.node(name), 1) for name, _ in nodes],
            network=self.network(candidate.joint),
        )
        return remedies(rig, accounting.least_headroom(body.devices))

    def check(self, body: Body) -> tuple[str, ...]:
        """Judged as a layer split."""
        return check_body(self.request, self.subject, self.catalog, body)


def assigned(problem: Problem, placement: Placement) -> tuple[accounting.Assigned, ...]:
    """The devices of a placement under their catalog names, idle ones last in their node."""
    numbers: dict[str, int] = {}
    found: list[accounting.Assigned] = []
    nodes = {device.node: device.option for device in placement.devices}
    for node, option_index in sorted(nodes.items()):
        option = problem.options[option_index]
        number = numbers[option.name] = numbers.get(option.name, 0) + 1
        held = [(d.first, d.stop) for d in placement.devices if d.node == node]
        idle = [(0, 0)] * (option.gpus - len(held))
        found.extend(
            accounting.Assigned(
                node=option.name, number=number, index=index, first=first, stop=stop
            )
            for index, (first, stop) in enumerate([*held, *idle])
        )
    return tuple(found)


def formulate_slots(
    request: PlanRequest, catalog: Catalog, quant: str, view: Market | None = None
) -> SlotFormulation:
    """The problem of `request` in quantization `quant`, on the market seen as `view`."""
    view = view or Market()
    if request.ttft is not None:
        raise EngineError(
            f"--ttft {request.ttft:g}: no search for it in llama.cpp, whose fastest split for "
            "tokens is not the fastest for prompts",
            hint="leave it out and read the wait in the answer, or add --engine vllm",
        )
    subject = subject_of_request(request, catalog, quant)
    stock = {entry.node: entry.count for entry in request.stock}
    options: list[Option] = []
    kinds: dict[str, int] = {}
    rows: list[Kind] = []
    for node, gpu, price in offered(request, catalog, view):
        if not accounting.host_holds(subject, node, gpu):
            continue
        if gpu.name not in kinds:
            kinds[gpu.name] = len(rows)
            rows.append(kind_of(subject, gpu))
        options.append(
            option_of(
                catalog,
                subject,
                node,
                kinds[gpu.name],
                price=price,
                stock=stock.get(node.name, UNLIMITED_STOCK),
            )
        )
    limits = limits_of(request, devices=subject.max_devices)
    problem = problem_of(catalog, subject, rows, options, limits)
    return SlotFormulation(
        request=request,
        catalog=catalog,
        subject=subject,
        options=problem.options,
        limits=limits,
        needed_bytes=sum(problem.sizes),
        space=f"{market.space(request, len(options))}; one replica; layer split in which every "
        f"device (at most {limits.devices}) holds at least one slot and the devices of a node are "
        "neighbours; all weights on devices",
        most_users=rules.MAX_SLOTS,
        problem=problem,
    )


def offered(
    request: PlanRequest, catalog: Catalog, view: Market
) -> Iterator[tuple[Node, Gpu, int]]:
    """Nodes of known memory that may be taken, and the price of each in money units."""
    for node, gpu in market.considered(request, catalog):
        reason = market.left_out(request, catalog, node, gpu)
        if reason is not None and reason not in view.waived:
            continue
        quote = market.price(request, catalog, node)
        if quote is not None and accounting.capacity_of(gpu) is not None:
            yield node, gpu, money(getattr(quote, view.level), ROUND_CEILING)


def problem_of(
    catalog: Catalog,
    subject: Subject,
    kinds: Sequence[Kind],
    options: Sequence[Option],
    limits: Limits,
) -> Problem:
    """The instance for a subject on given options."""
    names = sorted({name for option in options for name in option.networks})
    return Problem(
        slots=subject.slots,
        need_bytes=need_function(subject),
        padding=_padding(subject),
        sizes=_sizes(subject),
        kinds=tuple(kinds),
        options=tuple(options),
        joints=tuple(joint_of(catalog.networks[name]) for name in names),
        limits=limits,
        rpc_pipelines=subject.build.rpc_pipelines,
    )


def kind_of(subject: Subject, gpu: Gpu) -> Kind:
    """One device model for this subject: room for the graph, and times of every slot."""
    capacity = accounting.capacity_of(gpu)
    assert capacity is not None
    runtime = overheads.runtime(gpu, subject.architecture, subject.settings).bytes
    times = accounting.slot_seconds(subject, gpu, subject.depth)
    case = accounting.floor_case(subject, gpu)
    return Kind(
        gpu=gpu.name,
        capacity=capacity.bytes - runtime - overheads.RESERVE,
        padded=overheads.pads_rows(gpu),
        head_bytes={
            mode: accounting.head_bytes(
                subject,
                gpu,
                devices=1 if mode == "single" else 2,
                pipelined=mode == "pipelined",
            )
            for mode in MODES
        },
        best=_sums(time.best for time in times),
        floor=_sums(getattr(time, case) for time in times),
    )


@functools.lru_cache(maxsize=64)
def need_function(subject: Subject) -> NeedFunction:
    """Graph memory of a window for one subject; the same function every time it is asked for."""
    return functools.partial(_need, subject)


def _need(subject: Subject, first: int, stop: int, mode: Mode) -> int:
    devices = 1 if mode == "single" else 2
    return sum(subject.memory.device(first, stop, devices=devices, pipelined=mode == "pipelined"))


def _sums(seconds: Iterable[float]) -> tuple[int, ...]:
    return (0, *accumulate(nanoseconds(value) for value in seconds))


def nanoseconds(seconds: float) -> int:
    """Whole nanoseconds, rounded up."""
    return math.ceil(seconds * _NANOSECONDS)


def _padding(subject: Subject) -> tuple[int, ...]:
    return tuple(subject.memory.cuda_padding(0, stop) for stop in range(subject.slots + 1))


def _sizes(subject: Subject) -> tuple[int, ...]:
    weights, cache = subject.memory.weight_bytes_per_slot, subject.memory.kv_bytes_per_slot
    return tuple(a + b for a, b in zip(weights, cache, strict=True))


def option_of(
    catalog: Catalog, subject: Subject, node: Node, kind: int, *, price: int, stock: int
) -> Option:
    """One node type as the search sees it; `kind` is the index of its device model."""
    gpu = catalog.gpu(node.gpu)
    hop = accounting.inner_hop(catalog, node)
    floor = "best" if node.machines > 1 else accounting.floor_case(subject, gpu)
    return Option(
        name=node.name,
        kind=kind,
        gpus=node.gpus,
        machines=node.machines,
        price=price,
        family=gpu.family,
        networks=node.networks,
        adapters=adapters_of(catalog, node),
        inner_best=nanoseconds(hop.best),
        inner_floor=nanoseconds(getattr(hop, floor)),
        stock=stock,
    )


def adapters_of(catalog: Catalog, node: Node) -> tuple[int, ...]:
    """Money units per node to join each of its networks: adapters and cables."""
    found = []
    for network in (catalog.networks[name] for name in node.networks):
        built_in = network.name in node.built_in_networks
        each = network.cable if built_in else network.cable + network.adapter
        found.append(money(each, ROUND_CEILING) * node.machines)
    return tuple(found)


def joint_of(network: Network) -> Joint:
    """One way to join nodes as the search sees it."""
    hop: Range = roofline.network_hop(network)
    return Joint(
        name=network.name,
        best=nanoseconds(hop.best),
        floor=nanoseconds(hop.best),
        switch=money(network.switch, ROUND_CEILING),
        direct=network.direct,
        ports=network.ports,
    )


def limits_of(request: PlanRequest, *, devices: int) -> Limits:
    """What a request limits, with at most `devices` devices."""
    budget, limit = market.budget(request), market.token_limit(request)
    return Limits(
        budget=None if budget is None else money(budget, ROUND_FLOOR),
        floor=None if limit is None else math.floor(_NANOSECONDS * limit),
        first=None if request.ttft is None else math.floor(_NANOSECONDS * request.ttft),
        machines=request.max_nodes,
        devices=devices,
        mixed_families=request.mixed_families,
    )


def money(amount: Decimal, rounding: str) -> int:
    """Money units of an amount in USD."""
    return int((amount * MONEY_UNIT).to_integral_value(rounding=rounding))
