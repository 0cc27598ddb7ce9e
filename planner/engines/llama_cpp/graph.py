"""The graph of a window of slots on one device, and the bytes it reserves. Engine layer.

A device runs the layers it holds. What lies before them is an input: of the first device the
embedded tokens, of the others the state and its norm, which the device before computes.
"""

from __future__ import annotations

from typing import NamedTuple

from planner.engines.llama_cpp.ggml_alloc import Tensor
from planner.engines.llama_cpp.graph_attention import AttentionGraph
from planner.engines.llama_cpp.graph_networks import feed_forward
from planner.engines.llama_cpp.graph_recurrent import Seam, no_rules, recurrence
from planner.engines.llama_cpp.graph_tape import F32, INDEX, Tape
from planner.engines.llama_cpp.graph_traits import traits_of
from planner.engines.llama_cpp.settings import Settings
from planner.model.architecture import (
    Architecture,
    Compressed,
    Grouped,
    Latent,
    Layer,
    Mixer,
)
from planner.model.recurrent import Mamba, Mamba2


class Place(NamedTuple):
    """What the graph of a device depends on beside its layers."""

    first: bool
    """Embedded tokens come in."""
    last: bool
    """The last of its layers is the network's last."""
    output: bool
    """It makes the logits."""
    pipelined: bool
    norm_before: bool = True
    """Whether the device before computes the first norm. So it is in the table llama-server
    prints; once it has loaded the model, it lets each device compute its own."""
    norm_after: bool = True
    """Whether it computes the first norm of the next device."""
    seam: Seam = Seam()


def is_mamba(layer: Layer) -> bool:
    """Whether the mixer of a block is a selective state space."""
    return isinstance(layer.mixer, Mamba | Mamba2)


def graph_bytes(
    architecture: Architecture,
    settings: Settings,
    layers: tuple[tuple[int, Layer], ...],
    place: Place,
) -> int:
    """Bytes that a device with these layers, each with its number, reserves."""
    return _DeviceGraph(architecture, settings, place).bytes(layers)


class _DeviceGraph:
    """One graph in the making."""

    __slots__ = ("_architecture", "_attention", "_place", "_settings", "_tape", "_traits")

    def __init__(self, architecture: Architecture, settings: Settings, place: Place) -> None:
        self._architecture = architecture
        self._settings = settings
        self._place = place
        self._traits = traits_of(architecture.gguf_name)
        self._tape = Tape(settings.rows, pipelined=place.pipelined)
        self._attention = AttentionGraph(self._tape, self._traits, architecture, settings)

    def bytes(self, layers: tuple[tuple[int, Layer], ...]) -> int:
        tape, hidden = self._tape, self._architecture.hidden
        if not layers:
            return self._output_alone() if self._place.output else 0
        embedded, state, normed = self._entrance()
        whole = self._traits.whole_last_layer
        lending = -1
        if self._place.seam.lends:
            lending = max(i for i, (_, one) in enumerate(layers) if is_mamba(one))
        for index, (number, layer) in enumerate(layers):
            ends = self._place.last and index == len(layers) - 1
            if index:
                normed = self._norm_before(state)
            state = self._block(
                layer,
                number,
                state,
                normed,
                outputs_only=ends and not whole,
                lends=index == lending,
            )
            if number < self._traits.image_layers:
                state = tape.value(hidden, state, self._image(embedded, number), in_place=True)
        if self._place.output:
            self._logits(state)
        else:
            hands_on = self._place.norm_after and not self._traits.norms_on_outputs
            tape.run(self._norm_alone(state) if hands_on or self._place.last else state)
        return tape.bytes()

    def _entrance(self) -> tuple[Tensor | None, Tensor, Tensor]:
        """The embedding with images if there is one, the state, and the state after its norm."""
        tape, place, traits = self._tape, self._place, self._traits
        hidden = self._architecture.hidden
        size = F32 * tape.rows * hidden
        if not place.first and place.norm_before and not traits.norms_on_outputs:
            given = tape.entry("norm", size)
            normed = tape.scaled(given, hidden, bias=self._architecture.norm_bias)
            return None, self._given(), normed
        if not place.first:
            state = self._given()
            if place.seam.sums:
                made = tape.entry("made", size, layout=state.layout)
                pair = (state, made) if traits.residual_first else (made, state)
                state = tape.value(hidden, *pair, in_place=True)
            return None, state, self._norm_before(state)
        wide = hidden * (1 + traits.image_layers)
        if self._settings.rpc_pipelines or place.pipelined:
            self._mix_embeddings(wide)
        embedded, state = None, self._given()
        if traits.image_layers:
            embedded = tape.value(wide, state)
            state = tape.view(embedded)
        if traits.scaled_embedding:
            state = tape.value(hidden, state, in_place=True, layout=state.layout)
        return embedded, state, self._norm_before(state)

    def _given(self) -> Tensor:
        """The state that comes in; it can be worked on in place."""
        hidden, rows = self._architecture.hidden, self._tape.rows
        return self._tape.entry("state", F32 * rows * hidden, layout=(hidden, rows))

    def _image(self, embedded: Tensor | None, number: int) -> Tensor:
        """The part of an embedded image that is added to a layer; elsewhere a copy of all."""
        if embedded is not None:
            return self._tape.view(embedded)
        wide = self._architecture.hidden * (1 + self._traits.image_layers)
        return self._tape.entry(f"image {number}", F32 * self._tape.rows * wide)

    def _mix_embeddings(self, width: int) -> None:
        """Rows of token embeddings set among given ones, of builds that take both in one step."""
        tape = self._tape
        given = tape.value(width, tape.entry("embeddings", F32 * tape.rows * width))
        rows = tape.entry("token rows", F32 * tape.rows * width)
        places = tape.entry("token places", INDEX * tape.rows)
        tape.run(Tensor(0, (rows, places, given), root=given, stored=True))

    def _norm_before(self, state: Tensor) -> Tensor:
        """The input norm of a block, if it has one."""
        if self._traits.norms_on_outputs:
            return state
        architecture = self._architecture
        return self._tape.norm(
            state,
            architecture.hidden,
            mean=self._traits.layer_norm,
            bias=architecture.norm_bias,
        )

    def _norm_alone(self, state: Tensor) -> Tensor:
        """The next block's norm without its weights, which are on the next device."""
        in_place = not self._traits.layer_norm
        return self._tape.value(self._architecture.hidden, state, in_place=in_place)

    def _mixed(self, mixer: Mixer, number: int, normed: Tensor, *, lends: bool) -> Tensor:
        """What the mixer of a block makes of the state."""
        if self._traits.norm_first:
            self._tape.run(normed)
        match mixer:
            case Latent():
                return self._attention.latent(mixer, normed)
            case Grouped():
                return self._attention.grouped(mixer, normed, number)
            case Compressed():
                raise no_rules(mixer.kind)
            case _:
                return recurrence(
                    self._tape,
                    self._traits,
                    self._settings,
                    self._architecture.hidden,
                    mixer,
                    normed,
                    self._place.seam,
                    lends=lends,
                )

    def _block(
        self,
        layer: Layer,
        number: int,
        state: Tensor,
        normed: Tensor,
        *,
        outputs_only: bool,
        lends: bool,
    ) -> Tensor:
        """The state after a block; with `outputs_only` just the rows that logits are made of."""
        architecture, traits, tape = self._architecture, self._traits, self._tape
        hidden, rows = architecture.hidden, self._settings.slots if outputs_only else tape.rows
        if layer.mixer is None:
            if outputs_only:
                state = self._picked(state)
                normed = self._norm_before(state)
            return self._after(layer, state, normed, rows)
        mixed = self._mixed(layer.mixer, number, normed, lends=lends)
        if outputs_only:
            mixed, state = self._picked(mixed), self._picked(state)
            normed = self._picked(normed) if architecture.parallel else normed
        if architecture.parallel:
            made = feed_forward(tape, traits, hidden, layer.feed_forward, normed, rows)
            return self._parallel_sum(made, mixed, state, rows)
        if architecture.post_norms or traits.norms_on_outputs:
            mixed = tape.norm(mixed, hidden, rows=rows)
        pair = (state, mixed) if traits.state_first else (mixed, state)
        between = tape.value(hidden, *pair, in_place=True, rows=rows)
        given = between
        if layer.network is not None and not traits.norms_on_outputs:
            mean, bias = traits.layer_norm, architecture.norm_bias
            given = tape.norm(between, hidden, mean=mean, bias=bias, rows=rows)
        return self._after(layer, between, given, rows)

    def _after(self, layer: Layer, between: Tensor, given: Tensor, rows: int) -> Tensor:
        """The state after the feed-forward network of a block, if it has one."""
        architecture, traits, tape = self._architecture, self._traits, self._tape
        hidden = architecture.hidden
        if layer.network is None:
            return between
        before = between if architecture.expert_norms else None
        made = feed_forward(tape, traits, hidden, layer.network, given, rows, before)
        if architecture.post_norms or traits.norms_on_outputs:
            made = tape.norm(made, hidden, rows=rows)
        pair = (between, made) if traits.residual_first else (made, between)
        found = tape.value(hidden, *pair, in_place=True, rows=rows)
        return tape.scaled(found, hidden, rows=rows) if architecture.layer_scale else found

    def _parallel_sum(self, made: Tensor, mixed: Tensor, state: Tensor, rows: int) -> Tensor:
        """Residual, attention and network added up, in the order the architecture does."""
        traits = self._traits

        def added(first: Tensor, second: Tensor) -> Tensor:
            width = self._architecture.hidden
            return self._tape.value(width, first, second, in_place=True, rows=rows)

        if traits.attention_to_residual:
            return added(made, added(mixed, state))
        if traits.attention_first:
            return added(added(mixed, made), state)
        return added(added(made, state), mixed)

    def _picked(self, of: Tensor) -> Tensor:
        """The rows that logits are made of: one per slot."""
        slots = self._settings.slots
        chosen = self._tape.entry("outputs", F32 * slots)
        return self._tape.value(self._architecture.hidden, of, chosen, rows=slots)

    def _logits(self, state: Tensor) -> None:
        """The last norm and the output projection."""
        architecture, traits = self._architecture, self._traits
        rows = self._tape.rows if traits.outputs_after_norm else self._settings.slots
        if traits.whole_last_layer and self._place.last and not traits.outputs_after_norm:
            state = self._picked(state)
        mean = traits.layer_norm
        normed = self._tape.norm(state, architecture.hidden, mean=mean, rows=rows)
        self._projected(normed)

    def _output_alone(self) -> int:
        """Of a device that holds no layer."""
        hidden = self._architecture.hidden
        rows = self._tape.rows if self._traits.outputs_after_norm else self._settings.slots
        given = self._tape.entry("norm", F32 * rows * hidden)
        self._projected(self._tape.scaled(given, hidden, rows=rows))
        return self._tape.bytes()

    def _projected(self, normed: Tensor) -> None:
        slots = self._settings.slots
        if self._traits.outputs_after_norm:
            normed.kept = True
            normed = self._picked(normed)
        self._tape.run(self._tape.value(self._architecture.vocabulary, normed, rows=slots))
