"""The attention of each layer from the config fields that set it.

Model layer. Field names differ between publishers for one thing; the first given counts.
"""

from __future__ import annotations

from typing import Any

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import (
    Attention,
    Compressed,
    Grouped,
    Indexer,
    Latent,
    Mixer,
)
from planner.model.config_fields import Fields
from planner.model.families import Family

_FINE_RATIO = 4
"""Groups of so many tokens overlap and are picked by an indexer; larger ones are all read."""

_BIAS = ("attention_bias", "use_qkv_bias", "qkv_bias", "bias", "use_bias")
_OUTPUT_GATE = ("attn_output_gate", "attention_output_gate")


def windows(read: Fields, family: Family, depth: int) -> tuple[int | None, ...]:
    """The sliding window of each layer; None where it looks at all tokens."""
    window = read.optional("sliding_window", "attention_chunk_size")
    if window is None or not read.flag("use_sliding_window", default=family.window):
        return (None,) * depth
    kinds = read.per_layer("layer_types", depth)
    if kinds:
        return tuple(_window_of_kind(kind, window) for kind in kinds)
    pattern = read.per_layer("hybrid_layer_pattern", depth)
    if pattern:
        return tuple(window if slides else None for slides in pattern)
    every = read.optional("sliding_window_pattern") or family.full_attention_every
    if every is None:
        return (window,) * depth
    return tuple(None if (i + 1) % every == 0 else window for i in range(depth))


def _window_of_kind(kind: Any, window: int) -> int | None:
    match kind:
        case "sliding_attention" | "chunked_attention":
            return window
        case "full_attention" | "linear_attention":
            return None
        case _:
            raise UnsupportedArchitecture(
                f"config field 'layer_types' has '{kind}'",
                hint="'full_attention' and 'sliding_attention' are known",
            )


def mixer(read: Fields, family: Family, window: int | None, layer: int | None) -> Mixer:
    """The mixer of layer number `layer`, which is not recurrent; None is an MTP block."""
    for field in ("compress_ratios", "layer_compress_ratios"):
        if field in read:
            ratios = read.items(field)
            inside = layer is not None and layer < len(ratios)
            return _compressed(read, ratios[layer or 0] if inside else 0)
    return attention(read, family, window, layer)


def _compressed(read: Fields, ratio: Any) -> Compressed:
    if isinstance(ratio, bool) or not isinstance(ratio, int) or ratio < 0:
        raise UnsupportedArchitecture(
            f"config field 'compress_ratios' has {ratio!r}", hint="0, 4 and 128 are known"
        )
    fine = ratio == _FINE_RATIO
    indexer = None
    if fine:
        indexer = Indexer(heads=read.count("index_n_heads"), head_dim=read.count("index_head_dim"))
    return Compressed(
        heads=read.count("num_attention_heads"),
        head_dim=read.count("head_dim"),
        query_rank=read.count("q_lora_rank"),
        output_groups=read.count("o_groups"),
        output_rank=read.count("o_lora_rank"),
        window=read.optional("sliding_window"),
        ratio=ratio,
        overlaps=fine,
        indexer=indexer,
        top_k=read.optional("index_topk") if fine else None,
    )


def attention(read: Fields, family: Family, window: int | None, layer: int | None) -> Attention:
    """The attention of layer number `layer`; None is an MTP block."""
    if "kv_lora_rank" in read:
        return Latent(
            heads=read.count("num_attention_heads"),
            query_rank=read.optional("q_lora_rank"),
            kv_rank=read.count("kv_lora_rank"),
            nope_dim=read.count("qk_nope_head_dim"),
            rope_dim=read.count_or_zero("qk_rope_head_dim"),
            value_dim=read.count("v_head_dim"),
            indexer=_latent_indexer(read, layer),
            top_k=read.optional("index_topk"),
            output_gate=read.flag("mla_use_output_gate", default=False),
            head_gate=family.head_gate,
            bias=read.flag("attention_bias", default=False),
        )
    heads, kv_heads, head_dim = _heads(read, family, sliding=window is not None)
    by_layer = read.items("num_attention_heads_per_layer")
    if layer is not None and layer < len(by_layer):
        heads = Fields({"num_attention_heads_per_layer": by_layer[layer]}).count(
            "num_attention_heads_per_layer"
        )
    bias = read.flag(*_BIAS, default=family.attention_bias)
    value_dim = read.count("v_head_dim", default=head_dim)
    indexer = _grouped_indexer(read, layer)
    return Grouped(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        window=window,
        bias=bias,
        output_bias=read.flag("attention_out_bias", default=bias and family.output_bias),
        qk_norm=read.flag("_qk_norm", "use_qk_norm", default=family.qk_norm)
        and family.qk_norm_weights,
        qk_norm_spans_heads=family.qk_norm_spans_heads,
        sinks=_has_sinks(read, family, sliding=window is not None),
        value_dim=None if value_dim == head_dim else value_dim,
        shared_kv=window is None and read.flag("attention_k_eq_v", default=False),
        cross=read.flag("_cross", default=False),
        borrowed_kv=read.flag("_borrowed_kv", default=False),
        head_gate=read.flag("_head_gate", default=family.head_gate),
        output_gate=read.flag(*_OUTPUT_GATE, default=family.output_gate),
        gate_apart=family.gate_apart,
        indexer=indexer,
        top_k=None if indexer is None else _grouped_top_k(read),
    )


def _has_sinks(read: Fields, family: Family, *, sliding: bool) -> bool:
    field = "add_swa_attention_sink_bias" if sliding else "add_full_attention_sink_bias"
    return read.flag(field, default=family.sinks)


def _heads(read: Fields, family: Family, *, sliding: bool) -> tuple[int, int, int]:
    """Heads, KV heads and head dimension; layers with a window may have their own."""
    heads = read.count("num_attention_heads")
    kv_heads = read.count("num_key_value_heads", default=heads)
    head_dim = read.optional("head_dim", "attention_head_dim") or read.count("hidden_size") // heads
    if not head_dim:
        raise UnsupportedArchitecture(
            f"config field 'num_attention_heads' is {heads}, more than 'hidden_size'",
            hint="take the config.json the publisher ships",
        )
    other = read.section("attention_other_setting")
    if sliding:
        return (
            read.optional("swa_num_attention_heads")
            or other.count("num_attention_heads", default=family.sliding_heads or heads),
            read.optional("swa_num_key_value_heads")
            or other.count("num_attention_groups", default=kv_heads),
            read.optional("swa_head_dim") or head_dim,
        )
    return (
        heads,
        read.optional("num_global_key_value_heads") or kv_heads,
        read.optional("global_head_dim") or head_dim,
    )


def _latent_indexer(read: Fields, layer: int | None) -> Indexer | None:
    """Layers may share the choice of the indexer of an earlier one."""
    heads = read.optional("index_n_heads")
    if heads is None:
        return None
    kinds = read.items("indexer_types")
    every = read.optional("index_topk_freq") or 1
    offset = read.optional("index_skip_topk_offset") or 0
    if layer is None:
        own = True
    elif layer < len(kinds):
        own = kinds[layer] == "full"
    else:
        own = layer < offset or (layer - offset + 1) % every == 0
    return Indexer(heads=heads, head_dim=read.count("index_head_dim")) if own else None


def _grouped_top_k(read: Fields) -> int | None:
    """Blocks chosen, times their tokens (MiniMax M3)."""
    sparse = read.section("sparse_attention_config")
    blocks, tokens = sparse.optional("sparse_topk_blocks"), sparse.optional("sparse_block_size")
    return blocks * tokens if blocks and tokens else None


def _grouped_indexer(read: Fields, layer: int | None) -> Indexer | None:
    sparse = read.section("sparse_attention_config")
    layers = sparse.items("sparse_attention_freq")
    if layer is None or layer >= len(layers) or not layers[layer]:
        return None
    return Indexer(
        heads=sparse.count("sparse_num_index_heads"),
        head_dim=sparse.count("sparse_index_dim"),
        on_latent=False,
    )
