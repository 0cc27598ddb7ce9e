"""What one rank of a tensor, expert and pipeline parallel layout holds of each weight tensor.

Engines layer, shared by vLLM and SGLang, which cut networks alike: matrices whose outputs belong
to heads or to channels of a feed-forward network by rows, those that bring them together again by
columns, and everything else is kept whole on every rank. An engine says how many ways each kind is
cut (`Shards`), and a sizer how many bytes a tensor of the resulting shape takes.

Source of the rules: model classes and parallel linear layers of vLLM 0.32.0
(`vllm/model_executor`), checked against real classes in tests/reality.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from planner.errors import EngineError
from planner.model.architecture import Architecture, Grouped, Layer, Mixer
from planner.model.network import block_parts, frame_parts
from planner.model.part import Part, Shape
from planner.model.recurrent import Mamba2
from planner.units import padded

Cut = Literal["rows", "columns", "kv heads", "projected state", "whole"]
"""How a tensor is divided; `kv heads` are rows of whole KV heads, copied where there are fewer
heads than ranks."""

Sizer = Callable[[Part, int | None], int]
"""Bytes of all copies of a tensor of a layer (None: of the frame) in the format it is kept in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """How many ways one stage's weights of each kind are cut."""

    attention: int = 1
    dense: int = 1
    shared_experts: int = 1
    expert_ranks: int = 1
    """Ranks that routed experts are dealt out to, whole."""
    expert_width: int = 1
    """Ranks that the width of each expert is cut over."""
    vocabulary: int = 1
    redundant_experts: int = 0
    """Copies of experts kept beside the originals, all ranks together."""
    vocabulary_multiple: int = 64
    """The vocabulary is padded to a multiple of this."""
    expert_width_multiple: int = 1
    """Each rank's width of an expert is padded to a multiple of this (MXFP4 kernels)."""
    expert_hidden_multiple: int = 1
    """And the hidden state that experts see, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """A class of ranks that hold the same: those of a stage, or those with one more expert."""

    stage: int
    """Pipeline stage, from 0."""
    layers: tuple[int, ...]
    """Indices of its layers."""
    first: bool
    last: bool
    experts: int
    """Routed experts held in each layer that has any."""
    ranks: int
    """Ranks of this class."""


def split_evenly(layers: int, stages: int) -> tuple[int, ...]:
    """Layers of each stage: what is left over goes to the stages before the last, backwards.

    Source: run of vLLM 0.32.0 (`get_pp_indices`): 61 over 4 is 15, 15, 16, 15.
    """
    each, left = divmod(layers, stages)
    counts = [each] * stages
    for stage in range(left):
        counts[(stages - 2 - stage) % stages] += 1
    return tuple(counts)


def checked_partition(partition: tuple[int, ...], layers: int, stages: int) -> tuple[int, ...]:
    """`partition`, which puts `layers` layers on `stages` stages.

    Raises:
        EngineError: it does not.
    """
    if len(partition) != stages or sum(partition) != layers or min(partition) < 0:
        raise EngineError(
            f"partition {','.join(map(str, partition))} does not put {layers} layers on "
            f"{stages} stages",
            hint=f"give {stages} numbers that sum to {layers}",
        )
    return partition


def ranks_of(
    architecture: Architecture, shards: Shards, ranks_per_stage: int, partition: tuple[int, ...]
) -> tuple[Rank, ...]:
    """Every class of ranks of a layout with `partition` layers on its stages."""
    experts = max((_experts(layer) for layer in architecture.layers), default=0)
    each, left = divmod(experts + shards.redundant_experts, shards.expert_ranks)
    found, start = [], 0
    for stage, count in enumerate(partition):
        rank = Rank(
            stage=stage,
            layers=tuple(range(start, start + count)),
            first=stage == 0,
            last=stage == len(partition) - 1,
            experts=each,
            ranks=ranks_per_stage,
        )
        start += count
        more = ranks_per_stage * left // shards.expert_ranks
        if more:
            found.append(replace(rank, experts=each + 1, ranks=more))
        found.append(replace(rank, ranks=ranks_per_stage - more))
    return tuple(found)


def rank_frame(architecture: Architecture, shards: Shards, rank: Rank) -> tuple[Part, ...]:
    """The rank's parts of what is around the blocks.

    Embedding on the first stage, last norm and output on the last; a tied output is the embedding
    again.
    """
    found = []
    for part in frame_parts(architecture):
        cut = _vocabulary_shard(part, shards)
        if part.component == "embedding":
            if rank.first:
                found.append(cut)
            elif rank.last and architecture.tied:
                found.append(replace(cut, component="output"))
        elif rank.last:
            found.append(cut)
    return tuple(found)


def mtp_weights(architecture: Architecture, shards: Shards, rank: Rank, size: Sizer) -> int:
    """Bytes of the MTP blocks on a rank of the last stage, which drafts with them."""
    return sum(
        size(part, architecture.depth + number)
        for number, layer in enumerate(architecture.mtp_blocks)
        for part in layer_shards(architecture, layer, shards, rank.experts)
    )


@functools.lru_cache(maxsize=4096)
def layer_shards(
    architecture: Architecture, layer: Layer, shards: Shards, experts: int
) -> tuple[Part, ...]:
    """The rank's parts of one block, with `experts` of its routed experts."""
    return tuple(_shard(part, layer, shards, experts) for part in block_parts(architecture, layer))


def cut_of(role: str, *, mamba2: bool = False) -> Cut:
    """How a tensor of this role is divided."""
    name = role.removesuffix(".bias")
    if name in _WHOLE or "indexer." in name or "compressor." in name:
        return "whole"
    last = name.rpartition(".")[2]
    if last in _COLUMNS:
        return "whole" if role.endswith(".bias") else "columns"
    if mamba2 and last in ("in_proj", "conv1d"):
        return "projected state"
    if name in ("self_attn.k_proj", "self_attn.v_proj"):
        return "kv heads"
    return "rows" if last in _ROWS or name in _ROWS_BY_MODULE else "whole"


_WHOLE = frozenset({"mlp.gate"})
_COLUMNS = frozenset({"o_proj", "out_proj", "down_proj", "x_proj", "o_b_proj"})
_ROWS = frozenset(
    {
        *("q_proj", "q_b_proj", "kv_b_proj", "qkv_proj", "g_proj", "g_b_proj", "f_b_proj"),
        *("b_proj", "o_a_proj", "gate_proj", "up_proj", "sinks"),
        *("in_proj", "in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b", "dt_proj"),
        *("conv1d", "q_conv1d", "k_conv1d", "v_conv1d", "A_log", "dt_bias", "D", "output_gate"),
    }
)
"""Last words of roles whose outputs belong to heads or channels of a feed-forward network."""
_ROWS_BY_MODULE = frozenset({"mamba.norm"})
"""Norms over channels that are cut."""


def _experts(layer: Layer) -> int:
    network = layer.network
    return network.experts if network is not None and network.kind == "moe" else 0


def _shard(part: Part, layer: Layer, shards: Shards, experts: int) -> Part:
    """The part of one rank. Parts of MTP blocks are told by their roles alone."""
    if part.role.startswith("mtp."):
        return _vocabulary_shard(part, shards)
    if part.role.startswith("mlp.experts."):
        return _expert_shard(part, shards, experts)
    ways = _ways(part.role, shards)
    cut = cut_of(part.role, mamba2=isinstance(layer.mixer, Mamba2))
    return replace(part, shape=_shape(part.shape, cut, ways, layer.mixer))


def _ways(role: str, shards: Shards) -> int:
    if role.startswith("mlp.shared_experts."):
        return shards.shared_experts
    return shards.dense if role.startswith("mlp.") else shards.attention


def _shape(shape: Shape, cut: Cut, ways: int, mixer: Mixer | None) -> Shape:
    """Outputs first; a cut never leaves less than one."""
    match cut:
        case "whole":
            return shape
        case "columns":
            return (shape[0], -(-shape[1] // ways))
        case "kv heads" if isinstance(mixer, Grouped):
            heads = max(1, mixer.kv_heads // ways)
            return (shape[0] // mixer.kv_heads * heads, *shape[1:])
        case "projected state" if isinstance(mixer, Mamba2):
            return (_projected_rows(shape[0], mixer, ways), *shape[1:])
        case _:
            return (-(-shape[0] // ways), *shape[1:])


def _projected_rows(rows: int, mixer: Mamba2, ways: int) -> int:
    """Rows of a matrix that holds groups among heads: too few groups are repeated per rank."""
    groups = mixer.groups if mixer.groups % ways == 0 else ways
    repeated = rows + 2 * (groups - mixer.groups) * mixer.state
    return repeated // ways


def _expert_shard(part: Part, shards: Shards, experts: int) -> Part:
    """All experts the rank holds; width and hidden state padded as its kernels want them."""
    down = "down_proj" in part.role
    sides = (expert_hidden, expert_width) if down else (expert_width, expert_hidden)
    shape = tuple(side(size, shards) for side, size in zip(sides, part.shape, strict=False))
    return replace(part, shape=shape, copies=experts)


def expert_width(width: int, shards: Shards) -> int:
    """What a rank holds of an expert's width, padded."""
    return padded(-(-width // shards.expert_width), shards.expert_width_multiple)


def expert_hidden(hidden: int, shards: Shards) -> int:
    """The hidden state that experts see, padded."""
    return padded(hidden, shards.expert_hidden_multiple)


def _vocabulary_shard(part: Part, shards: Shards) -> Part:
    """Embeddings and output projections: rows padded, then cut; what else there is stays whole."""
    name = part.role.removesuffix(".bias").rpartition(".")[2]
    if name not in ("embed_tokens", "lm_head", "head"):
        return part
    rows = padded(part.shape[0], shards.vocabulary_multiple)
    return replace(part, shape=(-(-rows // shards.vocabulary), *part.shape[1:]))
