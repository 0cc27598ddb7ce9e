"""Exchanges between ranks: formulas on round links, and what holds where nothing was measured."""

from __future__ import annotations

from typing import Any

import pytest

from planner.catalog import load_catalog
from planner.catalog.schema import Link, Network
from planner.performance.calibration import prior_cases
from planner.performance.collectives import (
    NOTHING,
    Joined,
    Span,
    all_reduce,
    exchange,
    hop,
    is_measured,
)
from planner.topology.collectives import all_reduce as graph_all_reduce
from planner.topology.collectives import all_to_all, bus_bandwidth
from planner.topology.domains import domain_of, plain_domain
from planner.topology.machines import node_topology
from tests.unit.performance.conftest import DAY

CATALOG = load_catalog()
NVLINK, PCIE = CATALOG.links["nvlink4"], CATALOG.links["pcie5-x16"]
INFINIBAND = CATALOG.networks["infiniband-ndr"]
IN_STEP = prior_cases("all-reduce-in-step")[1]


def joined(fabric: Link | None = NVLINK, network: Network | None = INFINIBAND) -> Joined:
    return Joined(fabric, network)


def of_node(name: str, used: int = 0) -> Joined:
    node = CATALOG.node(name)
    fabric = None if node.fabric is None else CATALOG.links[node.fabric]
    return Joined(fabric, INFINIBAND, domain_of(CATALOG, node), used)


def link(**fields: Any) -> Link:
    row = {"source": "test", "checked": DAY, "kind": "scale-up"}
    return Link.model_validate(row | fields)


def test_inside_a_machine_what_the_graph_says() -> None:
    topology = node_topology(CATALOG, CATALOG.node("dgx-h100"))
    for ranks in (2, 4, 8):
        graph = graph_all_reduce(topology, [f"gpu{number}" for number in range(ranks)])
        for size in (0.0, 14336.0, 1e6, 1e9):
            low, best, high = all_reduce(of_node("dgx-h100"), Span(ranks, 1), size)
            assert low == best == high
            assert best == pytest.approx(IN_STEP * graph.seconds(size))
    assert all_reduce(joined(), Span(1, 1), 1e6) == NOTHING


def test_over_machines_the_network_moves_the_pieces_of_all_ranks_of_a_machine() -> None:
    size = 1e9
    inside = all_reduce(joined(), Span(8, 1), size)
    both = all_reduce(joined(), Span(8, 4), size)
    alpha, share = prior_cases("network-collective"), prior_cases("network-share")
    for case in range(3):
        between = alpha[case] + 2 * 3 / 4 * size / (share[case] * 50e9)
        assert both[case] == pytest.approx(inside[case] + between)
    alone = all_reduce(joined(), Span(1, 2), size)
    assert alone[1] == pytest.approx(alpha[1] + size / (share[1] * 50e9))


def test_pessimists_take_what_tcp_reached() -> None:
    slow = CATALOG.networks["qsfp-200g"]
    assert slow.achieved_per_direction == 2_225_000_000
    low, best, _ = all_reduce(joined(network=slow), Span(1, 2), 1e9)
    assert low == pytest.approx(prior_cases("network-collective")[0] + 1e9 / 2.225e9)
    assert best < low / 8


def test_exchanges_grow_with_what_leaves_the_machine() -> None:
    one, two = (exchange(joined(), Span(8, machines), 1e8) for machines in (1, 2))
    assert all(a < b for a, b in zip(one, two, strict=True))
    domain = plain_domain(NVLINK)
    names = [part.name for part in domain.topology.gpus]
    start = all_reduce(joined(), Span(8, 1), 0.0)[1]
    sent = all_to_all(domain.topology, names).per_byte
    assert one[1] == pytest.approx(start + 1e8 * sent)
    network = 8 * 1e8 * 8 / 15 / (prior_cases("network-share")[1] * 50e9)
    local = start + 1e8 * 7 / 15 * sent
    assert two[1] == pytest.approx(local + prior_cases("network-collective")[1] + network)
    assert one[0] > one[1] > one[2]


def test_hops() -> None:
    inside, outside = (hop(joined(), inside=each, size=1e6) for each in (True, False))
    assert all(a < b for a, b in zip(inside, outside, strict=True))
    assert inside[0] > inside[1] > inside[2] > prior_cases("stage-hop")[2]


def test_more_ranks_than_anybody_measured_start_no_faster_and_are_a_guess() -> None:
    eight, sixteen = (all_reduce(joined(), Span(ranks, 1), 0.0) for ranks in (8, 16))
    assert sixteen[1] >= eight[1]
    assert sixteen[0] == 2 * sixteen[1] == 4 * sixteen[2]
    assert all_reduce(joined(), Span(3, 1), 0.0) == all_reduce(joined(), Span(4, 1), 0.0)


def test_links_nobody_measured_take_what_kernels_reach_elsewhere_with_a_wide_band() -> None:
    half = link(name="half", kind="host", bandwidth_per_direction=31_500_000_000)
    for ranks in (2, 4, 8):
        low, best, high = all_reduce(joined(half), Span(ranks, 1), 1e9)
        assert best == pytest.approx(2 * high)
        assert low > (6 if ranks == 8 else 4) * best, "hosts differ"
        assert best == pytest.approx(2 * all_reduce(joined(PCIE), Span(ranks, 1), 1e9)[1], rel=0.3)
        assert not is_measured(joined(half), ranks)
    assert is_measured(joined(PCIE), 4)
    assert not is_measured(joined(None), 2)
    assert is_measured(joined(None), 1)
    assert all_reduce(joined(None), Span(4, 1), 1e6) == all_reduce(joined(PCIE), Span(4, 1), 1e6)


def test_pairs_behind_bridges_and_sockets_are_told_apart_by_the_node() -> None:
    assert is_measured(of_node("rtx-pro-6000-x8"), 8)
    assert not is_measured(of_node("a6000-x8"), 8)
    two, four = (all_reduce(of_node("mi300x-8"), Span(ranks, 1), 1e9)[1] for ranks in (2, 4))
    assert two / four == pytest.approx(2.0, rel=0.01), "one link to a peer, three to three"


def test_a_rack_of_one_nvlink_domain_needs_no_network() -> None:
    rack = domain_of(CATALOG, CATALOG.node("gb200-nvl72"))
    assert (rack.reach, rack.machines) == (72, 18)
    found = Joined(CATALOG.links["nvl72"], None, rack, 72)
    low, best, high = all_reduce(found, Span(72, 1), 1e9)
    assert high < best < low < 20e-3


def test_the_slowest_of_the_groups_that_fill_a_machine_counts() -> None:
    topology = node_topology(CATALOG, CATALOG.node("oci-v100"))
    pair = graph_all_reduce(topology, ["gpu0", "gpu1"])
    both = graph_all_reduce(topology, ["gpu0", "gpu3"])
    assert bus_bandwidth(both, 2) == pytest.approx(2 * bus_bandwidth(pair, 2))
    best = all_reduce(of_node("oci-v100", 8), Span(2, 1), 1e9)[1]
    assert best == pytest.approx(IN_STEP * both.seconds(1e9))


def test_rows_are_of_links_and_devices_there_are() -> None:
    for row in CATALOG.collectives.values():
        assert row.link in CATALOG.links
        assert row.gpu in CATALOG.gpus
        assert row.name == f"{row.gpu}-{row.software}-{row.operation}"
        for times in row.times:
            first, small, large, largest = times.seconds
            assert max(first, small) < 1.2 * large < 1.2 * largest
