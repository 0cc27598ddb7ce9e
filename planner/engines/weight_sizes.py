"""Bytes an engine keeps of a rank's parts of a checkpoint's tensors.

Engines layer. A tensor is cut first and then sized in its format, so that scales and padding are
those of the cut. Engines repack what they load without changing its size.
"""

from __future__ import annotations

from planner.engines.sharding import Sizer
from planner.model.architecture import Architecture
from planner.model.checkpoint_weights import part_bytes
from planner.model.part import Part
from planner.quantization.checkpoint_formats import Plain
from planner.quantization.scheme import Scheme


def sizer(architecture: Architecture, scheme: Scheme) -> Sizer:
    """Sizes of tensors of `architecture` in a checkpoint by `scheme`."""
    depth = architecture.depth
    layers = (*architecture.layers, *architecture.unconverted_mtp)

    def size(part: Part, index: int | None) -> int:
        if index is None:
            return part_bytes(part, scheme)
        mtp = index - depth if index >= depth else None
        return part_bytes(part, scheme, index, layers[index], mtp)

    return size


def is_quantized(scheme: Scheme, role: str) -> bool:
    """Whether the scheme stores linear layers of this role in a format of its own."""
    return not isinstance(scheme.format_of(role, ()), Plain)
