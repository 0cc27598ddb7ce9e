"""Weights that only one family has, from the config fields that set them. Model layer.

Families name them in `Family.extras`. Source: the reference modules of Hugging Face transformers
5.24.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from planner.model.config_encoders import (
    embedding_norm_plain,
    encoder_head,
    modern_head,
    token_types,
)
from planner.model.config_fields import Fields
from planner.model.config_gemma import (
    altup,
    altup_projections,
    laurel,
    layer_embeddings,
    layer_inputs,
)
from planner.model.config_inkling import short_convolutions
from planner.model.config_lexical import (
    hyper_connection_end,
    hyper_connections,
    ngram_embedding,
)
from planner.model.extra import Extra

BlockExtra = Callable[[Fields, int], tuple[Extra, ...]]
"""From the fields and the number of a block."""
FrameExtra = Callable[[Fields], tuple[Extra, ...]]


def head_width(read: Fields) -> int:
    """Channels of one attention head."""
    given = read.optional("head_dim", "kv_channels")
    return given or read.count("hidden_size") // read.count("num_attention_heads")


def _kv_heads(read: Fields) -> int:
    return read.count("num_key_value_heads", default=read.count("num_attention_heads"))


def _positions(read: Fields) -> tuple[Extra, ...]:
    return _table(read, read.count("max_position_embeddings"))


def _positions_from_two(read: Fields) -> tuple[Extra, ...]:
    """Two rows more, for padding (OPT, BioGPT)."""
    return _table(read, read.count("max_position_embeddings") + 2)


def _table(read: Fields, rows: int) -> tuple[Extra, ...]:
    return (Extra(role="embed_positions", shape=(rows, read.count("hidden_size"))),)


def _embedding_norm(read: Fields) -> tuple[Extra, ...]:
    hidden = read.count("hidden_size")
    return (
        Extra(role="word_embeddings_layernorm", shape=(hidden,)),
        Extra(role="word_embeddings_layernorm.bias", shape=(hidden,)),
    )


def _embedding_projections(read: Fields) -> tuple[Extra, ...]:
    """Between a narrower embedding and the hidden state (OPT 350M)."""
    hidden = read.count("hidden_size")
    width = read.count("word_embed_proj_dim", default=hidden)
    if width == hidden:
        return ()
    return (
        Extra(role="project_in", shape=(hidden, width), linear=True),
        Extra(role="project_out", shape=(width, hidden), linear=True),
    )


def _sub_norms(read: Fields, layer: int) -> tuple[Extra, ...]:
    """Norms before both output projections (BitNet)."""
    return (
        Extra(role="self_attn.attn_sub_norm", shape=(read.count("hidden_size"),)),
        Extra(role="mlp.ffn_sub_norm", shape=(read.count("intermediate_size"),)),
    )


def _learned_activation(read: Fields, layer: int) -> tuple[Extra, ...]:
    """Two factors of the activation; its two constants are in no checkpoint (Apertus)."""
    names = ("alpha_p", "alpha_n")
    return tuple(Extra(role=f"mlp.act_fn.{name}", shape=(1,)) for name in names)


def _difference_factors(read: Fields, layer: int) -> tuple[Extra, ...]:
    width = head_width(read)
    names = ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2")
    return tuple(Extra(role=f"self_attn.{name}", shape=(width,)) for name in names)


def _qk_layernorm(read: Fields, layer: int) -> tuple[Extra, ...]:
    """Norms with a bias on Q and K, one for all heads (Phi 2, Persimmon)."""
    if not read.flag("qk_layernorm", default=False):
        return ()
    width = (head_width(read),)
    return tuple(
        Extra(role=f"self_attn.{which}_layernorm{end}", shape=width)
        for which in "qk"
        for end in ("", ".bias")
    )


def _qk_layernorm_by_head(read: Fields, layer: int) -> tuple[Extra, ...]:
    """Norms without a bias, each head with its own (StableLM 2 12B)."""
    if not read.flag("qk_layernorm", default=False):
        return ()
    width, heads = head_width(read), read.count("num_attention_heads")
    return (
        Extra(role="self_attn.q_layernorm", shape=(heads, width)),
        Extra(role="self_attn.k_layernorm", shape=(_kv_heads(read), width)),
    )


def _expert_result_norm(read: Fields, layer: int) -> tuple[Extra, ...]:
    """A norm on the result of blocks with experts (A.X K1)."""
    kinds = read.items("mlp_layer_types")
    first = read.optional("first_k_dense_replace") or 0
    sparse = kinds[layer] == "sparse" if layer < len(kinds) else layer >= first
    if not sparse:
        return ()
    return (Extra(role="mlp.post_mlp_layernorm", shape=(read.count("hidden_size"),)),)


def _gate_bias(read: Fields, layer: int) -> tuple[Extra, ...]:
    """A bias per head in the output gate (Beam)."""
    return (Extra(role="self_attn.gate_bias", shape=(read.count("num_attention_heads"),)),)


def _image_rows(read: Fields) -> tuple[Extra, ...]:
    """Rows of the embedding for images, which the output does not have (Llama 3.2 Vision)."""
    shape = (_IMAGE_ROWS, read.count("hidden_size"))
    return (Extra(role="embed_tokens.image_rows", shape=shape, component="embedding"),)


_IMAGE_ROWS = 8


def _cross_gates(read: Fields, layer: int) -> tuple[Extra, ...]:
    if not read.flag("_cross", default=False):
        return ()
    return (
        Extra(role="cross_attn_attn_gate", shape=(1,)),
        Extra(role="cross_attn_mlp_gate", shape=(1,)),
    )


def _pooled_index(read: Fields, layer: int) -> tuple[Extra, ...]:
    """What joins neighbouring keys of an indexer (GLM 5 Next)."""
    kinds, pool = read.items("layer_types"), read.optional("index_kpool")
    if pool is None or layer >= len(kinds) or kinds[layer] != "indexed_attention":
        return ()
    width, name = read.count("index_head_dim"), "self_attn.indexer.index_kpool_compress_"
    return (
        Extra(role=name + "ape", shape=(pool, width), component="attention"),
        Extra(
            role=name + "gate",
            shape=(width, read.count("hidden_size")),
            component="attention",
            linear=True,
        ),
    )


BLOCK_EXTRAS: Mapping[str, BlockExtra] = MappingProxyType(
    {
        "altup": altup,
        "cross_gates": _cross_gates,
        "difference_factors": _difference_factors,
        "expert_result_norm": _expert_result_norm,
        "gate_bias": _gate_bias,
        "hyper_connections": hyper_connections,
        "laurel": laurel,
        "learned_activation": _learned_activation,
        "ngram_embedding": ngram_embedding,
        "per_layer_embeddings": layer_inputs,
        "pooled_index": _pooled_index,
        "qk_layernorm": _qk_layernorm,
        "qk_layernorm_by_head": _qk_layernorm_by_head,
        "short_convolutions": short_convolutions,
        "sub_norms": _sub_norms,
    }
)
FRAME_EXTRAS: Mapping[str, FrameExtra] = MappingProxyType(
    {
        "altup": altup_projections,
        "embedding_norm_plain": embedding_norm_plain,
        "encoder_head": encoder_head,
        "hyper_connections": hyper_connection_end,
        "image_rows": _image_rows,
        "modern_head": modern_head,
        "token_types": token_types,
        "embedding_norm": _embedding_norm,
        "embedding_projections": _embedding_projections,
        "per_layer_embeddings": layer_embeddings,
        "positions": _positions,
        "positions_from_two": _positions_from_two,
    }
)


def block_extras(read: Fields, names: tuple[str, ...], layer: int) -> tuple[Extra, ...]:
    """Extra weights of block number `layer`."""
    found = (BLOCK_EXTRAS[name](read, layer) for name in names if name in BLOCK_EXTRAS)
    return tuple(extra for extras in found for extra in extras)


def frame_extras(read: Fields, names: tuple[str, ...]) -> tuple[Extra, ...]:
    """Extra weights outside blocks."""
    found = (FRAME_EXTRAS[name](read) for name in names if name in FRAME_EXTRAS)
    return tuple(extra for extras in found for extra in extras)
