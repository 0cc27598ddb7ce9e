"""The bytes llama.cpp's graph allocator reserves on a device: activations, masks and inputs.

The allocator reuses buffers, so what counts is the fattest moment of the graph: in a layer's
feed-forward network, in its attention, or where logits are made. Every formula is fitted to
tables the engine printed for two builds (`tests/reality/llama_*.csv`), none to GPU backends.

Legend: d hidden size, h width of all heads' outputs, H heads, E experts; elements are f32 per
token of a step. *Copies* are those of the graph's inputs: 4 where devices pipeline, else 1.
"""

from __future__ import annotations

from planner.engines.llama_cpp.peaks import F32, Kind, Peaks, Position, head_width
from planner.engines.llama_cpp.settings import Settings
from planner.model.architecture import Architecture, Dense, Grouped

PIPELINE_COPIES = 4
"""Copies of the inputs the scheduler keeps (GGML_SCHED_MAX_COPIES)."""
VALUE_ROTATION = 64
"""Side of the matrix that rotates V before it is quantized."""
KEEPS_MASK = frozenset({"gpt-oss", "gemma3"})
"""Architectures that need the mask to the end of a layer."""


class Graph:
    """Graph sizes of one network under one set of settings."""

    __slots__ = ("_architecture", "_peaks", "_settings", "_windows")

    def __init__(self, architecture: Architecture, settings: Settings) -> None:
        self._architecture = architecture
        self._settings = settings
        self._peaks = Peaks(architecture, settings)
        self._windows: tuple[int | None, ...] = tuple(
            dict.fromkeys(
                layer.attention.window if isinstance(layer.attention, Grouped) else None
                for layer in architecture.layers
            )
        )

    def device(self, kinds: tuple[Kind, ...], position: Position) -> int:
        """Bytes a device with these kinds of layer reserves."""
        settings, name = self._settings, self._architecture.gguf_name
        logits = 0
        if position.output:
            norms = 12 if self._architecture.post_norms else 6
            row = self._architecture.vocabulary + norms * self._architecture.hidden
            logits = F32 * settings.slots * row
        windows = tuple(dict.fromkeys(kind.window for kind in kinds))
        mask = peak = self._mask(windows, pipelined=position.pipelined)
        for kind in kinds:
            network = self._peaks.feed_forward(kind, position) + self._kept(mask, kind, position)
            peak = max(peak, self._peaks.attention(kind, position) + mask, network)
        if kinds and name == "gemma3" and self._keeps_query(position):
            peak += self._peaks.bytes(head_width(kinds[0].layer.attention))
        peak += self._value_indices(windows, pipelined=position.pipelined)
        return max(peak, logits) + self._small(pipelined=position.pipelined)

    def host(self, *, pipelined: bool) -> int:
        """Bytes reserved on the host, which embeds the tokens and makes the inputs."""
        inputs = 10 if pipelined else 4 if self._settings.rpc_pipelines else 2
        return (
            self._peaks.bytes(inputs * self._architecture.hidden)
            + self._mask(self._windows, pipelined=pipelined)
            + self._value_indices(self._windows, pipelined=pipelined)
            + self._small(pipelined=pipelined)
        )

    def _kept(self, mask: int, kind: Kind, position: Position) -> int:
        """Bytes of the mask that a layer's feed-forward network cannot reuse.

        One copy of the mask is freed after the last attention of a device, so before the network
        of a layer alone there. What is left of the hole depends on the order of things: at most d.
        """
        name = self._architecture.gguf_name
        if position.full_first and name == "gemma3" and self._settings.flash_attention:
            return self._kept_of_full(mask, kind)
        if position.pipelined or name in KEEPS_MASK:
            return mask
        row = self._peaks.bytes(self._architecture.hidden)
        if position.layers == 1 and not position.first:
            return min(mask, row)
        if kind == position.lone:
            return row if mask < row else 0
        return mask

    def _kept_of_full(self, mask: int, kind: Kind) -> int:
        """As `_kept` where gemma3 frees the mask of a leading full layer: holes take whole rows."""
        network = kind.layer.feed_forward
        assert isinstance(network, Dense)
        sliding = self._mask(tuple(w for w in self._windows if w is not None), pipelined=False)
        full, row = mask - sliding, self._peaks.bytes(self._architecture.hidden)
        inner = self._peaks.bytes(network.intermediate)
        if full >= inner:
            return sliding + full % inner
        return sliding + row if full >= 3 * row else mask

    def _keeps_query(self, position: Position) -> bool:
        """Whether gemma3 keeps one h more.

        With a quantized cache on the first device, and on all when pipelined; without flash
        attention on a first device of one layer.
        """
        if self._settings.quantized_cache:
            return position.first or position.pipelined
        return position.first and position.layers == 1 and not self._settings.flash_attention

    def _mask(self, windows: tuple[int | None, ...], *, pipelined: bool) -> int:
        """Copies * tokens * cells of each kind of cache * 2 B (4 B without flash attention)."""
        settings = self._settings
        copies = PIPELINE_COPIES if pipelined else 1
        element = 2 if settings.flash_attention else 4
        cells = settings.cells() if None in windows else 0
        sliding = [window for window in windows if window is not None]
        if sliding:
            cells += settings.cells(max(sliding))
        return copies * settings.rows * element * cells

    def _small(self, *, pipelined: bool) -> int:
        """Inputs besides masks and, of a quantized cache, its rotation matrices.

        Words per token and copy: 4 of inputs, 4 of indices per cache (2 where those of V are
        counted apart). Rotations per cache: one matrix for K, the largest power of two in the
        head, and one for V of 64 by 64.
        """
        copies = PIPELINE_COPIES if pipelined else 1
        per_cache = 4 if self._settings.flash_attention else 2
        small = self._peaks.bytes((4 + per_cache * len(self._windows)) * copies)
        heads = [
            layer.attention.head_dim
            for layer in self._architecture.layers
            if isinstance(layer.attention, Grouped)
        ]
        if self._settings.quantized_cache and heads:
            side = max(head & -head for head in heads)
            rotations = F32 * (side**2 + VALUE_ROTATION**2)
            small += copies * len(self._windows) * rotations
        return small

    def _value_indices(self, windows: tuple[int | None, ...], *, pipelined: bool) -> int:
        """Without flash attention: an 8-byte index per value element, cache and copy."""
        if self._settings.flash_attention:
            return 0
        copies = PIPELINE_COPIES if pipelined else 1
        width = max(
            layer.attention.kv_heads * layer.attention.head_dim
            if isinstance(layer.attention, Grouped)
            else 0
            for layer in self._architecture.layers
        )
        return self._peaks.bytes(2 * width * copies * len(windows))
