"""`nvidia-smi --query-gpu=... --format=csv`: names, bus ids, memory, PCIe.

Values carry their unit (`81559 MiB`) unless `nounits` was given; then the header still has it
(`memory.total [MiB]`). `[N/A]` and `[Requested functionality has been deprecated]` are no values.
"""

from __future__ import annotations

import csv
import re

from planner.errors import FileError
from planner.topology.importers.seen import Dump, SeenDevice
from planner.topology.importers.words import bus_id, count, memory, refuse_crowd, refuse_twice

FORMAT = "nvidia-smi --query-gpu"
_FIELD = re.compile(r"([a-z][A-Za-z0-9_.]*)(?: \[([A-Za-z%/]+)\])?")
_KNOWN = {"name", "gpu_name", "index", "pci.bus_id", "gpu_bus_id", "memory.total"}
_HINT = (
    "e.g. nvidia-smi --query-gpu=index,name,pci.bus_id,memory.total,memory.free,"
    "pcie.link.gen.max,pcie.link.width.current --format=csv"
)


def holds(text: str) -> bool:
    """Whether a table with a header of `--query-gpu` is in `text`."""
    return any(_fields(line) for line in text.split("\n"))


def read(text: str, where: str) -> Dump:
    """The devices of the first table in `text`.

    Raises:
        FileError: no such table, a row with another number of fields, or a device twice.
    """
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if _fields(line)), None)
    if start is None:
        raise FileError(f"{where}: no header of 'nvidia-smi --query-gpu'", hint=_HINT)
    fields = _fields(lines[start])
    devices: list[SeenDevice] = []
    for number, line in enumerate(lines[start + 1 :], start=start + 2):
        if not line.strip() or line.startswith("#") or _fields(line):
            break
        refuse_crowd(len(devices), where)
        cells = _cells(line, number, where)
        if len(cells) != len(fields):
            raise FileError(
                f"{where}: line {number} has {len(cells)} fields for {len(fields)} in the header",
                hint="give the output whole",
            )
        devices.append(_device(dict(zip(fields, cells, strict=True)), fields, len(devices)))
    refuse_crowd(len(devices), where)
    found = tuple(devices)
    refuse_twice(found, where)
    if not found:
        raise FileError(f"{where}: a header of 'nvidia-smi --query-gpu' without rows", hint=_HINT)
    return Dump(format=FORMAT, devices=found)


def _cells(line: str, number: int, where: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]
    except csv.Error as error:
        raise FileError(
            f"{where}: line {number} is no line of CSV: {error}", hint="give the output whole"
        ) from error


def _fields(line: str) -> dict[str, str]:
    """Field names of a header and their units; nothing where the line is no header."""
    found: dict[str, str] = {}
    for cell in line.split(","):
        match = _FIELD.fullmatch(cell.strip())
        if match is None:
            return {}
        found[match[1]] = match[2] or ""
    other = "pid" in found or "retired_pages.address" in found
    return found if len(_KNOWN & found.keys()) > 1 and not other else {}


def _device(row: dict[str, str], units: dict[str, str], position: int) -> SeenDevice:
    def text(*names: str) -> str:
        return next((row[n] for n in names if n in row and not row[n].startswith("[")), "")

    def amount(name: str) -> int | None:
        written = text(name)
        return memory(written if not written.isdigit() else f"{written} {units[name] or 'MiB'}")

    index = count(text("index"), 9_999)
    total = amount("memory.total")
    device = text("pci.device_id")
    return SeenDevice(
        index=position if index is None else index,
        bus=bus_id(text("pci.bus_id", "gpu_bus_id")),
        name=text("name", "gpu_name"),
        pci=_pci(device),
        memory=total,
        free=amount("memory.free"),
        silent="memory.total" in row and total is None,
        generation=_generation(text("pcie.link.gen.max"), text("pcie.link.gen.hostmax")),
        width=_width(text("pcie.link.width.current")) or _width(text("pcie.link.width.max")),
        full_width=_width(text("pcie.link.width.max")),
    )


def _pci(text: str) -> str:
    """Vendor and device of `0x233010DE`, the device first."""
    match = re.fullmatch(r"0x([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})", text)
    return f"{match[2]}:{match[1]}".lower() if match else ""


def _generation(device: str, host: str) -> int | None:
    """What device and slot can both do; the current one drops when the device idles."""
    both = [number for number in (count(device, 9), count(host, 9)) if number]
    return min(both) if both else None


def _width(text: str) -> int | None:
    lanes = count(text, 32)
    return lanes or None
