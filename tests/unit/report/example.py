"""A hand-made answer for the main job, as plausible as by hand: Kimi K2 on 8 RTX PRO 6000.

Not an expected value: the numbers only have to look like the real thing and add up.
"""

from __future__ import annotations

from decimal import Decimal

from planner.plan import (
    Alternative,
    Body,
    Choices,
    ClusterNode,
    Conflict,
    Cost,
    Device,
    Download,
    Evaluation,
    Excluded,
    Headroom,
    Host,
    Infeasible,
    Layout,
    LlamaCpp,
    MemoryBudget,
    ModelSummary,
    NextQuantization,
    Performance,
    Plan,
    Prefill,
    Relaxation,
    Remedy,
    Sensitivity,
    Solver,
    Term,
)
from planner.request import EvaluateRequest, PlanRequest
from planner.units import GIB, MIB
from planner.values import Range

SPLIT = (6, 8, 8, 8, 8, 8, 8, 7)
LAYER_MIB = 9465
KV_MIB_PER_LAYER = 144

MODEL = ModelSummary(
    name="kimi-k2",
    quant="Q4_K_M",
    parameters=1_026_408_232_448,
    active_parameters=32_900_000_000,
    layers=61,
    file_bytes=620_550_000_000,
    context=131_072,
    concurrency=1,
)
ENGINE = LlamaCpp(
    name="llama.cpp",
    build="b11434",
    context=131_072,
    slots=1,
    ubatch=512,
    batch=2048,
    flash_attention=True,
    kv_type="f16",
)
REQUEST = PlanRequest(model="kimi-k2", quant="Q4_K_M", budget=Decimal(300_000))


def three(low: float, best: float, high: float) -> Range:
    return Range(low=low, best=best, high=high)


def memory(*, weights: int, kv: int, compute: int, runtime: int, reserve: int) -> MemoryBudget:
    parts = (weights, kv, compute, runtime, reserve)
    return MemoryBudget(
        weights=weights * MIB,
        kv_cache=kv * MIB,
        compute=compute * MIB,
        runtime=runtime * MIB,
        reserve=reserve * MIB,
        total=sum(parts) * MIB,
    )


def devices(
    node_type: str, gpu: str, per_node: int, split: tuple[int, ...], capacity_mib: int
) -> tuple[Device, ...]:
    """`split` layers on each device, the output layer on the last."""
    found = []
    first = 0
    for index, count in enumerate(split):
        output = index == len(split) - 1
        weights = count * LAYER_MIB - (8_000 if index == 0 else 0) + (919 if output else 0)
        budget = memory(
            weights=weights,
            kv=count * KV_MIB_PER_LAYER,
            compute=862,
            runtime=710,
            reserve=1024,
        )
        machine = f"{node_type}-{index // per_node + 1}"
        found.append(
            Device(
                id=f"{machine}.{index % per_node}",
                node=machine,
                gpu=gpu,
                replica=0,
                stage=index,
                first_layer=first,
                last_layer=first + count - 1,
                output=output,
                experts=384,
                slots=count + output,
                capacity_bytes=capacity_mib * MIB,
                headroom_bytes=capacity_mib * MIB - budget.total,
                budget=budget,
            )
        )
        first += count
    return tuple(found)


def hosts(node_type: str, machines: int, host_gib: int) -> tuple[Host, ...]:
    head = memory(weights=1260, kv=0, compute=270, runtime=0, reserve=0)
    rest = memory(weights=0, kv=0, compute=0, runtime=512, reserve=0)
    return tuple(
        Host(
            node=f"{node_type}-{number}",
            memory_bytes=host_gib * GIB,
            unified=False,
            budget=head if number == 1 else rest,
        )
        for number in range(1, machines + 1)
    )


def performance(at_4k: Range, at_full: Range) -> tuple[Performance, ...]:
    return tuple(
        Performance(
            depth=depth,
            ttft=three(20, 12, 8),
            tpot=three(1 / rate.low, 1 / rate.best, 1 / rate.high),
            tokens_per_second=rate,
            tokens_per_second_per_user=rate,
            terms=(
                Term(name="weights read", seconds=three(0.02, 0.0166, 0.013)),
                Term(name="hops between devices", seconds=three(0.01, 0.006, 0.004)),
                Term(name="KV cache read", seconds=three(0.003, 0.002, 0.001)),
                Term(name="kernels started", seconds=three(0.008, 0.005, 0.003)),
            ),
            calibration="38 single-machine runs of 5 classes; network hops are an assumption",
        )
        for depth, rate in ((4_500, at_4k), (131_072, at_full))
    )


PREFILL = (
    Prefill(tokens=4_000, ttft=three(20, 12, 8), usable=True),
    Prefill(tokens=100_000, ttft=three(1500, 700, 400), usable=False),
)


def node(
    name: str, title: str, count: int, gpu: str, gpus: int, price: float, hourly: float | None
) -> ClusterNode:
    return ClusterNode(
        node_type=name,
        title=title,
        count=count,
        machines=1,
        gpu=gpu,
        gpus_per_node=gpus,
        purchase_usd=price,
        purchase_low_usd=price * 0.9,
        purchase_high_usd=price * 1.15,
        hourly_usd=hourly,
        price_source="sum of its parts, asking prices of three shops",
        price_date="2026-09-09",
        power_w=2900,
        rack_units=4,
    )


def cost(nodes: tuple[ClusterNode, ...], network: float, hourly: float | None) -> Cost:
    def total(field: str) -> float:
        return sum(entry.count * getattr(entry, field) for entry in nodes) + network

    return Cost(
        purchase_usd=total("purchase_usd"),
        purchase_low_usd=total("purchase_low_usd"),
        purchase_high_usd=total("purchase_high_usd"),
        network_usd=network,
        network="ethernet-100g" if network else None,
        hourly_usd=hourly,
        power_w=total("power_w") - network,
        rack_units=total("rack_units") - network,
        remaining_usd=300_000 - total("purchase_usd"),
    )


def solver(objective: float) -> Solver:
    return Solver(
        status="optimal",
        objective=objective,
        bound=objective,
        gap=0.0,
        unit="USD",
        space="all multisets of at most 4 of 31 nodes and all contiguous layer splits",
        deterministic_time=0.42,
        seed=1,
    )


def body(
    nodes: tuple[ClusterNode, ...], network: float, at_4k: Range, at_full: Range, capacity: int
) -> Body:
    money = cost(nodes, network, None)
    return Body(
        cluster=nodes,
        cost=money,
        layout=Layout(pipeline_parallel=len(SPLIT)),
        verdict="fits",
        devices=devices(nodes[0].node_type, nodes[0].gpu, nodes[0].gpus_per_node, SPLIT, capacity),
        hosts=hosts(nodes[0].node_type, nodes[0].count, 256),
        performance=performance(at_4k, at_full),
        prefill=PREFILL,
        solver=solver(money.purchase_usd or 0),
    )


SERVER = node(
    "rtx-pro-6000-server-x4", "4x RTX PRO 6000 Server", 2, "rtx-pro-6000-server", 4, 64_400, None
)
WORKSTATION = node(
    "rtx-pro-6000-x4", "4x RTX PRO 6000 Workstation", 2, "rtx-pro-6000-workstation", 4, 69_050, None
)
SPARKS = node("dgx-spark", "DGX Spark", 6, "gb10", 1, 4_999, None)

CHEAPEST = body((SERVER,), 1_000, three(25, 34, 45), three(18, 24, 31), 95_503)
FASTEST = body((WORKSTATION,), 1_000, three(28, 37, 49), three(20, 26, 33), 95_503)
SLOW = body((SPARKS,), 600, three(5, 7, 9), three(4, 5.4, 7), 95_503)


def plan(**changes: object) -> Plan:
    """The main job's answer, with `changes` to its fields."""
    fields: dict[str, object] = {
        **{name: getattr(CHEAPEST, name) for name in Body.model_fields},
        "request": REQUEST,
        "model": MODEL,
        "engine": ENGINE,
        "choices": Choices(cheapest=CHEAPEST, best_value=CHEAPEST, fastest=FASTEST),
        "alternatives": (
            Alternative(name="slower, cheaper", trades="7 tok/s, under the minimum", body=SLOW),
            Alternative(name="other price class", trades="3 tok/s more", body=FASTEST),
            Alternative(name="one node type less", trades="same memory", body=CHEAPEST),
        ),
        "remedies": (
            Remedy(
                change="ubatch 256",
                headroom_bytes=16_464 * MIB,
                verdict="fits",
                option="--ubatch 256",
            ),
            Remedy(
                change="K/V q8_0",
                headroom_bytes=16_573 * MIB,
                verdict="fits",
                option="--kv-type q8_0",
            ),
            Remedy(
                change="half the context",
                headroom_bytes=16_800 * MIB,
                verdict="fits",
                option="--context 65536",
            ),
        ),
        "headroom": Headroom(context=1_390_000, concurrency=13),
        "next_quantization": NextQuantization(
            quant="Q5_K_S", file_bytes=706_000_000_000, cost_usd=129_800.0
        ),
        "sensitivity": (
            Sensitivity(
                level="low", cluster="2x rtx-pro-6000-server-x4", cost_usd=116_920.0, changed=False
            ),
            Sensitivity(
                level="high", cluster="2x rtx-pro-6000-x4", cost_usd=148_000.0, changed=True
            ),
        ),
        "excluded": (
            Excluded(
                reason="under 10 tok/s",
                nodes=("dgx-spark", "strix-halo-128"),
                saving_usd=99_200.0,
                option="--min-speed 0",
            ),
            Excluded(
                reason="sold used only",
                nodes=("a100-80-x8", "a6000-x4", "rtx-3090-x4", "m2-ultra-192", "v100-x8"),
                saving_usd=119_500.0,
                option="--used",
            ),
            Excluded(reason="at most 4 machines", nodes=(), saving_usd=0.0, option="--max-nodes 8"),
            Excluded(reason="no purchase price", nodes=("hgx-h200", "mi300x-x8"), saving_usd=None),
        ),
        "download": Download(
            repository="unsloth/Kimi-K2-Instruct-GGUF",
            quant="Q4_K_M",
            bytes=620_550_000_000,
            shards=13,
            disk_bytes=621_000_000_000,
            load_seconds=27.0,
        ),
        "rent_usd_per_hour": three(20.0, 14.8, 7.4),
        "assumptions": (
            "context: the model's full window of 131,072 tokens per request",
            "reserve: 1,024 MiB per device beyond the CUDA context of 710 MiB",
            "one device family per replica; at most 4 nodes; sold new",
            "workload: 4,000 tokens in, 1,000 out; at least 10 tok/s per user",
        ),
        "warnings": ("price of rtx-pro-6000-server rests on one source without a shop",),
        "next_commands": (
            "plan kimi-k2 --quant Q4_K_M --budget 300000 -o plan.json",
            "plan export llama.cpp plan.json -o kimi-k2-launch",
            "plan verify plan.json",
        ),
        "planner_version": "0.1.0",
        "catalog_digest": "0123456789abcdef" * 4,
    }
    return Plan.model_validate({**fields, **changes})


def infeasible(**changes: object) -> Infeasible:
    """What a budget of $5,000 gets."""
    fields: dict[str, object] = {
        "request": PlanRequest(model="kimi-k2", quant="Q4_K_M", budget=Decimal(5_000)),
        "model": MODEL,
        "engine": ENGINE.name,
        "build": ENGINE.build,
        "conflicts": (
            Conflict(limit="budget", value="5000", detail="the cheapest plan costs $129,800"),
            Conflict(
                limit="min-speed", value="10 tok/s", detail="nothing under $28,700 reaches it"
            ),
        ),
        "relaxations": (
            Relaxation(
                change="budget",
                from_="5000",
                to="129800",
                cost_usd=129_800.0,
                command="plan kimi-k2 --quant Q4_K_M --budget 129800",
            ),
            Relaxation(change="context", from_="131072", to=None, cost_usd=None, command=None),
            Relaxation(change="quantization", from_="Q4_K_M", to=None, cost_usd=None, command=None),
        ),
        "space": "all multisets of at most 4 of 31 nodes and all contiguous layer splits",
        "assumptions": ("one device family per replica; at most 4 nodes; sold new",),
        "planner_version": "0.1.0",
        "catalog_digest": "0123456789abcdef" * 4,
    }
    return Infeasible.model_validate({**fields, **changes})


def evaluation(**changes: object) -> Evaluation:
    """The same split as a layout somebody named."""
    fields: dict[str, object] = {
        **{name: getattr(CHEAPEST, name) for name in Body.model_fields},
        "request": EvaluateRequest(model="kimi-k2"),
        "model": MODEL,
        "engine": ENGINE,
        "solver": solver(0).model_copy(update={"status": "evaluated", "objective": None}),
        "planner_version": "0.1.0",
        "catalog_digest": "0123456789abcdef" * 4,
    }
    return Evaluation.model_validate({**fields, **changes})
