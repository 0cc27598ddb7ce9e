"""A cluster somebody names, as a problem: its most balanced split, whether or not it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner.accounting import Assigned, capacity_of
from planner.catalog.load import Catalog
from planner.catalog.schema import Network, Node
from planner.errors import EngineError, RequestError
from planner.solver.formulate import assigned, joint_of, kind_of, option_of, problem_of
from planner.solver.partition import most_balanced
from planner.solver.problem import Kind, Limits, Pick
from planner.subject import Subject

_MANY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Devices with their slots, and the free bytes of the tightest."""

    devices: tuple[Assigned, ...]
    headroom: int


Nodes = Sequence[tuple[Node, int]]


def check_memory(catalog: Catalog, nodes: Nodes) -> None:
    """Refuses devices of unknown memory.

    Raises:
        EngineError: nobody has published the memory of a device.
    """
    for node, _ in nodes:
        gpu = catalog.gpu(node.gpu)
        if capacity_of(gpu) is None:
            raise EngineError(
                f"{gpu.title}: nobody has published the memory its driver reports",
                hint="give it in an overlay: --catalog DIR with usable_memory",
            )


def network_between(catalog: Catalog, nodes: Nodes) -> Network | None:
    """The fastest network that all nodes can join; None for a single node.

    Raises:
        RequestError: nothing joins them.
    """
    if sum(count for _, count in nodes) == 1:
        return None
    shared = set.intersection(*(set(node.networks) for node, _ in nodes))
    if not shared:
        names = ", ".join(node.name for node, _ in nodes)
        raise RequestError(
            f"no network of the catalog joins {names}",
            hint="'plan nodes show NAME' lists the networks of a node",
        )
    rows = (catalog.networks[name] for name in shared)
    return min(rows, key=lambda row: (row.hop_best, -row.bandwidth_per_direction, row.name))


def balanced(
    catalog: Catalog, subject: Subject, nodes: Nodes, network: Network | None
) -> Split | None:
    """The split with most headroom on its tightest device; None with more devices than slots.

    Raises:
        EngineError: the memory of a device is not known.
    """
    check_memory(catalog, nodes)
    kinds: dict[str, int] = {}
    rows: list[Kind] = []
    options = []
    for node, count in nodes:
        gpu = catalog.gpu(node.gpu)
        if gpu.name not in kinds:
            kinds[gpu.name] = len(rows)
            rows.append(kind_of(subject, gpu))
        options.append(option_of(catalog, subject, node, kinds[gpu.name], price=0, stock=count))
    limits = Limits(
        budget=None,
        floor=None,
        machines=_MANY,
        devices=subject.max_devices,
        mixed_families=True,
    )
    problem = problem_of(catalog, subject, rows, options, limits)
    picks = tuple(Pick(index, count) for index, (_, count) in enumerate(nodes))
    placement = most_balanced(problem, picks, None if network is None else joint_of(network))
    if placement is None:
        return None
    return Split(devices=assigned(problem, placement), headroom=placement.headroom)
