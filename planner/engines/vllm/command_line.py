"""Command line of `vllm serve`: from settings and a layout to arguments. Engines layer.

Two forms of several machines: with `--nnodes` a replica is spread over machines, and every machine
gets a run of ranks of the same length; with `--data-parallel-start-rank` every machine holds whole
replicas. Ranks are counted replica by replica, in it stage by stage.

Source: vllm 0.32.0, `create_engine_config` of engine/arg_utils.py, `nnodes_within_dp` of
config/parallel.py, `run_headless` of entrypoints/cli/serve.py; names and types of its parser.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from typing import get_args

from planner.engines.pages import KvType
from planner.engines.sharding import split_evenly
from planner.errors import EngineError
from planner.plan import Layout, Serving

PARTITION_VARIABLE = "VLLM_PP_LAYER_PARTITION"


def server_arguments(engine: Serving, layout: Layout) -> tuple[str, ...]:
    """What is the same on all machines, without model and addresses.

    Args:
        engine: the settings, each of which becomes a flag.
        layout: the degrees of parallelism; a degree of 1 is left out, except tensor parallelism.

    Raises:
        EngineError: a cache type vLLM does not have, or experts dealt out in a way it cannot.
    """
    return (*_degrees(layout), *_settings(engine))


def _degrees(layout: Layout) -> list[str]:
    stage = layout.tensor_parallel * layout.data_parallel
    if layout.expert_parallel not in (1, stage) or (
        layout.redundant_experts and layout.expert_parallel != stage
    ):
        raise EngineError(
            f"vLLM deals experts out to all {stage} devices of a stage or to none, not to "
            f"{layout.expert_parallel}, and copies them only then",
            hint=f"plan with expert parallelism {stage}, or with 1 and no copies",
        )
    arguments = ["--tensor-parallel-size", str(layout.tensor_parallel)]
    if layout.pipeline_parallel > 1:
        arguments += ["--pipeline-parallel-size", str(layout.pipeline_parallel)]
    if layout.data_parallel > 1:
        arguments += ["--data-parallel-size", str(layout.data_parallel)]
    if layout.expert_parallel > 1:
        arguments.append("--enable-expert-parallel")
    if layout.decode_context_parallel > 1:
        arguments += ["--decode-context-parallel-size", str(layout.decode_context_parallel)]
    if layout.redundant_experts:
        config = json.dumps({"num_redundant_experts": layout.redundant_experts})
        arguments += ["--enable-eplb", "--eplb-config", config]
    return arguments


def _settings(engine: Serving) -> list[str]:
    if engine.kv_type not in get_args(KvType):
        raise EngineError(
            f"vLLM has no KV cache type {engine.kv_type!r}",
            hint="choose one of " + ", ".join(get_args(KvType)),
        )
    return [
        *("--max-model-len", str(engine.context)),
        *("--max-num-seqs", str(engine.max_num_seqs)),
        *("--max-num-batched-tokens", str(engine.max_num_batched_tokens)),
        *("--gpu-memory-utilization", str(engine.utilization)),
        *("--kv-cache-dtype", engine.kv_type),
    ]


def node_arguments(
    layout: Layout, node: int, devices: Sequence[int], *, address: str, port: str, rpc_port: str
) -> tuple[str, ...]:
    """What machine `node` gets beside; nothing where there is only one machine.

    Args:
        layout: the degrees of parallelism.
        node: the machine, from 0; the first one answers requests.
        devices: devices used on each machine, in rank order.
        address: where the others reach the first machine.
        port: its port for the process group (`--master-port`).
        rpc_port: its port for engines of other data-parallel replicas.

    Raises:
        EngineError: the ranks cannot lie on these machines.
    """
    if len(devices) == 1:
        return ()
    replica = layout.tensor_parallel * layout.pipeline_parallel
    meeting = ("--data-parallel-address", address, "--data-parallel-rpc-port", rpc_port)
    if layout.data_parallel > 1 and all(count % replica == 0 for count in devices):
        return _whole_replicas(node, [count // replica for count in devices], meeting)
    _check_spread(layout, devices)
    return (
        *("--nnodes", str(len(devices)), "--node-rank", str(node)),
        *("--master-addr", address, "--master-port", port),
        *(meeting if layout.data_parallel > 1 else ()),
        *(("--headless",) if node else ()),
    )


def _whole_replicas(
    node: int, replicas: Sequence[int], meeting: tuple[str, ...]
) -> tuple[str, ...]:
    """Data parallelism with so many replicas on each machine.

    The first machine must not name a start rank: it would answer for its own replicas only.
    """
    local = ("--data-parallel-size-local", str(replicas[node]))
    if node == 0:
        return (*local, *meeting)
    start = list(accumulate(replicas))[node - 1]
    return ("--headless", *local, "--data-parallel-start-rank", str(start), *meeting)


def _check_spread(layout: Layout, devices: Sequence[int]) -> None:
    """Whether a replica can be spread over machines of these sizes."""
    sizes = ", ".join(map(str, devices))
    if len(set(devices)) > 1:
        raise EngineError(
            f"vLLM needs the same number of devices on every machine (--nnodes), not {sizes}",
            hint="choose degrees that use every machine alike, or machines of one type",
        )
    if len(devices) % layout.data_parallel:
        raise EngineError(
            f"vLLM cannot put {layout.data_parallel} data-parallel replicas on machines of {sizes} "
            "devices: a machine would hold part of one replica and part of another",
            hint="choose degrees so that a machine holds whole replicas, or a replica whole "
            "machines",
        )


def environment(layout: Layout) -> dict[str, str]:
    """Variables of every machine: the layers of each stage, where vLLM would choose others."""
    partition = layout.partition
    if not partition or partition == split_evenly(sum(partition), len(partition)):
        return {}
    return {PARTITION_VARIABLE: ",".join(map(str, partition))}
