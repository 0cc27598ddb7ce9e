"""The cluster of a plan with its prices, and what it costs as a whole, USD."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from planner import cost
from planner.catalog import prices
from planner.catalog.load import Catalog
from planner.catalog.schema import Network
from planner.plan import ClusterNode, Cost
from planner.values import Range


def cluster_of(catalog: Catalog, counts: Mapping[str, int]) -> tuple[ClusterNode, ...]:
    """Each node type of the cluster with its prices."""
    found = []
    for name, count in counts.items():
        node = catalog.node(name)
        gpu = catalog.gpu(node.gpu)
        price = prices.purchase_quote(catalog, node)
        rent = prices.hourly_quote(catalog, node)
        shown = price or rent
        found.append(
            ClusterNode(
                node_type=name,
                title=node.title,
                count=count,
                machines=node.machines,
                gpu=gpu.name,
                gpus_per_node=node.gpus,
                family=gpu.family,
                purchase_usd=None if price is None else float(price.mid),
                purchase_low_usd=None if price is None else float(price.low),
                purchase_high_usd=None if price is None else float(price.high),
                hourly_usd=None if rent is None else float(rent.mid),
                price_source="none" if shown is None else shown.source,
                price_date=None if shown is None else shown.date.isoformat(),
                power_w=node.power,
                rack_units=node.rack_units,
                setting_command=None if gpu.setting is None else gpu.setting.command,
            )
        )
    return tuple(found)


def cost_of(
    catalog: Catalog,
    counts: Mapping[str, int],
    network: Network | None,
    *,
    budget: Decimal | None = None,
    rented: bool = False,
) -> Cost:
    """Money and power of the whole cluster; a sum is null where a part has no figure."""
    nodes = [(catalog.node(name), count) for name, count in counts.items()]
    whole = cost.cluster_cost(catalog, nodes, network)
    low, mid, high = whole.purchase or (None, None, None)
    spent = whole.hourly if rented else mid
    return Cost(
        purchase_usd=_usd(mid),
        purchase_low_usd=_usd(low),
        purchase_high_usd=_usd(high),
        network_usd=float(whole.network),
        network=None if network is None else network.name,
        hourly_usd=_usd(whole.hourly),
        power_w=whole.power,
        rack_units=whole.rack_units,
        remaining_usd=None if budget is None or spent is None else float(budget - spent),
    )


def rent_of(catalog: Catalog, counts: Mapping[str, int]) -> Range | None:
    """Rent of the same devices on demand, USD per hour: dearest, middle and cheapest offer.

    None where nobody rents one of the device models.
    """
    totals = [Decimal(0)] * 3
    for name, count in counts.items():
        node = catalog.node(name)
        offers = [
            offer.hourly
            for offer in cost.rent_of(catalog, node.gpu, count * node.gpus)
            if prices.on_demand(catalog, offer.node)
        ]
        if not offers:
            return None
        cases = (offers[-1], offers[(len(offers) - 1) // 2], offers[0])
        totals = [total + case for total, case in zip(totals, cases, strict=True)]
    low, best, high = map(float, totals)
    return Range(low=low, best=best, high=high)


def _usd(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
