"""Feed-forward networks as the operations llama.cpp makes of them. Engine layer.

Source: build_ffn and build_moe_ffn of llama.cpp b11434, src/llama-graph.cpp.
"""

from __future__ import annotations

from typing import assert_never

from planner.engines.llama_cpp.ggml_alloc import Tensor
from planner.engines.llama_cpp.graph_tape import Tape
from planner.engines.llama_cpp.graph_traits import Traits
from planner.model.architecture import Dense, FeedForward, MixtureOfExperts


def feed_forward(
    tape: Tape,
    traits: Traits,
    hidden: int,
    network: FeedForward,
    state: Tensor,
    rows: int,
    before: Tensor | None = None,
) -> Tensor:
    """What a network makes of `state`, of `rows` tokens; `before` is the state before its norm."""
    match network:
        case MixtureOfExperts(dense_intermediate=dense) if dense and before is not None:
            return _Networks(tape, traits, hidden, rows).side_by_side(before, state, network)
        case Dense():
            return _Networks(tape, traits, hidden, rows).dense(state, network)
        case MixtureOfExperts():
            return _Networks(tape, traits, hidden, rows).mixture(state, network)
        case _:
            assert_never(network)


class _Networks:
    """Networks on one state."""

    __slots__ = ("_hidden", "_rows", "_tape", "_traits")

    def __init__(self, tape: Tape, traits: Traits, hidden: int, rows: int) -> None:
        self._tape = tape
        self._traits = traits
        self._hidden = hidden
        self._rows = rows

    def _value(self, width: int, *operands: Tensor, in_place: bool = False) -> Tensor:
        return self._tape.value(width, *operands, in_place=in_place, rows=self._rows)

    def _added_to(self, width: int, state: Tensor, *operands: Tensor) -> Tensor:
        """An operation that leaves the layout as it is."""
        return self._tape.value(
            width, state, *operands, in_place=True, layout=state.layout, rows=self._rows
        )

    def dense(self, state: Tensor, network: Dense) -> Tensor:
        """Up, gate, their product, down."""
        return self._gated(state, network.intermediate, gated=network.gated, bias=network.bias)

    def _gated(self, state: Tensor, width: int, *, gated: bool, bias: bool = False) -> Tensor:
        if self._traits.one_gate_up and gated:
            inner = self._value(width, self._value(2 * width, state))
        else:
            up = self._value(width, state)
            up = self._added_to(width, up) if bias else up
            if gated:
                inner = self._value(width, self._value(width, state), up)
            else:
                inner = self._added_to(width, up)
        down = self._value(self._hidden, inner)
        return self._added_to(self._hidden, down) if bias else down

    def mixture(self, state: Tensor, network: MixtureOfExperts) -> Tensor:
        """Routed experts, with what runs beside them."""
        hidden, shared_width = self._hidden, network.shared_intermediate
        if self._traits.shared_first and shared_width:
            shared = self._gated(state, shared_width, gated=network.gated)
            return self._added_to(hidden, self._routed(state, network), shared)
        total = self._routed(state, network)
        if shared_width:
            shared = self._gated(state, shared_width, gated=network.gated)
            if network.shared_gate:
                given = self._value(1, state)
                gate = self._added_to(1, self._added_to(1, given), given)
                shared = self._added_to(hidden, shared, gate)
            total = self._added_to(hidden, total, shared)
        if network.dense_intermediate:
            dense = self._gated(state, network.dense_intermediate, gated=True)
            total = self._added_to(hidden, self._added_to(hidden, dense, total))
        return total

    def side_by_side(self, state: Tensor, given: Tensor, network: MixtureOfExperts) -> Tensor:
        """A dense network on `given` and experts on `state`, both with norms of their own."""
        tape, hidden, rows = self._tape, self._hidden, self._rows
        dense = self._gated(given, network.dense_intermediate, gated=True)
        dense = tape.norm(dense, hidden, rows=rows)
        entered = tape.norm(state, hidden, rows=rows)
        router = tape.norm(state, hidden, rows=rows)
        routed = tape.norm(self._routed(entered, network, router), hidden, rows=rows)
        return self._added_to(hidden, dense, routed)

    def _routed(
        self, state: Tensor, network: MixtureOfExperts, router: Tensor | None = None
    ) -> Tensor:
        """The sum of the chosen experts, which may work on a latent; chosen by `router`."""
        tape, used = self._tape, network.used
        hidden = network.latent or self._hidden
        entered = self._value(hidden, state) if network.latent else state
        chosen, weights = self._choice(router or state, network)
        tape.run(weights)
        given = tape.view(entered)
        if self._traits.weighs_inputs:
            given = self._added_to(hidden * used, self._value(hidden * used, given), weights)
        inner = self._inside(given, chosen, network)
        outputs = self._expert(hidden * used, inner, chosen, network)
        if network.router_scales:
            scales = self._value(used, tape.view(self._value(network.experts)), chosen)
            outputs = self._added_to(hidden * used, outputs, scales)
        if not self._traits.weighs_inputs:
            outputs = self._added_to(hidden * used, outputs, weights)
        tape.run(outputs)
        total = self._sum(outputs, used, hidden)
        return self._value(self._hidden, total) if network.latent else total

    def _inside(self, given: Tensor, chosen: Tensor, network: MixtureOfExperts) -> Tensor:
        """What the chosen experts make before their last matrix."""
        tape, width = self._tape, network.used * network.intermediate
        if self._traits.one_gate_up_experts:
            both = self._expert(2 * width, given, chosen, network)
            return self._value(width, tape.view(both), tape.view(both))
        up = self._expert(width, given, chosen, network)
        if network.gated:
            return self._value(width, self._expert(width, given, chosen, network), up)
        return self._added_to(width, up)

    def _expert(
        self, width: int, given: Tensor, chosen: Tensor, network: MixtureOfExperts
    ) -> Tensor:
        """One matrix of the chosen experts, with its bias."""
        found = self._value(width, given, chosen)
        return self._added_to(width, found, chosen) if network.expert_bias else found

    def _choice(self, state: Tensor, network: MixtureOfExperts) -> tuple[Tensor, Tensor]:
        """The chosen experts of each token, and their weights."""
        tape, experts, used = self._tape, network.experts, network.used
        logits = self._value(experts, state)
        if network.router_bias:
            logits = self._added_to(experts, logits)
        scores = logits
        if not self._traits.softmax_on_chosen:
            scores = self._added_to(experts, logits)
        ranked = self._added_to(experts, scores) if network.score_bias else scores
        if self._traits.weighs_inputs:
            ranked = logits
        chosen = tape.view(self._value(experts, ranked))
        weights = self._value(used, tape.view(scores), chosen)
        if not self._traits.weights_as_they_are:
            view = tape.view(weights)
            weights = self._value(used, view, self._value(1, view))
        return chosen, tape.view(weights)

    def _sum(self, outputs: Tensor, used: int, width: int) -> Tensor:
        """The outputs of the chosen experts, added up one by one."""
        views = [self._tape.view(outputs) for _ in range(used)]
        for view in views:
            self._tape.run(view)
        if used == 1:
            return self._value(width, views[0])
        total = views[0]
        for view in views[1:]:
            total = self._value(width, total, view, in_place=True)
            self._tape.run(total)
        return total
