"""A hand-made grid: Kimi K2 FP8 under vLLM on 16 H100, two stages of eight.

Not an expected value: the numbers only have to look like the real thing and add up.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.plan import (
    Body,
    Bytes,
    Choices,
    Device,
    Download,
    Evaluation,
    Host,
    KvPool,
    Layout,
    MemoryBudget,
    NextQuantization,
    Plan,
    RankShare,
    Remedy,
    Serving,
    WeightShare,
)
from planner.request import EvaluateRequest, PlanRequest
from planner.units import GIB, MIB
from planner.values import Range
from tests.unit.report import example

H100 = 81_079 * MIB
LAYERS = (31, 30)
NO_MEMORY = example.memory(weights=0, kv=0, compute=0, runtime=0, reserve=0)

MODEL = example.MODEL.model_copy(update={"quant": "FP8", "file_bytes": 1_029_000_000_000})
VLLM = Serving(
    name="vllm",
    build="0.32.0",
    context=131_072,
    utilization=0.92,
    max_num_seqs=1024,
    max_num_batched_tokens=8192,
    kv_type="auto",
)
SGLANG = Serving(
    name="sglang",
    build="0.5.23",
    context=131_072,
    utilization=0.831,
    max_num_seqs=512,
    max_num_batched_tokens=4096,
    kv_type="auto",
)
LAYOUT = Layout(tensor_parallel=8, pipeline_parallel=2, partition=LAYERS)
POOL = KvPool(
    tokens=Bytes(low=150_784, best=171_008, high=198_400),
    requests=Range(low=1.15, best=1.31, high=1.51),
    longest=Bytes(low=131_072, best=131_072, high=131_072),
)
FIRST = example.memory(weights=62_464, kv=4_464, compute=3_277, runtime=2_560, reserve=6_486)
LAST = example.memory(weights=62_259, kv=4_320, compute=4_812, runtime=2_560, reserve=6_486)


def device(
    place: tuple[int, int], stage: int, layers: tuple[int, int] | None, budget: MemoryBudget
) -> Device:
    """Device `index` of machine `number`; without layers one that idles."""
    number, index = place
    return Device(
        id=f"hgx-h100-{number}.{index}",
        node=f"hgx-h100-{number}",
        gpu="h100-sxm",
        replica=0,
        stage=None if layers is None else stage,
        first_layer=None if layers is None else layers[0],
        last_layer=None if layers is None else layers[1],
        output=layers is not None and layers[1] == 60,
        experts=None if layers is None else 384,
        slots=0 if layers is None else layers[1] - layers[0] + 1 + (layers[1] == 60),
        capacity_bytes=None if layers is None else H100,
        headroom_bytes=None if layers is None else H100 - budget.total,
        budget=budget,
    )


def machine(
    number: int, stage: int, layers: tuple[int, int], budget: MemoryBudget
) -> tuple[Device, ...]:
    """Eight devices that hold the same."""
    return tuple(device((number, index), stage, layers, budget) for index in range(8))


DEVICES = (*machine(1, 0, (0, 30), FIRST), *machine(2, 1, (31, 60), LAST))


def spread(low: float, high: float) -> Bytes:
    """GiB between bounds."""
    return Bytes(low=round(low * GIB), best=round(low * GIB), high=round(high * GIB))


def share(stage: int, ranks: int, **mebibytes: int) -> RankShare:
    """A class of ranks with weights in MiB."""
    weights = tuple(WeightShare(name=n, bytes=size * MIB) for n, size in mebibytes.items())
    return RankShare(
        stage=stage,
        ranks=ranks,
        experts=384,
        weights=weights,
        loaded=spread(60.9, 61.0),
        compute=spread(2.4, 3.2),
        runtime=spread(2.1, 2.5),
    )


RANKS = (
    share(
        0,
        8,
        attention=768,
        dense=48,
        embedding=280,
        experts=61_000,
        norm=1,
        router=158,
        shared_experts=154,
        beside=80,
    ),
    share(
        1,
        8,
        attention=743,
        experts=61_000,
        norm=1,
        output=280,
        router=158,
        shared_experts=154,
        beside=80,
    ),
)
SERVER = example.node("hgx-h100", "HGX H100", 2, "h100-sxm", 8, 120_000, None)


def body(**changes: object) -> Body:
    """The grid, with `changes` to its fields."""
    fields: dict[str, object] = {
        **{name: getattr(example.CHEAPEST, name) for name in Body.model_fields},
        "cluster": (SERVER,),
        "cost": example.cost((SERVER,), 40_000, None),
        "layout": LAYOUT,
        "devices": DEVICES,
        "hosts": tuple(
            Host(node=f"hgx-h100-{n}", memory_bytes=2048 * GIB, unified=False, budget=NO_MEMORY)
            for n in (1, 2)
        ),
        "verdict": "tight",
        "ranks": RANKS,
        "kv_pool": POOL,
    }
    return Body.model_validate({**fields, **changes})


REMEDIES = (
    Remedy(
        change="4,096 tokens per step",
        headroom_bytes=1_641 * MIB,
        verdict="fits",
        option="--max-num-batched-tokens 4096",
    ),
    Remedy(change="one machine more", headroom_bytes=22_584 * MIB, verdict="fits"),
)


def evaluation(engine: Serving = VLLM, **changes: object) -> Evaluation:
    """The grid as a layout somebody named."""
    grid = body(**{"remedies": REMEDIES, **changes})
    own: dict[str, object] = {"request": EvaluateRequest(model="kimi-k2"), "engine": engine}
    named = example.evaluation(model=MODEL, **own)
    return named.model_copy(update={n: getattr(grid, n) for n in Body.model_fields})


def plan(others: Sequence[Body] = (), **changes: object) -> Plan:
    """The grid as the cheapest plan, with the fastest of `others` beside it."""
    cheapest = body(**{"remedies": REMEDIES, **changes})
    fields: dict[str, object] = {
        **{name: getattr(cheapest, name) for name in Body.model_fields},
        "request": PlanRequest(model="kimi-k2", quant="FP8", engine="vllm"),
        "model": MODEL,
        "engine": VLLM,
        "choices": Choices(
            cheapest=cheapest,
            best_value=cheapest,
            fastest=others[0] if others else cheapest,
        ),
        "next_quantization": NextQuantization(
            quant="BF16", file_bytes=2_054_000_000_000, cost_usd=None
        ),
        "download": Download(
            repository=None,
            quant="FP8",
            bytes=1_029_000_000_000,
            disk_bytes=1_029_000_000_000,
            load_seconds=None,
        ),
    }
    return example.plan(**fields)
