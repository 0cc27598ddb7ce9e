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
    MixtureOfExperts,
)
from planner.model.gguf_fields import Fields, Metadata, Shapes, mtp_blocks
from planner.model.tensors import GGUF_NAMES, Shape, gguf_tensors

FULL_ATTENTION_EVERY = {"gemma3": 6, "gpt-oss": 2}
"""GGUF architecture to which layers look at all tokens where it has a window: every so-manieth."""

_NO_PARAMETERS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""Tables of rotary factors."""


def architecture_from_gguf(metadata: Metadata, shapes: Shapes) -> Architecture:
    """The text network of a file with this metadata and tensors of these shapes.

    Raises:
        UnsupportedArchitecture: no rules for its `general.architecture`.
        FactsError: metadata or a tensor that is missing or not understood; the message names it.
    """
    name = _name(metadata)
    if name not in GGUF_NAMES:
        raise UnsupportedArchitecture(
            f"no rules for GGUF files of architecture '{name}'",
            hint="known: " + ", ".join(GGUF_NAMES),
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
        post_norms=read.has(0, "post_ffw_norm.weight"),
        norm_bias=read.has(0, "attn_norm.bias"),
        output_bias="output.bias" in shapes,
        layer_scale=read.has(0, "layer_output_scale.weight"),
    )
    return network.model_copy(update={"assumptions": _differences(network, shapes)})


def _differences(network: Architecture, shapes: Shapes) -> tuple[str, ...]:
    """What the file's tensors are beside those its metadata describes.

    Raises:
        FactsError: a tensor of another shape than metadata says; engines refuse such files.
    """
    try:
        listed = {tensor.name: tensor.shape for tensor in gguf_tensors(network)}
    except UnsupportedArchitecture as error:
        return (error.message,)
    for tensor, shape in listed.items():
        found = shapes.get(tensor, shape)
        if found != shape:
            raise FactsError(
                f"tensor {tensor!r} is {_by(found)}, by the metadata {_by(shape)}",
                hint="the file is no model of this architecture, or of a fork of the format",
            )
    strange = [name for name in shapes if name not in listed and name not in _NO_PARAMETERS]
    missing = [name for name in listed if name not in shapes]
    return tuple(
        f"{len(names):,} tensors {what} those its metadata describes, e.g. '{names[0]}'"
        for names, what in ((strange, "of the file are not among"), (missing, "are missing of"))
        if names
    )


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _name(metadata: Metadata) -> str:
    name = metadata.get("general.architecture")
    if not isinstance(name, str):
        raise FactsError(
            "GGUF metadata 'general.architecture' is missing",
            hint="the file is no model; an imatrix or a part of one has none",
        )
    return name[:60]


def _layer(read: Fields, block: int, *, mtp: bool) -> Layer:
    read.shape(f"blk.{block}.attn_output.weight", 2)
    attention: Attention = _latent(read) if read.name == "deepseek2" else _grouped(read, block)
    experts = read.has(block, "ffn_gate_inp.weight")
    network: FeedForward = _experts(read, block) if experts else _dense(read, block)
    return Layer(attention=attention, feed_forward=network, mtp=mtp)


def _grouped(read: Fields, block: int) -> Grouped:
    heads = read.count("attention.head_count", block)
    kv_key = read.given("attention.head_count_kv") or "attention.head_count"
    head_dim = read.optional("attention.key_length", block)
    head_dim = head_dim or read.count("embedding_length") // heads
    if not head_dim:
        raise FactsError(
            f"GGUF metadata '{read.name}.attention.head_count' is {heads:,}: more than the width",
            hint="the file is no whole model of this architecture",
        )
    value_dim = read.optional("attention.value_length", block) or head_dim
    norm = read.has(block, "attn_q_norm.weight")
    spans = norm and read.shape(f"blk.{block}.attn_q_norm.weight", 1)[0] != head_dim
    return Grouped(
        heads=heads,
        kv_heads=read.count(kv_key, block),
        head_dim=head_dim,
        window=_window(read, block),
        bias=read.has(block, "attn_q.bias"),
        output_bias=read.has(block, "attn_output.bias"),
        qk_norm=norm,
        qk_norm_spans_heads=spans,
        sinks=read.has(block, "attn_sinks.weight"),
        value_dim=None if value_dim == head_dim else value_dim,
    )


def _window(read: Fields, block: int) -> int | None:
    """The sliding window of a layer, of the architectures engines honour it for."""
    every = FULL_ATTENTION_EVERY.get(read.name)
    window = read.optional("attention.sliding_window")
    if every is None or not window:
        return None
    pattern = read.raw("attention.sliding_window_pattern")
    if isinstance(pattern, tuple):
        if len(pattern) != read.blocks or not all(type(slides) is bool for slides in pattern):
            raise read.strange("attention.sliding_window_pattern", pattern)
        return window if pattern[block] else None
    every = read.optional("attention.sliding_window_pattern") or every
    return None if (block + 1) % every == 0 else window


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
    return Dense(
        intermediate=read.count("feed_forward_length", block),
        gated=read.has(block, "ffn_gate.weight"),
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
        score_bias=read.has(block, "exp_probs_b.bias"),
        expert_bias=read.has(block, "ffn_down_exps.bias"),
        shared_gate=read.has(block, "ffn_gate_inp_shexp.weight"),
    )
