"""Partitions of devices into groups of tensor parallelism."""

from __future__ import annotations

import itertools

import pytest

from planner.catalog import load_catalog
from planner.topology.collectives import all_reduce, bus_bandwidth, is_measured
from planner.topology.groups import best_groups
from planner.topology.islands import outsiders
from planner.topology.machines import node_topology
from planner.topology.parts import Topology
from tests.unit.topology.drawn import b200_with_one_gpu_off, bridged_3090s, drawn, gpus, two_roots
from tests.unit.topology.machines import FAULTY, table
from tests.unit.topology.machines import topology as dumped

CATALOG = load_catalog()


@pytest.mark.parametrize(
    "pairs",
    [("gpu0 gpu1", "gpu2 gpu3"), ("gpu0 gpu2", "gpu1 gpu3"), ("gpu0 gpu3", "gpu1 gpu2")],
)
def test_two_ranks_go_on_the_bridges(pairs: tuple[str, str]) -> None:
    found = best_groups(bridged_3090s(pairs), 2)
    assert found.groups == tuple(tuple(pair.split()) for pair in pairs)
    assert found.worst > 40e9 / 2


def test_four_ranks_stay_on_one_root_complex() -> None:
    found = best_groups(two_roots(), 4)
    assert found.groups == (("gpu0", "gpu1", "gpu2", "gpu3"), ("gpu4", "gpu5", "gpu6", "gpu7"))
    mixed = ("gpu0", "gpu1", "gpu4", "gpu5")
    assert found.worst > bus_bandwidth(all_reduce(two_roots(), mixed), 4)


def test_a_device_without_nvlink_is_left_out_where_that_leaves_enough() -> None:
    topology = b200_with_one_gpu_off()
    four = best_groups(topology, 4, 1)
    assert four.groups == (("gpu0", "gpu1", "gpu3", "gpu4"),)
    assert "gpu2" in four.left
    two = best_groups(topology, 2, 3)
    assert all("gpu2" not in group for group in two.groups)
    assert min(four.worst, two.worst) > 500e9
    all_of_them = best_groups(topology, 4)
    slow = [group for group in all_of_them.groups if "gpu2" in group]
    assert len(slow) == 1, "two groups of four need it; the other one keeps full speed"
    assert max(all_of_them.bandwidths) > 500e9 > 50e9 > all_of_them.worst
    assert best_groups(topology, 8).left == ()


def test_v100s_pair_up_where_two_links_join_them() -> None:
    topology = node_topology(CATALOG, CATALOG.node("oci-v100"))
    found = best_groups(topology, 2)
    assert len(found.groups) == 4
    for one, other in found.groups:
        wire = next(w for w in topology.wires if (w.one, w.other) == (one, other))
        assert wire.lanes == 2


def test_groups_of_one_and_groups_of_all() -> None:
    single = best_groups(two_roots(), 1)
    assert len(single.groups) == 8
    assert single.bandwidths == ()
    assert single.worst == float("inf")
    assert best_groups(two_roots(), 8).groups == (tuple(gpus(8).split()),)
    three = best_groups(two_roots(), 3)
    assert len(three.groups) == 2
    assert len(three.left) == 2


def every_partition(names: tuple[str, ...], size: int) -> list[tuple[tuple[str, ...], ...]]:
    if not names:
        return [()]
    first, *rest = names
    found = []
    for others in itertools.combinations(rest, size - 1):
        left = tuple(name for name in rest if name not in others)
        found += [((first, *others), *more) for more in every_partition(left, size)]
    return found


def uneven() -> Topology:
    """Six devices with links of every width."""
    pairs = itertools.combinations(range(6), 2)
    links = [
        f"gpu{one} gpu{other} nvlink {10 + 7 * ((one * 5 + other * 3) % 11)}"
        for one, other in pairs
    ]
    return drawn(gpus(6), links)


@pytest.mark.parametrize("size", [2, 3])
def test_no_partition_is_better(size: int) -> None:
    topology = uneven()

    def rates(groups: tuple[tuple[str, ...], ...]) -> tuple[float, float]:
        own = [bus_bandwidth(all_reduce(topology, group), size) for group in groups]
        return min(own), sum(own)

    found = best_groups(topology, size)
    best = max(rates(groups) for groups in every_partition(tuple(gpus(6).split()), size))
    assert rates(found.groups) == pytest.approx(best, rel=1e-5)


def test_dumps_of_real_machines_are_split_where_their_links_are() -> None:
    crossed = dumped(
        table(["X PHB NV4 NODE", "PHB X NODE NV4", "NV4 NODE X PHB", "NODE NV4 PHB X"])
    )
    assert best_groups(crossed, 2).groups == (("gpu0", "gpu2"), ("gpu1", "gpu3"))
    faulty = dumped(FAULTY, "b200-sxm-180")
    assert outsiders(faulty) == ("gpu2",)
    four = best_groups(faulty, 4, 1)
    assert four.groups == (("gpu0", "gpu1", "gpu3", "gpu4"),)
    assert is_measured(faulty, four.groups[0])
