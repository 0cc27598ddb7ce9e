"""Everything decided, nothing looked up: the numbers one search works on.

Integers throughout: bytes, nanoseconds (rounded up), and money in 1/1,000,000 USD. The search sees
only this; `planner.solver.formulate` builds it from a request and the catalogs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
NEVER = 2**60
"""More bytes or nanoseconds than anything has; sums of a few stay within 64 bits."""
SEED = 1
"""Of every random choice of the constraint solver."""
MONEY_UNIT = 10**6
"""Money units in one USD."""

Mode = Literal["single", "pipelined", "serial"]
"""One device; several with one input copy per pipeline step; several with one copy in all."""
MODES: tuple[Mode, ...] = ("single", "pipelined", "serial")
Goal = Literal["cost", "latency", "floor", "value"]
"""Least money; least time per token, best or floor case; least money x time per token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One device model as the search sees it."""

    gpu: str
    capacity: int
    """Bytes for the engine's graph memory: free memory less runtime and reserve."""
    padded: bool
    """Whether the device pads rows of quantized tensors (CUDA, ROCm)."""
    head_bytes: dict[Mode, int]
    """Bytes of the host that land in this device's memory where it is the first (unified)."""
    best: tuple[int, ...]
    """Nanoseconds per token of slots [0, i), best estimate; slots + 1 entries."""
    floor: tuple[int, ...]
    """The same in the case a minimum speed is judged by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One node type that may be taken, in whole nodes."""

    name: str
    kind: int
    """Index into `Problem.kinds`."""
    gpus: int
    machines: int
    price: int
    """Money units per node."""
    family: str
    networks: tuple[str, ...]
    adapters: tuple[int, ...]
    """Money units per node to join each of `networks`: adapters and cables."""
    inner_best: int
    """Nanoseconds of one hop between devices inside."""
    inner_floor: int
    stock: int

    def join_cost(self, network: str) -> int:
        """Money units this node adds when it is joined to others by `network`."""
        return self.adapters[self.networks.index(network)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """One way to join nodes."""

    name: str
    best: int
    """Nanoseconds of one hop between nodes."""
    floor: int
    switch: int
    """Money units once, when more than `direct` machines are joined."""
    direct: int
    ports: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan must respect; None is no limit."""

    budget: int | None
    """Money units."""
    floor: int | None
    """Most nanoseconds per token in the floor case."""
    best: int | None = None
    """Most nanoseconds per token in the best case (ties are broken with it)."""
    first: int | None = None
    """Most nanoseconds to the first token of the workload's prompt, in the floor case."""
    machines: int
    devices: int
    """Offload devices one engine process can use."""
    mixed_families: bool


class Pick(NamedTuple):
    """So many nodes of one option."""

    option: int
    nodes: int


Picks = tuple[Pick, ...]
"""A node multiset, ordered by option."""

NeedFunction = Callable[[int, int, Mode], int]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One instance: slots to place, devices to place them on, limits to respect."""

    slots: int
    """Transformer blocks and MTP blocks in order, then the output."""
    need_bytes: NeedFunction
    """Graph memory of slots [first, stop) on one device in a mode, bytes."""
    padding: tuple[int, ...]
    """Padding bytes of slots [0, i) on a device that pads; slots + 1 entries."""
    sizes: tuple[int, ...]
    """Weights and cache of each slot, bytes: what no split can avoid."""
    kinds: tuple[Kind, ...]
    options: tuple[Option, ...]
    """In order of name."""
    joints: tuple[Joint, ...]
    limits: Limits
    rpc_pipelines: bool
    """Whether devices of other machines take part in pipelining."""

    def mode(self, devices: int, machines: int) -> Mode:
        """How `devices` devices on `machines` machines run."""
        if devices == 1:
            return "single"
        return "pipelined" if machines == 1 or self.rpc_pipelines else "serial"

    def need(self, kind: Kind, first: int, stop: int, mode: Mode) -> int:
        """Bytes of slots [first, stop) on a device of `kind`."""
        total = int(_needs(self.need_bytes, self.slots, mode)[first, stop])
        if kind.padded:
            total += self.padding[stop] - self.padding[first]
        if first == 0:
            total += kind.head_bytes[mode]
        return total

    def needs(self, kind: Kind, mode: Mode) -> Matrix:
        """`need` of every window at once, [first, stop]; huge where stop <= first."""
        needs = _needs(self.need_bytes, self.slots, mode)
        if kind.padded:
            padding = np.array(self.padding, dtype=np.int64)
            needs = needs + padding[None, :] - padding[:, None]
        if kind.head_bytes[mode]:
            needs = needs.copy()
            needs[0] += kind.head_bytes[mode]
        return needs

    def limited(self, limits: Limits) -> Problem:
        """The same problem under other limits; what is known of its windows is kept."""
        other = dataclasses.replace(self, limits=limits)
        other.__dict__["_known"] = self._known
        return other

    @functools.cached_property
    def _known(self) -> dict[tuple[int, Mode, int], Windows]:
        return {}

    def windows(self, kind: int, mode: Mode, spare: int = 0) -> Windows:
        """Which slot windows fit a device of that kind and leave `spare` bytes free."""
        key = (kind, mode, spare)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _windows(self, self.kinds[kind], mode, spare)
        return found

    def most_large(self, kind: int, mode: Mode, size: int) -> int:
        """Most slots of at least `size` bytes in any window that fits a device of that kind."""
        large = np.concatenate([[0], np.cumsum(np.array(self.sizes) >= size)])
        held = large[None, :] - large[:, None]
        return int(np.where(self.windows(kind, mode).fits, held, 0).max())


class Windows(NamedTuple):
    """Slot windows that fit one device."""

    fits: Flags
    """[first, stop]: whether slots [first, stop) fit; the last column takes the output."""
    furthest: tuple[int, ...]
    """For each first slot, the largest stop short of the output that fits; first if none."""
    tail: tuple[bool, ...]
    """For each first slot, whether everything from it to the output fits."""
    longest: int
    """Most slots in any window that fits, the output counted."""


def _windows(problem: Problem, kind: Kind, mode: Mode, spare: int) -> Windows:
    slots = problem.slots
    fits = problem.needs(kind, mode) <= kind.capacity - spare
    first = np.arange(slots)
    inner = fits[:slots, :slots].sum(axis=1)
    tail = fits[:slots, slots]
    longest = max(int(inner.max(initial=0)), int(((slots - first) * tail).max(initial=0)))
    return Windows(fits, tuple((first + inner).tolist()), tuple(tail.tolist()), longest)


@functools.lru_cache(maxsize=128)
def _needs(need_bytes: NeedFunction, slots: int, mode: Mode) -> Matrix:
    """Graph memory of every window, [first, stop], bytes."""
    needs = np.full((slots + 1, slots + 1), NEVER, dtype=np.int64)
    if mode == "single":  # the only window of a single device
        needs[0, slots] = need_bytes(0, slots, mode)
        return needs
    for first in range(slots):
        for stop in range(first + 1, slots + 1):
            needs[first, stop] = need_bytes(first, stop, mode)
    return needs
