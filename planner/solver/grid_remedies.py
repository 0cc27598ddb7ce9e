"""What gives the tightest rank of a grid more room, each remedy tried on the same site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from planner.accounting import siting
from planner.accounting.grids import VERDICTS
from planner.accounting.siting import Site
from planner.catalog.load import Catalog
from planner.engines.grid import Grid, GridMemory, Options
from planner.engines.pages import KvType
from planner.plan import Remedy
from planner.served import Asked, Served, served
from planner.solver.grid_layouts import layouts_of
from planner.solver.surroundings import CONTEXT_STEP, largest
from planner.subject import ByDigest

_UTILIZATION = 0.95
_BATCHES = (4096, 2048)
_SEQUENCES = (256, 64)
_TOGETHER = ((_UTILIZATION, 2048, 64), (0.98, 1024, 16))
"""Share of a device, tokens and requests per step, tried at once: first what costs little speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRig:
    """A layout on a site, and the settings under which it is judged."""

    catalog: Catalog
    model: str
    quant: str
    asked: Asked
    site: Site
    grid: Grid

    def served(self, options: Options) -> Served:
        """What is served under other options."""
        asked = replace(self.asked, options=options)
        return served(self.catalog, self.model, self.quant, asked)

    def memory(self, options: Options, grid: Grid, site: Site) -> GridMemory | None:
        """What every rank then holds; None where the engine refuses the layout."""
        of, place = self.served(options), siting.place_of(self.catalog, site)
        stages = siting.stages_of(of, self.catalog, site, grid)
        if stages is None or of.illegal(grid, place):
            return None
        return of.memory(grid, stages, place)


def grid_remedies(rig: GridRig) -> tuple[Remedy, ...]:
    """What gives more room than now, with the verdict then; only what the engine accepts."""
    options = rig.asked.options
    now = rig.memory(options, rig.grid, rig.site)
    if now is None:
        return ()
    tried = [*_settings(rig, now), *_contexts(rig)]
    if all(remedy.verdict == "no" for remedy in tried):
        tried.extend(_together(rig, now))
    tried += [*_layouts(rig), *_one_more(rig)]
    least = room_of(now)
    return tuple(remedy for remedy in tried if remedy.headroom_bytes > least)


def room_of(memory: GridMemory) -> int:
    """Free bytes of the tightest rank, overheads at their upper ends."""
    return min(rank.device - rank.total for rank in memory.ranks)


def _remedy(memory: GridMemory | None, change: str, option: str | None) -> Iterator[Remedy]:
    if memory is not None:
        verdict = VERDICTS[memory.fit.verdict]
        yield Remedy(change=change, headroom_bytes=room_of(memory), verdict=verdict, option=option)


def _settings(rig: GridRig, now: GridMemory) -> Iterator[Remedy]:
    """A larger share of the device, smaller batches, an 8-bit cache."""
    options, limits = rig.asked.options, now.limits
    changed: list[tuple[str, str, Options]] = []
    if limits.utilization < _UTILIZATION:
        share = f"{_UTILIZATION:g}"
        more = replace(options, utilization=_UTILIZATION)
        changed.append((f"utilization {share}", f"--utilization {share}", more))
    for tokens in _BATCHES:
        if tokens < limits.max_num_batched_tokens:
            fewer = replace(
                options,
                max_num_batched_tokens=tokens,
                max_num_seqs=min(limits.max_num_seqs, tokens),
            )
            text = f"{tokens:,} tokens per step"
            option = f"--max-num-batched-tokens {tokens}"
            if (options.max_num_seqs or 0) > tokens:
                option += f" --max-num-seqs {tokens}"
            changed.append((text, option, fewer))
    for requests in _SEQUENCES:
        if requests < limits.max_num_seqs:
            fewer = replace(options, max_num_seqs=requests)
            changed.append((f"{requests} requests per step", f"--max-num-seqs {requests}", fewer))
    if options.kv_type == "auto":
        changed.append(("KV cache in fp8", "--kv-type fp8", replace(options, kv_type="fp8")))
    for change, option, settings in changed:
        yield from _remedy(rig.memory(settings, rig.grid, rig.site), change, option)


def _contexts(rig: GridRig) -> Iterator[Remedy]:
    """The longest context that fits with overheads at their upper ends."""
    options = rig.asked.options
    steps = longest(rig, options)
    size = steps * CONTEXT_STEP
    if steps and size < options.context:
        found = rig.memory(replace(options, context=size), rig.grid, rig.site)
        yield from _remedy(found, f"context {size:,}", f"--context {size}")


def _together(rig: GridRig, now: GridMemory) -> Iterator[Remedy]:
    """A larger share and smaller batches at once, and with them the longest context that fits."""
    asked, limits = rig.asked.options, now.limits
    narrow: KvType = "fp8" if asked.kv_type == "auto" else asked.kv_type
    for share, tokens, requests in _TOGETHER:
        small = replace(
            asked,
            utilization=max(limits.utilization, share),
            max_num_batched_tokens=min(limits.max_num_batched_tokens, tokens),
            max_num_seqs=min(limits.max_num_seqs, requests),
        )
        for options in dict.fromkeys((small, replace(small, kv_type=narrow))):
            steps = longest(rig, options)
            if steps:
                context = min(steps * CONTEXT_STEP, asked.context)
                then = replace(options, context=context)
                found = rig.memory(then, rig.grid, rig.site)
                yield from _remedy(found, *_said(then, asked))
                return


def _said(then: Options, asked: Options) -> tuple[str, str]:
    """The settings of `then` in words, and as options."""
    share, tokens = f"{then.utilization:g}", then.max_num_batched_tokens
    change = f"utilization {share}, {tokens:,} tokens and {then.max_num_seqs} requests per step"
    option = f"--utilization {share} --max-num-batched-tokens {tokens} "
    option += f"--max-num-seqs {then.max_num_seqs}"
    if then.kv_type != asked.kv_type:
        change += f", KV cache in {then.kv_type}"
        option += f" --kv-type {then.kv_type}"
    return f"{change}, context {then.context:,}", f"{option} --context {then.context}"


def longest(rig: GridRig, options: Options) -> int:
    """Steps of the longest context, at most that of `options`, that fits at the upper ends."""

    def works(steps: int) -> bool:
        shorter = replace(options, context=min(steps * CONTEXT_STEP, options.context))
        found = rig.memory(shorter, rig.grid, rig.site)
        return found is not None and room_of(found) >= 0

    most = -(-options.context // CONTEXT_STEP)
    return largest(1, most, works) if works(1) else 0


def _layouts(rig: GridRig) -> Iterator[Remedy]:
    """The fastest other layout of the same devices that fits, or the roomiest."""
    found = _best_layout(rig, rig.site)
    if found is not None and found[0] != rig.grid:
        yield from _remedy(found[1], words(found[0]), _instead(rig, found[0]))


def _best_layout(rig: GridRig, site: Site) -> tuple[Grid, GridMemory] | None:
    of = rig.served(rig.asked.options)
    roomiest: tuple[Grid, GridMemory] | None = None
    for timed in layouts_of(of, ByDigest(rig.catalog)).layouts_of_site(site):
        memory = siting.memory_of(of, rig.catalog, site, timed.grid)
        if memory.fit.verdict == "fits":
            return timed.grid, memory
        if roomiest is None or room_of(memory) > room_of(roomiest[1]):
            roomiest = timed.grid, memory
    return roomiest


def _one_more(rig: GridRig) -> Iterator[Remedy]:
    """One node more with the fastest layout that then fits."""
    *before, (node, count) = rig.site.nodes
    network = rig.site.network
    if network is None and node.networks:
        network = rig.catalog.networks[node.networks[0]]
    if network is None:
        return
    more = replace(rig.site, nodes=(*before, (node, count + 1)), network=network)
    found = _best_layout(rig, more)
    if found is not None:
        names = [f"--node {kind.name}:{amount}" for kind, amount in more.nodes]
        option = " ".join((*names, _instead(rig, found[0])))
        yield from _remedy(found[1], f"one {node.name} more, {words(found[0])}", option)


def _instead(rig: GridRig, grid: Grid) -> str:
    """The options that make of the grid of a rig another one."""
    layers = rig.served(rig.asked.options).partition(grid)
    split = f" --split {','.join(map(str, layers))}" if rig.grid.partition else ""
    return flags(grid, rig.grid) + split


def words(grid: Grid) -> str:
    """A grid in words: `TP 8, PP 2`."""
    return ", ".join(f"{name} {degree}" for name, _, degree in _shown(grid))


def _shown(grid: Grid) -> list[tuple[str, str, int]]:
    return [each for each in _degrees(grid) if each[0] == "TP" or each[2] > 1]


def flags(grid: Grid, instead_of: Grid | None = None) -> str:
    """A grid as options of `plan evaluate`, beside those of the grid it replaces."""
    before = [1] * 5 if instead_of is None else [degree for *_, degree in _degrees(instead_of)]
    found = [
        f"{flag} {degree}"
        for (_, flag, degree), old in zip(_degrees(grid), before, strict=True)
        if flag == "--tp" or degree > 1 or degree != old
    ]
    if instead_of is not None and instead_of.redundant_experts != grid.redundant_experts:
        found.append(f"--redundant-experts {grid.redundant_experts}")
    return " ".join(found)


def _degrees(grid: Grid) -> list[tuple[str, str, int]]:
    return [
        ("TP", "--tp", grid.tensor_parallel),
        ("PP", "--pp", grid.pipeline_parallel),
        ("DP", "--dp", grid.data_parallel),
        ("EP", "--ep", grid.expert_parallel),
        ("DCP", "--dcp", grid.decode_context_parallel),
    ]
