"""The whole answer to one request: the three choices, what surrounds them, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner import __version__, accounting, market
from planner.catalog.load import Catalog
from planner.engine_choice import checkpoints, engine_of, engines_of, quantization_of
from planner.errors import EngineError, RequestError, UnsupportedArchitecture
from planner.model.row_scheme import published_checkpoints
from planner.plan import Body, Choices, Infeasible, Outcome, Plan
from planner.request import PlanRequest
from planner.solver import notes, surroundings
from planner.solver.alternatives import alternatives
from planner.solver.explain import explain
from planner.solver.search import Candidate, Clock, Progress
from planner.solver.session import Choice, Session
from planner.units import usd


def solve(request: PlanRequest, catalog: Catalog, progress: Progress | None = None) -> Outcome:
    """The cheapest, best-value and fastest cluster for a request, proved and checked; or why not.

    Raises:
        RequestError: the request makes no sense.
        CatalogError, FactsError, EngineError: what it names cannot be planned.
    """
    market.check(request, catalog)
    engines = engines_of(request, catalog)
    if len(engines) > 1:
        return _of_engines(request, catalog, engines, progress)
    (engine,) = engines
    own = request
    if request.engine is None and engine != "llama.cpp":  # other formats are asked of it too
        own = request.model_copy(update={"engine": engine})
    session, quants, cheapest = _cheapest(own, catalog, progress)
    outcome = _no(session, quants) if cheapest is None else _yes(session, cheapest)
    return outcome.model_copy(update={"request": request})


def _cheapest(
    request: PlanRequest, catalog: Catalog, progress: Progress | None
) -> tuple[Session, tuple[str, ...], Choice | None]:
    """The cheapest plan of the best quantization that has one, and what it was looked for in."""
    session = Session(
        request=request,
        catalog=catalog,
        clock=Clock(request.time_limit),
        progress=progress or (lambda _: None),
    )
    session.progress("cheapest")
    quants = _candidates(session)
    choices = (session.cheapest(session.formulation(quant)) for quant in quants)
    cheapest = next((choice for choice in choices if choice is not None), None)
    if cheapest is None and session.clock.left <= 0:
        raise OutOfTime(request)
    return session, quants, cheapest


def _of_engines(
    request: PlanRequest,
    catalog: Catalog,
    engines: Sequence[str],
    progress: Progress | None,
) -> Outcome:
    """The cheapest plan of several engines, of equally cheap ones the fastest; all are named."""
    found: dict[str, tuple[Session, Choice]] = {}
    refused: dict[str, str] = {}
    failed: list[tuple[Session, tuple[str, ...]]] = []
    for engine in engines:
        own = request.model_copy(update={"engine": engine})
        try:
            session, quants, cheapest = _cheapest(own, catalog, progress)
        except (EngineError, UnsupportedArchitecture) as error:
            refused[engine] = str(error)
            continue
        if cheapest is None:
            refused[engine] = "no plan within the limits"
            failed.append((session, quants))
        else:
            found[engine] = session, cheapest
    if not found:
        if not failed:
            reasons = "; ".join(f"{engine}: {reason}" for engine, reason in refused.items())
            raise EngineError(f"no engine takes it: {reasons}", hint="ask for another --quant")
        return _no(*failed[0]).model_copy(update={"request": request})
    scores = {name: (c.candidate.cost, c.candidate.best) for name, (_, c) in found.items()}
    best = min(scores, key=scores.__getitem__)
    plan = _yes(*found[best])
    compared = tuple(
        f"engine {name}: {usd(float(choice.usd))}, {10**9 / choice.candidate.best:.3g} tokens/s in "
        f"all, {choice.formulation.subject.quantization.name} on {choice.text}"
        for name, (_, choice) in found.items()
    )
    compared += tuple(f"engine {name}: {reason}" for name, reason in refused.items())
    return plan.model_copy(
        update={"request": request, "assumptions": (*compared, *plan.assumptions)}
    )


class OutOfTime(RequestError):
    """The time limit ran out before any plan was found."""

    exit_code = 4

    def __init__(self, request: PlanRequest) -> None:
        super().__init__(
            f"no plan found within --time-limit {request.time_limit:g}",
            hint="give more time, or ask for less: fewer machines, a larger budget",
        )


def _candidates(session: Session) -> tuple[str, ...]:
    """The quantizations that would do, best first.

    The asked one; for `auto` within a budget every published one, without one the recommended.
    """
    request, catalog = session.request, session.catalog
    if request.quant != "auto":
        row = catalog.model(request.model)
        return (quantization_of(catalog, row, request.quant).name,)
    row = catalog.model(request.model)
    limited = request.budget is not None or request.budget_per_hour is not None
    if engine_of(request, catalog, "auto") != "llama.cpp":
        own = published_checkpoints(row)[:1]
        return checkpoints(catalog, row) if limited else own
    if not limited:
        return (row.recommended,)
    published = surroundings.gguf_mixes(catalog, row)
    return tuple(sorted(published, key=lambda name: -catalog.quantizations[name].rank))


def _no(session: Session, quants: tuple[str, ...]) -> Infeasible:
    session.progress("why not")
    formulation = session.formulation(quants[-1])
    conflicts, relaxations = explain(session, quants)
    assumptions = notes.assumptions(session, formulation, ())
    if session.clock.left <= 0:
        relaxations = ()
        assumptions += ("the time limit ran out before it was clear what would help",)
    return Infeasible(
        request=session.request,
        model=accounting.summary(formulation.subject),
        engine=formulation.subject.engine,
        build=formulation.subject.version,
        conflicts=conflicts,
        relaxations=relaxations,
        space=formulation.space,
        assumptions=assumptions,
        planner_version=__version__,
        catalog_digest=session.catalog.digest,
    )


def _yes(session: Session, cheapest: Choice) -> Plan:
    formulation = cheapest.formulation
    subject = formulation.subject
    session.progress("best value")
    best_value = session.best_value(formulation)
    session.progress("fastest")
    fastest = session.fastest(formulation)
    body = _body(session, cheapest)
    bodies = {cheapest.candidate: body}
    for choice in (best_value, fastest):
        if choice is not None and choice.candidate not in bodies:
            bodies[choice.candidate] = _body(session, choice)
    session.progress("alternatives")
    others = alternatives(session, cheapest, body, [best_value, fastest])
    around: dict[str, Any] = {
        "headroom": surroundings.headroom(session, cheapest),
        "next_quantization": surroundings.next_quantization(session, formulation),
        "sensitivity": surroundings.sensitivity(session, cheapest, best_value, fastest),
        "excluded": surroundings.excluded(session, cheapest),
    }
    late: tuple[str, ...] = ()
    if session.clock.left <= 0:
        late = ("the time limit ran out: what is not called optimal is the best found so far",)
    fields = {name: getattr(body, name) for name in Body.model_fields}
    return Plan(
        **fields,
        request=session.request,
        model=accounting.summary(subject),
        engine=formulation.engine(cheapest.candidate),
        choices=Choices(
            cheapest=body,
            best_value=_with_proof(session, best_value, bodies),
            fastest=_with_proof(session, fastest, bodies),
        ),
        alternatives=others,
        **around,
        download=surroundings.download(session, formulation, body),
        assumptions=notes.assumptions(session, formulation, _gpus(body)),
        warnings=late + notes.warnings(session, formulation, body),
        next_commands=notes.next_commands(session, formulation),
        planner_version=__version__,
        catalog_digest=session.catalog.digest,
    )


def _body(session: Session, choice: Choice) -> Body:
    """The body of a choice, with remedies where it is tight."""
    body = session.body(choice)
    if body.verdict != "tight":
        return body
    tried = choice.formulation.remedies(choice.candidate, body)
    return body.model_copy(update={"remedies": tried})


def _with_proof(
    session: Session, choice: Choice | None, bodies: dict[Candidate, Body]
) -> Body | None:
    """The body of a choice with its own proof: one cluster may win under several goals."""
    if choice is None:
        return None
    return bodies[choice.candidate].model_copy(update={"solver": session.proof(choice)})


def _gpus(body: Body) -> Sequence[str]:
    return [entry.gpu for entry in body.cluster]
