"""Which machine of a plan runs what under llama.cpp: devices in pipeline order, names, addresses.

Everything a plan file says is checked before it gets near a script; what the engine cannot
express is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.engines.llama_cpp.command_line import device_name
from planner.engines.llama_cpp.rules import MAX_DEVICES
from planner.errors import EngineError
from planner.export.machines import (
    LOOPBACK,
    check_hosts,
    check_name,
    cluster_entry,
    devices_per_machine,
    family_of,
    number_on_machine,
)
from planner.plan import Device, LlamaCpp, Plan

FIRST_RPC_PORT = 25052
"""Port of the first device; the others count up. Below the ports systems give to clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One device with its part of the model."""

    number: int
    """Place in the pipeline, from 1: `DEVICE_<number>` in devices.env."""
    device: Device
    name: str
    """What the engine calls it on its machine."""
    endpoint: str | None
    """`address:port` of its ggml-rpc-server; None where llama-server uses it directly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine and the devices of it that hold a part of the model."""

    number: int
    """Order in the pipeline, from 1; the first is the head, which runs llama-server."""
    name: str
    family: str
    address: str
    served: tuple[Served, ...]
    visible: tuple[int, ...]
    """Numbers of the machine's GPUs that device names count."""
    setting_command: str | None

    @property
    def head(self) -> bool:
        """Whether it holds the first layers and runs llama-server."""
        return self.number == 1


def machines_of(plan: Plan, hosts: Mapping[str, str]) -> tuple[Machine, ...]:
    """The machines of `plan` in pipeline order, the head first; idle ones are left out.

    Args:
        plan: a plan of one replica, cut into layers.
        hosts: machine to address; the others stay on loopback.

    Raises:
        EngineError: the plan is for another engine, or cut in a way llama.cpp cannot follow.
        UnknownName: `hosts` names a machine the plan does not have.
        RequestError: an address that is none.
    """
    stages = _stages(plan)
    names = tuple(dict.fromkeys(device.node for device in stages))
    check_hosts(plan, names, hosts)
    return tuple(
        _machine(plan, stages, number, name, hosts.get(name, LOOPBACK))
        for number, name in enumerate(names, 1)
    )


def _machine(plan: Plan, stages: Sequence[Device], number: int, name: str, address: str) -> Machine:
    check_name(name)
    entry = cluster_entry(plan, name)
    family = family_of(entry)
    served = tuple(
        Served(
            number=place,
            device=device,
            name=device_name(family, number_on_machine(entry, device)),
            endpoint=None if number == 1 else f"{address}:{FIRST_RPC_PORT + place - 1}",
        )
        for place, device in enumerate(stages, 1)
        if device.node == name
    )
    return Machine(
        number=number,
        name=name,
        family=family,
        address=address,
        served=served,
        visible=tuple(range(devices_per_machine(entry))),
        setting_command=entry.setting_command,
    )


def engine_of(plan: Plan) -> LlamaCpp:
    """The plan's settings.

    Raises:
        EngineError: they are another engine's.
    """
    if not isinstance(plan.engine, LlamaCpp):
        raise EngineError(
            f"the plan is for {plan.engine.name}, not for llama.cpp",
            hint=f"write its launch files with 'plan export {plan.engine.name}'",
        )
    return plan.engine


def _stages(plan: Plan) -> tuple[Device, ...]:
    """The devices that hold a part of the model, in pipeline order."""
    engine_of(plan)
    layout = plan.layout
    for degree in ("tensor_parallel", "expert_parallel", "data_parallel", "replicas"):
        if getattr(layout, degree) != 1:
            raise EngineError(
                f"{degree} is {getattr(layout, degree)}: the launch files split by layers only",
                hint="make a plan of one replica, split by layers",
            )
    used = [device for device in plan.devices if device.slots > 0]
    if not 1 <= len(used) <= MAX_DEVICES:
        raise EngineError(
            f"llama.cpp takes 1 to {MAX_DEVICES} devices, the plan uses {len(used)}",
            hint="plan with larger devices, e.g. --only them",
        )
    stages = sorted(used, key=lambda device: -1 if device.stage is None else device.stage)
    problem = _out_of_order(stages, plan.model.layers)
    if problem:
        raise EngineError(
            f"the plan's devices are no pipeline: {problem}",
            hint="'plan verify' says what is wrong with it; make it again",
        )
    return tuple(stages)


def _out_of_order(stages: Sequence[Device], layers: int) -> str:
    """Why the devices do not hold every layer once, in order, and the output last; or nothing."""
    following = 0
    for place, device in enumerate(stages):
        if device.stage != place:
            return f"device {place + 1} is {device.id} of stage {device.stage}"
        if device.first_layer is None or device.last_layer is None:
            held = 0
        elif device.first_layer != following or device.last_layer < following:
            return f"{device.id} starts at layer {device.first_layer}, not {following}"
        else:
            held = device.last_layer + 1 - following
        following += held
        last = place == len(stages) - 1
        if device.output != last:
            return f"{device.id} {'lacks' if last else 'has'} the output"
        if device.slots < held + device.output:
            return f"{device.id} has {device.slots} slots for {held} layers"
        if device.slots > held and not last and following < layers:
            return f"{device.id} has {device.slots} slots for {held} layers"
    return "" if following == layers else f"{following} of {layers} layers are placed"
