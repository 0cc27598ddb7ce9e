"""From a cluster and a split to the numbers of a plan: memory, money, speed. No choices here.

Used by the solver to write its answer, by `evaluate`, and, device by device, by `verify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from planner.accounting.devices import (
    ASSUMED_RESERVED,
    TIGHT_SHARE,
    Assigned,
    Capacity,
    capacity_of,
    device_budget,
    devices_of,
    experts_held,
    head_budget,
    head_bytes,
    host_holds,
    hosts_of,
    least_headroom,
    machine_of,
    machines_in,
    memory_assumptions,
    running,
    verdict_of,
)
from planner.accounting.money import cluster_of, cost_of, rent_of
from planner.accounting.speed import (
    floor_case,
    floor_seconds,
    inner_hop,
    inner_network,
    performance_of,
    prefills_of,
    slot_seconds,
    stages_of,
)
from planner.catalog.load import Catalog
from planner.catalog.schema import Network
from planner.plan import Body, Layout, Solver
from planner.subject import Subject

__all__ = [
    "ASSUMED_RESERVED",
    "TIGHT_SHARE",
    "Assigned",
    "Capacity",
    "body",
    "capacity_of",
    "cluster_of",
    "cost_of",
    "device_budget",
    "devices_of",
    "experts_held",
    "floor_case",
    "floor_seconds",
    "head_budget",
    "head_bytes",
    "host_holds",
    "hosts_of",
    "inner_hop",
    "inner_network",
    "least_headroom",
    "machine_of",
    "machines_in",
    "memory_assumptions",
    "performance_of",
    "prefills_of",
    "rent_of",
    "running",
    "slot_seconds",
    "stages_of",
    "verdict_of",
]


def body(
    subject: Subject,
    catalog: Catalog,
    split: Sequence[Assigned],
    network: Network | None,
    solver: Solver,
    *,
    input_tokens: int,
    budget: Decimal | None = None,
    rented: bool = False,
) -> Body:
    """The whole plan body of a split."""
    counts: dict[str, int] = {}
    for name, _ in dict.fromkeys((device.node, device.number) for device in split):
        counts[name] = counts.get(name, 0) + 1
    devices = devices_of(subject, catalog, split)
    return Body(
        cluster=cluster_of(catalog, counts),
        cost=cost_of(catalog, counts, network, budget=budget, rented=rented),
        layout=Layout(pipeline_parallel=sum(device.slots > 0 for device in devices)),
        verdict=verdict_of(devices),
        devices=devices,
        hosts=hosts_of(subject, catalog, split),
        performance=performance_of(subject, catalog, split, network, input_tokens),
        prefill=prefills_of(subject, catalog, split, network),
        solver=solver,
        rent_usd_per_hour=rent_of(catalog, counts),
    )
