"""Best-first search over sites with a certificate, for engines that serve uniform grids.

Every multiset of at most two node types has an exact cost and a lower bound on its time; sites are
judged in order of the bound of what is minimised. The first bound that the best layout found
reaches is the proof.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from planner.solver.grid_layouts import Layouts, Nodes, Timed
from planner.solver.problem import Goal, Joint, Limits, Option, Pick, Picks
from planner.solver.search import Candidate, Clock, Found, cost_of

_ROUNDING = 1e-3
"""Nanoseconds by which sums of the same times may differ."""
JUDGED = 0.002
"""Deterministic seconds counted for each site judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCandidate(Candidate):
    """A site with the layout chosen on it."""

    layout: Timed = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One site: its cost in money units and what no layout of it can beat."""

    picks: Picks
    joint: Joint | None
    cost: int
    time: int
    """Nanoseconds per token at least."""
    refined: bool = False
    """Whether the time is the better of two bounds, which takes longer to find."""

    def bound(self, goal: Goal) -> int:
        """The least score a layout of this site can have."""
        return {
            "cost": self.cost,
            "latency": self.time,
            "floor": self.time,
            "value": self.cost * self.time,
        }[goal]


@dataclass(frozen=True, kw_only=True, eq=False)
class GridProblem:
    """Sites that may be taken, and the layouts of each."""

    options: tuple[Option, ...]
    joints: tuple[Joint, ...]
    rooms: tuple[int, ...]
    """Bytes of all devices of a node of each option."""
    speeds: tuple[float, ...]
    """Bytes per second that all devices of a node of each option read weights with at most."""
    overheads: tuple[int, ...]
    """Nanoseconds per token of all users together that devices of each option never save."""
    needed: int
    """Bytes of weights, each once: no layout holds less."""
    read: float
    """Bytes of weights read for one token of all users together at least."""
    exchange: float
    """Nanoseconds per token of all users together that layers shared by machines add at least."""
    prompt: int
    """Tokens of the workload's prompt."""
    layouts: Layouts

    def nodes(self, picks: Picks) -> Nodes:
        """Node types of a multiset by name."""
        return tuple((self.options[pick.option].name, pick.nodes) for pick in picks)

    def assess(
        self, picks: Picks, joint: Joint | None, limits: Limits, *, by_floor: bool = False
    ) -> Candidate | None:
        """The fastest layout of a site within the limits; None where there is none."""
        cost = cost_of(self.options, picks, joint)
        if limits.budget is not None and cost > limits.budget:
            return None
        if self._room(picks) < self.needed:
            return None
        name = None if joint is None else joint.name
        found = self.layouts.fastest(
            self.nodes(picks),
            name,
            by_floor=by_floor,
            floor=limits.floor,
            best=limits.best,
            first=None if limits.first is None else (self.prompt, limits.first),
        )
        if found is None:
            return None
        return GridCandidate(
            picks=picks,
            joint=joint,
            cost=cost,
            best=found.best,
            floor=found.floor,
            layout=found,
        )

    def _room(self, picks: Picks) -> int:
        return sum(self.rooms[pick.option] * pick.nodes for pick in picks)

    def entries(self, limits: Limits) -> Iterator[Entry]:
        """Every site within the limits that can hold the weights at all."""
        for picks in self._multisets(limits):
            if self._room(picks) < self.needed:
                continue
            if sum(pick.nodes for pick in picks) == 1:
                yield self._entry(picks, None)
                continue
            machines = sum(self.options[p.option].machines * p.nodes for p in picks)
            for joint in self.joints:
                shared = all(joint.name in self.options[pick.option].networks for pick in picks)
                if shared and machines <= max(joint.ports, joint.direct):
                    yield self._entry(picks, joint)

    def _entry(self, picks: Picks, joint: Joint | None) -> Entry:
        """Layers that stay in a machine are read at its speed, others are exchanged.

        Each stage is on one device model, so no byte is read faster than by all devices of one.
        """
        overhead = min(self.overheads[pick.option] for pick in picks)
        alone = max(self.speeds[p.option] / self.options[p.option].machines for p in picks)
        time = self.read / alone * 1e9
        if sum(self.options[p.option].machines * p.nodes for p in picks) > 1:
            together = max(
                sum(self.speeds[pick.option] * pick.nodes for pick in own)
                for own in self._by_model(picks)
            )
            time = min(time, self.read / together * 1e9 + self.exchange)
        return Entry(
            picks=picks,
            joint=joint,
            cost=cost_of(self.options, picks, joint),
            time=overhead + int(time),
        )

    def refined(self, entry: Entry) -> Entry:
        """The same site with the time of the fastest stage its devices could be.

        Layers of a stage inside a machine, or on the nodes of one device model, take at least as
        long as all layers would on the best such stage, whether or not they fit.
        """
        name = None if entry.joint is None else entry.joint.name
        least = min(
            self.layouts.least_stage(self.nodes(own), name) for own in self._by_model(entry.picks)
        )
        time = math.ceil(least / self.layouts.served.concurrency * 1e9 - _ROUNDING)
        return replace(entry, time=max(entry.time, time), refined=True)

    def _by_model(self, picks: Picks) -> list[Picks]:
        """The picks of each device model, whose devices may share a stage."""
        models: dict[int, list[Pick]] = {}
        for pick in picks:
            models.setdefault(self.options[pick.option].kind, []).append(pick)
        return [tuple(own) for own in models.values()]

    def _multisets(self, limits: Limits) -> Iterator[Picks]:
        most = [min(o.stock, limits.machines // o.machines) for o in self.options]
        for index, count in enumerate(most):
            yield from ((Pick(index, nodes),) for nodes in range(1, count + 1))
        for a, b in itertools.combinations(range(len(self.options)), 2):
            one, two = self.options[a], self.options[b]
            if one.family != two.family:
                continue
            for first in range(1, most[a] + 1):
                left = limits.machines - first * one.machines
                for second in range(1, min(most[b], left // two.machines) + 1):
                    yield Pick(a, first), Pick(b, second)


def minimise(
    problem: GridProblem,
    goal: Goal,
    limits: Limits,
    clock: Clock,
    start: Candidate | None = None,
) -> Found:
    """The plan with the least cost, latency or cost x latency, and the proof."""
    best = start
    heap = [_key(goal, entry) for entry in problem.entries(limits) if _allowed(entry, limits)]
    heapq.heapify(heap)
    while heap:
        bound, *_, entry = heapq.heappop(heap)
        if best is not None and bound >= best.score(goal):
            break
        if not entry.refined and (goal != "cost" or limits.best is not None):
            refined = problem.refined(entry)
            if _allowed(refined, limits):
                heapq.heappush(heap, _key(goal, refined))
            continue
        if clock.left <= 0:
            return Found(candidate=best, bound=bound, proven=False)
        clock.take(JUDGED)
        found = problem.assess(entry.picks, entry.joint, limits, by_floor=goal == "floor")
        if found is not None and (best is None or found.score(goal) < best.score(goal)):
            best = found
    score = None if best is None else best.score(goal)
    return Found(candidate=best, bound=score, proven=True)


def _key(goal: Goal, entry: Entry) -> tuple[int, int, Picks, str, Entry]:
    """The bound, and an order of sites with the same bound."""
    name = "" if entry.joint is None else entry.joint.name
    return entry.bound(goal), len(entry.picks), entry.picks, name, entry


def _allowed(entry: Entry, limits: Limits) -> bool:
    """Whether the bounds of a site are within the limits."""
    if limits.budget is not None and entry.cost > limits.budget:
        return False
    return all(most is None or entry.time <= most for most in (limits.best, limits.floor))
