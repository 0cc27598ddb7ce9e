"""What both grid engines refuse: heads, widths and stages that do not divide. Engines layer.

A rule is data: what it is called, the version and file it was read from, the versions it holds
for, and a check that gives one sentence for every reason. vLLM and SGLang cut networks alike, so
most checks are here; each engine's `rules` module lists those it has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.engines.grid import Grid, Options, Place
from planner.engines.releases import release
from planner.engines.sharding import Shards
from planner.model.architecture import (
    Architecture,
    Compressed,
    Dense,
    Grouped,
    Latent,
    Mixer,
    MixtureOfExperts,
)
from planner.model.recurrent import (
    GatedDelta,
    GatedRecurrence,
    KimiDelta,
    Lightning,
    Mamba,
    Mamba2,
    ShortConvolution,
)
from planner.quantization.scheme import Scheme

if TYPE_CHECKING:
    from planner.engines.capabilities import Engine


UNCUT = Shards()


@dataclass(frozen=True, slots=True)
class Case:
    """One layout that is asked about."""

    engine: Engine
    architecture: Architecture
    scheme: Scheme
    grid: Grid
    options: Options
    place: Place
    shards: Shards = UNCUT
    """How many ways the engine cuts each kind of weights."""


Check = Callable[[Case], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing an engine refuses."""

    name: str
    source: str
    """Version and file it was read from."""
    check: Check
    since: str = "0"
    """First version it holds for, as far as known."""
    until: str = ""
    """First version it holds for no more; empty is none."""

    def holds(self, version: tuple[int, ...]) -> bool:
        """Whether it holds for a version."""
        last = release(self.until) if self.until else None
        return release(self.since) <= version and (last is None or version < last)


def refused(rules: Sequence[Rule], case: Case) -> tuple[str, ...]:
    """Every reason that rules of the case's version give, each once.

    Raises:
        EngineError: the version is none.
    """
    version = release(case.options.version)
    held = (rule for rule in rules if rule.holds(version))
    return tuple(dict.fromkeys(reason for rule in held for reason in rule.check(case)))


def degrees(case: Case) -> Iterator[str]:
    """Every degree is at least 1, and there are no fewer experts than none."""
    grid = case.grid
    named = (
        ("tensor parallelism", grid.tensor_parallel),
        ("pipeline parallelism", grid.pipeline_parallel),
        ("data parallelism", grid.data_parallel),
        ("expert parallelism", grid.expert_parallel),
        ("decode context parallelism", grid.decode_context_parallel),
    )
    for name, value in named:
        if value < 1:
            yield f"{name} must be at least 1, not {value}"
    if grid.redundant_experts < 0:
        yield f"redundant experts must not be fewer than 0, not {grid.redundant_experts}"


def decoder(case: Case) -> Iterator[str]:
    """Only models that write text are planned."""
    if not case.architecture.decodes:
        yield "the model writes no text: encoders and embedding models keep no KV cache"


def stages(case: Case) -> Iterator[str]:
    """No more stages than layers, and a partition of all layers that leaves no stage empty."""
    grid, depth = case.grid, case.architecture.depth
    count, partition = grid.pipeline_parallel, grid.partition
    if count > depth:
        yield f"{count} pipeline stages are more than the model's {depth} layers"
    if not partition:
        return
    if len(partition) != count:
        yield f"the partition names {len(partition)} stages, not {count}"
    if sum(partition) != depth:
        yield f"the partition's layers are {sum(partition)} in all, not {depth}"
    if min(partition) < 1:
        yield f"the partition puts {min(partition)} layers on a stage: each needs at least 1"


def heads(case: Case) -> Iterator[str]:
    """Whole heads on every rank; fewer KV heads than ranks are copied if that comes out even."""
    ways = case.shards.attention
    for mixer in mixers(case.architecture):
        for count, name in _heads(mixer):
            if count % ways:
                yield f"{count} {name} do not divide by {_ranks(ways, 'tensor-parallel')}"
        if isinstance(mixer, Grouped):
            yield from _kv_heads(mixer.kv_heads, ways)
        if isinstance(mixer, Mamba2) and mixer.groups % ways and mixer.groups != 1:
            yield (
                f"{mixer.groups} groups of state-space heads do not divide by "
                f"{_ranks(ways, 'tensor-parallel')}"
            )


@functools.lru_cache(maxsize=64)
def mixers(architecture: Architecture) -> tuple[Mixer, ...]:
    """Every kind of mixer of the layers proper, those beside others too."""
    layers = architecture.layers[: architecture.depth]
    both = (each for layer in layers for each in (layer.mixer, layer.beside))
    return tuple(dict.fromkeys(each for each in both if each is not None))


def _heads(mixer: Mixer) -> tuple[tuple[int, str], ...]:
    """Numbers that ranks divide among themselves."""
    match mixer:
        case Grouped() | Latent():
            return ((mixer.heads, "heads"),)
        case Compressed():
            return ((mixer.heads, "heads"), (mixer.output_groups, "groups of the output"))
        case GatedDelta():
            return (
                (mixer.key_heads, "key heads of linear attention"),
                (mixer.value_heads, "value heads of linear attention"),
            )
        case KimiDelta() | Lightning():
            return ((mixer.heads, "heads of linear attention"),)
        case Mamba2():
            return ((mixer.heads, "state-space heads"),)
        case Mamba():
            return ((mixer.inner, "channels of the state space"),)
        case ShortConvolution():
            return ((mixer.channels, "channels of the convolution"),)
        case GatedRecurrence():
            return ((mixer.heads, "heads of the recurrence"),)


def _kv_heads(count: int, ways: int) -> Iterator[str]:
    if ways > count and ways % count:
        yield f"{_ranks(ways, 'tensor-parallel')} are no multiple of {count} KV heads"
    if ways <= count and count % ways:
        yield f"{count} KV heads do not divide by {_ranks(ways, 'tensor-parallel')}"


def widths(case: Case) -> Iterator[str]:
    """Feed-forward networks divide evenly among the ranks that share them."""
    shards = case.shards
    for network in networks(case.architecture):
        parts: tuple[tuple[int, int, str], ...]
        match network:
            case Dense():
                parts = ((network.intermediate, shards.dense, "a dense network"),)
            case MixtureOfExperts():
                parts = (
                    (network.intermediate, shards.expert_width, "an expert"),
                    (network.shared_intermediate, shards.shared_experts, "shared experts"),
                    (network.dense_intermediate, shards.dense, "the dense network beside experts"),
                )
        for width, ways, name in parts:
            if width % ways:
                yield f"{name} of width {width} does not divide by {_ranks(ways, '')}"


@functools.lru_cache(maxsize=64)
def networks(architecture: Architecture) -> tuple[Dense | MixtureOfExperts, ...]:
    """Every kind of feed-forward network of the layers proper."""
    layers = architecture.layers[: architecture.depth]
    return tuple(dict.fromkeys(x.network for x in layers if x.network is not None))


def experts_of(architecture: Architecture) -> int:
    """Routed experts of a layer; 0 is none."""
    found = (x.experts for x in networks(architecture) if isinstance(x, MixtureOfExperts))
    return max(found, default=0)


def window(case: Case) -> Iterator[str]:
    """Requests are of a token at least, and no longer than the model was made for."""
    context, most = case.options.context, case.architecture.context_length
    if context < 1:
        yield f"the context must be at least 1 token, not {context}"
    if context > most:
        yield (
            f"a context of {context} tokens is longer than the model's window of {most}, which "
            f"{case.engine.name} refuses by default"
        )


def batches(case: Case) -> Iterator[str]:
    """Limits of a step are positive."""
    options = case.options
    for name, value in (
        ("requests in one step", options.max_num_seqs),
        ("tokens in one step", options.max_num_batched_tokens),
    ):
        if value is not None and value < 1:
            yield f"{name} must be at least 1, not {value}"


def devices(case: Case, need: int) -> Iterator[str]:
    """No more devices than there are."""
    have = case.place.gpus
    if need > have:
        yield f"the layout takes {need} devices, more than the {have} there are"


def _ranks(count: int, kind: str) -> str:
    return f"{count} {kind} ranks".replace("  ", " ")
