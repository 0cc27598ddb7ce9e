"""Device memory llama.cpp takes beside what its own table counts: `runtime` and `reserve`."""

from __future__ import annotations

from dataclasses import dataclass

from planner.catalog.schema import Gpu
from planner.engines.llama_cpp.loaded import as_loaded, settings_of
from planner.engines.llama_cpp.settings import Settings
from planner.model.architecture import Architecture, Grouped, Latent, Mixer
from planner.quantization.gguf_types import block_of
from planner.units import GIB, MIB

RESERVE = GIB
"""Safety margin per device, bytes; also llama.cpp's own default (`-fitt 1024`)."""
CUDA_CONTEXT = 710 * MIB
"""Context and pools of one process: 703 to 714 MiB per card in a public log of 4 RTX PRO 6000."""
METAL_CONTEXT = 256 * MIB
"""A round guess; it enters the assumptions."""
F16 = 2
CUDA_CODE = ("cuda", "rocm")
"""Families the CUDA backend is compiled for; it pads rows and copies a quantized cache."""

LOGGED_CONTEXTS: tuple[tuple[str, int], ...] = (
    ("rtx-pro-6000", 753 * MIB),
    ("rtx-5090-", 2_100_000_000),
)
"""Start of a GPU's name to the largest context logged on it ("unaccounted" in public logs of
llama.cpp's memory table; the RTX 5090 also drove a desktop)."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Bytes, and what had to be assumed for them."""

    bytes: int
    assumption: str | None


def runtime(gpu: Gpu, architecture: Architecture, settings: Settings) -> Overhead:
    """The driver's context and libraries on one device, and the copy of a quantized cache."""
    context = _context(gpu)
    copy = attention_copy(gpu, architecture, settings)
    return Overhead(context.bytes + copy, context.assumption)


def pads_rows(gpu: Gpu) -> bool:
    """Whether the backend pads rows of quantized matrices (`SplitMemory.cuda_padding`)."""
    return gpu.family in CUDA_CODE


def _context(gpu: Gpu) -> Overhead:
    """Context, libraries and pools of one process on one device."""
    for start, size in LOGGED_CONTEXTS:
        if gpu.name.startswith(start):
            return Overhead(size, None)
    if gpu.family == "metal":
        return Overhead(
            METAL_CONTEXT,
            f"Metal context and libraries take {METAL_CONTEXT // MIB} MiB on {gpu.title}: "
            "nobody has published a figure",
        )
    name = {"cuda": "CUDA", "rocm": "ROCm", "sycl": "SYCL"}.get(gpu.family, "driver")
    return Overhead(
        CUDA_CONTEXT,
        f"{name} context and libraries take {CUDA_CONTEXT // MIB} MiB on {gpu.title}, "
        "as logged on an RTX PRO 6000",
    )


def attention_copy(gpu: Gpu, architecture: Architecture, settings: Settings) -> int:
    """Bytes of the f16 copy of one layer's quantized K and V that CUDA and HIP kernels make.

    Streams * cells * (k + v) * 2 B of the largest layer, only of the quantized ones of K and V and
    only with flash attention. Upper bound: the whole cache in use.

    Source: fattn.cu of llama.cpp b11434 (tile and MMA kernels); not measured.
    """
    architecture, settings = as_loaded(architecture), settings_of(architecture, settings)
    if gpu.family not in CUDA_CODE or not settings.flash_attention:
        return 0
    key = block_of(settings.key_type).weights > 1
    value = block_of(settings.value_type).weights > 1
    return max(
        settings.streams * _copied_elements(layer.mixer, settings, key=key, value=value) * F16
        for layer in architecture.layers
    )


def _copied_elements(attention: Mixer | None, settings: Settings, *, key: bool, value: bool) -> int:
    """Elements of K and V of one stream; MLA's V is the latent part of K."""
    if not isinstance(attention, Grouped | Latent):
        return 0
    if isinstance(attention, Latent):
        latent, rope = attention.kv_rank, attention.rope_dim
        return settings.cells() * (key * (latent + rope) + value * latent)
    head_dim, value_dim = attention.head_dim, attention.value_dim or attention.head_dim
    width = attention.kv_heads * (key * head_dim + value * value_dim)
    return settings.cells(attention.window) * width
