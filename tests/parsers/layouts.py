"""Layouts that the planner's rules and the engines' own parsers are both asked about."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from planner.catalog.load import load_catalog
from planner.engines.grid import Grid, Options, Place
from planner.engines.pages import KvType
from planner.engines.serving import serving
from planner.model.row_scheme import declared
from planner.plan import Layout, Serving
from planner.served import Asked, served
from planner.subject import architecture_of

VERSIONS = {"vllm": "0.32.0", "sglang": "0.5.23"}
"""Those whose packages are asked."""
PER_MACHINE = 8


@dataclass(frozen=True, kw_only=True)
class Case:
    """One layout of a catalog model, on H100 with eight to a machine unless `per_machine` says."""

    engine: str
    model: str
    grid: Grid
    kv_type: KvType = "auto"
    context: int = 8192
    per_machine: int = PER_MACHINE

    @property
    def model_type(self) -> str:
        """Kind of network, as its config says."""
        return str(load_catalog().model(self.model).config["model_type"])

    @property
    def machines(self) -> tuple[int, ...]:
        """Devices used on each machine."""
        count = serving(self.engine).gpus(self.grid)
        whole, left = divmod(count, self.per_machine)
        return (self.per_machine,) * whole + ((left,) if left else ())

    @property
    def settings(self) -> Serving:
        """What a plan says of the engine."""
        return Serving(
            name=self.engine,
            build=VERSIONS[self.engine],
            context=self.context,
            utilization=0.9,
            max_num_seqs=256,
            max_num_batched_tokens=8192,
            kv_type=self.kv_type,
        )

    @property
    def layout(self) -> Layout:
        """What a plan says of the grid."""
        return Layout(**asdict(self.grid))

    @property
    def stages(self) -> tuple[int, ...]:
        """Layers of each stage, as the planner has it."""
        architecture = architecture_of(load_catalog(), self.model)
        return serving(self.engine).partition(architecture, self.grid)

    def illegal(self) -> tuple[str, ...]:
        """What the planner's rules say against it."""
        options = Options(context=self.context, version=VERSIONS[self.engine], kv_type=self.kv_type)
        catalog = load_catalog()
        own = declared(catalog.model(self.model))
        asked = Asked(engine=self.engine, options=options, concurrency=1, depth=0)
        place = Place(
            family="cuda",
            capability=(9, 0),
            gpus_per_machine=min(self.per_machine, sum(self.machines)),
            gpus=sum(self.machines),
        )
        quant = own.name if own else "BF16"
        return served(catalog, self.model, quant, asked).illegal(self.grid, place)

    def __str__(self) -> str:
        parts = {
            "tp": self.grid.tensor_parallel,
            "pp": self.grid.pipeline_parallel,
            "dp": self.grid.data_parallel,
            "ep": self.grid.expert_parallel,
            "dcp": self.grid.decode_context_parallel,
        }
        degrees = [f"{name}{value}" for name, value in parts.items() if value != 1]
        more = [f"+{self.grid.redundant_experts}"] if self.grid.redundant_experts else []
        more += ["-".join(map(str, self.grid.partition))] if self.grid.partition else []
        more += [self.kv_type] if self.kv_type != "auto" else []
        more += [f"{self.per_machine} a machine"] if self.per_machine != PER_MACHINE else []
        return " ".join([self.model, *(degrees or ["tp1"]), *more])


def cases(engine: str, rows: str, **more: Any) -> tuple[Case, ...]:
    """Cases of a table: a model, a colon, then layouts such as `tp8.pp2.fp8 dp16.ep16`."""
    found: list[Case] = []
    for line in rows.strip().splitlines():
        model, _, layouts = line.strip().partition(": ")
        found += [_case(engine, model, text, more) for text in layouts.split()]
    return tuple(found)


_NAMES = {
    "tp": "tensor_parallel",
    "pp": "pipeline_parallel",
    "dp": "data_parallel",
    "ep": "expert_parallel",
    "dcp": "decode_context_parallel",
    "copies": "redundant_experts",
}


def _case(engine: str, model: str, text: str, more: dict[str, Any]) -> Case:
    case = Case(engine=engine, model=model, grid=Grid(), **more)
    for part in text.split("."):
        name = part.rstrip("0123456789")
        if part.startswith("layers"):
            layers = tuple(int(count) for count in part.removeprefix("layers").split("-"))
            case = replace(case, grid=replace(case.grid, partition=layers))
        elif part == "fp8":
            case = replace(case, kv_type="fp8")
        elif name == "each":
            case = replace(case, per_machine=int(part.removeprefix(name)))
        else:
            value = {_NAMES[name]: int(part.removeprefix(name))}
            case = replace(case, grid=replace(case.grid, **value))
    return case
