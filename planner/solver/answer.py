"""The whole answer to one request: the three choices, what surrounds them, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner import __version__, accounting, market
from planner.catalog.load import Catalog
from planner.errors import RequestError
from planner.model.tensors import active_parameters
from planner.plan import Body, Choices, Engine, Infeasible, ModelSummary, Outcome, Plan
from planner.request import PlanRequest
from planner.solver import notes, surroundings
from planner.solver.alternatives import alternatives
from planner.solver.explain import explain
from planner.solver.remedies import Rig, remedies
from planner.solver.search import Candidate, Clock, Progress
from planner.solver.session import Choice, Session, space_of
from planner.subject import Subject, shape_of_request
from planner.verify import split_of


def solve(request: PlanRequest, catalog: Catalog, progress: Progress | None = None) -> Outcome:
    """The cheapest, best-value and fastest cluster for a request, proved and checked; or why not.

    Raises:
        RequestError: the request makes no sense.
        CatalogError, FactsError, EngineError: what it names cannot be planned.
    """
    market.check(request, catalog)
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
    if cheapest is not None:
        return _yes(session, cheapest)
    if session.clock.left <= 0:
        raise OutOfTime(request)
    return _no(session, quants)


class OutOfTime(RequestError):
    """The time limit ran out before any plan was found."""

    exit_code = 4

    def __init__(self, request: PlanRequest) -> None:
        super().__init__(
            f"no plan found within --time-limit {request.time_limit:g}",
            hint="give more time, or ask for less: fewer machines, a larger budget",
        )


def summary(subject: Subject) -> ModelSummary:
    """The model as planned."""
    return ModelSummary(
        name=subject.row.name,
        quant=subject.quantization.name,
        parameters=subject.row.parameters,
        active_parameters=active_parameters(subject.architecture),
        layers=subject.architecture.depth,
        file_bytes=subject.weights.total_bytes,
        context=subject.context,
        concurrency=subject.concurrency,
    )


def engine(subject: Subject) -> Engine:
    """The settings the plan was made for."""
    settings = subject.settings
    return Engine(
        name=subject.build.engine,
        build=subject.build.name,
        context=settings.context,
        slots=settings.slots,
        ubatch=settings.ubatch,
        batch=settings.batch,
        flash_attention=settings.flash_attention,
        kv_type=settings.key_type,
        swa_full=settings.swa_full,
    )


def _candidates(session: Session) -> tuple[str, ...]:
    """The quantizations that would do, best first.

    The asked one; for `auto` within a budget every published one, without one the recommended.
    """
    request, catalog = session.request, session.catalog
    if request.quant != "auto":
        return (catalog.quantization(request.quant).name,)
    row = catalog.model(request.model)
    if request.budget is None and request.budget_per_hour is None:
        return (row.recommended,)
    published = surroundings.published(catalog, row)
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
        model=summary(formulation.subject),
        conflicts=conflicts,
        relaxations=relaxations,
        space=space_of(formulation),
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
        model=summary(subject),
        engine=engine(subject),
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
    tried = remedies(_rig(session, choice, body), accounting.least_headroom(body.devices))
    return body.model_copy(update={"remedies": tried})


def _with_proof(
    session: Session, choice: Choice | None, bodies: dict[Candidate, Body]
) -> Body | None:
    """The body of a choice with its own proof: one cluster may win under several goals."""
    if choice is None:
        return None
    return bodies[choice.candidate].model_copy(update={"solver": session.proof(choice)})


def _rig(session: Session, choice: Choice, body: Body) -> Rig:
    """The cluster with its nodes in pipeline order."""
    formulation = choice.formulation
    split = split_of(session.catalog, body)
    nodes = dict.fromkeys((device.node, device.number) for device in split)
    return Rig(
        catalog=session.catalog,
        model=session.request.model,
        quant=formulation.subject.quantization.name,
        shape=shape_of_request(session.request, session.catalog),
        nodes=[(session.catalog.node(name), 1) for name, _ in nodes],
        network=formulation.network(choice.candidate.joint),
    )


def _gpus(body: Body) -> Sequence[str]:
    return [entry.gpu for entry in body.cluster]
