"""Collectives somebody measured, by what joins the devices. Layer: topology.

Rows are in `catalogs/calibration/collectives.toml`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from planner.catalog.load import shipped_rows
from planner.catalog.schema import Collective, Link, Path, Prior
from planner.errors import CatalogError
from planner.topology.costs import Curve, mean, through

Operation = Literal["all-reduce", "all-gather", "reduce-scatter", "all-to-all"]
Software = Literal["vllm", "sglang", "trtllm", "nccl"]
ENGINES: tuple[Software, ...] = ("vllm", "sglang")
"""Whose mean is taken where no software is named."""
_OF_THE_HOST: tuple[Path, ...] = ("socket",)
"""Paths whose rate is so much the host's that other devices' measurements say nothing: 2 GB/s of
eight L40S, 28 of eight RTX 5090."""
_SIZES = (0.0, 16384.0, 1048576.0)


class Joint(NamedTuple):
    """What joins a group of devices, as far as measurements tell it apart."""

    link: str
    """Link row."""
    path: Path
    """Farthest hop between neighbours."""
    ranks: int
    """Devices."""
    gpu: str = ""
    """GPU row of the devices; empty is unknown."""


class _Run(NamedTuple):
    gpu: str
    software: Software
    path: Path
    curve: Curve


def measured(
    operation: Operation,
    joint: Joint,
    software: Software | None = None,
    without: frozenset[str] = frozenset(),
) -> Curve | None:
    """What such groups took: the same devices if those were measured, else others so joined.

    Between numbers of ranks the next larger holds. None where nobody measured it.

    Args:
        operation: what is done.
        joint: what joins the devices.
        software: whose kernels; None is the mean of vLLM and SGLang, or NCCL where they have none.
        without: GPU rows whose measurements are left out.
    """
    known = _runs().get((operation, joint.link), {})
    ranks = next((n for n in sorted(known) if n >= joint.ranks), None)
    if ranks is None:
        return None
    runs = [run for run in known[ranks] if run.gpu not in without]
    same = [run for run in runs if run.gpu == joint.gpu]
    alike = [run for run in runs if run.path == joint.path and joint.path not in _OF_THE_HOST]
    return _mean(same or alike, software)


def least_start(operation: Operation, joint: Joint) -> float:
    """Seconds of the smallest message among the most devices so joined that were measured."""
    known = _runs().get((operation, joint.link), {})
    fewer = [ranks for ranks in sorted(known) if ranks < joint.ranks]
    runs = [run for run in known[fewer[-1]] if run.path == joint.path] if fewer else []
    curve = _mean(runs, None)
    return 0.0 if curve is None else curve.start


def _mean(runs: Iterable[_Run], software: Software | None) -> Curve | None:
    every = tuple(runs)
    for wanted in ((software,),) if software else (ENGINES, ("nccl",)):
        curves = [run.curve for run in every if run.software in wanted]
        if curves:
            return mean(curves)
    return None


@functools.cache
def _runs() -> Mapping[tuple[str, str], Mapping[int, tuple[_Run, ...]]]:
    found: dict[tuple[str, str], dict[int, tuple[_Run, ...]]] = {}
    for _, row in shipped_rows("calibration"):
        if not isinstance(row, Collective):
            continue
        known = found.setdefault((row.operation, row.link), {})
        for times in row.times:
            curve = through((*_SIZES, float(row.largest)), times.seconds)
            run = _Run(row.gpu, row.software, times.path, curve)
            known[times.ranks] = (*known.get(times.ranks, ()), run)
    return MappingProxyType(found)


@functools.cache
def prior(name: str) -> tuple[float, float, float]:
    """Low, best and high of one prior of the calibration files.

    Raises:
        CatalogError: there is no such row.
    """
    for _, row in shipped_rows("calibration"):
        if isinstance(row, Prior) and row.name == name:
            return row.low, row.best, row.high
    raise CatalogError(
        f"catalogs/calibration: no row '{name}'", hint="restore the shipped calibration files"
    )


@functools.cache
def links() -> Mapping[str, Link]:
    """The shipped link rows by name."""
    rows = (row for _, row in shipped_rows("links") if isinstance(row, Link))
    return MappingProxyType({row.name: row for row in rows})
