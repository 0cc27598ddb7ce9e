"""What vLLM refuses, in sentences for people, and the layouts worth a look. Engines layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from planner.engines import quantized_shards as cut
from planner.engines import rules_shared as shared
from planner.engines.cache_rules import cache_refusals
from planner.engines.candidates import divisors, powers_of_two, tensor_and_pipeline, whole
from planner.engines.capabilities import (
    VLLM,
    device_notes,
    device_refusals,
    format_refusals,
    unloadable,
)
from planner.engines.grid import Grid, Options, Place
from planner.engines.rules_shared import Case, Rule, refused
from planner.engines.vllm.early_rules import EARLY_RULES
from planner.engines.vllm.layout import shards_of
from planner.engines.vllm.serving import gpus, parallel
from planner.model.architecture import Architecture, Compressed, Grouped, Latent
from planner.quantization.scheme import Scheme

LEAST_SPLIT_BLOCK = 32
"""Smallest block that FP8 blocks of experts are split into, since 0.29."""
EIGHT_BITS = ("fp8", "fp8_ds_mla")
"""Types of a KV cache in rows that sparse kernels can share out."""


def illegal(
    architecture: Architecture, scheme: Scheme, grid: Grid, options: Options, place: Place
) -> tuple[str, ...]:
    """Why vLLM refuses a layout, one sentence each; empty if it takes it.

    Raises:
        EngineError: the version is none.
    """
    case = Case(VLLM, architecture, scheme, grid, options, place)
    wrong = refused(DEGREES, case)
    return wrong or refused(RULES, replace(case, shards=shards_of(parallel(grid, place))))


def notes(
    architecture: Architecture, scheme: Scheme, grid: Grid, options: Options, place: Place
) -> tuple[str, ...]:
    """What is worth knowing of a legal layout, one sentence each."""
    return tuple(device_notes(Case(VLLM, architecture, scheme, grid, options, place)))


def cannot_load(scheme: Scheme, version: str | None = None) -> str | None:
    """Why a version, or the default one, loads no checkpoint of a scheme; None where it does."""
    return unloadable(VLLM, scheme, version)


def grids(architecture: Architecture, place: Place) -> tuple[Grid, ...]:
    """Layouts of exactly the devices of a place worth a look, legal or not.

    Replicas of attention are for experts that all of them share: those of a dense model would be
    whole copies. Decode context parallelism is for caches that ranks keep copies of.
    """
    found: list[Grid] = []
    for devices, stages in tensor_and_pipeline(place.gpus, place, architecture.depth):
        for group in divisors(devices):
            if not whole(group, place):
                continue
            grid = Grid(
                tensor_parallel=group,
                pipeline_parallel=stages,
                data_parallel=devices // group,
            )
            if group == devices:
                found += _with_contexts(architecture, grid)
            if architecture.has_experts and devices > 1:
                found += _with_contexts(architecture, replace(grid, expert_parallel=devices))
    return tuple(found)


def _with_contexts(architecture: Architecture, grid: Grid) -> Iterator[Grid]:
    yield grid
    for each in powers_of_two(_most_contexts(architecture, grid.tensor_parallel)):
        if grid.tensor_parallel % each == 0:
            yield replace(grid, decode_context_parallel=each)


def _most_contexts(architecture: Architecture, ranks: int) -> int:
    """Ranks that keep the same cache, in the layer that has the fewest such."""
    found = []
    for mixer in shared.mixers(architecture):
        if isinstance(mixer, Latent):
            found.append(ranks)
        elif isinstance(mixer, Grouped):
            found.append(1 if mixer.window else ranks // mixer.kv_heads)
    return min(found, default=1)


def _experts_degree(case: Case) -> Iterator[str]:
    """Experts are dealt out over all ranks of a stage or over none: there is no number to set."""
    grid = case.grid
    every = grid.tensor_parallel * grid.data_parallel
    if grid.expert_parallel not in (1, every):
        yield (
            f"vLLM deals experts out over all {every} ranks of a stage or over none, not over "
            f"{grid.expert_parallel}"
        )


def _context_degree(case: Case) -> Iterator[str]:
    ranks, contexts = case.grid.tensor_parallel, case.grid.decode_context_parallel
    if contexts >= 1 and ranks % contexts:
        yield (
            f"decode context parallelism of {contexts} does not divide {ranks} tensor-parallel "
            "ranks"
        )


def _devices(case: Case) -> Iterator[str]:
    return shared.devices(case, gpus(case.grid))


def _experts(case: Case) -> Iterator[str]:
    """Expert parallelism needs experts; copies need it, and the balancer even numbers."""
    grid, count = case.grid, shared.experts_of(case.architecture)
    if grid.redundant_experts and grid.expert_parallel == 1:
        yield "redundant experts need expert parallelism"
    if grid.expert_parallel == 1:
        return
    if not count:
        yield "expert parallelism needs routed experts, which the model does not have"
        return
    total = count + grid.redundant_experts
    if grid.expert_parallel > total:
        yield f"{total} experts are fewer than {grid.expert_parallel} ranks to deal them out to"
    elif grid.redundant_experts and total % grid.expert_parallel:
        yield (
            f"{total} experts with the redundant ones do not divide by {grid.expert_parallel} "
            "ranks, which the balancer of experts (EPLB) needs"
        )


def _contexts(case: Case) -> Iterator[str]:
    """Decode context parallelism shares out what ranks would keep copies of."""
    contexts, ranks = case.grid.decode_context_parallel, case.grid.tensor_parallel
    if contexts == 1:
        return
    for mixer in shared.mixers(case.architecture):
        if isinstance(mixer, Grouped):
            yield from _grouped_contexts(mixer, contexts, ranks)
        if isinstance(mixer, Latent) and mixer.top_k and case.options.kv_type not in EIGHT_BITS:
            yield (
                "decode context parallelism of latent attention with an indexer needs a KV cache "
                f"in FP8, not {case.options.kv_type}"
            )
        if isinstance(mixer, Compressed):
            yield "decode context parallelism is not for compressed attention"


def _recurrent_contexts(case: Case) -> Iterator[str]:
    if case.grid.decode_context_parallel > 1:
        for mixer in shared.mixers(case.architecture):
            if not isinstance(mixer, Grouped | Latent | Compressed):
                yield f"decode context parallelism is not for layers of kind '{mixer.kind}'"


def _grouped_contexts(mixer: Grouped, contexts: int, ranks: int) -> Iterator[str]:
    if mixer.window:
        yield f"decode context parallelism is not for windows, here of {mixer.window} tokens"
    if ranks <= mixer.kv_heads:
        yield (
            "decode context parallelism needs more tensor-parallel ranks than "
            f"{mixer.kv_heads} KV heads, not {ranks}"
        )
        return
    most, queries = ranks // mixer.kv_heads, mixer.heads // mixer.kv_heads
    if contexts > most:
        yield (
            f"decode context parallelism of {contexts} is more than the {most} copies of each KV "
            f"head on {ranks} ranks"
        )
    if queries % contexts:
        yield (
            f"{queries} heads per KV head do not divide by decode context parallelism of {contexts}"
        )


def _whole_expert_blocks(case: Case) -> Iterator[str]:
    yield from cut.misaligned_experts(case)


def _split_expert_blocks(case: Case) -> Iterator[str]:
    """Since 0.29 blocks are split for one slow kernel; layouts that need it are not planned.

    Accounting and speed are of whole blocks, and expert parallelism does as well without.
    """
    for shard, width, block in cut.expert_shards(case):
        least = math.gcd(block, width, case.architecture.hidden)
        start = f"{shard.side('columns', width)} are no multiple of the FP8 block of {block}"
        if least < LEAST_SPLIT_BLOCK:
            yield start
        else:
            yield (
                f"{start}; vLLM {case.options.version} would split blocks to {least} for its "
                "Triton kernel, which is not planned"
            )


def _utilization(case: Case) -> Iterator[str]:
    share = case.options.utilization
    if share is not None and not 0 < share <= 1:
        yield f"the share of memory must be above 0 and at most 1, not {share:g}"


def _batches(case: Case) -> Iterator[str]:
    yield from shared.batches(case)
    tokens, requests = case.options.max_num_batched_tokens, case.options.max_num_seqs
    if tokens is not None and requests is not None and tokens < requests:
        yield f"{tokens} tokens in one step are fewer than {requests} requests in one step"


def _linears(case: Case) -> Iterator[str]:
    yield from cut.misaligned_linears(case, merged=False)


def _tiles(case: Case) -> Iterator[str]:
    yield from cut.unpadded_tiles(case, cut.TILES[:1])


_READ = "0.32.0, vllm/"

DEGREES = (
    Rule(name="degrees", source=_READ + "config/parallel.py", check=shared.degrees),
    Rule(
        name="experts over all ranks or none",
        source=_READ + "model_executor/layers/fused_moe/config.py",
        check=_experts_degree,
    ),
    Rule(
        name="decode context parallelism divides tensor parallelism",
        source=_READ + "config/parallel.py",
        check=_context_degree,
    ),
)
"""What must hold before anything is cut."""

RULES = (
    Rule(name="devices", source=_READ + "config/parallel.py", check=_devices),
    Rule(name="decoder", source="the planner", check=shared.decoder),
    Rule(name="stages", source=_READ + "distributed/utils.py", check=shared.stages),
    Rule(
        name="heads",
        source=_READ + "config/model.py, model_executor/layers/linear.py and mamba",
        check=shared.heads,
    ),
    Rule(
        name="widths",
        source=_READ + "model_executor/layers/linear.py and fused_moe/config.py",
        check=shared.widths,
    ),
    Rule(
        name="expert parallelism",
        source=_READ + "config/model.py and model_executor/layers/fused_moe/layer.py",
        check=_experts,
    ),
    Rule(
        name="decode context parallelism",
        source=_READ + "config/model.py and v1/core/single_type_kv_cache_manager.py",
        check=_contexts,
    ),
    Rule(
        name="decode context parallelism of recurrent layers",
        source="0.24.0, vllm/v1/core/kv_cache_utils.py",
        check=_recurrent_contexts,
        until="0.26.0",
    ),
    Rule(
        name="FP8 blocks of linear layers",
        source=_READ + "model_executor/layers/quantization/utils/fp8_utils.py",
        check=_linears,
    ),
    Rule(
        name="whole FP8 blocks of experts",
        source="0.28.0, vllm/model_executor/layers/quantization/utils/fp8_utils.py",
        check=_whole_expert_blocks,
        until="0.29.0",
    ),
    Rule(
        name="split FP8 blocks of experts",
        source=_READ + "model_executor/layers/fused_moe/oracle/fp8.py",
        check=_split_expert_blocks,
        since="0.29.0",
    ),
    Rule(
        name="groups across ranks",
        source=_READ + "distributed/utils.py",
        check=cut.straddled_groups,
    ),
    Rule(
        name="words across ranks",
        source=_READ + "model_executor/parameter.py",
        check=cut.cut_words,
    ),
    Rule(
        name="group sizes",
        source=_READ + "model_executor/layers/quantization/utils/marlin_utils.py",
        check=cut.unknown_groups,
    ),
    Rule(
        name="tiles",
        source="0.21.0, vllm/model_executor/layers/quantization/utils/marlin_utils.py",
        check=_tiles,
        until="0.24.0",
    ),
    Rule(name="formats", source=VLLM.version + ", `capabilities`", check=format_refusals),
    Rule(name="capability", source=VLLM.version + ", `capabilities`", check=device_refusals),
    Rule(name="cache type", source=_READ + "v1/attention/backends", check=cache_refusals),
    Rule(name="window", source=_READ + "config/model.py", check=shared.window),
    Rule(name="batches", source=_READ + "config/scheduler.py", check=_batches),
    Rule(name="utilization", source=_READ + "config/cache.py", check=_utilization),
    *EARLY_RULES,
)
