"""Collectives from the links alone, and where measurements take their place."""

from __future__ import annotations

import pytest

from planner.catalog import load_catalog
from planner.topology.collectives import (
    all_gather,
    all_reduce,
    all_to_all,
    bus_bandwidth,
    is_measured,
    joined,
    reduce_scatter,
    send,
)
from planner.topology.graph import graph
from planner.topology.machines import cluster_topology, node_topology
from planner.topology.measured import prior
from planner.topology.parts import Topology
from planner.topology.rings import best_ring
from tests.unit.topology.drawn import bridged_3090s, drawn, gpus, two_roots

CATALOG = load_catalog()
INFINIBAND = CATALOG.networks["infiniband-ndr"]
SHARE = prior("ring-share-nvlink")[1]


def names(topology: Topology) -> list[str]:
    return [part.name for part in topology.gpus]


def star(count: int, rate: float = 100) -> Topology:
    return drawn(f"{gpus(count)} nvs0", (f"gpu{n} nvs0 nvlink {rate}" for n in range(count)))


def test_a_ring_over_a_switch_runs_at_the_rate_of_one_device() -> None:
    for count in (2, 4, 8):
        topology = star(count)
        ring = best_ring(graph(topology), names(topology))
        assert ring.rate == pytest.approx(SHARE * 100e9)
        assert bus_bandwidth(all_reduce(topology, names(topology)), count) == pytest.approx(
            SHARE * 100e9
        )


def test_two_flows_over_one_wire_halve_it() -> None:
    """Two devices on each of two switches; what is between the switches carries one flow a way."""
    between = drawn(
        f"{gpus(4)} pcie0 pcie1",
        (f"gpu{n} pcie{n // 2} pcie 20" for n in range(4)),
        ("pcie0 pcie1 pcie 20",),
    )
    found = graph(between)
    share = prior("ring-share-pcie-switch")[1]
    assert best_ring(found, ("gpu0", "gpu1", "gpu2", "gpu3")).rate == pytest.approx(share * 20e9)
    assert best_ring(found, ("gpu0", "gpu2", "gpu1", "gpu3")).rate == pytest.approx(share * 20e9), (
        "the order is chosen, not taken"
    )
    narrow = all_to_all(between, names(between))
    crossing = 3 / 3 * 2 * 2 / 3 / (share * 20e9)
    assert narrow.per_byte == pytest.approx(crossing), "four of twelve flows cross each way"


def test_circles_over_free_links_add_up() -> None:
    mesh = node_topology(CATALOG, CATALOG.node("oci-v100"))
    nameless = mesh.model_copy(
        update={"wires": tuple(w.model_copy(update={"link": ""}) for w in mesh.wires)}
    )
    ring = best_ring(graph(nameless), names(nameless))
    assert ring.path == "direct"
    assert 100e9 * SHARE <= ring.rate <= 150e9 * SHARE, "six links of 25 GB/s each"
    full = node_topology(CATALOG, CATALOG.node("mi300x-8"))
    assert bus_bandwidth(all_reduce(full, names(full)), 8) == pytest.approx(0.75 * 7 * 64e9)


def test_small_messages_go_in_one_shot_large_ones_in_two() -> None:
    topology = star(8)
    curve = all_reduce(topology, names(topology))
    start = curve.start
    rate = SHARE * 100e9
    assert curve.seconds(10_000) == pytest.approx(start + 7 * 10_000 / rate)
    assert curve.seconds(1e9) == pytest.approx(2 * start + 2 * 7 / 8 * 1e9 / rate)


def test_halves_of_an_all_reduce() -> None:
    topology = star(4)
    whole = all_reduce(topology, names(topology))
    halves = [of(topology, names(topology)) for of in (all_gather, reduce_scatter)]
    assert sum(half.per_byte for half in halves) == pytest.approx(whole.per_byte)


def test_more_devices_on_pcie_take_longer_and_a_socket_more_so() -> None:
    topology = two_roots()
    inside = all_reduce(topology, names(topology)[:4])
    across = all_reduce(topology, ["gpu0", "gpu1", "gpu4", "gpu5"])
    for size in (1e4, 1e6, 1e9):
        assert across.seconds(size) >= inside.seconds(size)
    staged = topology.model_copy(update={"peer_to_peer": False})
    assert all_reduce(staged, names(staged)).start > all_reduce(topology, names(topology)).start


def test_two_dgx_reduce_inside_first() -> None:
    node = CATALOG.node("dgx-h100")
    both = cluster_topology(CATALOG, ((node, 2),), INFINIBAND)
    group = names(both)
    found, inside = all_reduce(both, group), all_reduce(both, group[:8])
    rail = 2 * (1 / 2) / 8 / (prior("network-share")[1] * 50e9)
    assert found.per_byte == pytest.approx(inside.per_byte + rail), "eight rails, an eighth each"
    ring = best_ring(graph(both), group)
    flat = 2 * 15 / 16 / ring.rate
    assert found.per_byte < flat / 2
    assert not is_measured(both, group)


def test_one_adapter_is_shared_by_all_devices_of_a_machine() -> None:
    node = CATALOG.node("dgx-h100").model_copy(update={"rails": 1})
    both = cluster_topology(CATALOG, ((node, 2),), INFINIBAND)
    found = all_reduce(both, names(both))
    inside = all_reduce(both, names(both)[:8])
    between = 2 * (1 / 2) / (prior("network-share")[1] * 50e9)
    assert found.per_byte == pytest.approx(inside.per_byte + between)


def test_measurements_of_the_same_devices_come_first_then_of_others_so_joined() -> None:
    eight = node_topology(CATALOG, CATALOG.node("dgx-h100"))
    own = all_reduce(eight, names(eight), "vllm")
    assert own.seconds(1048576) == pytest.approx(15.0e-6)
    others = all_reduce(eight, names(eight), "vllm", frozenset({"h100-sxm-80"}))
    assert others.seconds(1048576) == pytest.approx(14.1e-6), "H200 on the same links"
    mean = all_reduce(eight, names(eight))
    assert mean.seconds(1048576) == pytest.approx((15.0 * 17.3) ** 0.5 * 1e-6)
    assert all_reduce(eight, names(eight)[:3]).seconds(0) == all_reduce(
        eight, names(eight)[:4]
    ).seconds(0), "between measured numbers of devices the next larger"


def test_a_link_that_lost_some_of_its_lanes_is_not_the_measured_one() -> None:
    eight = node_topology(CATALOG, CATALOG.node("dgx-h100"))
    halved = tuple(
        wire.model_copy(update={"bandwidth": wire.bandwidth / 2})
        if wire.medium == "nvlink" and wire.one == "gpu5"
        else wire
        for wire in eight.wires
    )
    broken = eight.model_copy(update={"wires": halved})
    assert is_measured(eight, names(eight))
    assert not is_measured(broken, names(broken))
    assert is_measured(broken, ["gpu0", "gpu1"])
    assert bus_bandwidth(all_reduce(broken, names(broken)), 8) < 200e9


def test_hosts_differ_so_much_that_another_ones_figure_between_sockets_says_nothing() -> None:
    l40s, a6000 = (node_topology(CATALOG, CATALOG.node(n)) for n in ("l40s-x8", "a6000-x8"))
    own, other = (joined("all-reduce", t, tuple(names(t))) for t in (l40s, a6000))
    assert own.measured
    assert bus_bandwidth(own.curve, 8) < 3e9
    assert not other.measured
    assert other.slower > 5, "and the pessimist's case says so"
    assert bus_bandwidth(other.curve, 8) > 3 * bus_bandwidth(own.curve, 8)


def test_sends() -> None:
    macs = CATALOG.node("mac-studio-m3u-512")
    four = cluster_topology(CATALOG, ((macs, 4),), CATALOG.networks["thunderbolt-5"])
    to_first, on = (send(four, *pair) for pair in (("0.gpu0", "1.gpu0"), ("1.gpu0", "2.gpu0")))
    assert to_first.per_byte == pytest.approx(1 / 3.5e9), "what TCP reached"
    assert on.start == pytest.approx(2 * to_first.start), "through the first machine"
    bridge = send(bridged_3090s(), "gpu0", "gpu1")
    assert bridge.per_byte == pytest.approx(1 / (SHARE * 56.25e9))
    pcie = send(bridged_3090s(), "gpu0", "gpu2")
    assert pcie.per_byte == pytest.approx(1 / (prior("send-share-pcie")[1] * 25e9))
    for tcp in (True, False):
        rate = 1 / send(four, "0.gpu0", "1.gpu0", tcp=tcp).per_byte
        assert rate <= (prior("tcp-connection")[1] if tcp else 3.5e9) * 1.001


def test_one_device_has_nobody_to_talk_to() -> None:
    topology = star(2)
    for operation in (all_reduce, all_gather, reduce_scatter, all_to_all):
        assert operation(topology, ["gpu0"]).seconds(1e9) == 0
    assert is_measured(topology, ["gpu0"])
