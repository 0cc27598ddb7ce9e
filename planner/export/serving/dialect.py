"""How one engine of uniform grids is told what a plan says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from planner.plan import Layout, Serving

HEAD = "$head"
"""In arguments of a machine: the address of the first one, which the scripts look up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port of the first machine that the others reach."""

    name: str
    """Its setting; in arguments of a machine `$` and this name."""
    number: int
    """Below the ports systems give to clients."""
    purpose: str

    @property
    def reference(self) -> str:
        """What stands for it in arguments of a machine."""
        return f"${self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One engine's command line, and what people must know to use it."""

    name: str
    """Name of the engine in a plan."""
    title: str
    """Name for people."""
    program: str
    model: str
    """The words that begin its command line, as shell text with `$MODEL`."""
    host_variable: str
    """Variable with the address at which other machines reach this one."""
    ports: tuple[Port, ...]
    arguments: Callable[[Serving, Layout], tuple[str, ...]]
    """What is the same on all machines."""
    node_arguments: Callable[[Layout, int, Sequence[int]], tuple[str, ...]]
    """What a machine gets beside, with `HEAD` and references to ports in it."""
    environment: Callable[[Layout], dict[str, str]]
    replicas_apart: bool
    """Whether each data-parallel replica has devices of its own."""
    followers_listen: bool
    """Whether machines other than the first one answer at `--host` and `--port` too."""
    stopping: str
    """How to stop several machines; a sentence."""
