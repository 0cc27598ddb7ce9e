"""Texts of nvidia-smi that are no tables: `-L`, `nvlink -s` and `-q`."""

from __future__ import annotations

import re

from planner.errors import FileError
from planner.topology.importers.seen import Dump, SeenDevice, Slice
from planner.topology.importers.words import bus_id, count, memory, refuse_crowd, refuse_twice

LIST = "nvidia-smi -L"
NVLINK = "nvidia-smi nvlink -s"
QUERY = "nvidia-smi -q"
_DEVICE = re.compile(r"GPU (\d{1,3}): (.{1,80}?) \(UUID: [^)]{0,80}\)\s*")
_SLICE = re.compile(r"\s+MIG (\S{1,30})\s+Device\s+\d{1,3}: \(UUID: [^)]{0,80}\)\s*")
_LINK = re.compile(r"\s+Link (\d{1,2}): (?:(\d{1,3}(?:\.\d{1,6})?) GB/s|<?inactive>?)\s*")
_LOG = re.compile(r"=+NVSMI LOG=+")
_BLOCK = re.compile(r"GPU ([0-9A-Fa-f:.]{7,16})\s*")
_FIELD = re.compile(r"( +)(\S[^:]{0,60}?)\s*(?:: (.{0,200}))?")


def holds_list(text: str) -> bool:
    """Whether `text` lists devices as `-L` and `nvlink -s` do."""
    return any(_DEVICE.fullmatch(line) for line in text.split("\n"))


def holds_query(text: str) -> bool:
    """Whether `text` has the log of `-q`."""
    return any(_LOG.fullmatch(line.strip()) for line in text.split("\n"))


def read_list(text: str, where: str) -> Dump:
    """Names, MIG slices and NVLinks of the devices listed.

    Raises:
        FileError: no device, or one twice.
    """
    blocks: list[tuple[int, str, list[str]]] = []
    for line in text.split("\n"):
        match = _DEVICE.fullmatch(line)
        if match:
            blocks.append((int(match[1]), match[2], []))
        elif blocks:
            blocks[-1][2].append(line)
    refuse_crowd(len(blocks), where)
    devices = tuple(_listed(index, name, lines) for index, name, lines in blocks)
    refuse_twice(devices, where)
    if not devices:
        raise FileError(f"{where}: no device listed", hint="run 'nvidia-smi -L' on the machine")
    links = any(device.nvlinks is not None for device in devices)
    return Dump(format=NVLINK if links else LIST, devices=devices)


def _listed(index: int, name: str, lines: list[str]) -> SeenDevice:
    slices = [match[1] for match in map(_SLICE.fullmatch, lines) if match]
    links = {match[1]: match[2] for match in map(_LINK.fullmatch, lines) if match}
    up = sum(rate is not None for rate in links.values())
    return SeenDevice(
        index=index,
        name=name,
        nvlinks=up if links else None,
        nvlinks_down=len(links) - up,
        slices=tuple(Slice(profile=profile) for profile in slices),
    )


def read_query(text: str, where: str) -> Dump:
    """Names, bus ids, memory, PCIe and MIG slices of the first log of `-q` in `text`.

    Raises:
        FileError: no device in the log, or one twice.
    """
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if _LOG.fullmatch(line.strip())), len(lines))
    blocks: list[tuple[str, list[str]]] = []
    for line in lines[start + 1 :]:
        match = _BLOCK.fullmatch(line)
        if match and bus_id(match[1]):
            blocks.append((bus_id(match[1]), []))
        elif _LOG.fullmatch(line.strip()) or line.startswith("#"):
            break
        elif blocks:
            blocks[-1][1].append(line)
    refuse_crowd(len(blocks), where)
    devices = tuple(_logged(i, bus, _paths(body)) for i, (bus, body) in enumerate(blocks))
    refuse_twice(devices, where)
    if not devices:
        raise FileError(f"{where}: no device in the log", hint="run 'nvidia-smi -q' once more")
    return Dump(format=QUERY, devices=devices)


def _paths(lines: list[str]) -> list[tuple[str, str]]:
    """Every field as its path of headings, `FB Memory Usage/Total`, and its value."""
    headings: list[tuple[int, str]] = []
    found: list[tuple[str, str]] = []
    for line in lines:
        match = _FIELD.fullmatch(line.rstrip())
        if match is None:
            continue
        depth = len(match[1])
        headings = [heading for heading in headings if heading[0] < depth]
        path = "/".join([*(name for _, name in headings), match[2]])
        found.append((path, (match[3] or "").strip()))
        if match[3] is None:
            headings.append((depth, match[2]))
    return found


def _logged(position: int, bus: str, fields: list[tuple[str, str]]) -> SeenDevice:
    values = dict(reversed(fields))
    total = memory(values.get("FB Memory Usage/Total", ""))
    link = "PCI/GPU Link Info"
    generations = [
        count(values.get(f"{link}/PCIe Generation/{name}", ""), 9)
        for name in ("Max", "Device Max", "Host Max")
    ]
    known = [number for number in generations if number]
    widths = [_lanes(values.get(f"{link}/Link Width/{name}", "")) for name in ("Current", "Max")]
    return SeenDevice(
        index=position,
        bus=bus,
        name=values.get("Product Name", ""),
        memory=total,
        free=memory(values.get("FB Memory Usage/Free", "")),
        silent="FB Memory Usage/Total" in values and total is None,
        generation=min(known) if known else None,
        width=widths[0] or widths[1],
        full_width=widths[1],
        slices=_slices(fields),
    )


def _slices(fields: list[tuple[str, str]]) -> tuple[Slice, ...]:
    """MIG slices in order; each is a block that starts with its index."""
    blocks: list[dict[str, str]] = []
    for path, value in fields:
        if path == "MIG Device/Index":
            blocks.append({})
        elif blocks and path.startswith(("MIG Device/Shared FB", "MIG Device/GPU Instance ID")):
            blocks[-1][path.rpartition("/")[2]] = value
    return tuple(
        Slice(
            instance=block.get("GPU Instance ID", ""),
            memory=memory(block.get("Total", "")),
            free=memory(block.get("Free", "")),
        )
        for block in blocks
    )


def _lanes(text: str) -> int | None:
    return count(text.removesuffix("x"), 32) or None
