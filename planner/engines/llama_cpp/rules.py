"""What llama.cpp refuses, in sentences for people. Engine layer."""

from __future__ import annotations

from typing import get_args

from planner.engines.llama_cpp.loaded import NO_FLASH_ATTENTION
from planner.engines.llama_cpp.settings import CELL_PADDING, Settings
from planner.model.architecture import Architecture, Grouped, Latent
from planner.quantization.gguf_types import block_of
from planner.request import KvType
from planner.units import padded

MAX_DEVICES = 15
"""Offload devices of one process: GGML_SCHED_MAX_BACKENDS is 16 and the CPU takes one."""
MAX_SLOTS = 256
"""Slots of one process (LLAMA_MAX_SEQ)."""
MAX_TOKENS = 2**31 - 1
"""Largest `-c`, `-b` or `-ub`: 32-bit signed numbers on the command line."""
HEADS_FILL_HIDDEN = frozenset(
    {
        "baichuan",
        "bailingmoe2",
        "chatglm",
        "cohere2",
        "command-r",
        "dbrx",
        "exaone4",
        "grok",
        "internlm2",
        "jais2",
        "nemotron",
        "olmo",
        "olmo2",
        "olmoe",
        "phi2",
        "phi3",
        "phimoe",
        "qwen",
        "qwen2moe",
        "qwen2vl",
        "stablelm",
        "starcoder2",
        "xverse",
    }
)
"""GGUF architectures whose query projection must be square (llama.cpp b11434, src/models)."""
KV_PER_HEAD = frozenset({"dots1"})
"""GGUF architectures without grouped queries there."""
ABORTS_IN_STREAMS = frozenset({("granitemoe", 24)})
"""GGUF architecture and blocks with which b10434 aborts where a quantized cache is in several
streams: its graph has more nodes than the table made for 8 a tensor (ggml-impl.h). Of the networks
tried, this one (Granite 3.1 1B A400M) is the only one; with 32 blocks the table is larger."""
CACHE_TYPES: tuple[str, ...] = get_args(KvType)
"""Types `-ctk` and `-ctv` take."""


def illegal(architecture: Architecture, settings: Settings, devices: int) -> tuple[str, ...]:
    """Why llama.cpp, or this model in it, cannot run so; one sentence each, empty if it can.

    Args:
        architecture: the network.
        settings: flags of the server.
        devices: offload devices, local and over RPC together.
    """
    return (
        *_refused_shapes(architecture),
        *_device_count(architecture, devices),
        *_token_counts(settings),
        *_cache_types(architecture, settings),
        *_graph_table(architecture, settings),
    )


def _refused_shapes(architecture: Architecture) -> list[str]:
    """Shapes that the loader of a GGUF architecture does not take."""
    name = architecture.gguf_name
    grouped = [layer.mixer for layer in architecture.layers if isinstance(layer.mixer, Grouped)]
    widths = {mixer.heads * mixer.head_dim for mixer in grouped}
    if name in HEADS_FILL_HIDDEN and widths - {architecture.hidden}:
        return [
            f"llama.cpp loads models of architecture '{name}' only with heads as wide together as"
            f" the hidden state, {architecture.hidden}, not {max(widths)}"
        ]
    if name in KV_PER_HEAD and any(mixer.kv_heads != mixer.heads for mixer in grouped):
        return [
            f"llama.cpp loads models of architecture '{name}' only with as many KV heads as heads"
        ]
    return []


def _device_count(architecture: Architecture, devices: int) -> list[str]:
    slots = len(architecture.layers) + 1
    if devices < 1:
        return [f"at least one device is needed, not {devices}"]
    reasons = []
    if devices > MAX_DEVICES:
        reasons.append(
            f"llama.cpp uses at most {MAX_DEVICES} offload devices in one process, not {devices}"
        )
    if devices > slots:
        reasons.append(
            f"the model has {slots - 1} blocks and an output to place, fewer than {devices} devices"
        )
    return reasons


def _token_counts(settings: Settings) -> list[str]:
    reasons = [
        f"{flag} must be at least 1, not {value}"
        for flag, value in (
            ("the context (-c)", settings.context),
            ("the number of slots (-np)", settings.slots),
            ("the micro-batch (-ub)", settings.ubatch),
            ("the batch (-b)", settings.batch),
        )
        if value < 1
    ]
    if reasons:
        return reasons
    if settings.slots > MAX_SLOTS:
        reasons.append(f"llama.cpp has at most {MAX_SLOTS} slots, not {settings.slots}")
    pool = padded(settings.context, CELL_PADDING)
    if pool < settings.slots:
        reasons.append(
            f"a context of {settings.context} tokens leaves {settings.slots} slots no token each"
        )
    if settings.context > MAX_TOKENS:
        reasons.append(f"-c is a 32-bit number, at most {MAX_TOKENS}, not {settings.context}")
    return reasons


def _cache_types(architecture: Architecture, settings: Settings) -> list[str]:
    types = {"K": settings.key_type, "V": settings.value_type}
    reasons = [
        f"'{name}' is no type of the {part} cache; types are {', '.join(CACHE_TYPES)}"
        for part, name in types.items()
        if name not in CACHE_TYPES
    ]
    if reasons:
        return reasons
    latent = any(isinstance(layer.mixer, Latent) for layer in architecture.layers)
    if latent and settings.key_type != settings.value_type:
        reasons.append(
            "a model with latent attention (MLA) needs the same type for K and V, "
            f"not {settings.key_type} and {settings.value_type}"
        )
    value_block = block_of(settings.value_type)
    name = architecture.gguf_name
    if value_block.weights > 1 and name in NO_FLASH_ATTENTION:
        reasons.append(
            f"a V cache of type {settings.value_type} needs flash attention, which llama.cpp does"
            f" not use for models of architecture '{name}'"
        )
    elif value_block.weights > 1 and not settings.flash_attention:
        reasons.append(f"a V cache of type {settings.value_type} needs flash attention")
    for part, name in types.items():
        block = block_of(name).weights
        odd = sorted({width for width in _head_widths(architecture, part) if width % block})
        if odd:
            reasons.append(
                f"a {part} cache of type {name} is stored in blocks of {block} elements, "
                f"which do not divide the model's {', '.join(map(str, odd))} per head"
            )
    return reasons


def _graph_table(architecture: Architecture, settings: Settings) -> list[str]:
    network = architecture.gguf_name, architecture.depth
    if network in ABORTS_IN_STREAMS and settings.quantized_cache and settings.streams > 1:
        return [
            f"llama.cpp aborts on a '{network[0]}' model of {network[1]} blocks with a quantized "
            f"cache in {settings.streams} slots of their own; one slot or a cache in f16 works"
        ]
    return []


def _head_widths(architecture: Architecture, part: str) -> set[int]:
    """Elements per head of the K or V cache; MLA keeps one latent and no V."""
    widths = set()
    for layer in architecture.layers:
        attention = layer.mixer
        if isinstance(attention, Grouped):
            widths.add(attention.head_dim)
        elif isinstance(attention, Latent) and part == "K":
            widths.add(attention.kv_rank + attention.rope_dim)
    return widths
