"""Every weight tensor of a network as its GGUF file names it, and the parameters they add up to.

Model layer. Shapes are in ggml order, the row length first. Not listed: the 256-byte table of
rotary factors that files of Llama 3.1 carry, which is no parameter.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal, assert_never

from planner.model.architecture import (
    Architecture,
    Dense,
    FeedForward,
    Grouped,
    Latent,
    Layer,
    MixtureOfExperts,
)

Component = Literal[
    "embedding",
    "output",
    "norm",
    "attention",
    "dense",
    "router",
    "experts",
    "shared_experts",
    "mtp",
]
"""What a tensor belongs to; everything in an MTP block is `mtp`."""

Shape = tuple[int, ...]
_Row = tuple[str, Shape, Component]

_POST_ATTENTION_NORM_ONLY = ("gpt-oss", "glm4moe")
"""GGUF architectures that call the norm before the feed-forward `post_attention_norm`."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a GGUF file."""

    name: str
    shape: Shape
    """Row length first."""
    block: int | None
    """Transformer block, MTP blocks last; None outside blocks."""
    component: Component

    @property
    def elements(self) -> int:
        """Weights in it."""
        return math.prod(self.shape)


@functools.lru_cache(maxsize=256)
def gguf_tensors(architecture: Architecture) -> tuple[Tensor, ...]:
    """All tensors in the order the quantizer visits them.

    Those outside blocks, then block by block; by name within each (weight_name_comparer of
    llama.cpp b11434, src/llama-model-loader.h).
    """
    hidden, vocabulary = architecture.hidden, architecture.vocabulary
    tensors: list[Tensor] = []
    if not architecture.tied:
        tensors.append(Tensor("output.weight", (hidden, vocabulary), None, "output"))
    tensors.append(Tensor("output_norm.weight", (hidden,), None, "norm"))
    tensors.append(Tensor("token_embd.weight", (hidden, vocabulary), None, "embedding"))
    rows: dict[int, tuple[_Row, ...]] = {}
    for block, layer in enumerate(architecture.layers):
        found = rows.get(id(layer))
        if found is None:
            found = rows[id(layer)] = _block_rows(architecture, layer)
        prefix = f"blk.{block}."
        tensors += [Tensor(prefix + name, shape, block, part) for name, shape, part in found]
    return tuple(tensors)


def parameters(architecture: Architecture) -> int:
    """Weights of the text network, embedding and output included, MTP blocks not."""
    return sum(t.elements for t in gguf_tensors(architecture) if t.component != "mtp")


def mtp_parameters(architecture: Architecture) -> int:
    """Weights of all MTP blocks, also of those that GGUF converters leave out."""
    held = sum(t.elements for t in gguf_tensors(architecture) if t.component == "mtp")
    left_out = sum(
        math.prod(shape)
        for layer in architecture.unconverted_mtp
        for _, shape, _ in _block_rows(architecture, layer)
    )
    return held + left_out


def active_parameters(architecture: Architecture, *, embedding: bool = True) -> int:
    """Weights one token touches, MTP blocks not included.

    Everything but the routed experts, and of those the share `used / experts`. The whole token
    embedding is counted, so that a dense network's total and active parameters are equal;
    `embedding=False` leaves it out, which is how several publishers count (gpt-oss: 5.1 B).
    """
    active = 0
    for tensor in gguf_tensors(architecture):
        if tensor.component == "mtp" or (tensor.component == "embedding" and not embedding):
            continue
        if tensor.component == "experts" and tensor.block is not None:
            network = architecture.layers[tensor.block].feed_forward
            assert isinstance(network, MixtureOfExperts)
            active += tensor.elements // network.experts * network.used
        else:
            active += tensor.elements
    return active


def _block_rows(architecture: Architecture, layer: Layer) -> tuple[_Row, ...]:
    """Tensors of one block, by name."""
    hidden = architecture.hidden
    rows = [
        *_norms(architecture),
        *_attention(hidden, layer.attention),
        *_feed_forward(hidden, layer.feed_forward),
    ]
    if layer.mtp:
        rows = [(name, shape, "mtp") for name, shape, _ in (*rows, *_mtp(architecture))]
    return tuple(sorted(rows))


def _norms(architecture: Architecture) -> list[_Row]:
    names = ["attn_norm.weight"]
    if architecture.post_norms:
        names += ["post_attention_norm.weight", "ffn_norm.weight", "post_ffw_norm.weight"]
    elif architecture.gguf_name in _POST_ATTENTION_NORM_ONLY:
        names.append("post_attention_norm.weight")
    else:
        names.append("ffn_norm.weight")
    return [(name, (architecture.hidden,), "norm") for name in names]


def _attention(hidden: int, attention: Grouped | Latent) -> list[_Row]:
    match attention:
        case Grouped():
            return _grouped(hidden, attention)
        case Latent():
            return _latent(hidden, attention)
        case _:
            assert_never(attention)


def _grouped(hidden: int, attention: Grouped) -> list[_Row]:
    head, query = attention.head_dim, attention.heads * attention.head_dim
    key = attention.kv_heads * head
    rows: list[_Row] = [
        ("attn_q.weight", (hidden, query), "attention"),
        ("attn_k.weight", (hidden, key), "attention"),
        ("attn_v.weight", (hidden, key), "attention"),
        ("attn_output.weight", (query, hidden), "attention"),
    ]
    if attention.bias:
        rows += [
            ("attn_q.bias", (query,), "attention"),
            ("attn_k.bias", (key,), "attention"),
            ("attn_v.bias", (key,), "attention"),
        ]
    if attention.output_bias:
        rows.append(("attn_output.bias", (hidden,), "attention"))
    if attention.qk_norm:
        rows += [("attn_q_norm.weight", (head,), "norm"), ("attn_k_norm.weight", (head,), "norm")]
    if attention.sinks:
        rows.append(("attn_sinks.weight", (attention.heads,), "attention"))
    return rows


def _latent(hidden: int, attention: Latent) -> list[_Row]:
    """The up-projection of the latent is stored as two matrices per head, K transposed."""
    heads, rank = attention.heads, attention.kv_rank
    query = heads * (attention.nope_dim + attention.rope_dim)
    rows: list[_Row] = [
        ("attn_kv_a_mqa.weight", (hidden, rank + attention.rope_dim), "attention"),
        ("attn_kv_a_norm.weight", (rank,), "norm"),
        ("attn_k_b.weight", (attention.nope_dim, rank, heads), "attention"),
        ("attn_v_b.weight", (rank, attention.value_dim, heads), "attention"),
        ("attn_output.weight", (heads * attention.value_dim, hidden), "attention"),
    ]
    if attention.query_rank is None:
        return [*rows, ("attn_q.weight", (hidden, query), "attention")]
    return [
        *rows,
        ("attn_q_a.weight", (hidden, attention.query_rank), "attention"),
        ("attn_q_a_norm.weight", (attention.query_rank,), "norm"),
        ("attn_q_b.weight", (attention.query_rank, query), "attention"),
    ]


def _feed_forward(hidden: int, network: FeedForward) -> list[_Row]:
    match network:
        case Dense():
            return _gated(hidden, network.intermediate, "", "dense")
        case MixtureOfExperts():
            return _experts(hidden, network)
        case _:
            assert_never(network)


def _gated(hidden: int, intermediate: int, suffix: str, component: Component) -> list[_Row]:
    return [
        (f"ffn_gate{suffix}.weight", (hidden, intermediate), component),
        (f"ffn_up{suffix}.weight", (hidden, intermediate), component),
        (f"ffn_down{suffix}.weight", (intermediate, hidden), component),
    ]


def _experts(hidden: int, network: MixtureOfExperts) -> list[_Row]:
    count, width = network.experts, network.intermediate
    rows: list[_Row] = [
        ("ffn_gate_inp.weight", (hidden, count), "router"),
        *(
            (name, (*shape, count), part)
            for name, shape, part in _gated(hidden, width, "_exps", "experts")
        ),
    ]
    if network.router_bias:
        rows.append(("ffn_gate_inp.bias", (count,), "router"))
    if network.score_bias:
        rows.append(("exp_probs_b.bias", (count,), "router"))
    if network.expert_bias:
        rows += [
            ("ffn_gate_exps.bias", (width, count), "experts"),
            ("ffn_up_exps.bias", (width, count), "experts"),
            ("ffn_down_exps.bias", (hidden, count), "experts"),
        ]
    if network.shared_intermediate:
        rows += _gated(hidden, network.shared_intermediate, "_shexp", "shared_experts")
    return rows


def _mtp(architecture: Architecture) -> list[_Row]:
    """What an MTP block has beside a block's own tensors."""
    hidden, vocabulary = architecture.hidden, architecture.vocabulary
    rows: list[_Row] = [
        ("nextn.eh_proj.weight", (2 * hidden, hidden), "mtp"),
        ("nextn.enorm.weight", (hidden,), "mtp"),
        ("nextn.hnorm.weight", (hidden,), "mtp"),
        ("nextn.shared_head_norm.weight", (hidden,), "mtp"),
    ]
    if architecture.mtp_own_embedding:
        rows += [
            ("nextn.embed_tokens.weight", (hidden, vocabulary), "mtp"),
            ("nextn.shared_head_head.weight", (hidden, vocabulary), "mtp"),
        ]
    return rows
