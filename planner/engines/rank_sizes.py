"""What a class of ranks holds of a network's weights, and what the allocator adds. Remembered.

Engines layer. A search asks for thousands of layouts that cut the same layers the same way, so the
sums of each layer are kept, by the identity of the network and the format.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from planner.engines.allocator import unsplit_rests
from planner.engines.sharding import Rank, Shards, Sizer, layer_shards, mtp_weights, rank_frame
from planner.engines.weight_sizes import sizer
from planner.model.architecture import Architecture, Layer
from planner.model.components import Counts
from planner.model.part import Part
from planner.quantization.scheme import Scheme

_MOST = 4096


class RankSizes(NamedTuple):
    """Bytes by component, and what the allocator counts beside them."""

    weights: Counts
    rests: int


class _Known(NamedTuple):
    """Sums of the layers of one network in one format, cut in one way."""

    architecture: Architecture
    scheme: Scheme
    layers: dict[int, RankSizes]
    frames: dict[tuple[bool, bool], RankSizes]
    """Around the blocks, by whether the stage is the first and the last."""


_known: dict[object, _Known] = {}
_alike: dict[object, tuple[Architecture, tuple[int, ...]]] = {}


def rank_sizes(
    architecture: Architecture, scheme: Scheme, shards: Shards, rank: Rank, *, speculative: bool
) -> RankSizes:
    """Weights and rests of one rank of a class.

    Raises:
        FactsError: a format that cannot store a rank's part of a matrix.
    """
    size = sizer(architecture, scheme)
    known = _layers(architecture, scheme, shards, rank.experts)
    frame = known.frames.get((rank.first, rank.last))
    if frame is None:
        parts = rank_frame(architecture, shards, rank)
        frame = known.frames[rank.first, rank.last] = _summed(parts, None, size)
    weights, rests = Counter(frame.weights), frame.rests
    first = tuple(range(architecture.depth)) if scheme.rules else first_alike(architecture)
    for index, times in Counter(first[layer] for layer in rank.layers).items():
        found = known.layers.get(index)
        if found is None:
            parts = layer_shards(architecture, architecture.layers[index], shards, rank.experts)
            found = known.layers[index] = _summed(parts, index, size)
        for component, bytes_ in found.weights.items():
            weights[component] += times * bytes_
        rests += times * found.rests
    if speculative and rank.last:
        weights["mtp"] += mtp_weights(architecture, shards, rank, size)
    return RankSizes(weights, rests)


def _summed(parts: tuple[Part, ...], index: int | None, size: Sizer) -> RankSizes:
    counts: Counts = Counter()
    for part in parts:
        counts[part.component] += size(part, index)
    return RankSizes(counts, unsplit_rests(parts, index, size))


def _layers(architecture: Architecture, scheme: Scheme, shards: Shards, experts: int) -> _Known:
    key = (id(architecture), id(scheme), shards, experts)
    found = _known.get(key)
    if found is None:
        if len(_known) >= _MOST:
            _known.clear()
        found = _known[key] = _Known(architecture, scheme, {}, {})
    return found


def first_alike(architecture: Architecture) -> tuple[int, ...]:
    """For each layer, the first one like it."""
    found = _alike.get(id(architecture))
    if found is None:
        if len(_alike) >= _MOST:
            _alike.clear()
        seen: dict[Layer, int] = {}
        first = tuple(seen.setdefault(x, n) for n, x in enumerate(architecture.layers))
        found = _alike[id(architecture)] = architecture, first
    return found[1]
