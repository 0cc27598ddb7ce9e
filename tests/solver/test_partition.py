"""The exact split against every split: valid, as fast as any, as balanced as any of the fastest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise

import pytest

from planner.solver import partition
from planner.solver.problem import Joint, Pick, Picks, Problem
from tests.solver import brute_force, twists
from tests.solver.brute_force import Split

SEEDS = range(48)
PER_PROBLEM = 8
MIB = 2**20

Case = tuple[Problem, Picks, Joint | None]


def cases() -> Iterator[Case]:
    """Clusters of random problems, whatever they cost; the first few and the last few of each."""
    for seed in SEEDS:
        problem = twists.twisted(seed)
        every = list(brute_force.clusters(problem))
        step = max(len(every) // PER_PROBLEM, 1)
        for picks, joint in islice(every, 0, None, step):
            yield problem, tuple(Pick(*pick) for pick in picks), joint


def is_mixed(problem: Problem, picks: Picks) -> bool:
    options = [problem.options[pick.option] for pick in picks]
    return len({(o.kind, o.inner_best, o.inner_floor) for o in options}) > 1


def every_split(case: Case) -> list[Split]:
    problem, picks, joint = case
    return list(brute_force.splits(problem, tuple(picks), joint))


def test_the_cases_have_all_sorts() -> None:
    found = [(is_mixed(*case[:2]), bool(every_split(case))) for case in cases()]
    assert len(found) > 200
    assert all(found.count((mixed, fits)) > 15 for mixed in (0, 1) for fits in (0, 1))


@pytest.mark.parametrize("by_floor", [False, True])
def test_latency_is_that_of_the_fastest_split(by_floor: bool) -> None:
    for case in cases():
        found = partition.latency(*case, by_floor=by_floor)
        times = {(split.best, split.floor) for split in every_split(case)}
        if found is None:
            assert not times
            continue
        assert found in times
        assert found[by_floor] == min(time[by_floor] for time in times)


def test_place_covers_all_slots_once_in_order_within_memory_and_limits() -> None:
    placed = 0
    for problem, picks, joint in cases():
        placement = partition.place(problem, picks, joint)
        if placement is None:
            continue
        placed += 1
        devices, limits = placement.devices, problem.limits
        assert devices[0].first == 0
        assert devices[-1].stop == problem.slots
        assert all(one.stop == two.first for one, two in pairwise(devices))
        assert all(device.first < device.stop for device in devices)
        assert nodes_of(placement) == sorted(picks)
        assert len(devices) == min(
            sum(problem.options[pick.option].gpus * pick.nodes for pick in picks), limits.devices
        )
        for node in {device.node for device in devices}:
            held = [number for number, device in enumerate(devices) if device.node == node]
            assert held == list(range(held[0], held[-1] + 1))
            assert len(held) <= problem.options[devices[held[0]].option].gpus
        assert limits.floor is None or placement.floor <= limits.floor
        assert limits.best is None or placement.best <= limits.best
        assert placement.headroom >= 0
    assert placed > 100


def nodes_of(placement: partition.Placement) -> list[tuple[int, int]]:
    options = [option for option, _ in sorted({(d.option, d.node) for d in placement.devices})]
    return [(option, options.count(option)) for option in sorted(set(options))]


def test_place_finds_a_split_exactly_where_there_is_one() -> None:
    for case in cases():
        assert (partition.place(*case) is None) == (not every_split(case))


def test_place_is_the_most_balanced_of_the_fastest() -> None:
    """Exact for one kind of device, within the bisection's MiB for several."""
    for case in cases():
        placement = partition.place(*case)
        if placement is None:
            continue
        splits = every_split(case)
        best = min(split.best for split in splits)
        most = max(split.headroom for split in splits if split.best == best)
        known = {(s.best, s.floor, s.headroom) for s in splits}
        assert (placement.best, placement.floor, placement.headroom) in known
        assert placement.best == best
        slack = MIB if is_mixed(*case[:2]) else 0
        assert most - slack <= placement.headroom <= most


def test_reaches_tells_whether_some_of_the_devices_hold_all_slots() -> None:
    seen = []
    for problem, picks, _ in cases():
        found = partition.reaches(problem, picks)
        assert found == holds(problem, picks)
        seen.append(found)
    assert min(seen.count(True), seen.count(False)) > 30


def holds(problem: Problem, picks: Picks) -> bool:
    """The same by trying every order of every choice of devices, nodes aside."""
    machines = sum(problem.options[pick.option].machines * pick.nodes for pick in picks)
    bought = {pick.option: problem.options[pick.option].gpus * pick.nodes for pick in picks}
    usable = min(sum(bought.values()), problem.limits.devices)
    kinds = {index: problem.kinds[problem.options[index].kind] for index in bought}
    if usable == 1:
        mode = "single"
    else:
        mode = "pipelined" if machines == 1 or problem.rpc_pipelines else "serial"

    def onwards(first: int, left: dict[int, int], devices: int) -> bool:
        if first == problem.slots:
            return True
        return devices > 0 and any(
            onwards(stop, left | {index: count - 1}, devices - 1)
            for index, count in left.items()
            if count
            for stop in range(problem.slots, first, -1)
            if brute_force.memory(problem, kinds[index], first, stop, mode) <= kinds[index].capacity
        )

    whole = (0, problem.slots, "single")
    alone = any(brute_force.memory(problem, k, *whole) <= k.capacity for k in kinds.values())
    return alone or onwards(0, bought, usable)


def test_most_balanced_is_so_among_all_splits_that_fit_or_not() -> None:
    """Headroom below zero says by how much the tightest device is short.

    With mixed types the nodes stay in the order they are named in.
    """
    short = 0
    for problem, picks, joint in cases():
        limits = replace(problem.limits, floor=None, best=None)
        free = replace(problem, limits=limits)
        roomy = replace(
            free, kinds=tuple(replace(k, capacity=k.capacity + 2**40) for k in problem.kinds)
        )
        splits = every_split((roomy, picks, joint))
        found = partition.most_balanced(free, picks, joint)
        if not splits:
            assert found is None
            continue
        assert found is not None
        used = [device.option for device in found.devices]
        assert used == sorted(used)
        alike = [
            split
            for split in splits
            if not is_mixed(problem, picks) or [held.option for held in split.devices] == used
        ]
        assert found.headroom == max(split.headroom for split in alike) - 2**40
        most = found.headroom
        short += most < 0
    assert short > 20
