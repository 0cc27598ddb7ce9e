"""What the search over grids takes for bounds, no layout that fits beats."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from planner.accounting import siting
from planner.catalog import load_catalog
from planner.request import PlanRequest
from planner.solver.formulate_grids import GridFormulation
from planner.solver.grid_layouts import Layouts, Nodes
from planner.solver.grid_search import Entry, GridProblem
from planner.solver.problem import Limits
from planner.solver.search import Clock
from planner.solver.session import Session
from tests.solver import grid_instances
from tests.solver.grid_instances import plans_of, served_of
from tests.solver.grid_oracle import Plan

SLICE = range(20, 32)
FULL = [range(start, start + 150) for start in range(0, 600, 150)]

Key = tuple[tuple[tuple[str, int], ...], str | None]


def problem_of(request: PlanRequest) -> GridFormulation:
    session = Session(request=request, catalog=load_catalog(), clock=Clock(60))
    formulation = session.formulation(request.quant)
    assert isinstance(formulation, GridFormulation)
    return formulation


def entries_of(problem: GridProblem, limits: Limits) -> dict[Key, Entry]:
    return {
        (
            tuple(sorted(problem.nodes(entry.picks))),
            None if entry.joint is None else entry.joint.name,
        ): entry
        for entry in problem.entries(limits)
    }


def key_of(plan: Plan) -> Key:
    network = plan.site.network
    return tuple(sorted(plan.counts)), None if network is None else network.name


def broken_times(
    request: PlanRequest, change: Callable[[GridProblem], GridProblem] = lambda same: same
) -> tuple[int, list[str]]:
    """Plans looked at, and those whose site is left out, or faster or cheaper than its bounds."""
    formulation = problem_of(request)
    problem = change(formulation.problem)
    entries, found = entries_of(problem, formulation.limits), plans_of(request)
    refine = functools.cache(problem.refined)
    wrong = []
    for plan in found:
        entry = entries.get(key_of(plan))
        if entry is None:
            wrong.append(f"{request}: {key_of(plan)} is left out, but holds {plan.grid}")
            continue
        refined = refine(entry)
        if refined.cost != plan.cost:
            wrong.append(f"{request}: {key_of(plan)} costs {plan.cost}, not {refined.cost}")
        for name, bound in (("cheap", entry.time), ("refined", refined.time)):
            if bound > min(plan.best, plan.floor):
                wrong.append(
                    f"{request}: {key_of(plan)} {plan.site.used} {plan.grid} takes {plan.best} "
                    f"and {plan.floor}, the {name} bound is {bound}"
                )
    return len(found), wrong


def broken_bytes(request: PlanRequest) -> list[str]:
    """Plans that hold less than any could."""
    catalog, wrong = load_catalog(), []
    for plan in plans_of(request):
        served = plan.served
        stages = siting.stages_of(served, catalog, plan.site, plan.grid)
        assert stages is not None
        memory = served.memory(plan.grid, stages, siting.place_of(catalog, plan.site))
        assert sum(rank.rank.ranks for rank in memory.ranks) == len(plan.site.devices)
        held = sum(rank.rank.ranks * (rank.weights.best + rank.kv_cache) for rank in memory.ranks)
        if held < served.least_bytes:
            wrong.append(f"{request}: {plan.grid} holds {held}, at least {served.least_bytes}")
    return wrong


def check(requests: Iterable[PlanRequest]) -> int:
    plans = 0
    for request in requests:
        count, wrong = broken_times(request)
        assert not wrong, "\n".join(wrong[:5])
        wrong = broken_bytes(request)
        assert not wrong, "\n".join(wrong[:5])
        plans += count
    return plans


def test_no_layout_is_faster_or_smaller_than_its_bounds() -> None:
    assert check(map(grid_instances.draw, SLICE)) >= 1000


@pytest.mark.full
@pytest.mark.parametrize("seeds", FULL, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_no_layout_of_thousands_is_faster_or_smaller_than_its_bounds(seeds: range) -> None:
    assert check(map(grid_instances.draw, seeds)) >= 10_000


TIGHT = PlanRequest(
    model="llama-3.1-8b",
    quant="BF16",
    engine="vllm",
    context=8192,
    input_tokens=1,
    output_tokens=1,
    only=("5090-x1", "dgx-spark"),
    max_nodes=2,
    min_speed=0,
)
"""Weights are nearly all that one device holds and reads, and next to nothing is in the cache."""
MORE = 1.05


class LaterStages(Layouts):
    """Layouts whose best single stage is taken to be slower than it is."""

    def least_stage(self, nodes: Nodes, network: str | None) -> float:
        """The least time, and a twentieth more."""
        return super().least_stage(nodes, network) * MORE


def slower_stages(problem: GridProblem) -> GridProblem:
    old = problem.layouts
    return replace(problem, layouts=LaterStages(old.served, old.catalog))


CHANGES: dict[str, Callable[[GridProblem], GridProblem]] = {
    "more bytes read": lambda own: replace(own, read=own.read * MORE),
    "slower devices": lambda own: replace(own, speeds=tuple(v / MORE for v in own.speeds)),
    "slower stages": slower_stages,
    "twice the overheads": lambda own: replace(own, overheads=tuple(2 * n for n in own.overheads)),
    "three times the exchanges": lambda own: replace(own, exchange=3 * own.exchange),
    "less room": lambda own: replace(own, rooms=tuple(room // 2 for room in own.rooms)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_bound_too_tight_is_noticed(name: str) -> None:
    assert not broken_times(TIGHT)[1]
    assert broken_times(TIGHT, CHANGES[name])[1]


def test_more_least_bytes_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not broken_bytes(TIGHT)
    least = served_of(TIGHT).least_bytes
    monkeypatch.setitem(served_of(TIGHT).__dict__, "least_bytes", int(least * MORE))
    assert broken_bytes(TIGHT)
