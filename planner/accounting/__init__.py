"""From a cluster and a split to the numbers of a plan: memory, money, speed. No choices here.

Used by the solver to write its answer, by `evaluate`, and, device by device, by `verify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from planner.accounting.devices import (
    ASSUMED_RESERVED,
    TIGHT_SHARE,
    Assigned,
    Capacity,
    capacity_assumptions,
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
from planner.model.parameters import active_parameters
from planner.plan import Body, Layout, LlamaCpp, ModelSummary, Solver
from planner.subject import Subject

if TYPE_CHECKING:
    from planner.served import Served

__all__ = [
    "ASSUMED_RESERVED",
    "TIGHT_SHARE",
    "Assigned",
    "Capacity",
    "body",
    "capacity_assumptions",
    "capacity_of",
    "cluster_of",
    "cost_of",
    "device_budget",
    "devices_of",
    "engine_of",
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
    "summary",
    "verdict_of",
]


def summary(subject: Subject | Served) -> ModelSummary:
    """The model as planned."""
    return ModelSummary(
        name=subject.row.name,
        quant=subject.quantization.name,
        parameters=subject.row.parameters,
        active_parameters=active_parameters(subject.architecture),
        layers=subject.architecture.depth,
        file_bytes=subject.file_bytes,
        context=subject.context,
        concurrency=subject.concurrency,
    )


def engine_of(subject: Subject) -> LlamaCpp:
    """llama.cpp with the settings a subject is planned with."""
    settings = subject.settings
    return LlamaCpp(
        build=subject.build.name,
        context=settings.context,
        slots=settings.slots,
        ubatch=settings.ubatch,
        batch=settings.batch,
        flash_attention=settings.flash_attention,
        kv_type=settings.key_type,
        swa_full=settings.swa_full,
    )


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
