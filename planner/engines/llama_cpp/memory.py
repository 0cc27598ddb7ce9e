"""Bytes llama.cpp holds on each device and on the host, for any contiguous split of the layers.

Model and cache are exact; compute is `planner.engines.llama_cpp.compute`. The same three columns
as the engine's own table. What a GPU backend takes beside them is `overheads`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from planner.engines.llama_cpp.compute import Graph
from planner.engines.llama_cpp.loaded import as_loaded, settings_of
from planner.engines.llama_cpp.settings import Settings
from planner.engines.llama_cpp.state import block_caches
from planner.model.architecture import Architecture
from planner.model.weights import StoredTensor, Weights
from planner.quantization.gguf_types import row_bytes
from planner.units import padded

__all__ = ["GraphMemory", "Settings", "SplitMemory", "device_of_slot"]

TENSOR_ALIGNMENT = 32
"""Bytes a tensor's size is rounded up to (CPU and RPC buffers)."""
CUDA_ROW_PADDING = 512
"""Elements a CUDA or HIP matrix row is rounded up to (MATRIX_ROW_PADDING)."""


class GraphMemory(NamedTuple):
    """What the engine's memory table shows of one device, bytes."""

    weights: int
    kv_cache: int
    compute: int


class SplitMemory:
    """Memory of any device of any split of one network under one set of settings.

    A *slot* is a transformer block or MTP block, in order, and last the output. A device holds
    the slots [first, stop). Sums are prefix differences and graphs are remembered, so that a
    solver can ask for every window of layers.
    """

    __slots__ = (
        "_cuda_sums",
        "_graph",
        "_host_weights",
        "_known",
        "_kv_sums",
        "_settings",
        "_weight_sums",
        "slots",
    )

    def __init__(self, architecture: Architecture, weights: Weights, settings: Settings) -> None:
        architecture, settings = as_loaded(architecture), settings_of(architecture, settings)
        self._settings = settings
        self.slots = len(architecture.layers) + 1
        per_slot, padding, self._host_weights = _slot_weights(architecture, weights)
        self._weight_sums = (0, *accumulate(per_slot))
        self._cuda_sums = (0, *accumulate(padding))
        self._kv_sums = (0, *accumulate(_slot_cache(architecture, settings)))
        self._graph = Graph(architecture, settings)
        self._known: dict[tuple[int, int, bool], GraphMemory] = {}

    @property
    def kv_bytes_per_slot(self) -> tuple[int, ...]:
        """Cache bytes of each slot."""
        sums = self._kv_sums
        return tuple(sums[slot + 1] - sums[slot] for slot in range(self.slots))

    @property
    def weight_bytes_per_slot(self) -> tuple[int, ...]:
        """Weight bytes of each slot."""
        sums = self._weight_sums
        return tuple(sums[slot + 1] - sums[slot] for slot in range(self.slots))

    def device(self, first: int, stop: int, *, devices: int, pipelined: bool) -> GraphMemory:
        """What the device with slots [first, stop) holds, one of `devices`.

        Args:
            first: its first slot; 0 makes it the first device.
            stop: one past its last slot; `slots` makes it the one with the output.
            devices: offload devices in all.
            pipelined: whether every device can pipeline (see `settings.Settings`); with one
                device or tensor rules there is one copy anyway.
        """
        copies = pipelined and devices > 1 and not self._settings.tensor_rules
        key = (first, stop, copies)
        memory = self._known.get(key)
        if memory is None:
            memory = self._known[key] = GraphMemory(
                self._weight_sums[stop] - self._weight_sums[first],
                self._kv_sums[stop] - self._kv_sums[first],
                self._graph.device(first, stop, pipelined=copies),
            )
        return memory

    def host(self, *, devices: int, pipelined: bool) -> GraphMemory:
        """What the host of the server process holds: token embedding and graph inputs."""
        copies = pipelined and devices > 1 and not self._settings.tensor_rules
        return GraphMemory(self._host_weights, 0, self._graph.host(pipelined=copies))

    def cuda_padding(self, first: int, stop: int) -> int:
        """Bytes the CUDA and HIP backends add to the weights of slots [first, stop).

        Each quantized matrix with a row that is no multiple of 512 elements gets the missing
        part of one row.
        """
        return self._cuda_sums[stop] - self._cuda_sums[first]


def _slot_weights(architecture: Architecture, weights: Weights) -> tuple[list[int], list[int], int]:
    """Per slot, the weight bytes and what CUDA adds to them; and the host's weight bytes.

    The token embedding is on the host, and once more in the output slot where the output
    projection is tied to it. MTP blocks are not loaded.
    """
    slots = len(architecture.layers) + 1
    sizes, extra, host = [0] * slots, [0] * slots, 0
    for tensor in weights.tensors:
        size = padded(tensor.bytes, TENSOR_ALIGNMENT)
        if tensor.block is None:
            slot = slots - 1
        elif architecture.layers[tensor.block].mtp:
            continue
        else:
            slot = tensor.block
        if tensor.component == "embedding":
            host += size
            if not architecture.tied:
                continue
        sizes[slot] += size
        extra[slot] += _cuda_padding(tensor)
    return sizes, extra, host


def _cuda_padding(tensor: StoredTensor) -> int:
    """Bytes CUDA adds to one tensor: the missing part of one row, if quantized."""
    missing = -tensor.shape[0] % CUDA_ROW_PADDING
    if missing == 0 or tensor.type in ("F32", "F16", "BF16"):
        return 0
    return row_bytes(tensor.type, missing)


def _slot_cache(architecture: Architecture, settings: Settings) -> list[int]:
    """Cache and state bytes of each slot; the output has none."""
    layers = architecture.layers
    sizes = block_caches(layers, settings)
    return [
        0 if layer.mtp and not settings.mtp_has_kv else size
        for layer, size in zip(layers, sizes, strict=True)
    ] + [0]


def device_of_slot(split: Sequence[float], slots: int) -> tuple[int, ...]:
    """Device of each slot under `-ts split`; the engine's own single-precision rule.

    Slot i goes to the first device whose share of the running sum exceeds i / slots. Layer
    counts that sum to `slots` give just those counts.
    """
    running = 0.0
    bounds = []
    for share in split:
        running = _single(running + _single(share))
        bounds.append(running)
    bounds = [_single(bound / running) for bound in bounds]
    return tuple(
        next(device for device, bound in enumerate(bounds) if bound > _single(slot / slots))
        for slot in range(slots)
    )


def _single(value: float) -> float:
    """`value` rounded to the nearest single-precision number."""
    (rounded,) = struct.unpack("f", struct.pack("f", value))
    return float(rounded)
