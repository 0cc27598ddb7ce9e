"""The recurrent mixer of a block by the metadata and tensors of a GGUF header. Model layer.

Which kind it is, its tensors say; files of all kinds share the keys `ssm.*`.
Keys: gguf/constants.py of the PyPI package gguf 0.19.0.
"""

from __future__ import annotations

from planner.errors import FactsError
from planner.model.gguf_fields import Fields
from planner.model.recurrent import GatedDelta, KimiDelta, Mamba, Mamba2, Recurrent


def recurrent_of_block(read: Fields, block: int) -> Recurrent | None:
    """The recurrent mixer of `block`; None if it has none.

    Raises:
        FactsError: metadata that is missing or does not fit together.
    """
    if read.has(block, "ssm_conv1d_q.weight"):
        return KimiDelta(
            heads=read.count("attention.head_count", block),
            head_dim=read.count("kda.head_dim"),
            kernel=read.count("ssm.conv_kernel"),
        )
    if read.has(block, "ssm_ba.weight") or read.has(block, "ssm_alpha.weight"):
        heads = read.count("ssm.time_step_rank")
        return GatedDelta(
            key_heads=read.count("ssm.group_count"),
            value_heads=heads,
            key_dim=read.count("ssm.state_size"),
            value_dim=_per_head(read, heads),
            kernel=read.count("ssm.conv_kernel"),
        )
    if read.has(block, "ssm_x.weight"):
        return Mamba(
            inner=read.count("ssm.inner_size"),
            state=read.count("ssm.state_size"),
            rank=read.count("ssm.time_step_rank"),
            kernel=read.count("ssm.conv_kernel"),
            norms=read.has(block, "ssm_dt_norm.weight"),
            conv_bias=read.has(block, "ssm_conv1d.bias"),
        )
    if read.has(block, "ssm_in.weight"):
        heads = read.count("ssm.time_step_rank")
        return Mamba2(
            heads=heads,
            head_dim=_per_head(read, heads),
            groups=read.count("ssm.group_count"),
            state=read.count("ssm.state_size"),
            kernel=read.count("ssm.conv_kernel"),
            conv_bias=read.has(block, "ssm_conv1d.bias"),
            norm=read.has(block, "ssm_norm.weight"),
        )
    return None


def _per_head(read: Fields, heads: int) -> int:
    """Channels of one head."""
    inner = read.count("ssm.inner_size")
    if inner % heads:
        raise FactsError(
            f"GGUF metadata '{read.name}.ssm.inner_size' is {inner:,}, no multiple of"
            f" {heads:,} heads",
            hint="download the file again",
        )
    return inner // heads
