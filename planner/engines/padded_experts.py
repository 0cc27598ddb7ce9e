"""Experts in MXFP4 as kernels hold them: padded to sizes that their tiles divide. Engines layer.

Source: vllm 0.32.0, vllm/model_executor/layers/fused_moe/oracle/mxfp4.py; sglang 0.5.23,
srt/layers/quantization/mxfp4.py.
"""

from __future__ import annotations

from dataclasses import replace

from planner.engines.sharding import Shards
from planner.quantization.checkpoint_formats import Microscaled
from planner.quantization.scheme import Scheme

MXFP4_GROUP = 32
MXFP4_WIDTH = 128
MXFP4_HIDDEN = 256
"""Multiples that most kernels of both engines pad to: Marlin's and, in SGLang, FlashInfer's. Those
of Triton pad less (widths to 64), so sizes are upper ends."""


def has_mxfp4_experts(scheme: Scheme) -> bool:
    """Whether the checkpoint stores routed experts in MXFP4."""
    form = scheme.format_of("mlp.experts.up_proj", ())
    return isinstance(form, Microscaled) and form.group == MXFP4_GROUP


def padded_experts(shards: Shards, scheme: Scheme) -> Shards:
    """The same cut, with experts padded where the scheme's kernels pad them."""
    if not has_mxfp4_experts(scheme):
        return shards
    return replace(shards, expert_width_multiple=MXFP4_WIDTH, expert_hidden_multiple=MXFP4_HIDDEN)
