"""A Hugging Face config.json read as an Architecture.

Model layer. Mechanisms are told by the fields that set them (`kv_lora_rank` means latent
attention); `model_type` decides only what no field says: the names engines use, and the traits of
`planner.model.families`. Fields of a mechanism we have no rules for are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.errors import UnsupportedArchitecture, near_names
from planner.model.architecture import Architecture, Dense, Layer
from planner.model.config_fields import Config, Fields
from planner.model.config_ignored import sets_no_weights
from planner.model.config_mechanisms import attention, mixer, windows
from planner.model.config_networks import feed_forward, has_experts
from planner.model.config_recurrent import (
    recurrent,
    recurrent_layers,
    searched_block,
    single_part_blocks,
)
from planner.model.families import FAMILIES, Family

OWN_MTP_EMBEDDING = "_mtp_own_embedding"
"""Key of ours in a model row's config: whether MTP blocks store an embedding and an output head.

No published field says it, and checkpoints of one config differ (GLM-4.5 has them, GLM-4.6 not).
"""

_NESTED = ("text_config", "llm_config")
"""Where models with a vision tower keep the text network."""

_MOST_BLOCKS = 10_000
"""More blocks than this are an error in the file."""

_MTP_COUNT = ("num_nextn_predict_layers", "mtp_num_hidden_layers")

_UNKNOWN_MECHANISMS = (
    "hidden_size_per_layer_input",
    "kv_share_layers",
    "num_kv_shared_layers",
    "use_double_wide_mlp",
)
"""Fields that set a mechanism (shared caches, embeddings per layer) there are no rules for."""


def architecture_from_config(config: Config) -> Architecture:
    """The text network a config.json describes.

    A `model_type` not in `FAMILIES` is read by its fields alone if all of them are understood;
    what was taken for granted is in `Architecture.assumptions`.

    Raises:
        UnsupportedArchitecture: a mechanism without rules, or a field that is missing or no
            number, or not understood; the message names it.
    """
    nested = (config.get(key) for key in _NESTED)
    text: Config = next((part for part in nested if part and isinstance(part, Mapping)), config)
    model_type = str(text.get("model_type") or config.get("model_type") or "")
    known = FAMILIES.get(model_type)
    _refuse_unknown(text, model_type)
    family = known or Family(gguf_name="unknown")
    read = Fields({**family.defaults, **text})
    blocks, mtp = _layers(read, family)
    own = bool(mtp) and read.flag(OWN_MTP_EMBEDDING, default=family.mtp_own_embedding)
    own_head = bool(mtp) and read.flag(OWN_MTP_EMBEDDING, default=family.mtp_own_head)
    return Architecture(
        gguf_name=family.gguf_name,
        hidden=read.count("hidden_size"),
        vocabulary=read.count("vocab_size"),
        context_length=read.count("max_position_embeddings"),
        tied=_tied(config, read, family),
        layers=blocks + (mtp if family.gguf_has_mtp else ()),
        unconverted_mtp=() if family.gguf_has_mtp else mtp,
        mtp_own_embedding=own,
        mtp_own_head=own_head,
        mtp_norms=family.mtp_norms,
        post_norms=family.post_norms,
        parallel=family.parallel,
        expert_norms=3 if read.flag("enable_moe_block", default=False) else 0,
        norm_bias=family.norm_bias,
        output_bias=read.flag("lm_head_bias", default=False),
        layer_scale=family.layer_scale,
        residual_streams=read.count("hc_mult", default=1),
        residual_attention="attn_res_block_size" in read,
        assumptions=() if known else _assumptions(read, model_type),
    )


def _layers(read: Fields, family: Family) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """The blocks proper and the MTP blocks."""
    parts = single_part_blocks(read)
    depth = len(parts) or read.count("num_hidden_layers", "num_layers", "n_layer")
    if depth > _MOST_BLOCKS:
        raise UnsupportedArchitecture(
            f"config has {depth} layers", hint=f"networks of up to {_MOST_BLOCKS} are read"
        )
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
    if count > _MOST_BLOCKS:
        raise UnsupportedArchitecture(
            f"config has {count} MTP blocks", hint=f"up to {_MOST_BLOCKS} are read"
        )
    sliding = next((w for w in looks if w is not None), None) if family.mtp_sliding else None
    experts = not family.mtp_dense and has_experts(read, family, depth)
    mtp = Layer(
        mixer=mixer(read, family, sliding, None),
        network=feed_forward(read, family, experts=experts),
        mtp=True,
    )
    return shared, (mtp,) * count


def _whole_blocks(read: Fields, family: Family, looks: tuple[int | None, ...]) -> list[Layer]:
    """Blocks of a mixer and a feed-forward network each."""
    blocks: list[Layer] = []
    by_table = read.optional("num_hash_layers") or 0
    for index, state in enumerate(recurrent_layers(read, len(looks))):
        mixed = recurrent(read) if state else mixer(read, family, looks[index], index)
        experts = has_experts(read, family, index)
        kinds = (experts, False) if family.two_in_one else (experts,)
        table = index < by_table
        networks = (feed_forward(read, family, experts=kind, by_token=table) for kind in kinds)
        blocks += [Layer(mixer=mixed, network=network) for network in networks]
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


def _refuse_unknown(config: Config, model_type: str) -> None:
    found = [field for field in _UNKNOWN_MECHANISMS if config.get(field)]
    if found:
        raise UnsupportedArchitecture(
            "config fields without rules: " + ", ".join(f"'{field}'" for field in found),
            hint=f"nearest known family: '{_nearest(model_type)}'; networks of grouped or latent"
            " attention, dense or with experts, are known",
        )


def _assumptions(read: Fields, model_type: str) -> tuple[str, ...]:
    """What reading an unknown `model_type` by its fields takes for granted."""
    strange = [field for field in read.left_over() if not sets_no_weights(field)]
    if strange:
        raise UnsupportedArchitecture(
            f"no rules for model_type '{model_type}', and config fields not understood: "
            + ", ".join(f"'{field}'" for field in strange),
            hint=f"nearest known family: '{_nearest(model_type)}'; known: " + ", ".join(FAMILIES),
        )
    return (
        f"model_type '{model_type}' is not known: read by its fields alone, as two norms per"
        " block, gated feed-forward networks, and no tied output, biases or norms on Q and K"
        f" that no field names (nearest known family: '{_nearest(model_type)}')",
    )


def _nearest(model_type: str) -> str:
    return (near_names(model_type, FAMILIES, count=1) or ["llama"])[0]


def _tied(config: Config, read: Fields, family: Family) -> bool:
    """The text network's own field, else the outer one, else the family's habit."""
    outer = Fields(config).flag("tie_word_embeddings", default=family.tied)
    return read.flag("tie_word_embeddings", default=outer)
