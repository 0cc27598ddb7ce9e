"""Weights of Inkling beside those of other networks. Model layer.

Source: the reference module of Hugging Face transformers 5.24.
"""

from __future__ import annotations

from planner.model.config_fields import Fields
from planner.model.extra import Extra


def short_convolutions(read: Fields, layer: int) -> tuple[Extra, ...]:
    """Convolutions on keys, values and both results, and places as logits (Inkling).

    Shared experts have rows in the router, which scales its choice.
    """
    hidden, kernel = read.count("hidden_size"), read.count("conv_kernel_size")
    kinds, window = read.items("layer_types"), read.optional("sliding_window")
    slides = layer < len(kinds) and kinds[layer] == "sliding_attention"
    own = "swa_num_key_value_heads" if slides else "num_key_value_heads"
    heads = read.count("swa_num_attention_heads" if slides else "num_attention_heads")
    width = read.optional("swa_head_dim") if slides else None
    keys = read.count(own) * (width or read.count("head_dim"))
    places, extent = read.count("d_rel"), read.count("rel_extent")
    if slides and window:
        extent = window
    found = [
        Extra(role="self_attn.k_sconv", shape=(keys, kernel), component="attention"),
        Extra(role="self_attn.v_sconv", shape=(keys, kernel), component="attention"),
        Extra(
            role="self_attn.r_proj",
            shape=(heads * places, hidden),
            component="attention",
            linear=True,
        ),
        Extra(role="self_attn.rel_logits_proj", shape=(places, extent), component="attention"),
        Extra(role="attn_sconv", shape=(hidden, kernel), component="attention"),
        Extra(role="mlp_sconv", shape=(hidden, kernel), component="dense"),
    ]
    networks = read.items("mlp_layer_types")
    if layer >= len(networks) or networks[layer] == "sparse":
        found.append(Extra(role="mlp.gate.global_scale", shape=(1,), component="router"))
        if read.flag("shared_expert_sink", default=True):
            rows = read.count("n_shared_experts")
            found.append(
                Extra(role="mlp.gate.shared", shape=(rows, hidden), component="router", linear=True)
            )
    return tuple(found)
