"""The solver against an exhaustive search of its own space: equal scores, proven, no exception."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from planner.solver import master
from planner.solver.problem import Goal
from planner.solver.search import Clock, minimise
from tests.solver import brute_force, instances

GOALS: tuple[Goal, ...] = ("cost", "latency", "floor", "value")
SLICE = range(160)
FULL = [range(start, start + 600) for start in range(0, 2400, 600)]


@dataclass
class Tally:
    """What a run of comparisons has seen; a check is one instance under one goal."""

    instances: int = 0
    checks: int = 0
    infeasible: int = 0
    mixed: int = 0
    joined: int = 0
    cut: int = 0

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.instances} instances x {len(GOALS)} goals = {self.checks} checks: "
            f"{self.infeasible} infeasible ({self.infeasible / self.checks:.0%}), "
            f"{self.joined} with only multi-node optima, "
            f"{self.mixed} with only mixed optima ({self.mixed / self.checks:.0%}), "
            f"{self.cut} where the exact split sent a cut back"
        )


def compare(seeds: Iterable[int], monkeypatch: pytest.MonkeyPatch) -> tuple[Tally, list[str]]:
    """Counts of what was compared, and one line for each difference."""
    tally, wrong = Tally(), []
    cuts = _count_cuts(monkeypatch)
    for seed in seeds:
        problem = instances.draw(seed)
        plans = brute_force.plans(problem)
        tally.instances += 1
        for goal in GOALS:
            want = brute_force.optimum(plans, goal)
            cuts.clear()
            found = minimise(problem, goal, Clock(60))
            got = None if found.candidate is None else found.candidate.score(goal)
            if not found.proven or not got == found.bound == want:
                wrong.append(
                    f"instance {seed}, {goal}: exhaustive {want}, solver {got}, "
                    f"bound {found.bound}, proven {found.proven}"
                )
            tally.checks += 1
            tally.infeasible += want is None
            tally.mixed += brute_force.only_mixed(plans, goal)
            tally.joined += brute_force.only_joined(plans, goal)
            tally.cut += bool(cuts)
    return tally, wrong


def _count_cuts(monkeypatch: pytest.MonkeyPatch) -> list[brute_force.Picks]:
    seen: list[brute_force.Picks] = []
    exclude = master.Master.exclude

    def counted(self: master.Master, picks: brute_force.Picks, *, subsets: bool) -> None:
        seen.append(picks)
        exclude(self, picks, subsets=subsets)

    monkeypatch.setattr(master.Master, "exclude", counted)
    return seen


def check(
    seeds: Iterable[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tally, wrong = compare(seeds, monkeypatch)
    with capsys.disabled():
        print(f"\n{tally}")
    assert not wrong, "\n".join(wrong)
    assert tally.infeasible >= 0.2 * tally.checks
    assert tally.mixed >= 0.1 * tally.checks
    assert tally.cut > 0


def test_no_exhaustive_search_beats_the_solver(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check(SLICE, monkeypatch, capsys)


@pytest.mark.full
@pytest.mark.parametrize("seeds", FULL, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_no_exhaustive_search_beats_the_solver_on_thousands(
    seeds: range, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check(seeds, monkeypatch, capsys)


def test_the_full_set_has_two_thousand_instances() -> None:
    assert len({seed for seeds in FULL for seed in seeds}) >= 2000


def test_instances_cover_what_the_search_can_meet() -> None:
    """Each feature that a limit or a formula depends on is in the default slice."""
    problems = [instances.draw(seed) for seed in SLICE]
    options = [option for problem in problems for option in problem.options]
    kinds = [kind for problem in problems for kind in problem.kinds]
    seen = {
        "layers": {problem.slots - 1 - (0 in problem.sizes) for problem in problems},
        "types": {len(problem.options) for problem in problems},
        "joints": {len(problem.joints) for problem in problems},
        "gpus": {option.gpus for option in options},
        "machines": {option.machines for option in options},
        "unloaded blocks": {0 in problem.sizes for problem in problems},
        "budget": {problem.limits.budget is None for problem in problems},
        "floor": {problem.limits.floor is None for problem in problems},
        "best": {problem.limits.best is None for problem in problems},
        "families": {problem.limits.mixed_families for problem in problems},
        "rpc": {problem.rpc_pipelines for problem in problems},
        "padded": {kind.padded for kind in kinds},
        "unified": {kind.head_bytes["single"] > 0 for kind in kinds},
        "floor differs": {kind.floor != kind.best for kind in kinds},
        "short stock": {option.stock < 4 for option in options},
    }
    assert seen["layers"] == {3, 4, 5, 6, 7, 8}
    assert seen["types"] == {1, 2, 3}
    assert seen["gpus"] == {1, 2, 3, 4}
    assert seen["joints"] == seen["machines"] == {1, 2}
    flags = {name: values for name, values in seen.items() if False in values}
    assert all(values == {False, True} for values in flags.values())
    assert len(flags) == len(seen) - 5
