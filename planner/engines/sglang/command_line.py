"""Command line of `sglang serve`: from settings and a layout to arguments. Engines layer.

Every machine gets a run of ranks of the same length; ranks are counted stage by stage.

Source: sglang 0.5.23, `_calculate_rank_ranges` of srt/entrypoints/engine.py, `check_server_args` of
srt/arg_groups/validation_hook.py; names and types of its parser. `--attn-dp-size N` is the name of
what was `--dp-size N --enable-dp-attention` before.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.engines.releases import release
from planner.engines.sglang.layout import split_late
from planner.errors import EngineError
from planner.plan import Layout, Serving

PARTITION_VARIABLE = "SGLANG_PP_LAYER_PARTITION"
ATTENTION_REPLICAS_SINCE = (0, 5, 22)
"""First version with `--attn-dp-size` (srt/server_args.py of 0.5.21 has none)."""
KV_TYPES = {"auto": "auto", "bfloat16": "bf16", "fp8": "fp8_e4m3"}
"""KV cache types of a plan, and what SGLang calls them: its backend for latents on Blackwell takes
`bf16`, but not `bfloat16` (`_mla_kv_cache_dtype_checks` of srt/arg_groups/overrides.py)."""


def server_arguments(engine: Serving, layout: Layout) -> tuple[str, ...]:
    """What is the same on all machines, without model and addresses.

    Args:
        engine: the settings, each of which becomes a flag.
        layout: the degrees of parallelism; a degree of 1 is left out, except tensor parallelism.

    Raises:
        EngineError: a cache type SGLang does not have, or decode context parallelism.
    """
    return (*_degrees(engine, layout), *_settings(engine))


def _degrees(engine: Serving, layout: Layout) -> list[str]:
    if layout.decode_context_parallel > 1:
        raise EngineError(
            f"decode context parallelism is {layout.decode_context_parallel}: no rules for it "
            "under SGLang are known here",
            hint="plan without it, or for vLLM",
        )
    arguments = ["--tp-size", str(layout.tensor_parallel)]
    if layout.pipeline_parallel > 1:
        arguments += ["--pp-size", str(layout.pipeline_parallel)]
    if layout.data_parallel > 1:
        named = release(engine.build) >= ATTENTION_REPLICAS_SINCE
        arguments += ["--attn-dp-size" if named else "--dp-size", str(layout.data_parallel)]
        arguments += [] if named else ["--enable-dp-attention"]
    if layout.expert_parallel > 1:
        arguments += ["--ep-size", str(layout.expert_parallel)]
    if layout.redundant_experts:
        arguments += ["--ep-num-redundant-experts", str(layout.redundant_experts)]
    return arguments


def _settings(engine: Serving) -> list[str]:
    if engine.kv_type not in KV_TYPES:
        raise EngineError(
            f"SGLang has no KV cache type {engine.kv_type!r}",
            hint="choose one of " + ", ".join(KV_TYPES),
        )
    return [
        *("--context-length", str(engine.context)),
        *("--max-running-requests", str(engine.max_num_seqs)),
        *("--chunked-prefill-size", str(engine.max_num_batched_tokens)),
        *("--mem-fraction-static", str(engine.utilization)),
        *("--kv-cache-dtype", KV_TYPES[engine.kv_type]),
    ]


def node_arguments(
    layout: Layout, node: int, devices: Sequence[int], *, address: str, port: str
) -> tuple[str, ...]:
    """What machine `node` gets beside; nothing where there is only one machine.

    Args:
        layout: the degrees of parallelism.
        node: the machine, from 0; the first one answers requests.
        devices: devices used on each machine, in rank order.
        address: where the others reach the first machine.
        port: its port for the process group; with data-parallel attention the next six are used
            as well.

    Raises:
        EngineError: the ranks cannot lie on these machines.
    """
    machines = len(devices)
    if machines == 1:
        return ()
    sizes = ", ".join(map(str, devices))
    if len(set(devices)) > 1:
        raise EngineError(
            f"SGLang needs the same number of devices on every machine, not {sizes}",
            hint="choose degrees that use every machine alike, or machines of one type",
        )
    stages = layout.pipeline_parallel
    if machines % stages and stages % machines:
        raise EngineError(
            f"SGLang cannot put {stages} stages on {machines} machines: a machine holds whole "
            "stages, or a stage whole machines",
            hint=f"choose a number of stages that divides {machines} or is a multiple of it",
        )
    return (
        *("--nnodes", str(machines), "--node-rank", str(node)),
        *("--dist-init-addr", f"{address}:{port}"),
    )


def environment(layout: Layout) -> dict[str, str]:
    """Variables of every machine: the layers of each stage, where SGLang would choose others."""
    partition = layout.partition
    if not partition or partition == split_late(sum(partition), len(partition)):
        return {}
    return {PARTITION_VARIABLE: ",".join(map(str, partition))}
