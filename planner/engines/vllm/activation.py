"""The peak of a rank's transient memory while vLLM profiles itself at start-up. Engines layer.

One forward pass over `max_num_batched_tokens`, then, on the last stage, the sampler over
`max_num_seqs`; the larger counts. Within 0.01 GiB of logs (tests/reality/vllm_startup_h100.csv).

Source: `profile_run` and `_dummy_sampler_run` of vllm/v1/worker/gpu_model_runner.py, and the
sampler in vllm/v1/sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from planner.engines.beside import Beside
from planner.engines.forward import HALF, dense_bytes, expert_bytes
from planner.engines.sharding import Shards
from planner.engines.vllm.settings import Device, Limits
from planner.engines.vllm.versions import VersionRules
from planner.model.architecture import Architecture, Layer
from planner.units import MIB, padded

FLOAT = 4
MULTIPLY_SCRATCH = 32 * MIB
"""What the matrix library keeps on Hopper and later."""

ExpertKernels = Literal["buffers", "fused"]
"""Whether experts run in kernels with two buffers of their own, or without (MXFP4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one rank computes at most in one step."""

    architecture: Architecture
    layers: tuple[Layer, ...]
    shards: Shards
    rules: VersionRules
    limits: Limits
    device: Device
    samples: bool
    """Whether the stage is the last."""
    kernels: ExpertKernels = "buffers"
    data_parallel: int = 1
    """Replicas whose tokens come together at the experts."""


def activation_peak(step: Step, beside: Beside) -> int:
    """Bytes of the peak; `beside` is of the rank's stage."""
    tokens, replicas = step.limits.batched_tokens, step.data_parallel
    forward = max(
        (dense_bytes(step.architecture, x, step.shards, tokens, replicas) for x in step.layers),
        default=0,
    )
    buffers = max((_buffers(step, layer) for layer in step.layers), default=0)
    if not step.rules.keeps_workspace:
        forward, buffers = forward + buffers, 0
    peak = max(forward, sampler_peak(step) if step.samples else 0)
    images = _images(step, beside) if beside.tower else 0
    return buffers + peak + images + MULTIPLY_SCRATCH


def sampler_peak(step: Step) -> int:
    """Bytes of logits and all that is made of them, beside the forward pass's result.

    logit_bytes * sequences * vocabulary, one row of 32-bit logits per multiprocessor, the hidden
    state of every token, and twice that of the sampled ones.
    """
    limits, rules = step.limits, step.rules
    vocabulary = padded(step.architecture.vocabulary, step.shards.vocabulary_multiple)
    rows = min(step.device.processors, limits.sequences) if rules.sampler_programs else 0
    hidden = (limits.batched_tokens + 2 * limits.sequences) * step.architecture.hidden * HALF
    return (rules.logit_bytes * limits.sequences + FLOAT * rows) * vocabulary + hidden


def _buffers(step: Step, layer: Layer) -> int:
    """Buffers of routed experts: of all tokens that come together, or of as many as fit a chunk."""
    if step.kernels == "fused":
        return 0
    tokens = step.limits.batched_tokens * step.data_parallel
    tokens = min(tokens, step.rules.expert_chunk or tokens)
    shared = not step.rules.keeps_workspace
    return expert_bytes(step.architecture, layer, step.shards, tokens, shared=shared)


def _images(step: Step, beside: Beside) -> int:
    """Input and output of the tower for as many whole images as a step may hold."""
    images = max(1, step.limits.batched_tokens // beside.tokens_per_image)
    tokens = images * beside.tokens_per_image
    return tokens * (beside.pixel_bytes_per_token + step.architecture.hidden * HALF)
