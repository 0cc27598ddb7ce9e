"""Field names of networks with recurrent blocks under those the readers know.

Model layer. Each function gets the fields of one family and returns further ones; fields of ours
begin with `_`. Source: the configuration classes of Hugging Face transformers 5.24.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from planner.errors import UnsupportedArchitecture
from planner.model.config_fields import Fields
from planner.units import padded

Rewrite = Callable[[Fields], dict[str, Any]]

_LINEAR, _FULL = "linear_attention", "full_attention"


def depth_of(read: Fields) -> int:
    """Layers; a list of kinds in the config is as long.

    Raises:
        UnsupportedArchitecture: none is given, or more than any network has.
    """
    return believable(read.count("num_hidden_layers", "n_layer", "num_layers"))


def believable(depth: int) -> int:
    """`depth` itself.

    Raises:
        UnsupportedArchitecture: it is more layers than any network has.
    """
    if depth > MOST_BLOCKS:
        raise UnsupportedArchitecture(
            f"config has {depth} layers", hint=f"networks of up to {MOST_BLOCKS} are read"
        )
    return depth


MOST_BLOCKS = 10_000
"""More blocks than this are an error in the file."""


def _linear_except(read: Fields, attention: tuple[Any, ...]) -> list[str]:
    return [_FULL if layer in attention else _LINEAR for layer in range(depth_of(read))]


def _mamba(read: Fields) -> dict[str, Any]:
    hidden = read.count("hidden_size", "d_model")
    inner = read.optional("intermediate_size") or hidden * read.count("expand", default=2)
    return {
        "layers_block_type": ["mamba"] * depth_of(read),
        "_mamba_inner": inner,
        "mamba_d_state": read.count("state_size", default=16),
        "mamba_dt_rank": read.count("time_step_rank", default=-(-hidden // 16)),
        "mamba_d_conv": read.count("conv_kernel", default=4),
        "mamba_conv_bias": read.flag("use_conv_bias", default=True),
        "mamba_proj_bias": read.flag("use_bias", default=False),
        "_mamba_norms": False,
    }


def _mamba2(read: Fields) -> dict[str, Any]:
    biased = read.flag("use_bias", default=False)
    return {
        "layers_block_type": ["mamba"] * depth_of(read),
        "mamba_n_heads": read.count("num_heads", default=128),
        "mamba_d_head": read.count("head_dim", default=64),
        "mamba_n_groups": read.count("n_groups", default=8),
        "mamba_d_state": read.count("state_size", default=128),
        "mamba_d_conv": read.count("conv_kernel", default=4),
        "mamba_conv_bias": read.flag("use_conv_bias", default=True),
        "mamba_proj_bias": biased,
        "_mamba_output_bias": biased,
    }


def _bamba(read: Fields) -> dict[str, Any]:
    biased = read.flag("mamba_proj_bias", default=False)
    kinds = list(read.items("layer_types")) or list(read.items("layers_block_type"))
    known = {"mamba": _LINEAR, "attention": _FULL, "hybrid": _FULL}
    listed = [known.get(str(kind), str(kind)) for kind in kinds]
    return {
        "layer_types": listed or _linear_except(read, read.items("attn_layer_indices")),
        "layers_block_type": [],
        "_mamba_output_bias": biased,
    }


def _falcon_h1(read: Fields) -> dict[str, Any]:
    """Every layer has both mixers on one input."""
    heads = read.count("mamba_n_heads")
    inner = read.optional("mamba_d_ssm") or read.count("hidden_size") * read.count("mamba_expand")
    return {
        "_beside": True,
        "layer_types": [_FULL] * depth_of(read),
        "mamba_d_head": inner // heads,
        "_mamba_norm": read.flag("mamba_rms_norm", default=False),
        "_mamba_output_bias": read.flag("projectors_bias", default=False),
    }


def _recurrent_gemma(read: Fields) -> dict[str, Any]:
    """Its `intermediate_size` counts the gate and the up-projection together."""
    pattern = (
        read.items("block_types")
        or read.items("_block_types")
        or ("recurrent", "recurrent", "attention")
    )
    named = {"recurrent": _LINEAR, "attention": "sliding_attention"}
    kinds = [named.get(str(kind), str(kind)) for kind in pattern]
    return {
        "layer_types": [kinds[layer % len(kinds)] for layer in range(depth_of(read))],
        "intermediate_size": read.count("intermediate_size") // 2,
        "sliding_window": read.count("attention_window_size", default=2048),
        "attention_out_bias": True,
        "lru_width": read.optional("lru_width") or read.count("hidden_size"),
    }


def _lfm2(read: Fields) -> dict[str, Any]:
    return _lfm2_width(read) | _lfm2_kinds(read)


def _lfm2_kinds(read: Fields) -> dict[str, Any]:
    kinds = [_LINEAR if kind == "conv" else str(kind) for kind in read.items("layer_types")]
    return {"layer_types": kinds or _linear_except(read, read.items("full_attn_idxs"))}


def _lfm2_width(read: Fields) -> dict[str, Any]:
    """Two thirds of the width given, times a factor, in steps."""
    width = read.count("block_ff_dim", "intermediate_size")
    if read.flag("block_auto_adjust_ff_dim", default=True):
        width = int(2 * width / 3)
        if "block_ffn_dim_multiplier" in read:
            width = int(read.number("block_ffn_dim_multiplier") * width)
        step = read.count("block_multiple_of", default=256)
        width = padded(width, step)
    return {"intermediate_size": width}


def _lfm2_moe(read: Fields) -> dict[str, Any]:
    dense = read.optional("num_dense_layers") or 0
    scored = read.flag("use_expert_bias", default=True)
    return _lfm2_kinds(read) | {"first_k_dense_replace": dense, "use_routing_bias": scored}


def _lfm3(read: Fields) -> dict[str, Any]:
    return _lfm2_kinds(read) | {
        "_post_norms": read.flag("use_sandwich_norm", default=True),
        "_head_gate": read.flag("use_attention_gate", default=True),
    }


def _kimi_linear(read: Fields) -> dict[str, Any]:
    if "linear_num_heads" not in read:
        return {}
    return {
        "linear_attn_config": {
            "num_heads": read.count("linear_num_heads"),
            "head_dim": read.count("linear_head_dim"),
            "short_conv_kernel_size": read.count("linear_conv_kernel_dim"),
        }
    }


def _bailing_hybrid(read: Fields) -> dict[str, Any]:
    found = _kimi_linear(read)
    if not found:
        raise UnsupportedArchitecture(
            "config has no 'linear_num_heads'",
            hint="only Ling configs of Hugging Face transformers 5 are known",
        )
    linear = found["linear_attn_config"]
    linear |= {"use_full_rank_gate": True, "use_full_rank_decay": True}
    return found


def _nemotron_h(read: Fields) -> dict[str, Any]:
    named = {_LINEAR: "mamba", _FULL: "attention"}
    kinds = [named.get(str(kind), str(kind)) for kind in read.items("layers_block_type")]
    biased = read.flag("use_bias", "mamba_proj_bias", default=False)
    return {"layers_block_type": kinds, "_mamba_output_bias": biased, "mamba_proj_bias": biased}


def _minimax(read: Fields) -> dict[str, Any]:
    kinds = [int(kind == _FULL) for kind in read.items("layer_types")]
    return {"attn_type_list": kinds, "layer_types": []} if kinds else {}


def _qwen4(read: Fields) -> dict[str, Any]:
    """Layers without a linear mixer have an indexer, where its fields are given."""
    depth, every = depth_of(read), read.count("full_attention_interval", default=4)
    kinds = [_LINEAR if kind == _LINEAR else _FULL for kind in read.items("layer_types")]
    kinds = kinds or [_LINEAR if (layer + 1) % every else _FULL for layer in range(depth)]
    found: dict[str, Any] = {"layer_types": kinds}
    if "indexer_n_heads" in read:
        found["sparse_attention_config"] = {
            "sparse_attention_freq": [kind == _FULL for kind in kinds],
            "sparse_num_index_heads": read.count("indexer_n_heads"),
            "sparse_index_dim": read.count("indexer_head_dim"),
            "sparse_topk_blocks": read.optional("indexer_budget"),
            "sparse_block_size": 1,
        }
    return found


HYBRID_REWRITES: Mapping[str, Rewrite] = MappingProxyType(
    {
        "bailing_hybrid": _bailing_hybrid,
        "bamba": _bamba,
        "falcon_h1": _falcon_h1,
        "falcon_mamba": _mamba,
        "glm5_next_text": _kimi_linear,
        "granitemoehybrid": _bamba,
        "kimi_linear": _kimi_linear,
        "lfm2": _lfm2,
        "lfm2_moe": _lfm2_moe,
        "lfm3": _lfm3,
        "mamba": _mamba,
        "mamba2": _mamba2,
        "minimax": _minimax,
        "nemotron_h": _nemotron_h,
        "qwen4_exp_text": _qwen4,
        "recurrent_gemma": _recurrent_gemma,
    }
)
"""A `model_type` to the fields its own ones come to."""
