"""What one rank of a grid reads and computes in each layer: exact bytes, and FLOP. Remembered.

Layer: performance. Weights are those of `planner.engines.sharding`, each sized in its format after
the cut; the rank with most experts counts, since the others wait for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from planner.engines.pages import INDEX_BYTES, KvType, LayerPage, layer_page
from planner.engines.sharding import Rank, Shards, layer_shards, rank_frame
from planner.model.architecture import (
    Architecture,
    Grouped,
    Latent,
    Layer,
    Mixer,
    MixtureOfExperts,
)
from planner.model.checkpoint_weights import CheckpointPart, stored_part
from planner.performance.grid_case import GridCase
from planner.performance.mixing import cache_read
from planner.quantization.scheme import Scheme

_REMEMBERED = 512
_FLOAT8 = frozenset({"F8_E4M3", "F8_E5M2", "I8"})


class Matrices(NamedTuple):
    """Weights a rank reads, and those a token is multiplied with by the units that do it."""

    bytes: float = 0.0
    half: float = 0.0
    """Weights multiplied in 16 bits."""
    float8: float = 0.0
    float4: float = 0.0

    def plus(self, other: Matrices) -> Matrices:
        """Both together."""
        return Matrices(*(a + b for a, b in zip(self, other, strict=True)))


class CacheWork(NamedTuple):
    """The cache of one mixer on one rank."""

    mixer: Mixer
    page: LayerPage
    limit: int | None
    """Tokens looked at at most, of a window or an indexer's choice."""
    index_bytes: int
    """Per token, of an indexer's keys: all of them are scored."""

    def bytes(self, depth: int, context_ways: int) -> float:
        """Bytes a token reads after `depth` others: a state is read and written back."""
        page = self.page
        if page.keeps == "state":
            return 2.0 * page.state_bytes
        seen = depth if self.limit is None else min(depth, self.limit)
        size = (page.token_bytes - self.index_bytes) * seen + self.index_bytes * depth
        return size / context_ways if page.keeps == "all" else float(size)

    def flops(self, depth: int, ways: int) -> float:
        """FLOP of a token after `depth` others; latents absorbed, heads cut over `ways`."""
        return cache_read(self.mixer, depth, "f16").flops / ways

    def prompt_flops(self, tokens: int, ways: int) -> float:
        """FLOP of a token of a prompt of `tokens`, on average; latents not absorbed."""
        mean = tokens // 2
        if not isinstance(self.mixer, Latent):
            return self.flops(mean, ways)
        mixer = self.mixer
        seen = mean if mixer.top_k is None else min(mean, mixer.top_k)
        width = mixer.nope_dim + mixer.rope_dim + mixer.value_dim
        return 2.0 * mixer.heads * width * seen / ways


class LayerWork(NamedTuple):
    """One layer on one rank."""

    attention: Matrices
    """Mixer and norms."""
    dense: Matrices
    """Dense network, shared experts and router."""
    experts: Matrices
    """All routed experts held."""
    share: float
    """Routed experts a token takes over all; 0 where there are none."""
    used: int
    """Routed experts a token takes."""
    caches: tuple[CacheWork, ...]
    mixer: bool
    network: bool
    latent: bool
    indexed: bool
    """Whether an indexer chooses the tokens attention looks at."""
    state: bool
    """Whether a mixer keeps a state instead of a cache."""


class StageWork(NamedTuple):
    """One stage on one rank."""

    layers: tuple[tuple[int, LayerWork], ...]
    """Layers alike and how many of them."""
    output: Matrices
    """Last norm and output projection; nothing before the last stage."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """All stages of one case; holds what its key names by identity."""

    architecture: Architecture
    scheme: Scheme
    stages: tuple[StageWork, ...]
    """Equal ones are one object, and so are equal layers."""


Layers = tuple[Architecture, Scheme, tuple[LayerWork, ...]]
_works: dict[object, Work] = {}
_layers: dict[object, Layers] = {}


def work_of(case: GridCase) -> Work:
    """The work of every stage, remembered by identity of network and format.

    Raises:
        FactsError: a format that cannot store a rank's part of a matrix.
        UnsupportedArchitecture: compressed attention.
    """
    layers = tuple([layers for _, layers in case.stages])
    identity = id(case.architecture), id(case.scheme)
    key = (*identity, case.engine, case.grid, case.kv_type, layers)
    found = _works.get(key)
    if found is None:
        if len(_works) >= 16 * _REMEMBERED:
            _works.clear()
        found = _works[key] = _work(case)
    return found


def _work(case: GridCase) -> Work:
    shards = case.shards
    every = _layer_works(case, shards)
    stages: list[StageWork] = []
    for number, (_, layers) in enumerate(case.stages):
        last = number == len(case.stages) - 1
        alike = Counter(every[layer] for layer in layers)
        output = _output(case, shards) if last else Matrices()
        stage = StageWork(tuple((count, work) for work, count in alike.items()), output)
        stages.append(next((same for same in reversed(stages) if same == stage), stage))
    return Work(case.architecture, case.scheme, tuple(stages))


def _layer_works(case: GridCase, shards: Shards) -> tuple[LayerWork, ...]:
    key = (id(case.architecture), id(case.scheme), shards, case.ways.attention, case.kv_type)
    found = _layers.get(key)
    if found is None:
        if len(_layers) >= _REMEMBERED:
            _layers.clear()
        architecture, scheme = case.architecture, case.scheme
        alike: dict[LayerWork, LayerWork] = {}
        works = [
            _layer_work(case, shards, index, layer)
            for index, layer in enumerate(architecture.layers)
            if not layer.mtp
        ]
        one = tuple(alike.setdefault(work, work) for work in works)
        found = _layers[key] = (architecture, scheme, one)
    return found[2]


def _layer_work(case: GridCase, shards: Shards, index: int, layer: Layer) -> LayerWork:
    network = layer.network
    experts = used = 0
    share = 0.0
    if isinstance(network, MixtureOfExperts):
        experts = -(-(network.experts + shards.redundant_experts) // shards.expert_ranks)
        used, share = network.used, network.used / network.experts
    sums = {"attention": Matrices(), "dense": Matrices(), "experts": Matrices()}
    for part in layer_shards(case.architecture, layer, shards, experts):
        stored = stored_part(part, case.scheme, index, layer)
        kind = {"experts": "experts", "attention": "attention", "norm": "attention"}
        name = kind.get(part.component, "dense")
        sums[name] = sums[name].plus(_matrices(stored, linear=part.linear))
    mixers = [mixer for mixer in (layer.mixer, layer.beside) if mixer is not None]
    caches = tuple(_caches(mixers, case.ways.attention, case.kv_type))
    return LayerWork(
        attention=sums["attention"],
        dense=sums["dense"],
        experts=sums["experts"],
        share=share,
        used=used,
        caches=caches,
        mixer=bool(mixers),
        network=network is not None,
        latent=isinstance(layer.mixer, Latent),
        indexed=any(cache.index_bytes for cache in caches),
        state=any(cache.page.keeps == "state" for cache in caches),
    )


def _caches(mixers: Iterable[Mixer], ways: int, kv_type: KvType) -> Iterable[CacheWork]:
    for mixer in mixers:
        if isinstance(mixer, Grouped) and mixer.cross:
            continue
        page = layer_page(mixer, ways, kv_type)
        assert page is not None
        limits = [page.window, getattr(mixer, "top_k", None)]
        known = [limit for limit in limits if limit is not None]
        indexed = getattr(mixer, "indexer", None) is not None
        yield CacheWork(mixer, page, min(known, default=None), INDEX_BYTES if indexed else 0)


def _output(case: GridCase, shards: Shards) -> Matrices:
    """The last norm and the output projection; a token embedding gives one row and is no work."""
    rank = Rank(stage=0, layers=(), first=False, last=True, experts=0, ranks=1)
    total = Matrices()
    for part in rank_frame(case.architecture, shards, rank):
        linear = part.linear or part.component == "output"
        total = total.plus(_matrices(stored_part(part, case.scheme), linear=linear))
    return total


def _matrices(stored: tuple[CheckpointPart, ...], *, linear: bool) -> Matrices:
    total = Matrices()
    for part in stored:
        weights = float(part.weights) if linear else 0.0
        units = _units(part)
        total = total.plus(
            Matrices(
                bytes=float(part.bytes),
                half=weights if units == "half" else 0.0,
                float8=weights if units == "float8" else 0.0,
                float4=weights if units == "float4" else 0.0,
            )
        )
    return total


def _units(part: CheckpointPart) -> str:
    """Which units multiply a matrix: integers and MXFP4 are widened, the former to 16 bits.

    NVFP4 has 8-bit float scales; MXFP4's are exponents, and its activations have 8 bits.
    """
    types = {tensor.name: tensor.dtype for tensor in part.tensors}
    weight = types.get("weight", "")
    if weight in _FLOAT8:
        return "float8"
    if weight == "U8":
        return "float4" if types.get("weight_scale") == "F8_E4M3" else "float8"
    return "half"
