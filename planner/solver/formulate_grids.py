"""vLLM and SGLang: from a request and the catalogs to a `GridProblem`, and back to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner import accounting, market
from planner.accounting import grids, siting
from planner.catalog.load import Catalog
from planner.market import Market
from planner.performance.grid_bounds import (
    least_exchange,
    least_overhead,
    least_read,
    most_speed,
    single,
)
from planner.plan import Body, Remedy, Serving, Solver
from planner.request import PlanRequest
from planner.served import Served, asked_of_request, served
from planner.solver import grid_search
from planner.solver.formulate import UNLIMITED_STOCK, adapters_of, joint_of, limits_of, offered
from planner.solver.formulation import Formulation
from planner.solver.grid_layouts import layouts_of
from planner.solver.grid_remedies import GridRig, grid_remedies
from planner.solver.grid_search import GridCandidate, GridProblem
from planner.solver.problem import Goal, Joint, Limits, Option, Picks
from planner.solver.search import Candidate, Clock, Found
from planner.subject import ByDigest
from planner.verify import check_body

MOST_REQUESTS = 4096
"""Requests at once that are still asked for when the headroom is measured."""
UNLIMITED_DEVICES = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class GridFormulation(Formulation):
    """Uniform grids on whole nodes with what they were made from."""

    subject: Served
    problem: GridProblem

    def minimise(
        self,
        goal: Goal,
        clock: Clock,
        start: Candidate | None = None,
        *,
        limits: Limits | None = None,
    ) -> Found:
        """By judging sites in order of their bounds."""
        return grid_search.minimise(self.problem, goal, limits or self.limits, clock, start)

    def assess(self, picks: Picks, joint: Joint | None) -> Candidate | None:
        """By the fastest layout that fits."""
        return self.problem.assess(picks, joint, self.limits)

    def holds(self, candidate: Candidate, picks: Picks) -> bool:
        """Whether the same layout on the same site holds it."""
        assert isinstance(candidate, GridCandidate)
        layout = candidate.layout
        return self.problem.layouts.fitting(layout.site, layout.grid) == layout.grid

    def body(self, candidate: Candidate, proof: Solver) -> Body:
        """The body of the chosen layout."""
        assert isinstance(candidate, GridCandidate)
        return grids.body(
            self.subject,
            self.catalog,
            candidate.layout.site,
            candidate.layout.grid,
            proof,
            input_tokens=self.request.input_tokens,
            budget=market.budget(self.request),
            rented=market.rented(self.request),
        )

    def engine(self, candidate: Candidate | None) -> Serving:
        """The engine with the limits the layout's memory was counted with."""
        assert isinstance(candidate, GridCandidate)
        site, grid = candidate.layout.site, candidate.layout.grid
        memory = siting.memory_of(self.subject, self.catalog, site, grid)
        return grids.engine_of(self.subject, memory)

    def user_speed(self, candidate: Candidate, users: int) -> float:
        """The users decode together."""
        assert isinstance(candidate, GridCandidate)
        site, grid = candidate.layout.site, candidate.layout.grid
        return 1 / siting.step(self.subject, self.catalog, site, grid, users=users).best

    def remedies(self, candidate: Candidate, body: Body) -> tuple[Remedy, ...]:
        """On the same site."""
        assert isinstance(candidate, GridCandidate)
        rig = GridRig(
            catalog=self.catalog,
            model=self.request.model,
            quant=self.subject.quantization.name,
            asked=self.subject.asked,
            site=candidate.layout.site,
            grid=candidate.layout.grid,
        )
        return grid_remedies(rig)

    def check(self, body: Body) -> tuple[str, ...]:
        """Judged as a grid."""
        return check_body(self.request, self.subject, self.catalog, body)


def formulate_grids(
    request: PlanRequest, catalog: Catalog, quant: str, view: Market
) -> GridFormulation:
    """The problem of `request` in the checkpoint format `quant`, on the market seen as `view`."""
    of = served(catalog, request.model, quant, asked_of_request(request, catalog, quant))
    stock = {entry.node: entry.count for entry in request.stock}
    options: list[Option] = []
    rooms: list[int] = []
    models: dict[str, int] = {}
    for node, gpu, price in offered(request, catalog, view):
        options.append(
            Option(
                name=node.name,
                kind=models.setdefault(gpu.name, len(models)),
                gpus=node.gpus,
                machines=node.machines,
                price=price,
                family=gpu.family,
                networks=node.networks,
                adapters=adapters_of(catalog, node),
                inner_best=0,
                inner_floor=0,
                stock=stock.get(node.name, UNLIMITED_STOCK),
            )
        )
        capacity = accounting.capacity_of(gpu)
        assert capacity is not None
        rooms.append(of.room(capacity.bytes) * node.gpus)
    problem = _problem(of, catalog, options, rooms, request.input_tokens)
    return GridFormulation(
        request=request,
        catalog=catalog,
        subject=of,
        options=problem.options,
        limits=limits_of(request, devices=UNLIMITED_DEVICES),
        needed_bytes=problem.needed,
        space=f"{market.space(request, len(options))}; one replica of at most two node types; "
        "uniform grids (tensor, pipeline, data, expert and decode context parallel) that "
        f"{of.title} accepts, every stage on devices of one model, all "
        "devices of a machine or a power of two of them",
        most_users=MOST_REQUESTS,
        problem=problem,
    )


def _problem(
    of: Served, catalog: Catalog, options: Sequence[Option], rooms: Sequence[int], prompt: int
) -> GridProblem:
    names = sorted({name for option in options for name in option.networks})
    gpus = [catalog.gpu(catalog.node(option.name).gpu) for option in options]
    alone = [single(of.architecture, of.scheme, of.engine, gpu) for gpu in gpus]
    users = of.concurrency
    return GridProblem(
        options=tuple(options),
        joints=tuple(joint_of(catalog.networks[name]) for name in names),
        rooms=tuple(rooms),
        speeds=tuple(
            option.gpus * most_speed(gpu, of.engine)
            for option, gpu in zip(options, gpus, strict=True)
        ),
        overheads=tuple(int(least_overhead(case) / users * 1e9) for case in alone),
        needed=of.least_bytes,
        read=least_read(alone[0]) / users if alone else 0.0,
        exchange=least_exchange(alone[0]) / users * 1e9 if alone else 0.0,
        prompt=prompt,
        layouts=layouts_of(of, ByDigest(catalog)),
    )
