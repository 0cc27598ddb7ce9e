"""What must hold between a problem and a changed one, whatever the numbers."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.solver.problem import Goal, Limits, Problem
from planner.solver.search import Clock, minimise
from tests.solver import brute_force, instances, twists
from tests.solver.by_hand import BY_HAND

GOALS: tuple[Goal, ...] = ("cost", "latency", "floor", "value")
NO_PLAN = 2**200

problems = st.integers(min_value=0, max_value=10**6).map(twists.twisted)
goals = st.sampled_from(GOALS)
often = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much],
)


def best(problem: Problem, goal: Goal) -> int:
    """The proven least score; huge where there is no plan."""
    found = minimise(problem, goal, Clock(60))
    assert found.proven
    return NO_PLAN if found.candidate is None else found.candidate.score(goal)


def limited(problem: Problem, **changes: int | None) -> Problem:
    limits: Limits = replace(problem.limits, **changes)  # type: ignore[arg-type]
    return replace(problem, limits=limits)


@often
@given(problems, goals, st.randoms(use_true_random=False))
def test_the_order_of_the_options_does_not_matter(problem, goal, random) -> None:
    order = list(problem.options)
    random.shuffle(order)
    renamed = tuple(replace(o, name=f"node-{number}") for number, o in enumerate(order))
    assert best(replace(problem, options=renamed), goal) == best(problem, goal)


@often
@given(problems, goals, st.integers(0, 100))
def test_more_money_is_never_worse(problem, goal, percent) -> None:
    budget = problem.limits.budget
    more = None if budget is None else budget + budget * percent // 100
    less = max(o.price for o in problem.options) if budget is None else budget
    assert best(limited(problem, budget=more), goal) <= best(limited(problem, budget=less), goal)


@often
@given(problems, goals, st.integers(0, 2))
def test_one_more_option_is_never_worse(problem, goal, which) -> None:
    left = tuple(o for number, o in enumerate(problem.options) if number != which)
    if left:
        assert best(problem, goal) <= best(replace(problem, options=left), goal)


@often
@given(problems, goals, st.integers(1, 3))
def test_one_more_machine_is_never_worse(problem, goal, more) -> None:
    roomier = limited(problem, machines=problem.limits.machines + more)
    assert best(roomier, goal) <= best(problem, goal)


@often
@given(problems, goals, st.sampled_from([2, 3, 7]))
def test_all_bytes_times_a_factor_change_no_plan(problem, goal, factor) -> None:
    graph = problem.need_bytes
    assert isinstance(graph, instances.Graph)
    scaled = replace(
        problem,
        need_bytes=replace(graph, scale=factor),
        padding=tuple(size * factor for size in problem.padding),
        sizes=tuple(size * factor for size in problem.sizes),
        kinds=tuple(
            replace(
                kind,
                capacity=kind.capacity * factor,
                head_bytes={mode: size * factor for mode, size in kind.head_bytes.items()},
            )
            for kind in problem.kinds
        ),
    )
    assert best(scaled, goal) == best(problem, goal)


@often
@given(problems, goals, st.sampled_from([0.0, 1e-6, 1e-4, 1e-3]))
def test_a_search_cut_short_claims_nothing_wrong(problem, goal, seconds) -> None:
    """Its bound holds, its plan is real, and it says proven only where it is."""
    optimum = brute_force.optimum(brute_force.plans(problem), goal)
    found = minimise(problem, goal, Clock(seconds))
    got = None if found.candidate is None else found.candidate.score(goal)
    if found.proven:
        assert got == found.bound == optimum
    else:
        assert found.bound is not None
        assert optimum is None or found.bound <= optimum
        assert got is None or (optimum is not None and got >= optimum)


def test_no_time_at_all_proves_nothing_about_several_nodes() -> None:
    found = minimise(BY_HAND["exact fit"](), "cost", Clock(0))
    assert found.candidate is None
    assert not found.proven
    assert found.bound is not None
    assert found.bound <= 300


def test_the_same_problem_has_the_same_answer_twice() -> None:
    for seed in range(40):
        for goal in GOALS:
            first = minimise(twists.twisted(seed), goal, Clock(60))
            assert minimise(twists.twisted(seed), goal, Clock(60)) == first
