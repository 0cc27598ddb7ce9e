"""What each engine needs of a GPU to load a format, and what it falls back to. Engines layer.

A row per format of an engine: the least compute capability it loads on, the least that computes in
it, and what it does below. Minima are of `get_min_capability` of the engine's classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from planner.engines.pages import KvType
from planner.engines.quantized_shards import formats
from planner.engines.releases import release
from planner.engines.rules_shared import Case
from planner.quantization.checkpoint_formats import (
    Affine,
    Awq,
    Gptq,
    Microscaled,
    MicroscaledWords,
    Packed,
    Plain,
    Scaled,
)
from planner.quantization.checkpoint_mixed import Exl2, Exl3, Format, Int8Rows, NormalFloat
from planner.quantization.default_schemes import MXFP8, NVFP4, format_name
from planner.quantization.scheme import Scheme

Capability = tuple[int, int]

ANY: Capability = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How an engine runs one kind of format."""

    kind: str
    least: Capability
    """Compute capability it loads on at all."""
    native: Capability | None = None
    """And from which on it computes in the format; None is weights only, as the format means."""
    rocm: bool = True
    """Whether it loads on AMD's GPUs."""
    rocm_from: tuple[str, ...] = ()
    """Generations of AMD's it loads on; empty is all the engine runs on."""
    rocm_native: bool = True
    """Whether it computes there in the format, if anywhere."""
    bits: tuple[int, ...] = ()
    """Widths of integers; empty is any."""
    until: str = ""
    """First version without it; empty is none."""
    source: str
    """Files of the version the engine was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Formats of an engine; what it has no row for it cannot load."""

    name: str
    version: str
    """They were read from, and the default."""
    least: Capability
    """Of the engine itself."""
    formats: tuple[Support, ...]
    caches: tuple[tuple[KvType, Capability], ...]
    """Types of KV cache, and the compute capability from which on it keeps them."""
    rocm: tuple[str, ...]
    """Generations of AMD's that it runs on."""

    def support(self, form: Format, version: str) -> Support | None:
        """How a version runs a format; None where it does not load it."""
        kind, bits = kind_of(form), getattr(form, "bits", None)
        for row in self.formats:
            gone = row.until and release(row.until) <= release(version)
            if row.kind == kind and not gone and (not row.bits or bits in row.bits):
                return row
        return None


def kind_of(form: Format) -> str:
    """What rows of an engine call a format."""
    match form:
        case Plain():
            return "plain"
        case Scaled(dtype="I8") | Int8Rows():
            return "int8" if isinstance(form, Scaled) else "bitsandbytes"
        case Scaled(block_rows=1, block_columns=MXFP8.block_columns):
            return "mxfp8"
        case Scaled(block_rows=1, block_columns=None):
            return "fp8-channel"
        case Scaled():
            return "fp8"
        case Packed():
            return "packed"
        case Awq():
            return "awq"
        case Gptq():
            return "gptq"
        case Microscaled():
            return "nvfp4" if form.scale == NVFP4.scale else "mxfp4"
        case NormalFloat():
            return "bitsandbytes"
        case Affine() | MicroscaledWords():
            return "mlx"
        case Exl2() | Exl3():
            return "exl"
        case _:
            assert_never(form)


_AMD_FLOAT8 = ("cdna3", "cdna4", "rdna4")
"""AMD's generations with units for 8-bit floats; vLLM's own check also passes cdna2 without."""
_AMD_SERVERS = ("cdna3", "cdna4")

VLLM = Engine(
    name="vLLM",
    version="0.32.0",
    least=(7, 5),
    formats=(
        Support(kind="plain", least=(7, 5), source="platforms/cuda.py"),
        Support(
            kind="fp8",
            least=(7, 5),
            native=(8, 9),
            rocm_from=_AMD_FLOAT8,
            source="quantization/fp8.py, platforms/rocm.py",
        ),
        Support(
            kind="fp8-channel",
            least=(7, 5),
            native=(8, 9),
            rocm_from=_AMD_FLOAT8,
            source="compressed_tensors_w8a8_fp8.py, compressed_tensors_w8a16_fp8.py",
        ),
        Support(
            kind="mxfp8",
            least=(7, 5),
            native=(10, 0),
            rocm_from=("cdna4",),
            source="w8a8_mxfp8.py, modelopt.py, platforms/rocm.py",
        ),
        Support(kind="int8", least=(7, 5), native=(7, 5), source="w8a8_int8.py"),
        Support(kind="packed", least=(7, 5), bits=(4, 8), source="compressed_tensors_wNa16.py"),
        Support(kind="awq", least=(7, 5), bits=(4,), source="auto_awq.py"),
        Support(kind="gptq", least=(7, 5), bits=(4, 8), source="auto_gptq.py, marlin.py"),
        Support(
            kind="nvfp4",
            least=(7, 5),
            native=(10, 0),
            rocm_from=_AMD_SERVERS,
            rocm_native=False,
            source="modelopt.py",
        ),
        Support(
            kind="mxfp4",
            least=(8, 0),
            native=(10, 0),
            rocm_from=_AMD_SERVERS,
            source="mxfp4.py, platforms/rocm.py",
        ),
        Support(
            kind="bitsandbytes",
            least=(7, 5),
            until="0.28.0",
            source="quantization/__init__.py of 0.27.1 and 0.28.0",
        ),
    ),
    caches=(
        ("auto", ANY),
        ("bfloat16", (8, 0)),
        ("fp8", (8, 9)),
        ("fp8_ds_mla", (9, 0)),
        ("nvfp4_ds_mla", (10, 0)),
    ),
    rocm=("cdna2", "cdna3", "cdna4", "rdna3", "rdna3.5", "rdna4"),
)

SGLANG = Engine(
    name="SGLang",
    version="0.5.23",
    least=(7, 5),
    formats=(
        Support(kind="plain", least=(7, 5), source="load_model_utils.py"),
        Support(kind="fp8", least=(8, 0), native=(8, 9), source="quantization/fp8.py"),
        Support(
            kind="fp8-channel",
            least=(8, 0),
            native=(8, 9),
            source="compressed_tensors_w8a8_fp8.py, compressed_tensors_w8a16_fp8.py",
        ),
        Support(
            kind="mxfp8", least=(10, 0), native=(10, 0), rocm=False, source="quantization/fp8.py"
        ),
        Support(kind="int8", least=(8, 0), native=(8, 0), rocm=False, source="w8a8_int8.py"),
        Support(
            kind="packed",
            least=(8, 0),
            rocm=False,
            bits=(4, 8),
            source="compressed_tensors_wNa16.py",
        ),
        Support(kind="awq", least=(8, 0), bits=(4,), source="awq/awq.py"),
        Support(kind="gptq", least=(8, 0), rocm=False, bits=(4, 8), source="gptq/gptq.py"),
        Support(kind="nvfp4", least=(8, 0), native=(10, 0), rocm=False, source="modelopt_quant.py"),
        Support(kind="mxfp4", least=(8, 0), native=(10, 0), rocm=False, source="mxfp4.py"),
        Support(kind="bitsandbytes", least=(7, 5), rocm=False, source="bitsandbytes.py"),
    ),
    caches=(("auto", ANY), ("bfloat16", (8, 0)), ("fp8", (8, 9))),
    rocm=_AMD_SERVERS,
)


def unloadable(engine: Engine, scheme: Scheme, version: str | None = None) -> str | None:
    """Why a version of the engine loads no checkpoint of a scheme; None where it does."""
    number = version or engine.version
    named = (form for _, form in reversed(scheme.targets))
    ruled = (rule.format for rule in scheme.rules if rule.format is not None)
    for form in (*named, *ruled, *((scheme.tables,) if scheme.tables else ())):
        if engine.support(form, number) is None:
            return f"{engine.name} {number} loads no {format_name(form)} checkpoints"
    return None


def format_refusals(case: Case) -> Iterator[str]:
    """Why the version loads no such checkpoint."""
    reason = unloadable(case.engine, case.scheme, case.options.version)
    if reason:
        yield reason


def device_refusals(case: Case) -> Iterator[str]:
    """Why the engine does not run on the devices, or the format does not."""
    engine, place = case.engine, case.place
    match place.family:
        case "cuda" if place.capability is not None:
            yield from _capability_refusals(case, place.capability)
        case "cuda":
            return
        case "rocm":
            yield from _generation_refusals(case)
        case _:
            yield f"{engine.name} is planned for NVIDIA and AMD GPUs, not for '{place.family}'"


def _generation_refusals(case: Case) -> Iterator[str]:
    """Of AMD's devices, which have generations for capabilities."""
    engine = case.engine
    strange = [name for name in case.place.generations if name not in engine.rocm]
    if strange:
        yield f"{engine.name} does not run on AMD's {', '.join(strange)}"
        return
    for form, support in _used(case):
        allowed = support.rocm_from or engine.rocm
        if not support.rocm:
            yield f"{engine.name} loads {format_name(form)} on NVIDIA GPUs only"
        for name in case.place.generations:
            if support.rocm and name not in allowed:
                yield f"{engine.name} loads {format_name(form)} on {', '.join(allowed)}, not {name}"


def _capability_refusals(case: Case, have: Capability) -> Iterator[str]:
    engine = case.engine
    if have < engine.least:
        yield f"{engine.name} needs {capability(engine.least)}, the devices have {dotted(have)}"
        return
    for form, support in _used(case):
        if have < support.least:
            yield (
                f"{format_name(form)} needs {capability(support.least)} in {engine.name}, the "
                f"devices have {dotted(have)}"
            )


def device_notes(case: Case) -> Iterator[str]:
    """Formats that the devices hold but do not compute in."""
    place = case.place
    for form, support in _used(case):
        if support.native is None:
            continue
        if place.family == "rocm" and not support.rocm_native:
            yield f"{format_name(form)} on AMD GPUs: weights only, computed in 16 bits"
        if place.capability is not None and place.capability < support.native:
            yield (
                f"{format_name(form)} on {capability(place.capability)}: weights only, computed "
                "in 16 bits"
            )


def _used(case: Case) -> Iterator[tuple[Format, Support]]:
    """Formats of the network's linear layers that the engine loads."""
    for form in formats(case.architecture, case.scheme):
        support = case.engine.support(form, case.options.version)
        if support is not None:
            yield form, support


def capability(needed: Capability) -> str:
    """In words."""
    return f"compute capability {dotted(needed)}"


def dotted(have: Capability) -> str:
    """As NVIDIA writes it."""
    return f"{have[0]}.{have[1]}"
