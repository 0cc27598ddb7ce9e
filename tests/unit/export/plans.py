"""Plans to export: the example answer of the report tests, its devices known to llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence

from planner.plan import ClusterNode, Device, Plan
from tests.unit.report import example

HEAD = "rtx-pro-6000-server-x4-1"
OTHER = "rtx-pro-6000-server-x4-2"


def plan(family: str = "cuda", **changes: object) -> Plan:
    """Kimi K2 on two machines of four devices, with `changes` to its fields."""
    cluster = tuple(node.model_copy(update={"family": family}) for node in example.CHEAPEST.cluster)
    return example.plan(**{"cluster": cluster, **changes})


def cluster_row(node_type: str, gpus: int, **changes: object) -> ClusterNode:
    """A row of a cluster."""
    row = example.node(node_type, node_type, 1, "gb10", gpus, 1_000, None)
    return row.model_copy(update={"family": "cuda", **changes})


def on(machines: Sequence[tuple[str, int]]) -> tuple[Device, ...]:
    """The example's devices, on these machines and with these numbers instead of their own."""
    return tuple(
        device.model_copy(update={"node": machine, "id": f"{machine}.{number}"})
        for device, (machine, number) in zip(example.CHEAPEST.devices, machines, strict=True)
    )
