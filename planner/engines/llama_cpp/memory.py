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
from planner.engines.llama_cpp.peaks import Kind, Position
from planner.engines.llama_cpp.settings import Settings, padded
from planner.model.architecture import Architecture, Attention, Latent
from planner.model.weights import StoredTensor, Weights
from planner.quantization.gguf_types import row_bytes

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
        "_architecture",
        "_cuda_sums",
        "_full_sums",
        "_graph",
        "_graph_sizes",
        "_host_weights",
        "_kind_sums",
        "_kinds",
        "_known",
        "_kv_sums",
        "_settings",
        "_weight_sums",
        "slots",
    )

    def __init__(self, architecture: Architecture, weights: Weights, settings: Settings) -> None:
        self._architecture = architecture
        self._settings = settings
        self.slots = len(architecture.layers) + 1
        per_slot, padding, self._host_weights = _slot_weights(architecture, weights)
        self._weight_sums = (0, *accumulate(per_slot))
        self._cuda_sums = (0, *accumulate(padding))
        self._kv_sums = (0, *accumulate(_slot_cache(architecture, settings)))
        self._graph = Graph(architecture, settings)
        self._kinds, self._kind_sums = _slot_kinds(architecture)
        full = [Kind(layer, False).window is None for layer in architecture.layers]
        self._full_sums = (0, *accumulate(map(int, full)))
        self._graph_sizes: dict[tuple[int, bool, bool, int, bool, int, bool], int] = {}
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
                self._compute(first, stop, pipelined=copies),
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

    def _compute(self, first: int, stop: int, *, pipelined: bool) -> int:
        """Graph bytes, remembered by all they depend on."""
        bits = 0
        for bit, sums in enumerate(self._kind_sums):
            if sums[stop] > sums[first]:
                bits |= 1 << bit
        depth = self._architecture.depth
        layers = min(max(min(stop, depth) - first, 0), 3)
        output = stop == self.slots
        lone = -1 if pipelined or first else self._lone_kind(min(stop, depth))
        full_first = not pipelined and layers > 1 and self._full_first(first, min(stop, depth))
        key = (bits, first == 0, output, layers, pipelined, lone, full_first)
        size = self._graph_sizes.get(key)
        if size is None:
            kinds = tuple(kind for bit, kind in enumerate(self._kinds) if bits >> bit & 1)
            only = self._kinds[lone] if lone >= 0 else None
            position = Position(first == 0, output, layers, pipelined, only, full_first)
            size = self._graph_sizes[key] = self._graph.device(kinds, position)
        return size

    def _full_first(self, first: int, stop: int) -> bool:
        """Whether of layers [first, stop) just the first has full attention."""
        sums = self._full_sums
        return sums[stop] - sums[first] == 1 and sums[first + 1] > sums[first] and stop > first + 1

    def _lone_kind(self, stop: int) -> int:
        """Of layers [0, stop), the kind of the last if no other is of it; -1 if there is one."""
        if stop > 1:
            for kind, sums in enumerate(self._kind_sums):
                if sums[stop] == 1 and sums[stop - 1] == 0:
                    return kind
        return -1


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
    """Cache bytes of each slot; the output has none."""
    return [
        0 if layer.mtp and not settings.mtp_has_kv else _layer_cache(layer.attention, settings)
        for layer in architecture.layers
    ] + [0]


def _layer_cache(attention: Attention, settings: Settings) -> int:
    """Streams * cells * (K row + V row); a latent is one row and no V."""
    if isinstance(attention, Latent):
        row = row_bytes(settings.key_type, attention.kv_rank + attention.rope_dim)
        return settings.streams * settings.cells() * row
    width = attention.kv_heads * attention.head_dim
    row = row_bytes(settings.key_type, width) + row_bytes(settings.value_type, width)
    return settings.streams * settings.cells(attention.window) * row


def _slot_kinds(
    architecture: Architecture,
) -> tuple[tuple[Kind, ...], tuple[tuple[int, ...], ...]]:
    """The distinct kinds of layer, and of each the running count over the slots.

    MTP blocks and the output run no layer.
    """
    depth, slots = architecture.depth, len(architecture.layers) + 1
    per_slot = [Kind(architecture.layers[slot], slot == depth - 1) for slot in range(depth)]
    kinds = tuple(dict.fromkeys(per_slot))
    idle = [False] * (slots - depth)
    held = ([kind == other for other in per_slot] + idle for kind in kinds)
    return kinds, tuple((0, *accumulate(map(int, flags))) for flags in held)


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
