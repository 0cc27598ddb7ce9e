"""The same random problems with a limit moved to where it just allows the best plan.

A bound that is a little too tight only shows on plans that use a limit to the last byte, unit of
money or nanosecond; random limits seldom do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from planner.solver.problem import Joint, Problem
from tests.solver import brute_force
from tests.solver.brute_force import Picks

How = Literal["budget", "floor", "best", "memory"]
HOWS: tuple[How, ...] = get_args(How)


def bound(problem: Problem, how: How) -> Problem:
    """The problem with one limit as low as its cheapest (for the budget: fastest) plan allows.

    Prefers plans of several nodes; a problem without any plan comes back as it is.
    """
    found = brute_force.plans(problem)
    if not found:
        return problem
    goal = "latency" if how == "budget" else "cost"
    plan = min(found, key=lambda plan: (sum(n for _, n in plan.picks) < 2, plan.score(goal)))
    limits = problem.limits
    match how:
        case "budget":
            return replace(problem, limits=replace(limits, budget=plan.cost))
        case "floor":
            return replace(problem, limits=replace(limits, floor=plan.floor))
        case "best":
            return replace(problem, limits=replace(limits, best=plan.best))
        case "memory":
            spare = _spare(problem, plan.picks)
            kinds = tuple(replace(kind, capacity=kind.capacity - spare) for kind in problem.kinds)
            return replace(problem, kinds=kinds)


def _spare(problem: Problem, picks: Picks) -> int:
    """Most free bytes that a split of `picks` leaves on its tightest device, over all joints."""
    joints: list[Joint | None] = [
        joint for taken, joint in brute_force.clusters(problem) if taken == picks
    ]
    return max(
        split.headroom for joint in joints for split in brute_force.splits(problem, picks, joint)
    )
