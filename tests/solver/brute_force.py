"""The best plan of a small problem by trying every one; shares no function with the solver.

Reads the fields of a `Problem` and works out need, cost, time and mode again from the words of the
design. Every node multiset, every order of its nodes, every choice of idle devices, every cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from planner.solver.problem import Joint, Kind, Option, Problem

Picks = tuple[tuple[int, int], ...]
"""(option, count), ordered by option."""


class Held(NamedTuple):
    """One device of a split: its option, its node's place in the pipeline, slots [first, stop)."""

    option: int
    node: int
    first: int
    stop: int


class Split(NamedTuple):
    """One way to place all slots within memory and speed limits."""

    devices: tuple[Held, ...]
    best: int
    floor: int
    headroom: int


class Plan(NamedTuple):
    """A node multiset that works, with the least of either time over its splits."""

    picks: Picks
    cost: int
    best: int
    floor: int

    def score(self, goal: str) -> int:
        """What `goal` minimises."""
        value = self.cost * self.best
        return {"cost": self.cost, "latency": self.best, "floor": self.floor, "value": value}[goal]


def memory(problem: Problem, kind: Kind, first: int, stop: int, mode: str) -> int:
    """Bytes of slots [first, stop) on one device."""
    padding = problem.padding[stop] - problem.padding[first] if kind.padded else 0
    head = kind.head_bytes[mode] if first == 0 else 0  # type: ignore[index]
    return problem.need_bytes(first, stop, mode) + padding + head  # type: ignore[arg-type]


def clusters(problem: Problem) -> Iterator[tuple[Picks, Joint | None]]:
    """Every node multiset that may be bought, with every way to join it; money aside."""
    limits, options = problem.limits, problem.options
    for index, option in enumerate(options):
        if option.stock >= 1 and option.machines <= limits.machines:
            yield ((index, 1),), None
    counts = [range(min(o.stock, limits.machines // o.machines) + 1) for o in options]
    for joint, taken in itertools.product(problem.joints, itertools.product(*counts)):
        picks = tuple((index, count) for index, count in enumerate(taken) if count)
        used = [options[index] for index, _ in picks]
        machines = sum(options[index].machines * count for index, count in picks)
        if sum(taken) < 2 or machines > min(limits.machines, max(joint.ports, joint.direct)):
            continue
        if any(joint.name not in option.networks for option in used):
            continue
        if not limits.mixed_families and len({option.family for option in used}) > 1:
            continue
        yield picks, joint


def price(problem: Problem, picks: Picks, joint: Joint | None) -> int:
    """Money units of nodes, adapters, cables and switch."""
    total = machines = 0
    for index, count in picks:
        option = problem.options[index]
        machines += option.machines * count
        total += option.price * count
        if joint is not None:
            total += dict(zip(option.networks, option.adapters, strict=True))[joint.name] * count
    if joint is not None and machines > joint.direct:
        total += joint.switch
    return total


def splits(
    problem: Problem,
    picks: Picks,
    joint: Joint | None,
    hopeless: Callable[[int, int], bool] = lambda _best, _floor: False,
) -> Iterator[Split]:
    """Every split of all slots over all usable devices; a `hopeless` start of one is left."""
    options = problem.options
    bought = sum(options[index].gpus * count for index, count in picks)
    usable = min(bought, problem.limits.devices)
    machines = sum(options[index].machines * count for index, count in picks)
    if usable == 1:
        mode = "single"
    else:
        mode = "pipelined" if machines == 1 or problem.rpc_pipelines else "serial"

    largest = max(problem.kinds[options[index].kind].capacity for index, _ in picks)

    def devices_after(held: tuple[Held, ...], waiting: Picks) -> Iterator[tuple[Held, Picks, bool]]:
        """The next device without its end: the same node's next one, or the first of a new node."""
        position = held[-1].stop if held else 0
        if held:
            last = held[-1]
            if sum(one.node == last.node for one in held) < options[last.option].gpus:
                yield Held(last.option, last.node, position, 0), waiting, False
        for index, _ in waiting:
            left = tuple((i, c - (i == index)) for i, c in waiting if c - (i == index))
            node = held[-1].node + 1 if held else 0
            yield Held(index, node, position, 0), left, bool(held)

    def extend(
        held: tuple[Held, ...], waiting: Picks, best: int, floor: int, headroom: int
    ) -> Iterator[Split]:
        if len(held) == usable:
            if not waiting and held[-1].stop == problem.slots:
                yield Split(held, best, floor, headroom)
            return
        for device, left, joined in devices_after(held, waiting):
            hop_best, hop_floor = _hop(options[device.option], joint, bool(held), joined)
            kind = problem.kinds[options[device.option].kind]
            later = usable - len(held) - 1  # each of them holds a slot
            for stop in range(device.first + 1, problem.slots - later + 1):
                free = kind.capacity - memory(problem, kind, device.first, stop, mode)
                fast = best + hop_best + _time(kind.best, device.first, stop)
                slow = floor + hop_floor + _time(kind.floor, device.first, stop)
                if free < 0 or sum(problem.sizes[stop:]) > later * largest:
                    continue
                if _too_slow(problem, fast, slow) or hopeless(fast, slow):
                    continue
                now = (*held, device._replace(stop=stop))
                yield from extend(now, left, fast, slow, min(headroom, free))

    yield from extend((), picks, 0, 0, 2**62)


def _hop(option: Option, joint: Joint | None, any_before: bool, joined: bool) -> tuple[int, int]:
    if not any_before:
        return 0, 0
    if joined:
        assert joint is not None
        return joint.best, joint.floor
    return option.inner_best, option.inner_floor


def _time(cumulative: tuple[int, ...], first: int, stop: int) -> int:
    return sum(cumulative[slot + 1] - cumulative[slot] for slot in range(first, stop))


def _too_slow(problem: Problem, best: int, floor: int) -> bool:
    """Times only grow along a pipeline, so a part that is too slow stays too slow."""
    limits = problem.limits
    return (limits.floor is not None and floor > limits.floor) or (
        limits.best is not None and best > limits.best
    )


def fastest(problem: Problem, picks: Picks, joint: Joint | None) -> tuple[int, int] | None:
    """Least best-case and least floor-case nanoseconds, or None where no split is allowed."""
    best = floor = 2**62

    def hopeless(fast: int, slow: int) -> bool:
        return fast >= best and slow >= floor

    for split in splits(problem, picks, joint, hopeless):
        best, floor = min(best, split.best), min(floor, split.floor)
    return None if best == 2**62 else (best, floor)


def plans(problem: Problem) -> list[Plan]:
    """Every affordable multiset that works, at its fastest."""
    found = []
    for picks, joint in clusters(problem):
        cost = price(problem, picks, joint)
        if problem.limits.budget is not None and cost > problem.limits.budget:
            continue
        times = fastest(problem, picks, joint)
        if times is not None:
            found.append(Plan(picks, cost, *times))
    return found


def optimum(found: list[Plan], goal: str) -> int | None:
    """The least score of any plan."""
    return min((plan.score(goal) for plan in found), default=None)


def only_mixed(found: list[Plan], goal: str) -> bool:
    """Whether there is a best plan, and each best plan has nodes of more than one type."""
    return bool(found) and all(len(plan.picks) > 1 for plan in _best(found, goal))


def only_joined(found: list[Plan], goal: str) -> bool:
    """Whether there is a best plan, and each best plan has more than one node."""
    return bool(found) and all(
        sum(count for _, count in plan.picks) > 1 for plan in _best(found, goal)
    )


def _best(found: list[Plan], goal: str) -> list[Plan]:
    least = optimum(found, goal)
    return [plan for plan in found if plan.score(goal) == least]
