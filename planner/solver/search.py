"""Best-first search over scenarios with a certificate.

Single nodes are decided exactly and in closed form. Every way to join several nodes is a scenario
with a cheap lower bound; scenarios are opened in order of their bounds, their master (`master`)
proposes a multiset, `partition` says what it really does, and cuts come back. The least bound of
what is left open is the proof; when it reaches the best plan found, that plan is optimal.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from planner.solver import partition
from planner.solver.problem import Goal, Joint, Option, Pick, Picks, Problem

if TYPE_CHECKING:
    from planner.solver.constraints import Scenario

ROUND = 0.01
"""Deterministic seconds counted for each round of a master: stating it and checking its answer."""

Progress = Callable[[str], None]


@dataclass(slots=True)
class Clock:
    """Deterministic seconds left; the same on every machine."""

    left: float
    spent: float = 0.0

    def take(self, seconds: float) -> None:
        """Counts `seconds` as spent."""
        self.spent += seconds
        self.left -= seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A node multiset that works, with its exact cost and speed."""

    picks: Picks
    joint: Joint | None
    cost: int
    best: int
    floor: int

    def score(self, goal: Goal) -> int:
        """The number `goal` minimises."""
        return {
            "cost": self.cost,
            "latency": self.best,
            "floor": self.floor,
            "value": self.cost * self.best,
        }[goal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best candidate and a proven lower bound on any other's score."""

    candidate: Candidate | None
    bound: int | None
    """None where nothing is proved; equal to the score where the candidate is optimal."""
    proven: bool


@dataclass(slots=True)
class _Search:
    problem: Problem
    goal: Goal
    clock: Clock
    incumbent: Candidate | None = None
    heap: list[tuple[int, int, Scenario]] = field(default_factory=list)

    @property
    def score(self) -> int | None:
        return None if self.incumbent is None else self.incumbent.score(self.goal)

    def offer(self, candidate: Candidate | None) -> None:
        """Keeps `candidate` if it is strictly better."""
        if candidate is not None and (
            self.score is None or candidate.score(self.goal) < self.score
        ):
            self.incumbent = candidate


def minimise(problem: Problem, goal: Goal, clock: Clock, start: Candidate | None = None) -> Found:
    """The plan with the least cost, latency or cost x latency, and the proof.

    `start` is a plan known to work, returned where none is strictly better.
    """
    search = _Search(problem, goal, clock, start)
    _single_nodes(search)
    for number, scenario in enumerate(_scenarios(problem)):
        bound = _bound(problem, goal, scenario)
        if bound is not None:
            heapq.heappush(search.heap, (bound, number, scenario))
    while search.heap:
        bound, _, scenario = search.heap[0]
        if search.score is not None and bound >= search.score:
            break
        if clock.left <= 0:
            return Found(candidate=search.incumbent, bound=bound, proven=False)
        heapq.heappop(search.heap)
        reached = _open(search, scenario, bound)
        if reached is not None:
            return Found(candidate=search.incumbent, bound=min(reached, bound), proven=False)
    return Found(candidate=search.incumbent, bound=search.score, proven=True)


def assess(
    problem: Problem, picks: Picks, joint: Joint | None, goal: Goal = "latency"
) -> Candidate | None:
    """The exact cost and speed of a multiset, or None where it breaks a limit."""
    cost = cost_of(problem.options, picks, joint)
    if problem.limits.budget is not None and cost > problem.limits.budget:
        return None
    times = partition.latency(problem, picks, joint, by_floor=goal == "floor")
    if times is None:
        return None
    return Candidate(picks=picks, joint=joint, cost=cost, best=times[0], floor=times[1])


def cost_of(options: Sequence[Option], picks: Picks, joint: Joint | None) -> int:
    """Money units of the nodes, and of joining them."""
    cost = sum(options[pick.option].price * pick.nodes for pick in picks)
    if joint is None:
        return cost
    cost += sum(options[pick.option].join_cost(joint.name) * pick.nodes for pick in picks)
    machines = sum(options[pick.option].machines * pick.nodes for pick in picks)
    return cost + (joint.switch if machines > joint.direct else 0)


def _single_nodes(search: _Search) -> None:
    """Tries every node alone, most promising first: the first that works is the best of them."""
    problem = search.problem
    ranked: list[tuple[int, int]] = []
    for index, option in enumerate(problem.options):
        if option.stock >= 1 and option.machines <= problem.limits.machines:
            used = min(option.gpus, problem.limits.devices)
            kind = problem.kinds[option.kind]
            candidate = Candidate(
                picks=(Pick(index, 1),),
                joint=None,
                cost=option.price,
                best=kind.best[-1] + (used - 1) * option.inner_best,
                floor=kind.floor[-1] + (used - 1) * option.inner_floor,
            )
            ranked.append((candidate.score(search.goal), index))
    for score, index in sorted(ranked):
        if search.score is not None and score >= search.score:
            return
        search.offer(assess(problem, (Pick(index, 1),), None, search.goal))


def _scenarios(problem: Problem) -> list[Scenario]:
    """Every way to join at least two nodes, by network and device family; the dearer ways left out.

    Within a scenario, options that another one beats are left out too.
    """
    from planner.solver.constraints import Scenario

    families = sorted({option.family for option in problem.options})
    unions = [set(families)] if problem.limits.mixed_families else [{f} for f in families]
    ways = [
        (
            joint,
            tuple(
                index
                for index, option in enumerate(problem.options)
                if option.family in union
                and joint.name in option.networks
                and option.stock
                and option.machines < problem.limits.machines
            ),
        )
        for joint in problem.joints
        for union in unions
    ]
    return [
        Scenario(joint=joint, options=_undominated(problem, joint, options))
        for number, (joint, options) in enumerate(ways)
        if options
        and not any(
            _replaces(problem, way, (joint, options))
            and (other < number or not _replaces(problem, (joint, options), way))
            for other, way in enumerate(ways)
            if other != number
        )
    ]


Way = tuple[Joint, tuple[int, ...]]


def _replaces(problem: Problem, a: Way, b: Way) -> bool:
    """Whether every cluster of way `b` can be joined by way `a`, no dearer and no slower."""
    one, two = a[0], b[0]
    return (
        set(b[1]) <= set(a[1])
        and one.best <= two.best
        and one.floor <= two.floor
        and one.switch <= two.switch
        and one.direct >= two.direct
        and _most_machines(problem, one) >= _most_machines(problem, two)
        and all(
            problem.options[i].join_cost(one.name) <= problem.options[i].join_cost(two.name)
            for i in b[1]
        )
    )


def _most_machines(problem: Problem, joint: Joint) -> int:
    return min(max(joint.ports, joint.direct), problem.limits.machines)


def _undominated(problem: Problem, joint: Joint, options: tuple[int, ...]) -> tuple[int, ...]:
    """Options no other one beats or equals in every respect that counts in this scenario."""
    return tuple(
        index
        for index in options
        if not any(_beats(problem, joint, other, index) for other in options if other != index)
    )


def _beats(problem: Problem, joint: Joint, a: int, b: int) -> bool:
    """Whether `a` may stand for `b` in every plan; of two that may, the first by name does."""
    return _no_worse(problem, joint, a, b) and (a < b or not _no_worse(problem, joint, b, a))


def _no_worse(problem: Problem, joint: Joint, a: int, b: int) -> bool:
    """Whether any node `b` of any plan can be replaced by `a` without making anything worse."""
    one, two = problem.options[a], problem.options[b]
    first, second = problem.kinds[one.kind], problem.kinds[two.kind]
    return (
        one.gpus == two.gpus
        and one.machines <= two.machines
        and one.price + one.join_cost(joint.name) <= two.price + two.join_cost(joint.name)
        and one.stock * one.machines >= problem.limits.machines
        and all(
            first.capacity - first.head_bytes[mode] >= second.capacity - more
            for mode, more in second.head_bytes.items()
        )
        and first.capacity >= second.capacity
        and first.padded <= second.padded
        and one.inner_best <= two.inner_best
        and one.inner_floor <= two.inner_floor
        and _no_slower(first.best, second.best)
        and _no_slower(first.floor, second.floor)
    )


def _no_slower(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether no slot takes longer on the device with running sums `a`."""
    return bool((np.diff(a) <= np.diff(b)).all())


def _bound(problem: Problem, goal: Goal, scenario: Scenario) -> int | None:
    """What no plan of a scenario can beat, from fractions: memory per money, fastest device.

    None where that alone breaks a limit.
    """
    joint = scenario.joint
    options = [problem.options[index] for index in scenario.options]
    total = sum(problem.sizes)
    prices = [(o, o.price + o.join_cost(joint.name)) for o in options]
    roomy = [
        (price, o.gpus * problem.kinds[o.kind].capacity)
        for o, price in prices
        if problem.kinds[o.kind].capacity > 0
    ]
    if not roomy:
        return None
    cost = max(
        min(price * total // room for price, room in roomy),
        2 * min(price for price, _ in roomy),
    )
    kinds = [problem.kinds[kind] for kind in sorted({o.kind for o in options})]
    time = fastest_of([kind.best for kind in kinds]) + joint.best
    slow = fastest_of([kind.floor for kind in kinds]) + joint.floor
    limits = problem.limits
    for least, most in ((cost, limits.budget), (time, limits.best), (slow, limits.floor)):
        if most is not None and least > most:
            return None
    return {"cost": cost, "latency": time, "floor": slow, "value": cost * time}[goal]


def fastest_of(lines: Sequence[tuple[int, ...]]) -> int:
    """Sum over slots of the least time any device takes; lines are running sums per device."""
    return int(np.diff(np.array(lines, dtype=np.int64), axis=1).min(axis=0).sum())


def _open(search: _Search, scenario: Scenario, bound: int) -> int | None:
    """Solves one scenario to its end; returns a bound only where time ran out."""
    from planner.solver.master import Master

    problem, goal, clock = search.problem, search.goal, search.clock
    master = Master(problem, _affordable(search, scenario), goal)
    if search.score is not None:
        master.below(search.score)
    while True:
        spent = master.deterministic_time
        status, picks, score = master.solve(clock.left)
        clock.take(master.deterministic_time - spent + ROUND)
        if status == "none":
            return None
        if status == "unknown":
            return max(score, bound)
        candidate = assess(problem, picks, scenario.joint, goal)
        if candidate is not None:
            search.offer(candidate)
            if candidate.score(goal) <= score:
                return None
            assert search.score is not None
            master.below(search.score)
        alone = candidate is not None or partition.reaches(problem, picks)
        master.exclude(picks, subsets=not alone)
        if clock.left <= 0:
            return max(score, bound)


def _affordable(search: _Search, scenario: Scenario) -> Scenario:
    """The scenario without the options that cannot be in a cheap enough cluster of two nodes."""
    problem, joint = search.problem, scenario.joint
    most = problem.limits.budget
    if search.goal == "cost" and search.score is not None:
        most = search.score - 1
    if most is None:
        return scenario
    prices = {
        index: problem.options[index].price + problem.options[index].join_cost(joint.name)
        for index in scenario.options
    }
    least = min(prices.values())
    kept = tuple(index for index in scenario.options if prices[index] + least <= most)
    return replace(scenario, options=kept)
