"""Header fields of networks with recurrent blocks, or with blocks that leave a part out."""

from __future__ import annotations

from typing import Any

from planner.model.architecture import Architecture, Dense, Grouped, Latent, MixtureOfExperts
from planner.model.recurrent import GatedDelta, KimiDelta, Mamba, Mamba2
from planner.model.weights import ONE_HEAD_COUNT

SECTIONS = ("qwen35", "qwen35moe")
"""Architectures whose files name the parts of a head that rotate by time, height and width."""


def write_hybrid(writer: Any, architecture: Architecture) -> None:
    """Heads and widths layer by layer, and the sizes of the state."""
    layers = architecture.layers
    heads, kv_heads, widths = [], [], []
    for layer in layers:
        match layer.mixer:
            case Grouped() as mixer:
                heads.append(mixer.heads)
                kv_heads.append(mixer.kv_heads)
            case Latent() as mixer:
                heads.append(mixer.heads)
                kv_heads.append(1)
            case _:
                heads.append(0)
                kv_heads.append(0)
        match layer.network:
            case Dense() as network:
                widths.append(network.intermediate)
            case MixtureOfExperts() as network:
                widths.append(network.intermediate)
            case None:
                widths.append(0)
    whole = architecture.gguf_name == "deci"
    writer.add_head_count(heads if whole else max(heads))
    one = architecture.gguf_name in ONE_HEAD_COUNT
    writer.add_head_count_kv(max(kv_heads) if one else kv_heads)
    alone = any(layer.network is None for layer in layers)
    writer.add_feed_forward_length(widths if whole or alone else _dense_width(architecture))
    _write_attention(writer, architecture)
    _write_state(writer, architecture)


def _dense_width(architecture: Architecture) -> int:
    """Of dense networks where there are some, else of experts."""
    networks = [layer.network for layer in architecture.layers]
    dense = [network.intermediate for network in networks if isinstance(network, Dense)]
    return max(dense) if dense else networks[0].intermediate


def _write_attention(writer: Any, architecture: Architecture) -> None:
    found = [layer.mixer for layer in architecture.layers if isinstance(layer.mixer, Grouped)]
    if found:
        writer.add_key_length(found[0].head_dim)
        writer.add_value_length(found[0].head_dim)
        part = 4 if architecture.gguf_name in ONE_HEAD_COUNT else 1
        writer.add_rope_dimension_count(found[0].head_dim // part)
        return
    latent = next(layer.mixer for layer in architecture.layers if isinstance(layer.mixer, Latent))
    write_latent(writer, latent)


def write_latent(writer: Any, latent: Latent) -> None:
    """Ranks and head lengths of latent attention."""
    if latent.query_rank:
        writer.add_q_lora_rank(latent.query_rank)
    writer.add_kv_lora_rank(latent.kv_rank)
    writer.add_rope_dimension_count(latent.rope_dim)
    writer.add_key_length(latent.kv_rank + latent.rope_dim)
    writer.add_value_length(latent.kv_rank)
    writer.add_key_length_mla(latent.nope_dim + latent.rope_dim)
    writer.add_value_length_mla(latent.value_dim)


def _write_state(writer: Any, architecture: Architecture) -> None:
    mixers = [layer.mixer for layer in architecture.layers]
    state = next((m for m in mixers if m and not isinstance(m, Grouped | Latent)), None)
    match state:
        case GatedDelta():
            writer.add_ssm_conv_kernel(state.kernel)
            writer.add_ssm_state_size(state.key_dim)
            writer.add_ssm_group_count(state.key_heads)
            writer.add_ssm_time_step_rank(state.value_heads)
            writer.add_ssm_inner_size(state.value_heads * state.value_dim)
            every = next(i for i, mixer in enumerate(mixers) if isinstance(mixer, Grouped)) + 1
            writer.add_full_attention_interval(every)
        case KimiDelta():
            writer.add_ssm_conv_kernel(state.kernel)
            writer.add_kda_head_dim(state.head_dim)
        case Mamba():
            writer.add_ssm_conv_kernel(state.kernel)
            writer.add_ssm_inner_size(state.inner)
            writer.add_ssm_state_size(state.state)
            writer.add_ssm_time_step_rank(state.rank)
        case Mamba2():
            writer.add_ssm_conv_kernel(state.kernel)
            writer.add_ssm_inner_size(state.heads * state.head_dim)
            writer.add_ssm_state_size(state.state)
            writer.add_ssm_time_step_rank(state.heads)
            writer.add_ssm_group_count(state.groups)
        case None:
            pass
    if architecture.gguf_name in SECTIONS:
        writer.add_rope_dimension_sections([11, 11, 10, 0])
