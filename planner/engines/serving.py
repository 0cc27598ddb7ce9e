"""The engines that serve uniform grids, by name. Engines layer."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol, cast

from planner.catalog.schema import Gpu
from planner.engines.beside import Beside
from planner.engines.grid import Grid, GridMemory, Options, Place
from planner.model.architecture import Architecture
from planner.quantization.scheme import Scheme


class Serving(Protocol):
    """What every such engine's `serving` module offers."""

    def gpus(self, grid: Grid) -> int:
        """Devices of a grid."""

    def room(self, options: Options, seen: int) -> int:
        """Bytes at most of a device of which the engine sees `seen` bytes."""

    def partition(self, architecture: Architecture, grid: Grid) -> tuple[int, ...]:
        """Layers of each stage."""

    def memory(
        self,
        architecture: Architecture,
        scheme: Scheme,
        grid: Grid,
        options: Options,
        stages: Sequence[tuple[Gpu, int]],
        place: Place,
        beside: Beside,
        requests: int,
    ) -> GridMemory:
        """What every rank holds."""


class Rules(Protocol):
    """What every such engine's `rules` module offers."""

    def illegal(
        self,
        architecture: Architecture,
        scheme: Scheme,
        grid: Grid,
        options: Options,
        place: Place,
    ) -> tuple[str, ...]:
        """Why the engine refuses a layout, one sentence each."""

    def notes(
        self,
        architecture: Architecture,
        scheme: Scheme,
        grid: Grid,
        options: Options,
        place: Place,
    ) -> tuple[str, ...]:
        """What is worth knowing of a legal layout, one sentence each."""

    def grids(self, architecture: Architecture, place: Place) -> tuple[Grid, ...]:
        """Layouts of exactly the devices of a place worth a look, legal or not."""

    def cannot_load(self, scheme: Scheme, version: str | None = None) -> str | None:
        """Why a version, or the default, loads no checkpoint of a scheme; None where it does."""


class Models(Protocol):
    """What every such engine's `models` module offers."""

    def unsupported(self, model_type: str, version: str = ...) -> str | None:
        """Why a version does not serve networks of a type; None where it does."""

    def no_pipeline(self, model_type: str) -> bool:
        """Whether networks of a type cannot be split into pipeline stages."""

    def by_transformers(self, model_type: str) -> bool:
        """Whether it serves a type by Transformers' modules."""


def models(engine: str) -> Models:
    """The networks of an engine of `GRID_ENGINES`."""
    return cast(Models, importlib.import_module(f"planner.engines.{engine}.models"))


def serving(engine: str) -> Serving:
    """The accounting of an engine of `GRID_ENGINES`."""
    return cast(Serving, importlib.import_module(f"planner.engines.{engine}.serving"))


def rules(engine: str) -> Rules:
    """The rules of an engine of `GRID_ENGINES`."""
    return cast(Rules, importlib.import_module(f"planner.engines.{engine}.rules"))
