"""What evaluations of any engine have in common."""

from __future__ import annotations

from planner.plan import Body, Solver
from planner.request import PlanRequest

WORKLOAD = PlanRequest(model="")
"""The workload that speeds are given for."""
NOT_SOLVED = Solver(
    status="evaluated",
    objective=None,
    bound=None,
    gap=None,
    unit="",
    space="the layout as named",
    deterministic_time=0.0,
    seed=0,
)


def warnings_of(body: Body) -> list[str]:
    """Settings of machines that must be made first, and devices that hold nothing."""
    lines = [
        f"{entry.node_type}: run `{entry.setting_command}` first"
        for entry in body.cluster
        if entry.setting_command
    ]
    idle = sum(device.slots == 0 for device in body.devices)
    if idle:
        lines.append("1 device holds nothing" if idle == 1 else f"{idle} devices hold nothing")
    return lines
