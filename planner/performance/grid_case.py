"""A model served on a grid of devices, as its speed depends on it. Layer: performance."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, NamedTuple

from planner.catalog.schema import Gpu, Link, Network
from planner.engines.grid import Grid, Place
from planner.engines.pages import KvType
from planner.engines.sglang import layout as sglang_layout
from planner.engines.sglang import serving as sglang
from planner.engines.sharding import Shards
from planner.engines.vllm import serving as vllm
from planner.engines.vllm.memory import weight_shards
from planner.model.architecture import Architecture
from planner.performance.collectives import Joined
from planner.quantization.scheme import Scheme
from planner.topology.domains import Domain

GridEngine = Literal["vllm", "sglang", "trtllm"]
"""TensorRT-LLM as an engine of runs: its grids are as SGLang's, no plan is made for it."""


class Load(NamedTuple):
    """What each user sends again and again: steps of the others also pass a share of it."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCase:
    """A network in a checkpoint format on a grid of devices of an engine."""

    architecture: Architecture
    scheme: Scheme
    engine: GridEngine
    grid: Grid
    stages: tuple[tuple[Gpu, tuple[int, ...]], ...]
    """Device model of each stage and the indices of its layers."""
    fabric: Link | None
    """What links the devices of a machine; None is the host's PCIe."""
    network: Network | None
    """What joins the machines; None where there is one."""
    gpus_per_machine: int
    kv_type: KvType = "auto"
    domain: Domain | None = None
    """Link graph of a machine; None is that of unknown devices that `fabric` joins."""
    load: Load | None = None
    """What users send; None leaves the prompts of others out of the time per token."""

    @property
    def joined(self) -> Joined:
        """What joins the ranks."""
        return Joined(self.fabric, self.network, self.domain, self.gpus_together)

    @property
    def gpus_together(self) -> int:
        """Devices joined without a network: of one machine, or of several (NVL72)."""
        return self.gpus_per_machine * (1 if self.domain is None else self.domain.machines)

    @property
    def ways(self) -> Ways:
        """How many ranks share each kind of work."""
        return _ways(self.engine, self.grid)

    @property
    def shards(self) -> Shards:
        """How many ways each kind of weights is cut."""
        devices = self.ways.devices
        place = Place(
            family="cuda", capability=None, gpus_per_machine=self.gpus_per_machine, gpus=devices
        )
        if self.engine == "vllm":
            return weight_shards(self.scheme, vllm.parallel(self.grid, place))
        return sglang_layout.weight_shards(self.scheme, sglang.parallel(self.grid, place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How many ranks share each kind of work of a stage."""

    attention: int
    """Ranks of one replica of attention."""
    stage: int
    """Ranks of a stage, all replicas together."""
    devices: int
    """Ranks in all."""
    experts: int
    """Ranks that routed experts are dealt out to, whole."""
    shared_network: bool
    """Whether replicas of attention share one dense network, or have their own (vLLM)."""


@functools.cache
def _ways(engine: GridEngine, grid: Grid) -> Ways:
    tensor, replicas = grid.tensor_parallel, grid.data_parallel
    devices = vllm.gpus(grid) if engine == "vllm" else sglang.gpus(grid)
    return Ways(
        attention=tensor if engine == "vllm" else tensor // replicas,
        stage=devices // grid.pipeline_parallel,
        devices=devices,
        experts=grid.expert_parallel,
        shared_network=engine != "vllm" and replicas > 1,
    )
