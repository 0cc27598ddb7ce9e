"""A Hugging Face config.json read as an Architecture.

Model layer. Mechanisms are told by the fields that set them (`kv_lora_rank` means latent
attention); `model_type` decides only what no field says: the names engines use, and the traits of
`planner.model.families`. Fields of a mechanism we have no rules for are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.errors import UnsupportedArchitecture, near_names
from planner.model.architecture import Architecture, Dense, Latent, Layer, MixtureOfExperts
from planner.model.config_canonical import canonical
from planner.model.config_extras import block_extras, frame_extras
from planner.model.config_fields import Config, Fields
from planner.model.config_hybrids import MOST_BLOCKS, believable
from planner.model.config_ignored import sets_no_weights
from planner.model.config_mechanisms import attention, mixer, windows
from planner.model.config_networks import feed_forward, has_experts
from planner.model.config_recurrent import (
    recurrent,
    recurrent_layers,
    searched_block,
    single_part_blocks,
)
from planner.model.encoders import why_no_text
from planner.model.families import FAMILIES, Family

OWN_MTP_EMBEDDING = "_mtp_own_embedding"
"""Key of ours in a model row's config: whether MTP blocks store an embedding and an output head.

No published field says it, and checkpoints of one config differ (GLM-4.5 has them, GLM-4.6 not).
"""

_NESTED = ("text_config", "llm_config")
"""Where models with a vision tower keep the text network."""

_UNKNOWN = "unknown"
"""GGUF architecture of a `model_type` we do not know."""

_MTP_COUNT = ("num_nextn_predict_layers", "mtp_num_hidden_layers")

_UNKNOWN_MECHANISMS = (
    "add_cross_attention",
    "kv_share_layers",
)
"""Fields that set a mechanism there are no rules for in any family."""

_GEMMA_MECHANISMS = (
    "hidden_size_per_layer_input",
    "num_kv_shared_layers",
    "per_layer_config",
    "use_double_wide_mlp",
)
"""Fields of mechanisms with rules in the families of Gemma only."""


def architecture_from_config(config: Config) -> Architecture:
    """The text network a config.json describes.

    A `model_type` not in `FAMILIES` is read by its fields alone if all of them are understood;
    what was taken for granted is in `Architecture.assumptions`.

    Raises:
        UnsupportedArchitecture: a mechanism without rules, or a field that is missing or no
            number, or not understood; the message names it.
    """
    text = _text_network(config)
    named = _named(config, text)
    _refuse_unknown(text, named)
    model_type = network_type(config)
    known = FAMILIES.get(model_type)
    family = known or Family(gguf_name=_UNKNOWN, output_bias=True)
    read = Fields({**family.defaults, **canonical(text, model_type)})
    blocks, mtp = _layers(read, family)
    own = bool(mtp) and read.flag(OWN_MTP_EMBEDDING, default=family.mtp_own_embedding)
    own_head = bool(mtp) and read.flag(OWN_MTP_EMBEDDING, default=family.mtp_own_head)
    return Architecture(
        gguf_name=_gguf_name(family, blocks),
        hidden=read.count("hidden_size"),
        vocabulary=read.count("vocab_size"),
        context_length=read.count("max_position_embeddings"),
        tied=_tied(config, read, family),
        embedding_width=read.optional("_embedding_width"),
        layers=blocks + (mtp if family.gguf_has_mtp else ()),
        unconverted_mtp=() if family.gguf_has_mtp else mtp,
        mtp_own_embedding=own,
        mtp_own_head=own_head,
        mtp_norms=family.mtp_norms,
        post_norms=read.flag("_post_norms", default=family.post_norms),
        parallel=read.flag("_parallel", default=family.parallel),
        expert_norms=3 if read.flag("enable_moe_block", default=False) else 0,
        norm_bias=family.norm_bias,
        norm_weights=read.flag("_norm_weights", default=family.norm_weights),
        final_norm=read.flag("_final_norm", default=True),
        output_bias=read.flag("lm_head_bias", default=family.head_bias),
        layer_scale=family.layer_scale,
        residual_streams=read.count("hc_mult", default=1),
        streams_summed=family.streams_summed,
        residual_attention="attn_res_block_size" in read,
        extras=frame_extras(read, family.extras),
        decodes=why_no_text(text) is None,
        assumptions=() if named in FAMILIES else _assumptions(read, named, model_type),
    )


def network_type(config: Config) -> str:
    """The `model_type` a config's text network is read as: its own, or the one its class names."""
    named = _named(config, _text_network(config))
    return named if named in FAMILIES else _by_class(config, named)


def _text_network(config: Config) -> Config:
    nested = (config.get(key) for key in _NESTED)
    return next((part for part in nested if part and isinstance(part, Mapping)), config)


def _named(config: Config, text: Config) -> str:
    return str(text.get("model_type") or config.get("model_type") or "")


def _gguf_name(family: Family, blocks: tuple[Layer, ...]) -> str:
    """GGUF architecture; some networks have one name with experts and one without.

    A network read by its fields alone is converted as the plain one of its mechanism.
    """
    if family.gguf_name == _UNKNOWN:
        latent = any(isinstance(block.mixer, Latent) for block in blocks)
        return "deepseek2" if latent else "llama"
    experts = any(isinstance(block.network, MixtureOfExperts) for block in blocks)
    return family.gguf_name_with_experts if experts else family.gguf_name


def _layers(read: Fields, family: Family) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """The blocks proper and the MTP blocks."""
    parts = single_part_blocks(read)
    depth = believable(len(parts) or read.count("num_hidden_layers", "num_layers", "n_layer"))
    looks = windows(read, family, depth)
    if parts:
        blocks = [_single_part(read, family, kind, looks[i]) for i, kind in enumerate(parts)]
    elif "block_configs" in read:
        blocks = [
            _searched(read, family, block) for block in read.per_layer("block_configs", depth)
        ]
    else:
        blocks = _whole_blocks(read, family, looks)
    known: dict[Layer, Layer] = {}
    shared = tuple(known.setdefault(block, block) for block in blocks)
    given = next((field for field in _MTP_COUNT if field in read), None)
    count = family.mtp_blocks if given is None else read.optional(given) or 0
    if not count:
        return shared, ()
    if count > MOST_BLOCKS:
        raise UnsupportedArchitecture(
            f"config has {count} MTP blocks", hint=f"up to {MOST_BLOCKS} are read"
        )
    sliding = next((w for w in looks if w is not None), None) if family.mtp_sliding else None
    experts = not family.mtp_dense and has_experts(read, family, depth)
    mtp = Layer(
        mixer=mixer(read, family, sliding, None),
        network=feed_forward(read, family, experts=experts),
        mtp=True,
    )
    return shared, (mtp,) * count


def _whole_blocks(whole: Fields, family: Family, looks: tuple[int | None, ...]) -> list[Layer]:
    """Blocks of a mixer and a feed-forward network each."""
    blocks: list[Layer] = []
    by_table = whole.optional("num_hash_layers") or 0
    by_layer = whole.fields("per_layer_config")
    for index, state in enumerate(recurrent_layers(whole, len(looks))):
        read = whole.overlaid(by_layer.get(str(index)))
        mixed = recurrent(read) if state else mixer(read, family, looks[index], index)
        experts = has_experts(read, family, index)
        kinds = (experts, False) if family.two_in_one else (experts,)
        table = index < by_table
        networks = (feed_forward(read, family, experts=kind, by_token=table) for kind in kinds)
        extras = block_extras(read, family.extras, index)
        beside = recurrent(read) if read.flag("_beside", default=False) else None
        blocks += [
            Layer(
                mixer=mixed,
                network=network,
                beside=beside,
                input_norm=read.flag("_input_norm", default=True),
                extras=extras,
            )
            for network in networks
        ]
    return blocks


def _single_part(read: Fields, family: Family, kind: str, window: int | None) -> Layer:
    match kind:
        case "mamba":
            return Layer(mixer=recurrent(read), network=None)
        case "attention":
            return Layer(mixer=attention(read, family, window, None), network=None)
        case "moe" | "mlp":
            return Layer(mixer=None, network=feed_forward(read, family, experts=kind == "moe"))
        case _:
            raise UnsupportedArchitecture(
                f"config field 'layers_block_type' has '{kind}'",
                hint="'mamba', 'attention', 'moe' and 'mlp' are known",
            )


def _searched(read: Fields, family: Family, block: object) -> Layer:
    """A block of a network found by search, each with its own shape."""
    heads, hidden = read.count("num_attention_heads"), read.count("hidden_size")
    kv_heads, width = searched_block(block, hidden, heads)
    look = None
    if kv_heads is not None:
        look = attention(read, family, None, None).model_copy(update={"kv_heads": kv_heads})
    return Layer(mixer=look, network=None if width is None else Dense(intermediate=width))


_UNREADABLE = frozenset({"bert-generation", "cosmos3_edge_text", "git"})
"""Types whose fields are all known, and whose networks are others than these fields say."""


def _refuse_unknown(config: Config, model_type: str) -> None:
    if model_type in _UNREADABLE:
        raise UnsupportedArchitecture(
            f"no rules for model_type '{model_type}'",
            hint=f"nearest known family: '{_nearest(model_type)}'",
        )
    unknown: tuple[str, ...] = _UNKNOWN_MECHANISMS
    if model_type not in FAMILIES or "per_layer_embeddings" not in FAMILIES[model_type].extras:
        unknown += _GEMMA_MECHANISMS
    found = [field for field in unknown if config.get(field)]
    if found:
        raise UnsupportedArchitecture(
            "config fields without rules: " + ", ".join(f"'{field}'" for field in found),
            hint=f"nearest known family: '{_nearest(model_type)}'; networks of grouped or latent"
            " attention, dense or with experts, are known",
        )


def _by_class(config: Config, model_type: str) -> str:
    """The family whose name the class in `architectures` has; else the `model_type` itself."""
    classes = config.get("architectures")
    for name in classes if isinstance(classes, list) else ():
        plain = str(name).split("For")[0].lower()
        for known in FAMILIES:
            if plain and plain == known.replace("_", "").replace("-", "").removesuffix("text"):
                return known
    return model_type


def _assumptions(read: Fields, model_type: str, family: str) -> tuple[str, ...]:
    """What reading an unknown `model_type` by its fields, or by its class, takes for granted."""
    strange = [field for field in read.left_over() if not sets_no_weights(field)]
    if strange:
        raise UnsupportedArchitecture(
            f"no rules for model_type '{model_type}', and config fields not understood: "
            + ", ".join(f"'{field}'" for field in strange),
            hint=f"nearest known family: '{_nearest(model_type)}', of {len(FAMILIES)}; a GGUF file"
            " of the model says more",
        )
    if family in FAMILIES:
        return (f"model_type '{model_type}' is not known: read as '{family}', as its class says",)
    return (
        f"model_type '{model_type}' is not known: read by its fields alone, as two norms per"
        " block, gated feed-forward networks, and no tied output, biases or norms on Q and K"
        f" that no field names (nearest known family: '{_nearest(model_type)}'); its GGUF file is"
        " sized as that of the plain network of these mechanisms",
    )


def _nearest(model_type: str) -> str:
    return (near_names(model_type, FAMILIES, count=1) or ["llama"])[0]


def _tied(config: Config, read: Fields, family: Family) -> bool:
    """The text network's own field, else the outer one, else the family's habit."""
    outer = Fields(config).flag("tie_word_embeddings", default=family.tied)
    return read.flag("tie_word_embeddings", default=outer)
