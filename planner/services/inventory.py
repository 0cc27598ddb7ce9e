"""Makes an inventory from what the tools of machines print, one machine from one or more files.

Free memory beats total memory; a GPU nobody can name stays unnamed until somebody names it; memory
that is not printed, or makes no sense, is told apart from memory that is taken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.catalog import Catalog
from planner.catalog.schema import Gpu
from planner.errors import ConflictingOptions, FactsError, FileError
from planner.inventory import LARGEST as LARGEST_TOML
from planner.inventory import Adapter, Inventory, Machine, from_toml
from planner.model.local_file import read_whole
from planner.services.inventory_devices import owned_device, unknown_names
from planner.topology.build import build
from planner.topology.importers.detect import LARGEST, decoded, read
from planner.topology.importers.merge import merge
from planner.topology.importers.seen import Dump, SeenDevice
from planner.topology.names import gpu_row, near
from planner.units import MIB

DEFAULT_NAME = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the user says of the machines."""

    gpus: tuple[str, ...] = ()
    """`ROW` for every device, or `PART=ROW`."""
    host_memory: int | None = None
    """Bytes of each host."""


def import_files(files: Sequence[str], catalog: Catalog, told: Told) -> Inventory:
    """The machines that `files` describe.

    Args:
        files: paths (`-` is stdin), each a dump of the one machine, or `NAME=PATH` of a machine
            called so; an inventory (`*.toml`) brings its machines along.
        catalog: GPU and link rows.
        told: what the user says.

    Raises:
        FileError: a file that cannot be read or understood, or two that contradict each other.
        UnknownName: `told` names a GPU the catalogs do not have.
        ConflictingOptions: `told` names a device that is not there.
    """
    dumps: dict[str, list[Dump]] = {}
    sources: dict[str, list[str]] = {}
    machines: list[Machine] = []
    for argument in files:
        name, path = _named(argument)
        if path.suffix == ".toml":
            text = decoded(read_whole(path, LARGEST_TOML), str(path))
            machines += from_toml(text, path.name).machines
        else:
            text = decoded(_whole(path), str(path))
            dumps.setdefault(name, []).extend(read(text, path.name))
            sources.setdefault(name, []).append(path.name)
    machines += [
        machine(name, found, catalog, told, " and ".join(sources[name]))
        for name, found in dumps.items()
    ]
    return gathered(machines)


def gathered(machines: Sequence[Machine]) -> Inventory:
    """An inventory of `machines`.

    Raises:
        FileError: two machines of one name.
    """
    names = [machine.name for machine in machines]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FileError(
            f"two machines are called {twice!r}", hint="name one of them otherwise: NAME=FILE"
        )
    return Inventory(machines=tuple(machines))


def require_known(inventory: Inventory, catalog: Catalog) -> None:
    """Refuses an inventory with devices nobody has named.

    Raises:
        FactsError: a device has no row of the GPU catalog.
    """
    unknown = inventory.unknown
    if unknown:
        name, part = unknown[0]
        raise FactsError(f"{name}: nobody knows what GPU {part} is", hint=ask(inventory, catalog))


def ask(inventory: Inventory, catalog: Catalog) -> str:
    """What to do about devices nobody has named; empty where there are none."""
    unnamed = [
        device for machine in inventory.machines for device in machine.devices if not device.gpu
    ]
    if not unnamed:
        return ""
    seen = [SeenDevice(index=0, name=device.reported) for device in unnamed if device.reported]
    rows = dict.fromkeys(row for device in seen for row in near(device, catalog))
    like = f" (like it: {', '.join([*rows][:3])})" if rows else ""
    query = (
        ""
        if seen
        else ", or add the output of 'nvidia-smi --query-gpu=index,name,pci.bus_id,"
        "memory.total,memory.free --format=csv'"
    )
    return (
        f"name it with --gpu ROW or --gpu {unnamed[0].part}=ROW{like}; 'plan gpus' lists rows"
        f"{query}"
    )


def _whole(path: Path) -> bytes:
    """All of a file; `-` is stdin.

    Raises:
        FileError: it cannot be read, or is larger than any dump.
    """
    if str(path) != "-":
        return read_whole(path, LARGEST)
    content = sys.stdin.buffer.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise FileError(
            f"stdin has more than {LARGEST // MIB} MiB", hint="give the output of one tool"
        )
    return content


def _named(argument: str) -> tuple[str, Path]:
    """Machine name and path of an argument; one that is a path as it stands has no name."""
    name, sign, rest = argument.partition("=")
    if sign and name and rest and not Path(argument).exists():
        return name, Path(rest)
    return DEFAULT_NAME, Path(argument)


def machine(
    name: str, dumps: Iterable[Dump], catalog: Catalog, told: Told, where: str = ""
) -> Machine:
    """The machine that `dumps` are of; `where` is the files, for messages.

    Raises:
        FileError: they contradict each other, or fit no machine.
    """
    where = where or name
    dump = merge(tuple(dumps), where)
    named = _given(dump, catalog, told)
    rows = [named.get(device.label) or gpu_row(device, catalog) for device in dump.devices]
    topology = build(dump, rows, catalog, name, where)
    notes: list[str] = []
    devices = tuple(
        owned_device(device, row, notes) for device, row in zip(dump.devices, rows, strict=True)
    )
    notes += unknown_names(dump.devices, rows)
    host = told.host_memory or dump.host_memory
    if host is None and any(device.shares_host for device in devices):
        notes.append("the memory of the host is not printed: give --host-memory, or /proc/meminfo")
    sized = {device.part: device for device in devices}
    parts = tuple(
        part.model_copy(update={"memory": sized[part.name].memory, "free": sized[part.name].free})
        if part.name in sized
        else part
        for part in topology.parts
    )
    return Machine(
        name=name,
        devices=devices,
        adapters=tuple(
            Adapter(part=a.label.lower(), name=a.name, bus=a.bus, rate=a.rate)
            for a in dump.adapters
        ),
        host_memory=host,
        host_free=dump.host_free,
        sources=tuple(dump.format.split(", ")),
        topology=topology.model_copy(
            update={"parts": parts, "findings": (*topology.findings, *notes)}
        ),
    )


def _given(dump: Dump, catalog: Catalog, told: Told) -> Mapping[str, Gpu]:
    """Rows the user names, by device."""
    labels = {device.label.lower(): device.label for device in dump.devices}
    given: dict[str, Gpu] = {}
    for word in sorted(told.gpus, key=lambda word: "=" in word):
        part, sign, row = word.rpartition("=")
        if sign and part not in labels:
            raise ConflictingOptions(
                f"--gpu {word}: there is no {part}",
                hint=f"devices are {next(iter(labels))} to {[*labels][-1]}",
            )
        gpu = catalog.gpu(row)
        given |= dict.fromkeys([labels[part]] if sign else labels.values(), gpu)
    return given
