"""The bytes llama.cpp's graph allocator reserves on a device: activations, masks and inputs.

The allocator reuses buffers, so what counts is the fattest moment of the graph: in a layer's
feed-forward network, in its attention, or where logits are made. Every formula is fitted to
tables the engine printed for two builds (`tests/reality/llama_*.csv`), none to GPU backends.

Legend: d hidden size, h width of all heads' outputs, H heads, E experts; elements are f32 per
token of a step. *Copies* are those of the graph's inputs: 4 where devices pipeline, else 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.engines.llama_cpp.settings import Settings
from planner.model.architecture import (
    Architecture,
    Attention,
    Dense,
    FeedForward,
    Grouped,
    Latent,
    Layer,
    MixtureOfExperts,
)

PIPELINE_COPIES = 4
"""Copies of the inputs the scheduler keeps (GGML_SCHED_MAX_COPIES)."""
F32 = 4
VALUE_ROTATION = 64
"""Side of the matrix that rotates V before it is quantized."""
WHOLE_LAST_LAYER = frozenset({"gpt-oss"})
"""Architectures whose last feed-forward network runs on all tokens, not on the outputs only."""
KEEPS_MASK = frozenset({"gpt-oss", "gemma3"})
"""Architectures that need the mask to the end of a layer."""


@dataclass(frozen=True, slots=True)
class Position:
    """What the graph of one device depends on besides its kinds of layer."""

    first: bool
    """Holds the first slot, so it receives the embedded tokens."""
    output: bool
    """Holds the output slot."""
    layers: int
    """Transformer layers held; 3 stands for more."""
    pipelined: bool
    lone: Kind | None = None
    """On a first device: the kind of its last layer where no other layer of it is there."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of layer as far as the graph is concerned."""

    layer: Layer
    last: bool
    """The last layer, whose feed-forward network sees the outputs only."""

    @property
    def window(self) -> int | None:
        """Tokens its attention looks back; None is all."""
        attention = self.layer.attention
        return attention.window if isinstance(attention, Grouped) else None


class Graph:
    """Graph sizes of one network under one set of settings."""

    __slots__ = ("_architecture", "_settings", "_windows")

    def __init__(self, architecture: Architecture, settings: Settings) -> None:
        self._architecture = architecture
        self._settings = settings
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
            row = self._architecture.vocabulary + 6 * self._architecture.hidden
            logits = F32 * settings.slots * row
        windows = tuple(dict.fromkeys(kind.window for kind in kinds))
        mask = peak = self._mask(windows, pipelined=position.pipelined)
        for kind in kinds:
            network = self._feed_forward(kind, position) + self._kept(mask, kind, position)
            peak = max(peak, self._attention(kind, position) + mask, network)
        if kinds and name == "gemma3" and self._keeps_query(position):
            peak += self._bytes(head_width(kinds[0].layer.attention))
        peak += self._value_indices(windows, pipelined=position.pipelined)
        return max(peak, logits) + self._small(pipelined=position.pipelined)

    def host(self, *, pipelined: bool) -> int:
        """Bytes reserved on the host, which embeds the tokens and makes the inputs."""
        inputs = 10 if pipelined else 4 if self._settings.rpc_pipelines else 2
        return (
            self._bytes(inputs * self._architecture.hidden)
            + self._mask(self._windows, pipelined=pipelined)
            + self._value_indices(self._windows, pipelined=pipelined)
            + self._small(pipelined=pipelined)
        )

    def _kept(self, mask: int, kind: Kind, position: Position) -> int:
        """Bytes of the mask that a layer's feed-forward network cannot reuse.

        One copy of the mask is freed after the last attention of a device, so before the network
        of a layer alone there. What is left of the hole depends on the order of things: at most d.
        """
        if position.pipelined or self._architecture.gguf_name in KEEPS_MASK:
            return mask
        row = self._bytes(self._architecture.hidden)
        if position.layers == 1 and not position.first:
            return min(mask, row)
        if kind == position.lone:
            return row if mask < row else 0
        return mask

    def _keeps_query(self, position: Position) -> bool:
        """Whether gemma3 keeps one h more.

        With a quantized cache on the first device, and on all when pipelined; without flash
        attention on a first device of one layer.
        """
        if self._settings.quantized_cache:
            return position.first or position.pipelined
        return position.first and position.layers == 1 and not self._settings.flash_attention

    def _bytes(self, elements: int) -> int:
        """F32 bytes of `elements` per token of a step."""
        return F32 * self._settings.rows * elements

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
        small = self._bytes((4 + per_cache * len(self._windows)) * copies)
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
        return self._bytes(2 * width * copies * len(windows))

    def _feed_forward(self, kind: Kind, position: Position) -> int:
        """Bytes at the fattest moment of a layer's feed-forward network."""
        if kind.last and self._architecture.gguf_name not in WHOLE_LAST_LAYER:
            return 0
        elements = self._pipelined_network if position.pipelined else self._single_copy_network
        return self._bytes(elements(kind, position))

    def _pipelined_network(self, kind: Kind, position: Position) -> int:
        """10d + h + network, 5d more on the first device.

        With shared experts 9d instead of 10d; then also the router's output and one more d on
        the first device, except in glm4moe.
        """
        hidden, network = self._architecture.hidden, kind.layer.feed_forward
        elements = 10 * hidden + head_width(kind.layer.attention) + _inside(hidden, network)
        if position.first:
            elements += 5 * hidden
        if isinstance(network, MixtureOfExperts) and network.shared_intermediate:
            elements -= hidden
            if self._architecture.gguf_name != "glm4moe":
                elements += network.experts + hidden * position.first
        return elements

    def _single_copy_network(self, kind: Kind, position: Position) -> int:
        """2d + network + the router's 2E, 3E with shared experts.

        Narrow networks, of no model in the catalog, have other moments; theirs is an upper bound.
        The first device also keeps 2d in builds that pipeline over RPC; in the others h where that
        is more than the router takes, less what of it moves into a freed gate block.
        """
        hidden, network = self._architecture.hidden, kind.layer.feed_forward
        width = head_width(kind.layer.attention)
        if _narrow(hidden, network):
            return 3 * hidden + width + _wide_inside(hidden, network)
        if isinstance(network, Dense):
            freed, slack, router, experts = network.intermediate, 0, 0, 0
        else:
            experts = network.experts
            freed, slack = network.used * network.intermediate, 3 * experts
            router = (3 if network.shared_intermediate else 2) * experts
        elements = 2 * hidden + _inside(hidden, network)
        if not position.first:
            return elements + router
        if self._settings.rpc_pipelines:
            return elements + 2 * hidden + 3 * experts
        if width >= freed + slack and (experts == 0 or position.layers >= 3):
            return elements + width - freed
        if kind == position.lone:
            return elements + max(router, width - freed)
        return elements + max(width, router)

    def _attention(self, kind: Kind, position: Position) -> int:
        """Bytes at the fattest moment of a layer's attention."""
        attention, network = kind.layer.attention, kind.layer.feed_forward
        if isinstance(attention, Latent):
            elements = self._latent(attention, position)
        else:
            elements = self._grouped(attention, position, last=kind.last)
        if not position.pipelined and _narrow(self._architecture.hidden, network):
            elements += self._architecture.hidden + head_width(attention)
            if isinstance(network, MixtureOfExperts):
                elements += 3 * network.experts
        return self._bytes(elements) + self._scores(kind, position)

    def _scores(self, kind: Kind, position: Position) -> int:
        """Bytes of the scores, H * cells, which only flash attention does without.

        MLA also copies V. The copy, or both, may take the room of the freed queries,
        H (latent + nope + 2 rope); where heads are wider than 2d there is d more.
        """
        attention, settings = kind.layer.attention, self._settings
        if settings.flash_attention:
            return 0
        scores = self._bytes(attention.heads * settings.cells(kind.window))
        if not isinstance(attention, Latent):
            return scores
        value_copy = 2 * settings.streams * settings.cells() * attention.kv_rank
        room = attention.heads * (attention.kv_rank + attention.nope_dim + 2 * attention.rope_dim)
        if value_copy > self._bytes(room):
            return scores + value_copy
        if head_width(attention) > 2 * self._architecture.hidden:
            room += self._architecture.hidden
        both_fit = scores + value_copy < self._bytes(room)
        return 0 if both_fit and not position.pipelined else scores

    def _latent(self, attention: Latent, position: Position) -> int:
        """3d + H (2 latent + nope + 3 rope); pipelined 11d, and 5d + H rope on the first device."""
        hidden, heads = self._architecture.hidden, attention.heads
        inside = heads * (2 * attention.kv_rank + attention.nope_dim + 3 * attention.rope_dim)
        if position.pipelined:
            first = 5 * hidden + heads * attention.rope_dim
            return 11 * hidden + inside + first * position.first
        return 3 * hidden + inside + hidden * (position.first and self._settings.rpc_pipelines)

    def _grouped(self, attention: Grouped, position: Position, *, last: bool) -> int:
        """2d + 2h; pipelined 10d (9d in the last layer with flash attention), 5d on the first.

        Without flash attention glm4moe has d more, and one copy of windowed layers on the first
        device h more.
        """
        hidden, flash = self._architecture.hidden, self._settings.flash_attention
        if position.pipelined:
            inputs = 10 - (last and flash) + 5 * position.first
        else:
            inputs = 2 + 2 * (position.first and self._settings.rpc_pipelines)
        if not flash and self._architecture.gguf_name == "glm4moe":
            inputs += 1
        query = position.first and not position.pipelined and not flash
        queries = 2 + (query and attention.window is not None)
        return inputs * hidden + queries * head_width(attention)


def head_width(attention: Attention) -> int:
    """Elements per token of all heads' outputs together."""
    per_head = attention.value_dim if isinstance(attention, Latent) else attention.head_dim
    return attention.heads * per_head


def _inside(hidden: int, network: FeedForward) -> int:
    """Elements inside a feed-forward network: up, gate and their product; of experts also down.

    The experts' down-projection takes a block of its own only if the freed up and gate blocks
    are too small for it.
    """
    if isinstance(network, Dense):
        return 3 * network.intermediate
    down = network.used * hidden if 2 * network.intermediate < hidden else 0
    return 3 * network.used * network.intermediate + down


def _narrow(hidden: int, network: FeedForward) -> bool:
    """Whether a network is too narrow for its inside to be the fattest moment."""
    if isinstance(network, Dense):
        return 4 * network.intermediate < 9 * hidden
    return 4 * network.used * network.intermediate < 9 * hidden


def _wide_inside(hidden: int, network: FeedForward) -> int:
    """Upper bound of `_inside` and the router, with nothing reused."""
    if isinstance(network, Dense):
        return 3 * network.intermediate
    return network.used * (3 * network.intermediate + hidden) + 3 * network.experts
