"""The algebra of a walk that keeps every trade-off between the best and the floor case.

Needed only where the fastest path in one case breaks the limit on the other.
"""

from __future__ import annotations

from typing import NamedTuple

from planner.solver.walk import Assignment, Path, Step, Walk


class Label(NamedTuple):
    """One way to have placed the slots up to a position, nanoseconds in both cases."""

    best: int
    floor: int
    device: Assignment | None
    before: Label | None


Labels = dict[int, list[Label]]
"""Per slot, the ways that no other beats in both cases."""


class BothCases:
    """Keeps, per slot, every way that no other beats in both cases, within the limits."""

    def __init__(self, walk: Walk[Labels]) -> None:
        self.walk = walk
        self.tables = walk.tables()

    def start(self) -> Labels:
        """Nothing placed."""
        return {0: [Label(0, 0, None, None)]}

    def extend(self, state: Labels, step: Step) -> Labels | None:
        """Every window that fits behind every way."""
        problem, table = self.walk.problem, self.tables[step.pick]
        option = self.walk.picks[step.pick].option
        kind = problem.kinds[problem.options[option].kind]
        limits = problem.limits
        found: Labels = {}
        for first, here in state.items():
            stops: range | tuple[int, ...] = range(first + 1, table.furthest[first] + 1)
            if step.final:
                stops = (problem.slots,) if table.tail[first] else ()
            for stop in stops:
                best = step.best + kind.best[stop] - kind.best[first]
                floor = step.floor + kind.floor[stop] - kind.floor[first]
                device = Assignment(option, step.node, first, stop)
                for label in here:
                    new = Label(label.best + best, label.floor + floor, device, label)
                    if Path(new.best, new.floor, ()).keeps(limits):
                        _insert(found.setdefault(stop, []), new)
        return found or None

    def merge(self, one: Labels, other: Labels) -> Labels:
        """All ways of both that are not beaten."""
        merged = {position: list(here) for position, here in one.items()}
        for position, here in other.items():
            for label in here:
                _insert(merged.setdefault(position, []), label)
        return merged

    def path(self, state: Labels, *, by_floor: bool) -> Path | None:
        """The fastest way that has placed every slot, in one case and then the other."""
        labels = state.get(self.walk.problem.slots, [])
        if not labels:
            return None
        chosen = min(
            labels,
            key=lambda label: (label.floor, label.best) if by_floor else (label.best, label.floor),
        )
        return Path(chosen.best, chosen.floor, _trail(chosen))


def _insert(labels: list[Label], new: Label) -> None:
    """Adds `new` unless one is at least as good in both cases; drops what it beats."""
    if any(label.best <= new.best and label.floor <= new.floor for label in labels):
        return
    labels[:] = [label for label in labels if new.best > label.best or new.floor > label.floor]
    labels.append(new)


def _trail(label: Label) -> tuple[Assignment, ...]:
    devices: list[Assignment] = []
    step: Label | None = label
    while step is not None and step.device is not None:
        devices.append(step.device)
        step = step.before
    return tuple(reversed(devices))
