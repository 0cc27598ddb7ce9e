"""The figures of the requirements page: exact bytes, and what the public pages' formula gives.

The public pages take bits per weight by the name of the quantization and a cache of two full
hidden vectors per layer and token, 16 bits each. Legend: P weights, b bits, t tokens.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import get_args

from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, ModelRow
from planner.engines.llama_cpp import overheads
from planner.model.architecture import Architecture
from planner.model.tensors import parameters
from planner.request import PlanRequest
from planner.services.requirements_values import Figure, Figures, MemoryParts, NominalMethod
from planner.subject import Shape, Subject, subject
from planner.units import GB

SHORT_CONTEXT = 2048
"""Tokens the public pages take for the memory of a quantization."""
NOMINAL_OVERHEAD = 300_000_000
"""Bytes they add for the framework."""
_NOMINAL_ELEMENT = 2
"""Bytes of one element of their cache."""
HYPOTHETICAL_GPU = "rtx-pro-6000-ws-96"
"""The device whose runtime the figures use: its CUDA context is a measured one."""
DIFFERENCE = 0.02
"""Share from which two counts of the same thing are both shown."""
_HUNDREDTH = Decimal("0.01")


def nominal_kv_bytes(layers: int, hidden: int, tokens: int) -> int:
    """2 * layers * hidden * 2 B * t: K and V of full width, 16 bits."""
    return 2 * layers * hidden * _NOMINAL_ELEMENT * tokens


def nominal_figures(
    weights: int, bits: Decimal, *, layers: int, hidden: int, window: int
) -> Figures:
    """The public pages' figures: file = P * b / 8; memory = file + cache(t) + 0.3 GB.

    Source: fitted to all 48 figures of the page for Kimi K2 (tests/reality/requirements_page.toml).
    """
    file_bytes = int((weights * bits / 8).to_integral_value(ROUND_HALF_UP))
    short = nominal_kv_bytes(layers, hidden, SHORT_CONTEXT)
    full = nominal_kv_bytes(layers, hidden, window)
    return Figures(
        bits_per_weight=float(bits),
        file_bytes=file_bytes,
        memory_bytes=file_bytes + short + NOMINAL_OVERHEAD,
        full_memory_bytes=file_bytes + full + NOMINAL_OVERHEAD,
    )


def page_gigabytes(size: int) -> str:
    """`size` in GB with two decimals, as the public pages print files."""
    return str((Decimal(size) / GB).quantize(_HUNDREDTH, ROUND_HALF_UP))


def page_tenths(size: int) -> str:
    """`size` in GB with one decimal, as the public pages print memory.

    Rounded to two decimals, and the binary floating-point number nearest to that to one: 1030.35
    becomes 1030.3 and 729.95 becomes 730.0.
    """
    return f"{float(page_gigabytes(size)):.1f}"


def nominal_method(row: ModelRow, architecture: Architecture, true_kv_bytes: int) -> NominalMethod:
    """What the public pages' arithmetic takes for this model, beside what it really has."""
    layers, hidden = architecture.depth, architecture.hidden
    window = nominal_kv_bytes(layers, hidden, architecture.context_length)
    return NominalMethod(
        parameters=row.page_parameters or row.parameters,
        layers=layers,
        hidden=hidden,
        kv_bytes_per_token=nominal_kv_bytes(layers, hidden, 1),
        overhead_bytes=NOMINAL_OVERHEAD,
        true_parameters=parameters(architecture),
        true_kv_bytes=true_kv_bytes,
        kv_ratio=window / true_kv_bytes,
    )


def default_build(catalog: Catalog) -> str:
    """The engine build whose rules are applied."""
    return catalog.default_build("llama.cpp").name


def subject_at(catalog: Catalog, model: str, quant: str, tokens: int) -> Subject:
    """One user with a cache of `tokens`, default settings."""
    depth = min(PlanRequest(model=model).depth, tokens)
    shape = Shape(build=default_build(catalog), pool=tokens, slots=1, depth=depth)
    return subject(catalog, model, quant, shape)


def memory_parts(at: Subject, gpu: Gpu) -> MemoryParts:
    """What one device as large as needed holds, and the host beside it; no safety margin."""
    graph = at.memory.device(0, at.slots, devices=1, pipelined=False)
    runtime = overheads.runtime(gpu, at.architecture, at.settings).bytes
    if overheads.pads_rows(gpu):
        runtime += at.memory.cuda_padding(0, at.slots)
    return MemoryParts(
        tokens=at.settings.context,
        weights=graph.weights,
        kv_cache=graph.kv_cache,
        compute=graph.compute,
        runtime=runtime,
        total=sum(graph) + runtime,
        host=sum(at.memory.host(devices=1, pipelined=False)),
    )


def true_figures(at: Subject, gpu: Gpu, fewer_cache_bytes: int) -> Figures:
    """Exact figures; `fewer_cache_bytes` is what cache and graph need less at the short context.

    Cache, graph and runtime are the same for every quantization, so one subject of each, with
    the full window, is enough.
    """
    full = memory_parts(at, gpu).total
    elements = sum(math.prod(tensor.shape) for tensor in at.weights.tensors)
    return Figures(
        bits_per_weight=8 * at.weights.total_bytes / elements,
        file_bytes=at.weights.total_bytes,
        memory_bytes=full - fewer_cache_bytes,
        full_memory_bytes=full,
    )


def differing(true: Figures, nominal: Figures | None) -> tuple[Figure, ...]:
    """The figures whose two counts are more than 2 % of the true one apart."""
    if nominal is None:
        return ()
    names: tuple[Figure, ...] = get_args(Figure)
    return tuple(
        name
        for name in names
        if abs(getattr(nominal, name) - getattr(true, name)) > DIFFERENCE * getattr(true, name)
    )
