"""What SGLang refuses, in sentences for people, and the layouts worth a look. Engines layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from planner.engines import quantized_shards as cut
from planner.engines import rules_shared as shared
from planner.engines.cache_rules import cache_refusals
from planner.engines.candidates import divisors, tensor_and_pipeline
from planner.engines.capabilities import (
    SGLANG,
    capability,
    device_notes,
    device_refusals,
    format_refusals,
    unloadable,
)
from planner.engines.grid import Grid, Options, Place
from planner.engines.rules_shared import Case, Rule, refused
from planner.engines.sglang.layout import shards_of
from planner.engines.sglang.serving import gpus, parallel
from planner.model.architecture import Architecture, Grouped, Latent
from planner.quantization.scheme import Scheme

BLACKWELL = (10, 0)


def illegal(
    architecture: Architecture, scheme: Scheme, grid: Grid, options: Options, place: Place
) -> tuple[str, ...]:
    """Why SGLang refuses a layout, one sentence each; empty if it takes it.

    Raises:
        EngineError: the version is none.
    """
    case = Case(SGLANG, architecture, scheme, grid, options, place)
    wrong = refused(DEGREES, case)
    return wrong or refused(RULES, replace(case, shards=shards_of(parallel(grid, place))))


def notes(
    architecture: Architecture, scheme: Scheme, grid: Grid, options: Options, place: Place
) -> tuple[str, ...]:
    """What is worth knowing of a legal layout, one sentence each."""
    return tuple(device_notes(Case(SGLANG, architecture, scheme, grid, options, place)))


def cannot_load(scheme: Scheme, version: str | None = None) -> str | None:
    """Why a version, or the default one, loads no checkpoint of a scheme; None where it does."""
    return unloadable(SGLANG, scheme, version)


def grids(architecture: Architecture, place: Place) -> tuple[Grid, ...]:
    """Layouts of exactly the devices of a place worth a look, legal or not.

    Replicas of attention are for caches that ranks would keep copies of.
    """
    return tuple(
        Grid(
            tensor_parallel=group,
            pipeline_parallel=stages,
            data_parallel=replicas,
            expert_parallel=experts,
        )
        for group, stages in tensor_and_pipeline(place.gpus, place, architecture.depth)
        for replicas in _replicas(architecture, group)
        for experts in (divisors(group) if architecture.has_experts else (1,))
    )


def _replicas(architecture: Architecture, group: int) -> tuple[int, ...]:
    """1, and numbers up to one without copies in any layer."""
    most = 1
    for mixer in shared.mixers(architecture):
        if isinstance(mixer, Latent):
            most = group
        elif isinstance(mixer, Grouped):
            most = max(most, group // mixer.kv_heads)
    return tuple(each for each in divisors(group) if each <= most)


def _replicas_degree(case: Case) -> Iterator[str]:
    ranks, replicas = case.grid.tensor_parallel, case.grid.data_parallel
    if replicas >= 1 and ranks % replicas:
        yield f"{replicas} replicas of attention do not divide {ranks} tensor-parallel ranks"


def _experts_degree(case: Case) -> Iterator[str]:
    ranks, experts = case.grid.tensor_parallel, case.grid.expert_parallel
    if experts >= 1 and ranks % experts:
        yield f"expert parallelism of {experts} does not divide {ranks} tensor-parallel ranks"


def _devices(case: Case) -> Iterator[str]:
    return shared.devices(case, gpus(case.grid))


def _contexts(case: Case) -> Iterator[str]:
    if case.grid.decode_context_parallel > 1:
        yield "decode context parallelism in SGLang is not planned: use replicas of attention"


def _experts(case: Case) -> Iterator[str]:
    """Expert parallelism needs experts, as many on every rank; copies need it."""
    grid, count = case.grid, shared.experts_of(case.architecture)
    if grid.redundant_experts and grid.expert_parallel == 1:
        yield "redundant experts need expert parallelism"
    if grid.expert_parallel == 1:
        return
    if not count:
        yield "expert parallelism needs routed experts, which the model does not have"
        return
    total = count + grid.redundant_experts
    if total % grid.expert_parallel:
        yield f"{total} experts do not divide by {grid.expert_parallel} ranks"


def _unpacked_experts(case: Case) -> Iterator[str]:
    """Dealt out, gpt-oss's experts have 4-bit kernels on Blackwell alone; others unpack them."""
    dealt = case.grid.expert_parallel > 1 and cut.deals_out(case.architecture, case.scheme)
    have = case.place.capability
    if dealt and (have is None or have < BLACKWELL):
        yield (
            f"experts in MXFP4 dealt out over ranks would be unpacked to 16 bits below "
            f"{capability(BLACKWELL)}, which is not planned"
        )


def _static_fraction(case: Case) -> Iterator[str]:
    share = case.options.utilization
    if share is not None and not 0 < share < 1:
        yield f"the static fraction of memory must be between 0 and 1, not {share:g}"


def _linears(case: Case) -> Iterator[str]:
    yield from cut.misaligned_linears(case, merged=True)


_READ = "0.5.23, sglang/srt/"

DEGREES = (
    Rule(name="degrees", source=_READ + "server_args.py", check=shared.degrees),
    Rule(
        name="replicas of attention divide tensor parallelism",
        source=_READ + "arg_groups/parallel_hook.py",
        check=_replicas_degree,
    ),
    Rule(
        name="expert parallelism divides tensor parallelism",
        source=_READ + "distributed/parallel_state.py",
        check=_experts_degree,
    ),
)
"""What must hold before anything is cut."""

RULES = (
    Rule(name="devices", source=_READ + "distributed/parallel_state.py", check=_devices),
    Rule(name="decoder", source="the planner", check=shared.decoder),
    Rule(name="stages", source=_READ + "distributed/utils.py", check=shared.stages),
    Rule(name="heads", source=_READ + "layers/linear.py", check=shared.heads),
    Rule(
        name="widths",
        source=_READ + "layers/linear.py and layers/moe/fused_moe_triton/layer.py",
        check=shared.widths,
    ),
    Rule(name="decode context parallelism", source="the planner", check=_contexts),
    Rule(
        name="expert parallelism",
        source=_READ + "layers/moe/fused_moe_triton/layer.py",
        check=_experts,
    ),
    Rule(
        name="experts unpacked",
        source=_READ + "arg_groups/model_overrides/gpt_oss.py and layers/quantization/mxfp4.py",
        check=_unpacked_experts,
    ),
    Rule(
        name="FP8 blocks of linear layers",
        source=_READ + "layers/quantization/fp8.py",
        check=_linears,
    ),
    Rule(
        name="FP8 blocks of experts",
        source=_READ + "layers/quantization/fp8.py",
        check=cut.misaligned_experts,
    ),
    Rule(
        name="groups across ranks",
        source=_READ + "layers/quantization/marlin_utils.py",
        check=cut.straddled_groups,
    ),
    Rule(
        name="words across ranks",
        source=_READ + "layers/parameter.py",
        check=cut.cut_words,
    ),
    Rule(
        name="group sizes",
        source=_READ + "layers/quantization/marlin_utils.py",
        check=cut.unknown_groups,
    ),
    Rule(
        name="tiles",
        source=_READ + "layers/quantization/marlin_utils.py",
        check=cut.unpadded_tiles,
    ),
    Rule(name="formats", source=SGLANG.version + ", `capabilities`", check=format_refusals),
    Rule(name="capability", source=SGLANG.version + ", `capabilities`", check=device_refusals),
    Rule(name="cache type", source=_READ + "arg_groups/attention_hook.py", check=cache_refusals),
    Rule(name="window", source=_READ + "configs/model_config.py", check=shared.window),
    Rule(name="batches", source=_READ + "server_args.py", check=shared.batches),
    Rule(name="static fraction", source=_READ + "server_args.py", check=_static_fraction),
)
