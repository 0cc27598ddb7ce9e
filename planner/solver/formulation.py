"""One request as a search sees it, whatever the engine, and how its answers are written in full."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.catalog.load import Catalog
from planner.catalog.schema import Network
from planner.plan import Body, Engine, Remedy, Solver
from planner.request import PlanRequest
from planner.solver.problem import Goal, Joint, Limits, Option, Pick, Picks
from planner.solver.search import Candidate, Clock, Found
from planner.subject import Subject

if TYPE_CHECKING:
    from planner.served import Served


@dataclass(frozen=True, kw_only=True, eq=False)
class Formulation(ABC):
    """A problem with what it was made from."""

    request: PlanRequest
    catalog: Catalog

    subject: Subject | Served
    """What is planned."""
    options: tuple[Option, ...]
    """Node types that may be taken, in order of name."""
    limits: Limits
    """What a plan must respect."""
    needed_bytes: int
    """Weights and cache that no layout avoids."""
    space: str
    """The set of plans a proof holds for, in words."""
    most_users: int
    """Requests one server keeps at most."""

    @abstractmethod
    def minimise(
        self,
        goal: Goal,
        clock: Clock,
        start: Candidate | None = None,
        *,
        limits: Limits | None = None,
    ) -> Found:
        """The plan with the least cost, latency or cost x latency, and the proof.

        `start` is a plan known to work; `limits` replace the request's own.
        """

    @abstractmethod
    def assess(self, picks: Picks, joint: Joint | None) -> Candidate | None:
        """The exact cost and speed of a multiset, or None where it breaks a limit."""

    @abstractmethod
    def holds(self, candidate: Candidate, picks: Picks) -> bool:
        """Whether the nodes and the layout of a candidate of a like request hold this one."""

    @abstractmethod
    def body(self, candidate: Candidate, proof: Solver) -> Body:
        """The full body of a candidate."""

    @abstractmethod
    def engine(self, candidate: Candidate | None) -> Engine:
        """The engine with the settings of a candidate."""

    @abstractmethod
    def user_speed(self, candidate: Candidate, users: int) -> float:
        """Tokens per second each of `users` users gets of a candidate, best estimate."""

    @abstractmethod
    def remedies(self, candidate: Candidate, body: Body) -> tuple[Remedy, ...]:
        """What gives the tightest device of a candidate more room, tried."""

    @abstractmethod
    def check(self, body: Body) -> tuple[str, ...]:
        """What the independent checker finds wrong with a body."""

    def network(self, joint: Joint | None) -> Network | None:
        """The network row of a joint."""
        return None if joint is None else self.catalog.networks[joint.name]

    def picks_of(self, nodes: Mapping[str, int]) -> Picks:
        """A node multiset in the numbering of this formulation."""
        index = {option.name: number for number, option in enumerate(self.options)}
        return tuple(sorted(Pick(index[name], count) for name, count in nodes.items()))
