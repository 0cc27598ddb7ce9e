"""Recurrent mixers, and blocks that leave a part out, from the config fields that set them.

Model layer.
"""

from __future__ import annotations

from typing import Any

from planner.errors import UnsupportedArchitecture
from planner.model.config_fields import Fields
from planner.model.recurrent import (
    GatedDelta,
    GatedRecurrence,
    KimiDelta,
    Lightning,
    Mamba,
    Mamba2,
    Recurrent,
    ShortConvolution,
)
from planner.units import padded

_STATE = (
    "linear_attn_config",
    "linear_num_key_heads",
    "mamba_n_heads",
    "mamba_d_state",
    "ssm_state_size",
    "conv_L_cache",
    "lru_width",
)
"""Fields that describe a recurrent mixer."""

_PATTERN = {"M": "mamba", "*": "attention", "E": "moe", "-": "mlp"}
"""Letters of `hybrid_override_pattern`."""


def recurrent_layers(read: Fields, depth: int) -> tuple[bool, ...]:
    """For each layer whether its mixer is recurrent.

    Raises:
        UnsupportedArchitecture: a recurrent mixer is described, but not where.
    """
    listed = read.section("linear_attn_config").items("kda_layers")
    if listed:
        return tuple(layer + 1 in listed for layer in range(depth))
    if read.flag("_beside", default=False):
        return (False,) * depth
    flags = read.per_layer("attn_type_list", depth)
    if flags:
        return tuple(not flag for flag in flags)
    kinds = read.per_layer("layer_types", depth)
    fields = [field for field in _STATE if field in read]
    _refuse_unknown_kinds(kinds, recurrent=bool(fields))
    if kinds and fields:
        return tuple(kind in _RECURRENT_KINDS for kind in kinds)
    if "attn_layer_period" in read:
        period, offset = read.count("attn_layer_period"), read.optional("attn_layer_offset") or 0
        return tuple(layer % period != offset for layer in range(depth))
    if "full_attention_interval" in read:
        every = read.count("full_attention_interval")
        return tuple((layer + 1) % every != 0 for layer in range(depth))
    if fields:
        raise UnsupportedArchitecture(
            "config fields without rules: " + ", ".join(f"'{field}'" for field in fields),
            hint="no field says which layers have this mixer",
        )
    return (False,) * depth


_RECURRENT_KINDS = ("linear_attention", "mamba")
_ATTENTION_KINDS = (
    "attention",
    "chunked_attention",
    "full_attention",
    "indexed_attention",
    "sliding_attention",
)


def _refuse_unknown_kinds(kinds: tuple[Any, ...], *, recurrent: bool) -> None:
    known = _ATTENTION_KINDS + (_RECURRENT_KINDS if recurrent else ())
    strange = next((kind for kind in kinds if kind not in known), None)
    if strange is not None:
        raise UnsupportedArchitecture(
            f"config field 'layer_types' has '{strange}'",
            hint="known here: " + ", ".join(known),
        )


def recurrent(read: Fields) -> Recurrent:
    """The recurrent mixer of a network."""
    if "linear_num_key_heads" in read:
        return GatedDelta(
            key_heads=read.count("linear_num_key_heads"),
            value_heads=read.count("linear_num_value_heads"),
            key_dim=read.count("linear_key_head_dim"),
            value_dim=read.count("linear_value_head_dim"),
            kernel=read.count("linear_conv_kernel_dim"),
        )
    if "linear_attn_config" in read:
        linear = read.section("linear_attn_config")
        return KimiDelta(
            heads=linear.count("num_heads"),
            head_dim=linear.count("head_dim"),
            kernel=linear.count("short_conv_kernel_size"),
            full_rank_gate=linear.flag("use_full_rank_gate", default=False),
            full_rank_decay=linear.flag("use_full_rank_decay", default=False),
        )
    if "mamba_n_heads" in read or "mamba_num_heads" in read:
        return Mamba2(
            heads=read.count("mamba_n_heads", "mamba_num_heads"),
            head_dim=read.count("mamba_d_head", "mamba_head_dim"),
            groups=read.count("mamba_n_groups", "n_groups"),
            state=read.count("mamba_d_state", "ssm_state_size"),
            kernel=read.count("mamba_d_conv", "conv_kernel"),
            conv_bias=read.flag("mamba_conv_bias", "use_conv_bias", default=True),
            bias=read.flag("mamba_proj_bias", default=False),
            output_bias=read.flag("_mamba_output_bias", default=False),
            norm=read.flag("_mamba_norm", default=True),
        )
    if "mamba_dt_rank" in read:
        return Mamba(
            inner=read.optional("_mamba_inner")
            or read.count("mamba_expand") * read.count("hidden_size"),
            norms=read.flag("_mamba_norms", default=True),
            conv_bias=read.flag("mamba_conv_bias", default=True),
            bias=read.flag("mamba_proj_bias", default=False),
            state=read.count("mamba_d_state"),
            rank=read.count("mamba_dt_rank"),
            kernel=read.count("mamba_d_conv"),
        )
    if "conv_L_cache" in read:
        return ShortConvolution(
            channels=read.count("hidden_size"),
            kernel=read.count("conv_L_cache"),
            bias=read.flag("conv_bias", default=False),
        )
    if "lru_width" in read:
        return GatedRecurrence(
            width=read.count("lru_width"),
            heads=read.count("num_attention_heads"),
            kernel=read.count("conv1d_width", default=4),
        )
    heads = read.count("num_attention_heads")
    width = read.optional("head_dim") or read.count("hidden_size") // heads
    return Lightning(heads=heads, head_dim=width)


def single_part_blocks(read: Fields) -> tuple[str, ...]:
    """Blocks of one part each: `mamba`, `attention`, `moe` or `mlp`; empty for other networks."""
    pattern = read.text("hybrid_override_pattern")
    if not pattern:
        return tuple(str(kind) for kind in read.items("layers_block_type"))
    unknown = set(pattern) - set(_PATTERN)
    if unknown:
        raise UnsupportedArchitecture(
            f"config field 'hybrid_override_pattern' has '{min(unknown)}'",
            hint="known: " + " ".join(_PATTERN),
        )
    return tuple(_PATTERN[letter] for letter in pattern)


def searched_block(block: Any, hidden: int, heads: int) -> tuple[int | None, int | None]:
    """KV heads and feed-forward width of an entry of `block_configs`; None is a part left out."""
    parts = Fields(block if isinstance(block, dict) else {})
    attention, network = parts.section("attention"), parts.section("ffn")
    for part in (attention, network):
        if part.flag("replace_with_linear", default=False):
            raise UnsupportedArchitecture(
                "config field 'block_configs' has 'replace_with_linear'",
                hint="blocks with attention or without are known",
            )
    kv_heads = width = None
    if not attention.flag("no_op", default=False):
        kv_heads = heads // attention.count("n_heads_in_group")
    if not network.flag("no_op", default=False):
        wanted = int(2 * network.number("ffn_mult") * hidden / 3)
        width = padded(wanted, _WIDTH_STEP)
    return kv_heads, width


_WIDTH_STEP = 256
"""Feed-forward widths of searched networks are rounded up to a multiple."""
