"""The exact split of the slots over a given node multiset: fits or not, how fast, how balanced.

Every device taken (all that were bought, up to the engine's limit) gets at least one slot, slots
stay in order, and the devices of one node are neighbours. Exact: `tests/solver` compares it with
an exhaustive enumeration that shares no code with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.solver.labels import BothCases, Labels
from planner.solver.problem import NEVER, Joint, Mode, Picks, Problem
from planner.solver.walk import Assignment, Fastest, OneCase, Path, Walk, by_total, path_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A split of all slots over a multiset."""

    devices: tuple[Assignment, ...]
    best: int
    floor: int
    headroom: int
    """Free bytes of the tightest device."""


def place(problem: Problem, picks: Picks, joint: Joint | None) -> Placement | None:
    """The fastest split within the limits, and of the fastest the most balanced; None if none."""
    if _uniform(problem, picks):
        times = _uniform_latency(problem, picks, joint)
        if times is None:
            return None
        owners = _owners(problem, picks)
        return _balance(problem, owners, _mode(problem, picks), joint, least=0)
    fastest = _search(problem, picks, joint, spare=0)
    return None if fastest is None else _balance_mixed(problem, picks, joint, fastest)


def most_balanced(problem: Problem, picks: Picks, joint: Joint | None) -> Placement | None:
    """The split with most headroom on its tightest device, negative where none fits.

    For a cluster somebody names: nodes stay in the order of `picks`, and limits on speed are not
    asked. None where there are more devices than slots.
    """
    owners = _owners(problem, picks)
    if len(owners) > min(problem.slots, problem.limits.devices):
        return None
    return _balance(problem, owners, _mode(problem, picks), joint, least=-NEVER)


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
    for used in by_total(most, limit):
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
) -> Path | None:
    """The fastest path that places every slot, leaves `spare` bytes and keeps the limits.

    The fastest in one case is taken where it keeps the limits. Where it does not, but the fastest
    in the other case does, the trade-offs between both are looked through.
    """
    mode, used = _mode(problem, picks), devices_used(problem, picks)
    if not sum(pick.nodes for pick in picks) <= used <= problem.slots:
        return None

    def fastest(*, floor: bool) -> Path | None:
        walk: Walk[Fastest] = Walk(
            problem=problem, picks=picks, joint=joint, mode=mode, used=used, spare=spare
        )
        algebra = OneCase(walk, by_floor=floor)
        state = walk.run(algebra)
        return None if state is None else algebra.path(state)

    path = fastest(floor=by_floor)
    if path is None or path.keeps(problem.limits):
        return path
    other = fastest(floor=not by_floor)
    assert other is not None
    limits = problem.limits
    if (limits.floor is not None and min(path.floor, other.floor) > limits.floor) or (
        limits.best is not None and min(path.best, other.best) > limits.best
    ):
        return None
    both: Walk[Labels] = Walk(
        problem=problem, picks=picks, joint=joint, mode=mode, used=used, spare=spare
    )
    every = BothCases(both)
    state = both.run(every)
    return None if state is None else every.path(state, by_floor=by_floor)


def _headroom(problem: Problem, devices: tuple[Assignment, ...], mode: Mode) -> int:
    kinds = (problem.kinds[problem.options[d.option].kind] for d in devices)
    return min(
        kind.capacity - problem.need(kind, device.first, device.stop, mode)
        for kind, device in zip(kinds, devices, strict=True)
    )


def _balance_mixed(problem: Problem, picks: Picks, joint: Joint | None, fastest: Path) -> Placement:
    """Most headroom of the tightest device at the fastest label's best time, by bisection."""
    mode = _mode(problem, picks)
    devices = fastest.devices
    chosen, low = fastest, _headroom(problem, devices, mode)
    high = max(problem.kinds[problem.options[p.option].kind].capacity for p in picks)
    while high - low > 2**20:
        middle = (low + high) // 2
        trial = _search(problem, picks, joint, spare=middle)
        if trial is not None and trial.best == fastest.best:
            chosen, devices = trial, trial.devices
            low = _headroom(problem, devices, mode)
        else:
            high = middle
    return Placement(devices=devices, best=chosen.best, floor=chosen.floor, headroom=low)


def _balance(
    problem: Problem,
    owners: list[tuple[int, int]],
    mode: Mode,
    joint: Joint | None,
    *,
    least: int,
) -> Placement | None:
    """Most headroom of the tightest device with the devices in order, whatever the speed.

    Room after i devices at slot b: max over a of min(room after i-1 at a, capacity - need(a, b)).
    Splits that leave a device less than `least` bytes are not looked at.
    """
    slots = problem.slots
    room: dict[int, tuple[int, tuple[int, ...]]] = {0: (NEVER, ())}
    for number, (option, _) in enumerate(owners):
        kind = problem.kinds[problem.options[option].kind]
        free = kind.capacity - problem.needs(kind, mode)
        later = len(owners) - number - 1
        ahead: dict[int, tuple[int, tuple[int, ...]]] = {}
        for first, (before, cuts) in room.items():
            for stop in range(first + 1, slots - later + 1) if later else (slots,):
                left = int(free[first, stop])
                if left < least:
                    break
                new = min(before, left)
                if stop not in ahead or new > ahead[stop][0]:
                    ahead[stop] = (new, (*cuts, stop))
        room = ahead
    if slots not in room:
        return None
    headroom, cuts = room[slots]
    devices = tuple(
        Assignment(option, node, first, stop)
        for (option, node), first, stop in zip(owners, (0, *cuts), cuts, strict=False)
    )
    path = path_of(problem, devices, joint)
    return Placement(devices=devices, best=path.best, floor=path.floor, headroom=headroom)


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
