"""What PyTorch's caching allocator counts beyond the sizes of the tensors. Engines layer, shared.

A tensor of more than 10 MiB gets a piece of device memory of whole 2 MiB; a rest of up to 1 MiB is
not split off and counts as allocated. Engines fuse matrices, so the fused sizes matter.

Source: constants of c10/cuda/CUDACachingAllocator (kMinLargeAlloc, kRoundLarge, kSmallSize).
"""

from __future__ import annotations

from collections.abc import Iterable

from planner.engines.sharding import Sizer
from planner.model.part import Part
from planner.units import MIB

OWN_PIECE = 10 * MIB
PIECE = 2 * MIB
NOT_SPLIT = MIB

_FUSED = {
    "q_proj": "qkv",
    "k_proj": "qkv",
    "v_proj": "qkv",
    "gate_proj": "gate_up",
    "up_proj": "gate_up",
    "q_a_proj": "latents",
    "kv_a_proj_with_mqa": "latents",
}
"""Last words of roles that engines load into one tensor."""


def unsplit_rests(parts: Iterable[Part], index: int | None, size: Sizer) -> int:
    """Bytes counted beyond the tensors of one layer (None: of the frame) on a rank."""
    fused: dict[str, int] = {}
    for part in parts:
        module, _, last = part.role.rpartition(".")
        name = f"{module}.{_FUSED.get(last, last)}"
        fused[name] = fused.get(name, 0) + size(part, index)
    return sum(_rest(bytes_) for bytes_ in fused.values())


def _rest(size: int) -> int:
    if size <= OWN_PIECE:
        return 0
    rest = -size % PIECE
    return rest if rest <= NOT_SPLIT else 0
