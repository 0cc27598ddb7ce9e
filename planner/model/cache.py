"""What one sequence keeps in each layer of a network: rows of a cache, and states.

Model layer, the same for every engine; what an engine rounds, copies or shares is its own matter.
Keys and values of grouped attention: 2 * kv_heads * head_dim elements per token. Latent attention:
kv_rank + rope_dim, once. Recurrent mixers: nothing per token, a state of constant size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, assert_never

from planner.model.architecture import (
    Architecture,
    Compressed,
    Grouped,
    Indexer,
    Latent,
    Layer,
    Mixer,
)
from planner.model.recurrent import (
    GatedDelta,
    GatedRecurrence,
    KimiDelta,
    Lightning,
    Mamba,
    Mamba2,
    Recurrent,
    ShortConvolution,
)
from planner.quantization.gguf_types import row_bytes

Growth = Literal["context", "window", "constant", "nothing"]
"""Whether a layer's memory grows with the context, ends at a window, or has one size."""

SCALED_BLOCK = 128
"""Elements that share a scale in index keys of vLLM: 132 B for 128."""
SCALE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a cache: one per token, or one per group of `ratio` tokens."""

    role: Literal["keys", "values", "latent", "index keys", "compressed"]
    width: int
    """Elements of a row, all heads together."""
    window: int | None = None
    """Tokens kept; None is all of them."""
    ratio: int = 1

    def count(self, tokens: int) -> int:
        """Rows of a sequence of `tokens` tokens: min(tokens, window) / ratio, whole groups only."""
        kept = tokens if self.window is None else min(tokens, self.window)
        return kept // self.ratio


@dataclass(frozen=True, slots=True)
class State:
    """Elements a layer keeps whatever the length of the sequence."""

    role: Literal["convolution", "recurrent", "open group"]
    elements: int


@dataclass(frozen=True, slots=True)
class LayerCache:
    """All one sequence keeps in one layer."""

    rows: tuple[Rows, ...] = ()
    states: tuple[State, ...] = ()

    @property
    def growth(self) -> Growth:
        """How the whole grows."""
        if any(rows.window is None for rows in self.rows):
            return "context"
        if self.rows:
            return "window"
        return "constant" if self.states else "nothing"

    def bytes_per_token(self, dtype: str, index_dtype: str | None = None) -> Fraction:
        """Bytes each further token adds, rows bounded by a window apart."""
        grown = (
            Fraction(_row(rows, dtype, index_dtype), rows.ratio)
            for rows in self.rows
            if rows.window is None
        )
        return sum(grown, Fraction(0))

    def rows_bytes(self, tokens: int, dtype: str, index_dtype: str | None = None) -> int:
        """Bytes of all rows of a sequence of `tokens` tokens."""
        return sum(rows.count(tokens) * _row(rows, dtype, index_dtype) for rows in self.rows)

    def window_bytes(self, dtype: str) -> int:
        """Bytes of the rows that a window bounds, once it is full."""
        return sum(
            rows.count(rows.window) * _row(rows, dtype, None)
            for rows in self.rows
            if rows.window is not None
        )

    def state_bytes(self, dtype: str = "f32") -> int:
        """Bytes of all states.

        Reference modules and llama.cpp keep them in single precision; vLLM takes the type from
        `--mamba-cache-dtype` and `--mamba-ssm-cache-dtype`.
        """
        return sum(element_bytes(dtype, state.elements) for state in self.states)


NOTHING = LayerCache()


def layer_cache(mixer: Mixer | None) -> LayerCache:
    """What one sequence keeps in a layer with this mixer; None is a block without."""
    match mixer:
        case None:
            return NOTHING
        case Grouped():
            return _grouped(mixer)
        case Latent():
            rows = Rows("latent", mixer.kv_rank + mixer.rope_dim)
            return LayerCache((rows, *_index_keys(mixer.indexer)))
        case Compressed():
            return _compressed(mixer)
        case _:
            return LayerCache(states=_states(mixer))


def _grouped(mixer: Grouped) -> LayerCache:
    """K and V of every KV head; a layer whose V is made of K's projection keeps both.

    K is rotated and both are normed, so they differ by the time they are stored (Gemma 4: two
    copies in transformers, vLLM and llama.cpp).
    """
    if mixer.borrowed_kv or mixer.cross:
        return NOTHING
    value_dim = mixer.value_dim or mixer.head_dim
    keys = Rows("keys", mixer.kv_heads * mixer.head_dim, mixer.window)
    values = Rows("values", mixer.kv_heads * value_dim, mixer.window)
    return LayerCache((keys, values, *_index_keys(mixer.indexer)))


def _index_keys(indexer: Indexer | None) -> tuple[Rows, ...]:
    """One key per token for all heads of the indexer (DeepSeek V3.2, GLM 5, MiniMax M3)."""
    return () if indexer is None else (Rows("index keys", indexer.head_dim),)


def _compressed(mixer: Compressed) -> LayerCache:
    """K, which is V, of the window; one row per group; what the open group is made of.

    Of the open group its values and weights, in single precision: 2 * (ratio * n) * (width * n),
    n being 2 where groups overlap. The indexer keeps the same of its narrower rows.

    Source: the publisher's module (buffers `kv_state` and `score_state` of its compressor), the
    same block shapes in vLLM.
    """
    rows = [Rows("keys", mixer.head_dim, mixer.window)]
    states = []
    if mixer.ratio:
        widths = [mixer.head_dim]
        rows.append(Rows("compressed", mixer.head_dim, ratio=mixer.ratio))
        if mixer.indexer is not None:
            widths.append(mixer.indexer.head_dim)
            rows.append(Rows("index keys", mixer.indexer.head_dim, ratio=mixer.ratio))
        groups = 2 if mixer.overlaps else 1
        open_group = sum(2 * groups * mixer.ratio * groups * width for width in widths)
        states.append(State("open group", open_group))
    return LayerCache(tuple(rows), tuple(states))


def _states(mixer: Recurrent) -> tuple[State, ...]:
    """The last kernel - 1 inputs of the short convolution, and the recurrent state.

    GatedDelta: (kernel - 1) * (2 * key_heads * key_dim + value_heads * value_dim), and
    value_heads * key_dim * value_dim. KimiDelta: (kernel - 1) * 3 * heads * head_dim, and
    heads * head_dim^2. Lightning: heads * head_dim^2. Mamba: (kernel - 1) * inner, and
    inner * state. Mamba2: (kernel - 1) * (heads * head_dim + 2 * groups * state), and
    heads * head_dim * state.

    Source: reference modules of Hugging Face transformers 5.24, which keep one input more; the
    n_embd_r and n_embd_s of llama.cpp b11434 (src/llama-hparams.cpp).
    """
    match mixer:
        case GatedDelta():
            values = mixer.value_heads * mixer.value_dim
            channels = 2 * mixer.key_heads * mixer.key_dim + values
            return _convolved(mixer.kernel, channels, mixer.key_dim * values)
        case KimiDelta():
            inner = mixer.heads * mixer.head_dim
            return _convolved(mixer.kernel, 3 * inner, inner * mixer.head_dim)
        case Lightning():
            return (State("recurrent", mixer.heads * mixer.head_dim**2),)
        case Mamba():
            return _convolved(mixer.kernel, mixer.inner, mixer.inner * mixer.state)
        case Mamba2():
            inner = mixer.heads * mixer.head_dim
            channels = inner + 2 * mixer.groups * mixer.state
            return _convolved(mixer.kernel, channels, inner * mixer.state)
        case ShortConvolution():
            return (State("convolution", (mixer.kernel - 1) * mixer.channels),)
        case GatedRecurrence():
            return _convolved(mixer.kernel, mixer.width, mixer.width)
        case _:
            assert_never(mixer)


def _convolved(kernel: int, channels: int, recurrent: int) -> tuple[State, ...]:
    return State("convolution", (kernel - 1) * channels), State("recurrent", recurrent)


@dataclass(frozen=True, slots=True)
class CacheGroup:
    """Layers that keep the same, and what one sequence keeps in all of them."""

    mixer: str
    """Kind of mixer, `none` for blocks without."""
    growth: Growth
    window: int | None
    """Tokens of the window where the layer has one."""
    layers: int
    bytes_per_token: Fraction
    """Bytes every further token adds; whole except for compressed rows."""
    window_bytes: int
    """Most bytes of what a window bounds."""
    state_bytes: int
    bytes: int
    """Of a sequence of the asked length, states included."""


def cache_bytes(
    architecture: Architecture,
    context: int,
    dtype: str = "f16",
    *,
    index_dtype: str | None = None,
    state_dtype: str = "f32",
) -> tuple[CacheGroup, ...]:
    """What one sequence of `context` tokens keeps, by kind of layer, in order of appearance.

    MTP blocks are not run in plain decoding and keep nothing.

    Args:
        architecture: the network.
        context: tokens of the sequence.
        dtype: type of keys, values and latents: a ggml type or `fp8`.
        index_dtype: type of index keys where it is another, e.g. `fp8-scaled`.
        state_dtype: type of convolution and recurrent states.
    """
    groups = Counter(
        ("none" if layer.mixer is None else layer.mixer.kind, cache)
        for layer, cache in caches(architecture)
    )
    found = []
    for (name, cache), layers in groups.items():
        windows = (rows.window for rows in cache.rows if rows.window is not None)
        state = layers * cache.state_bytes(state_dtype)
        found.append(
            CacheGroup(
                mixer=name,
                growth=cache.growth,
                window=min(windows, default=None),
                layers=layers,
                bytes_per_token=layers * cache.bytes_per_token(dtype, index_dtype),
                window_bytes=layers * cache.window_bytes(dtype),
                state_bytes=state,
                bytes=layers * cache.rows_bytes(context, dtype, index_dtype) + state,
            )
        )
    return tuple(found)


def caches(architecture: Architecture) -> Iterator[tuple[Layer, LayerCache]]:
    """Every layer that is run, with its cache; embedding models have none."""
    for layer in architecture.layers:
        if not layer.mtp:
            yield layer, _whole_cache(layer) if architecture.decodes else NOTHING


def _whole_cache(layer: Layer) -> LayerCache:
    """What a layer's mixer keeps, and the recurrent one beside it."""
    cache = layer_cache(layer.mixer)
    if layer.beside is None:
        return cache
    return LayerCache(cache.rows, cache.states + _states(layer.beside))


def element_bytes(dtype: str, elements: int) -> int:
    """Bytes of a row of `elements` elements.

    `fp8` is a byte each, `fp8-scaled` also a scale per `SCALED_BLOCK`; others are ggml types.

    Raises:
        FactsError: no such type, or the row is no whole number of its blocks.
    """
    match dtype:
        case "fp8":
            return elements
        case "fp8-scaled":
            return elements + SCALE_BYTES * -(-elements // SCALED_BLOCK)
        case _:
            return row_bytes(dtype, elements)


def _row(rows: Rows, dtype: str, index_dtype: str | None) -> int:
    chosen = index_dtype if rows.role == "index keys" and index_dtype else dtype
    return element_bytes(chosen, rows.width)
