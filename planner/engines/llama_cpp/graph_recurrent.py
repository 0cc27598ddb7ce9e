"""Recurrent mixers as the operations llama.cpp makes of them. Engine layer.

Source: build_mamba_layer, build_mamba2_layer, build_delta_net_fused and build_rs of llama.cpp
b11434 (src/models/mamba-base.cpp, delta-net-base.cpp, src/llama-graph.cpp), with the graphs of
qwen3next, qwen35 and kimi-linear; what b10434 prints agrees.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from planner.engines.llama_cpp.ggml_alloc import Tensor
from planner.engines.llama_cpp.graph_tape import F32, Tape
from planner.engines.llama_cpp.graph_traits import Traits
from planner.engines.llama_cpp.settings import Settings
from planner.errors import UnsupportedArchitecture
from planner.model.cache import layer_cache
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


class Seam(NamedTuple):
    """What Mamba blocks do where one device hands over to another.

    A block starts with gathering its state, before the state of the tokens comes in. The gate of
    the Mamba block before is copied only then, and so on the device that gathers, unless anything
    between has forced it: attention does, and a mixture of experts.
    """

    leads: bool = False
    """A Mamba block of a device other than the first starts before the state comes in."""
    sums: bool = False
    """The state that comes in is still to be made: of a residual, and what experts made."""
    borrowed: Mamba | Mamba2 | None = None
    """The mixer of an earlier device whose gate is copied on this one."""
    lends: bool = False
    """The gate of the last Mamba block is copied on a later device."""


def gate_sizes(mixer: Mamba | Mamba2) -> tuple[int, int]:
    """Elements per token of a gate, and of what it is a part of."""
    if isinstance(mixer, Mamba):
        return mixer.inner, 2 * mixer.inner
    inner = mixer.heads * mixer.head_dim
    return inner, 2 * inner + 2 * mixer.groups * mixer.state + mixer.heads


def no_rules(kind: str) -> UnsupportedArchitecture:
    """The error that no rules are known for blocks with a mixer of this kind."""
    return UnsupportedArchitecture(
        f"no rules for llama.cpp's memory of blocks with mixer '{kind}'",
        hint="blocks of attention, gated delta, Kimi delta and Mamba are known",
    )


def recurrence(
    tape: Tape,
    traits: Traits,
    settings: Settings,
    hidden: int,
    mixer: Recurrent,
    state: Tensor,
    seam: Seam,
    *,
    lends: bool,
) -> Tensor:
    """What a recurrent mixer makes of the state of all tokens.

    Args:
        tape: where its operations go.
        traits: of the architecture.
        settings: flags of the server.
        hidden: channels of the state.
        mixer: the mixer.
        state: the state after its norm.
        seam: how the device starts and ends.
        lends: whether this mixer's gate is copied on a later device.

    Raises:
        UnsupportedArchitecture: no rules for the memory of this mixer.
    """
    graph = _Recurrence(tape, traits, settings, hidden, mixer, seam, lends=lends)
    match mixer:
        case GatedDelta():
            return graph.gated_delta(mixer, state)
        case KimiDelta():
            return graph.kimi_delta(mixer, state)
        case Mamba():
            return graph.mamba(mixer, state)
        case Mamba2():
            return graph.mamba2(mixer, state)
        case Lightning() | ShortConvolution() | GatedRecurrence():
            raise no_rules(mixer.kind)
        case _:
            assert_never(mixer)


class _Recurrence:
    """One mixer in the making."""

    __slots__ = ("_hidden", "_lends", "_parts", "_seam", "_settings", "_tape", "_traits")

    def __init__(
        self,
        tape: Tape,
        traits: Traits,
        settings: Settings,
        hidden: int,
        mixer: Recurrent,
        seam: Seam,
        *,
        lends: bool,
    ) -> None:
        self._seam = seam
        self._lends = lends
        self._tape = tape
        self._traits = traits
        self._settings = settings
        self._hidden = hidden
        self._parts: dict[str, int] = {
            part.role: part.elements for part in layer_cache(mixer).states
        }

    def mamba(self, mixer: Mamba, state: Tensor) -> Tensor:
        """Input, convolution, step sizes and matrices from it, scan, gate, output."""
        tape, inner, rank = self._tape, mixer.inner, mixer.rank
        before = tape.view(self._awaited("convolution"))
        both = tape.value(2 * inner, tape.view(state))
        given, gate = tape.view(both), tape.view(both)
        mixed = self._convolved(inner, mixer.kernel, before, given, bias=mixer.conv_bias)
        small = tape.value(rank + 2 * mixer.state, mixed)
        step, left, right = (tape.view(small) for _ in range(3))
        if mixer.norms:
            step = tape.norm(step, rank, layout=("step",))
            left = tape.norm(left, mixer.state, layout=("left",))
            right = tape.norm(right, mixer.state, layout=("right",))
        else:
            step = tape.value(rank, step)
        step = tape.scaled(tape.value(inner, step), inner)
        found = self._scanned(inner, tape.view(mixed), step, left, right)
        made = tape.value(inner, found, tape.value(inner, mixed), in_place=True)
        made = tape.value(inner, self._opened(inner, gate), made)
        return tape.view(tape.value(self._hidden, made))

    def mamba2(self, mixer: Mamba2, state: Tensor) -> Tensor:
        """Input, convolution, scan, gate, norm, output."""
        tape, inner = self._tape, mixer.heads * mixer.head_dim
        channels = inner + 2 * mixer.groups * mixer.state
        before = tape.view(self._awaited("convolution"))
        whole = tape.view(tape.value(inner + channels + mixer.heads, state))
        gate, given, step = (tape.view(whole) for _ in range(3))
        mixed = self._convolved(channels, mixer.kernel, before, given, bias=mixer.conv_bias)
        values, left, right = (tape.view(mixed) for _ in range(3))
        step = tape.scaled(tape.value(mixer.heads, step), mixer.heads)
        found = self._scanned(inner, values, step, left, right)
        made = tape.value(inner, found, tape.value(inner, values), in_place=True)
        made = tape.value(inner, self._opened(inner, gate), made)
        if mixer.norm:
            made = tape.norm(tape.view(made), inner, layout=("groups",))
        return tape.view(tape.value(self._hidden, tape.view(made)))

    def gated_delta(self, mixer: GatedDelta, state: Tensor) -> Tensor:
        """Projections, convolution, the fused recurrence, gated norm, output."""
        tape, heads = self._tape, mixer.value_heads
        keys, values = mixer.key_heads * mixer.key_dim, heads * mixer.value_dim
        channels = 2 * keys + values
        given, gate = tape.value(channels, state), tape.value(values, state)
        decay, strength = self._decays(heads, state)
        before = tape.view(self._state("convolution"))
        mixed = self._convolved(channels, mixer.kernel, before, tape.view(given), bias=False)
        memory = tape.view(self._state("recurrent"))
        parts = [tape.view(mixed) for _ in range(3)]
        queries, kept = (self._unit(keys, part) for part in parts[:2])
        if self._traits.repeats_keys and mixer.key_heads != heads:
            wide = heads * mixer.key_dim
            queries = tape.view(tape.value(wide, tape.view(queries)))
            kept = tape.view(tape.value(wide, tape.view(kept)))
        found = self._updated(values, queries, kept, parts[2], decay, strength, memory)
        normed = tape.norm(found, values, layout=("heads",))
        opened = tape.value(values, tape.view(gate), layout=("heads",))
        made = tape.value(values, normed, opened, in_place=True, layout=("heads",))
        return tape.view(tape.value(self._hidden, tape.view(made)))

    def _decays(self, heads: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Decay and strength of the update, one of each per head."""
        tape = self._tape
        if self._traits.one_beta_alpha:
            both = tape.value(2 * heads, state)
            strength = tape.value(heads, tape.value(heads, tape.view(both)), in_place=True)
            strength = tape.view(strength)
            step = tape.scaled(tape.value(heads, tape.view(both)), heads)
        else:
            strength = tape.value(heads, tape.view(tape.value(heads, state)))
            step = tape.value(heads, tape.view(tape.value(heads, state)))
        for _ in range(2):
            step = tape.value(heads, step, in_place=True)
        return tape.view(step), strength

    def kimi_delta(self, mixer: KimiDelta, state: Tensor) -> Tensor:
        """Three convolutions, a decay per channel, the fused recurrence, gated norm, output."""
        tape, width = self._tape, mixer.head_dim
        inner = mixer.heads * width
        before = self._state("convolution")
        parts = []
        for _ in range(3):
            given = tape.view(tape.value(inner, state))
            kept = self._joined(inner, mixer.kernel, tape.view(before), given)
            opened = tape.value(inner, tape.view(tape.value(inner, kept)))
            parts.append(tape.view(opened))
        decay = tape.scaled(tape.value(inner, tape.value(width, state)), inner, bias=True)
        decay = tape.view(tape.value(inner, tape.view(decay)))
        strength = tape.value(mixer.heads, tape.view(tape.value(mixer.heads, state)))
        memory = tape.view(self._state("recurrent"))
        queries, keys = (self._unit(inner, part) for part in parts[:2])
        found = self._updated(inner, queries, keys, parts[2], decay, strength, memory, copied=True)
        gate = tape.view(tape.value(inner, tape.value(width, tape.view(state))))
        normed = tape.norm(tape.view(found), inner, layout=("heads",))
        opened = tape.value(inner, gate, layout=("heads",))
        made = tape.value(inner, normed, opened, in_place=True, layout=("heads",))
        return tape.value(self._hidden, tape.value(inner, made))

    def _state(self, role: str) -> Tensor:
        """The state of every sequence, gathered from the cache.

        A second gather is of the states of no sequence, but it is a tensor.
        """
        tape, slots = self._tape, self._settings.slots
        size = F32 * slots * self._parts[role]
        found = Tensor(size, (tape.entry("state rows", F32 * slots),), layout=(role,))
        tape.run(found)
        if not self._settings.rpc_pipelines:
            self._gather_rest(0)
        return found

    def _awaited(self, role: str) -> Tensor:
        """As `_state`, before the state of the tokens comes in from another device."""
        tape = self._tape
        found = self._state(role)
        if self._seam.leads and not tape.parts:
            if self._seam.borrowed is not None:
                inner, whole = gate_sizes(self._seam.borrowed)
                given = tape.entry("borrowed gate", F32 * ((tape.rows - 1) * whole + inner))
                tape.store(tape.value(inner, given))
            tape.part()
        return found

    def _opened(self, inner: int, gate: Tensor) -> Tensor:
        """A copy of the gate; one made elsewhere comes in after what it is a part of is freed."""
        tape = self._tape
        if not self._lends:
            return tape.value(inner, gate)
        copy = tape.value(inner, Tensor(0, (gate,), stored=True))
        tape.part_after(copy)
        return copy

    def _gather_rest(self, size: int) -> None:
        """The states of sequences that are not in the step."""
        rows = self._tape.entry("rest of the state rows", 0)
        rest = Tensor(size, (rows,), layout=("rest",))
        self._tape.store(rest)

    def _joined(self, channels: int, kernel: int, before: Tensor, given: Tensor) -> Tensor:
        """The inputs of a convolution behind those kept, of which the last are kept anew."""
        tape = self._tape
        rows = tape.rows + self._settings.slots * (kernel - 1)
        joined = Tensor(F32 * rows * channels, (before, tape.view(given)), layout=("joined",))
        tape.store(tape.view(joined))
        return joined

    def _convolved(
        self, channels: int, kernel: int, before: Tensor, given: Tensor, *, bias: bool
    ) -> Tensor:
        """A short convolution and its activation."""
        tape = self._tape
        found = tape.value(channels, self._joined(channels, kernel, before, given))
        return tape.scaled(found, channels, bias=bias)

    def _scanned(
        self, inner: int, values: Tensor, step: Tensor, left: Tensor, right: Tensor
    ) -> Tensor:
        """The selective scan; its result holds the new states behind the values."""
        tape, slots = self._tape, self._settings.slots
        size = F32 * (tape.rows * inner + slots * self._parts["recurrent"])
        rows = tape.entry("state rows", F32 * slots)
        found = Tensor(size, (values, step, left, right, rows), layout=("scan",))
        tape.run(found)
        more = slots - 1 if self._settings.rpc_pipelines else 0
        self._gather_rest(F32 * more * self._parts["recurrent"])
        tape.store(tape.view(found))
        return tape.view(found)

    def _updated(
        self,
        width: int,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        decay: Tensor,
        strength: Tensor,
        memory: Tensor,
        *,
        copied: bool = False,
    ) -> Tensor:
        """The delta rule over all tokens; its result holds the new states behind the values."""
        tape = self._tape
        size = F32 * (tape.rows * width + self._settings.slots * self._parts["recurrent"])
        operands = (queries, keys, values, decay, strength, memory)
        found = Tensor(size, operands, layout=("delta",))
        output, states = tape.view(found), tape.view(found)
        if copied:
            output = tape.value(width, output)
        tape.store(states)
        return output

    def _unit(self, width: int, of: Tensor) -> Tensor:
        """Heads made as long as one."""
        found = self._tape.value(width, of, layout=("unit",))
        return self._tape.value(width, found, in_place=True, layout=("unit",))
