"""Plans for vLLM and SGLang to export: Kimi K2 on machines of eight devices."""

from __future__ import annotations

from collections.abc import Sequence

from planner.engines.sglang.layout import split_late
from planner.engines.sharding import split_evenly
from planner.plan import ClusterNode, Device, Download, Layout, Plan, Serving
from planner.units import MIB
from tests.unit.report import example

NODE = "hgx-h200"
LAYERS = example.MODEL.layers
MODEL = example.MODEL.model_copy(update={"quant": "FP8"})
REPOSITORY = "moonshotai/Kimi-K2-Instruct"
DOWNLOAD = Download(
    repository=REPOSITORY, quant="FP8", bytes=1, shards=1, disk_bytes=1, load_seconds=None
)


def engine(name: str = "vllm", **changes: object) -> Serving:
    """Settings of a server, with `changes`."""
    fields: dict[str, object] = {
        "name": name,
        "build": "0.32.0" if name == "vllm" else "0.5.23",
        "context": 131_072,
        "utilization": 0.92,
        "max_num_seqs": 256,
        "max_num_batched_tokens": 8192,
        "kv_type": "auto",
    }
    return Serving.model_validate({**fields, **changes})


def layout(**degrees: object) -> Layout:
    """A layout; degrees left out are 1."""
    return Layout.model_validate({"pipeline_parallel": 1, **degrees})


def row(node_type: str = NODE, gpus: int = 8, **changes: object) -> ClusterNode:
    """A row of a cluster."""
    entry = example.node(node_type, node_type, 1, "h200-sxm-141", gpus, 300_000, None)
    return entry.model_copy(update={"family": "cuda", **changes})


def ranks(name: str, degrees: Layout, machines: Sequence[tuple[str, int]]) -> tuple[Device, ...]:
    """The devices of a layout, filled into machines of so many devices each."""
    split = degrees.partition or (split_evenly if name == "vllm" else split_late)(
        LAYERS, degrees.pipeline_parallel
    )
    replicas = degrees.data_parallel if name == "vllm" else 1
    places = [(node, number) for node, count in machines for number in range(count)]
    found: list[Device] = []
    for replica in range(replicas):
        for stage, count in enumerate(split):
            first = sum(split[:stage])
            for _ in range(degrees.tensor_parallel):
                node, number = places[len(found)]
                found.append(
                    Device(
                        id=f"{node}.{number}",
                        node=node,
                        gpu="h200-sxm-141",
                        replica=replica,
                        stage=stage,
                        first_layer=first,
                        last_layer=first + count - 1,
                        output=stage == len(split) - 1,
                        experts=384,
                        slots=count + (stage == len(split) - 1),
                        capacity_bytes=141_000 * MIB,
                        headroom_bytes=1_000 * MIB,
                        budget=example.memory(
                            weights=62_000 + stage, kv=9_000, compute=8_000, runtime=900, reserve=1
                        ),
                    )
                )
    assert len(found) == len(places)
    return tuple(found)


def plan(
    name: str = "vllm",
    degrees: Layout | None = None,
    machines: Sequence[tuple[str, int]] = ((f"{NODE}-1", 8),),
    **changes: object,
) -> Plan:
    """A plan with this layout on these machines, with `changes` to its fields."""
    degrees = degrees or layout(tensor_parallel=8)
    fields: dict[str, object] = {
        "model": MODEL,
        "engine": engine(name),
        "layout": degrees,
        "cluster": (row(),),
        "devices": ranks(name, degrees, machines),
        "download": DOWNLOAD,
    }
    return example.plan(**{**fields, **changes})


def two(count: int = 8) -> tuple[tuple[str, int], ...]:
    """Two machines of so many devices."""
    return ((f"{NODE}-1", count), (f"{NODE}-2", count))
