"""A Hugging Face config.json read as an Architecture.

Model layer. Mechanisms are told by the fields that set them (`kv_lora_rank` means latent
attention); `model_type` decides only what no field says: the names engines use, and the traits of
the reference code in `FAMILIES`. Fields of a mechanism we have no rules for are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from planner.errors import UnsupportedArchitecture, near_names
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

Config = Mapping[str, Any]

OWN_MTP_EMBEDDING = "_mtp_own_embedding"
"""Key of ours in a model row's config: whether MTP blocks store an embedding and an output head.

No published field says it, and checkpoints of one config differ (GLM-4.5 has them, GLM-4.6 not).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What no field of a config says about networks of one `model_type`."""

    gguf_name: str
    """`general.architecture` of its GGUF files."""
    attention_bias: bool = False
    """Bias on Q, K and V where `attention_bias` is not given."""
    output_bias: bool = False
    """Whether a bias on Q, K and V comes with one on the output projection."""
    qk_norm: bool = False
    """Norm on Q and K where `use_qk_norm` is not given."""
    sinks: bool = False
    tied: bool = False
    """Tied output where `tie_word_embeddings` is not given."""
    post_norms: bool = False
    full_attention_every: int | None = None
    """Where `layer_types` is not given, every so-manieth layer looks at all tokens, the others
    at the window; None is no window unless the config lists them."""
    router_bias: bool = False
    expert_bias: bool = False
    score_bias: bool = False
    """Selection bias per expert where `topk_method` does not say."""
    gguf_has_mtp: bool = False
    """Whether the GGUF converter keeps MTP blocks."""
    mtp_own_embedding: bool = False


_LLAMA = Family(gguf_name="llama", output_bias=True)
_DEEPSEEK = Family(gguf_name="deepseek2", mtp_own_embedding=True)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "llama": _LLAMA,
        "mistral": Family(gguf_name="llama"),
        "mixtral": Family(gguf_name="llama"),
        "deepseek_v2": _DEEPSEEK,
        "deepseek_v3": _DEEPSEEK,
        "kimi_k2": _DEEPSEEK,
        "qwen3": Family(gguf_name="qwen3", output_bias=True, qk_norm=True),
        "qwen3_moe": Family(gguf_name="qwen3moe", output_bias=True, qk_norm=True),
        "glm4_moe": Family(
            gguf_name="glm4moe",
            attention_bias=True,
            score_bias=True,
            gguf_has_mtp=True,
            mtp_own_embedding=True,
        ),
        "gpt_oss": Family(
            gguf_name="gpt-oss",
            attention_bias=True,
            output_bias=True,
            sinks=True,
            full_attention_every=2,
            router_bias=True,
            expert_bias=True,
        ),
        "gemma3_text": Family(
            gguf_name="gemma3",
            qk_norm=True,
            tied=True,
            post_norms=True,
            full_attention_every=6,
        ),
    }
)
"""`model_type` to its family. Sources: the reference modules of Hugging Face transformers 5.24
for traits, the converters of llama.cpp b11434 (conversion/) for names and MTP blocks."""

_NESTED = ("text_config", "llm_config")
"""Where models with a vision tower keep the text network."""

_UNKNOWN_MECHANISMS = (
    "attention_chunk_size",
    "attention_k_eq_v",
    "attn_layer_period",
    "attn_type_list",
    "block_configs",
    "compress_ratios",
    "enable_moe_block",
    "full_attention_interval",
    "hc_mult",
    "hybrid_layer_pattern",
    "hybrid_override_pattern",
    "index_n_heads",
    "kv_share_layers",
    "layers_block_type",
    "linear_attn_config",
    "linear_num_key_heads",
    "mamba_d_state",
    "moe_latent_size",
    "num_kv_shared_layers",
    "ssm_state_size",
    "swa_num_attention_heads",
)
"""Fields that set a mechanism (linear and indexed attention, state spaces, shared caches, latent
experts, layers of unlike shape) this reader has no rules for."""


class _Reader:
    """Typed look-ups in one config, with errors that name the field."""

    __slots__ = ("_config",)

    def __init__(self, config: Config) -> None:
        self._config = config

    def __contains__(self, field: str) -> bool:
        return self._config.get(field) is not None

    def count(self, *fields: str, default: int | None = None) -> int:
        """The first given field, a positive whole number; `default` where none is given."""
        for field in fields:
            value = self._config.get(field)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UnsupportedArchitecture(
                    f"config field '{field}' is {value!r}, not a positive whole number",
                    hint="take the config.json the publisher ships",
                )
            return value
        if default is None:
            raise UnsupportedArchitecture(
                "config has no " + " or ".join(f"'{field}'" for field in fields),
                hint="take the whole config.json the publisher ships",
            )
        return default

    def optional(self, *fields: str) -> int | None:
        """As `count`, None where no field is given or its value is 0."""
        given = [field for field in fields if self._config.get(field) not in (None, 0)]
        return self.count(given[0]) if given else None

    def flag(self, field: str, *, default: bool) -> bool:
        """A yes or no."""
        value = self._config.get(field)
        return default if value is None else bool(value)

    def text(self, field: str) -> str:
        """A word; empty where not given."""
        return str(self._config.get(field) or "")

    def items(self, field: str) -> tuple[Any, ...]:
        """A list; empty where not given."""
        return tuple(self._config.get(field) or ())


def architecture_from_config(config: Config) -> Architecture:
    """The text network a config.json describes.

    Raises:
        UnsupportedArchitecture: a `model_type` or a mechanism without rules, or a field that is
            missing or no number; the message names it.
    """
    text: Config = next((config[key] for key in _NESTED if config.get(key)), config)
    family = _family(str(text.get("model_type") or config.get("model_type") or ""))
    _refuse_unknown(text)
    read = _Reader(text)
    depth, extra = read.count("num_hidden_layers"), read.optional("num_nextn_predict_layers") or 0
    windows = _windows(read, family, depth)
    known: dict[tuple[int | None, bool, bool], Layer] = {}

    def layer(window: int | None, *, experts: bool, mtp: bool = False) -> Layer:
        key = (window, experts, mtp)
        if key not in known:
            known[key] = Layer(
                attention=_attention(read, family, window),
                feed_forward=_feed_forward(read, family, experts=experts),
                mtp=mtp,
            )
        return known[key]

    layers = tuple(layer(windows[i], experts=_has_experts(read, i)) for i in range(depth))
    mtp = (layer(None, experts=_has_experts(read, depth), mtp=True),) * extra
    own = family.mtp_own_embedding
    return Architecture(
        gguf_name=family.gguf_name,
        hidden=read.count("hidden_size"),
        vocabulary=read.count("vocab_size"),
        context_length=read.count("max_position_embeddings"),
        tied=_tied(config, read, family),
        layers=layers + (mtp if family.gguf_has_mtp else ()),
        unconverted_mtp=() if family.gguf_has_mtp else mtp,
        mtp_own_embedding=bool(mtp) and read.flag(OWN_MTP_EMBEDDING, default=own),
        post_norms=family.post_norms,
    )


def _family(model_type: str) -> Family:
    family = FAMILIES.get(model_type)
    if family is None:
        near = near_names(model_type, FAMILIES, count=1) or ["llama"]
        raise UnsupportedArchitecture(
            f"no rules for model_type '{model_type}'",
            hint=f"nearest known family: '{near[0]}'; known: " + ", ".join(FAMILIES),
        )
    return family


def _refuse_unknown(config: Config) -> None:
    found = [field for field in _UNKNOWN_MECHANISMS if config.get(field)]
    if found:
        raise UnsupportedArchitecture(
            "config fields without rules: " + ", ".join(f"'{field}'" for field in found),
            hint="networks of grouped or latent attention, dense or with experts, are known",
        )


def _tied(config: Config, read: _Reader, family: Family) -> bool:
    """The text network's own field, else the outer one, else the family's habit."""
    outer = _Reader(config).flag("tie_word_embeddings", default=family.tied)
    return read.flag("tie_word_embeddings", default=outer)


def _windows(read: _Reader, family: Family, depth: int) -> tuple[int | None, ...]:
    """The sliding window of each layer; None where it looks at all tokens."""
    window = read.optional("sliding_window")
    if window is None or not read.flag("use_sliding_window", default=True):
        return (None,) * depth
    kinds = read.items("layer_types")
    if kinds:
        return tuple(_window_of_kind(kind, window) for kind in _first(kinds, depth))
    every = read.optional("sliding_window_pattern") or family.full_attention_every
    if every is None:
        return (window,) * depth
    return tuple(None if (i + 1) % every == 0 else window for i in range(depth))


def _first(kinds: tuple[Any, ...], depth: int) -> tuple[Any, ...]:
    if len(kinds) < depth:
        raise UnsupportedArchitecture(
            f"config field 'layer_types' has {len(kinds)} entries for {depth} layers",
            hint="take the config.json the publisher ships",
        )
    return kinds[:depth]


def _window_of_kind(kind: Any, window: int) -> int | None:
    match kind:
        case "sliding_attention":
            return window
        case "full_attention":
            return None
        case _:
            raise UnsupportedArchitecture(
                f"config field 'layer_types' has '{kind}'",
                hint="'full_attention' and 'sliding_attention' are known",
            )


def _attention(read: _Reader, family: Family, window: int | None) -> Attention:
    heads = read.count("num_attention_heads")
    if "kv_lora_rank" in read:
        return Latent(
            heads=heads,
            query_rank=read.optional("q_lora_rank"),
            kv_rank=read.count("kv_lora_rank"),
            nope_dim=read.count("qk_nope_head_dim"),
            rope_dim=read.count("qk_rope_head_dim"),
            value_dim=read.count("v_head_dim"),
        )
    bias = read.flag("attention_bias", default=family.attention_bias)
    return Grouped(
        heads=heads,
        kv_heads=read.count("num_key_value_heads", default=heads),
        head_dim=read.optional("head_dim") or read.count("hidden_size") // heads,
        window=window,
        bias=bias,
        output_bias=bias and family.output_bias,
        qk_norm=read.flag("use_qk_norm", default=family.qk_norm),
        sinks=family.sinks,
    )


def _expert_count(read: _Reader) -> int | None:
    return read.optional("n_routed_experts", "num_experts", "num_local_experts")


def _has_experts(read: _Reader, layer: int) -> bool:
    """Whether layer number `layer` has routed experts."""
    if _expert_count(read) is None or layer in read.items("mlp_only_layers"):
        return False
    if layer < (read.optional("first_k_dense_replace") or 0):
        return False
    if "decoder_sparse_step" in read:
        return (layer + 1) % read.count("decoder_sparse_step") == 0
    return layer % read.count("moe_layer_freq", default=1) == 0


def _feed_forward(read: _Reader, family: Family, *, experts: bool) -> FeedForward:
    if not experts:
        return Dense(intermediate=read.count("intermediate_size"))
    count = _expert_count(read)
    assert count is not None
    width = read.count("moe_intermediate_size", "intermediate_size")
    scored = read.text("topk_method") == "noaux_tc" if "topk_method" in read else family.score_bias
    return MixtureOfExperts(
        experts=count,
        used=read.count("num_experts_per_tok", "experts_per_token"),
        intermediate=width,
        shared_intermediate=(read.optional("n_shared_experts") or 0) * width,
        router_bias=family.router_bias,
        score_bias=scored,
        expert_bias=family.expert_bias,
    )
