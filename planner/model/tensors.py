"""Every weight tensor of a network as its GGUF file names it, and the parameters they add up to.

Model layer. Shapes are in ggml order, the row length first. Not listed: the 256-byte table of
rotary factors that files of Llama 3.1 carry, which is no parameter.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import assert_never

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import (
    Architecture,
    Dense,
    FeedForward,
    Grouped,
    Latent,
    Layer,
    MixtureOfExperts,
)
from planner.model.components import Component
from planner.model.parameters import (
    active_parameters,
    by_component,
    mtp_parameters,
    parameters,
)

__all__ = [
    "Component",
    "Shape",
    "Tensor",
    "active_parameters",
    "gguf_tensors",
    "mtp_parameters",
    "parameters",
]

Shape = tuple[int, ...]
_Row = tuple[str, Shape, Component]

GGUF_NAMES = ("llama", "deepseek2", "qwen3", "qwen3moe", "glm4moe", "gpt-oss", "gemma3")
"""GGUF architectures whose tensors we list."""

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

    Raises:
        UnsupportedArchitecture: no list for this GGUF architecture, or the network has weights
            that the list does not.
    """
    name = architecture.gguf_name
    if name not in GGUF_NAMES:
        raise UnsupportedArchitecture(
            f"no list of the tensors in a GGUF file of architecture '{name}'",
            hint="known: " + ", ".join(GGUF_NAMES),
        )
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
        tensors += [Tensor(prefix + row, shape, block, part) for row, shape, part in found]
    if sum(tensor.elements for tensor in tensors) != sum(by_component(architecture).values()):
        raise UnsupportedArchitecture(
            f"this network has weights that GGUF files of architecture '{name}' do not",
            hint="its parameters can be counted, its GGUF file cannot be sized",
        )
    return tuple(tensors)


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
        rows.append(("nextn.embed_tokens.weight", (hidden, vocabulary), "mtp"))
    if architecture.mtp_own_head:
        rows.append(("nextn.shared_head_head.weight", (hidden, vocabulary), "mtp"))
    return rows
