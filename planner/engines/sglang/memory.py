"""Memory of every rank of an SGLang layout, and what its KV cache then holds. Engines layer.

Pool = (device - outside the allocator) * static fraction - weights. Activations and CUDA graphs
come out of the rest, which the fraction is chosen for.

Source: `_profile_available_bytes` of sglang 0.5.23 (srt/mem_cache/kv_cache_configurator.py).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from fractions import Fraction

from planner.engines.beside import TEXT_ONLY, Beside
from planner.engines.fit import Fit, Room, judged
from planner.engines.forward import expert_bytes, gathered_bytes
from planner.engines.graphs import GRAPHS_PER_LAYER
from planner.engines.held import RankHeld
from planner.engines.pages import LayerPage, layer_page
from planner.engines.ranges import Range, exactly, least
from planner.engines.rank_sizes import rank_sizes
from planner.engines.sglang.layout import Parallel, stages, weight_shards
from planner.engines.sglang.settings import Settings, rules_of, static_fraction, step_sizes
from planner.engines.sharding import Rank, Shards, ranks_of
from planner.model.architecture import Architecture
from planner.quantization.scheme import Scheme
from planner.units import MIB

LOGIT_BYTES = 6
"""In 16 and in 32 bits."""
WEIGHT_DOUBT = 64 * MIB
"""Rotary tables and what kernels keep beside the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankMemory(RankHeld):
    """What it holds, and its share of the static fraction. All in bytes."""

    budget: Range
    """(device - outside) * static fraction"""
    working: Range
    """Prefill step, logits of a batch and CUDA graphs, which come out of the rest."""
    token_bytes: Fraction
    """Of one token in all layers of the rank, windows at their share of tokens."""
    state_bytes: int
    """Recurrent states of one sequence."""

    @property
    def headroom(self) -> Range:
        """Bytes left for the KV cache; negative is a start that fails."""
        return self.budget - self.loaded

    @property
    def spare(self) -> Range:
        """Bytes of the rest that stay free; negative dies at the first long prompt."""
        return Range(
            self.device - self.outside.high - self.budget.low - self.working.high,
            self.device - self.outside.best - self.budget.best - self.working.best,
            self.device - self.outside.low - self.budget.high - self.working.low,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutMemory:
    """All classes of ranks, and the KV cache they share."""

    ranks: tuple[RankMemory, ...]
    static_fraction: float
    context_length: int
    replicas: int
    """Replicas of attention, each with tokens of its own."""
    state_share: Fraction

    @property
    def tokens(self) -> Range:
        """Tokens of one replica's pool: what the engine prints as `max_total_num_tokens`."""
        return least(self._tokens_of(rank) for rank in self.ranks if rank.token_bytes)

    def sequences(self) -> tuple[float, float, float]:
        """Sequences of the full context on all replicas: low, best, high."""
        tokens, context = self.tokens, self.context_length
        low, best, high = (
            self.replicas * x / context for x in (tokens.low, tokens.best, tokens.high)
        )
        return low, best, high

    def fits(self, context: int, concurrency: int = 1) -> Fit:
        """Whether `concurrency` sequences of `context` tokens fit, and by how much.

        The pool needs room for them, and the rest for a step.
        """
        each = -(-concurrency // self.replicas)
        rooms = []
        for rank in self.ranks:
            need = int(rank.token_bytes * context * each) + rank.state_bytes * each
            left, spare = rank.headroom, rank.spare
            room = Range(
                min(left.low - need, spare.low),
                left.best - need if spare.best >= 0 else spare.best,
                min(left.high - need, spare.high),
            )
            rooms.append(Room(rank.rank, room, rank.device))
        longest = self.tokens.each(lambda tokens: min(tokens, self.context_length))
        return judged(rooms, longest)

    def _tokens_of(self, rank: RankMemory) -> Range:
        """Tokens that a rank has room for beside its states."""
        each = rank.token_bytes * (1 + self.state_share * bool(rank.state_bytes))
        return rank.headroom.each(lambda room: max(0, int(room / each)))


def layout_memory(
    architecture: Architecture,
    scheme: Scheme,
    parallel: Parallel,
    settings: Settings,
    memory: int,
    beside: Beside = TEXT_ONLY,
    only: Container[int] | None = None,
) -> LayoutMemory:
    """Memory of every class of ranks, or of the stages in `only`, on devices of `memory` bytes.

    Raises:
        EngineError: an impossible partition, or a version without rules.
        FactsError: a format that cannot store a rank's part of a matrix.
        UnsupportedArchitecture: compressed attention.
    """
    fraction = static_fraction(architecture, parallel, settings, memory)
    shards = weight_shards(scheme, parallel)
    partition = stages(architecture, parallel)
    asked = _Asked(architecture, scheme, parallel, settings, memory, beside, fraction, shards)
    ranks = ranks_of(architecture, shards, parallel.tensor_parallel, partition)
    return LayoutMemory(
        ranks=tuple(
            _rank_memory(asked, rank) for rank in ranks if only is None or rank.stage in only
        ),
        static_fraction=fraction,
        context_length=settings.context_length,
        replicas=parallel.attention_data_parallel,
        state_share=rules_of(settings.version).state_share,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """Everything that is the same for all ranks."""

    architecture: Architecture
    scheme: Scheme
    parallel: Parallel
    settings: Settings
    memory: int
    beside: Beside
    fraction: float
    shards: Shards


def _rank_memory(asked: _Asked, rank: Rank) -> RankMemory:
    architecture, shards, settings = asked.architecture, asked.shards, asked.settings
    weights, rests = rank_sizes(
        architecture, asked.scheme, shards, rank, speculative=settings.speculative
    )
    tower = -(-asked.beside.tower // asked.parallel.tensor_parallel) if rank.first else 0
    held = sum(weights.values()) + rests + tower
    token, state = _cache(asked, rank)
    outside = rules_of(settings.version).outside
    return RankMemory(
        rank=rank,
        weights=tuple(sorted(weights.items())),
        tower=tower,
        loaded=Range(held, held, held + WEIGHT_DOUBT),
        outside=outside,
        budget=(exactly(asked.memory) - outside).each(lambda x: int(x * asked.fraction)),
        working=_working(asked, rank),
        device=asked.memory,
        token_bytes=token,
        state_bytes=state,
    )


def _working(asked: _Asked, rank: Rank) -> Range:
    """The formulas of a forward pass; graphs by layer as vLLM's. No log says how close it is.

    A chunk, shared out over replicas of attention, through the widest block, and
    batch * vocabulary * 6 B of logits.
    """
    architecture, shards = asked.architecture, asked.shards
    chunk, batch = step_sizes(asked.parallel, asked.settings, asked.memory)
    replicas = asked.parallel.attention_data_parallel
    own = max(1, chunk // replicas)
    layers = [architecture.layers[index] for index in rank.layers]
    forward = max(
        (
            gathered_bytes(architecture, layer, shards, own, replicas)
            + expert_bytes(architecture, layer, shards, own * replicas)
            for layer in layers
        ),
        default=0,
    )
    logits = batch * architecture.vocabulary * LOGIT_BYTES if rank.last else 0
    step = max(forward, logits)
    return Range(step // 2, step, 3 * step // 2) + GRAPHS_PER_LAYER.scaled(len(layers))


def _cache(asked: _Asked, rank: Rank) -> tuple[Fraction, int]:
    """Bytes per token and bytes of states per sequence in the rank's layers."""
    architecture, settings = asked.architecture, asked.settings
    layers = [architecture.layers[index] for index in rank.layers]
    if settings.speculative and rank.last:
        layers += architecture.mtp_blocks
    pages: list[LayerPage] = []
    for layer in layers if architecture.decodes else ():
        page = layer_page(layer.mixer, asked.parallel.attention_ways, settings.kv_type)
        if page is not None:
            pages.append(page)
    mixed = len({page.keeps for page in pages if page.token_bytes}) > 1
    share = rules_of(settings.version).window_share if mixed else Fraction(1)
    sizes = (
        page.token_bytes * (share if page.keeps == "window" else Fraction(1)) for page in pages
    )
    return sum(sizes, Fraction(0)), sum(page.state_bytes for page in pages)
