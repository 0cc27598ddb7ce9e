"""A config under the field names the readers know, for publishers that use others. Model layer.

Some names stand for one thing in all configs (`n_embd` is the hidden size); a few families need a
rule of their own. Fields of ours begin with `_`. Source: the configuration classes of Hugging Face
transformers 5.24 and of publishers' remote code.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from planner.errors import UnsupportedArchitecture
from planner.model.config_fields import Config, Fields
from planner.model.config_hybrids import MOST_BLOCKS, Rewrite
from planner.model.config_rewrites import REWRITES

_ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hidden_size": ("n_embd", "d_model"),
        "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
        "num_attention_heads": ("n_head", "n_heads", "num_heads"),
        "num_key_value_heads": ("num_kv_heads", "n_head_kv"),
        "intermediate_size": ("n_inner", "ffn_dim"),
        "max_position_embeddings": (
            "n_positions",
            "n_ctx",
            "max_seq_len",
            "max_sequence_length",
            "max_seq_length",
            "model_max_length",
            "seq_length",
        ),
        "vocab_size": ("padded_vocab_size",),
    }
)
"""A field to its other names, used where it is not given itself."""

_FOUR_TIMES = frozenset(
    {"bloom", "codegen", "gpt2", "gpt-sw3", "gpt_bigcode", "gpt_neo", "gptj", "falcon"}
)
"""Families whose feed-forward network is four times as wide as the hidden state unless said."""


def canonical(config: Config, model_type: str) -> dict[str, Any]:
    """`config` with the readers' names; what it says itself under these names stays."""
    fields = {name: value for name, value in config.items() if value is not None}
    rewrite = _ALL_REWRITES.get(model_type)
    if rewrite is not None:
        fields |= rewrite(Fields(fields))
    for name, others in _ALIASES.items():
        other = next((each for each in others if each in fields), None)
        if name not in fields and other is not None:
            fields[name] = fields.pop(other)
    if model_type in _FOUR_TIMES and "intermediate_size" not in fields:
        fields["intermediate_size"] = 4 * Fields(fields).count("hidden_size")
    return fields


_TWO_NORMS = 2


def _falcon(read: Fields) -> dict[str, Any]:
    heads = read.count("num_attention_heads", "n_head")
    new = read.flag("new_decoder_architecture", default=False)
    grouped = read.count("num_kv_heads", "n_head_kv", default=heads)
    many = 1 if read.flag("multi_query", default=True) else heads
    side_by_side = read.flag("parallel_attn", default=True)
    norms = read.count("num_ln_in_parallel_attn", default=2 if new else 1)
    one_norm = side_by_side and norms != _TWO_NORMS
    hidden = read.count("hidden_size", "n_embed")
    return {
        "hidden_size": hidden,
        "num_key_value_heads": grouped if new else many,
        "intermediate_size": read.optional("ffn_hidden_size") or 4 * hidden,
        "mlp_bias": read.flag("bias", default=False),
        "_parallel": one_norm,
    }


def _bigcode(read: Fields) -> dict[str, Any]:
    if not read.flag("multi_query", default=True):
        return {"num_key_value_heads": read.count("n_head", "num_attention_heads")}
    return {"num_key_value_heads": 1}


def _opt(read: Fields) -> dict[str, Any]:
    biased = read.flag("enable_bias", default=True)
    affine = read.flag("layer_norm_elementwise_affine", default=True)
    last = read.flag("do_layer_norm_before", default=True)
    return {
        "attention_bias": biased,
        "mlp_bias": biased,
        "_norm_weights": affine,
        "_final_norm": last and not read.flag("_remove_final_layer_norm", default=False),
        "_embedding_width": read.count("word_embed_proj_dim", default=read.count("hidden_size")),
    }


def _mpt(read: Fields) -> dict[str, Any]:
    width = read.count("d_model")
    grouped = read.section("attn_config").optional("kv_n_heads")
    found = {"intermediate_size": read.count("expansion_ratio", default=4) * width}
    return found | ({"num_key_value_heads": grouped} if grouped else {})


def _gpt_neo(read: Fields) -> dict[str, Any]:
    kinds: list[Any] = []
    for group in read.items("attention_types"):
        match group:
            case [list(pattern), int(times)] if 0 < times <= MOST_BLOCKS:
                kinds += pattern * times
            case _:
                raise UnsupportedArchitecture(
                    f"config field 'attention_types' has {str(group)[:60]}",
                    hint="a list of kinds and how often it is repeated are known",
                )
    named = {"local": "sliding_attention", "global": "full_attention"}
    return {
        "attention_out_bias": True,
        "layer_types": [named.get(str(kind), str(kind)) for kind in kinds],
        "sliding_window": read.optional("window_size"),
    }


def _hyperclovax(read: Fields) -> dict[str, Any]:
    return {"_post_norms": read.flag("use_post_norm", default=True)}


def _stablelm(read: Fields) -> dict[str, Any]:
    return {"_parallel": read.flag("use_parallel_residual", default=False)}


def _qwen(read: Fields) -> dict[str, Any]:
    """Its `intermediate_size` counts the gate and the up-projection together."""
    return {
        "intermediate_size": read.count("intermediate_size") // 2,
        "max_position_embeddings": read.count("max_position_embeddings", "seq_length"),
    }


def _chatglm(read: Fields) -> dict[str, Any]:
    heads = read.count("num_attention_heads")
    grouped = read.flag("multi_query_attention", default=False)
    biased = read.flag("add_bias_linear", default=False)
    return {
        "num_key_value_heads": read.count("multi_query_group_num") if grouped else heads,
        "head_dim": read.optional("kv_channels"),
        "intermediate_size": read.count("ffn_hidden_size"),
        "attention_bias": biased or read.flag("add_qkv_bias", default=False),
        "attention_out_bias": biased,
        "mlp_bias": biased,
        "_final_norm": read.flag("post_layer_norm", default=True),
    }


_ALL_REWRITES: Mapping[str, Rewrite] = MappingProxyType(
    {
        **REWRITES,
        "chatglm": _chatglm,
        "falcon": _falcon,
        "gpt_bigcode": _bigcode,
        "gpt_neo": _gpt_neo,
        "hyperclovax": _hyperclovax,
        "mpt": _mpt,
        "opt": _opt,
        "qwen": _qwen,
        "stablelm": _stablelm,
    }
)
"""A `model_type` to the fields its own ones come to."""
