"""Weights of image encoders, from patches to features, by the fields of a `vision_config`.

Model layer. Every encoder is a patch embedding, places, and a stack of transformer blocks, so each
function says only what differs. Source: the reference modules of Hugging Face transformers 5.24,
and for Kimi K3 and InternViT the publishers' remote code, confirmed by published totals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from planner.model.config_fields import Fields
from planner.model.vision_blocks import (
    Block,
    depth_of,
    frames_of,
    full_block,
    norm,
    patch_weights,
    places_of,
    square_patches,
    width_of,
)


def _siglip(read: Fields) -> int:
    hidden, block = width_of(read), full_block(read)
    places = read.optional("num_patches") or square_patches(read)
    weights = (
        patch_weights(read, bias=True)
        + places * hidden
        + depth_of(read) * block.weights
        + 2 * hidden
    )
    return weights + _pooling_head(read, hidden)


def _pooling_head(read: Fields, hidden: int) -> int:
    """Attention from one learned query, and a network behind it."""
    if not read.flag("vision_use_head", default=read.text("model_type").startswith("siglip")):
        return 0
    width = read.count("intermediate_size")
    return 4 * hidden * hidden + 4 * hidden + 3 * hidden + hidden * (2 * width + 1) + width


def _clip(read: Fields) -> int:
    """CLIP and Llama 4: a place more for one learned token, and norms before and behind."""
    hidden = width_of(read)
    places = square_patches(read) + 1
    around = hidden + patch_weights(read, bias=False) + places * hidden + 4 * hidden
    return around + depth_of(read) * full_block(read).weights


def _pixtral(read: Fields) -> int:
    around = patch_weights(read, bias=False) + width_of(read)
    depth, block = depth_of(read), full_block(read)
    bare = replace(
        block, gated=True, bias=False, output_bias=False, mlp_bias=False, norm_bias=False
    )
    return around + depth * bare.weights


def _qwen2(read: Fields) -> int:
    hidden = read.count("embed_dim")
    ratio = read.number("mlp_ratio") if "mlp_ratio" in read else 4.0
    block = Block(hidden=hidden, intermediate=int(hidden * ratio))
    patch = patch_weights(read, bias=False, frames=frames_of(read), hidden=hidden)
    return patch + read.count("depth") * block.weights


def _qwen2_5(read: Fields) -> int:
    hidden = width_of(read)
    heads = read.count("num_heads", default=1)
    kv_heads = read.optional("num_key_value_heads") or heads
    block = Block(
        hidden=hidden,
        intermediate=read.count("intermediate_size"),
        kv=hidden // heads * kv_heads,
        gated=True,
        norm_bias=False,
    )
    return patch_weights(read, bias=False, frames=frames_of(read)) + depth_of(read) * block.weights


def _qwen3(read: Fields) -> int:
    places = read.count("num_position_embeddings") * width_of(read)
    patch = patch_weights(read, bias=True, frames=frames_of(read))
    return patch + places + depth_of(read) * full_block(read).weights


def _glm4v(read: Fields) -> int:
    hidden = width_of(read)
    bias = read.flag("attention_bias", default=False)
    block = Block(
        hidden=hidden,
        intermediate=read.count("out_hidden_size"),
        gated=True,
        bias=bias,
        output_bias=False,
        mlp_bias=False,
        norm_bias=False,
    )
    around = square_patches(read) * hidden + 2 * hidden
    return (
        patch_weights(read, bias=True, frames=frames_of(read))
        + around
        + depth_of(read) * block.weights
    )


def _glm_next(read: Fields) -> int:
    """GLM 5 Next and GLM OCR: norms on Q and K, and no table of places."""
    hidden = width_of(read)
    bias = read.flag("attention_bias", default=True)
    block = Block(
        hidden=hidden,
        intermediate=read.count("intermediate_size"),
        gated=True,
        bias=bias,
        output_bias=bias,
        mlp_bias=bias,
        norm_bias=False,
        extra=2 * (hidden // read.count("num_heads")),
    )
    blocks = depth_of(read) * block.weights
    return patch_weights(read, bias=True, frames=frames_of(read)) + hidden + blocks


def _moonvit(read: Fields) -> int:
    hidden = read.count("vt_hidden_size", "hidden_size")
    block = Block(
        hidden=hidden,
        intermediate=read.count("vt_intermediate_size", "intermediate_size"),
    )
    depth = read.count("vt_num_hidden_layers", "num_hidden_layers")
    around = places_of(read) * hidden + norm(hidden, bias=True)
    return patch_weights(read, bias=True, hidden=hidden) + around + depth * block.weights


def _kimi_k3(read: Fields) -> int:
    hidden, inner = read.count("vt_hidden_size"), read.count("qkv_hidden_size")
    biases = read.flag("linear_bias", default=False)
    block = Block(
        hidden=hidden,
        intermediate=read.count("vt_intermediate_size"),
        inner=inner,
        kv=inner,
        bias=read.flag("attn_bias", default=False),
        output_bias=read.flag("attn_bias", default=False),
        mlp_bias=biases,
        norm_bias=False,
    )
    patch = patch_weights(
        read, bias=read.flag("patch_embed_proj_bias", default=False), hidden=hidden
    )
    blocks = read.count("vt_num_hidden_layers") * block.weights
    return patch + places_of(read) * hidden + hidden + blocks


def _gemma4(read: Fields) -> int:
    hidden, heads = width_of(read), read.count("num_attention_heads")
    head_dim = read.optional("head_dim") or hidden // heads
    kv_heads = read.count("num_key_value_heads", default=heads)
    bias = read.flag("attention_bias", default=False)
    block = Block(
        hidden=hidden,
        intermediate=read.count("intermediate_size"),
        inner=heads * head_dim,
        kv=kv_heads * head_dim,
        gated=True,
        bias=bias,
        output_bias=bias,
        mlp_bias=False,
        norm_bias=False,
        norms=4,
        extra=2 * head_dim,
    )
    places = 2 * read.count("position_embedding_size", default=10240) * hidden
    scales = 2 * hidden * read.flag("standardize", default=False)
    return patch_weights(read, bias=False) + places + scales + depth_of(read) * block.weights


def _mllama(read: Fields) -> int:
    """Llama 3.2: tiles of an image, with tables of places per aspect ratio."""
    hidden, tiles = width_of(read), read.count("max_num_tiles")
    ratios = len(read.items("supported_aspect_ratios")) or 8
    places = (square_patches(read) + 1) * hidden
    tables = 3 + places + (ratios + 1) * tiles * (places + 2 * hidden)
    block = Block(
        hidden=hidden,
        intermediate=read.count("intermediate_size"),
        bias=False,
        output_bias=False,
    ).weights
    blocks = read.count("num_hidden_layers") * block
    blocks += read.count("num_global_layers") * (block + 2)
    return hidden + patch_weights(read, bias=False) + tables + 4 * hidden + blocks


def _internvl(read: Fields) -> int:
    hidden = width_of(read)
    normed = 2 * hidden * read.flag("use_qk_norm", "qk_normalization", default=False)
    block = Block(
        hidden=hidden,
        intermediate=read.count("intermediate_size"),
        bias=read.flag("attention_bias", "qkv_bias", default=False),
        norm_bias=read.text("norm_type") != "rms_norm",
        extra=2 * hidden + normed,
    )
    places = read.flag("use_absolute_position_embeddings", default=True)
    around = hidden + places * (square_patches(read) + 1) * hidden
    around += hidden * read.flag("use_mask_token", default=False)
    around += 2 * hidden * (not read.flag("use_mean_pooling", default=True))
    return patch_weights(read, bias=True) + around + depth_of(read) * block.weights


def _step(read: Fields) -> int:
    hidden = width_of(read)
    places = square_patches(read) * hidden
    blocks = depth_of(read) * replace(full_block(read), extra=2 * hidden).weights
    shrink = 9 * hidden * 2 * hidden + 2 * hidden + 9 * 2 * hidden * 4 * hidden + 4 * hidden
    return patch_weights(read, bias=False) + places + 2 * hidden + blocks + shrink


def _minimax(read: Fields) -> int:
    patch = patch_weights(read, bias=False, frames=frames_of(read))
    return patch + 2 * width_of(read) + depth_of(read) * full_block(read).weights


def _muse(read: Fields) -> int:
    hidden = width_of(read)
    patch = patch_weights(read, bias=False, frames=read.count("patch_temporal", default=2))
    return patch + places_of(read) * hidden + 4 * hidden + depth_of(read) * full_block(read).weights


ENCODERS: Mapping[str, Callable[[Fields], int]] = MappingProxyType(
    {
        "clip_vision_model": _clip,
        "exaone4_5": _qwen2_5,
        "gemma4": _gemma4,
        "glm4v": _glm4v,
        "glm5_next": _glm_next,
        "glm_ocr": _glm_next,
        "glm4v_moe": _glm4v,
        "idefics3": _siglip,
        "intern_vit_6b": _internvl,
        "internvl": _internvl,
        "kimi_k25": _moonvit,
        "kimi_k3": _kimi_k3,
        "llama4": _clip,
        "minimax_m3_vl": _minimax,
        "mllama": _mllama,
        "moonvit": _moonvit,
        "muse_glimmer": _muse,
        "pixtral": _pixtral,
        "qwen2_5_vl": _qwen2_5,
        "qwen2_vl": _qwen2,
        "qwen3_5": _qwen3,
        "qwen3_5_moe": _qwen3,
        "qwen3_vl": _qwen3,
        "qwen4_exp": _qwen3,
        "qwen3_vl_moe": _qwen3,
        "siglip2_vision_model": _siglip,
        "siglip_vision_model": _siglip,
        "smolvlm": _siglip,
        "step3p7": _step,
    }
)
"""The tower's `model_type` without `_vision`, or the model's own, to the weights of its encoder."""
