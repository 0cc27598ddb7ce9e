"""What a cluster costs to buy, rent, join and run: pure functions over catalog rows.

Layer: cost. Money is Decimal USD; a missing price is None and never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from planner.catalog.load import Catalog
from planner.catalog.prices import hourly, purchase_bounds
from planner.catalog.schema import Network, Node

HOURS_PER_MONTH = 730
"""8,760 hours a year over 12."""
USD_PER_KWH = Decimal("0.10")
"""Mid of 0.06 to 0.12 on build-or-rent pages (aiinframap.com 0.08; a forum's rule 0.10)."""
POWER_OVERHEAD = Decimal("1.25")
"""PUE: average machine room, between 1.1 (new hyperscale) and 1.6 (old colocation)."""
LOAD = Decimal("0.7")
"""Share of the full-load power drawn over a month."""

Bounds = tuple[Decimal, Decimal, Decimal]
"""Low, mid, high."""
Nodes = Sequence[tuple[Node, int]]
"""Node types and how many of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCost:
    """Money and power of a whole cluster; None where any part of it is unknown."""

    purchase: Bounds | None
    """Nodes and network, USD."""
    network: Decimal
    """Of that the network, USD; the same in all three."""
    hourly: Decimal | None
    """Rent, USD per hour; the network is in the rent."""
    power: float | None
    """Full load at the wall, W."""
    rack_units: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """So many rented nodes of one type that together hold the devices asked for."""

    node: Node
    count: int
    hourly: Decimal
    """USD per hour of all of them."""


def network_cost(network: Network | None, machines: int, machines_without_adapter: int) -> Decimal:
    """USD to join `machines`: adapters, cables, and switches beyond `direct` machines.

    adapter * machines without one + cable * machines + switch * ceil(machines / ports), the last
    only where machines > direct. One machine costs nothing.
    """
    if machines <= 1 or network is None:
        return Decimal(0)
    cost = network.adapter * machines_without_adapter + network.cable * machines
    if machines > network.direct:
        cost += network.switch * -(-machines // network.ports)
    return cost


def machines_of(nodes: Nodes) -> int:
    """Machines in all nodes; a linked pair counts as two."""
    return sum(node.machines * count for node, count in nodes)


def adapters_needed(network: Network, nodes: Nodes) -> int:
    """Machines whose price does not include an adapter for `network`."""
    return sum(
        node.machines * count for node, count in nodes if network.name not in node.built_in_networks
    )


def joining_cost(network: Network | None, nodes: Nodes) -> Decimal:
    """USD of the network between `nodes`; a single node, linked pair or not, has it inside."""
    if network is None or sum(count for _, count in nodes) <= 1:
        return Decimal(0)
    return network_cost(network, machines_of(nodes), adapters_needed(network, nodes))


def cluster_cost(catalog: Catalog, nodes: Nodes, network: Network | None) -> ClusterCost:
    """Price, rent, power and rack units of `nodes` joined by `network`."""
    joining = joining_cost(network, nodes)
    bounds = [(purchase_bounds(catalog, node), count) for node, count in nodes]
    rents = [(hourly(catalog, node), count) for node, count in nodes]
    known = [(bound, count) for bound, count in bounds if bound is not None]
    rented = [(rent, count) for rent, count in rents if rent is not None]
    purchase = None
    if len(known) == len(bounds):
        low, mid, high = (
            sum((bound[case] * count for bound, count in known), joining) for case in range(3)
        )
        purchase = (low, mid, high)
    rent = sum((price * count for price, count in rented), Decimal(0))
    return ClusterCost(
        purchase=purchase,
        network=joining,
        hourly=rent if len(rented) == len(rents) else None,
        power=_total([(node.power, count) for node, count in nodes]),
        rack_units=_total([(node.rack_units, count) for node, count in nodes]),
    )


def electricity_per_hour(
    power: float,
    *,
    usd_per_kwh: Decimal = USD_PER_KWH,
    overhead: Decimal = POWER_OVERHEAD,
    load: Decimal = LOAD,
) -> Decimal:
    """USD per hour: power / 1000 * load * overhead * price of a kWh."""
    return Decimal(str(power)) / 1000 * load * overhead * usd_per_kwh


def electricity_per_month(
    power: float,
    *,
    usd_per_kwh: Decimal = USD_PER_KWH,
    overhead: Decimal = POWER_OVERHEAD,
    load: Decimal = LOAD,
) -> Decimal:
    """USD per month of 730 hours; see `electricity_per_hour`."""
    return HOURS_PER_MONTH * electricity_per_hour(
        power, usd_per_kwh=usd_per_kwh, overhead=overhead, load=load
    )


def break_even_hours(
    purchase: Decimal, rent: Decimal, running: Decimal = Decimal(0)
) -> Decimal | None:
    """Hours of use after which buying is cheaper than renting: purchase / (rent - running).

    None where renting costs no more per hour than `running` the bought machine.
    """
    saved = rent - running
    return purchase / saved if saved > 0 else None


def rent_of(
    catalog: Catalog, gpu: str, devices: int, *, max_nodes: int | None = None
) -> list[Offer]:
    """Rented node types with this GPU, as many whole nodes as hold `devices`, cheapest first.

    Types without a price, and those that need more than `max_nodes`, are left out.
    """
    offers = []
    for node in catalog.nodes.values():
        if node.kind != "rented" or node.gpu != gpu:
            continue
        count = -(-devices // node.gpus)
        price = hourly(catalog, node)
        if price is not None and (max_nodes is None or count <= max_nodes):
            offers.append(Offer(node=node, count=count, hourly=price * count))
    return sorted(offers, key=lambda offer: (offer.hourly, offer.node.name))


def _total(parts: Sequence[tuple[float | None, int]]) -> float | None:
    known = [value * count for value, count in parts if value is not None]
    return sum(known) if len(known) == len(parts) else None
