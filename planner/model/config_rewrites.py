"""Field names of recent configuration classes under those the readers know.

Model layer. Each function gets the fields of one family and returns further ones; fields of ours
begin with `_`. Source: the configuration classes of Hugging Face transformers 5.24.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from planner.model.config_fields import Fields
from planner.model.config_hybrids import HYBRID_REWRITES, Rewrite, depth_of

_FULL = "full_attention"


def _deepseek_v4(read: Fields) -> dict[str, Any]:
    kinds, rates = read.items("layer_types"), read.section("compress_rates")
    if not kinds or "compress_ratios" in read:
        return {}
    networks = read.items("mlp_layer_types")
    ratios = [rates.optional(str(kind)) or 0 for kind in kinds]
    hashed = sum(kind == "hash_moe" for kind in networks)
    return {
        "layer_types": [],
        "mlp_layer_types": [],
        "compress_ratios": ratios,
        "num_hash_layers": hashed or read.optional("num_hash_layers") or 0,
    }


def _mimo_v2(read: Fields) -> dict[str, Any]:
    """Layers with a window have twice the KV heads unless said.

    The publisher's checkpoint stores sinks for all layers, whatever its flags say (its total
    tells); in the module of transformers 5 only layers with a window have some.
    """
    kv_heads = read.count("num_key_value_heads")
    return {
        "swa_num_key_value_heads": read.count("swa_num_key_value_heads", default=2 * kv_heads),
        "topk_method": read.text("topk_method") or "noaux_tc",
        "add_full_attention_sink_bias": "hybrid_layer_pattern" in read,
    }


def _minimax_m3(read: Fields) -> dict[str, Any]:
    kinds = [str(kind) for kind in read.items("layer_types")]
    sparse = [kind == "minimax_m3_sparse" for kind in kinds]
    if "index_n_heads" not in read or "sparse_attention_config" in read:
        return {}
    return {
        "layer_types": [_FULL] * len(kinds),
        "sparse_attention_config": {
            "sparse_attention_freq": sparse,
            "sparse_num_index_heads": read.count("index_n_heads"),
            "sparse_index_dim": read.count("index_head_dim"),
            "sparse_topk_blocks": read.optional("index_topk_blocks"),
            "sparse_block_size": read.optional("index_block_size"),
        },
    }


def _inkling(read: Fields) -> dict[str, Any]:
    """Every layer has short convolutions beside its attention."""
    named = {"hybrid": _FULL, "hybrid_sliding": "sliding_attention"}
    kinds = [named.get(str(kind), str(kind)) for kind in read.items("layer_types")]
    return {"layer_types": kinds, "sliding_window": read.optional("sliding_window_size")}


def _dbrx(read: Fields) -> dict[str, Any]:
    network, look = read.section("ffn_config"), read.section("attn_config")
    return {
        "num_key_value_heads": look.count("kv_n_heads", default=1),
        "intermediate_size": network.count("ffn_hidden_size"),
        "num_experts": network.count("moe_num_experts"),
        "num_experts_per_tok": network.count("moe_top_k"),
    }


def _dense_layers(read: Fields) -> dict[str, Any]:
    return {"first_k_dense_replace": read.optional("num_dense_layers") or 0}


def _laguna(read: Fields) -> dict[str, Any]:
    """`gating` is per head where it is true, else per channel."""
    if "gating" in read and read.text("gating") not in ("True", "per-head"):
        return {"attn_output_gate": True, "_head_gate": False}
    return {}


def _gemma4(read: Fields) -> dict[str, Any]:
    """Heads of layers that look at all tokens are 512 wide unless said."""
    found = _gemma(read)
    if "per_layer_config" not in read and "global_head_dim" not in read:
        found["global_head_dim"] = 512
    return found


def _ernie_moe(read: Fields) -> dict[str, Any]:
    return {"lm_head_bias": read.flag("use_bias", default=False)}


def _gemma(read: Fields) -> dict[str, Any]:
    """The last layers take K and V of an earlier one; those of Gemma 4 may be twice as wide."""
    depth = depth_of(read)
    first = depth - (read.optional("num_kv_shared_layers") or 0)
    widths = read.items("intermediate_size")
    width = widths[0] if widths else read.count("intermediate_size")
    wider = read.flag("use_double_wide_mlp", default=False)
    given = read.section("per_layer_config")
    layers: dict[str, dict[str, Any]] = {}
    for layer in range(depth):
        own = given.fields(str(layer))
        if widths:
            own["intermediate_size"] = widths[layer] if layer < len(widths) else width
        if layer >= first:
            own["_borrowed_kv"] = True
            if wider:
                own["intermediate_size"] = 2 * width
        if own:
            layers[str(layer)] = own
    return {"intermediate_size": width, "per_layer_config": layers}


def _bert(read: Fields) -> dict[str, Any]:
    """Norms come after each part, so that none is left for the end."""
    return {"_final_norm": False}


def _modernbert(read: Fields) -> dict[str, Any]:
    every = read.optional("global_attn_every_n_layers") or 3
    depth = depth_of(read)
    kinds = [_FULL if layer % every == 0 else "sliding_attention" for layer in range(depth)]
    return {
        "layer_types": list(read.items("layer_types")) or kinds,
        "sliding_window": read.optional("sliding_window", "local_attention"),
        "per_layer_config": {"0": {"_input_norm": False}},
    }


def _mllama(read: Fields) -> dict[str, Any]:
    cross = {"_cross": True, "_qk_norm": True}
    return {
        "per_layer_config": {str(layer): cross for layer in read.items("cross_attention_layers")}
    }


def _longcat(read: Fields) -> dict[str, Any]:
    """A layer of the config is two blocks; `num_hidden_layers` may count the blocks."""
    layers = read.optional("num_layers")
    return {"num_hidden_layers": layers} if layers else {}


REWRITES: Mapping[str, Rewrite] = MappingProxyType(
    {
        **HYBRID_REWRITES,
        "afmoe": _dense_layers,
        "bert": _bert,
        "camembert": _bert,
        "data2vec-text": _bert,
        "dbrx": _dbrx,
        "deepseek_ref": _deepseek_v4,
        "deepseek_v4": _deepseek_v4,
        "ernie4_5_moe": _ernie_moe,
        "gemma3n_text": _gemma,
        "gemma4_text": _gemma4,
        "gemma4_unified_text": _gemma4,
        "inkling_text": _inkling,
        "laguna": _laguna,
        "longcat_flash": _longcat,
        "mimo_v2": _mimo_v2,
        "mimo_v2_flash": _mimo_v2,
        "minimax_m3_vl_text": _minimax_m3,
        "mllama_text_model": _mllama,
        "modernbert": _modernbert,
        "roberta": _bert,
        "xlm-roberta": _bert,
    }
)
"""A `model_type` to the fields its own ones come to."""
