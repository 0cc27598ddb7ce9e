"""Measured runs of vLLM and SGLang servers, and the time per token estimated for them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from planner.catalog import load_catalog
from planner.engines.grid import Grid
from planner.model.architecture import Architecture
from planner.model.huggingface import architecture_from_config
from planner.performance.grid import GridCase, prompt_work, step_seconds
from planner.quantization.default_schemes import default_scheme
from planner.quantization.scheme import Scheme
from planner.values import Range
from tests.reality.tables import table

FABRIC = {"h100-sxm-80": "nvlink4", "h200-sxm-141": "nvlink4", "b200-sxm-180": "nvlink5"}
INTERFERENCE = 0.93
"""Of a prompt's arithmetic, what the decoding users of the same step wait for (fitted)."""


@dataclass(frozen=True)
class Run:
    case: GridCase
    model: str
    users: int
    input_tokens: int
    output_tokens: int
    tpot: float
    """Measured seconds per output token."""
    ttft: float | None


@functools.cache
def runs() -> tuple[Run, ...]:
    return tuple(
        Run(
            case=case_of(row),
            model=row["model"],
            users=int(row["users"]),
            input_tokens=int(row["input"]),
            output_tokens=int(row["output"]),
            tpot=float(row["tpot_ms"]) / 1e3,
            ttft=float(row["ttft_ms"]) / 1e3 if row["ttft_ms"] else None,
        )
        for row in table("serving_speed.csv")
    )


def estimate(run: Run, interference: float = INTERFERENCE) -> Range:
    """Time per token of a server under steady load: each step also takes a share of prompts.

    (users - 1) / output tokens new prompts a step, whose arithmetic comes on top.
    """
    depth = run.input_tokens + run.output_tokens // 2
    step = step_seconds(run.case, depth=depth, users=run.users)
    prompts = (run.users - 1) / run.output_tokens
    added = prompts * prompt_work(run.case, tokens=run.input_tokens) * interference
    factor = 1 + added / step.best
    return step.scaled(factor)


def case_of(row: dict[str, str]) -> GridCase:
    catalog, architecture = load_catalog(), network(row["model"])
    gpu = catalog.gpu(row["gpu"])
    grid = Grid(tensor_parallel=int(row["tp"]), expert_parallel=int(row["ep"]))
    return GridCase(
        architecture=architecture,
        scheme=scheme(row["quantization"], architecture.has_experts),
        engine=row["engine"],  # type: ignore[arg-type]
        grid=grid,
        stages=((gpu, tuple(range(architecture.depth))),),
        fabric=catalog.links[FABRIC[gpu.name]],
        network=None,
        gpus_per_machine=8,
        kv_type=row["kv_type"],  # type: ignore[arg-type]
    )


@functools.cache
def network(model: str) -> Architecture:
    return architecture_from_config(load_catalog().model(model).config)


@functools.cache
def scheme(name: str, experts: bool) -> Scheme:
    return default_scheme(name, experts=experts)
