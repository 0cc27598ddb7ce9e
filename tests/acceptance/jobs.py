"""The jobs of which the acceptance tests demand the same things."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from planner.request import PlanRequest


class Job(NamedTuple):
    """One question, as typed and as the library takes it; layers of its model as published."""

    line: str
    layers: int
    request: PlanRequest


def _job(
    model: str,
    quant: str,
    budget: int,
    layers: int,
    *,
    context: int | None = None,
    users: int = 1,
    speed: float = 10.0,
) -> Job:
    line = f"{model} --quant {quant} --budget {budget}"
    if context is not None:
        line += f" --context {context}"
    if users != 1:
        line += f" --concurrency {users}"
    if speed != 10:
        line += f" --min-speed {speed:g}"
    request = PlanRequest(
        model=model,
        quant=quant,
        budget=Decimal(budget),
        context=context,
        concurrency=users,
        min_speed=speed,
    )
    return Job(line, layers, request)


JOBS = {
    "kimi-k2": _job("kimi-k2", "Q4_K_M", 300_000, 61),
    "kimi-k2, 8 users": _job("kimi-k2", "Q4_K_M", 300_000, 61, context=32_768, users=8, speed=1),
    "deepseek-r1": _job("deepseek-r1", "Q4_K_M", 300_000, 61),
    "llama-3.1-405b": _job("llama-3.1-405b", "Q4_K_M", 300_000, 126, speed=2),
    "qwen3-235b": _job("qwen3-235b", "Q4_K_M", 100_000, 94),
    "gpt-oss-120b": _job("gpt-oss-120b", "MXFP4_MOE", 50_000, 36),
}
SLICE = ("kimi-k2", "gpt-oss-120b")
"""The jobs that every run of the tests repeats; the others with `-m full`."""
