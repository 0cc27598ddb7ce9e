"""The exact split of the slots over a given node multiset: fits or not, how fast, how balanced.

Every device taken (all that were bought, up to the engine's limit) gets at least one slot, slots
stay in order, and the devices of one node are neighbours. Labels are (best, floor) nanoseconds;
where both cases agree there is one label per position. Exact: `tests/solver` compares it with an
exhaustive enumeration that shares no code with it.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from planner.solver.problem import Joint, Mode, Picks, Problem


class Assignment(NamedTuple):
    """One device and its slots [first, stop)."""

    option: int
    node: int
    """Which node of the cluster, from 0, in pipeline order."""
    first: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A split of all slots over a multiset."""

    devices: tuple[Assignment, ...]
    best: int
    floor: int
    headroom: int
    """Free bytes of the tightest device."""


class _Label(NamedTuple):
    best: int
    floor: int
    position: int
    device: Assignment | None
    before: _Label | None


def place(problem: Problem, picks: Picks, joint: Joint | None) -> Placement | None:
    """The fastest split within the limits, and of the fastest the most balanced; None if none."""
    if _uniform(problem, picks):
        times = _uniform_latency(problem, picks, joint)
        return None if times is None else _balance_uniform(problem, picks, times, least=0)
    fastest = _search(problem, picks, joint, spare=0)
    return None if fastest is None else _balance_mixed(problem, picks, joint, fastest)


def most_balanced(problem: Problem, picks: Picks, joint: Joint | None) -> Placement | None:
    """The split with most headroom on its tightest device, negative where none fits.

    For a cluster somebody names: limits on speed are not asked. None where there are more devices
    than slots.
    """
    used = devices_used(problem, picks)
    if used > problem.slots:
        return None
    kinds = [problem.kinds[problem.options[pick.option].kind] for pick in picks]
    mode = _mode(problem, picks)
    least = -problem.need(kinds[0], 0, problem.slots, mode)
    if _uniform(problem, picks):
        option = problem.options[picks[0].option]
        nodes = sum(pick.nodes for pick in picks)
        hops = (used - nodes) * option.inner_best + (nodes - 1) * (joint.best if joint else 0)
        slow = (used - nodes) * option.inner_floor + (nodes - 1) * (joint.floor if joint else 0)
        times = kinds[0].best[-1] + hops, kinds[0].floor[-1] + slow
        return _balance_uniform(problem, picks, times, least=least)
    high = max(kind.capacity for kind in kinds)
    chosen: Placement | None = None
    while high - least > 2**20:
        middle = (least + high) // 2
        trial = _search(problem, picks, joint, spare=middle)
        if trial is None:
            high = middle
            continue
        devices = _trail(trial)
        least = _headroom(problem, devices, mode)
        chosen = Placement(devices=devices, best=trial.best, floor=trial.floor, headroom=least)
    return chosen


def latency(
    problem: Problem, picks: Picks, joint: Joint | None, *, by_floor: bool = False
) -> tuple[int, int] | None:
    """(best, floor) nanoseconds per token of the fastest split within the limits, or None.

    Fastest in the best case, or in the floor case if `by_floor`.
    """
    if _uniform(problem, picks):
        return _uniform_latency(problem, picks, joint)
    found = _search(problem, picks, joint, spare=0, by_floor=by_floor)
    return None if found is None else (found.best, found.floor)


def reaches(problem: Problem, picks: Picks) -> bool:
    """Whether some subset of the devices holds all slots, by memory alone."""
    if _single_fits(problem, picks):
        return True
    mode = _mode(problem, picks)
    options = [problem.options[pick.option] for pick in picks]
    tables = [problem.windows(option.kind, mode) for option in options]
    limit = problem.limits.devices
    most = [
        min(pick.nodes * option.gpus, limit) for pick, option in zip(picks, options, strict=True)
    ]
    far: dict[tuple[int, ...], int] = {(0,) * len(picks): 0}
    for used in _by_total(most, limit):
        position = far.get(used)
        if position is None:
            continue
        for index, table in enumerate(tables):
            if used[index] == most[index] or sum(used) == limit:
                continue
            if table.tail[position]:
                return True
            after = (*used[:index], used[index] + 1, *used[index + 1 :])
            far[after] = max(far.get(after, 0), table.furthest[position])
    return False


def _by_total(most: list[int], limit: int) -> Iterator[tuple[int, ...]]:
    every = itertools.product(*(range(count + 1) for count in most))
    return iter(sorted((u for u in every if sum(u) <= limit), key=lambda u: (sum(u), u)))


def _single_fits(problem: Problem, picks: Picks) -> bool:
    return any(
        problem.windows(problem.options[pick.option].kind, "single").tail[0] for pick in picks
    )


def _mode(problem: Problem, picks: Picks) -> Mode:
    machines = sum(pick.nodes * problem.options[pick.option].machines for pick in picks)
    return problem.mode(devices_used(problem, picks), machines)


def devices_used(problem: Problem, picks: Picks) -> int:
    """Devices that take part: all that are bought, up to the engine's limit."""
    bought = sum(pick.nodes * problem.options[pick.option].gpus for pick in picks)
    return min(bought, problem.limits.devices)


def _uniform(problem: Problem, picks: Picks) -> bool:
    """Whether all devices and the hops inside nodes are alike, so that any split is as fast."""
    options = [problem.options[pick.option] for pick in picks]
    return len({(o.kind, o.inner_best, o.inner_floor) for o in options}) == 1


def _uniform_latency(problem: Problem, picks: Picks, joint: Joint | None) -> tuple[int, int] | None:
    option = problem.options[picks[0].option]
    kind, mode = problem.kinds[option.kind], _mode(problem, picks)
    nodes, used = sum(pick.nodes for pick in picks), devices_used(problem, picks)
    if not nodes <= used <= problem.slots:
        return None
    best = kind.best[-1] + (used - nodes) * option.inner_best
    floor = kind.floor[-1] + (used - nodes) * option.inner_floor
    if joint is not None:
        best += (nodes - 1) * joint.best
        floor += (nodes - 1) * joint.floor
    limits = problem.limits
    if (limits.floor is not None and floor > limits.floor) or (
        limits.best is not None and best > limits.best
    ):
        return None
    table = problem.windows(option.kind, mode)
    reachable = 1  # bit i: the devices so far can end at slot i
    for _ in range(used - 1):
        ahead = 0
        for first, end in enumerate(table.furthest):
            if reachable >> first & 1 and end > first:
                ahead |= (1 << end + 1) - (1 << first + 1)
        reachable = ahead
    fits = any(reachable >> first & 1 and ok for first, ok in enumerate(table.tail))
    return (best, floor) if fits else None


def _search(
    problem: Problem, picks: Picks, joint: Joint | None, *, spare: int, by_floor: bool = False
) -> _Label | None:
    """The fastest label that places every slot, leaves `spare` bytes and keeps the limits."""
    used = devices_used(problem, picks)
    if sum(pick.nodes for pick in picks) > used or used > problem.slots:
        return None
    counts = tuple(pick.nodes for pick in picks)
    start: dict[int, list[_Label]] = {0: [_Label(0, 0, 0, None, None)]}
    states: dict[tuple[tuple[int, ...], int], dict[int, list[_Label]]] = {
        ((0,) * len(picks), 0): start
    }
    walker = _Walker(problem, picks, joint, spare, used)
    for taken in _by_total(list(counts), sum(counts)):
        for done in range(used + 1):
            labels = states.pop((taken, done), None)
            if labels is None:
                continue
            if taken == counts and done == used:
                order = operator.itemgetter(*((1, 0) if by_floor else (0, 1)))
                return min(labels.get(problem.slots, []), key=order, default=None)
            for index, pick in enumerate(picks):
                if taken[index] < pick.nodes:
                    after = (*taken[:index], taken[index] + 1, *taken[index + 1 :])
                    left = sum(counts) - sum(after)
                    walker.node(states, labels, index, after, done, left)
    return None


class _Walker:
    """Extends label tables by one node; holds what stays the same during one search."""

    def __init__(
        self, problem: Problem, picks: Picks, joint: Joint | None, spare: int, used: int
    ) -> None:
        mode = _mode(problem, picks)
        self.problem, self.picks, self.joint, self.used = problem, picks, joint, used
        self.tables = [
            problem.windows(problem.options[pick.option].kind, mode, spare) for pick in picks
        ]

    def node(
        self,
        states: dict[tuple[tuple[int, ...], int], dict[int, list[_Label]]],
        labels: dict[int, list[_Label]],
        index: int,
        after: tuple[int, ...],
        done: int,
        left: int,
    ) -> None:
        """Puts the next node of pick `index` behind `labels`, using as many devices as allowed."""
        option = self.problem.options[self.picks[index].option]
        later = sum(
            (pick.nodes - taken) * self.problem.options[pick.option].gpus
            for pick, taken in zip(self.picks, after, strict=True)
        )
        number = sum(after) - 1
        for position in range(option.gpus):
            total = done + position + 1
            if total > self.used:
                return
            first = position == 0
            hop = (
                ((self.joint.best, self.joint.floor) if self.joint else (0, 0))
                if first
                else (option.inner_best, option.inner_floor)
            )
            hop = (0, 0) if done == 0 and first else hop
            final = total == self.used and left == 0
            labels = self._device(labels, index, number, hop, final)
            if not labels:
                return
            if left <= self.used - total <= later:
                _merge(states.setdefault((after, total), {}), labels)

    def _device(
        self,
        labels: dict[int, list[_Label]],
        index: int,
        number: int,
        hop: tuple[int, int],
        final: bool,
    ) -> dict[int, list[_Label]]:
        problem, table = self.problem, self.tables[index]
        option_index = self.picks[index].option
        kind = problem.kinds[problem.options[option_index].kind]
        best, floor, limits = kind.best, kind.floor, problem.limits
        out: dict[int, list[_Label]] = {}
        for position, here in labels.items():
            if final:
                stops: range | tuple[int, ...] = (problem.slots,) if table.tail[position] else ()
            else:
                stops = range(position + 1, table.furthest[position] + 1)
            for stop in stops:
                for label in here:
                    added = label.best + hop[0] + best[stop] - best[position]
                    slow = label.floor + hop[1] + floor[stop] - floor[position]
                    if limits.floor is not None and slow > limits.floor:
                        continue
                    if limits.best is not None and added > limits.best:
                        continue
                    device = Assignment(option_index, number, position, stop)
                    _insert(out.setdefault(stop, []), _Label(added, slow, stop, device, label))
        return out


def _insert(labels: list[_Label], new: _Label) -> None:
    """Adds `new` unless one is at least as good in both cases; drops what it beats."""
    for label in labels:
        if label.best <= new.best and label.floor <= new.floor:
            return
    labels[:] = [x for x in labels if not (new.best <= x.best and new.floor <= x.floor)]
    labels.append(new)


def _merge(into: dict[int, list[_Label]], labels: dict[int, list[_Label]]) -> None:
    for position, here in labels.items():
        there = into.setdefault(position, [])
        for label in here:
            _insert(there, label)


def _trail(label: _Label) -> tuple[Assignment, ...]:
    devices: list[Assignment] = []
    step: _Label | None = label
    while step is not None and step.device is not None:
        devices.append(step.device)
        step = step.before
    return tuple(reversed(devices))


def _headroom(problem: Problem, devices: tuple[Assignment, ...], mode: Mode) -> int:
    kinds = (problem.kinds[problem.options[d.option].kind] for d in devices)
    return min(
        kind.capacity - problem.need(kind, device.first, device.stop, mode)
        for kind, device in zip(kinds, devices, strict=True)
    )


def _balance_mixed(
    problem: Problem, picks: Picks, joint: Joint | None, fastest: _Label
) -> Placement:
    """Most headroom of the tightest device at the fastest label's best time, by bisection."""
    mode = _mode(problem, picks)
    devices = _trail(fastest)
    chosen, low = fastest, _headroom(problem, devices, mode)
    high = max(problem.kinds[problem.options[p.option].kind].capacity for p in picks)
    while high - low > 2**20:
        middle = (low + high) // 2
        trial = _search(problem, picks, joint, spare=middle)
        if trial is not None and trial.best == fastest.best:
            chosen, devices = trial, _trail(trial)
            low = _headroom(problem, devices, mode)
        else:
            high = middle
    return Placement(devices=devices, best=chosen.best, floor=chosen.floor, headroom=low)


def _balance_uniform(
    problem: Problem, picks: Picks, times: tuple[int, int], *, least: int
) -> Placement:
    """Most headroom of the tightest device; all splits are equally fast, so only memory counts.

    Room after i devices at slot b: max over a of min(room after i-1 at a, capacity - need(a, b)).
    Splits that leave a device less than `least` bytes are not looked at.
    """
    mode = _mode(problem, picks)
    kind = problem.kinds[problem.options[picks[0].option].kind]
    owners = _owners(problem, picks)
    slots = problem.slots
    room: dict[int, tuple[int, tuple[int, ...]]] = {0: (kind.capacity, ())}
    for device in range(len(owners)):
        later = len(owners) - device - 1
        ahead: dict[int, tuple[int, tuple[int, ...]]] = {}
        for first, (before, cuts) in room.items():
            for stop in range(first + 1, slots - later + 1) if later else (slots,):
                free = kind.capacity - problem.need(kind, first, stop, mode)
                if free < least:
                    break
                new = min(before, free)
                if stop not in ahead or new > ahead[stop][0]:
                    ahead[stop] = (new, (*cuts, stop))
        room = ahead
    headroom, cuts = room[slots]
    devices = tuple(
        Assignment(option, node, first, stop)
        for (option, node), first, stop in zip(owners, (0, *cuts), cuts, strict=False)
    )
    return Placement(devices=devices, best=times[0], floor=times[1], headroom=headroom)


def _owners(problem: Problem, picks: Picks) -> list[tuple[int, int]]:
    """(option, node number) of every device that takes part; the last nodes idle theirs first."""
    nodes = [
        [pick.option, problem.options[pick.option].gpus]
        for pick in picks
        for _ in range(pick.nodes)
    ]
    surplus = sum(gpus for _, gpus in nodes) - devices_used(problem, picks)
    for node in reversed(nodes):
        idle = min(surplus, node[1] - 1)
        node[1] -= idle
        surplus -= idle
    return [(option, number) for number, (option, gpus) in enumerate(nodes) for _ in range(gpus)]
