"""How much CPU time the speed of one layout takes: printed, with the ratio to what was aimed at.

Run with `pytest -m benchmark -s`. Asserts nothing about time: machines differ and are busy.
"""

from __future__ import annotations

import time
from itertools import product

import pytest

from planner.catalog import load_catalog
from planner.engines.grid import Grid
from planner.engines.sharding import split_evenly
from planner.performance.grid import GridCase, Load, step_seconds
from planner.performance.grid_calibration import calibration_of
from planner.topology.domains import domain_of
from tests.reality.serving_runs import network, scheme

AIMED = 100e-6
"""Seconds per layout."""
MODELS = ("llama-3.1-70b", "qwen3-235b-a22b", "kimi-k2")
DEGREES = (1, 2, 4, 8)

pytestmark = pytest.mark.benchmark


def layouts(model: str) -> list[GridCase]:
    """Grids of vLLM on machines of eight H200: all pipeline, tensor and data parallel degrees."""
    catalog, architecture = load_catalog(), network(model)
    gpu, found = catalog.gpu("h200-sxm-141"), []
    domain = domain_of(catalog, catalog.node("dgx-h200"))
    for tensor, stages, replicas in product(DEGREES, DEGREES, DEGREES):
        counts, start, parts = split_evenly(architecture.depth, stages), 0, []
        for count in counts:
            parts.append((gpu, tuple(range(start, start + count))))
            start += count
        ranks = (1, tensor * replicas) if architecture.has_experts else (1,)
        found += [
            GridCase(
                architecture=architecture,
                scheme=scheme("FP8", architecture.has_experts),
                engine="vllm",
                grid=Grid(
                    tensor_parallel=tensor,
                    pipeline_parallel=stages,
                    data_parallel=replicas,
                    expert_parallel=experts,
                ),
                stages=tuple(parts),
                fabric=catalog.links["nvlink4"],
                network=catalog.networks["infiniband-ndr"],
                gpus_per_machine=8,
                domain=domain,
                load=Load(4000, 1000),
            )
            for experts in dict.fromkeys(ranks)
        ]
    return found


@pytest.mark.parametrize("model", MODELS)
def test_seconds_of_one_layout(model: str) -> None:
    cases, times = layouts(model), []
    for _ in range(5):
        start = time.process_time()
        for case in cases:
            step_seconds(case, depth=4500, users=64)
            calibration_of(case)
        times.append((time.process_time() - start) / len(cases))
    print(
        f"\n{model}: {min(times) * 1e6:.0f} us a layout, {times[0] * 1e6:.0f} the first time, "
        f"{min(times) / AIMED:.2f} x the {AIMED * 1e6:.0f} us aimed at; {len(cases)} layouts"
    )
