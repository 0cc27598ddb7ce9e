"""What a tensor of a GGUF file belongs to, by its name. Model layer.

The components are those `planner.model.tensors` assigns; further names are of networks it does
not list. Source of names: TENSOR_NAMES of the PyPI package gguf 0.19.0.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from planner.errors import FactsError
from planner.model.parameters import Component

_BLOCK = re.compile(r"blk\.(0|[1-9][0-9]{0,4})\.(.+)", re.DOTALL)
_SUFFIX = re.compile(r"\.(weight|bias|scale|input_scale)$")

_OUTSIDE: dict[str, Component] = {
    "token_embd": "embedding",
    "token_types": "embedding",
    "position_embd": "embedding",
    "per_layer_token_embd": "embedding",
    "per_layer_model_proj": "embedding",
    "per_layer_proj_norm": "norm",
    "token_embd_norm": "norm",
    "output_norm": "norm",
    "output": "output",
    "rope_freqs": "attention",
    "rope_factors_long": "attention",
    "rope_factors_short": "attention",
}
"""Outside blocks."""

_EXPERT_SCALES = "ffn_down_exps.scale"
"""A factor per expert that the router's weights are multiplied with (Gemma 4)."""

_IN_BLOCK: tuple[tuple[re.Pattern[str], Component], ...] = (
    (re.compile(r"nextn\..+"), "mtp"),
    (re.compile(r"ffn_(gate|up|down)_shexp"), "shared_experts"),
    (re.compile(r"ffn_gate_inp(_shexp)?|exp_probs_b"), "router"),
    (re.compile(r"ffn_(gate|up|down|gate_up)(_exps|_chexps|\.[0-9]+)"), "experts"),
    (re.compile(r"ffn_(gate|up|down)"), "dense"),
    (re.compile(r"(.+_)?norm(_[0-9]+)?|layer_output_scale"), "norm"),
    (re.compile(r"(attn|cross_attn|ssm|shortconv|time_mix|indexer)[_.].+"), "attention"),
)
"""Within a block, the first that fits the whole name."""


def block_of(name: str) -> int | None:
    """The block a tensor belongs to; None outside blocks."""
    found = _BLOCK.fullmatch(name)
    return int(found[1]) if found else None


def component_of(name: str, mtp: Collection[int]) -> Component:
    """What the tensor `name` belongs to; `mtp` are the multi-token-prediction blocks.

    Raises:
        FactsError: a name we have no rule for.
    """
    found = _BLOCK.fullmatch(name)
    base = _SUFFIX.sub("", found[2] if found else name)
    if found is None and base in _OUTSIDE:
        return _OUTSIDE[base]
    if found is not None and int(found[1]) in mtp:
        return "mtp"
    if found is not None and found[2] == _EXPERT_SCALES:
        return "router"
    for pattern, component in _IN_BLOCK:
        if found is not None and pattern.fullmatch(base):
            return component
    raise FactsError(
        f"no rule for what tensor {name!r} is part of",
        hint="tensors of text networks are known; a vision tower is a file of its own",
    )
