"""The text network a GGUF header describes, read as an Architecture.

Model layer. Sizes are metadata (`ARCHITECTURE.attention.head_count`, ...); what metadata does not
say (norms on Q and K, biases, tied output, which blocks have experts) is told by the tensors.
Keys: gguf/constants.py of the PyPI package gguf 0.19.0; what engines make of them: llama.cpp
b11434, src/models.
"""

from __future__ import annotations

from planner.errors import FactsError, UnsupportedArchitecture
from planner.model.architecture import (
    Architecture,
    Attention,
    Dense,
    FeedForward,
    Grouped,
    Latent,
    Layer,
    Mixer,
    MixtureOfExperts,
)
from planner.model.gguf_differences import differences
from planner.model.gguf_fields import Fields, Metadata, Shapes, mtp_blocks
from planner.model.gguf_recurrent import HYBRIDS
from planner.model.gguf_roles import GGUF_NAMES, HALF_FEED_FORWARD
from planner.model.gguf_states import recurrent_of_block
from planner.model.gguf_windows import (
    FIXED_WINDOW,
    FULL_ATTENTION_EVERY,
    STANDARD_WINDOW,
    honours_windows,
)

_NORMS_BETWEEN = ("ffn_norm", "post_attention_norm", "attn_output_norm")
"""Norms between attention and network, one of which blocks have that do not run in parallel."""


def architecture_from_gguf(metadata: Metadata, shapes: Shapes) -> Architecture:
    """The text network of a file with this metadata and tensors of these shapes.

    Raises:
        UnsupportedArchitecture: no rules for its `general.architecture`.
        FactsError: metadata or a tensor that is missing or not understood; the message names it.
    """
    name = _name(metadata)
    if name not in GGUF_NAMES + HYBRIDS:
        raise UnsupportedArchitecture(
            f"no rules for GGUF files of architecture '{name}'",
            hint="known: " + ", ".join(GGUF_NAMES + HYBRIDS),
        )
    read = Fields(name, metadata, shapes)
    mtp = mtp_blocks(metadata, shapes)
    nextn = read.optional("nextn_predict_layers") or 0
    if nextn >= read.blocks:
        raise FactsError(
            f"GGUF metadata '{name}.nextn_predict_layers' is {nextn:,} of {read.blocks:,} blocks",
            hint="download the file again",
        )
    if mtp and (min(mtp) != read.blocks - len(mtp) or min(mtp) < 1):
        raise FactsError(
            f"multi-token-prediction blocks are not the last of {read.blocks:,}",
            hint="the file is no model of this architecture",
        )
    known: dict[Layer, Layer] = {}
    layers: list[Layer] = []
    for block in range(read.blocks):
        layer = _layer(read, block, mtp=block in mtp)
        layers.append(known.setdefault(layer, layer))
    network = Architecture(
        gguf_name=name,
        hidden=read.count("embedding_length"),
        vocabulary=read.shape("token_embd.weight", 2)[1],
        context_length=read.count("context_length"),
        tied="output.weight" not in shapes,
        layers=tuple(layers),
        mtp_own_embedding=any(read.has(block, "nextn.embed_tokens.weight") for block in mtp),
        mtp_own_head=any(read.has(block, "nextn.shared_head_head.weight") for block in mtp),
        post_norms=_post_norms(read),
        parallel=name not in HYBRIDS
        and read.has(0, "attn_norm.weight")
        and not any(read.has(0, f"{norm}.weight") for norm in _NORMS_BETWEEN),
        norm_weights="output_norm.weight" in shapes,
        norm_bias=read.has(0, "attn_norm.bias"),
        output_bias="output.bias" in shapes,
        expert_norms=3 if read.has(0, "pre_ffw_norm_2.weight") else 0,
        layer_scale=read.has(0, "layer_output_scale.weight"),
    )
    return network.model_copy(update={"assumptions": differences(network, shapes)})


def _post_norms(read: Fields) -> bool:
    """Norms after both parts beside those before; OLMo 2 and EXAONE 4 have only those after."""
    last = any(read.has(0, name) for name in ("post_ffw_norm.weight", "layer_output_norm.weight"))
    return last and read.has(0, "attn_norm.weight")


def _name(metadata: Metadata) -> str:
    name = metadata.get("general.architecture")
    if not isinstance(name, str):
        raise FactsError(
            "GGUF metadata 'general.architecture' is missing",
            hint="the file is no model; an imatrix or a part of one has none",
        )
    return name[:60]


def _layer(read: Fields, block: int, *, mtp: bool) -> Layer:
    if read.name in HYBRIDS:
        return Layer(mixer=_mixer(read, block), network=_network(read, block), mtp=mtp)
    return Layer(mixer=_attention(read, block), network=_feed_forward(read, block), mtp=mtp)


def _mixer(read: Fields, block: int) -> Mixer | None:
    """A recurrence, attention, or none, as the block's tensors say."""
    recurrent = recurrent_of_block(read, block)
    if recurrent is not None:
        return recurrent
    return _attention(read, block) if read.has(block, "attn_output.weight") else None


def _network(read: Fields, block: int) -> FeedForward | None:
    """As `_feed_forward` where the block has tensors of one."""
    parts = ("ffn_gate_inp.weight", "ffn_up.weight")
    return _feed_forward(read, block) if any(read.has(block, part) for part in parts) else None


def _attention(read: Fields, block: int) -> Attention:
    read.shape(f"blk.{block}.attn_output.weight", 2)
    latent = read.given("attention.kv_lora_rank") is not None
    return _latent(read) if latent else _grouped(read, block)


def _feed_forward(read: Fields, block: int) -> FeedForward:
    experts = read.has(block, "ffn_gate_inp.weight")
    return _experts(read, block) if experts else _dense(read, block)


def _grouped(read: Fields, block: int) -> Grouped:
    heads = read.count("attention.head_count", block)
    kv_key = read.given("attention.head_count_kv") or "attention.head_count"
    window = _window(read, block)
    head_dim = _head_length(read, "key", block, window)
    head_dim = head_dim or read.count("embedding_length") // heads
    if not head_dim:
        raise FactsError(
            f"GGUF metadata '{read.name}.attention.head_count' is {heads:,}: more than the width",
            hint="the file is no whole model of this architecture",
        )
    value_dim = _head_length(read, "value", block, window) or head_dim
    norm = read.elements(block, "attn_q_norm.weight")
    gate, width = read.elements(block, "attn_gate.weight"), read.count("embedding_length")
    every_channel = heads * head_dim * width
    inside = read.elements(block, "attn_q.weight") == 2 * every_channel
    return Grouped(
        heads=heads,
        kv_heads=read.count(kv_key, block),
        head_dim=head_dim,
        window=window,
        bias=read.has(block, "attn_q.bias") or read.has(block, "attn_qkv.bias"),
        output_bias=read.has(block, "attn_output.bias"),
        qk_norm=norm > 0,
        qk_norm_spans_heads=norm > 0 and norm != head_dim,
        sinks=read.has(block, "attn_sinks.weight"),
        head_gate=gate == heads * width,
        output_gate=inside or gate == every_channel,
        gate_apart=gate == every_channel,
        value_dim=None if value_dim == head_dim else value_dim,
        shared_kv=read.has(block, "attn_k.weight") and not read.has(block, "attn_v.weight"),
    )


def _head_length(read: Fields, part: str, block: int, window: int | None) -> int | None:
    """The dimension of a K or V head; layers with a window may have their own."""
    own = read.optional(f"attention.{part}_length_swa", block) if window else None
    return own or read.optional(f"attention.{part}_length", block)


def _window(read: Fields, block: int) -> int | None:
    """The sliding window of a layer, of the architectures engines honour it for."""
    mtp = read.optional("nextn_predict_layers") or 0
    if not honours_windows(read.name, read.blocks - mtp):
        return None
    window = read.optional("attention.sliding_window")
    if window is None or (window and read.name in FIXED_WINDOW):
        window = STANDARD_WINDOW.get(read.name)
    if not window:
        return None
    pattern = read.raw("attention.sliding_window_pattern")
    if isinstance(pattern, tuple):
        if len(pattern) != read.blocks or not all(type(slides) is bool for slides in pattern):
            raise read.strange("attention.sliding_window_pattern", pattern)
        return window if pattern[block] else None
    every = read.optional("attention.sliding_window_pattern") or FULL_ATTENTION_EVERY[read.name]
    return None if every is None or (block + 1) % every == 0 else window


def _latent(read: Fields) -> Latent:
    """Files with the latent projection in one matrix give lengths without `_mla`."""
    rope = read.count("rope.dimension_count")
    key = read.count(read.given("attention.key_length_mla") or "attention.key_length")
    if key <= rope:
        raise FactsError(
            f"GGUF metadata '{read.name}.attention.key_length' is {key:,}, no more than"
            f" 'rope.dimension_count', {rope:,}",
            hint="download the file again",
        )
    return Latent(
        heads=read.count("attention.head_count"),
        query_rank=read.optional("attention.q_lora_rank") or None,
        kv_rank=read.count("attention.kv_lora_rank"),
        nope_dim=key - rope,
        rope_dim=rope,
        value_dim=read.count(read.given("attention.value_length_mla") or "attention.value_length"),
    )


def _dense(read: Fields, block: int) -> Dense:
    width = read.count("feed_forward_length", block)
    if read.name in HALF_FEED_FORWARD:
        width //= 2
    return Dense(
        intermediate=width,
        gated=read.has(block, "ffn_gate.weight")
        or read.elements(block, "ffn_up.weight") == 2 * width * read.count("embedding_length"),
        bias=read.has(block, "ffn_down.bias"),
    )


def _experts(read: Fields, block: int) -> MixtureOfExperts:
    width_key = read.given("expert_feed_forward_length") or "feed_forward_length"
    experts, used = read.count("expert_count"), read.count("expert_used_count")
    if used > experts:
        raise FactsError(
            f"GGUF metadata '{read.name}.expert_used_count' is {used:,} of {experts:,} experts",
            hint="download the file again",
        )
    shared = read.has(block, "ffn_up_shexp.weight")
    return MixtureOfExperts(
        experts=experts,
        used=used,
        intermediate=read.count(width_key, block),
        shared_intermediate=(read.shape(f"blk.{block}.ffn_up_shexp.weight", 2)[1] if shared else 0),
        router_bias=read.has(block, "ffn_gate_inp.bias"),
        gated=any(
            read.has(block, f"{gate}.weight") for gate in ("ffn_gate_exps", "ffn_gate_up_exps")
        ),
        score_bias=read.has(block, "exp_probs_b.bias") or read.has(block, "exp_probs_b"),
        expert_bias=read.has(block, "ffn_down_exps.bias"),
        router_scales=read.has(block, "ffn_gate_inp.scale"),
        shared_gate=read.has(block, "ffn_gate_inp_shexp.weight"),
        latent=(
            read.shape(f"blk.{block}.ffn_latent_down.weight", 2)[1]
            if read.has(block, "ffn_latent_down.weight")
            else None
        ),
        dense_intermediate=(
            read.count("feed_forward_length", block) if read.has(block, "ffn_up.weight") else 0
        ),
    )
