"""Ways to make one thing in the solver wrong: a constraint gone, a bound too tight, a blind eye.

A constraint is tightened by handing it a problem with other numbers: no formula is written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from planner.solver import constraints, master, search
from planner.solver import problem as problem_module
from planner.solver.constraints import Constraint, Group, Scenario
from planner.solver.problem import NEVER, Mode, Problem, Windows

Mutate = Callable[[pytest.MonkeyPatch], None]
Inputs = tuple[Problem, Scenario, list[Group]]
Change = Callable[[Problem, Scenario, list[Group]], Inputs]

TIGHT = 0.95
PLENTY = 10_000


def limited(problem: Problem, **changes: Callable[[Any], Any]) -> Problem:
    """The problem with some limits changed; no limit stays none."""
    old = problem.limits
    new = {
        name: None if getattr(old, name) is None else change(getattr(old, name))
        for name, change in changes.items()
    }
    return replace(problem, limits=replace(old, **new))


def tight(value: int) -> int:
    """A limit 5 % lower."""
    return int(value * TIGHT)


def one_less(value: int) -> int:
    """A limit in whole things, one lower: the least that is 5 % too tight."""
    return value - 1


def limits(**changes: Callable[[Any], Any]) -> Change:
    """Other limits."""
    return lambda problem, scenario, parts: (limited(problem, **changes), scenario, parts)


def joint(**changes: Callable[[Any], Any]) -> Change:
    """Another network."""

    def change(problem: Problem, scenario: Scenario, parts: list[Group]) -> Inputs:
        new = {name: alter(getattr(scenario.joint, name)) for name, alter in changes.items()}
        return problem, replace(scenario, joint=replace(scenario.joint, **new)), parts

    return change


def options(**changes: Callable[[Any], Any]) -> Callable[[Problem], Problem]:
    """Other nodes."""

    def change(problem: Problem) -> Problem:
        altered = tuple(
            replace(o, **{name: alter(getattr(o, name)) for name, alter in changes.items()})
            for o in problem.options
        )
        return replace(problem, options=altered)

    return change


def kinds(**changes: Callable[[Any], Any]) -> Callable[[Problem], Problem]:
    """Other devices."""

    def change(problem: Problem) -> Problem:
        altered = tuple(
            replace(k, **{name: alter(getattr(k, name)) for name, alter in changes.items()})
            for k in problem.kinds
        )
        return replace(problem, kinds=altered)

    return change


class ShortWindows(Problem):
    """A problem whose devices hold one slot less at most."""

    def windows(self, kind: int, mode: Mode, spare: int = 0) -> Windows:
        """The windows, the longest one slot shorter."""
        found = super().windows(kind, mode, spare)
        return found._replace(longest=found.longest - 1)

    def most_large(self, kind: int, mode: Mode, size: int) -> int:
        """The most large slots, one fewer."""
        return super().most_large(kind, mode, size) - 1


def short(problem: Problem) -> Problem:
    return ShortWindows(**{field.name: getattr(problem, field.name) for field in fields(problem)})


def only_problem(change: Callable[[Problem], Problem]) -> Change:
    return lambda problem, scenario, parts: (change(problem), scenario, parts)


def one_slot_more(problem: Problem, scenario: Scenario, parts: list[Group]) -> Inputs:
    return problem, scenario, [replace(parts[0], count=parts[0].count + 1), *parts[1:]]


def three_nodes(model: Any, v: constraints.Variables, *_: Any) -> None:
    """Asks for three nodes where two are enough."""
    model.add(sum(v.nodes) >= 3)


def two_devices_each(model: Any, v: constraints.Variables, *rest: Any) -> None:
    """Asks for two devices of each node where one is enough."""
    constraints.devices_of_nodes(model, v, *rest)
    for nodes, devices in zip(v.nodes, v.devices, strict=True):
        model.add(devices >= 2 * nodes)


def no_light_devices(model: Any, v: constraints.Variables, *rest: Any) -> None:
    """Takes every device to hold a transformer block."""
    constraints.memory_within_capacity(model, v, *rest)
    model.add(sum(v.light) == 0)


def without(constraint: Constraint) -> Mutate:
    """The master without a constraint."""
    kept = tuple(other for other in master.CONSTRAINTS if other is not constraint)
    return lambda monkeypatch: monkeypatch.setattr(master, "CONSTRAINTS", kept)


def instead(constraint: Constraint, other: Constraint) -> Mutate:
    """The master with another constraint in the place of one."""
    new = tuple(other if each is constraint else each for each in master.CONSTRAINTS)
    return lambda monkeypatch: monkeypatch.setattr(master, "CONSTRAINTS", new)


def tightened(constraint: Constraint, change: Change) -> Mutate:
    """The master with a constraint that sees other numbers."""

    def other(
        model: Any,
        v: constraints.Variables,
        problem: Problem,
        scenario: Scenario,
        parts: list[Group],
    ) -> None:
        constraint(model, v, *change(problem, scenario, parts))

    return instead(constraint, other)


def seeing(module: Any, name: str, change: Callable[[Problem], Problem]) -> Mutate:
    """A function of the solver that sees another problem (its first argument)."""
    original = getattr(module, name)

    def other(problem: Problem, *rest: Any, **named: Any) -> Any:
        return original(change(problem), *rest, **named)

    return lambda monkeypatch: monkeypatch.setattr(module, name, other)


def returning(module: Any, name: str, change: Callable[[Any], Any]) -> Mutate:
    """A function of the solver whose result is changed."""
    original = getattr(module, name)

    def other(*arguments: Any, **named: Any) -> Any:
        return change(original(*arguments, **named))

    return lambda monkeypatch: monkeypatch.setattr(module, name, other)


def unlimited(name: str) -> Callable[[Problem], Problem]:
    """The problem with a limit lifted."""
    return lambda problem: replace(problem, limits=replace(problem.limits, **{name: None}))


def scaled_need(factor: float) -> Mutate:
    """Every window needs `factor` times its bytes."""
    original = problem_module._needs

    def needs(*key: Any) -> Any:
        bytes_ = original(*key)
        return np.where(bytes_ < NEVER, (bytes_ * factor).astype(np.int64), bytes_)

    return lambda monkeypatch: monkeypatch.setattr(problem_module, "_needs", needs)


def below(factor: float) -> Mutate:
    original = master.Master.below

    def below(self: master.Master, value: int) -> None:
        original(self, int(value * factor))

    return lambda monkeypatch: monkeypatch.setattr(master.Master, "below", below)


def stock(change: Callable[[int], int]) -> Mutate:
    """A master that has its variables for another stock."""
    original = master.variables

    def other(model: Any, problem: Problem, *rest: Any) -> constraints.Variables:
        return original(model, options(stock=change)(problem), *rest)

    return lambda monkeypatch: monkeypatch.setattr(master, "variables", other)


def always(module: Any, name: str, answer: object) -> Mutate:
    """A function of the solver that always answers the same."""
    return lambda monkeypatch: monkeypatch.setattr(module, name, lambda *_, **__: answer)


def zeros(line: tuple[int, ...]) -> tuple[int, ...]:
    return (0,) * len(line)


def no_head(head: dict[Mode, int]) -> dict[Mode, int]:
    return dict.fromkeys(head, 0)


def other_modes(problem: Problem) -> Problem:
    return replace(problem, rpc_pipelines=not problem.rpc_pipelines)


def fewer_options(scenario: Scenario) -> Scenario:
    """A scenario without its last option."""
    return replace(scenario, options=scenario.options[:-1] or scenario.options)


def blind(change: Callable[[Problem], Problem]) -> Mutate:
    """Dominance that does not look at something."""
    return seeing(search, "_no_worse", change)


def blind_to_joint(**changes: Callable[[Any], Any]) -> Mutate:
    """Dominance between networks that does not look at something."""
    original = search._replaces

    def altered(way: search.Way) -> search.Way:
        new = {name: change(getattr(way[0], name)) for name, change in changes.items()}
        return replace(way[0], **new), way[1]

    def other(problem: Problem, one: search.Way, two: search.Way) -> bool:
        return original(problem, altered(one), altered(two))

    return lambda monkeypatch: monkeypatch.setattr(search, "_replaces", other)
