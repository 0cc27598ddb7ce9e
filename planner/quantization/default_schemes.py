"""Schemes of checkpoint formats by the name people use, where no config says which layers.

Quantization layer. Linear layers of the blocks are quantized, those publishers keep are kept; MXFP4
as published (gpt-oss, Kimi K3) is of routed experts alone where there are any. So is NVFP4: of ten
published mixtures of experts in tests/reality/checkpoint_bytes.csv nine keep attention in 16 or 8
bits, all or most of it, and six the shared experts; the tenth is Qwen3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import assert_never

from planner.errors import FactsError
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
from planner.quantization.scheme import KEPT_BUT_HEAD, Scheme

MXFP4 = Microscaled(32, "U8")
MXFP8 = Scaled(1, 32, scale="U8")
NVFP4 = Microscaled(16, "F8_E4M3", ("weight_scale_2", "input_scale"))
FP8_TENSOR = Scaled(None, None, input_scale=True)

_FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "FP8": Scaled(128, 128, name="weight_scale_inv"),
        "FP8-channel": Scaled(1, None, scale="BF16"),
        "FP8-tensor": FP8_TENSOR,
        "MXFP8": MXFP8,
        "INT8": Scaled(1, None, "I8", "BF16"),
        "INT4-W4A16-g32": Packed(32),
        "INT4-W4A16-g128": Packed(128),
        "AWQ": Awq(),
        "GPTQ-Int4": Gptq(),
        "GPTQ-Int8": Gptq(bits=8),
        "NVFP4": NVFP4,
        "MXFP4": MXFP4,
        "NF4": NormalFloat(),
        "NF4-double": NormalFloat(nested=True),
    }
)
_BLOCK = 128

_OF_EXPERTS = ("MXFP4", "NVFP4")
"""Formats of routed experts alone where there are any."""

_HALF = ("AWQ", "GPTQ-Int4", "GPTQ-Int8")
"""Formats whose writers keep the rest in F16."""

_DTYPES = ("BF16", "F16", "F32")
_EXL = re.compile(r"EXL(?P<version>[23])-(?P<bits>\d(?:\.\d{1,3})?)bpw")
_MLX = re.compile(r"MLX-(?P<bits>[234568])bit")
_HEAD_BITS = Fraction(6)
"""Bits of the output projection that both ExLlama quantizers take by default."""


def default_scheme(name: str, *, experts: bool) -> Scheme:
    """The scheme people mean by `name`; `experts` says whether the network has routed experts.

    Raises:
        FactsError: no checkpoint format of that name.
    """
    if name in _DTYPES:
        return Scheme(name, dtype=name)
    form = _FORMATS.get(name)
    if form is not None:
        start = "mlp.experts." if name in _OF_EXPERTS and experts else ""
        return Scheme(name, ((start, form),), dtype="F16" if name in _HALF else "BF16")
    if found := _EXL.fullmatch(name):
        kind = Exl2 if found["version"] == "2" else Exl3
        targets = (("lm_head", kind(_HEAD_BITS)), ("", kind(Fraction(found["bits"]))))
        return Scheme(name, targets, kept=KEPT_BUT_HEAD, dtype="F16")
    if found := _MLX.fullmatch(name):
        whole = Affine(int(found["bits"]))
        return Scheme(name, (("", whole),), kept=(), tables=whole)
    raise FactsError(
        f"no checkpoint format '{name}'",
        hint="known: " + ", ".join((*_DTYPES, *_FORMATS, "EXL2-4.0bpw", "EXL3-4.0bpw", "MLX-4bit")),
    )


def format_name(form: Format) -> str:
    """What people call a format, whatever the writer and the type of its scales."""
    match form:
        case Scaled(dtype="I8"):
            return "INT8"
        case Scaled():
            return _float8_name(form)
        case Packed():
            group = "channel" if form.group is None else f"g{form.group}"
            return f"INT{form.bits}-W{form.bits}A16-{group}"
        case Microscaled():
            return "NVFP4" if form.scale == NVFP4.scale else "MXFP4"
        case Awq():
            return "AWQ"
        case Gptq():
            return f"GPTQ-Int{form.bits}"
        case Affine() | MicroscaledWords():
            return f"MLX-{form.bits}bit"
        case NormalFloat():
            return form.code.upper() + ("-double" if form.nested else "")
        case Int8Rows():
            return "INT8-bitsandbytes"
        case Exl2() | Exl3():
            version = 2 if isinstance(form, Exl2) else 3
            return f"EXL{version}-{float(form.bits):.1f}bpw"
        case Plain():
            return form.dtype
        case _:
            assert_never(form)


def _float8_name(form: Scaled) -> str:
    match form.block_rows, form.block_columns:
        case None, None:
            return "FP8-tensor"
        case 1, None:
            return "FP8-channel"
        case 1, MXFP8.block_columns:
            return "MXFP8"
        case rows, columns:
            square = rows == columns == _BLOCK
            return "FP8" if square else f"FP8-{rows}x{columns}"
