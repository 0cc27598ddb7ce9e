"""The quantization called `own`: what a GGUF file itself holds, tensor by tensor. Model layer."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from planner.catalog.schema import Quantization
from planner.model.gguf import GgufFile
from planner.units import significant

OWN = "own"
"""Name of the quantization."""

FILE_TYPES: Mapping[int, str] = MappingProxyType(
    {
        0: "F32",
        1: "F16",
        2: "Q4_0",
        3: "Q4_1",
        7: "Q8_0",
        8: "Q5_0",
        9: "Q5_1",
        10: "Q2_K",
        11: "Q3_K_S",
        12: "Q3_K_M",
        13: "Q3_K_L",
        14: "Q4_K_S",
        15: "Q4_K_M",
        16: "Q5_K_S",
        17: "Q5_K_M",
        18: "Q6_K",
        19: "IQ2_XXS",
        20: "IQ2_XS",
        21: "Q2_K_S",
        22: "IQ3_XS",
        23: "IQ3_XXS",
        24: "IQ1_S",
        25: "IQ4_NL",
        26: "IQ3_S",
        27: "IQ3_M",
        28: "IQ2_S",
        29: "IQ2_M",
        30: "IQ4_XS",
        31: "IQ1_M",
        32: "BF16",
        36: "TQ1_0",
        37: "TQ2_0",
        38: "MXFP4_MOE",
        39: "NVFP4",
    }
)
"""`general.file_type` to the name of the mix. Source: LlamaFileType of the PyPI package gguf
0.19.0."""


def own_quantization(
    file: GgufFile, beside: Iterable[Quantization], day: datetime.date
) -> Quantization:
    """The row of what `file` holds, ranked above all rows `beside` it: nothing better is there."""
    return Quantization(
        name=OWN,
        kind="gguf",
        quality=f"the file as it is: {file_type(file)}, {significant(bits_per_weight(file))} "
        "bits per weight",
        rank=1 + max((row.rank for row in beside), default=0),
        source=str(file.path),
        checked=day,
    )


def file_type(file: GgufFile) -> str:
    """The mix the file says it is, or `no file type`."""
    value = file.metadata.get("general.file_type")
    name = FILE_TYPES.get(value) if type(value) is int else None
    return name or "no file type"


def bits_per_weight(file: GgufFile) -> float:
    """Bits of all tensors over their weights."""
    elements = sum(math.prod(tensor.shape) for tensor in file.tensors)
    return 8 * file.total_bytes / elements if elements else 0.0
