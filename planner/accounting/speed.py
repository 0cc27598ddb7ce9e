"""The speed of a split, seconds, and the case a minimum speed is judged by."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from planner.accounting.devices import Assigned
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, Network, Node
from planner.performance import calibration, estimate, roofline
from planner.performance.prefill import Stage
from planner.plan import Performance, Prefill
from planner.subject import Subject
from planner.values import Range

PREFILL_TOKENS = (4_000, 100_000)
"""Prompts whose time to first token every answer gives."""


def slot_seconds(subject: Subject, gpu: Gpu, depth: int) -> tuple[Range, ...]:
    """Seconds per slot of one token with `depth` tokens cached."""
    return roofline.slot_seconds(
        subject.architecture,
        subject.weights,
        gpu,
        depth=depth,
        kv_type=subject.settings.key_type,
    )


def inner_network(catalog: Catalog, node: Node) -> Network | None:
    """What joins neighbouring devices of a node: None inside a machine."""
    return None if node.machines == 1 else catalog.networks[node.built_in_networks[0]]


def inner_hop(catalog: Catalog, node: Node) -> Range:
    """Seconds of one hop between neighbouring devices of a node."""
    network = inner_network(catalog, node)
    return roofline.local_hop() if network is None else roofline.network_hop(network)


def stages_of(
    catalog: Catalog, split: Sequence[Assigned], network: Network | None
) -> tuple[list[Stage], list[Network | None]]:
    """Devices with their slots, and what joins each to the next; None inside a machine."""
    used = [device for device in split if device.stop > device.first]
    stages = [(catalog.gpu(catalog.node(d.node).gpu), d.first, d.stop) for d in used]
    joins: list[Network | None] = []
    for before, device in itertools.pairwise(used):
        if (before.node, before.number) == (device.node, device.number):
            joins.append(inner_network(catalog, catalog.node(device.node)))
        else:
            joins.append(network)
    return stages, joins


def performance_of(
    subject: Subject,
    catalog: Catalog,
    split: Sequence[Assigned],
    network: Network | None,
    input_tokens: int,
) -> tuple[Performance, ...]:
    """Speed at the workload's depth and with every context full."""
    stages, joins = stages_of(catalog, split, network)
    return tuple(
        estimate.performance_of(
            subject.architecture,
            subject.weights,
            stages,
            joins,
            depth=depth,
            input_tokens=min(input_tokens, subject.context),
            kv_type=subject.settings.key_type,
            ubatch=subject.settings.step_tokens,
            users=subject.concurrency,
        )
        for depth in dict.fromkeys((subject.depth, subject.context))
    )


def prefills_of(
    subject: Subject, catalog: Catalog, split: Sequence[Assigned], network: Network | None
) -> tuple[Prefill, ...]:
    """Time to first token of a 4k and a 100k prompt, as far as the context holds them."""
    stages, joins = stages_of(catalog, split, network)
    return tuple(
        estimate.prefill_of(
            subject.architecture,
            subject.weights,
            stages,
            joins,
            tokens=tokens,
            ubatch=subject.settings.step_tokens,
        )
        for tokens in dict.fromkeys(min(tokens, subject.context) for tokens in PREFILL_TOKENS)
    )


def floor_case(subject: Subject, gpu: Gpu) -> Literal["low", "best"]:
    """The case a minimum speed is judged by: `low` where calibrated, `best` where not."""
    return "low" if calibration.is_calibrated(subject.architecture, gpu) else "best"


def floor_seconds(
    subject: Subject, catalog: Catalog, split: Sequence[Assigned], network: Network | None
) -> float:
    """Seconds per token at the workload's depth, each part in the case it is judged by.

    Hops between machines are a prior, so they count as best.
    """
    stages, joins = stages_of(catalog, split, network)
    total = 0.0
    for gpu, first, stop in stages:
        case = floor_case(subject, gpu)
        times = slot_seconds(subject, gpu, subject.depth)
        total += sum(getattr(times[slot], case) for slot in range(first, stop))
    for (gpu, _, _), join in zip(stages[1:], joins, strict=True):
        if join is None:
            total += getattr(roofline.local_hop(), floor_case(subject, gpu))
        else:
            total += roofline.network_hop(join).best
    return total
