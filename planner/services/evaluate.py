"""A layout the user names: what every device holds, whether it fits, and what would help."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from planner import __version__, accounting
from planner.accounting import Assigned
from planner.catalog.load import Catalog
from planner.catalog.schema import Network
from planner.engine_choice import check_settings, engine_of
from planner.engines.llama_cpp import overheads, rules
from planner.engines.llama_cpp.settings import CELL_PADDING
from planner.errors import IllegalLayout, RequestError
from planner.model.row_scheme import published_checkpoints
from planner.plan import (
    Body,
    Cost,
    Device,
    Evaluation,
    Host,
    Layout,
    MemoryBudget,
)
from planner.request import EvaluateRequest
from planner.services.evaluated import NOT_SOLVED, WORKLOAD, warnings_of
from planner.solver.cluster import Nodes, balanced, check_memory, network_between
from planner.solver.remedies import Rig, remedies
from planner.subject import Shape, Subject, subject, unpublished, window_of
from planner.units import MIB, padded


def evaluate(request: EvaluateRequest, catalog: Catalog) -> Evaluation:
    """The memory of every device of a named layout, its verdict, and remedies where it is short.

    Raises:
        RequestError: a split or a count that makes no sense.
        IllegalLayout: llama.cpp refuses the layout.
    """
    row = catalog.model(request.model)
    engine = engine_of(request, catalog, request.quant)
    if engine != "llama.cpp":
        quant = published_checkpoints(row)[0] if request.quant == "auto" else request.quant
        from planner.services.evaluate_grid import evaluate_grid  # of no use to a layer split

        return evaluate_grid(request, catalog, engine, quant)
    check_settings(request, engine)
    quant = row.recommended if request.quant == "auto" else request.quant
    shape = _shape(request, catalog)
    base = subject(catalog, request.model, quant, shape)
    if request.devices is not None:
        return _evaluation(
            request,
            catalog,
            base,
            _unnamed(request, base),
            base.assumptions,
            (*unpublished(base.row, base.quantization.name), *_beyond_window(base)),
        )
    nodes = [(catalog.node(entry.node), entry.count) for entry in request.nodes]
    check_memory(catalog, nodes)
    network = network_between(catalog, nodes)
    split = _split(request, catalog, base, nodes, network)
    body = accounting.body(
        base, catalog, split, network, NOT_SOLVED, input_tokens=WORKLOAD.input_tokens
    )
    rig = Rig(
        catalog=catalog,
        model=request.model,
        quant=quant,
        shape=shape,
        nodes=nodes,
        network=network,
    )
    warnings = (
        *unpublished(base.row, base.quantization.name),
        *_beyond_window(base),
        *_warnings(body),
    )
    evaluation = _evaluation(
        request, catalog, base, body, _assumptions(catalog, base, body), warnings
    )
    if body.verdict == "fits":
        return evaluation
    least = accounting.least_headroom(body.devices)
    return evaluation.model_copy(update={"remedies": remedies(rig, least)})


def _shape(request: EvaluateRequest, catalog: Catalog) -> Shape:
    if request.slots < 1:
        raise RequestError(
            f"--slots {request.slots}: at least one is served", hint="e.g. --slots 4"
        )
    pool = request.context
    if pool is None:
        pool = window_of(catalog, request.model) * request.slots
    if pool < 1:
        raise RequestError(
            f"--context {pool}: the pool holds at least one token", hint="e.g. --context 32768"
        )
    shape = Shape(
        build=request.engine_build or catalog.default_build("llama.cpp").name,
        pool=pool,
        slots=request.slots,
        ubatch=request.ubatch,
        flash_attention=request.flash_attention,
        kv_type=request.kv_type,
        swa_full=request.swa_full,
        depth=1,
    )
    return replace(shape, depth=min(WORKLOAD.depth, max(pool // request.slots, 1)))


def _split(
    request: EvaluateRequest,
    catalog: Catalog,
    base: Subject,
    nodes: Nodes,
    network: Network | None,
) -> Sequence[Assigned]:
    """The named split, or the most balanced one."""
    places = [
        (node.name, number, index)
        for node, count in nodes
        for number in range(1, count + 1)
        for index in range(node.gpus)
    ]
    if request.split is None:
        found = balanced(catalog, base, nodes, network)
        if found is None:
            nodes_used = sum(count for _, count in nodes)
            raise _illegal(base, max(nodes_used, min(len(places), rules.MAX_DEVICES)))
        return found.devices
    _check_split(request.split, base, len(places))
    stops = tuple(itertools.accumulate(request.split))
    return tuple(
        Assigned(node=name, number=number, index=index, first=first, stop=stop)
        for (name, number, index), first, stop in zip(places, (0, *stops), stops, strict=False)
    )


def _check_split(split: Sequence[int], base: Subject, devices: int) -> None:
    shown = ",".join(str(count) for count in split)
    if len(split) != devices:
        raise RequestError(
            f"--split {shown}: {len(split)} numbers for {devices} devices",
            hint="give one number per device, in order; 0 leaves a device out",
        )
    if any(count < 0 for count in split) or sum(split) != base.slots:
        raise RequestError(
            f"--split {shown}: the numbers add up to {sum(split)}, there are {base.slots} slots",
            hint=f"{base.slots - 1} layers (MTP blocks counted) and 1 for the output",
        )
    used = sum(count > 0 for count in split)
    if rules.illegal(base.architecture, base.settings, used):
        raise _illegal(base, used)


def _illegal(base: Subject, devices: int) -> IllegalLayout:
    reasons = rules.illegal(base.architecture, base.settings, devices)
    return IllegalLayout(
        f"llama.cpp {base.build.name} refuses this layout: {'; '.join(reasons)}",
        hint="use fewer devices",
    )


def _unnamed(request: EvaluateRequest, base: Subject) -> Body:
    """Memory on devices nobody named: pipeline-capable, without capacity, context or speed."""
    count = request.devices
    assert count is not None
    reasons = rules.illegal(base.architecture, base.settings, count)
    if reasons:
        raise _illegal(base, count)
    split = request.split or even(base.slots, count)
    _check_split(split, base, count)
    used = sum(slots > 0 for slots in split)
    pipelined = base.pipelined(used, 2)
    devices = []
    first = 0
    for index, slots in enumerate(split):
        devices.append(_device(base, index, first, first + slots, used, pipelined=pipelined))
        first += slots
    return Body(
        cluster=(),
        cost=Cost(
            purchase_usd=None,
            purchase_low_usd=None,
            purchase_high_usd=None,
            network_usd=0.0,
            network=None,
            hourly_usd=None,
            power_w=None,
            rack_units=None,
            remaining_usd=None,
        ),
        layout=Layout(pipeline_parallel=used),
        verdict="fits",
        devices=tuple(devices),
        hosts=(
            Host(
                node="host-1",
                memory_bytes=None,
                unified=False,
                budget=accounting.head_budget(base, devices=used, pipelined=pipelined),
            ),
        ),
        performance=(),
        prefill=(),
        solver=NOT_SOLVED,
    )


def even(slots: int, devices: int) -> tuple[int, ...]:
    """`slots` over `devices` as evenly as whole numbers allow, the first ones larger."""
    each, more = divmod(slots, devices)
    return tuple(each + (index < more) for index in range(devices))


def _device(
    base: Subject, index: int, first: int, stop: int, devices: int, *, pipelined: bool
) -> Device:
    graph = (0, 0, 0)
    if stop > first:
        graph = base.memory.device(first, stop, devices=devices, pipelined=pipelined)
    weights, cache, compute = graph
    reserve = overheads.RESERVE if stop > first else 0
    last = min(stop, base.architecture.depth) - 1
    return Device(
        id=f"host-1.{index}",
        node="host-1",
        gpu="unnamed",
        replica=0,
        stage=index if stop > first else None,
        first_layer=first if first <= last else None,
        last_layer=last if first <= last else None,
        output=stop == base.slots and stop > first,
        experts=accounting.experts_held(base, first, last),
        slots=stop - first,
        capacity_bytes=None,
        headroom_bytes=None,
        budget=MemoryBudget(
            weights=weights,
            kv_cache=cache,
            compute=compute,
            runtime=0,
            reserve=reserve,
            total=weights + cache + compute + reserve,
        ),
    )


def _assumptions(catalog: Catalog, base: Subject, body: Body) -> tuple[str, ...]:
    gpus = (entry.gpu for entry in body.cluster)
    return (
        f"{overheads.RESERVE // MIB:,} MiB of every device is kept free as reserve",
        *base.assumptions,
        *accounting.memory_assumptions(catalog, base, gpus),
    )


def _warnings(body: Body) -> tuple[str, ...]:
    """How short a layout is, and of how little if the reserve would cover it."""
    tightest = min(body.devices, key=lambda device: device.headroom_bytes or 0)
    short = -(tightest.headroom_bytes or 0)
    lines = []
    if 0 < short <= overheads.RESERVE:
        lines.append(
            f"{tightest.id} is {-(-short // MIB):,} MiB short, less than its reserve of "
            f"{overheads.RESERVE // MIB:,} MiB: it may load, but nothing is left for surprises"
        )
    elif short > 0:
        lines.append(f"{tightest.id} is {-(-short // MIB):,} MiB short, more than its reserve")
    lines += warnings_of(body)
    return tuple(lines)


def _beyond_window(base: Subject) -> tuple[str, ...]:
    """A context the model was not made for: llama.cpp takes it, the answers suffer."""
    window = base.architecture.context_length
    if base.context <= padded(window, CELL_PADDING):
        return ()
    return (
        f"{base.context:,} tokens per slot are more than the {window:,} {base.row.name} was made "
        "for: llama.cpp only warns, but the answers get worse without a rope scaling flag",
    )


def _evaluation(
    request: EvaluateRequest,
    catalog: Catalog,
    base: Subject,
    body: Body,
    assumptions: tuple[str, ...],
    warnings: tuple[str, ...],
) -> Evaluation:
    return Evaluation(
        **{name: getattr(body, name) for name in Body.model_fields},
        request=request,
        model=accounting.summary(base),
        engine=accounting.engine_of(base),
        assumptions=assumptions,
        warnings=warnings,
        planner_version=__version__,
        catalog_digest=catalog.digest,
    )
