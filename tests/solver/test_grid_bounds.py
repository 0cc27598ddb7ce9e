"""What the search over grids takes for bounds, no layout that fits beats."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import pytest

from planner.accounting import grids
from planner.catalog import load_catalog
from planner.request import PlanRequest
from planner.solver.formulate_grids import GridFormulation
from planner.solver.grid_search import Entry
from planner.solver.search import Clock
from planner.solver.session import Session
from tests.solver import grid_instances
from tests.solver.grid_instances import plans_of
from tests.solver.grid_oracle import Plan

SLICE = range(20, 40)
FULL = [range(start, start + 150) for start in range(0, 600, 150)]

Key = tuple[tuple[tuple[str, int], ...], str | None]


def problem_of(request: PlanRequest) -> GridFormulation:
    session = Session(request=request, catalog=load_catalog(), clock=Clock(60))
    formulation = session.formulation(request.quant)
    assert isinstance(formulation, GridFormulation)
    return formulation


def entries_of(formulation: GridFormulation) -> dict[Key, Entry]:
    problem = formulation.problem
    return {
        (
            tuple(sorted(problem.nodes(entry.picks))),
            None if entry.joint is None else entry.joint.name,
        ): entry
        for entry in problem.entries(formulation.limits)
    }


def key_of(plan: Plan) -> Key:
    network = plan.site.network
    return tuple(sorted(plan.counts)), None if network is None else network.name


def broken_times(request: PlanRequest) -> tuple[int, list[str]]:
    """Plans looked at, and those whose site is left out, or faster or cheaper than its bounds."""
    formulation = problem_of(request)
    entries, found = entries_of(formulation), plans_of(request)
    refine = functools.cache(formulation.problem.refined)
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
        stages = grids.stages_of(served, catalog, plan.site, plan.grid)
        assert stages is not None
        memory = served.memory(plan.grid, stages, grids.place_of(catalog, plan.site))
        assert sum(rank.rank.ranks for rank in memory.ranks) == len(plan.site.devices)
        held = sum(rank.rank.ranks * (rank.weights.low + rank.kv_cache) for rank in memory.ranks)
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
