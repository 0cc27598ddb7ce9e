"""Which machine of a plan runs which ranks, and where it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from planner.errors import EngineError
from planner.export.machines import (
    LOOPBACK,
    VISIBLE_VARIABLE,
    check_hosts,
    check_name,
    cluster_entry,
    family_of,
    number_on_machine,
)
from planner.export.serving.dialect import Dialect
from planner.export.serving.grid import engine_of, layout_of, ranks_of
from planner.plan import Device, Layout, Plan, Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine and the devices of it that hold a part of the model."""

    number: int
    """Order of its ranks, from 1; the first is the head, which answers requests."""
    name: str
    family: str
    address: str
    devices: tuple[Device, ...]
    visible: tuple[int, ...]
    """Numbers of these devices on the machine, in rank order."""
    setting_command: str | None

    @property
    def head(self) -> bool:
        """Whether it holds the first ranks and answers requests."""
        return self.number == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A plan as its launch files start it."""

    engine: Serving
    layout: Layout
    machines: tuple[Machine, ...]
    common: tuple[str, ...]
    """Arguments of all machines."""
    own: tuple[tuple[str, ...], ...]
    """Arguments of each machine."""

    @property
    def several(self) -> bool:
        """Whether there is more than one machine."""
        return len(self.machines) > 1


def deployment_of(plan: Plan, hosts: Mapping[str, str], dialect: Dialect) -> Deployment:
    """What the launch files of a plan start.

    Args:
        plan: a plan for the dialect's engine.
        hosts: machine to address; the others stay on loopback.
        dialect: the engine's command line.

    Raises:
        EngineError: the plan is for another engine, or says what this one cannot do.
        UnknownName: `hosts` names a machine the plan does not have.
        RequestError: an address that is none.
    """
    engine = engine_of(plan, dialect)
    ranks = ranks_of(plan, dialect)
    layout = layout_of(plan, ranks)
    runs = [(name, tuple(run)) for name, run in groupby(ranks, lambda device: device.node)]
    names = [name for name, _ in runs]
    for name in names:
        if names.count(name) > 1:
            raise EngineError(
                f"the ranks of {name} do not follow each other",
                hint="'plan verify' says what is wrong with the plan; make it again",
            )
    check_hosts(plan, names, hosts)
    machines = tuple(
        _machine(plan, number, devices, hosts.get(name, LOOPBACK))
        for number, (name, devices) in enumerate(runs, 1)
    )
    _check_families(machines, dialect)
    sizes = [len(devices) for _, devices in runs]
    return Deployment(
        engine=engine,
        layout=layout,
        machines=machines,
        common=dialect.arguments(engine, layout),
        own=tuple(dialect.node_arguments(layout, node, sizes) for node in range(len(sizes))),
    )


def _machine(plan: Plan, number: int, devices: tuple[Device, ...], address: str) -> Machine:
    name = devices[0].node
    check_name(name)
    entry = cluster_entry(plan, name)
    visible = tuple(number_on_machine(entry, device) for device in devices)
    if len(set(visible)) < len(visible):
        raise EngineError(
            f"two ranks of {name} are on one device: {', '.join(device.id for device in devices)}",
            hint="'plan verify' says what is wrong with the plan; make it again",
        )
    return Machine(
        number=number,
        name=name,
        family=family_of(entry),
        address=address,
        devices=devices,
        visible=visible,
        setting_command=entry.setting_command,
    )


def _check_families(machines: tuple[Machine, ...], dialect: Dialect) -> None:
    """Refuses devices the engine has no kernels for, and machines that do not go together."""
    families = tuple(dict.fromkeys(machine.family for machine in machines))
    if len(families) > 1 or families[0] not in VISIBLE_VARIABLE:
        raise EngineError(
            f"{dialect.title} runs on devices of one family, {' or '.join(VISIBLE_VARIABLE)}, "
            f"not on {' and '.join(families)}",
            hint="plan with devices of one of them, e.g. --only them",
        )
