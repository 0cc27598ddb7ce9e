"""Plan to launch files for SGLang: `sglang serve` on every machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from planner.engines.sglang import command_line
from planner.export import serving
from planner.export.serving.dialect import HEAD, Dialect, Port
from planner.plan import Layout, Plan

__all__ = ["DIALECT", "export_sglang", "files"]

MEETING = Port(
    name="DIST_PORT",
    number=25000,
    purpose="Where the processes of all machines find each other; the next six ports are used too.",
)


def _node_arguments(layout: Layout, node: int, devices: Sequence[int]) -> tuple[str, ...]:
    return command_line.node_arguments(layout, node, devices, address=HEAD, port=MEETING.reference)


DIALECT = Dialect(
    name="sglang",
    title="SGLang",
    program="sglang",
    model='serve --model-path "$MODEL"',
    host_variable="SGLANG_HOST_IP",
    ports=(MEETING,),
    arguments=command_line.server_arguments,
    node_arguments=_node_arguments,
    environment=command_line.environment,
    replicas_apart=False,
    followers_listen=True,
    stopping="Stop the head first: the others wait for its word, and then end.",
)


def export_sglang(
    plan: Plan, directory: Path, hosts: Mapping[str, str], *, force: bool
) -> tuple[Path, ...]:
    """Writes the launch files of `plan` into `directory`; see `export_serving`."""
    return serving.export_serving(plan, directory, hosts, DIALECT, force=force)


def files(plan: Plan, hosts: Mapping[str, str]) -> dict[str, str]:
    """Name and text of every launch file, scripts first and the head's before the others."""
    return serving.files(plan, hosts, DIALECT)
