"""Models of the catalog on machines of the catalog: every legal grid is counted, none contradicts.

A slice of the models by default, all of them with `-m full`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from planner.accounting import siting
from planner.accounting.siting import Site
from planner.catalog import load_catalog
from planner.engine_choice import checkpoints
from planner.engines.grid import Grid, GridMemory, Options
from planner.engines.names import GRID_ENGINES
from planner.engines.pages import KvType
from planner.errors import EngineError, UnsupportedArchitecture
from planner.model.checkpoint_weights import checkpoint_weights
from planner.model.encoders import why_no_text
from planner.served import Asked, Served, served
from planner.solver.cluster import network_between
from planner.subject import window_of

CATALOG = load_catalog()
SERVERS = ("hgx-h100-8", "hgx-b200-8", "mi300x-8", "4090-x4")
ALL_SERVERS = (*SERVERS, "hgx-h200-8", "rtx-pro-6000-x8", "l40s-x8")
CONTEXT, REQUESTS = 8192, 8
SLICE = (
    *("deepseek-v3.2", "gemma3-27b", "gpt-oss-120b", "jamba-mini", "kimi-k2.6"),
    *("llama-3.1-8b", "minimax-m3", "nemotron-3-nano-30b-a3b", "qwen3-235b", "qwen3-next-80b-a3b"),
)
MODELS = tuple(name for name, row in CATALOG.models.items() if not row.file)


@dataclass(frozen=True)
class Question:
    """One model in one format on one engine, asked in three ways."""

    whole: Served
    narrow: Served
    """With an 8-bit cache."""
    short: Served
    """With half the context."""
    checkpoint: int
    """Bytes of the weights without MTP blocks."""


def question(name: str, quant: str, engine: str) -> Question:
    context = min(CONTEXT, window_of(CATALOG, name))

    def of(tokens: int, kv_type: KvType) -> Served:
        version = CATALOG.default_build(engine).name
        options = Options(context=tokens, version=version, kv_type=kv_type)
        asked = Asked(engine=engine, options=options, concurrency=REQUESTS, depth=tokens)
        return served(CATALOG, name, quant, asked)

    whole = of(context, "auto")
    return Question(
        whole=whole,
        narrow=of(context, "fp8"),
        short=of(context // 2, "auto"),
        checkpoint=checkpoint_weights(whole.architecture, whole.scheme, mtp=False).total_bytes,
    )


def sites(names: tuple[str, ...]) -> Iterator[Site]:
    """One machine, and two where something joins them."""
    for name in names:
        node = CATALOG.node(name)
        yield Site(nodes=((node, 1),), used=node.gpus, network=None)
        if node.networks:
            two = ((node, 2),)
            yield Site(nodes=two, used=node.gpus, network=network_between(CATALOG, two))


def contradictions(asked: Question, site: Site) -> Iterator[str | None]:
    """What is wrong with each legal layout of a site; None for each that is right."""
    place = siting.place_of(CATALOG, site)
    for grid in asked.whole.grids(place):
        if asked.whole.illegal(grid, place):
            continue
        stages = siting.stages_of(asked.whole, CATALOG, site, grid)
        assert stages is not None
        memory = asked.whole.memory(grid, stages, place)
        wrong = [*_parts(memory), *_sums(asked, grid, memory), *_fit(memory)]
        if not asked.narrow.illegal(grid, place):
            wrong.extend(_less(memory, asked.narrow.memory(grid, stages, place), "8 bits"))
        wrong.extend(_less(memory, asked.short.memory(grid, stages, place), "half the context"))
        yield f"{grid}: {'; '.join(wrong)}" if wrong else None


def _parts(memory: GridMemory) -> Iterator[str]:
    for held in memory.ranks:
        sizes = [size for _, size in held.components]
        bounds = (held.weights.low, held.compute.low, held.runtime.low)
        if min(*sizes, *bounds, held.kv_cache, held.reserve) < 0:
            yield f"a negative part in {held}"
        for span in (held.weights, held.compute, held.runtime):
            if not span.low <= span.best <= span.high:
                yield f"bounds out of order in {held}"
    if not 0 <= memory.tokens.low <= memory.tokens.best <= memory.tokens.high:
        yield f"tokens out of order: {memory.tokens}"


def _sums(asked: Question, grid: Grid, memory: GridMemory) -> Iterator[str]:
    """Every weight is on some rank, none on more ranks than share a stage, and none is lost.

    A tied output is a copy of the embedding where these are on different stages.
    """
    ranks = sum(held.rank.ranks for held in memory.ranks)
    if ranks != asked.whole.gpus(grid):
        yield f"{ranks} ranks"
    weights = sum(
        size * held.rank.ranks
        for held in memory.ranks
        for component, size in held.components
        if component is not None
    )
    tied = asked.whole.architecture.tied and grid.pipeline_parallel > 1
    most = grid.tensor_parallel * grid.data_parallel + (1 if tied else 0.2)
    if not asked.checkpoint <= weights <= asked.checkpoint * most:
        yield f"{weights} bytes on all ranks, the checkpoint has {asked.checkpoint}"
    held = weights + sum(each.kv_cache * each.rank.ranks for each in memory.ranks)
    if held < asked.whole.least_bytes:
        yield f"{held} bytes of weights and cache, at least {asked.whole.least_bytes} are needed"


def _fit(memory: GridMemory) -> Iterator[str]:
    """The verdict is the one of the parts."""
    left = min(held.device - held.total for held in memory.ranks)
    if (left >= 0) != (memory.fit.headroom >= 0):
        yield f"{left} bytes left, and headroom of {memory.fit.headroom}"
    if memory.fit.verdict == "fits" and left < 0:
        yield "fits over the edge"


def _less(memory: GridMemory, other: GridMemory, what: str) -> Iterator[str]:
    """A smaller cache is no larger, and as many requests or more have room."""
    pairs = zip(memory.ranks, other.ranks, strict=True)
    if any(less.kv_cache > more.kv_cache for more, less in pairs):
        yield f"a larger cache with {what}"
    if other.requests[1] < memory.requests[1]:
        yield f"room for fewer requests with {what}"


def swept(name: str, engine: str, servers: tuple[str, ...]) -> tuple[int, list[str]]:
    """Legal layouts, and what is wrong with them; refusals are in words."""
    counted, wrong = 0, []
    for quant in checkpoints(CATALOG, CATALOG.model(name)):
        try:
            asked = question(name, quant, engine)
            for site in sites(servers):
                for found in contradictions(asked, site):
                    counted += 1
                    if found is not None:
                        wrong.append(f"{quant} on {site.nodes[0][0].name}: {found}")
        except (EngineError, UnsupportedArchitecture) as error:
            if not error.hint:
                wrong.append(f"no hint: {error}")
    return counted, wrong


@pytest.mark.parametrize("engine", GRID_ENGINES)
@pytest.mark.parametrize("name", SLICE)
def test_grids_of_some_models_hold_together(name: str, engine: str) -> None:
    counted, wrong = swept(name, engine, SERVERS)
    assert wrong == []
    assert (counted == 0) == ((name, engine) == ("jamba-mini", "sglang"))


@pytest.mark.full
@pytest.mark.parametrize("engine", GRID_ENGINES)
def test_grids_of_every_model_hold_together(engine: str) -> None:
    total, wrong = 0, []
    for name in MODELS:
        if why_no_text(CATALOG.models[name].config) is None:
            counted, found = swept(name, engine, ALL_SERVERS)
            total += counted
            wrong.extend(f"{name}: {text}" for text in found)
    print(f"\n{engine}: {total:,} legal grids of {len(MODELS)} models counted")
    assert wrong == []
    assert total > 50_000
