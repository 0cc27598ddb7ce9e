"""How many weights each kind of mixer has: attention of all kinds, and recurrences.

Model layer. Weights are counted as component `attention`, norms as `norm`.
"""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from planner.model.architecture import Compressed, Grouped, Indexer, Latent, Mixer
from planner.model.components import Counts
from planner.model.recurrent import GatedDelta, KimiDelta, Lightning, Mamba, Mamba2


def mixer_parameters(hidden: int, mixer: Mixer) -> Counts:
    """Weights of one mixer on a hidden state of `hidden` channels."""
    match mixer:
        case Grouped():
            return _grouped(hidden, mixer) + _indexer(hidden, hidden, mixer.indexer)
        case Latent():
            query = mixer.query_rank or hidden
            return _latent(hidden, mixer) + _indexer(hidden, query, mixer.indexer)
        case Compressed():
            return _compressed(hidden, mixer)
        case GatedDelta():
            return _gated_delta(hidden, mixer)
        case KimiDelta():
            return _kimi_delta(hidden, mixer)
        case Lightning():
            inner = mixer.heads * mixer.head_dim
            return Counter({"attention": 5 * inner * hidden, "norm": inner})
        case Mamba():
            return _mamba(hidden, mixer)
        case Mamba2():
            return _mamba2(hidden, mixer)
        case _:
            assert_never(mixer)


def _gated_delta(hidden: int, mixer: GatedDelta) -> Counts:
    keys, values = mixer.key_heads * mixer.key_dim, mixer.value_heads * mixer.value_dim
    matrices = hidden * (2 * keys + 2 * values + 2 * mixer.value_heads) + values * hidden
    convolution = (2 * keys + values) * mixer.kernel
    return Counter(
        {"attention": matrices + convolution + 2 * mixer.value_heads, "norm": mixer.value_dim}
    )


def _kimi_delta(hidden: int, mixer: KimiDelta) -> Counts:
    inner, width = mixer.heads * mixer.head_dim, mixer.head_dim
    low_rank = width * (hidden + inner)
    weights = (
        3 * inner * (hidden + mixer.kernel)
        + mixer.heads
        + inner
        + low_rank
        + mixer.heads * hidden
        + (inner * hidden if mixer.full_rank_gate else low_rank)
        + hidden * inner
    )
    return Counter({"attention": weights, "norm": width})


def _mamba(hidden: int, mixer: Mamba) -> Counts:
    inner, inputs = mixer.inner, mixer.rank + 2 * mixer.state
    weights = (
        3 * inner * hidden
        + inner * (mixer.kernel + 1)
        + inputs * inner
        + inner * (mixer.rank + 1)
        + inner * (mixer.state + 1)
    )
    return Counter({"attention": weights, "norm": inputs})


def _mamba2(hidden: int, mixer: Mamba2) -> Counts:
    inner, states = mixer.heads * mixer.head_dim, 2 * mixer.groups * mixer.state
    weights = (
        hidden * (2 * inner + states + mixer.heads)
        + (inner + states) * (mixer.kernel + mixer.conv_bias)
        + 3 * mixer.heads
        + inner * hidden
    )
    return Counter({"attention": weights, "norm": inner})


def _grouped(hidden: int, attention: Grouped) -> Counts:
    value_dim = attention.value_dim or attention.head_dim
    query = attention.heads * attention.head_dim
    key = attention.kv_heads * attention.head_dim
    value = 0 if attention.shared_kv else attention.kv_heads * value_dim
    output = attention.heads * value_dim
    counts: Counts = Counter({"attention": hidden * (query + key + value + output)})
    if attention.bias:
        counts["attention"] += query + key + value
    if attention.output_bias:
        counts["attention"] += hidden
    if attention.sinks:
        counts["attention"] += attention.heads
    if attention.output_gate:
        counts["attention"] += hidden * query
    if attention.head_gate:
        counts["attention"] += hidden * attention.heads
    if attention.qk_norm:
        counts["norm"] += query + key if attention.qk_norm_spans_heads else 2 * attention.head_dim
    return counts


def _latent(hidden: int, attention: Latent) -> Counts:
    heads, rank, query_rank = attention.heads, attention.kv_rank, attention.query_rank
    query = heads * (attention.nope_dim + attention.rope_dim)
    counts: Counts = Counter({"norm": rank})
    counts["attention"] = (
        hidden * (rank + attention.rope_dim)
        + rank * heads * (attention.nope_dim + attention.value_dim)
        + heads * attention.value_dim * hidden
    )
    if attention.output_gate:
        counts["attention"] += hidden * heads * attention.value_dim
    if query_rank is None:
        counts["attention"] += hidden * query
    else:
        counts["attention"] += query_rank * (hidden + query)
        counts["norm"] += query_rank
    return counts


def _indexer(hidden: int, query: int, indexer: Indexer | None) -> Counts:
    if indexer is None:
        return Counter()
    heads, width = indexer.heads, indexer.head_dim
    matrices = query * heads * width + hidden * width
    if indexer.on_latent:
        matrices += hidden * heads
    return Counter({"attention": matrices, "norm": 2 * width})


def _compressed(hidden: int, mixer: Compressed) -> Counts:
    query, rank = mixer.heads * mixer.head_dim, mixer.query_rank
    counts: Counts = Counter({"norm": rank + mixer.head_dim})
    counts["attention"] = (
        mixer.heads
        + rank * (hidden + query)
        + mixer.head_dim * hidden
        + mixer.output_rank * query
        + hidden * mixer.output_groups * mixer.output_rank
    )
    if mixer.ratio:
        counts += _compressor(hidden, mixer.head_dim, mixer.ratio, mixer.overlaps)
    if mixer.indexer is not None:
        heads, width = mixer.indexer.heads, mixer.indexer.head_dim
        counts["attention"] += heads * (width * rank + hidden)
        counts += _compressor(hidden, width, mixer.ratio, mixer.overlaps)
    return counts


def _compressor(hidden: int, width: int, ratio: int, overlaps: bool) -> Counts:
    """Values, gates and places of `ratio` tokens, each twice where groups overlap."""
    columns = width * (2 if overlaps else 1)
    return Counter({"attention": columns * (ratio + 2 * hidden), "norm": width})
