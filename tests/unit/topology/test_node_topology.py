"""Topologies of the catalog's node types and of clusters of them."""

from __future__ import annotations

from collections import Counter

import pytest

from planner.catalog import load_catalog
from planner.catalog.schema import Node
from planner.topology.domains import domain_of, plain_domain
from planner.topology.graph import graph
from planner.topology.machines import cluster_topology, node_topology, plain_topology
from planner.topology.parts import Topology

CATALOG = load_catalog()


def of(name: str) -> Topology:
    return node_topology(CATALOG, CATALOG.node(name))


def media(topology: Topology) -> Counter[str]:
    return Counter(wire.medium for wire in topology.wires)


@pytest.mark.parametrize("node", CATALOG.nodes.values(), ids=lambda node: node.name)
def test_every_node_of_the_catalog_is_whole(node: Node) -> None:
    topology = node_topology(CATALOG, node)
    assert len(topology.gpus) == node.gpus
    names = [part.name for part in topology.parts]
    assert len(set(names)) == len(names)
    assert {end for wire in topology.wires for end in (wire.one, wire.other)} == set(names)
    assert len({part.machine for part in topology.gpus}) == node.machines
    first = topology.gpus[0].name
    for part in topology.gpus[1:]:
        assert graph(topology).way(first, part.name).bandwidth > 0


def test_devices_on_a_switch() -> None:
    topology = of("dgx-h100")
    assert [part.kind for part in topology.parts].count("switch") == 1
    nvlink = [wire for wire in topology.wires if wire.medium == "nvlink"]
    assert len(nvlink) == 8
    assert {(wire.bandwidth, wire.link) for wire in nvlink} == {(450e9, "nvlink4")}


def test_meshes_bridges_and_the_hybrid_of_v100s() -> None:
    assert media(of("mi300x-8"))["xgmi"] == 28
    assert media(of("hgx-h100-4"))["nvlink"] == 6
    hybrid = [wire for wire in of("oci-v100").wires if wire.medium == "nvlink"]
    assert sum(wire.lanes for wire in hybrid) == 8 * 6 / 2
    ends = Counter(end for w in hybrid for end in [w.one] * w.lanes + [w.other] * w.lanes)
    assert set(ends.values()) == {6}
    bridged = CATALOG.node("3090-x4").model_copy(update={"bridge": "nvlink3-bridge"})
    pairs = [
        (wire.one, wire.other)
        for wire in node_topology(CATALOG, bridged).wires
        if wire.medium == "nvlink"
    ]
    assert pairs == [("gpu0", "gpu1"), ("gpu2", "gpu3")]
    (bridge,) = (wire for wire in of("azure-nc-h100-2").wires if wire.medium == "nvlink")
    assert bridge.link == "nvlink4-bridge"


def test_boxes_without_nvlink_have_one_socket_or_two() -> None:
    assert media(of("4090-x4"))["socket"] == 0
    assert media(of("l40s-x8"))["socket"] == 1
    found = graph(of("l40s-x8"))
    assert found.way("gpu0", "gpu3").distance == "root"
    assert found.way("gpu3", "gpu4").distance == "socket"
    four = CATALOG.node("l40s-x8").model_copy(update={"sockets": 4})
    assert graph(node_topology(CATALOG, four)).way("gpu0", "gpu3").distance == "socket"


def test_geforce_cards_go_through_the_hosts_memory() -> None:
    assert not of("5090-x4").peer_to_peer
    assert of("rtx-pro-6000-x4").peer_to_peer
    patched = CATALOG.node("4090-x4").model_copy(update={"peer_to_peer": True})
    assert node_topology(CATALOG, patched).peer_to_peer


def test_a_rack_is_one_domain_and_a_pair_of_sparks_is_not() -> None:
    rack = of("gb200-nvl72")
    assert {part.machine for part in rack.gpus} == set(range(18))
    assert graph(rack).way("0.gpu0", "17.gpu3").distance == "direct"
    pair = of("dgx-spark-pair")
    assert graph(pair).way("0.gpu0", "1.gpu0").distance == "network"
    assert domain_of(CATALOG, CATALOG.node("gb200-nvl72")).machines == 18
    spark = domain_of(CATALOG, CATALOG.node("dgx-spark-pair"))
    assert (spark.machines, spark.reach) == (1, 1)


def test_rails_lead_to_a_leaf_each() -> None:
    nodes = ((CATALOG.node("dgx-h100"), 2),)
    topology = cluster_topology(CATALOG, nodes, CATALOG.networks["infiniband-ndr"])
    kinds = Counter(part.kind for part in topology.parts)
    assert (kinds["nic"], kinds["network-switch"]) == (16, 8)
    other = cluster_topology(CATALOG, nodes, CATALOG.networks["ethernet-100g"])
    assert Counter(part.kind for part in other.parts)["nic"] == 2, "one link a machine"


def test_machines_are_cabled_directly_or_through_a_switch() -> None:
    mac = CATALOG.node("mac-studio-m3u-512")
    for count, cables in ((2, 1), (3, 3), (4, 3), (5, 4)):
        made = cluster_topology(CATALOG, ((mac, count),), CATALOG.networks["thunderbolt-5"])
        assert media(made)["network"] == cables
    spark = CATALOG.node("dgx-spark")
    made = cluster_topology(CATALOG, ((spark, 4),), CATALOG.networks["qsfp-200g"])
    assert [part.name for part in made.parts if part.kind == "network-switch"] == ["leaf0"]
    assert media(made)["network"] == 4


def test_machines_of_one_shape_are_one_topology_to_the_speed_of_grids() -> None:
    domains = [domain_of(CATALOG, CATALOG.node(name)) for name in ("dgx-h100", "hgx-h100-8")]
    assert domains[0].topology == domains[1].topology
    assert domain_of(CATALOG, CATALOG.node("dgx-h100")) is domains[0]


def test_unknown_devices_that_a_link_joins() -> None:
    link = CATALOG.links["nvlink4"]
    topology = plain_topology(link, 8)
    assert len(topology.gpus) == 8
    assert media(topology)["nvlink"] == 8
    assert plain_domain(link, 16).reach == 16
    assert plain_domain(link, 2) is plain_domain(link, 8)
