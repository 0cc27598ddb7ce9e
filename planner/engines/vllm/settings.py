"""What is asked of vLLM beside the layout, and the limits its defaults make of it. Engines layer.

Source of the defaults: `get_batch_defaults` of vllm/engine/arg_utils.py, versions as in `versions`.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.catalog.schema import Gpu
from planner.engines.pages import KvType
from planner.engines.vllm.versions import DEFAULT_VERSION, VersionRules, rules_of
from planner.units import GIB

HUGE = 160 * GIB
LARGE = 70 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What the engine asks of a GPU."""

    memory: int
    """Bytes CUDA reports in all: less than the data sheet, as the driver keeps some."""
    processors: int = 132
    """Streaming multiprocessors; 132 on H100 and H200."""
    small_batches: bool = False
    """A100s, which get the defaults of smaller devices."""


PROCESSORS = {"ampere": 108, "ada": 142, "hopper": 132, "blackwell": 160, "blackwell-ultra": 160}
"""Most streaming multiprocessors of a generation's devices; smaller ones have fewer."""


def device_of(gpu: Gpu, memory: int) -> Device:
    """A catalog GPU of which the engine sees `memory` bytes: usable less what the driver keeps."""
    return Device(
        memory=memory,
        processors=PROCESSORS.get(gpu.architecture, max(PROCESSORS.values())),
        small_batches=gpu.name.startswith("a100"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of the server; None takes the version's default."""

    context_length: int
    """`--max-model-len`, tokens."""
    version: str = DEFAULT_VERSION
    utilization: float | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    kv_type: KvType = "auto"
    eager: bool = False
    """Without CUDA graphs."""
    speculative_tokens: int = 0
    """Tokens its own MTP blocks draft per step; 0 does not load them."""
    replicated_encoder: bool = False
    """The vision tower whole on every rank (`--mm-encoder-tp-mode data`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Settings with the defaults put in."""

    utilization: float
    sequences: int
    batched_tokens: int


def limits(settings: Settings, device: Device) -> Limits:
    """What the engine runs with on a device."""
    rules = rules_of(settings.version)
    tokens = settings.max_num_batched_tokens or _tokens(rules, device)
    sequences = settings.max_num_seqs or (1024 if _is_large(device) else 256)
    return Limits(
        utilization=settings.utilization or rules.default_utilization,
        sequences=min(sequences, tokens),
        batched_tokens=tokens,
    )


def _tokens(rules: VersionRules, device: Device) -> int:
    if not _is_large(device):
        return 2048
    return rules.large_gpu_batch if device.memory >= HUGE else 8192


def _is_large(device: Device) -> bool:
    return device.memory >= HUGE or (device.memory >= LARGE and not device.small_batches)
