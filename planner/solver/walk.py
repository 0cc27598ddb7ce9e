"""The fastest order and split of a node multiset: dynamic programming over what has been placed.

A state is how many nodes of each pick, and how many devices, are placed; in it, for every slot, the
best way to have placed the slots before. Nodes are added whole, device by device. What "best way"
means is the algebra's: `OneCase` keeps the fastest in one case, `labels.BothCases` keeps every
trade-off between the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from planner.solver.problem import NEVER, Joint, Limits, Matrix, Mode, Picks, Problem, Windows

State = TypeVar("State")
Taken = tuple[int, ...]


class Assignment(NamedTuple):
    """One device and its slots [first, stop)."""

    option: int
    node: int
    """Which node of the cluster, from 0, in pipeline order."""
    first: int
    stop: int


class Path(NamedTuple):
    """All devices in pipeline order, and their nanoseconds per token in both cases."""

    best: int
    floor: int
    devices: tuple[Assignment, ...]

    def keeps(self, limits: Limits) -> bool:
        """Whether both time limits hold."""
        slow = limits.floor is not None and self.floor > limits.floor
        return not slow and (limits.best is None or self.best <= limits.best)


class Step(NamedTuple):
    """The next device: of which pick, in which node, after which hop."""

    pick: int
    node: int
    best: int
    """Nanoseconds of the hop to it."""
    floor: int
    final: bool
    """Whether it is the last device, which takes the output."""


class Algebra(Protocol[State]):
    """How states are started, extended by a device, and merged."""

    def start(self) -> State:
        """Nothing placed."""

    def extend(self, state: State, step: Step) -> State | None:
        """With one device more; None where nothing can be placed on it."""

    def merge(self, one: State, other: State) -> State:
        """The better of two ways for every slot."""


@dataclass(frozen=True, kw_only=True)
class Walk(Generic[State]):
    """One multiset to be walked; the same for every algebra."""

    problem: Problem
    picks: Picks
    joint: Joint | None
    mode: Mode
    used: int
    """Devices that take part."""
    spare: int = 0
    """Bytes every device keeps free."""

    def tables(self) -> list[Windows]:
        """Windows that fit a device of each pick."""
        kinds = (self.problem.options[pick.option].kind for pick in self.picks)
        return [self.problem.windows(kind, self.mode, self.spare) for kind in kinds]

    def run(self, algebra: Algebra[State]) -> State | None:
        """The state in which every node and device is placed; None where there is none."""
        counts = tuple(pick.nodes for pick in self.picks)
        states: dict[tuple[Taken, int], State] = {((0,) * len(counts), 0): algebra.start()}
        for taken in by_total(counts, sum(counts)):
            for done in range(self.used + 1):
                state = states.pop((taken, done), None)
                if state is None:
                    continue
                if taken == counts:
                    return state
                for index in range(len(counts)):
                    if taken[index] < counts[index]:
                        self._node(algebra, states, state, index, taken, done)
        return None

    def _node(
        self,
        algebra: Algebra[State],
        states: dict[tuple[Taken, int], State],
        state: State,
        index: int,
        taken: Taken,
        done: int,
    ) -> None:
        """Puts a node of pick `index` behind `state`, using as many devices as can be right."""
        after = (*taken[:index], taken[index] + 1, *taken[index + 1 :])
        option = self.problem.options[self.picks[index].option]
        nodes_left = sum(pick.nodes for pick in self.picks) - sum(after)
        devices_left = sum(
            (pick.nodes - have) * self.problem.options[pick.option].gpus
            for pick, have in zip(self.picks, after, strict=True)
        )
        for position in range(min(option.gpus, self.used - done)):
            total = done + position + 1
            best, floor = self._hop(index, first_in_node=position == 0, first_of_all=total == 1)
            final = total == self.used and not nodes_left
            following = algebra.extend(state, Step(index, sum(taken), best, floor, final))
            if following is None:
                return
            state = following
            if nodes_left <= self.used - total <= devices_left:
                known = states.get((after, total))
                states[after, total] = state if known is None else algebra.merge(known, state)

    def _hop(self, index: int, *, first_in_node: bool, first_of_all: bool) -> tuple[int, int]:
        if first_of_all:
            return 0, 0
        if not first_in_node:
            option = self.problem.options[self.picks[index].option]
            return option.inner_best, option.inner_floor
        assert self.joint is not None
        return self.joint.best, self.joint.floor


def by_total(most: Sequence[int], limit: int) -> Iterator[Taken]:
    """Every count vector up to `most` with a sum up to `limit`, by sum, then in order."""
    every = itertools.product(*(range(count + 1) for count in most))
    return iter(sorted((u for u in every if sum(u) <= limit), key=lambda u: (sum(u), u)))


class Fastest(NamedTuple):
    """For every slot, the least time to have placed the slots before, and how."""

    time: Matrix
    step: Matrix
    """Number of the last step, per slot."""


@dataclass(frozen=True, slots=True)
class _Done:
    """One step that was taken, to find the way back."""

    pick: int
    node: int
    first: Matrix
    """Per stop, the first slot of the device."""
    before: Matrix
    """Per first slot, the step before."""


class OneCase:
    """Keeps the fastest way in one case."""

    def __init__(self, walk: Walk[Fastest], *, by_floor: bool) -> None:
        self.walk, self.by_floor = walk, by_floor
        self.done: list[_Done] = []
        self.moves = [self._moves(index) for index in range(len(walk.picks))]

    def _moves(self, index: int) -> Matrix:
        """Time of every window of slots that fits a device of that pick; NEVER where none."""
        problem = self.walk.problem
        kind = problem.kinds[problem.options[self.walk.picks[index].option].kind]
        line = np.array(kind.floor if self.by_floor else kind.best, dtype=np.int64)
        fits = self.walk.tables()[index].fits
        return np.where(fits, line[None, :] - line[:, None], NEVER)

    def start(self) -> Fastest:
        """Nothing placed: only slot 0 is reached."""
        count = self.walk.problem.slots + 1
        time = np.full(count, NEVER, dtype=np.int64)
        time[0] = 0
        return Fastest(time, np.full(count, -1, dtype=np.int64))

    def extend(self, state: Fastest, step: Step) -> Fastest | None:
        """Least over first slots of time before + hop + time of the window."""
        slots = self.walk.problem.slots
        stops = slice(slots, slots + 1) if step.final else slice(0, slots)
        ways = state.time[:, None] + self.moves[step.pick][:, stops]
        first = ways.argmin(axis=0)
        time = np.full(slots + 1, NEVER, dtype=np.int64)
        hop = step.floor if self.by_floor else step.best
        time[stops] = np.minimum(ways[first, np.arange(ways.shape[1])] + hop, NEVER)
        if time.min() >= NEVER:
            return None
        back = np.zeros(slots + 1, dtype=np.int64)
        back[stops] = first
        self.done.append(_Done(step.pick, step.node, back, state.step))
        return Fastest(time, np.full(slots + 1, len(self.done) - 1, dtype=np.int64))

    def merge(self, one: Fastest, other: Fastest) -> Fastest:
        """The faster of two ways for every slot; the first of equals."""
        better = other.time < one.time
        return Fastest(
            np.where(better, other.time, one.time), np.where(better, other.step, one.step)
        )

    def path(self, state: Fastest) -> Path | None:
        """The devices of the way that has placed every slot."""
        stop = self.walk.problem.slots
        if state.time[stop] >= NEVER:
            return None
        devices: list[Assignment] = []
        number = int(state.step[stop])
        while number >= 0:
            step = self.done[number]
            first = int(step.first[stop])
            option = self.walk.picks[step.pick].option
            devices.append(Assignment(option, step.node, first, stop))
            number, stop = int(step.before[first]), first
        return path_of(self.walk.problem, tuple(reversed(devices)), self.walk.joint)


def path_of(problem: Problem, devices: tuple[Assignment, ...], joint: Joint | None) -> Path:
    """The path along `devices`, with the time of every window and hop in both cases."""
    best = floor = 0
    before: Assignment | None = None
    for device in devices:
        option = problem.options[device.option]
        kind = problem.kinds[option.kind]
        best += kind.best[device.stop] - kind.best[device.first]
        floor += kind.floor[device.stop] - kind.floor[device.first]
        if before is not None and before.node == device.node:
            best += option.inner_best
            floor += option.inner_floor
        elif before is not None and joint is not None:
            best += joint.best
            floor += joint.floor
        before = device
    return Path(best, floor, devices)
