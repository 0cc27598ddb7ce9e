"""What checkpoints of different publishers call the module of a role. Model layer.

A quantized checkpoint's config names modules as its own code does; a role goes by all of these.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

_FRAME = {
    "lm_head": ("lm_head", "model.lm_head", "language_model.lm_head", "head", "output"),
    "embed_tokens": ("model.embed_tokens", "language_model.model.embed_tokens", "embed"),
}

_MODULES = {
    "mlp": ("mlp", "block_sparse_moe", "feed_forward", "ffn", "mixer"),
    "self_attn": ("self_attn", "attn", "attention", "mixer"),
    "mamba": ("mamba", "mixer"),
}
"""First word of a role to those that stand for it: MiniMax and Mixtral say `block_sparse_moe`,
Llama 4 `feed_forward`, DeepSeek V4 `ffn` and `attn`, Nemotron-H `mixer` for all of them."""

_WORDS = {
    "shared_experts": ("shared_experts", "shared_expert", "shared_mlp"),
    "gate": ("gate", "router"),
    "gate_proj": ("gate_proj", "w1", "gate_up_proj"),
    "up_proj": ("up_proj", "w3", "gate_up_proj"),
    "down_proj": ("down_proj", "w2"),
    "q_proj": ("q_proj", "qkv_proj"),
    "k_proj": ("k_proj", "qkv_proj"),
    "v_proj": ("v_proj", "qkv_proj"),
    "q_a_proj": ("q_a_proj", "fused_qkv_a_proj", "wq_a"),
    "kv_a_proj_with_mqa": ("kv_a_proj_with_mqa", "fused_qkv_a_proj"),
    "q_b_proj": ("q_b_proj", "wq_b"),
    "kv_proj": ("kv_proj", "wkv"),
    "o_a_proj": ("o_a_proj", "wo_a"),
    "o_b_proj": ("o_b_proj", "wo_b"),
    "in_proj_qkv": ("in_proj_qkv", "in_proj_qkvz"),
    "in_proj_z": ("in_proj_z", "in_proj_qkvz"),
    "in_proj_b": ("in_proj_b", "in_proj_ba"),
    "in_proj_a": ("in_proj_a", "in_proj_ba"),
}
"""Other words of a role to those that stand for them; matrices stored as one have one name."""

_MTP_WORDS = {"eh_proj": ("eh_proj", "fc")}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module is."""

    block: int | None
    """Number of the block, MTP blocks last; None outside blocks."""
    mtp: int | None = None
    """Number among the MTP blocks, which some checkpoints count apart."""
    apart: bool = False
    """Whether experts and router are no part of the module `mlp` (Gemma 4)."""


OUTSIDE = Place(None)
"""Not in a block."""


def module_names(role: str, place: Place, expert: int | None = None) -> tuple[str, ...]:
    """All names of the module of `role`, from `layers.` on; `expert` is a routed one's number."""
    if place.block is None:
        return _FRAME.get(role, (role,))
    blocks = [f"layers.{place.block}."]
    if place.mtp is not None:
        blocks += [f"mtp.layers.{place.mtp}.", f"mtp.{place.mtp}.", "mtp."]
    inner = _inner(role.removeprefix("mlp.") if place.apart else role)
    if expert is not None:
        inner = tuple(name.replace("experts.", f"experts.{expert}.", 1) for name in inner)
    return tuple(block + name for block in blocks for name in inner)


@functools.lru_cache(maxsize=1024)
def _inner(role: str) -> tuple[str, ...]:
    """Names of a role inside its block."""
    first, *words = role.split(".")
    if first == "mtp":
        return _spelled(_MTP_WORDS.get(word, (word,)) for word in words)
    others = (_WORDS.get(word, (word,)) for word in words)
    return _spelled((_MODULES.get(first, _WORDS.get(first, (first,))), *others))


def _spelled(options: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    names: tuple[str, ...] = ("",)
    for words in options:
        names = tuple(f"{name}.{word}" if name else word for name in names for word in words)
    return names
