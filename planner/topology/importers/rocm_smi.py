"""`rocm-smi --showtopo`, as text and as JSON, and what `rocm-smi -a --json` says of devices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from planner.errors import FileError
from planner.topology.importers.rocm_links import pairs
from planner.topology.importers.seen import Dump, SeenDevice
from planner.topology.importers.words import (
    MOST_MEMORY,
    bus_id,
    count,
    generation,
    refuse_crowd,
    refuse_twice,
)

FORMAT = "rocm-smi"
_TABLES = {"Weight": "weight", "Hops": "hops", "Link Type": "type"}
_TITLE = re.compile(r"=+ (Weight|Hops|Link Type) between two GPUs =+")
_HEADER = re.compile(r"\s+(GPU\d{1,3}\s+)+", re.ASCII)
_ROW = re.compile(r"GPU(\d{1,3})\s+(\S.*)")
_NUMA = re.compile(r"GPU\[(\d{1,3})\]\s*: \(Topology\) Numa Node: (\d{1,4})\s*")
_PAIR = re.compile(
    r"\(Topology\) (Weight|Hops|Link type) between DRM devices (\d{1,3}) and (\d{1,3})"
)
_CARD = re.compile(r"card(\d{1,3})")
_LINK = re.compile(r"\d \((\d{1,2}(?:\.\d)?GT/s) x(\d{1,2})\)")
_HINT = "run 'rocm-smi --showtopo' on the machine"

_Tables = dict[str, dict[tuple[str, str], str]]


def holds(text: str) -> bool:
    """Whether `text` has a table of `--showtopo`."""
    return any(_TITLE.fullmatch(line.strip()) for line in text.split("\n"))


def read(text: str, where: str) -> Dump:
    """What the text of `--showtopo` says.

    Raises:
        FileError: no table of link types, or one that contradicts itself.
    """
    tables: _Tables = {"weight": {}, "hops": {}, "type": {}}
    places: dict[str, str] = {}
    rows: dict[tuple[str, str], str] = {}
    columns: list[str] = []
    for line in text.split("\n"):
        title, numa = _TITLE.fullmatch(line.strip()), _NUMA.fullmatch(line)
        if title:
            rows, columns = tables[_TABLES[title[1]]], []
        elif numa:
            places[f"GPU{int(numa[1])}"] = f"NUMA {numa[2]}"
        elif _HEADER.fullmatch(line + " "):
            columns = line.split()
        elif (row := _ROW.fullmatch(line)) and columns:
            for column, cell in zip(columns, row[2].split(), strict=False):
                rows[f"GPU{row[1]}", column] = cell
    labels = _labels(tables)
    return _dump(labels, tables, {label: _bare(label, places) for label in labels}, where)


def holds_json(content: object) -> bool:
    """Whether parsed JSON is what `rocm-smi --json` prints."""
    return isinstance(content, dict) and any(_CARD.fullmatch(str(key)) for key in content)


def read_json(content: Mapping[str, Any], where: str) -> Dump:
    """What `rocm-smi --json` says; cards it only names in pairs count too.

    Raises:
        FileError: no card, or pairs that contradict each other.
    """
    tables: _Tables = {"weight": {}, "hops": {}, "type": {}}
    system = content.get("system")
    for key, value in system.items() if isinstance(system, dict) else ():
        match = _PAIR.fullmatch(str(key))
        if match and isinstance(value, str):
            name = "type" if match[1] == "Link type" else match[1].lower()
            tables[name][f"GPU{int(match[2])}", f"GPU{int(match[3])}"] = value
    devices: dict[str, SeenDevice] = {}
    for key, fields in content.items():
        card = _CARD.fullmatch(str(key))
        if card and isinstance(fields, dict):
            device = _device(int(card[1]), {str(k): str(v) for k, v in fields.items()})
            devices[device.label] = device
    for label in _labels(tables):
        devices.setdefault(label, SeenDevice(index=int(label[3:])))
    labels = sorted(devices, key=lambda label: int(label[3:]))
    return _dump(labels, tables, devices, where)


def _labels(tables: _Tables) -> list[str]:
    """Every device a table names, by number."""
    named = {end for table in tables.values() for pair in table for end in pair}
    return sorted(
        (label for label in named if re.fullmatch(r"GPU(?:0|[1-9]\d{0,2})", label)),
        key=lambda label: int(label[3:]),
    )


def _bare(label: str, places: Mapping[str, str]) -> SeenDevice:
    return SeenDevice(index=int(label[3:]), place=places.get(label, ""))


def _dump(
    labels: list[str], tables: _Tables, devices: Mapping[str, SeenDevice], where: str
) -> Dump:
    refuse_crowd(len(labels), where)
    if not labels:
        raise FileError(f"{where}: no device in it", hint=_HINT)
    seen = tuple(devices[label] for label in labels)
    refuse_twice(seen, where)
    known = bool(tables["type"])
    found, notes = (
        pairs(labels, tables["type"], tables["hops"], tables["weight"], where)
        if known
        else ((), ())
    )
    silent = [device.label for device in seen if not device.bus and known and not device.name]
    if silent and len(silent) < len(seen):
        notes = (*notes, f"only the links of {silent[0]} to {silent[-1]} are printed")
    return Dump(
        format=FORMAT,
        devices=seen,
        pairs=found,
        links_known=known or len(seen) == 1,
        findings=notes,
    )


def _device(index: int, fields: Mapping[str, str]) -> SeenDevice:
    def text(*names: str) -> str:
        return next((fields[name] for name in names if fields.get(name, "N/A") != "N/A"), "")

    total = count(text("VRAM Total Memory (B)"), MOST_MEMORY)
    used = count(text("VRAM Total Used Memory (B)"), MOST_MEMORY)
    link = _LINK.fullmatch(text("pcie clock level"))
    code = text("Device ID", "GPU ID").removeprefix("0x").lower()
    numa = text("(Topology) Numa Node")
    sensible = bool(total) and (used is None or used <= (total or 0))
    return SeenDevice(
        index=index,
        bus=bus_id(text("PCI Bus")),
        name=text("Device Name", "Card Series", "Card series"),
        pci=f"1002:{code}" if re.fullmatch(r"[0-9a-f]{4}", code) else "",
        memory=total or None,
        free=(total or 0) - used if sensible and used is not None else None,
        silent="VRAM Total Memory (B)" in fields and not total,
        place=f"NUMA {numa}" if numa.isdigit() else "",
        generation=generation(link[1].replace("GT/s", " GT/s")) if link else None,
        width=count(link[2], 32) or None if link else None,
    )
