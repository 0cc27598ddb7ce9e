"""Plan to launch files for vLLM: `vllm serve` on every machine, without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from planner.engines.vllm import command_line
from planner.export import serving
from planner.export.serving.dialect import HEAD, Dialect, Port
from planner.plan import Layout, Plan

__all__ = ["DIALECT", "export_vllm", "files"]

MASTER = Port(
    name="MASTER_PORT", number=29501, purpose="Where the processes of all machines find each other."
)
RPC = Port(
    name="RPC_PORT",
    number=29550,
    purpose="Where replicas of other machines ask the head for their settings.",
)


def _node_arguments(layout: Layout, node: int, devices: Sequence[int]) -> tuple[str, ...]:
    return command_line.node_arguments(
        layout, node, devices, address=HEAD, port=MASTER.reference, rpc_port=RPC.reference
    )


DIALECT = Dialect(
    name="vllm",
    title="vLLM",
    program="vllm",
    model='serve "$MODEL"',
    host_variable="VLLM_HOST_IP",
    ports=(MASTER, RPC),
    arguments=command_line.server_arguments,
    node_arguments=_node_arguments,
    environment=command_line.environment,
    replicas_apart=True,
    followers_listen=False,
    stopping="When one ends, stop the others too.",
)


def export_vllm(
    plan: Plan, directory: Path, hosts: Mapping[str, str], *, force: bool
) -> tuple[Path, ...]:
    """Writes the launch files of `plan` into `directory`; see `export_serving`."""
    return serving.export_serving(plan, directory, hosts, DIALECT, force=force)


def files(plan: Plan, hosts: Mapping[str, str]) -> dict[str, str]:
    """Name and text of every launch file, scripts first and the head's before the others."""
    return serving.files(plan, hosts, DIALECT)
