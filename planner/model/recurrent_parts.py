"""The weight tensors of recurrent mixers of each kind.

Model layer. Weights are of component `attention`, norms of component `norm`. Convolutions are
shaped (channels, kernel).
"""

from __future__ import annotations

from typing import assert_never

from planner.model.part import Part, bias, biased, matrix, norm
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


def recurrent_parts(hidden: int, mixer: Recurrent) -> tuple[Part, ...]:
    """All weights of one recurrent mixer on a hidden state of `hidden` channels."""
    match mixer:
        case GatedDelta():
            return _gated_delta(hidden, mixer)
        case KimiDelta():
            return _kimi_delta(hidden, mixer)
        case Lightning():
            return _lightning(hidden, mixer)
        case Mamba():
            return _mamba(hidden, mixer)
        case Mamba2():
            return _mamba2(hidden, mixer)
        case ShortConvolution():
            return _short_convolution(hidden, mixer)
        case GatedRecurrence():
            return _gated_recurrence(hidden, mixer)
        case _:
            assert_never(mixer)


def _gated_delta(hidden: int, mixer: GatedDelta) -> tuple[Part, ...]:
    """Qwen3.5 names; Qwen3-Next stores the four input matrices as two (qkvz and ba)."""
    keys, values = mixer.key_heads * mixer.key_dim, mixer.value_heads * mixer.value_dim
    name = "linear_attn."
    return (
        _matrix(name + "in_proj_qkv", 2 * keys + values, hidden),
        _matrix(name + "in_proj_z", values, hidden),
        _matrix(name + "in_proj_b", mixer.value_heads, hidden),
        _matrix(name + "in_proj_a", mixer.value_heads, hidden),
        _table(name + "conv1d", 2 * keys + values, mixer.kernel),
        _table(name + "A_log", mixer.value_heads),
        _table(name + "dt_bias", mixer.value_heads),
        norm(name + "norm", mixer.value_dim),
        _matrix(name + "out_proj", hidden, values),
    )


def _kimi_delta(hidden: int, mixer: KimiDelta) -> tuple[Part, ...]:
    """Kimi calls the module `self_attn`, as that of its layers with attention."""
    inner, width, name = mixer.heads * mixer.head_dim, mixer.head_dim, "self_attn."
    gate: tuple[Part, ...] = (
        _matrix(name + "g_a_proj", width, hidden),
        _matrix(name + "g_b_proj", inner, width),
    )
    if mixer.full_rank_gate:
        gate = (_matrix(name + "g_proj", inner, hidden),)
    decay: tuple[Part, ...] = (
        _matrix(name + "f_a_proj", width, hidden),
        _matrix(name + "f_b_proj", inner, width),
    )
    if mixer.full_rank_decay:
        decay = (_matrix(name + "f_proj", inner, hidden),)
    return (
        *(_matrix(f"{name}{which}_proj", inner, hidden) for which in "qkv"),
        *(_table(f"{name}{which}_conv1d", inner, mixer.kernel) for which in "qkv"),
        _table(name + "A_log", mixer.heads),
        _table(name + "dt_bias", inner),
        *decay,
        _matrix(name + "b_proj", mixer.heads, hidden),
        *gate,
        norm(name + "o_norm", width),
        _matrix(name + "o_proj", hidden, inner),
    )


def _lightning(hidden: int, mixer: Lightning) -> tuple[Part, ...]:
    inner, name = mixer.heads * mixer.head_dim, "self_attn."
    return (
        _matrix(name + "qkv_proj", 3 * inner, hidden),
        _matrix(name + "output_gate", inner, hidden),
        norm(name + "norm", inner),
        _matrix(name + "out_proj", hidden, inner),
    )


def _mamba(hidden: int, mixer: Mamba) -> tuple[Part, ...]:
    """Jamba names."""
    inner, name = mixer.inner, "mamba."
    convolution = _table(name + "conv1d", inner, mixer.kernel)
    step = _matrix(name + "dt_proj", inner, mixer.rank)
    norms = (
        norm(name + "dt_layernorm", mixer.rank),
        norm(name + "b_layernorm", mixer.state),
        norm(name + "c_layernorm", mixer.state),
    )
    return (
        *biased((_matrix(name + "in_proj", 2 * inner, hidden),), mixer.bias),
        *biased((convolution,), mixer.conv_bias),
        _matrix(name + "x_proj", mixer.rank + 2 * mixer.state, inner),
        *(norms if mixer.norms else ()),
        step,
        bias(step),
        _table(name + "A_log", inner, mixer.state),
        _table(name + "D", inner),
        *biased((_matrix(name + "out_proj", hidden, inner),), mixer.bias),
    )


def _mamba2(hidden: int, mixer: Mamba2) -> tuple[Part, ...]:
    """Granite names; Nemotron-H calls the module `mixer`."""
    inner, name = mixer.heads * mixer.head_dim, "mamba."
    channels = inner + 2 * mixer.groups * mixer.state
    convolution = _table(name + "conv1d", channels, mixer.kernel)
    return (
        *biased((_matrix(name + "in_proj", inner + channels + mixer.heads, hidden),), mixer.bias),
        *biased((convolution,), mixer.conv_bias),
        _table(name + "A_log", mixer.heads),
        _table(name + "D", mixer.heads),
        _table(name + "dt_bias", mixer.heads),
        *((norm(name + "norm", inner),) if mixer.norm else ()),
        *biased((_matrix(name + "out_proj", hidden, inner),), mixer.output_bias),
    )


def _short_convolution(hidden: int, mixer: ShortConvolution) -> tuple[Part, ...]:
    """Two gates and the input from one matrix (LFM2 names)."""
    name = "conv."
    parts = (
        _matrix(name + "in_proj", 3 * mixer.channels, hidden),
        _table(name + "conv", mixer.channels, mixer.kernel),
        _matrix(name + "out_proj", hidden, mixer.channels),
    )
    return biased(parts, mixer.bias)


def _gated_recurrence(hidden: int, mixer: GatedRecurrence) -> tuple[Part, ...]:
    """RecurrentGemma names; both gates work within blocks of channels."""
    width, block, name = mixer.width, mixer.width // mixer.heads, "temporal_block."
    inputs = tuple(_matrix(name + each, width, hidden) for each in ("linear_y", "linear_x"))
    convolution = _table(name + "conv_1d", width, mixer.kernel)
    gates = tuple(
        Part(f"{name}rg_lru.{which}_gate_weight", (width, block), "attention")
        for which in ("input", "recurrent")
    )
    return (
        *biased((*inputs, convolution, *gates), present=True),
        _table(name + "rg_lru.recurrent_param", width),
        *biased((_matrix(name + "linear_out", hidden, width),), present=True),
    )


def _matrix(role: str, rows: int, columns: int) -> Part:
    return matrix(role, rows, columns, "attention")


def _table(role: str, *shape: int) -> Part:
    return Part(role, shape, "attention")
