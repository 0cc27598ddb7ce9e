"""The fattest moments of one layer in llama.cpp's graph: in its feed-forward network, in attention.

Fitted to the tables the engine printed (`tests/reality/llama_*.csv`); legend in `compute`.
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

F32 = 4
WHOLE_LAST_LAYER = frozenset({"gpt-oss"})
"""Architectures whose last feed-forward network runs on all tokens, not on the outputs only."""
QUERY_FREED_ABOVE = {"deepseek2": 0, "glm4moe": 0, "gpt-oss": 0, "llama": 256, "qwen3moe": 0}
"""Cells above which, without flash attention, the first device keeps no h."""
GEMMA_SHORT = 1024
"""Cells up to which gemma3 without flash attention keeps one d more beside its networks."""


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
    full_first: bool = False
    """Its first layer has full attention, the others have windows."""


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


class Peaks:
    """Sizes of these moments for one network under one set of settings."""

    __slots__ = ("_architecture", "_settings")

    def __init__(self, architecture: Architecture, settings: Settings) -> None:
        self._architecture = architecture
        self._settings = settings

    def bytes(self, elements: int) -> int:
        """F32 bytes of `elements` per token of a step."""
        return F32 * self._settings.rows * elements

    def feed_forward(self, kind: Kind, position: Position) -> int:
        """Bytes at the fattest moment of a layer's feed-forward network."""
        if kind.last and self._architecture.gguf_name not in WHOLE_LAST_LAYER:
            return 0
        elements = self._pipelined_network if position.pipelined else self._single_copy_network
        return self.bytes(elements(kind, position))

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
        if self._architecture.gguf_name == "gemma3" and not self._settings.flash_attention:
            if position.first:
                elements += width
            elif self._settings.cells() <= GEMMA_SHORT:
                elements += hidden
        if not position.first or self._frees_query():
            return elements + router
        if self._settings.rpc_pipelines:
            return elements + 2 * hidden + 3 * experts
        if width >= freed + slack and (experts == 0 or position.layers >= 3):
            return elements + width - freed
        if kind == position.lone and not self._settings.quantized_cache:
            return elements + max(router, width - freed)
        return elements + max(width, router)

    def _frees_query(self) -> bool:
        """Whether the first device keeps no h: the scores come after it in its place."""
        above = QUERY_FREED_ABOVE.get(self._architecture.gguf_name)
        if above is None or self._settings.flash_attention:
            return False
        return self._settings.cells() > above

    def attention(self, kind: Kind, position: Position) -> int:
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
        return self.bytes(elements) + self._scores(kind, position)

    def _scores(self, kind: Kind, position: Position) -> int:
        """Bytes of the scores, H * cells, which only flash attention does without.

        MLA also copies V. The copy, or both, may take the room of the freed queries,
        H (latent + nope + 2 rope); where heads are wider than 2d there is d more.
        """
        attention, settings = kind.layer.attention, self._settings
        if settings.flash_attention:
            return 0
        scores = self.bytes(attention.heads * settings.cells(kind.window))
        if not isinstance(attention, Latent):
            return scores
        value_copy = 2 * settings.streams * settings.cells() * attention.kv_rank
        room = attention.heads * (attention.kv_rank + attention.nope_dim + 2 * attention.rope_dim)
        if value_copy > self.bytes(room):
            return scores + value_copy
        if head_width(attention) > 2 * self._architecture.hidden:
            room += self._architecture.hidden
        both_fit = scores + value_copy < self.bytes(room)
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

        Without flash attention glm4moe has d more.
        """
        hidden, flash = self._architecture.hidden, self._settings.flash_attention
        if position.pipelined:
            inputs = 10 - (last and flash) + 5 * position.first
        else:
            inputs = 2 + 2 * (position.first and self._settings.rpc_pipelines)
        if not flash and self._architecture.gguf_name == "glm4moe":
            inputs += 1
        return inputs * hidden + 2 * head_width(attention)


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
