"""Measured runs of vLLM, SGLang and TensorRT-LLM servers, and the time per token estimated."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from planner.catalog import load_catalog
from planner.engines.grid import Grid
from planner.model.architecture import Architecture
from planner.model.huggingface import architecture_from_config
from planner.performance.grid import GridCase, Load, step_seconds
from planner.quantization.default_schemes import default_scheme
from planner.quantization.scheme import Scheme
from planner.values import Range
from tests.reality.tables import table

FABRIC = {
    "h100-sxm-80": "nvlink4",
    "h200-sxm-141": "nvlink4",
    "b200-sxm-180": "nvlink5",
    "gb200-186": "nvlink5",
}


@dataclass(frozen=True)
class Run:
    case: GridCase
    model: str
    version: str
    users: int
    input_tokens: int
    output_tokens: int
    tpot: float
    """Measured seconds per output token."""
    ttft: float | None

    @property
    def depth(self) -> int:
        """Tokens cached of a user, halfway through its answer."""
        return self.input_tokens + self.output_tokens // 2

    @property
    def gpu(self) -> str:
        """Row of the device."""
        return self.case.stages[0][0].name


def runs() -> tuple[Run, ...]:
    """Runs of the fit."""
    return _runs("serving_speed.csv")


def unseen() -> tuple[Run, ...]:
    """Runs of a model that took no part in it."""
    return _runs("serving_unseen.csv")


@functools.cache
def _runs(name: str) -> tuple[Run, ...]:
    return tuple(
        Run(
            case=case_of(row),
            model=row["model"],
            version=row["version"],
            users=int(row["users"]),
            input_tokens=int(row["input"]),
            output_tokens=int(row["output"]),
            tpot=float(row["tpot_ms"]) / 1e3,
            ttft=float(row["ttft_ms"]) / 1e3 if row["ttft_ms"] else None,
        )
        for row in table(name)
    )


def estimate(run: Run) -> Range:
    """Time per token of a server under steady load, prompts of the other users included."""
    return step_seconds(run.case, depth=run.depth, users=run.users)


def alternatives() -> Iterator[tuple[int, int]]:
    """Pairs of runs that differ in nothing but their parallelism, and by over 10 % in time.

    Of one model, format, GPU model, engine, version, lengths and users.
    """
    alike: dict[object, list[int]] = {}
    for index, run in enumerate(runs()):
        lengths = run.input_tokens, run.output_tokens, run.users
        key = (run.model, run.case.scheme.name, run.gpu, run.case.engine, run.version, *lengths)
        alike.setdefault(key, []).append(index)
    for group in alike.values():
        for one, other in combinations(group, 2):
            first, second = runs()[one], runs()[other]
            ratio = first.tpot / second.tpot
            if first.case.grid != second.case.grid and max(ratio, 1 / ratio) > 1.1:
                yield one, other


def case_of(row: dict[str, str]) -> GridCase:
    catalog, architecture = load_catalog(), network(row["model"])
    gpu = catalog.gpu(row["gpu"])
    grid = Grid(
        tensor_parallel=int(row["tp"]),
        data_parallel=int(row["dp"]),
        expert_parallel=int(row["ep"]),
    )
    fabric = FABRIC.get(gpu.name)
    return GridCase(
        architecture=architecture,
        scheme=scheme(row["quantization"], architecture.has_experts),
        engine=row["engine"],  # type: ignore[arg-type]
        grid=grid,
        stages=((gpu, tuple(range(architecture.depth))),),
        fabric=None if fabric is None else catalog.links[fabric],
        network=None,
        gpus_per_machine=8,
        kv_type=row["kv_type"],  # type: ignore[arg-type]
        load=Load(int(row["input"]), int(row["output"])),
    )


@functools.cache
def network(model: str) -> Architecture:
    return architecture_from_config(load_catalog().model(model).config)


@functools.cache
def scheme(name: str, experts: bool) -> Scheme:
    return default_scheme(name, experts=experts)
