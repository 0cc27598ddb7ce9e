"""What a device of an inventory counts for: its row, and memory that makes sense.

Memory that is not printed, or makes no sense, is told apart from memory that is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.catalog.schema import Gpu
from planner.inventory import OwnedDevice
from planner.inventory.values import DeviceSlice
from planner.topology.importers.seen import SeenDevice
from planner.units import mib

_BUSY = 0.9
"""Share of the memory below which something must be using a device."""
_FULL = 0.02
"""Share of the memory below which nothing is left to use."""
_CARVED = 0.5
"""Share of a unified memory below which what is printed is a part set aside for graphics."""


def owned_device(device: SeenDevice, row: Gpu | None, notes: list[str]) -> OwnedDevice:
    """A device as it counts, with memory that makes sense; `notes` takes what must be known."""
    part = device.label.lower()
    called = f" ({device.name})" if device.name else ""
    memory, free = device.memory, device.free
    unified = row is not None and row.unified
    if memory is not None and (memory == 0 or (free is not None and free > memory)):
        shown = f"{mib(free)} MiB free of " if free is not None else ""
        notes.append(f"{part}{called} prints {shown}{mib(memory)} MiB, which makes no sense")
        memory = free = None
    elif unified and row is not None and memory is not None and row.usable_memory is not None:
        if memory < _CARVED * row.usable_memory:
            notes.append(
                f"{part}{called} prints {mib(memory)} MiB: a part set aside, not the memory it "
                "shares with the host"
            )
            memory = free = None
    elif memory is None and device.silent:
        notes.append(_silence(part, called, row))
    if memory and free is not None:
        _note_use(part, memory, free, notes)
    if device.slices:
        notes.append(_cut(part, device))
    return OwnedDevice(
        part=part,
        gpu=row.name if row else "",
        reported=device.name,
        bus=device.bus,
        memory=memory,
        free=free,
        shares_host=unified,
        slices=tuple(DeviceSlice.model_validate(s.model_dump()) for s in device.slices),
    )


def unknown_names(devices: Sequence[SeenDevice], rows: Sequence[Gpu | None]) -> list[str]:
    """Devices whose name no row has, by that name."""
    parts: dict[str, list[str]] = {}
    for device, row in zip(devices, rows, strict=True):
        if row is None and device.name:
            size = f" with {mib(device.memory)} MiB" if device.memory else ""
            parts.setdefault(f"'{device.name}'{size}", []).append(device.label.lower())
    return [
        f"{', '.join(found)}: no row of the GPU catalog is a {name}"
        for name, found in parts.items()
    ]


def _silence(part: str, called: str, row: Gpu | None) -> str:
    if row is None:
        return f"{part}{called} prints no memory: it is not full, but may share the host's"
    if row.unified:
        return f"{part}{called} prints no memory of its own: it shares the host's"
    return f"{part}{called} prints no memory, though it has some of its own: unknown, not full"


def _note_use(part: str, memory: int, free: int, notes: list[str]) -> None:
    if free <= _FULL * memory:
        notes.append(f"{part} is full: {mib(free)} of {mib(memory)} MiB are free")
    elif free < _BUSY * memory:
        notes.append(f"{part} is in use: {mib(free)} of {mib(memory)} MiB are free")


def _cut(part: str, device: SeenDevice) -> str:
    instances = [s.instance for s in device.slices if s.instance]
    shared = len(instances) - len(set(instances))
    also = f"; {shared + 1} of them share one memory" if shared == 1 else ""
    also = f"; {shared} share memory with another" if shared > 1 else also
    return (
        f"{part} is cut into {len(device.slices)} MIG slices: each counts by itself and has no "
        f"links of its own{also}"
    )
