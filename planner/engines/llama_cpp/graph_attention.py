"""Attention as the operations llama.cpp makes of it. Engine layer.

Source: build_qkv, build_attn and build_attn_mha of llama.cpp b11434, src/llama-graph.cpp, and
src/models/deepseek2.cpp.
"""

from __future__ import annotations

from planner.engines.llama_cpp.ggml_alloc import Tensor
from planner.engines.llama_cpp.graph_tape import F32, INDEX, Tape
from planner.engines.llama_cpp.graph_traits import Traits
from planner.engines.llama_cpp.settings import Settings
from planner.engines.llama_cpp.state import widest_value
from planner.model.architecture import Architecture, Grouped, Latent
from planner.quantization.gguf_types import block_of

F16 = 2
SMALLEST_ROTATION = 64
"""Side of the matrix that rotates V before it is quantized; heads it does not divide are left."""


def key_rotation(head_dim: int) -> int:
    """Side of the matrix that rotates K before it is quantized: the largest that fits; or 0."""
    side = head_dim & -head_dim
    return side if side >= SMALLEST_ROTATION else 0


def value_rotation(value_dim: int) -> int:
    """Side of the matrix that rotates V; 0 is none."""
    return 0 if value_dim % SMALLEST_ROTATION else SMALLEST_ROTATION


class AttentionGraph:
    """Attention of one network under one set of settings."""

    __slots__ = ("_hidden", "_settings", "_tape", "_traits", "_values", "_windowed")

    def __init__(
        self, tape: Tape, traits: Traits, architecture: Architecture, settings: Settings
    ) -> None:
        grouped = [layer.mixer for layer in architecture.layers if isinstance(layer.mixer, Grouped)]
        self._tape = tape
        self._traits = traits
        self._settings = settings
        self._hidden = architecture.hidden
        self._windowed = any(mixer.window for mixer in grouped)
        self._values = widest_value(architecture.layers)

    def latent(self, attention: Latent, state: Tensor) -> Tensor:
        """MLA with the up-projections absorbed into queries and outputs: one wide KV head."""
        tape, heads, rank, rope = self._tape, attention.heads, attention.kv_rank, attention.rope_dim
        queries = tape.view(self._latent_queries(attention, state))
        both = tape.value(rank + rope, state)
        turns = not self._traits.latent_unturned
        turned = tape.view(both)
        if turns:
            turned = self._turned(rope, turned, "k_rope")
        normed = tape.norm(tape.view(both), rank, layout=("latent",))
        nope_part, rope_part = tape.view(queries), tape.view(queries)
        if turns:
            rope_part = self._turned(heads * rope, rope_part, "q_rope")
        absorbed = tape.view(tape.value(heads * rank, tape.view(nope_part)))
        query = tape.value(heads * (rank + rope), absorbed, rope_part)
        latent = tape.view(normed)
        key = tape.value(rank + rope, latent, turned)
        for part in (query, latent, key):
            tape.run(part)
        tape.store(tape.view(key), self._places("key", None))
        found = self._scored(
            tape.view(tape.view(query)), attention.heads, rank, None, value_copy=rank
        )
        if self._settings.flash_attention:
            found = tape.value(heads * attention.value_dim, tape.view(found))
            found = tape.view(tape.value(heads * attention.value_dim, tape.view(found)))
        else:
            found = tape.value(heads * attention.value_dim, found)
            found = tape.value(heads * attention.value_dim, tape.view(found))
        tape.run(found)
        return tape.value(self._hidden, found)

    def _latent_queries(self, attention: Latent, state: Tensor) -> Tensor:
        width = attention.heads * (attention.nope_dim + attention.rope_dim)
        if attention.query_rank is None:
            return self._tape.value(width, state)
        rank = attention.query_rank
        return self._tape.value(width, self._tape.norm(self._tape.value(rank, state), rank))

    def grouped(self, attention: Grouped, state: Tensor, layer: int) -> Tensor:
        """Grouped-query attention of layer number `layer`."""
        tape, settings = self._tape, self._settings
        query, key, value = self._projected(attention, state)
        gate = tape.view(query) if attention.output_gate and not attention.gate_apart else None
        turns = self._turns(attention, layer)
        query = self._prepared(attention, query, attention.heads, turns, "q")
        key = self._prepared(attention, key, attention.kv_heads, turns, "k")
        if self._traits.norms_values:
            value = tape.value(attention.kv_heads * attention.head_dim, value)
        query, key, value = self._rotated(attention, query, key, value)
        for part in (query, key, value) if self._windowed else (query, value, key):
            tape.run(part)
        tape.store(tape.view(key), self._places("key", attention.window))
        tape.store(tape.view(value), self._places("value", attention.window))
        value_dim = attention.value_dim or attention.head_dim
        width = attention.heads * value_dim
        found = self._scored(
            tape.view(tape.view(query)), attention.heads, value_dim, attention.window
        )
        if settings.flash_attention:
            found = tape.view(found)
        else:
            found = tape.value(width, tape.view(found))
        tape.run(found)
        if value_rotation(value_dim) and block_of(settings.value_type).weights > 1:
            rotation = self._rotation("value", value_rotation(value_dim), attention.window)
            found = tape.view(tape.value(width, rotation, tape.view(found)))
        if attention.head_gate:
            per_head = tape.value(attention.heads, state)
            per_head = tape.value(attention.heads, per_head, in_place=True)
            found = tape.view(tape.value(width, tape.view(found), tape.view(per_head)))
        if attention.output_gate and attention.gate_apart:
            opened = tape.value(width, tape.value(width, state), in_place=True)
            found = tape.value(width, tape.view(found), opened, in_place=True)
        if gate is not None:
            opened = tape.value(width, tape.value(width, gate), in_place=True)
            found = tape.value(width, found, opened, in_place=True)
        output = tape.value(self._hidden, found)
        return tape.scaled(output, self._hidden) if attention.output_bias else output

    def _projected(self, attention: Grouped, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, as views of their matrices' results."""
        tape, head = self._tape, attention.head_dim
        query, key = attention.heads * head, attention.kv_heads * head
        value = attention.kv_heads * (attention.value_dim or head)
        if self._traits.one_qkv:
            fused = tape.value(query + key + value, state)
            return tape.view(fused), tape.view(fused), tape.view(fused)

        def one(width: int) -> Tensor:
            found = tape.value(width, state)
            return tape.view(tape.scaled(found, width) if attention.bias else found)

        if attention.shared_kv:
            found = tape.value(key, state)
            return one(query), tape.view(found), tape.view(found)
        wide = attention.output_gate and not attention.gate_apart
        return one(2 * query if wide else query), one(key), one(value)

    def _turns(self, attention: Grouped, layer: int) -> bool:
        """Whether the layer has rotary positions."""
        traits = self._traits
        if traits.never_turns:
            return False
        if traits.turns_windows_only and self._windowed:
            return attention.window is not None
        return traits.turns_not_every is None or (layer + 1) % traits.turns_not_every != 0

    def _prepared(
        self, attention: Grouped, of: Tensor, heads: int, turns: bool, name: str
    ) -> Tensor:
        """Queries or keys after norm and rotation: both take one new place together."""
        width = heads * attention.head_dim
        if attention.qk_norm and not attention.qk_norm_spans_heads:
            mean = self._traits.layer_norm
            of = self._tape.norm(of, width, mean=mean, layout=(name, width))
        if turns:
            return self._turned(width, of, name)
        if name == "q" and self._traits.scales_unturned_queries:
            scale = self._tape.entry("query scale", F32 * self._tape.rows)
            return self._tape.value(width, of, scale, in_place=True, layout=(name, width))
        return of

    def _turned(self, width: int, of: Tensor, name: str) -> Tensor:
        size = F32 * self._tape.rows * self._traits.positions
        positions = self._tape.entry("positions", size)
        return self._tape.value(width, of, positions, in_place=True, layout=(name, width))

    def _rotated(
        self, attention: Grouped, query: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Each times the matrix that evens it out before it is quantized."""
        tape, settings, window = self._tape, self._settings, attention.window
        head = attention.head_dim
        if key_rotation(head) and block_of(settings.key_type).weights > 1:
            rotation = self._rotation("key", key_rotation(head), window)
            query = tape.view(tape.value(attention.heads * head, rotation, tape.view(query)))
            key = tape.view(tape.value(attention.kv_heads * head, rotation, tape.view(key)))
        value_dim = attention.value_dim or head
        if value_rotation(value_dim) and block_of(settings.value_type).weights > 1:
            width = attention.kv_heads * value_dim
            rotation = self._rotation("value", value_rotation(value_dim), window)
            value = tape.view(tape.value(width, rotation, tape.view(value)))
        return query, key, value

    def _scored(
        self, query: Tensor, heads: int, value_dim: int, window: int | None, value_copy: int = 0
    ) -> Tensor:
        """Values weighed by their scores; `value_copy` elements per cell are copied for it."""
        tape, settings = self._tape, self._settings
        cells = settings.cells(window)
        element = F16 if settings.flash_attention else F32
        mask = tape.entry(f"mask {window is None}", element * tape.rows * cells)
        if settings.flash_attention:
            return tape.value(heads * value_dim, query, mask)
        scores = tape.value(heads * cells, query)
        scores = tape.value(heads * cells, scores, mask, in_place=True)
        if not value_copy:
            return tape.value(heads * value_dim, scores)
        copy = Tensor(F16 * settings.streams * cells * value_copy, layout=("value copy",))
        return tape.value(heads * value_dim, copy, scores)

    def _places(self, part: str, window: int | None) -> Tensor:
        """Where in the cache K or V of each token goes; V one by one where it is transposed."""
        by_element = part == "value" and not self._settings.flash_attention
        count = self._values if by_element else 1
        return self._tape.entry(f"{part} places {window is None}", INDEX * self._tape.rows * count)

    def _rotation(self, part: str, side: int, window: int | None) -> Tensor:
        return self._tape.entry(f"{part} rotation {window is None}", F32 * side * side)
