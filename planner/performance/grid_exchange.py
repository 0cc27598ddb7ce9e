"""Seconds of one exchange of each kind between the ranks of a grid. Layer: performance."""

from __future__ import annotations

from typing import NamedTuple

from planner.performance.calibration import Cases
from planner.performance.collectives import NOTHING, Span, all_reduce, exchange
from planner.performance.grid_case import GridCase, Ways
from planner.performance.grid_work import StageWork

ACTIVATION_BYTES = 2
_SENT_BYTES = 1.5
"""Per channel of an exchange of tokens: 8 bits on the way there, 16 on the way back, on average."""


class Exchanges(NamedTuple):
    """Seconds of one of each kind."""

    reduced: Cases
    """An all-reduce within each replica."""
    shared: Cases
    """One of all replicas' tokens for the network they share."""
    sent: Cases
    """Tokens to the ranks of their experts, or back."""


def exchanges(case: GridCase, ways: Ways, tokens: float, everyone: float, used: int) -> Exchanges:
    """Of a pass of `tokens` of each replica, `everyone` all together.

    vLLM: tokens to the ranks of their experts and back. SGLang: all tokens to all ranks of the
    stage and sums back, which is an all-reduce's traffic. `used` is the routed experts of a token.
    """
    joined = case.joined
    row = case.architecture.hidden * ACTIVATION_BYTES
    reduced = shared = sent = NOTHING
    if ways.attention > 1:
        reduced = all_reduce(joined, span_of(case, ways, ways.attention), tokens * row)
    if ways.shared_network:
        shared = all_reduce(joined, span_of(case, ways, ways.stage), everyone * row)
    elif case.grid.data_parallel > 1 and used:
        ranks = ways.experts
        copies = min(used, ranks) if ranks > 1 else case.grid.data_parallel
        size = tokens * copies * case.architecture.hidden * _SENT_BYTES
        sent = exchange(joined, span_of(case, ways, ways.stage), size)
    return Exchanges(reduced, shared, sent)


def of_stage(
    once: Exchanges, case: GridCase, ways: Ways, work: StageWork, factor: float
) -> tuple[Cases, Cases]:
    """All-reduces within replicas, and what replicas send each other, `factor` on all-reduces.

    Decode context parallelism: queries to all its ranks and results back, one more all-reduce's
    traffic.
    """
    mixers = networks = mixtures = 0
    for count, layer in work.layers:
        mixers += count if layer.mixer else 0
        networks += count if layer.network else 0
        mixtures += count if layer.used else 0
    times = mixers if ways.shared_network else mixers + networks
    times += mixers if case.grid.decode_context_parallel > 1 else 0
    reduced = _repeated(once.reduced, times * factor)
    if ways.shared_network:
        return reduced, _repeated(once.shared, networks * factor)
    return reduced, _repeated(once.sent, 2 * mixtures)


def _repeated(once: Cases, times: float) -> Cases:
    return once[0] * times, once[1] * times, once[2] * times


def span_of(case: GridCase, ways: Ways, ranks: int) -> Span:
    """How a group of `ranks` neighbouring ranks lies on the machines."""
    each = case.gpus_together
    if ways.devices <= each or (ranks <= each and each % ranks == 0):
        return Span(ranks, 1)
    machines = max(2, -(-ranks // each))
    return Span(-(-ranks // machines), machines)
