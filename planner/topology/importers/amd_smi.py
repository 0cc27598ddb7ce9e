"""`amd-smi topology`, as text and with `--json`: rows are keyed by bus id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from planner.errors import FileError
from planner.topology.importers.rocm_links import pairs
from planner.topology.importers.seen import Dump, SeenDevice
from planner.topology.importers.words import bus_id, refuse_crowd, refuse_twice

FORMAT = "amd-smi topology"
_TITLE = re.compile(r"(WEIGHT|HOPS|LINK TYPE|ACCESS|NUMA BW|[A-Z /-]{3,40}) TABLE:?")
_WANTED = {"WEIGHT": "weight", "HOPS": "hops", "LINK TYPE": "type"}
_HINT = "run 'amd-smi topology' on the machine"

_Tables = dict[str, dict[tuple[str, str], str]]


def holds(text: str) -> bool:
    """Whether `text` has the tables of `amd-smi topology`."""
    lines = [line.strip() for line in text.split("\n")]
    return any(re.fullmatch(r"LINK TYPE TABLE:?", line) for line in lines)


def read(text: str, where: str) -> Dump:
    """What the text says.

    Raises:
        FileError: no table of link types, or one that contradicts itself.
    """
    tables: _Tables = {"weight": {}, "hops": {}, "type": {}}
    buses: list[str] = []
    rows: dict[tuple[str, str], str] = {}
    columns: list[str] = []
    for line in text.split("\n"):
        title, words = _TITLE.fullmatch(line.strip()), line.split()
        if title:
            rows, columns = tables.get(_WANTED.get(title[1], ""), {}), []
        elif words and all(bus_id(word) for word in words) and not columns:
            refuse_crowd(len(words), where)
            columns = [bus_id(word) for word in words]
            buses += [bus for bus in columns if bus not in buses]
        elif words and bus_id(words[0]):
            for column, cell in zip(columns, words[1:], strict=False):
                rows[bus_id(words[0]), column] = cell
    return _dump(buses, tables, where)


def holds_json(content: object) -> bool:
    """Whether parsed JSON is what `amd-smi topology --json` prints."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(row, dict) and "bdf" in row and "links" in row for row in content)
    )


def read_json(content: Sequence[dict[str, Any]], where: str) -> Dump:
    """What the JSON says.

    Raises:
        FileError: no device, no link types, or entries that contradict each other.
    """
    tables: _Tables = {"weight": {}, "hops": {}, "type": {}}
    names = {"weight": "weight", "num_hops": "hops", "link_type": "type"}
    buses = [bus_id(str(row.get("bdf"))) for row in content]
    for bus, row in zip(buses, content, strict=True):
        links = row.get("links")
        for link in links if isinstance(links, list) else ():
            other = bus_id(str(link.get("bdf"))) if isinstance(link, dict) else ""
            for field, table in names.items() if other else ():
                tables[table][bus, other] = str(link.get(field, ""))
    return _dump(buses, tables, where)


def _dump(buses: Sequence[str], tables: _Tables, where: str) -> Dump:
    refuse_crowd(len(buses), where)
    if not buses or not all(buses):
        raise FileError(f"{where}: no devices by bus id in it", hint=_HINT)
    devices = tuple(SeenDevice(index=number, bus=bus) for number, bus in enumerate(buses))
    refuse_twice(devices, where)
    labels = {bus: f"GPU{number}" for number, bus in enumerate(buses)}
    named = {
        name: {
            (labels[one], labels[other]): cell
            for (one, other), cell in table.items()
            if one in labels and other in labels
        }
        for name, table in tables.items()
    }
    found, notes = pairs([*labels.values()], named["type"], named["hops"], named["weight"], where)
    return Dump(format=FORMAT, devices=devices, pairs=found, links_known=True, findings=notes)
