"""What is asked of SGLang beside the layout, and the static fraction it makes of it. Engines layer.

The fraction is of memory free before loading and covers weights and the KV cache; what it leaves is
for activations and CUDA graphs. A new version is a row of `VERSIONS`.

Source: `handle_gpu_memory_settings` and `reserve_for_graph_mb` of sglang 0.5.23
(srt/arg_groups/memory_hook.py), and its `generate_prefill_cuda_graph_batch_sizes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from planner.engines.pages import KvType
from planner.engines.ranges import Range, gibibytes
from planner.engines.releases import row_of
from planner.engines.sglang.layout import Parallel
from planner.engines.sglang.models import VERSION
from planner.model.architecture import Architecture, Compressed, Latent
from planner.units import GIB, MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of the server; None takes the version's default."""

    context_length: int
    """`--context-length`, tokens."""
    version: str = VERSION
    static_fraction: float | None = None
    """`--mem-fraction-static`"""
    chunked_prefill: int | None = None
    """`--chunked-prefill-size`, tokens, as given: replicas of attention share it out among
    themselves, after the static fraction is chosen (srt/arg_groups/parallel_hook.py)."""
    graph_batch: int | None = None
    """Largest batch with a CUDA graph."""
    kv_type: KvType = "auto"
    deepep: bool = False
    """`--moe-a2a-backend deepep`"""
    speculative: bool = False
    """Loads MTP blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClass:
    """Defaults of devices below a size."""

    below: int
    """Device memory, bytes."""
    chunk: int
    few: int
    """Largest graph batch with fewer than four tensor-parallel ranks."""
    many: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRules:
    """One version's constants."""

    since: str
    classes: tuple[DeviceClass, ...]
    window_share: Fraction
    """Tokens of windowed layers per token of the others."""
    state_share: Fraction
    """Memory of recurrent states per memory of the others' cache."""
    outside: Range
    """Context, kernels and communicators, gone before the fraction is taken."""


VERSIONS = (
    VersionRules(
        since="0.5.0",
        classes=(
            DeviceClass(below=20 * GIB, chunk=2048, few=8, many=8),
            DeviceClass(below=35 * GIB, chunk=4096, few=48, many=160),
            DeviceClass(below=60 * GIB, chunk=4096, few=32, many=160),
            DeviceClass(below=160 * GIB, chunk=8192, few=256, many=512),
            DeviceClass(below=1 << 60, chunk=16384, few=512, many=512),
        ),
        window_share=Fraction(8, 10),
        state_share=Fraction(9, 10),
        outside=gibibytes(1.6, 2.3, 2.8),  # 2.2 in l14, 2.4 in l19
    ),
)
"""Oldest first. Read from 0.5.23; the two rows of logs are older than it."""


def rules_of(version: str) -> VersionRules:
    """The row that holds for a version, e.g. `0.5.23`.

    Raises:
        EngineError: older than the first row, or no version.
    """
    return row_of(VERSIONS, version, "SGLang")


CONSTANT = 512 * MIB
PER_TOKEN = 3 * MIB // 2
PER_EIGHT_RANKS = 1024 * MIB
PER_GRAPH_SEQUENCE = 2 * MIB
PER_ATTENTION_REPLICA = 3 * MIB
LARGE_GRAPHS = 300
PREFILL_GRAPH = 8 * MIB
LATENT_PREFILL_GRAPHS = 1536 * MIB
DEEPEP_BUFFERS = 2048 * MIB
LARGE_DEVICE = 60 * GIB
LARGE_DEVICE_RESERVE = 10 * GIB
_PREFILL_STEPS = ((4, 33, 4), (48, 257, 16), (288, 513, 32), (576, 1025, 64), (1280, 4097, 256))
"""First, end and step of the token counts that prefill graphs are captured for."""


def static_fraction(
    architecture: Architecture, parallel: Parallel, settings: Settings, memory: int
) -> float:
    """The fraction asked for, or 1 - reserve / memory, to three digits.

    reserve = 512 MiB + 1.5 MiB * chunk + 1 GiB * ranks / 8 + graphs, at least 10 GiB on devices of
    more than 60 GiB, and 2 GiB more for DeepEP.
    """
    if settings.static_fraction is not None:
        return settings.static_fraction
    chunk, batch = step_sizes(parallel, settings, memory)
    reserve = CONSTANT + PER_TOKEN * max(chunk, 2048) + PER_EIGHT_RANKS * parallel.ranks // 8
    reserve += _graphs(architecture, parallel, chunk, batch)
    if memory > LARGE_DEVICE:
        reserve = max(reserve, LARGE_DEVICE_RESERVE)
    reserve += DEEPEP_BUFFERS if settings.deepep else 0
    return round((memory - reserve) / memory, 3)


def step_sizes(parallel: Parallel, settings: Settings, memory: int) -> tuple[int, int]:
    """Tokens of a prefill step of all replicas of attention, and the largest graph batch."""
    of = device_class(rules_of(settings.version), memory)
    batch = settings.graph_batch or (of.few if parallel.tensor_parallel < 4 else of.many)
    return settings.chunked_prefill or of.chunk, batch


def device_class(rules: VersionRules, memory: int) -> DeviceClass:
    """Defaults of a device with `memory` bytes."""
    return next(each for each in rules.classes if memory < each.below)


def _graphs(architecture: Architecture, parallel: Parallel, chunk: int, batch: int) -> int:
    reserve = PER_GRAPH_SEQUENCE * batch
    replicas = parallel.attention_data_parallel
    if replicas > 1:
        each = PER_ATTENTION_REPLICA * batch * replicas
        reserve += each + (each // 2 if batch > LARGE_GRAPHS else 0)
    if any(isinstance(layer.mixer, Latent | Compressed) for layer in architecture.layers):
        return reserve + LATENT_PREFILL_GRAPHS
    return reserve + PREFILL_GRAPH * _prefill_graphs(chunk)


def _prefill_graphs(chunk: int) -> int:
    """Token counts up to `chunk` that are captured."""
    steps = (*_PREFILL_STEPS, (4608, chunk + 1, 512))
    return sum(count <= chunk for first, end, step in steps for count in range(first, end, step))
