"""Paths, bottlenecks, islands and bisection of small graphs drawn by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from planner.catalog import load_catalog
from planner.topology.graph import graph, graph_of
from planner.topology.islands import bisection, islands, outsiders, worst
from planner.topology.machines import cluster_topology, node_topology
from planner.topology.parts import Topology
from tests.unit.topology.drawn import b200_with_one_gpu_off, bridged_3090s, drawn, two_roots

CATALOG = load_catalog()


def names(topology: Topology) -> list[str]:
    return [part.name for part in topology.gpus]


def test_the_widest_path_wins_and_of_equals_the_one_with_least_latency() -> None:
    topology = drawn(
        "gpu0 gpu1 root0 root1 root2",
        ("gpu0 root0 pcie 10", "root0 gpu1 pcie 10"),
        ("gpu0 root1 pcie 20 5e-6", "root1 gpu1 pcie 30 5e-6"),
        ("gpu0 root2 pcie 20 1e-6", "root2 gpu1 pcie 20 1e-6"),
    )
    way = graph(topology).way("gpu0", "gpu1")
    assert [edge.target for edge in way.edges] == ["root2", "gpu1"]
    assert (way.bandwidth, way.distance) == (20e9, "root")
    assert way.latency == pytest.approx(2e-6)
    assert graph(topology).way("gpu1", "gpu0").edges == tuple(
        type(edge)(edge.target, edge.source) for edge in reversed(way.edges)
    )


def test_devices_pass_nothing_on_and_own_links_go_first() -> None:
    topology = drawn(
        "gpu0 gpu1 gpu2 root0",
        ("gpu0 gpu1 nvlink 100", "gpu1 gpu2 nvlink 100", "gpu0 root0 pcie 10"),
        ("gpu1 root0 pcie 200", "gpu2 root0 pcie 10"),
    )
    found = graph(topology)
    assert found.way("gpu0", "gpu2").bandwidth == 10e9
    assert found.way("gpu0", "gpu1").distance == "direct"


def test_nothing_links_what_is_apart() -> None:
    topology = drawn("gpu0 gpu1 root0 root1", ("gpu0 root0 pcie 10", "gpu1 root1 pcie 10"))
    assert graph(topology).way_if_any("gpu0", "gpu1") is None
    assert islands(topology) == (("gpu0",), ("gpu1",))


def test_how_far_devices_are_apart() -> None:
    found = graph(two_roots())
    assert found.way("gpu0", "gpu3").distance == "root"
    assert found.way("gpu0", "gpu4").distance == "socket"
    switched = drawn("gpu0 gpu1 pcie0", ("gpu0 pcie0 pcie 10", "gpu1 pcie0 pcie 10"))
    assert graph(switched).way("gpu0", "gpu1").distance == "switch"
    node = CATALOG.node("dgx-h100")
    both = cluster_topology(CATALOG, ((node, 2),), CATALOG.networks["infiniband-ndr"])
    assert graph(both).way("0.gpu0", "0.gpu7").distance == "direct"
    rail = graph(both).way("0.gpu3", "1.gpu3")
    assert rail.distance == "network"
    assert [edge.target for edge in rail.edges][2] == "leaf3"


def test_worst_link_of_a_group() -> None:
    topology = bridged_3090s()
    assert worst(topology, ("gpu0", "gpu1")).way.distance == "direct"
    narrow = worst(topology, ("gpu2", "gpu0", "gpu1"))
    assert (narrow.one, narrow.other) == ("gpu0", "gpu2")
    assert narrow.way.bandwidth == 25e9


def test_islands_are_what_full_speed_links_join() -> None:
    assert islands(bridged_3090s()) == (("gpu0", "gpu1"), ("gpu2", "gpu3"))
    assert len(islands(two_roots())) == 8
    for node, sizes in (
        ("dgx-h100", [8]),
        ("mi300x-8", [8]),
        ("oci-v100", [4, 4]),
        ("azure-nc-a100-4", [2, 2]),
        ("gb200-nvl72", [72]),
        ("dgx-2-used", [16]),
    ):
        found = islands(node_topology(CATALOG, CATALOG.node(node)))
        assert [len(members) for members in found] == sizes, node


def test_a_device_off_nvlink_is_found() -> None:
    assert outsiders(b200_with_one_gpu_off()) == ("gpu2",)
    assert outsiders(two_roots()) == outsiders(bridged_3090s()) == ()


def test_bisection_is_the_least_that_flows_between_halves() -> None:
    assert bisection(two_roots()) == pytest.approx(30e9)
    assert bisection(bridged_3090s()) == pytest.approx(50e9), "two devices' PCIe, bridges apart"
    full = node_topology(CATALOG, CATALOG.node("mi300x-8"))
    assert bisection(full) == pytest.approx(16 * 64e9 + 40e9), "16 links and the sockets' link"
    assert bisection(drawn("gpu0", ())) == math.inf


def test_vertices_and_edges_carry_their_facts() -> None:
    made = graph_of(bridged_3090s())
    assert made.nodes["gpu0"]["part"].kind == "gpu"
    assert made.edges["gpu0", "gpu1"]["bandwidth"] == 56.25e9
    assert made.edges["gpu0", "root0"]["medium"] == "pcie"


def test_the_graph_library_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, planner.topology.groups, planner.performance.grid; "
    code += "sys.exit('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
