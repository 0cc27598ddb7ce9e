"""Rows of the engine's own memory tables, and the settings they were printed for."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from planner.catalog.load import load_catalog
from planner.engines.llama_cpp.memory import GraphMemory, Settings, SplitMemory, device_of_slot
from planner.engines.llama_cpp.settings import DEFAULT_SLOTS
from planner.model.architecture import Architecture, Grouped
from planner.model.huggingface import architecture_from_config
from planner.model.weights import gguf_weights
from tests.reality.tables import table

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One run of the engine: its settings and the table it printed, MiB."""

    model: str
    quant: str
    split: tuple[int, ...]
    arguments: str
    devices: tuple[tuple[int, int, int], ...]
    host: tuple[int, int, int]


@dataclass(frozen=True)
class Window:
    """The slots of one device."""

    first: int
    stop: int


def cases(name: str) -> Iterator[Case]:
    """The cases of one file of this folder."""
    for row in table(name):
        memory = [tuple(map(int, cell.split("/"))) for cell in row["memory"].split()]
        split = tuple(map(int, row["split"].split()))
        assert len(memory) == len(split) + 1
        yield Case(
            row["model"], row["quant"], split, row["arguments"], tuple(memory[:-1]), memory[-1]
        )


def settings_of(arguments: str, build: str, *, default_slots: int = DEFAULT_SLOTS) -> Settings:
    """The settings that llama.cpp `arguments` stand for."""
    words = arguments.split()
    flags = {word for word in words if word.startswith("-")}
    known = {"-c", "-np", "-kvu", "-no-kvu", "-ub", "-b", "-fa", "-ctk", "-ctv", "--swa-full"}
    assert flags <= known, arguments

    def value(flag: str, default: str) -> str:
        return words[words.index(flag) + 1] if flag in words else default

    row = load_catalog().engine_build(build)
    return Settings(
        context=int(value("-c", "")),
        slots=int(value("-np", str(default_slots))),
        unified="-kvu" in flags or ("-np" not in flags and default_slots > 1),
        ubatch=int(value("-ub", "512")),
        batch=int(value("-b", "2048")),
        flash_attention=value("-fa", "on") == "on",
        key_type=value("-ctk", "f16"),
        value_type=value("-ctv", "f16"),
        swa_full="--swa-full" in flags,
        rpc_pipelines=row.rpc_pipelines,
        mtp_has_kv=row.mtp_has_kv,
    )


@functools.cache
def architecture_of(model: str) -> Architecture:
    """The architecture of a catalog model."""
    return architecture_from_config(load_catalog().model(model).config)


def memory_of(case: Case, settings: Settings) -> SplitMemory:
    """Our accounting of a case."""
    architecture = architecture_of(case.model)
    return SplitMemory(architecture, gguf_weights(architecture, case.quant), settings)


def windows(split: tuple[int, ...], slots: int) -> tuple[Window, ...]:
    """The slots of every device under `-ts split`."""
    owner = device_of_slot(split, slots)
    starts = [owner.index(device) for device in range(len(split))]
    return tuple(
        Window(start, stop) for start, stop in zip(starts, [*starts[1:], slots], strict=True)
    )


def predicted(
    memory: SplitMemory, split: tuple[int, ...], *, pipelined: bool
) -> tuple[tuple[GraphMemory, ...], GraphMemory]:
    """Our table for a split over RPC devices: devices in order, and the host."""
    count = len(split)
    devices = tuple(
        memory.device(window.first, window.stop, devices=count, pipelined=pipelined)
        for window in windows(split, memory.slots)
    )
    return devices, memory.host(devices=count, pipelined=pipelined)


def fewest_of_a_kind(architecture: Architecture, split: tuple[int, ...]) -> int:
    """Over all devices, the least number of layers of the device's most frequent kind."""
    kinds = [
        (layer.feed_forward.kind, isinstance(layer.attention, Grouped) and layer.attention.window)
        for layer in architecture.layers[: architecture.depth]
    ]
    return min(
        max(Counter(kinds[window.first : window.stop]).values(), default=0)
        for window in windows(split, len(architecture.layers) + 1)
    )
