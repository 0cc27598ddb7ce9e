"""The aggregated integer program of one scenario, solved again after each cut.

It relaxes one thing, that the slots on a device are neighbours; `partition` checks that exactly and
hands back cuts. Its optimum is a bound.
"""

from __future__ import annotations

import math

import numpy as np
from ortools.sat.python import cp_model

from planner.solver.constraints import (
    CONSTRAINTS,
    Expression,
    Group,
    Scenario,
    groups,
    money_of,
    time_of,
    variables,
)
from planner.solver.problem import SEED, Goal, Pick, Picks, Problem

_LARGEST = 2**62 - 1
"""Largest value a variable of the solver can have."""
_COARSE = 1000
"""Nanoseconds in the unit of time in cost x time: keeps the product within 64 bits."""


class Master:
    """One scenario's program; solved again after each cut."""

    def __init__(self, problem: Problem, scenario: Scenario, goal: Goal) -> None:
        self.problem, self.scenario, self.goal = problem, scenario, goal
        self.model = cp_model.CpModel()
        parts = groups(problem, scenario)
        self.variables = variables(self.model, problem, scenario, parts)
        for constraint in CONSTRAINTS:
            constraint(self.model, self.variables, problem, scenario, parts)
        self.unit = 1
        self.objective = self._objective(parts)
        self.model.minimize(self.objective)
        self.deterministic_time = 0.0

    def _objective(self, parts: list[Group]) -> Expression:
        v, problem, scenario = self.variables, self.problem, self.scenario
        cost = money_of(v, problem, scenario)
        if self.goal == "cost":
            return cost
        time = time_of(v, problem, scenario, parts, floor=self.goal == "floor")
        if self.goal != "value":
            return time
        step = _money_step(problem, scenario)
        self.unit = step * _COARSE
        most = _most_cost(problem, scenario) // step
        slowest = _most_time(problem, scenario) // _COARSE + 1
        money = self.model.new_int_var(0, most, "cost")
        spent = self.model.new_int_var(0, slowest, "latency")
        product = self.model.new_int_var(0, min(most * slowest, _LARGEST), "value")
        self.model.add(step * money == cost)
        self.model.add(_COARSE * spent <= time)  # rounded down: the product stays a bound
        self.model.add(_COARSE * spent + _COARSE - 1 >= time)
        self.model.add_multiplication_equality(product, [money, spent])
        return product

    def below(self, value: int) -> None:
        """Asks for plans strictly better than `value` from now on."""
        self.model.add(self.objective <= (value - 1) // self.unit)

    def solve(self, seconds: float) -> tuple[str, Picks, int]:
        """Status (`optimal`, `none`, `unknown`), the multiset, and a proven lower bound."""
        solver = cp_model.CpSolver()
        solver.parameters.random_seed = SEED
        solver.parameters.num_workers = 1
        solver.parameters.linearization_level = 1
        solver.parameters.max_presolve_iterations = 1
        solver.parameters.cp_model_probing_level = 0
        solver.parameters.symmetry_level = 0
        if self.goal == "value":
            # presolve of OR-Tools 9.15 calls some feasible products infeasible
            solver.parameters.cp_model_presolve = False
        solver.parameters.max_deterministic_time = max(seconds, 1e-3)
        status = solver.solve(self.model)
        self.deterministic_time += solver.response_proto.deterministic_time
        if status == cp_model.INFEASIBLE:
            return "none", (), 0
        bound = round(solver.best_objective_bound) * self.unit if status != cp_model.UNKNOWN else 0
        if status != cp_model.OPTIMAL:
            return "unknown", (), max(bound, 0)
        picks = tuple(
            Pick(option, solver.value(count))
            for option, count in zip(self.scenario.options, self.variables.nodes, strict=True)
            if solver.value(count)
        )
        return "optimal", picks, round(solver.objective_value) * self.unit

    def exclude(self, picks: Picks, *, subsets: bool) -> None:
        """Cuts a multiset off: itself alone, or (proved too small) with everything inside it."""
        have = dict(picks)
        literals = []
        for option, count in zip(self.scenario.options, self.variables.nodes, strict=True):
            taken = have.get(option, 0)
            more = self.model.new_bool_var(f"more[{option}]")
            self.model.add(count >= taken + 1).only_enforce_if(more)
            literals.append(more)
            if not subsets and taken:
                less = self.model.new_bool_var(f"less[{option}]")
                self.model.add(count <= taken - 1).only_enforce_if(less)
                literals.append(less)
        self.model.add_bool_or(literals)


def _money_step(problem: Problem, scenario: Scenario) -> int:
    """Money units that every price is a multiple of; keeps cost x time small."""
    name = scenario.joint.name
    options = [problem.options[index] for index in scenario.options]
    each = (option.price + option.join_cost(name) for option in options)
    return max(math.gcd(scenario.joint.switch, *each), 1)


def _most_cost(problem: Problem, scenario: Scenario) -> int:
    joint, machines = scenario.joint, problem.limits.machines
    dearest = max(
        problem.options[i].price + problem.options[i].join_cost(joint.name)
        for i in scenario.options
    )
    most = dearest * machines + joint.switch
    return most if problem.limits.budget is None else min(most, problem.limits.budget)


def _most_time(problem: Problem, scenario: Scenario) -> int:
    options = [problem.options[index] for index in scenario.options]
    lines = [problem.kinds[option.kind].best for option in options]
    slowest = int(np.diff(np.array(lines, dtype=np.int64), axis=1).max(axis=0).sum())
    hops = max(scenario.joint.best, *(option.inner_best for option in options))
    return slowest + hops * problem.limits.devices
