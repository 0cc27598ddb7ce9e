"""Variables and constraints of the aggregated integer program of one scenario.

Nodes of each type, slots of each size on them; counts only, no device variables, so no symmetry.
Rounding is outward (needs down, room up), so what they allow contains every plan.
Units: MiB for memory, nanoseconds for time, 1/1,000,000 USD for money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ortools.sat.python import cp_model

from planner.solver.problem import Joint, Mode, Problem

_MIB = 2**20

Expression = cp_model.LinearExpr | cp_model.IntVar | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way to join nodes, and the options that can be joined so."""

    joint: Joint
    options: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Slots that are alike in size and in time on every device."""

    count: int
    size: int
    """Bytes of weights and cache."""
    sample: int
    """One slot of the group."""


@dataclass(frozen=True, kw_only=True)
class Variables:
    """The variables of one master; lists run over the scenario's options."""

    nodes: list[cp_model.IntVar]
    devices: list[cp_model.IntVar]
    slots: list[list[cp_model.IntVar]]
    """Slots of each group on each option."""
    light: list[cp_model.IntVar]
    """Devices of each option that hold no transformer block proper."""
    surplus: cp_model.IntVar
    """Whether more devices are bought than one process can use."""
    switched: cp_model.IntVar
    """Whether more machines are joined than can be without a switch."""


Constraint = Callable[[cp_model.CpModel, Variables, Problem, Scenario, list[Group]], None]


def groups(problem: Problem, scenario: Scenario) -> list[Group]:
    """The slots of a problem by size and time, the first of each kind as its sample."""
    kinds = sorted({problem.options[index].kind for index in scenario.options})
    times = [line for k in kinds for line in (problem.kinds[k].best, problem.kinds[k].floor)]
    found: dict[tuple[int, ...], list[int]] = {}
    for slot, size in enumerate(problem.sizes):
        profile = (size, *(line[slot + 1] - line[slot] for line in times))
        found.setdefault(profile, []).append(slot)
    return [
        Group(count=len(slots), size=profile[0], sample=slots[0])
        for profile, slots in found.items()
    ]


def variables(
    model: cp_model.CpModel, problem: Problem, scenario: Scenario, parts: list[Group]
) -> Variables:
    """All variables of a master, named."""
    limits = problem.limits
    nodes, devices, slots, light = [], [], [], []
    for index in scenario.options:
        option = problem.options[index]
        most = min(option.stock, limits.machines // option.machines)
        nodes.append(model.new_int_var(0, most, f"nodes[{option.name}]"))
        top = min(limits.devices, most * option.gpus)
        devices.append(model.new_int_var(0, top, f"devices[{option.name}]"))
        slots.append(
            [
                model.new_int_var(0, part.count, f"slots[{option.name},{number}]")
                for number, part in enumerate(parts)
            ]
        )
        light.append(model.new_int_var(0, len(_light_slots(problem)), f"light[{option.name}]"))
    return Variables(
        nodes=nodes,
        devices=devices,
        slots=slots,
        light=light,
        surplus=model.new_bool_var("surplus"),
        switched=model.new_bool_var("switched"),
    )


def every_slot_placed(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Sum over options of slots[k, c] = count of group c."""
    for number, part in enumerate(parts):
        model.add(sum(row[number] for row in v.slots) == part.count)


def several_nodes(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """A scenario joins at least two nodes; single nodes are decided in closed form."""
    model.add(sum(v.nodes) >= 2)


def machines_within_limit(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Machines of all nodes <= the limit per replica, and <= the ports of one switch."""
    most = problem.limits.machines
    if scenario.joint.ports:
        most = min(most, max(scenario.joint.ports, scenario.joint.direct))
    model.add(_machines(v, problem, scenario) <= most)


def devices_of_nodes(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Each node gives at least one and at most its devices; all of them, unless too many.

    surplus = 0: sum devices = sum gpus x nodes <= limit; surplus = 1: sum devices = limit.
    """
    limit = problem.limits.devices
    bought: list[Expression] = []
    for row, index in enumerate(scenario.options):
        gpus = problem.options[index].gpus
        model.add(v.devices[row] >= v.nodes[row])
        model.add(v.devices[row] <= gpus * v.nodes[row])
        bought.append(gpus * v.nodes[row])
    used = sum(v.devices)
    model.add(used == sum(bought)).only_enforce_if(~v.surplus)
    model.add(used == limit).only_enforce_if(v.surplus)
    model.add(sum(bought) > limit).only_enforce_if(v.surplus)


def devices_within_limit(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Devices that take part <= what one engine process can use."""
    model.add(sum(v.devices) <= problem.limits.devices)


def slots_on_devices(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Devices <= slots <= longest window x devices, per option: no device is idle or overfull."""
    mode = _mode(problem)
    for row, index in enumerate(scenario.options):
        placed = sum(v.slots[row])
        longest = problem.windows(problem.options[index].kind, mode).longest
        model.add(placed >= v.devices[row])
        model.add(placed <= longest * v.devices[row])


def large_slots_on_devices(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """For every size: slots at least that large <= most of them in one window x devices.

    Redundant, but what `slots_on_devices` misses where a few slots are small: a device that holds
    six layers with a small one among them holds only five large ones.
    """
    mode = _mode(problem)
    for size in sorted({part.size for part in parts})[1:]:
        large = [part.size >= size for part in parts]
        for row, index in enumerate(scenario.options):
            most = problem.most_large(problem.options[index].kind, mode, size)
            held = sum(
                count for count, is_large in zip(v.slots[row], large, strict=True) if is_large
            )
            model.add(held <= most * v.devices[row])


def memory_within_capacity(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Sizes of the slots on an option + the least compute of each device <= their capacity.

    A device with the output or MTP blocks alone computes next to nothing: as many devices as there
    are such slots go without.
    """
    overhead = _least_overhead(problem)
    model.add(sum(v.light) <= len(_light_slots(problem)))
    for row, index in enumerate(scenario.options):
        kind = problem.kinds[problem.options[index].kind]
        weights = sum(
            part.size // _MIB * count for part, count in zip(parts, v.slots[row], strict=True)
        )
        room = max(-(-kind.capacity // _MIB) - overhead, 0)
        model.add(v.light[row] <= v.devices[row])
        model.add(weights <= room * v.devices[row] + overhead * v.light[row])


def fast_enough(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Time per token in the floor case <= the limit."""
    if problem.limits.floor is not None:
        model.add(time_of(v, problem, scenario, parts, floor=True) <= problem.limits.floor)


def as_fast_as(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Time per token in the best case <= the limit (set where a tie is broken)."""
    if problem.limits.best is not None:
        model.add(time_of(v, problem, scenario, parts, floor=False) <= problem.limits.best)


def switch_when_needed(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Machines <= direct, unless a switch is bought."""
    joint = scenario.joint
    machines = _machines(v, problem, scenario)
    model.add(machines <= joint.direct).only_enforce_if(~v.switched)


def within_budget(
    model: cp_model.CpModel, v: Variables, problem: Problem, scenario: Scenario, parts: list[Group]
) -> None:
    """Nodes, adapters, cables and switch <= budget."""
    if problem.limits.budget is not None:
        model.add(money_of(v, problem, scenario) <= problem.limits.budget)


CONSTRAINTS: tuple[Constraint, ...] = (
    every_slot_placed,
    several_nodes,
    machines_within_limit,
    devices_of_nodes,
    devices_within_limit,
    slots_on_devices,
    large_slots_on_devices,
    memory_within_capacity,
    fast_enough,
    as_fast_as,
    switch_when_needed,
    within_budget,
)


def _mode(problem: Problem) -> Mode:
    return problem.mode(2, 2)


def _machines(v: Variables, problem: Problem, scenario: Scenario) -> Expression:
    return sum(
        problem.options[index].machines * count
        for index, count in zip(scenario.options, v.nodes, strict=True)
    )


def _light_slots(problem: Problem) -> list[int]:
    """The output, and blocks that are not loaded."""
    last = problem.slots - 1
    return [slot for slot, size in enumerate(problem.sizes) if not size or slot == last]


def _least_overhead(problem: Problem) -> int:
    """Least MiB a device needs beyond the sizes of its slots if it has a block proper."""
    light = set(_light_slots(problem))
    return min(
        (problem.need_bytes(slot, slot + 1, _mode(problem)) - problem.sizes[slot]) // _MIB
        for slot in range(problem.slots)
        if slot not in light
    )


def time_of(
    v: Variables, problem: Problem, scenario: Scenario, parts: list[Group], *, floor: bool
) -> Expression:
    """Nanoseconds per token: slots, hops inside nodes, hops between nodes."""
    joint = scenario.joint
    hop = joint.floor if floor else joint.best
    terms: list[Expression] = [hop * (sum(v.nodes) - 1)]
    for row, index in enumerate(scenario.options):
        option = problem.options[index]
        kind = problem.kinds[option.kind]
        line = kind.floor if floor else kind.best
        inner = option.inner_floor if floor else option.inner_best
        terms.append(inner * (v.devices[row] - v.nodes[row]))
        terms.extend(
            (line[part.sample + 1] - line[part.sample]) * count
            for part, count in zip(parts, v.slots[row], strict=True)
        )
    return sum(terms)


def money_of(v: Variables, problem: Problem, scenario: Scenario) -> Expression:
    """Money units: nodes, adapters and cables of each, and one switch."""
    joint = scenario.joint
    each = (
        problem.options[index].price + problem.options[index].join_cost(joint.name)
        for index in scenario.options
    )
    nodes = sum(price * count for price, count in zip(each, v.nodes, strict=True))
    return nodes + joint.switch * v.switched
