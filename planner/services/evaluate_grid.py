"""A grid of vLLM or SGLang the user names: what every rank holds, whether it fits, what helps."""

from __future__ import annotations

from dataclasses import replace

from planner import __version__, accounting
from planner.accounting import capacity_assumptions, grids, siting
from planner.accounting.siting import Site
from planner.catalog.load import Catalog
from planner.catalog.schema import Node
from planner.engine_choice import check_settings, version_of
from planner.engines import serving
from planner.engines.grid import Grid, GridMemory, Options, Place
from planner.engines.names import TITLES, GridName
from planner.errors import IllegalLayout, RequestError
from planner.performance.grid import Load
from planner.plan import Body, Evaluation
from planner.request import EvaluateRequest
from planner.served import Asked, Served, kv_type_of, served, unpublished
from planner.services.evaluated import NOT_SOLVED, WORKLOAD, warnings_of
from planner.solver.cluster import check_memory, network_between
from planner.solver.grid_remedies import GridRig, flags, grid_remedies
from planner.subject import window_of

_MOST = 10**9
"""Tokens or requests beyond which a count is a slip."""


def evaluate_grid(
    request: EvaluateRequest, catalog: Catalog, engine: GridName, quant: str
) -> Evaluation:
    """The memory of every rank of a named grid, its verdict, and remedies where it is short.

    Raises:
        RequestError: degrees or counts that make no sense, or that the devices cannot give.
        IllegalLayout: the engine refuses the layout.
    """
    if request.devices is not None:
        raise RequestError(
            f"--devices {request.devices}: {TITLES[engine]} fills its devices, so their memory "
            "counts",
            hint="name the machines, e.g. --node hgx-h100-8:2",
        )
    check_settings(request, engine)
    asked = _asked(request, catalog, engine)
    of = served(catalog, request.model, quant, asked)
    nodes = tuple((catalog.node(entry.node), entry.count) for entry in request.nodes)
    check_memory(catalog, nodes)
    grid = _grid(request, of, nodes)
    site = _site(request, catalog, of, nodes, grid)
    place = siting.place_of(catalog, site)
    stages = siting.stages_of(of, catalog, site, grid)
    reasons = of.illegal(grid, place)
    if stages is None:
        reasons += ("a pipeline stage would lie on devices of several models",)
    families = _families(catalog, site)
    if len(families) > 1:
        reasons += (f"devices of {' and '.join(families)} have no communicator in common",)
    if reasons or stages is None:
        raise IllegalLayout(
            f"{of.title} refuses this layout: {'; '.join(reasons)}",
            hint=_legal_hint(of, catalog, site, grid),
        )
    _check_requests(request, of.memory(grid, stages, place))
    body = grids.body(of, catalog, site, grid, NOT_SOLVED, input_tokens=WORKLOAD.input_tokens)
    if body.verdict != "fits":
        rig = GridRig(
            catalog=catalog, model=request.model, quant=quant, asked=asked, site=site, grid=grid
        )
        body = body.model_copy(update={"remedies": grid_remedies(rig)})
    return Evaluation(
        **{name: getattr(body, name) for name in Body.model_fields},
        request=request,
        model=accounting.summary(of),
        engine=grids.engine_of(of, of.memory(grid, stages, place)),
        assumptions=(
            *of.assumptions,
            *capacity_assumptions(catalog, (entry.gpu for entry in body.cluster)),
        ),
        warnings=(*unpublished(of), *of.notes(grid, place), *warnings_of(body)),
        planner_version=__version__,
        catalog_digest=catalog.digest,
    )


def _check_requests(request: EvaluateRequest, memory: GridMemory) -> None:
    """Refuse more requests in a step than it has tokens, as vLLM does.

    Raises:
        RequestError: more than that.
    """
    most = memory.limits.max_num_seqs
    if request.max_num_seqs is not None and request.max_num_seqs > most:
        raise RequestError(
            f"--max-num-seqs {request.max_num_seqs}: a step has {most} tokens",
            hint="raise --max-num-batched-tokens with it, or lower it",
        )


def _asked(request: EvaluateRequest, catalog: Catalog, engine: GridName) -> Asked:
    window = window_of(catalog, request.model)
    context = window if request.context is None else request.context
    counts = {
        "--context": context,
        "--slots": request.slots,
        "--max-num-seqs": request.max_num_seqs,
        "--max-num-batched-tokens": request.max_num_batched_tokens,
    }
    for option, count in counts.items():
        if count is not None and not 1 <= count <= _MOST:
            raise RequestError(f"{option} {count}: out of range", hint=f"give 1 to {_MOST}")
    return Asked(
        engine=engine,
        options=Options(
            context=context,
            version=version_of(catalog, engine, request.engine_build),
            utilization=request.utilization,
            max_num_seqs=request.max_num_seqs,
            max_num_batched_tokens=request.max_num_batched_tokens,
            kv_type=kv_type_of(engine, request.kv_type),
        ),
        concurrency=request.slots,
        depth=min(WORKLOAD.depth, context),
        load=Load(min(WORKLOAD.input_tokens, context), WORKLOAD.output_tokens),
    )


def _grid(request: EvaluateRequest, of: Served, nodes: tuple[tuple[Node, int], ...]) -> Grid:
    """The degrees as named; tensor parallelism takes the devices the others leave."""
    total = sum(node.gpus * count for node, count in nodes)
    rest = request.pipeline_parallel * (request.data_parallel if of.engine == "vllm" else 1)
    tensor = request.tensor_parallel
    if tensor is None:
        tensor = max(total // rest, 1)
    return Grid(
        tensor_parallel=tensor,
        pipeline_parallel=request.pipeline_parallel,
        data_parallel=request.data_parallel,
        expert_parallel=request.expert_parallel,
        decode_context_parallel=request.decode_context_parallel,
        redundant_experts=request.redundant_experts,
        partition=request.split or (),
    )


def _site(
    request: EvaluateRequest,
    catalog: Catalog,
    of: Served,
    nodes: tuple[tuple[Node, int], ...],
    grid: Grid,
) -> Site:
    """The same number of devices of every machine."""
    machines = sum(node.machines * count for node, count in nodes)
    smallest = min(node.gpus // node.machines for node, _ in nodes)
    used, left = divmod(of.gpus(grid), machines)
    if left or not 1 <= used <= smallest:
        total = sum(node.gpus * count for node, count in nodes)
        raise RequestError(
            f"the layout takes {of.gpus(grid)} {'device' if of.gpus(grid) == 1 else 'devices'}; "
            f"{machines} {'machine has' if machines == 1 else 'machines have'} {total}, and every "
            "machine gives as many",
            hint="change --tp, --pp or --dp, or the number of nodes",
        )
    return Site(nodes=nodes, used=used, network=network_between(catalog, nodes))


def _legal_hint(of: Served, catalog: Catalog, site: Site, refused: Grid) -> str:
    """A layout of the same devices that is legal, or the context that is."""
    window = of.architecture.context_length
    if of.context > window:
        return f"leave --context out for the full window, or give at most {window}"
    if len(_families(catalog, site)) > 1:
        return "take nodes of one device family"
    place = siting.place_of(catalog, site)
    legal = [
        grid
        for grid in of.grids(place)
        if not of.illegal(grid, place) and siting.stages_of(of, catalog, site, grid)
    ]
    if not legal:
        return _without_layout(of, place)
    likest = max(legal, key=lambda grid: (grid.tensor_parallel, -grid.data_parallel))
    split = ", without --split" if refused.partition else ""
    return f"legal on these devices: {flags(likest, refused)}{split}"


def _families(catalog: Catalog, site: Site) -> tuple[str, ...]:
    return tuple(sorted({catalog.gpu(node.gpu).family for node, _ in site.nodes}))


def _without_layout(of: Served, place: Place) -> str:
    """What to change where no layout of the devices is legal."""
    plain = serving.rules(of.engine)
    options = replace(of.options, kv_type="auto")
    if any(
        not plain.illegal(of.architecture, of.scheme, grid, options, place)
        for grid in of.grids(place)
    ):
        return "leave --kv-type out for 16 bits"
    return "no layout of these devices is legal: take other nodes or another --quant"
