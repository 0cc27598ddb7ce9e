"""A request as the command line that asks it; only what differs from the defaults."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from planner.request import PlanRequest

_VALUES = {
    "quant": "--quant",
    "engine": "--engine",
    "engine_build": "--engine-build",
    "context": "--context",
    "concurrency": "--concurrency",
    "budget": "--budget",
    "budget_per_hour": "--budget-per-hour",
    "min_speed": "--min-speed",
    "ttft": "--ttft",
    "tpot": "--tpot",
    "throughput": "--throughput",
    "input_tokens": "--input",
    "output_tokens": "--output",
    "kv_type": "--kv-type",
    "ubatch": "--ubatch",
    "max_nodes": "--max-nodes",
    "time_limit": "--time-limit",
}
_LISTS = {"only": "--only", "exclude": "--exclude"}
_FLAGS = {"used": "--used", "mixed_families": "--mixed-families"}


def command_of(request: PlanRequest, *more: str) -> str:
    """`plan MODEL ...` that repeats `request`, safe to paste into a shell."""
    return shlex.join(["plan", request.model, *_options(request), *more])


def _options(request: PlanRequest) -> Iterator[str]:
    fields = PlanRequest.model_fields
    for name, option in _VALUES.items():
        value = getattr(request, name)
        if value is not None and value != fields[name].default:
            yield from (option, plain(value))
    for name, option in _LISTS.items():
        for value in getattr(request, name):
            yield from (option, value)
    for stock in request.stock:
        yield from ("--stock", f"{stock.node}={stock.count}")
    for name, option in _FLAGS.items():
        if getattr(request, name):
            yield option


def plain(value: object) -> str:
    """A number without a needless fraction: 1.0 is `1`."""
    text = str(value)
    return text[:-2] if isinstance(value, float) and text.endswith(".0") else text
