"""Rules a GPU row keeps by physics: sizes, bandwidths and rates that can be true.

They catch what public lists get wrong: nominal GiB taken for usable, bandwidth of two dies, rates
with sparsity or a narrow accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from planner.catalog.finding import Finding, error
from planner.catalog.load import Catalog
from planner.catalog.schema import Gpu, MemoryKind
from planner.units import GB, GIB, gib

BANDWIDTH: Mapping[MemoryKind, tuple[int, int]] = MappingProxyType(
    {
        "GDDR5": (100 * GB, 500 * GB),
        "GDDR6": (150 * GB, 1000 * GB),
        "GDDR6X": (400 * GB, 1100 * GB),
        "GDDR7": (300 * GB, 2000 * GB),
        "HBM2": (400 * GB, 1700 * GB),
        "HBM2e": (900 * GB, 4000 * GB),
        "HBM3": (2000 * GB, 5500 * GB),
        "HBM3e": (3000 * GB, 8500 * GB),
        "HBM4": (6000 * GB, 25000 * GB),
        "LPDDR5": (100 * GB, 1100 * GB),
        "LPDDR5X": (100 * GB, 1300 * GB),
    }
)
"""Least and most of one device, bytes/s: the narrowest and the widest bus ever built with it."""

LARGEST_FP8_RATIO = 2.2
"""No device multiplies FP8 more than twice as fast as FP16; 10 % for rounded data sheets."""
SMALLEST_USABLE_SHARE = 0.75
"""Least usable share of the nominal GiB: macOS keeps a quarter of a 64 GB machine."""


def device_findings(catalog: Catalog) -> Iterator[Finding]:
    """Breaches of the rules by any GPU row."""
    for gpu in catalog.gpus.values():
        for field, message in (*_memory(gpu), *_rates(gpu)):
            yield error("gpu", gpu.name, field, message)


def nominal_gib(gpu: Gpu) -> int | None:
    """The vendor's capacity read as GiB, bytes: `80 GB` is 80 GiB; None where unreadable."""
    number, _, unit = gpu.nominal_memory.partition(" ")
    return int(number) * GIB if number.isdigit() and unit == "GB" else None


def _memory(gpu: Gpu) -> Iterator[tuple[str, str]]:
    nominal = nominal_gib(gpu)
    if nominal is None:
        yield "nominal_memory", f"{gpu.nominal_memory!r} is not written like '80 GB'"
    usable = gpu.usable_memory
    if usable is None:
        return
    if nominal is not None and not SMALLEST_USABLE_SHARE * nominal <= usable <= nominal:
        yield "usable_memory", f"{gib(usable)} GiB of a device sold as {gpu.nominal_memory}"
    if (gpu.reserved_memory or 0) >= usable:
        yield "reserved_memory", "nothing is left of the usable memory"
    if gpu.setting is not None and gpu.setting.memory != usable:
        yield "setting.memory", "is not the usable memory, which counts the setting as made"
    if gpu.setting is not None and gpu.setting.default >= gpu.setting.memory:
        yield "setting.default", "the setting does not raise the memory"
    if gpu.setting is not None and not gpu.unified:
        yield "setting", "only devices that share the host's memory have such a setting"


def _rates(gpu: Gpu) -> Iterator[tuple[str, str]]:
    if gpu.memory_kind is not None:
        least, most = BANDWIDTH[gpu.memory_kind]
        if not least <= gpu.memory_bandwidth <= most:
            rate = gpu.memory_bandwidth / GB
            yield "memory_bandwidth", f"{rate:,.0f} GB/s is not possible with {gpu.memory_kind}"
    if gpu.dense_fp16 is not None and gpu.dense_fp8 is not None:
        ratio = gpu.dense_fp8 / gpu.dense_fp16
        if not 1 <= ratio <= LARGEST_FP8_RATIO:
            yield "dense_fp8", f"is {ratio:.1f} times the FP16 rate; with sparsity?"
    for field in ("dense_fp16", "dense_fp8", "power"):
        value = getattr(gpu, field)
        if value is not None and value <= 0:
            yield field, "is not positive"
