"""Questions about vLLM and SGLang on small parts of the real catalog, fixed and random."""

from __future__ import annotations

import functools
import random
from decimal import Decimal

from planner.catalog import load_catalog
from planner.request import PlanRequest, Stock
from planner.served import Served, asked_of_request, served
from tests.solver import grid_oracle
from tests.solver.grid_oracle import MICRO, Plan

MODELS = (
    ("llama-3.1-8b", "BF16"),
    ("llama-3.1-8b", "FP8"),
    ("llama-3.1-70b", "BF16"),
    ("llama-3.1-70b", "FP8"),
    ("qwen3-30b-a3b", "FP8"),
    ("gpt-oss-120b", "MXFP4"),
    ("glm-4.5", "FP8"),
    ("kimi-k2", "FP8"),
    ("deepseek-r1", "FP8"),
)
_LONG = ("llama-3.1-8b", "llama-3.1-70b", "gpt-oss-120b", "glm-4.5", "kimi-k2", "deepseek-r1")
"""Models with a window of at least 131,072 tokens."""
POOLS = (
    ("4090-x1", "4090-x2", "4090-x4", "5090-x1", "5090-x2", "5090-x3", "5090-x4"),
    ("6000-ada-x1", "6000-ada-x2", "6000-ada-x4", "6000-ada-x8", "l40s-x4", "l40s-x8", "a40-x8"),
    ("rtx-pro-6000-x1", "rtx-pro-6000-x2", "rtx-pro-6000-x3", "rtx-pro-6000-x4", "rtx-pro-6000-x8"),
    ("dgx-spark", "dgx-spark-pair", "dgx-spark-4", "rtx-pro-6000-x1"),
    ("hgx-h100-8", "dgx-h100", "h100-pcie-x4", "hgx-b200-8", "dgx-b200", "hgx-b300-8"),
    ("r9700-x1", "r9700-x2", "r9700-x4", "7900xtx-x4", "minisforum-ms-s1-max-128"),
    ("strix-halo-128", "minisforum-ms-s1-max-128", "r9700-x4", "dgx-spark"),
    ("5090-x3", "rtx-pro-6000-x3", "rtx-pro-6000-x1", "hgx-b200-8"),
)
RENTED = (
    ("aws-g6e-12xl", "aws-g6e-48xl", "aws-g7e-12xl", "aws-g7e-48xl", "aws-p5en"),
    ("lambda-1xh100", "lambda-2xb200", "lambda-4xh100", "lambda-8xh100"),
    ("runpod-b200-1", "runpod-b300-1", "runpod-rtx-4090-1", "runpod-h200-sxm-1", "runpod-8xh100"),
    ("oci-mi300x", "oci-mi355x", "oci-l40s", "oci-h200"),
    ("nebius-8xh100", "nebius-8xh200", "nebius-8xb200"),
)
"""Node types that one network joins, so that a few of them make a question."""

FIXED = (
    PlanRequest(
        model="llama-3.1-70b",
        quant="FP8",
        engine="vllm",
        context=8192,
        only=("6000-ada-x1", "6000-ada-x2", "l40s-x4"),
        max_nodes=3,
    ),
    PlanRequest(
        model="llama-3.1-70b",
        quant="BF16",
        engine="vllm",
        context=32_768,
        kv_type="fp8",
        only=("minisforum-ms-s1-max-128", "strix-halo-128", "r9700-x4"),
        max_nodes=2,
    ),
    PlanRequest(
        model="glm-4.5",
        quant="FP8",
        engine="vllm",
        context=32_768,
        concurrency=8,
        only=("lambda-2xb200", "lambda-8xh100"),
        max_nodes=2,
        budget_per_hour=Decimal(1000),
    ),
    PlanRequest(
        model="llama-3.1-8b",
        quant="BF16",
        engine="sglang",
        context=8192,
        concurrency=64,
        only=("4090-x1", "4090-x2", "5090-x3"),
        max_nodes=3,
    ),
    PlanRequest(
        model="qwen3-30b-a3b",
        quant="FP8",
        engine="sglang",
        context=32_768,
        concurrency=8,
        only=("4090-x2", "5090-x1", "6000-ada-x1"),
        max_nodes=3,
    ),
    PlanRequest(
        model="gpt-oss-120b",
        quant="MXFP4",
        engine="vllm",
        context=131_072,
        concurrency=8,
        only=("6000-ada-x1", "rtx-pro-6000-x1", "dgx-spark-pair", "dgx-spark"),
        max_nodes=3,
    ),
    PlanRequest(
        model="kimi-k2",
        quant="FP8",
        engine="vllm",
        context=131_072,
        only=("rtx-pro-6000-x8", "hgx-h100-8", "hgx-b200-8"),
        max_nodes=2,
    ),
    PlanRequest(
        model="deepseek-r1",
        quant="FP8",
        engine="sglang",
        context=8192,
        concurrency=64,
        kv_type="fp8",
        only=("h100-pcie-x4", "hgx-b200-8", "rtx-pro-6000-x4"),
        max_nodes=3,
    ),
    PlanRequest(
        model="kimi-k2",
        quant="FP8",
        engine="sglang",
        context=32_768,
        only=("runpod-b200-1", "runpod-8xh100", "runpod-8xb200"),
        max_nodes=4,
        budget_per_hour=Decimal(1000),
    ),
)


def draw(seed: int) -> PlanRequest:
    """A question by number; its limits leave everything open."""
    rng = random.Random(seed)
    model, quant = rng.choice(MODELS)
    rented = rng.random() < 0.3
    pool = rng.choice(RENTED if rented else POOLS)
    context = rng.choice((4096, 8192, 32_768, 131_072 if model in _LONG else 16_384))
    return PlanRequest(
        model=model,
        quant=quant,
        engine=rng.choice(("vllm", "sglang")),
        context=context,
        concurrency=rng.choice((1, 1, 8, 64)),
        kv_type=rng.choice(("f16", "f16", "fp8")),
        only=tuple(rng.sample(pool, rng.randint(2, min(4, len(pool))))),
        max_nodes=rng.choice((1, 2, 2, 3, 3, 4)),
        min_speed=0,
        budget_per_hour=Decimal(10**6) if rented else None,
    )


def limited(base: PlanRequest, found: tuple[Plan, ...], seed: int) -> PlanRequest:
    """The question with limits drawn close to what one of its plans costs and takes."""
    rng = random.Random(seed)
    changes: dict[str, object] = {}
    if not found:
        return base
    mixed = [plan for plan in found if plan.mixed]
    near = rng.choice(mixed if mixed and rng.random() < 0.5 else found)
    if rng.random() < 0.6:
        money = Decimal(near.cost) / MICRO * Decimal(rng.choice(("1", "1", "0.95", "0.5", "1.5")))
        changes["budget_per_hour" if base.budget_per_hour else "budget"] = money
    if rng.random() < 0.6:
        own = 1e9 / near.floor / base.concurrency
        changes["min_speed"] = own * rng.choice((0.999_999, 1.000_1, 0.9, 1.1))
    else:
        changes["min_speed"] = rng.choice((0.0, 10.0, 200.0))
    if near.mixed and rng.random() < 0.5:
        changes["stock"] = tuple(
            Stock(node=name, count=dict(near.counts).get(name, 0)) for name in base.only
        )
    elif rng.random() < 0.5:
        changes["stock"] = tuple(
            Stock(node=name, count=rng.choice((0, 1, 1, 2)))
            for name in rng.sample(base.only, rng.randint(1, len(base.only)))
        )
    if rng.random() < 0.2:
        changes["ttft"] = near.first(base.input_tokens) / 1e9 * rng.choice((0.9, 1.0001, 1.5))
    if rng.random() < 0.3:
        changes["max_nodes"] = rng.randint(1, base.max_nodes)
    return base.model_copy(update=changes)


@functools.cache
def served_of(request: PlanRequest) -> Served:
    """What a question is about."""
    catalog = load_catalog()
    asked = asked_of_request(request, catalog, request.quant)
    return served(catalog, request.model, request.quant, asked)


@functools.cache
def plans_of(base: PlanRequest) -> tuple[Plan, ...]:
    """Every plan of a question without limits."""
    return grid_oracle.plans(base, load_catalog(), served_of(base))
