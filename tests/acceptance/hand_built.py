"""Clusters somebody builds by hand: what they cost, whether they fit, how fast they are.

Prices, networks and speeds are summed here again; only the split may come from the planner.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from planner import accounting
from planner.accounting import Assigned
from planner.catalog.load import Catalog
from planner.catalog.schema import Network, Node
from planner.performance import calibration, roofline
from planner.request import PlanRequest
from planner.solver.cluster import balanced
from planner.subject import Subject, subject_of_request

MOST_DEVICES = 15


class Cluster(NamedTuple):
    """Node names and how many of each; slots per device where the hand has cut it too."""

    nodes: tuple[tuple[str, int], ...]
    split: tuple[int, ...] | None = None

    def __str__(self) -> str:
        text = " + ".join(f"{count}x {name}" for name, count in self.nodes)
        return text if self.split is None else f"{text} cut {self.split}"


class Feasible(NamedTuple):
    """A cluster that keeps every limit of a request."""

    usd: Decimal
    tokens_per_second: float
    """Of all users together, best estimate."""


def clusters(*texts: str) -> list[Cluster]:
    """`3 mac-studio-m5u-256 + 1 dgx-spark | 20,21,21` each."""
    found = []
    for text in texts:
        nodes, _, cut = text.partition("|")
        pairs = (part.split() for part in nodes.split("+"))
        split = tuple(int(number) for number in cut.split(",")) if cut else None
        found.append(Cluster(tuple((name, int(count)) for count, name in pairs), split))
    return found


def feasible(catalog: Catalog, request: PlanRequest, cluster: Cluster) -> Iterator[Feasible]:
    """The cluster under every network that joins it, as far as it keeps every limit."""
    subject = subject_of_request(request, catalog, request.quant)
    nodes = [(catalog.nodes[name], count) for name, count in cluster.nodes]
    assert all(node.availability == "new" for node, _ in nodes), cluster
    machines = sum(node.machines * count for node, count in nodes)
    if machines > request.max_nodes:
        return
    if len({catalog.gpus[node.gpu].family for node, _ in nodes}) > 1:
        return
    for network in networks(catalog, nodes):
        if network is not None and machines > max(network.ports, network.direct):
            continue
        usd = price(catalog, nodes, network)
        if usd is None or request.budget is None or usd > request.budget:
            continue
        split = cut(catalog, subject, nodes, network, cluster.split)
        if split is None or not fits(catalog, subject, split):
            continue
        best, slow = seconds(catalog, subject, split, network)
        if request.min_speed * slow * request.concurrency <= 1:
            yield Feasible(usd, 1 / best)


def networks(catalog: Catalog, nodes: Sequence[tuple[Node, int]]) -> list[Network | None]:
    """Every network all nodes can join; None alone for a single node."""
    if sum(count for _, count in nodes) == 1:
        return [None]
    shared = set.intersection(*(set(node.networks) for node, _ in nodes))
    return [catalog.networks[name] for name in sorted(shared)]


def price(
    catalog: Catalog, nodes: Sequence[tuple[Node, int]], network: Network | None
) -> Decimal | None:
    """USD of all parts, adapters, cables and the switch; None where something has no price."""
    total = Decimal(0)
    machines = 0
    for node, count in nodes:
        parts = [(part.item, part.count) for part in node.parts] or [(node.name, 1)]
        if any(item not in catalog.prices for item, _ in parts):
            return None
        total += count * sum(catalog.prices[item].mid * each for item, each in parts)
        machines += node.machines * count
        if network is not None:
            built_in = network.name in node.built_in_networks
            each_machine = network.cable + (Decimal(0) if built_in else network.adapter)
            total += each_machine * node.machines * count
    if network is not None and machines > network.direct:
        total += network.switch
    return total


def cut(
    catalog: Catalog,
    subject: Subject,
    nodes: Sequence[tuple[Node, int]],
    network: Network | None,
    slots: tuple[int, ...] | None,
) -> tuple[Assigned, ...] | None:
    """The devices in order with their slots: as cut by hand, or the roomiest cut."""
    if slots is None:
        single = [node for node, count in nodes for _ in range(count)]
        orders = {tuple(node.name for node in order) for order in itertools.permutations(single)}
        by_name = {node.name: node for node in single}
        cuts = [
            found
            for order in sorted(orders)
            if (found := balanced(catalog, subject, [(by_name[n], 1) for n in order], network))
        ]
        return max(cuts, key=lambda found: found.headroom).devices if cuts else None
    places = [
        (node.name, number, index)
        for node, count in nodes
        for number in range(1, count + 1)
        for index in range(node.gpus)
    ]
    assert len(places) == len(slots)
    if sum(slots) != subject.slots:  # cut for another model
        return None
    stops = list(itertools.accumulate(slots))
    return tuple(
        Assigned(node=name, number=number, index=index, first=stop - size, stop=stop)
        for (name, number, index), size, stop in zip(places, slots, stops, strict=True)
    )


def fits(catalog: Catalog, subject: Subject, split: Sequence[Assigned]) -> bool:
    """Whether every device has room for what it is given, and there are not too many."""
    devices = accounting.devices_of(subject, catalog, split)
    used = [device for device in devices if device.slots]
    return len(used) <= MOST_DEVICES and all(
        device.capacity_bytes is not None and device.budget.total <= device.capacity_bytes
        for device in used
    )


def seconds(
    catalog: Catalog, subject: Subject, split: Sequence[Assigned], network: Network | None
) -> tuple[float, float]:
    """Of one token, slot by slot and hop by hop: best estimate, and as a minimum is judged."""
    best = slow = 0.0
    before: Assigned | None = None
    for device in (device for device in split if device.stop > device.first):
        node = catalog.nodes[device.node]
        gpu = catalog.gpus[node.gpu]
        careful = calibration.is_calibrated(subject.architecture, gpu)
        times = roofline.slot_seconds(
            subject.architecture,
            subject.weights,
            gpu,
            depth=subject.depth,
            kv_type=subject.settings.key_type,
        )
        for slot in range(device.first, device.stop):
            best += times[slot].best
            slow += times[slot].low if careful else times[slot].best
        if before is not None:
            inside = (before.node, before.number) == (device.node, device.number)
            if inside and node.machines == 1:
                hop = roofline.local_hop()
                best, slow = best + hop.best, slow + (hop.low if careful else hop.best)
            else:
                way = catalog.networks[node.built_in_networks[0]] if inside else network
                assert way is not None
                hop = roofline.network_hop(way)
                best, slow = best + hop.best, slow + hop.best
        before = device
    return best, slow
