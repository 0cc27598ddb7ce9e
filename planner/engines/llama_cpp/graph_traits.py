"""What tells the graphs of GGUF architectures apart, as far as their memory goes. Data only.

Engine layer. Source: src/models of llama.cpp b11434; the tables that b10434 prints agree
(`tests/engine/test_llama_architectures.py`). What the network's own fields say (norms, biases,
parallel blocks) is not repeated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How the blocks of one architecture are computed."""

    layer_norm: bool = False
    """Norms with a mean, which cannot work in place."""
    norms_on_outputs: bool = False
    """Norms after attention and network, none before."""
    scaled_embedding: bool = False
    one_qkv: bool = False
    """One matrix for Q, K and V."""
    one_gate_up: bool = False
    """One matrix for gate and up."""
    one_gate_up_experts: bool = False
    """The same of experts."""
    norms_values: bool = False
    """A norm without weights on V."""
    turns_windows_only: bool = False
    """Layers that look at all tokens have no rotary positions where others have a window."""
    turns_not_every: int | None = None
    """Every so-manieth layer has no rotary positions."""
    scales_unturned_queries: bool = False
    """Queries without rotary positions are scaled by position."""
    residual_first: bool = False
    """The residual is the first operand of the sum after the network, so it is added to."""
    attention_first: bool = False
    """Of a parallel block, the result of attention is the first operand of the sum."""
    attention_to_residual: bool = False
    """Of a parallel block, the result of attention is added to the residual, then the network's."""
    whole_last_layer: bool = False
    """The last network runs on all tokens, not on the outputs only."""
    outputs_after_norm: bool = False
    """The outputs are picked after the last norm, which runs on all tokens too."""
    shared_first: bool = False
    """Shared experts are computed before the routed ones."""
    weighs_inputs: bool = False
    """Experts' weights are applied before them (Llama 4)."""
    softmax_on_chosen: bool = False
    """The router's softmax comes after the choice (gpt-oss)."""
    weights_as_they_are: bool = False
    """The weights of the chosen experts are not made to sum to 1."""
    state_first: bool = False
    """The state is the first operand of the sum after the mixer, so it is added to."""
    norm_first: bool = False
    """The norm before a mixer is computed before anything of the mixer."""
    latent_unturned: bool = False
    """Latent attention has no rotary positions."""
    never_turns: bool = False
    """Grouped attention has no rotary positions."""
    one_beta_alpha: bool = False
    """One matrix for strength and decay of a gated delta rule."""
    repeats_keys: bool = False
    """Queries and keys of a gated delta rule are repeated for every value head."""
    image_layers: int = 0
    """Layers that parts of an embedded image are added to; the embedding is so much wider."""
    positions: int = 1
    """Positions per token."""


_NEMOTRON_H = Traits(never_turns=True, whole_last_layer=True, outputs_after_norm=True)
_QWEN35 = Traits(norm_first=True, whole_last_layer=True, outputs_after_norm=True, positions=4)

_TRAITS: Mapping[str, Traits] = MappingProxyType(
    {
        "afmoe": Traits(scaled_embedding=True, turns_windows_only=True),
        "bailingmoe2": Traits(one_qkv=True),
        "chatglm": Traits(one_gate_up=True),
        "cohere2": Traits(layer_norm=True, turns_windows_only=True),
        "command-r": Traits(layer_norm=True),
        "dbrx": Traits(layer_norm=True, one_qkv=True),
        "paddleocr": Traits(positions=4),
        "qwen": Traits(one_qkv=True),
        "exaone4": Traits(norms_on_outputs=True, turns_windows_only=True),
        "gemma": Traits(scaled_embedding=True),
        "gemma2": Traits(scaled_embedding=True),
        "gemma3": Traits(scaled_embedding=True),
        "glm4": Traits(one_gate_up=True),
        "gemma4": Traits(
            scaled_embedding=True,
            norms_values=True,
            one_gate_up_experts=True,
            whole_last_layer=True,
            outputs_after_norm=True,
        ),
        "gpt-oss": Traits(whole_last_layer=True, softmax_on_chosen=True, weights_as_they_are=True),
        "granite": Traits(scaled_embedding=True),
        "granitemoe": Traits(scaled_embedding=True),
        "grok": Traits(scaled_embedding=True),
        "hunyuan-moe": Traits(shared_first=True),
        "hy_v3": Traits(whole_last_layer=True, outputs_after_norm=True),
        "llama4": Traits(
            turns_windows_only=True,
            scales_unturned_queries=True,
            weighs_inputs=True,
            weights_as_they_are=True,
        ),
        "granitehybrid": Traits(scaled_embedding=True),
        "jamba": Traits(
            never_turns=True, state_first=True, residual_first=True, weights_as_they_are=True
        ),
        "kimi-linear": Traits(norm_first=True, latent_unturned=True),
        "nemotron_h": _NEMOTRON_H,
        "nemotron_h_moe": _NEMOTRON_H,
        "qwen35": _QWEN35,
        "qwen35moe": _QWEN35,
        "qwen3next": Traits(
            norm_first=True,
            one_beta_alpha=True,
            repeats_keys=True,
            whole_last_layer=True,
            outputs_after_norm=True,
        ),
        "exaone-moe": Traits(turns_windows_only=True),
        "jais2": Traits(layer_norm=True),
        "minicpm": Traits(scaled_embedding=True),
        "nemotron": Traits(layer_norm=True),
        "olmo": Traits(layer_norm=True),
        "phi2": Traits(layer_norm=True, attention_first=True),
        "qwen2vl": Traits(positions=4),
        "stablelm": Traits(layer_norm=True, attention_to_residual=True),
        "olmo2": Traits(norms_on_outputs=True),
        "olmoe": Traits(weights_as_they_are=True),
        "phi3": Traits(one_qkv=True, one_gate_up=True, residual_first=True),
        "phimoe": Traits(residual_first=True),
        "qwen2moe": Traits(weights_as_they_are=True),
        "qwen3vl": Traits(image_layers=3, positions=4),
        "qwen3vlmoe": Traits(image_layers=3, positions=4),
        "smollm3": Traits(turns_not_every=4),
        "starcoder2": Traits(layer_norm=True),
        "step35": Traits(whole_last_layer=True),
    }
)


def traits_of(gguf_name: str) -> Traits:
    """The traits of an architecture; those of Llama where it has none of its own."""
    return _TRAITS.get(gguf_name, Traits())
