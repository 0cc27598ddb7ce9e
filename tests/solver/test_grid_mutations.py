"""Every limit and bound of the search over grids earns its place: a wrong search is caught.

A fixed set of small questions, each with the score an exhaustive search finds for every goal. Each
mutant must differ on at least one of them; the search as it is, on none.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from planner.catalog import load_catalog
from planner.request import PlanRequest
from planner.solver.formulate_grids import GridFormulation
from planner.solver.grid_layouts import Layouts
from planner.solver.problem import Goal
from planner.solver.search import Clock
from planner.solver.session import Session
from tests.solver import grid_oracle
from tests.solver.grid_instances import plans_of
from tests.solver.grid_mutants import QUESTIONS, WRONG

GOALS: tuple[Goal, ...] = ("cost", "latency", "floor", "value")

Scores = dict[str, int | None]


def open_to_all(request: PlanRequest) -> PlanRequest:
    """The question without the limits that the exhaustive search asks afterwards."""
    return request.model_copy(update={"stock": (), "min_speed": 0.0, "ttft": None})


@functools.cache
def expected(name: str) -> Scores:
    """The least score of each goal, and the least cost of the plans as fast as the fastest."""
    request = QUESTIONS[name]
    kept = grid_oracle.within(plans_of(open_to_all(request)), request)
    scores: Scores = {goal: grid_oracle.optimum(kept, goal) for goal in GOALS}
    fast = tuple(plan for plan in kept if plan.best == scores["latency"])
    return {**scores, "cheapest of the fastest": grid_oracle.optimum(fast, "cost")}


def found(name: str) -> Scores:
    """The same by the search as it is now, nothing remembered."""
    request = QUESTIONS[name]
    session = Session(request=request, catalog=load_catalog(), clock=Clock(60))
    formulation = session.formulation(request.quant)
    assert isinstance(formulation, GridFormulation)
    fresh = Layouts(formulation.subject, formulation.catalog)
    formulation = replace(formulation, problem=replace(formulation.problem, layouts=fresh))
    scores: Scores = {}
    for goal in GOALS:
        choice = session.optimum(formulation, goal)
        scores[goal] = None if choice is None else choice.candidate.score(goal)
    best = expected(name)["latency"]
    choice = session.optimum(formulation, "cost", best=best) if best is not None else None
    scores["cheapest of the fastest"] = None if choice is None else choice.candidate.cost
    return scores


def caught() -> list[str]:
    """Questions that show that the search, as it is now, is wrong."""
    return [name for name in QUESTIONS if found(name) != expected(name)]


@pytest.fixture(autouse=True, scope="module")
def _known() -> None:
    for name in QUESTIONS:
        expected(name)


def test_the_search_as_it_is_differs_nowhere() -> None:
    assert not caught()


def test_the_questions_differ_in_what_decides() -> None:
    known = {name: expected(name) for name in QUESTIONS}
    assert {scores["cost"] is None for scores in known.values()} == {True, False}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_search_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WRONG[name](monkeypatch)
    assert caught()
