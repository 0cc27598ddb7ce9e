"""One question being answered: problems built once, the clock that all searches share, progress."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from planner import market
from planner.catalog.load import Catalog
from planner.engine_choice import engine_of
from planner.market import Market
from planner.plan import Body, Solver
from planner.request import PlanRequest
from planner.solver.formulate import formulate_slots
from planner.solver.formulation import Formulation
from planner.solver.problem import MONEY_UNIT, SEED, Goal
from planner.solver.search import Candidate, Clock, Found, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A found plan of one formulation, with its proof."""

    formulation: Formulation
    goal: Goal
    found: Found
    candidate: Candidate

    @property
    def usd(self) -> Decimal:
        """Cost in USD (per hour where rented)."""
        return Decimal(self.candidate.cost) / MONEY_UNIT

    @property
    def nodes(self) -> dict[str, int]:
        """Node types and how many of each."""
        options = self.formulation.options
        return {options[pick.option].name: pick.nodes for pick in self.candidate.picks}

    @property
    def gpus(self) -> tuple[str, ...]:
        """GPU models of the cluster."""
        names = (self.formulation.catalog.node(name).gpu for name in self.nodes)
        return tuple(dict.fromkeys(names))

    @property
    def text(self) -> str:
        """`3x mac-studio-m5u-256 + 1x dgx-h100`."""
        return " + ".join(f"{count}x {name}" for name, count in self.nodes.items())


@dataclass(slots=True, kw_only=True)
class Session:
    """Everything that lasts for one request."""

    request: PlanRequest
    catalog: Catalog
    clock: Clock
    progress: Progress = field(default=lambda _: None)

    def formulation(self, quant: str, /, view: Market | None = None, **changes: Any) -> Formulation:
        """The request's problem, with some of its fields changed."""
        request = self.request.model_copy(update=changes) if changes else self.request
        return formulate(request, self.catalog, quant, view or Market())

    def optimum(
        self,
        formulation: Formulation,
        goal: Goal,
        *,
        budget: int | None = None,
        best: int | None = None,
        start: Candidate | None = None,
    ) -> Choice | None:
        """The plan that is best for `goal`, ties as they fall.

        `budget` (money units) and `best` (nanoseconds) tighten the problem's own limits; `start`
        is a plan that is known to work.
        """
        limits = formulation.limits
        if budget is not None:
            own = budget if limits.budget is None else limits.budget
            limits = replace(limits, budget=min(budget, own))
        if best is not None:
            limits = replace(limits, best=best)
        found = formulation.minimise(goal, self.clock, start, limits=limits)
        if found.candidate is None:
            return None
        return Choice(formulation=formulation, goal=goal, found=found, candidate=found.candidate)

    def cheapest(self, formulation: Formulation) -> Choice | None:
        """Least money, and of the equally cheap the fastest."""
        choice = self.optimum(formulation, "cost")
        if choice is None:
            return None
        known = choice.candidate
        faster = self.optimum(formulation, "latency", budget=known.cost, start=known)
        assert faster is not None
        return replace(choice, candidate=faster.candidate)

    def fastest(self, formulation: Formulation) -> Choice | None:
        """Least time per token, and of the equally fast the cheapest."""
        choice = self.optimum(formulation, "latency")
        if choice is None:
            return None
        known = choice.candidate
        cheaper = self.optimum(formulation, "cost", best=known.best, start=known)
        assert cheaper is not None
        return replace(choice, candidate=cheaper.candidate)

    def best_value(self, formulation: Formulation) -> Choice | None:
        """Most tokens per second per USD."""
        return self.optimum(formulation, "value")

    def body(self, choice: Choice) -> Body:
        """The full body of a choice, checked before anybody sees it.

        Raises:
            AssertionError: the independent checker disagrees, which is a defect of the planner.
        """
        form = choice.formulation
        result = form.body(choice.candidate, self.proof(choice))
        wrong = form.check(result)
        assert not wrong, f"the checker rejects the solver's plan: {wrong}"
        return result

    def proof(self, choice: Choice) -> Solver:
        """How a choice was proved, in the units people use."""
        rented = market.rented(self.request)
        money = "USD/h" if rented else "USD"
        unit = {
            "cost": money,
            "latency": "s/token",
            "floor": "s/token",
            "value": f"{money} x s/token",
        }[choice.goal]
        scale = {
            "cost": MONEY_UNIT,
            "latency": 10**9,
            "floor": 10**9,
            "value": MONEY_UNIT * 10**9,
        }[choice.goal]
        score = choice.candidate.score(choice.goal)
        bound = choice.found.bound
        gap = None if bound is None or not score else (score - bound) / score
        return Solver(
            status="optimal" if choice.found.proven else "feasible",
            objective=score / scale,
            bound=None if bound is None else bound / scale,
            gap=gap,
            unit=unit,
            space=choice.formulation.space,
            deterministic_time=round(self.clock.spent, 6),
            seed=SEED,
        )


def formulate(request: PlanRequest, catalog: Catalog, quant: str, view: Market) -> Formulation:
    """The problem of `request` in quantization `quant`, on the market seen as `view`."""
    if engine_of(request, catalog, quant) == "llama.cpp":
        return formulate_slots(request, catalog, quant, view)
    from planner.solver.formulate_grids import formulate_grids  # of no use to a layer split

    return formulate_grids(request, catalog, quant, view)
