"""The ranks of a plan for vLLM or SGLang, checked: which device is which, and what it holds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from planner.errors import EngineError
from planner.export.serving.dialect import Dialect
from planner.plan import Device, Layout, Plan, Serving

_AGAIN = "'plan verify' says what is wrong with it; make it again"


def engine_of(plan: Plan, dialect: Dialect) -> Serving:
    """The plan's settings.

    Raises:
        EngineError: they are another engine's.
    """
    if not isinstance(plan.engine, Serving) or plan.engine.name != dialect.name:
        raise EngineError(
            f"the plan is for {plan.engine.name}, not for {dialect.name}",
            hint=f"write its launch files with 'plan export {plan.engine.name}'",
        )
    return plan.engine


def layout_of(plan: Plan, ranks: Sequence[Device]) -> Layout:
    """The plan's layout, with the layers its devices really hold per stage.

    Raises:
        EngineError: the devices of a stage differ, layers are not placed once and in order, or the
            layout says otherwise.
    """
    stages = plan.layout.pipeline_parallel
    partition, following = [], 0
    for stage in range(stages):
        held = {
            (device.first_layer, device.last_layer, device.output)
            for device in ranks
            if device.stage == stage
        }
        (first, last, output), *others = held
        if others or first is None or last is None or first != following or last < first:
            raise EngineError(
                f"the devices of stage {stage} do not all hold the same layers from {following} on",
                hint=_AGAIN,
            )
        if output != (stage == stages - 1):
            raise EngineError(
                f"stage {stage} {'has' if output else 'lacks'} the output", hint=_AGAIN
            )
        partition.append(last + 1 - first)
        following = last + 1
    if following != plan.model.layers or plan.layout.partition not in ((), tuple(partition)):
        raise EngineError(
            f"the devices hold {','.join(map(str, partition))} layers, the plan has "
            f"{','.join(map(str, plan.layout.partition or (plan.model.layers,)))}",
            hint=_AGAIN,
        )
    return plan.layout.model_copy(update={"partition": tuple(partition)})


def ranks_of(plan: Plan, dialect: Dialect) -> tuple[Device, ...]:
    """The devices in rank order: replica by replica, in it stage by stage.

    Raises:
        EngineError: several copies of the model, or devices that are no such grid.
    """
    layout = plan.layout
    if layout.replicas != 1:
        raise EngineError(
            f"replicas is {layout.replicas}: the launch files start one copy of the model",
            hint="make a plan of one copy, and start it several times",
        )
    replicas = layout.data_parallel if dialect.replicas_apart else 1
    count = replicas * layout.pipeline_parallel * layout.tensor_parallel
    ranks = tuple(device for device in plan.devices if device.slots > 0)
    if not ranks or len(ranks) != count:
        raise EngineError(
            f"the layout has {count} ranks, but {len(ranks)} devices hold layers", hint=_AGAIN
        )
    expected = itertools.product(
        range(replicas), range(layout.pipeline_parallel), range(layout.tensor_parallel)
    )
    for number, (device, place) in enumerate(zip(ranks, expected, strict=True)):
        if (device.replica, device.stage) != place[:2]:
            raise EngineError(
                f"rank {number} is {device.id} of replica {device.replica}, stage {device.stage}, "
                f"not of replica {place[0]}, stage {place[1]}",
                hint=_AGAIN,
            )
    return ranks
