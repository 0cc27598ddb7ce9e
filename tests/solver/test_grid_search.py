"""The search over uniform grids against an exhaustive one: equal scores, proven, no exception."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from planner.catalog import load_catalog
from planner.request import PlanRequest
from planner.solver.problem import Goal
from planner.solver.search import Clock
from planner.solver.session import Session
from tests.acceptance import command_line
from tests.solver import grid_instances, grid_oracle
from tests.solver.grid_instances import plans_of
from tests.solver.grid_oracle import Plan

GOALS: tuple[Goal, ...] = ("cost", "latency", "floor", "value")
SLICE = range(12)
FULL = [range(start, start + 100) for start in range(0, 600, 100)]
LIMITS = 3
"""Times the limits of each question are drawn, beside the question as it is."""


@dataclass
class Tally:
    """What a run of comparisons has seen; a check is one question under one goal."""

    questions: int = 0
    checks: int = 0
    infeasible: int = 0
    mixed: int = 0
    joined: int = 0

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.questions} questions x {len(GOALS)} goals = {self.checks} checks: "
            f"{self.infeasible} infeasible, {self.joined} with only multi-node optima, "
            f"{self.mixed} with only optima of two node types"
        )


def answers(request: PlanRequest, found: tuple[Plan, ...], tally: Tally) -> list[str]:
    """One line for each goal in which the search differs from the exhaustive one."""
    kept = grid_oracle.within(found, request)
    session = Session(request=request, catalog=load_catalog(), clock=Clock(600))
    formulation = session.formulation(request.quant)
    wrong = []
    tally.questions += 1
    for goal in GOALS:
        want = grid_oracle.optimum(kept, goal)
        choice = session.optimum(formulation, goal)
        got = None if choice is None else choice.candidate.score(goal)
        if got != want:
            wrong.append(f"{request}, {goal}: exhaustive {want}, search {got}")
        elif choice is not None:
            if not choice.found.proven or choice.found.bound != got:
                wrong.append(f"{request}, {goal}: bound {choice.found.bound}, score {got}")
            if goal != "floor":
                session.body(choice)
        best = [plan for plan in kept if plan.score(goal) == want]
        tally.checks += 1
        tally.infeasible += want is None
        tally.mixed += bool(best) and all(plan.mixed for plan in best)
        tally.joined += bool(best) and all(plan.joined for plan in best)
    return wrong


def compare(bases: Iterable[PlanRequest]) -> tuple[Tally, list[str]]:
    """Counts of what was compared, and one line for each difference."""
    tally, wrong = Tally(), []
    for number, base in enumerate(bases):
        found = plans_of(base)
        wrong += answers(base, found, tally)
        for draw in range(LIMITS):
            request = grid_instances.limited(base, found, number * LIMITS + draw)
            wrong += answers(request, found, tally)
    return tally, wrong


def test_no_exhaustive_search_beats_the_search_over_grids(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bases = [*grid_instances.FIXED, *map(grid_instances.draw, SLICE)]
    tally, wrong = compare(bases)
    with capsys.disabled():
        print(f"\n{tally}")
    assert not wrong, "\n".join(wrong)
    assert tally.questions >= 60
    assert tally.infeasible >= 20
    assert tally.mixed >= 10
    assert tally.joined >= 40


@pytest.mark.full
@pytest.mark.parametrize("seeds", FULL, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_no_exhaustive_search_beats_the_search_over_grids_on_thousands(
    seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    tally, wrong = compare(map(grid_instances.draw, seeds))
    with capsys.disabled():
        print(f"\n{tally}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_the_same_question_has_the_same_answer_to_the_byte(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes whose sets and dictionaries of hashes are in other orders."""
    line = f"qwen3-30b-a3b --quant FP8 --engine {engine} --context 32768 --concurrency 8"
    line += " --only 4090-x2 --only 5090-x1 --only 6000-ada-x1 --max-nodes 3 --min-speed 0 --json"
    answers = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        ran = command_line.plan(line)
        assert ran.code == 0, ran.err
        answers.append(ran.out)
    assert answers[0] == answers[1]
    assert len(answers[0]) > 1000
