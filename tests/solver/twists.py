"""Random problems with a twist, for mistakes that plain ones seldom show.

A bound that is a little too tight shows on plans that use a limit to the last byte, unit of money
or nanosecond; a wrong dominance between nodes shows where two nodes differ in one thing only.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Literal, get_args

from planner.solver.problem import Joint, Kind, Option, Problem
from tests.solver import brute_force, instances
from tests.solver.brute_force import Picks
from tests.solver.instances import MIB, PLENTY

How = Literal["budget", "floor", "best", "memory"]
HOWS: tuple[How, ...] = get_args(How)


def twisted(seed: int) -> Problem:
    """Problem `seed`: half are plain, a quarter have a rival, a quarter a binding limit."""
    problem = instances.draw(seed)
    if seed % 4 == 2:
        twist = with_rival if seed % 8 == 2 else with_rival_joint
        return twist(problem, seed // 8)
    return bound(problem, HOWS[seed // 4 % len(HOWS)]) if seed % 4 == 3 else problem


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


def with_rival(problem: Problem, seed: int) -> Problem:
    """One more node: the first one at about its price, with one thing changed, or nothing."""
    random = Random(seed)
    first, kind = problem.options[0], problem.kinds[problem.options[0].kind]
    price = int(first.price * random.choice((0.97, 0.97, 1, 1.03)))
    rival = replace(first, name="rival", price=price, kind=len(problem.kinds))
    changed, kind = _changed(random, rival, kind, seed)
    options = (*problem.options[: seed % 3], changed)
    return replace(
        problem,
        kinds=(*problem.kinds, replace(kind, gpu="rival")),
        options=options if len(options) > 1 else (first, changed),
    )


def _changed(random: Random, rival: Option, kind: Kind, seed: int) -> tuple[Option, Kind]:
    more = random.choice((0.8, 1.25))
    match seed % 11:
        case 0:
            return replace(rival, stock=random.choice((1, 2, PLENTY))), kind
        case 1:
            return replace(rival, adapters=tuple(rival.price // 25 for _ in rival.adapters)), kind
        case 2:
            return replace(rival, gpus=random.choice((1, 2, 3))), kind
        case 3:
            return replace(rival, machines=3 - rival.machines), kind
        case 4:
            return replace(rival, inner_best=int(rival.inner_best * more)), kind
        case 5:
            return replace(rival, inner_floor=int(rival.inner_floor * more)), kind
        case 6:
            return rival, replace(kind, capacity=int(kind.capacity * more))
        case 7:
            return rival, replace(kind, padded=not kind.padded)
        case 8:
            head = 0 if kind.head_bytes["single"] else 400 * MIB
            return rival, replace(kind, head_bytes=dict.fromkeys(kind.head_bytes, head))
        case 9:
            if seed // 11 % 2:
                return rival, replace(kind, floor=tuple(time * 5 // 4 for time in kind.floor))
            return rival, replace(kind, best=tuple(time * 4 // 5 for time in kind.best))
        case _:
            return rival, kind


def with_rival_joint(problem: Problem, seed: int) -> Problem:
    """Two networks for all nodes, the second with one thing worse and its hops a bit shorter."""
    first = replace(problem.joints[0], direct=max(problem.joints[0].direct, 2))
    first = replace(first, ports=max(first.ports, first.direct + 1))
    rival = replace(first, name="rival", best=first.best * 9 // 10, floor=first.floor * 9 // 10)
    dearer = 0
    match seed % 6:
        case 0:
            rival = replace(rival, best=first.best * 6 // 5)
        case 1:
            rival = replace(rival, floor=first.floor * 6 // 5)
        case 2:
            rival = replace(rival, switch=first.switch + problem.options[0].price // 20)
        case 3:
            rival = replace(rival, direct=first.direct - 1)
        case 4:
            rival = replace(rival, ports=first.direct)
        case _:
            dearer = problem.options[0].price // 20
    return replace(
        problem,
        joints=(first, rival) if seed // 6 % 2 else (rival, first),
        options=tuple(
            replace(option, networks=(first.name, rival.name), adapters=(10, 10 + dearer))
            for option in problem.options
        ),
    )
