"""What the mixer of a block reads and computes for one new token: its cache, or its state.

Layer: performance. Attention reads rows of the tokens it looks at; a recurrence reads its state
and writes it back, however long the sequence is.
"""

from __future__ import annotations

from typing import NamedTuple

from planner.model.architecture import Compressed, Grouped, Indexer, Latent, Mixer
from planner.model.cache import layer_cache
from planner.quantization.gguf_types import row_bytes

F32 = 4
STATE_FLOPS = 8
"""FLOP per element of a state and token: decay, correction, update and read-out, two each."""


class Read(NamedTuple):
    """What one new token costs in one mixer."""

    bytes: float
    flops: float

    def __add__(self, other: object) -> Read:
        """Both together."""
        assert isinstance(other, Read)
        return Read(self.bytes + other.bytes, self.flops + other.flops)


NOTHING = Read(0.0, 0.0)


def cache_read(mixer: Mixer, depth: int, kv_type: str) -> Read:
    """Bytes moved and FLOP done by a mixer for one token after `depth` others.

    Grouped: kv_heads * (head_dim + value_dim) elements and 2 * heads * (head_dim + value_dim) FLOP
    per token, over at most the window and at most `top_k` tokens. Latent, absorbed:
    kv_rank + rope_dim elements and 2 * heads * (2 * kv_rank + rope_dim) FLOP per token, over at
    most `top_k`. Compressed: head_dim elements and 4 * heads * head_dim FLOP per token of the
    window and per group, of which at most `top_k`. An indexer scores all tokens, or all groups.
    A recurrence: twice the bytes of its state in single precision, 8 FLOP per element of it.
    """
    match mixer:
        case Grouped():
            if mixer.cross:
                return NOTHING
            value_dim = mixer.value_dim or mixer.head_dim
            seen = _least(depth, mixer.window, mixer.top_k)
            row = row_bytes(kv_type, mixer.kv_heads * mixer.head_dim)
            row += row_bytes(kv_type, mixer.kv_heads * value_dim)
            flops = 2 * mixer.heads * (mixer.head_dim + value_dim)
            return _rows(seen, row, flops) + _scored(mixer.indexer, depth, kv_type)
        case Latent():
            seen = _least(depth, mixer.top_k)
            row = row_bytes(kv_type, mixer.kv_rank + mixer.rope_dim)
            flops = 2 * mixer.heads * (2 * mixer.kv_rank + mixer.rope_dim)
            return _rows(seen, row, flops) + _scored(mixer.indexer, depth, kv_type)
        case Compressed():
            groups = depth // mixer.ratio if mixer.ratio else 0
            seen = _least(depth, mixer.window) + _least(groups, mixer.top_k)
            row, flops = row_bytes(kv_type, mixer.head_dim), 4 * mixer.heads * mixer.head_dim
            return _rows(seen, row, flops) + _scored(mixer.indexer, groups, kv_type)
        case _:
            elements = sum(state.elements for state in layer_cache(mixer).states)
            return Read(2.0 * F32 * elements, float(STATE_FLOPS * elements))


def _scored(indexer: Indexer | None, rows: int, kv_type: str) -> Read:
    """An indexer's own keys, one row for all its heads."""
    if indexer is None:
        return NOTHING
    width = indexer.head_dim
    return _rows(rows, row_bytes(kv_type, width), 2 * indexer.heads * width)


def _rows(count: int, row: int, flops: int) -> Read:
    return Read(float(count * row), float(count * flops))


def _least(count: int, *limits: int | None) -> int:
    return min(count, *(limit for limit in limits if limit is not None), count)
