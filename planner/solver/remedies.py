"""What gives the tightest device more room, each remedy tried on the same cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from planner import accounting
from planner.accounting import TIGHT_SHARE, Assigned
from planner.catalog import prices
from planner.catalog.load import Catalog
from planner.catalog.schema import Network
from planner.plan import Remedy, Verdict
from planner.solver.cluster import Nodes, Split, balanced
from planner.solver.surroundings import CONTEXT_STEP, largest
from planner.subject import Shape, Subject, subject
from planner.units import MIB, usd

_SMALLER_UBATCH = (256, 128)
_MOST_MOVES = 12
"""Tensors moved by single `-ot` rules before a different split is the better idea."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A cluster and the settings under which it is judged."""

    catalog: Catalog
    model: str
    quant: str
    shape: Shape
    nodes: Nodes
    network: Network | None

    def subject(self, **changes: object) -> Subject:
        """The subject with some settings changed."""
        shape = dataclasses.replace(self.shape, **changes)  # type: ignore[arg-type]
        return subject(self.catalog, self.model, self.quant, shape)

    def split(self, **changes: object) -> Split | None:
        """The most balanced split with some settings changed."""
        return balanced(self.catalog, self.subject(**changes), self.nodes, self.network)


def remedies(rig: Rig, headroom: int) -> tuple[Remedy, ...]:
    """What gives more room than the `headroom` bytes of the tightest device now; all tried.

    A balanced split, a smaller ubatch, a quantized cache, less context, moved tensors, one device
    more. The devices stay in their order; from the second on, the split is balanced each time.
    """
    base = rig.split()
    if base is None:
        return ()
    rest = (_ubatch, _cache, _context, _moved_tensors, _one_more)
    found = [remedy for tries in rest for remedy in tries(rig, base)]
    if base.headroom <= headroom + MIB:
        return tuple(found)
    shares = ",".join(str(device.stop - device.first) for device in base.devices)
    first = _remedy(rig, f"split for room, not speed: -ts {shares}", base.headroom, None)
    again = [remedy.model_copy(update={"change": f"that, and {remedy.change}"}) for remedy in found]
    return (first, *again)


def _remedy(rig: Rig, change: str, headroom: int, option: str | None) -> Remedy:
    return Remedy(
        change=change,
        headroom_bytes=headroom,
        verdict=_verdict(rig, headroom),
        option=option,
    )


def _verdict(rig: Rig, headroom: int) -> Verdict:
    if headroom < 0:
        return "no"
    return "tight" if headroom < _tight(rig) else "fits"


def _tight(rig: Rig) -> float:
    """Free bytes under which the smallest device is called tight."""
    return TIGHT_SHARE * min(_capacity(rig, node.gpu) for node, _ in rig.nodes)


def _capacity(rig: Rig, gpu: str) -> int:
    capacity = accounting.capacity_of(rig.catalog.gpu(gpu))
    assert capacity is not None
    return capacity.bytes


def _ubatch(rig: Rig, base: Split) -> Iterator[Remedy]:
    for size in _SMALLER_UBATCH:
        if size < rig.shape.ubatch:
            split = rig.split(ubatch=size)
            if split is not None:
                yield _remedy(rig, f"ubatch {size}", split.headroom, f"--ubatch {size}")


def _cache(rig: Rig, base: Split) -> Iterator[Remedy]:
    if rig.shape.kv_type in ("f16", "bf16") and rig.shape.flash_attention:
        split = rig.split(kv_type="q8_0")
        if split is not None:
            yield _remedy(rig, "KV cache in q8_0", split.headroom, "--kv-type q8_0")


def _context(rig: Rig, base: Split) -> Iterator[Remedy]:
    """The longest context per request that fits, or where the asked one fits, is not tight."""
    slots = rig.shape.slots
    steps = rig.subject().context // CONTEXT_STEP
    enough = 0 if base.headroom < 0 else _tight(rig)
    if base.headroom >= enough:
        return

    def works(count: int) -> bool:
        split = rig.split(pool=count * CONTEXT_STEP * slots)
        return split is not None and split.headroom >= enough

    if steps < 2 or not works(1):
        return
    most = largest(1, steps - 1, works)
    split = rig.split(pool=most * CONTEXT_STEP * slots)
    assert split is not None
    size = most * CONTEXT_STEP
    change = f"context {size:,}" + (f" for each of {slots}" if slots > 1 else "")
    yield _remedy(rig, change, split.headroom, f"--context {size}")


def _moved_tensors(rig: Rig, base: Split) -> Iterator[Remedy]:
    """`-ot` rules: any one turns pipelining off, several move tensors to the emptiest device."""
    pinned = rig.subject(tensor_rules=True)
    split = balanced(rig.catalog, pinned, rig.nodes, rig.network)
    if split is None or sum(d.stop > d.first for d in split.devices) < 2:
        return
    yield _remedy(rig, "one -ot rule: pipelining off, one copy of the inputs", split.headroom, None)
    free = [
        device.headroom_bytes
        for device in accounting.devices_of(pinned, rig.catalog, split.devices)
        if device.slots and device.headroom_bytes is not None
    ]
    used = [device for device in split.devices if device.stop > device.first]
    moves, left = _move(pinned, used, free)
    if moves:
        rules = "1 -ot rule" if moves == 1 else f"{moves} -ot rules"
        text = f"{rules}: as many feed-forward matrices moved to the emptiest devices"
        yield _remedy(rig, text, left, None)


def _move(pinned: Subject, used: Sequence[Assigned], free: list[int]) -> tuple[int, int]:
    """How many tensors move off the tightest device, one by one, and what is then left."""
    movable = [
        sorted(
            (
                tensor.bytes
                for tensor in pinned.weights.tensors
                if tensor.block is not None
                and device.first <= tensor.block < device.stop
                and ".ffn_down" in tensor.name
                and tensor.bytes >= MIB
            ),
            reverse=True,
        )
        for device in used
    ]
    moves = 0
    while moves < _MOST_MOVES:
        tight = min(range(len(free)), key=free.__getitem__)
        empty = max(range(len(free)), key=free.__getitem__)
        if not movable[tight] or free[empty] - movable[tight][0] <= free[tight]:
            break
        size = movable[tight].pop(0)
        free[tight] += size
        free[empty] -= size
        moves += 1
    return moves, min(free)


def _one_more(rig: Rig, base: Split) -> Iterator[Remedy]:
    """The same cluster with one device more in its last node."""
    *before, (node, count) = rig.nodes
    more = node.model_copy(update={"gpus": node.gpus + node.machines})
    nodes = [*before, (node, count - 1), (more, 1)] if count > 1 else [*before, (more, 1)]
    split = balanced(rig.catalog, rig.subject(), nodes, rig.network)
    if split is not None:
        gpu = rig.catalog.gpu(node.gpu)
        quote = prices.purchase_quote(rig.catalog, node) if node.gpus == 1 else None
        price = "" if quote is None else f" ({usd(float(quote.mid))})"
        yield _remedy(rig, f"one {gpu.title} more{price}", split.headroom, None)
