"""The feed-forward network of each layer from the config fields that set it.

Model layer. Field names differ between publishers for one thing; the first given counts.
"""

from __future__ import annotations

from planner.errors import UnsupportedArchitecture
from planner.model.architecture import Dense, FeedForward, MixtureOfExperts
from planner.model.config_fields import Fields
from planner.model.families import Family

_LATENT_WIDTH = (
    "moe_latent_size",
    "latent_moe_dim",
    "moe_latent_dim",
    "routed_expert_hidden_size",
)
_SHARED_WIDTH = (
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "share_expert_dim",
    "shared_intermediate_size",
)
_SHARED_COUNT = (
    "n_shared_experts",
    "num_shared_experts",
    "moe_num_shared_experts",
    "num_shared_expert",
)
_USED = (
    "num_experts_per_tok",
    "experts_per_token",
    "num_experts_per_token",
    "top_k_experts",
    "moe_topk",
    "moe_k",
)


def expert_count(read: Fields) -> int | None:
    """Routed experts; None where the network is dense."""
    if not read.flag("enable_moe_block", default=True):
        return None
    return read.optional("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")


def has_experts(read: Fields, family: Family, layer: int) -> bool:
    """Whether layer number `layer` has routed experts; past the last one it is an MTP block."""
    if expert_count(read) is None or layer in read.items("mlp_only_layers"):
        return False
    for field in ("mlp_layer_types", "moe_layer_freq"):
        kinds = read.items(field)
        if kinds:
            return layer >= len(kinds) or kinds[layer] in ("sparse", 1)
    first = read.optional("first_k_dense_replace", "moe_layer_start_index")
    given = "first_k_dense_replace" in read or "moe_layer_start_index" in read
    if layer < (first or (0 if given else family.dense_first)):
        return False
    if "expert_layer_period" in read:
        period = read.count("expert_layer_period")
        return layer % period == (read.optional("expert_layer_offset") or 0)
    if "decoder_sparse_step" in read:
        return (layer + 1) % read.count("decoder_sparse_step") == 0
    if "interleave_moe_layer_step" in read:
        return (layer + 1) % read.count("interleave_moe_layer_step") == 0
    if "moe_layer_interval" in read:
        last = read.optional("moe_layer_end_index")
        inside = last is None or layer <= last
        return inside and (layer + 1) % read.count("moe_layer_interval") == 0
    return layer % read.count("moe_layer_freq", default=1) == 0


def feed_forward(
    read: Fields, family: Family, *, experts: bool, by_token: bool = False
) -> FeedForward:
    """The feed-forward network of a layer with or without experts.

    `by_token`: a table names the experts of each token, and there is no selection bias.
    """
    if experts:
        found = _experts(read, family)
        changed = {"by_token": True, "score_bias": False}
        return found.model_copy(update=changed) if by_token else found
    return Dense(
        intermediate=_dense_width(read),
        gated=family.gated,
        bias=read.flag("mlp_bias", "use_bias", default=family.mlp_bias),
    )


def _dense_width(read: Fields) -> int:
    given = read.optional(
        "intermediate_size_mlp",
        "dense_intermediate_size",
        "ffn_hidden_size",
        "shared_intermediate_size",
    )
    return given or read.count("intermediate_size")


def _experts(read: Fields, family: Family) -> MixtureOfExperts:
    count = expert_count(read)
    if count is None:
        raise UnsupportedArchitecture(
            "config has a block with experts, and no field says how many",
            hint="take the config.json the publisher ships",
        )
    used = read.alike(*_USED)
    if used > count:
        raise UnsupportedArchitecture(
            f"config has {count:,} experts, of which {used:,} are used for a token",
            hint="take the config.json the publisher ships",
        )
    width = read.alike("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
    scored = read.flag("use_routing_bias", "use_moe_router_bias", default=family.score_bias)
    if "topk_method" in read:
        scored = read.text("topk_method") == "noaux_tc"
    beside = family.dense_beside_experts or read.flag("enable_moe_block", default=False)
    return MixtureOfExperts(
        experts=count,
        used=used,
        intermediate=width,
        shared_intermediate=_shared_width(read, family, width),
        router_bias=family.router_bias,
        score_bias=scored,
        expert_bias=family.expert_bias,
        gated=family.gated,
        latent=read.optional(*_LATENT_WIDTH),
        latent_norm=read.flag("latent_moe_use_norm", default=False),
        shared_bias=read.flag("mlp_bias", "use_bias", default=False),
        shared_gate=family.shared_gate,
        dense_intermediate=_dense_width(read) if beside or family.two_in_one else 0,
        idle_experts=read.optional("zero_expert_num") or 0,
        router_scales=read.flag("enable_moe_block", default=False),
    )


def _shared_width(read: Fields, family: Family, width: int) -> int:
    """Width of all shared experts together.

    Where one field gives a width, a count beside it has only been seen to be 1.
    """
    whole = read.optional(*_SHARED_WIDTH)
    if whole is not None:
        return whole * (read.optional(*_SHARED_COUNT) or 1)
    given = next((field for field in _SHARED_COUNT if field in read), None)
    if given is None:
        return family.shared_experts * width
    none = read.items(given) == () and read.optional(given) is None
    return 0 if none else read.alike(given) * width
