"""The weight tensors of attention of each kind.

Model layer. Weights are of component `attention`, norms of component `norm`.
"""

from __future__ import annotations

from planner.model.architecture import Compressed, Grouped, Indexer, Latent
from planner.model.part import Part, biased, matrix, norm

_SELF = "self_attn."
_INDEXER = "self_attn.indexer."


def grouped_parts(hidden: int, attention: Grouped) -> tuple[Part, ...]:
    """Projections of queries, keys, values and output; a gate per channel is rows of the query's.

    Qwen3-Next keeps that gate in `q_proj`, after the query rows of each head.
    """
    value_dim = attention.value_dim or attention.head_dim
    query = attention.heads * attention.head_dim
    key, value = attention.kv_heads * attention.head_dim, attention.kv_heads * value_dim
    joined = attention.output_gate and not attention.gate_apart
    query_rows = 2 * query if joined else query
    inputs = [_matrix("q_proj", query_rows, hidden), _matrix("k_proj", key, hidden)]
    if not attention.shared_kv:
        inputs.append(_matrix("v_proj", value, hidden))
    output = _matrix("o_proj", hidden, attention.heads * value_dim)
    parts = [*biased(tuple(inputs), attention.bias), *biased((output,), attention.output_bias)]
    if attention.qk_norm:
        spans = attention.qk_norm_spans_heads
        parts.append(norm(_SELF + "q_norm", query if spans else attention.head_dim))
        parts.append(norm(_SELF + "k_norm", key if spans else attention.head_dim))
    if attention.sinks:
        parts.append(_sinks(attention.heads))
    if attention.head_gate:
        parts.append(_matrix("g_proj", attention.heads, hidden))
    if attention.output_gate and attention.gate_apart:
        parts.append(_matrix("gate_proj", query, hidden))
    return (*parts, *_indexer(hidden, hidden, attention.indexer))


def latent_parts(hidden: int, attention: Latent) -> tuple[Part, ...]:
    """Projections down to the latents and up to the heads (DeepSeek V3, modeling_deepseek)."""
    heads, rank, query_rank = attention.heads, attention.kv_rank, attention.query_rank
    query = heads * (attention.nope_dim + attention.rope_dim)
    output = heads * attention.value_dim
    if query_rank is None:
        queries: tuple[Part, ...] = (_matrix("q_proj", query, hidden),)
    else:
        queries = (
            *biased((_matrix("q_a_proj", query_rank, hidden),), attention.bias),
            norm(_SELF + "q_a_layernorm", query_rank),
            _matrix("q_b_proj", query, query_rank),
        )
    gate = (_matrix("g_proj", output, hidden),) if attention.output_gate else ()
    if attention.head_gate:
        gate = (_matrix("g_proj", heads, hidden),)
    return (
        *queries,
        *biased(
            (_matrix("kv_a_proj_with_mqa", rank + attention.rope_dim, hidden),), attention.bias
        ),
        norm(_SELF + "kv_a_layernorm", rank),
        _matrix("kv_b_proj", heads * (attention.nope_dim + attention.value_dim), rank),
        *gate,
        *biased((_matrix("o_proj", hidden, output),), attention.bias),
        *_indexer(hidden, query_rank or hidden, attention.indexer),
    )


def compressed_parts(hidden: int, mixer: Compressed) -> tuple[Part, ...]:
    """Projections of DeepSeek V4: the first of the output's two works within groups of heads."""
    query, rank = mixer.heads * mixer.head_dim, mixer.query_rank
    between = mixer.output_groups * mixer.output_rank
    parts = [
        _matrix("q_a_proj", rank, hidden),
        norm(_SELF + "q_a_layernorm", rank),
        _matrix("q_b_proj", query, rank),
        _matrix("kv_proj", mixer.head_dim, hidden),
        norm(_SELF + "kv_norm", mixer.head_dim),
        _matrix("o_a_proj", between, query // mixer.output_groups),
        _matrix("o_b_proj", hidden, between),
        _sinks(mixer.heads),
    ]
    if mixer.ratio:
        parts += _compressor(_SELF, hidden, mixer.head_dim, mixer)
    if mixer.indexer is not None:
        heads, width = mixer.indexer.heads, mixer.indexer.head_dim
        parts.append(matrix(_INDEXER + "wq_b", heads * width, rank, "attention"))
        parts.append(matrix(_INDEXER + "weights_proj", heads, hidden, "attention"))
        parts += _compressor(_INDEXER, hidden, width, mixer)
    return tuple(parts)


def _compressor(where: str, hidden: int, width: int, mixer: Compressed) -> tuple[Part, ...]:
    """Values, gates and places of the tokens of a group, each twice where groups overlap."""
    columns, name = width * (2 if mixer.overlaps else 1), where + "compressor."
    return (
        matrix(name + "kv_proj", columns, hidden, "attention"),
        matrix(name + "gate_proj", columns, hidden, "attention"),
        Part(name + "position_bias", (mixer.ratio, columns), "attention"),
        norm(name + "kv_norm", width),
    )


def _indexer(hidden: int, query: int, indexer: Indexer | None) -> tuple[Part, ...]:
    """Queries from `query` channels and one key.

    On a latent, heads are weighed, and the key's norm has a bias; else there is one on queries.
    """
    if indexer is None:
        return ()
    heads, width = indexer.heads, indexer.head_dim
    queries, keys = _INDEXER + "wq_b", _INDEXER + "wk"
    parts = (
        matrix(queries, heads * width, query, "attention"),
        matrix(keys, width, hidden, "attention"),
        norm(_INDEXER + "k_norm", width),
    )
    if indexer.on_latent:
        weights = matrix(_INDEXER + "weights_proj", heads, hidden, "attention")
        return (*parts, norm(_INDEXER + "k_norm.bias", width), weights)
    return (*parts, norm(_INDEXER + "q_norm", width))


def _matrix(name: str, rows: int, columns: int) -> Part:
    return matrix(_SELF + name, rows, columns, "attention")


def _sinks(heads: int) -> Part:
    return Part(_SELF + "sinks", (heads,), "attention")
