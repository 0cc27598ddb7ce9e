"""Every constraint and every check of the solver earns its place: a wrong solver is caught.

A fixed set of small problems, each with the score an exhaustive search finds for every goal. Each
mutant must differ on at least one of them; the solver as it is, on none.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import NamedTuple

import pytest

from planner.solver import constraints, master, partition, search
from planner.solver.master import Master
from planner.solver.problem import Goal, Problem
from planner.solver.search import Clock, minimise
from tests.solver import brute_force, instances, mutation, twists
from tests.solver.by_hand import BY_HAND
from tests.solver.mutants import ELSEWHERE, TIGHTER
from tests.solver.twists import How

GOALS: tuple[Goal, ...] = ("cost", "latency", "floor", "value")


class Case(NamedTuple):
    """A problem by number, with its twists."""

    seed: int
    rival: int | None = None
    joint: int | None = None
    bound: How | None = None

    def problem(self) -> Problem:
        """The problem."""
        problem = instances.draw(self.seed)
        if self.rival is not None:
            problem = twists.with_rival(problem, self.rival)
        if self.joint is not None:
            problem = twists.with_rival_joint(problem, self.joint)
        return problem if self.bound is None else twists.bound(problem, self.bound)


CASES = (
    Case(10, bound="best"),
    Case(39, bound="floor"),
    Case(50, bound="memory"),
    Case(52, bound="floor"),
    Case(53, bound="best"),
    Case(8, bound="memory"),
    Case(98, bound="best"),
    Case(98, bound="floor"),
    Case(38, joint=456),
    Case(38, joint=457),
    Case(4, joint=51),
    Case(4, joint=57),
    Case(5, joint=64),
    Case(5, joint=70),
    Case(29),
    Case(76),
    Case(79),
    Case(85),
    Case(88),
    Case(10, rival=118),
    Case(13, rival=146),
    Case(13, rival=147),
    Case(13, rival=150, bound="memory"),
    Case(137, rival=1516),
    Case(14, rival=159),
    Case(16, rival=186),
    Case(26, rival=295),
    Case(28, rival=317),
    Case(31, rival=342),
    Case(31, rival=345),
    Case(31, rival=351),
    Case(37, rival=410),
    Case(37, rival=412),
    Case(39, rival=430),
    Case(39, rival=438),
    Case(4, rival=50),
    Case(43, rival=482),
    Case(5, rival=55, bound="memory"),
    Case(5, rival=57, bound="memory"),
    Case(95, rival=1054),
)

REDUNDANT = {
    "every_slot_placed": "the exact split places every slot of whatever is proposed",
    "several_nodes": "a node alone was tried before, and joined to nothing it only costs more",
    "devices_of_nodes": "the exact split uses the devices of the nodes, whatever the master counts",
    "devices_within_limit": "the exact split uses no more devices than the limit",
    "slots_on_devices": "the exact split gives each device a window that fits",
    "large_slots_on_devices": "the exact split gives each device a window that fits",
    "memory_within_capacity": "the exact split weighs every window in bytes",
    "fast_enough": "the exact split keeps the limit on the floor case",
    "as_fast_as": "the exact split keeps the limit on the best case",
    "switch_when_needed": "the exact cost of what is proposed has the switch where it is needed",
    "within_budget": "the exact cost of what is proposed is compared with the budget",
}
"""Constraints that only save time, and what else makes sure of them."""


@functools.cache
def expected() -> tuple[tuple[str, Problem, Goal, int | None], ...]:
    """What an exhaustive search finds: name, problem, goal, least score."""
    named = {name: make() for name, make in BY_HAND.items()}
    named |= {str(case): case.problem() for case in CASES}
    return tuple(
        (name, problem, goal, brute_force.optimum(plans, goal))
        for name, problem in named.items()
        for plans in [brute_force.plans(problem)]
        for goal in GOALS
    )


def differs(problem: Problem, goal: Goal, want: int | None) -> bool:
    """Whether the solver, as it is now, answers something else; on a fresh problem."""
    found = minimise(replace(problem), goal, Clock(60))
    got = None if found.candidate is None else found.candidate.score(goal)
    return not found.proven or not got == found.bound == want


def caught() -> bool:
    """Whether some case shows that the solver, as it is now, is wrong."""
    return any(differs(problem, goal, want) for _, problem, goal, want in expected())


def test_the_solver_as_it_is_differs_nowhere() -> None:
    wrong = [
        (name, goal) for name, problem, goal, want in expected() if differs(problem, goal, want)
    ]
    assert not wrong


@pytest.mark.parametrize("name", TIGHTER)
def test_a_bound_five_percent_too_tight_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TIGHTER[name](monkeypatch)
    assert caught()


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_wrong_split_search_or_dominance_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ELSEWHERE[name](monkeypatch)
    assert caught()


def test_every_constraint_has_a_tighter_mutant_and_a_removal() -> None:
    names = {constraint.__name__ for constraint in master.CONSTRAINTS}
    assert {name.split(":")[0] for name in TIGHTER} == names
    assert set(REDUNDANT) | {"machines_within_limit"} == names


def test_removing_the_limit_on_machines_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one constraint that nothing else makes sure of."""
    mutation.without(constraints.machines_within_limit)(monkeypatch)
    assert caught()


@pytest.mark.parametrize("name", REDUNDANT)
def test_removing_a_redundant_constraint_only_costs_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [case for case in expected() if case[1].limits.machines <= 4]
    assert len(small) >= 20
    mutation.without(getattr(constraints, name))(monkeypatch)
    assert not [case[0] for case in small if differs(*case[1:])]


@pytest.mark.parametrize("name", sorted(set(REDUNDANT) | {"machines_within_limit"}))
def test_each_constraint_alone_narrows_the_master(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the first proposal is better somewhere, so the constraint is not dead weight."""
    before = first_proposals()
    mutation.without(getattr(constraints, name))(monkeypatch)
    after = first_proposals()
    for old, new in zip(before, after, strict=True):
        assert new == old or (new is not None and (old is None or new < old))
    assert before != after


def first_proposals() -> list[int | None]:
    """The score of the first multiset that each scenario's master proposes, None for none."""
    scores: list[int | None] = []
    for _, problem, goal, _ in expected():
        for scenario in search._scenarios(problem):
            status, _, score = Master(problem, scenario, goal).solve(60)
            scores.append(score if status == "optimal" else None)
    return scores


@pytest.mark.parametrize(
    ("constraint", "other"),
    [
        (
            constraints.within_budget,
            mutation.seeing(search, "assess", mutation.unlimited("budget")),
        ),
        (
            constraints.fast_enough,
            mutation.seeing(partition, "latency", mutation.unlimited("floor")),
        ),
        (constraints.as_fast_as, mutation.seeing(partition, "latency", mutation.unlimited("best"))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_limit_removed_in_both_places_is_caught(
    constraint: constraints.Constraint, other: mutation.Mutate, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation.without(constraint)(monkeypatch)
    other(monkeypatch)
    assert caught()
