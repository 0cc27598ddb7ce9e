"""The list of wrong solvers, each of which some instance must show to be wrong."""

from __future__ import annotations

from planner.solver import constraints, master, partition, search
from tests.solver.mutation import (
    PLENTY,
    TIGHT,
    Mutate,
    always,
    below,
    blind,
    blind_to_joint,
    fewer_options,
    instead,
    joint,
    kinds,
    limited,
    limits,
    no_head,
    no_light_devices,
    one_less,
    one_slot_more,
    only_problem,
    options,
    other_modes,
    returning,
    scaled_need,
    seeing,
    short,
    stock,
    three_nodes,
    tight,
    tightened,
    two_devices_each,
    unlimited,
    zeros,
)

TIGHTER: dict[str, Mutate] = {
    "every_slot_placed: a slot too many": tightened(constraints.every_slot_placed, one_slot_more),
    "several_nodes: three": instead(constraints.several_nodes, three_nodes),
    "machines_within_limit: one less": tightened(
        constraints.machines_within_limit, limits(machines=one_less)
    ),
    "machines_within_limit: a port less": tightened(
        constraints.machines_within_limit, joint(ports=one_less, direct=one_less)
    ),
    "devices_of_nodes: two of each": instead(constraints.devices_of_nodes, two_devices_each),
    "devices_of_nodes: one less usable": tightened(
        constraints.devices_of_nodes, limits(devices=one_less)
    ),
    "devices_of_nodes: one less per node": tightened(
        constraints.devices_of_nodes, only_problem(options(gpus=lambda gpus: max(gpus - 1, 1)))
    ),
    "devices_within_limit: one less": tightened(
        constraints.devices_within_limit, limits(devices=one_less)
    ),
    "slots_on_devices: one less": tightened(constraints.slots_on_devices, only_problem(short)),
    "large_slots_on_devices: one less": tightened(
        constraints.large_slots_on_devices, only_problem(short)
    ),
    "memory_within_capacity: 5 % less": tightened(
        constraints.memory_within_capacity, only_problem(kinds(capacity=tight))
    ),
    "memory_within_capacity: no light devices": instead(
        constraints.memory_within_capacity, no_light_devices
    ),
    "fast_enough: 5 % less": tightened(constraints.fast_enough, limits(floor=tight)),
    "as_fast_as: 5 % less": tightened(constraints.as_fast_as, limits(best=tight)),
    "switch_when_needed: one less": tightened(
        constraints.switch_when_needed, joint(direct=one_less)
    ),
    "within_budget: 5 % less": tightened(constraints.within_budget, limits(budget=tight)),
}


ELSEWHERE: dict[str, Mutate] = {
    "stock: ignored": stock(lambda _: PLENTY),
    "stock: one less": stock(one_less),
    "memory: no need": scaled_need(0),
    "memory: 5 % more": scaled_need(1.05),
    "partition: no padding": seeing(partition, "latency", kinds(padded=lambda _: False)),
    "partition: no extras of the head": seeing(partition, "latency", kinds(head_bytes=no_head)),
    "partition: wrong mode": seeing(partition, "latency", other_modes),
    "partition: no floor": seeing(partition, "latency", unlimited("floor")),
    "partition: floor 5 % less": seeing(partition, "latency", lambda p: limited(p, floor=tight)),
    "partition: no best": seeing(partition, "latency", unlimited("best")),
    "partition: best 5 % less": seeing(partition, "latency", lambda p: limited(p, best=tight)),
    "partition: a device less": seeing(
        partition, "latency", lambda p: limited(p, devices=one_less)
    ),
    "partition: any number of devices": seeing(
        partition, "latency", lambda p: limited(p, devices=lambda _: PLENTY)
    ),
    "partition: never reaches": always(partition, "reaches", False),
    "search: no budget": seeing(search, "assess", unlimited("budget")),
    "search: budget 5 % less": seeing(search, "assess", lambda p: limited(p, budget=tight)),
    "search: cost 5 % more": returning(search, "cost_of", lambda cost: int(cost * 1.05)),
    "search: no single nodes": always(search, "_single_nodes", None),
    "search: first scenario dropped": returning(search, "_scenarios", lambda s: s[1:]),
    "search: last scenario dropped": returning(search, "_scenarios", lambda s: s[:-1]),
    "search: bound 5 % more": returning(search, "_bound", lambda b: b and int(b * 1.05)),
    "search: 5 % better or nothing": below(TIGHT),
    "search: dearest option out of reach": returning(search, "_affordable", fewer_options),
    "master: most cost 5 % less": returning(master, "_most_cost", tight),
    "master: most time 5 % less": returning(master, "_most_time", tight),
    "master: money in steps too large": returning(master, "_money_step", lambda step: 2 * step),
    "master: overhead 5 % more": returning(
        constraints, "_least_overhead", lambda b: int(b * 1.05) + 1
    ),
    "dominance: twins beat each other": lambda monkeypatch: monkeypatch.setattr(
        search, "_beats", search._no_worse
    ),
    "dominance: blind to stock": blind(options(stock=lambda _: PLENTY)),
    "dominance: blind to price": blind(options(price=lambda _: 0)),
    "dominance: blind to adapters": blind(options(adapters=zeros)),
    "dominance: blind to devices": blind(options(gpus=lambda _: 1)),
    "dominance: blind to machines": blind(options(machines=lambda _: 1)),
    "dominance: blind to best hops": blind(options(inner_best=lambda _: 0)),
    "dominance: blind to floor hops": blind(options(inner_floor=lambda _: 0)),
    "dominance: blind to capacity": blind(kinds(capacity=lambda _: 2**40)),
    "dominance: blind to head": blind(kinds(head_bytes=no_head)),
    "dominance: blind to padding": blind(kinds(padded=lambda _: False)),
    "dominance: blind to best speed": blind(kinds(best=zeros)),
    "dominance: blind to floor speed": blind(kinds(floor=zeros)),
    "networks: blind to best hops": blind_to_joint(best=lambda _: 0),
    "networks: blind to floor hops": blind_to_joint(floor=lambda _: 0),
    "networks: blind to the switch": blind_to_joint(switch=lambda _: 0),
    "networks: blind to direct links": blind_to_joint(direct=lambda _: 1),
    "networks: blind to ports": blind_to_joint(ports=lambda _: 8),
    "networks: blind to adapters": seeing(search, "_replaces", options(adapters=zeros)),
}
