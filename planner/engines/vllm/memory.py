"""Memory of every rank of a vLLM layout, and what its KV cache then holds. Engines layer.

Pool = ceil(device * utilization) - weights - outside the allocator - activation peak, and from
0.21 on - CUDA graphs. Weights are exact; the rest is known between bounds (`versions`).

Source: `determine_available_memory` of vllm/v1/worker/gpu_worker.py.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, replace

from planner.engines.beside import TEXT_ONLY, Beside
from planner.engines.fit import Fit, Room, judged
from planner.engines.forward import HALF
from planner.engines.graphs import GRAPHS_PER_LAYER
from planner.engines.held import RankHeld
from planner.engines.padded_experts import has_mxfp4_experts, padded_experts
from planner.engines.ranges import NOTHING, Range, exactly, least
from planner.engines.rank_sizes import first_alike, rank_sizes
from planner.engines.sharding import Rank, Shards, ranks_of
from planner.engines.vllm.activation import ExpertKernels, Step, activation_peak
from planner.engines.vllm.kv import CachePlan, cache_plan
from planner.engines.vllm.layout import Parallel, shards_of, stages
from planner.engines.vllm.settings import Device, Limits, Settings, limits
from planner.engines.vllm.versions import VersionRules, outside_allocator, rules_of
from planner.engines.weight_sizes import is_quantized
from planner.model.architecture import Architecture, Grouped, Latent
from planner.quantization.scheme import Scheme
from planner.units import MIB

KERNEL_SCRATCH = 64 * MIB
TEXT_DOUBT = 32 * MIB
"""How far logged weights are from computed ones, without a vision tower (h1 to h37)."""
TOWER_DOUBT = 192 * MIB
"""And with one: tables of places in images (h12, h13, h33)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankMemory(RankHeld):
    """What it holds, and what it takes to run. All in bytes."""

    tables: int
    """Rotary tables, and projections of latents kept a second time unpacked."""
    rests: int
    """What the allocator counts beyond the tensors."""
    activation: Range
    graphs: Range
    """CUDA graphs, also where the version does not take them off the pool."""
    budget: int
    """ceil(device * utilization)"""
    counted_graphs: Range
    """`graphs` where the version takes them off the pool."""
    block_bytes: int
    """Of one block of the KV cache on this rank."""

    @property
    def taken(self) -> Range:
        """What the engine takes off its budget before the KV cache."""
        return self.loaded + self.activation + self.outside + self.counted_graphs

    @property
    def pool(self) -> Range:
        """Left for the KV cache; 0 is a start that fails."""
        return self.headroom(0).each(lambda left: max(0, left))

    @property
    def blocks(self) -> Range:
        """Blocks of the KV cache that the pool holds."""
        return self.pool.each(lambda left: left // self.block_bytes)

    @property
    def spare(self) -> Range:
        """Bytes outside the budget, less the graphs where the version does not count them.

        Negative is a start that fails when graphs are captured.
        """
        outside = exactly(self.device - self.budget)
        return outside if self.counted_graphs == self.graphs else outside - self.graphs

    def headroom(self, blocks: int) -> Range:
        """Bytes left beside `blocks` blocks of the KV cache; negative is short of."""
        return exactly(self.budget - blocks * self.block_bytes) - self.taken

    def room(self, blocks: int) -> Range:
        """The same, or what graphs are short of outside the budget: the pool has all within."""
        left, spare = self.headroom(blocks), self.spare
        return Range(
            left.low if spare.low >= 0 else min(left.low, spare.low),
            left.best if spare.best >= 0 else min(left.best, spare.best),
            left.high if spare.high >= 0 else min(left.high, spare.high),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutMemory:
    """All classes of ranks, and the KV cache that those of one data-parallel replica share.

    Tokens, sequences and what fits are of one replica; every replica has as many.
    """

    ranks: tuple[RankMemory, ...]
    cache: CachePlan
    context_length: int
    limits: Limits

    @property
    def blocks(self) -> Range:
        """Blocks of the pool: the smallest rank's."""
        return least(rank.blocks for rank in self.ranks if rank.block_bytes)

    @property
    def tokens(self) -> Range:
        """`GPU KV cache size`, tokens."""
        return self.blocks.each(lambda blocks: self.cache.tokens(blocks, self.context_length))

    def sequences(self) -> tuple[float, float, float]:
        """`Maximum concurrency` at the full context: low, best, high."""
        blocks, context = self.blocks, self.context_length
        low, best, high = (
            self.cache.sequences(x, context) for x in (blocks.low, blocks.best, blocks.high)
        )
        return low, best, high

    def fits(self, context: int, concurrency: int = 1) -> Fit:
        """Whether `concurrency` sequences of `context` tokens fit, and by how much.

        The engine keeps one block more empty.
        """
        blocks = self.cache.blocks_per_sequence(context) * concurrency + 1
        rooms = [Room(rank.rank, rank.room(blocks), rank.device) for rank in self.ranks]
        most = self.context_length
        return judged(rooms, self.blocks.each(lambda x: self.cache.longest(max(0, x - 1), most)))


def layout_memory(
    architecture: Architecture,
    scheme: Scheme,
    parallel: Parallel,
    settings: Settings,
    device: Device,
    beside: Beside = TEXT_ONLY,
    only: Container[int] | None = None,
) -> LayoutMemory:
    """Memory of every class of ranks, or of the stages in `only`.

    Raises:
        EngineError: an impossible partition, or a version without rules.
        FactsError: a format that cannot store a rank's part of a matrix.
        UnsupportedArchitecture: compressed attention.
    """
    rules, chosen = rules_of(settings.version), limits(settings, device)
    partition = stages(architecture, parallel)
    shards = weight_shards(scheme, parallel)
    plan = _plan(architecture, parallel, settings, rules, chosen)
    ranks = ranks_of(architecture, shards, parallel.ranks_per_stage, partition)
    asked = _Asked(architecture, scheme, parallel, settings, device, beside, rules, chosen, shards)
    return LayoutMemory(
        ranks=tuple(
            _rank_memory(asked, rank, plan) for rank in ranks if only is None or rank.stage in only
        ),
        cache=plan,
        context_length=settings.context_length,
        limits=chosen,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """Everything that is the same for all ranks."""

    architecture: Architecture
    scheme: Scheme
    parallel: Parallel
    settings: Settings
    device: Device
    beside: Beside
    rules: VersionRules
    limits: Limits
    shards: Shards


def _rank_memory(asked: _Asked, rank: Rank, plan: CachePlan) -> RankMemory:
    architecture, settings = asked.architecture, asked.settings
    speculative = settings.speculative_tokens > 0
    weights, rests = rank_sizes(
        architecture, asked.scheme, asked.shards, rank, speculative=speculative
    )
    tables = _tables(asked, rank)
    tower = _tower(asked, rank)
    held = sum(weights.values()) + tables + tower + rests
    loaded = Range(max(0, held - TEXT_DOUBT), held, held + (TOWER_DOUBT if tower else TEXT_DOUBT))
    activation = _activation(asked, rank)
    outside = outside_allocator(
        asked.rules, _largest_group(asked), spans_nodes=asked.parallel.spans_nodes
    )
    graphs = NOTHING if settings.eager else GRAPHS_PER_LAYER.scaled(len(rank.layers))
    budget = math.ceil(asked.device.memory * asked.limits.utilization)
    layers = [*rank.layers]
    if speculative and rank.last:
        layers += range(architecture.depth, architecture.depth + len(architecture.mtp_blocks))
    return RankMemory(
        rank=rank,
        weights=tuple(sorted(weights.items())),
        tables=tables,
        tower=tower,
        rests=rests,
        loaded=loaded,
        activation=activation,
        outside=outside,
        graphs=graphs,
        budget=budget,
        device=asked.device.memory,
        counted_graphs=graphs if asked.rules.graphs_counted else NOTHING,
        block_bytes=plan.block_bytes(layers),
    )


def _largest_group(asked: _Asked) -> int:
    """Ranks that exchange tokens: those of a stage where there are experts."""
    if asked.architecture.has_experts:
        return asked.parallel.ranks_per_stage
    return asked.parallel.tensor_parallel


def weight_shards(scheme: Scheme, parallel: Parallel) -> Shards:
    """How the layout cuts weights; experts in MXFP4 are padded to what their kernels take."""
    return padded_experts(shards_of(parallel), scheme)


def _plan(
    architecture: Architecture,
    parallel: Parallel,
    settings: Settings,
    rules: VersionRules,
    chosen: Limits,
) -> CachePlan:
    batches = rules.batches_in_flight
    if batches > 1:
        batches = max(batches, parallel.pipeline_parallel)
    return cache_plan(
        architecture,
        tensor_parallel=parallel.tensor_parallel,
        kv_type=settings.kv_type,
        in_flight=batches * chosen.batched_tokens,
        context_parallel=parallel.decode_context_parallel,
        counting=rules.token_count,
        speculative=settings.speculative_tokens > 0,
    )


def _activation(asked: _Asked, rank: Rank) -> Range:
    """The formula, a twentieth less or more and 64 MiB: kernels of some formats need scratch (h29).

    Exchanges of tokens that gather all replicas' on every rank are the default, and the best
    guess; others give a rank its own share.
    """
    parallel, first = asked.parallel, first_alike(asked.architecture)
    unlike = {first[index] for index in rank.layers}
    step = Step(
        architecture=asked.architecture,
        layers=tuple(asked.architecture.layers[index] for index in sorted(unlike)),
        shards=asked.shards,
        rules=asked.rules,
        limits=asked.limits,
        device=asked.device,
        samples=rank.last,
        kernels=_kernels(asked.scheme),
        data_parallel=parallel.data_parallel,
    )
    beside = asked.beside if rank.first else TEXT_ONLY
    peak = activation_peak(step, beside)
    least = activation_peak(replace(step, data_parallel=1), beside)
    return Range(least - least // 20, peak, peak + peak // 20 + KERNEL_SCRATCH)


def _kernels(scheme: Scheme) -> ExpertKernels:
    return "fused" if has_mxfp4_experts(scheme) else "buffers"


def _tables(asked: _Asked, rank: Rank) -> int:
    """Rotary tables, one per kind of layer, and latents' projections unpacked to 16 bits.

    max_position * factor * rotary width * 2 B; heads * (nope + value) * rank * 2 B per layer.
    """
    architecture, factor = asked.architecture, asked.beside.rope_factor
    rotary, copies = set(), 0
    unpacked = is_quantized(asked.scheme, "self_attn.kv_b_proj")
    for index in rank.layers:
        mixer = architecture.layers[index].mixer
        if isinstance(mixer, Grouped):
            rotary.add((mixer.head_dim, 1 if mixer.window else factor))
        elif isinstance(mixer, Latent):
            rotary.add((mixer.rope_dim, factor))
            if unpacked:
                heads = -(-mixer.heads // asked.shards.attention)
                copies += heads * (mixer.nope_dim + mixer.value_dim) * mixer.kv_rank * HALF
    entries = sum(width * times for width, times in rotary)
    return entries * architecture.context_length * HALF + copies


def _tower(asked: _Asked, rank: Rank) -> int:
    if not rank.first:
        return 0
    ways = 1 if asked.settings.replicated_encoder else asked.shards.dense
    return -(-asked.beside.tower // ways)
