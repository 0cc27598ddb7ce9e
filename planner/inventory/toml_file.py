"""The TOML file of an inventory, written and read: sizes and rates with units, one line a link."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from planner.errors import BadQuantity, FileError
from planner.inventory.values import Inventory, Machine, OwnedDevice
from planner.topology.importers.words import MOST_DEVICES
from planner.topology.parts import Part, Topology, Wire
from planner.units import GIB, MIB, parse_rate, parse_size

_HINT = "'plan inventory import FILE... -o rig.toml' writes such a file"
_HEAD = "# Own machines, for 'plan inventory show'. Sizes: '80 GiB' or '80 GB'; rates: '63 GB/s'."
LARGEST = 2 * MIB
"""Bytes of a file; 128 devices with all their links have less."""
_LONGEST_LINE = 20_000
"""Characters; reading a key of a million parts takes hours."""
_MOST_PARTS = 4096
_MOST_WIRES = 65_536


def to_toml(inventory: Inventory) -> str:
    """`inventory` as TOML; the same text for the same value."""
    lines = [_HEAD, f"schema_version = {inventory.schema_version}"]
    for machine in inventory.machines:
        lines += ["", "[[machine]]", *_machine(machine)]
    return "\n".join(lines) + "\n"


def _machine(machine: Machine) -> Iterable[str]:
    topology = machine.topology
    yield from _fields(
        {
            "name": machine.name,
            "host_memory": _size(machine.host_memory),
            "host_free": _size(machine.host_free),
            "peer_to_peer": topology.peer_to_peer,
        }
    )
    yield from _list("sources", (_text(source) for source in machine.sources))
    yield from _list("findings", (_text(finding) for finding in topology.findings))
    owned = {device.part for device in machine.devices}
    others = [part for part in topology.parts if part.name not in owned]
    yield from _list("parts", (_inline(_part(part)) for part in others))
    yield from _list("links", (_inline(_wire(wire)) for wire in topology.wires))
    adapters = [a.model_dump() | {"rate": _rate(a.rate)} for a in machine.adapters]
    yield from _list("adapters", (_inline(adapter) for adapter in adapters))
    for device in machine.devices:
        yield from ["", "[[machine.device]]", *_fields(_device(device))]
        slices = (s.model_dump() | _sizes(s.memory, s.free) for s in device.slices)
        yield from _list("slices", (_inline(part) for part in slices))


def _device(device: OwnedDevice) -> dict[str, Any]:
    fields = device.model_dump(exclude={"slices"}) | _sizes(device.memory, device.free)
    fields["shares_host"] = device.shares_host or None
    return fields


def _part(part: Part) -> dict[str, Any]:
    return {"name": part.name, "kind": part.kind, "model": part.model, "bus": part.bus}


def _wire(wire: Wire) -> dict[str, Any]:
    return {
        "one": wire.one,
        "other": wire.other,
        "medium": wire.medium,
        "bandwidth": _rate(round(wire.bandwidth)),
        "latency": wire.latency or None,
        "lanes": wire.lanes if wire.lanes > 1 else None,
        "link": wire.link,
    }


def _sizes(memory: int | None, free: int | None) -> dict[str, str | None]:
    return {"memory": _size(memory), "free": _size(free)}


def _size(size: int | None) -> str | None:
    if size is None:
        return None
    for unit, name in ((GIB, "GiB"), (MIB, "MiB")):
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def _rate(rate: int | None) -> str | None:
    if rate is None:
        return None
    for unit, name in ((10**9, "GB/s"), (10**6, "MB/s")):
        if rate and rate % unit == 0:
            return f"{rate // unit} {name}"
    return f"{rate} B/s"


def _fields(fields: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in fields.items() if value not in (None, "")]


def _inline(fields: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(_fields(fields)) + " }"


def _list(key: str, items: Iterable[str]) -> list[str]:
    written = [f"  {item}," for item in items]
    return [f"{key} = [", *written, "]"] if written else []


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """A TOML string: as in JSON, but for one character more that must be escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def from_toml(text: str, where: str) -> Inventory:
    """The inventory in `text`.

    Raises:
        FileError: no TOML, unknown or missing fields, or links to parts that are not there.
    """
    if max(map(len, text.split("\n"))) > _LONGEST_LINE:
        raise FileError(f"{where} has a line longer than any of an inventory", hint=_HINT)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it cannot be read"
        raise FileError(f"{where} is no TOML: {reason[:200]}", hint=_HINT) from error
    machines = content.pop("machine", None)
    version = content.pop("schema_version", None)
    if not isinstance(machines, list) or content:
        raise FileError(f"{where} is no inventory: it needs [[machine]] and no more", hint=_HINT)
    if version != 1:
        raise FileError(f"{where} has schema version {version!r}; this planner reads 1", hint=_HINT)
    return Inventory(machines=tuple(_read_machine(entry, where) for entry in machines))


def _read_machine(entry: Any, where: str) -> Machine:
    if not isinstance(entry, dict):
        raise FileError(f"{where}: [[machine]] is no table", hint=_HINT)
    fields = dict(entry)
    name = str(fields.get("name", "?"))[:80]
    place = f"{where}: machine {name!r}"
    wires = [_read_rate(wire, "bandwidth", place) for wire in _tables(fields, "links", place)]
    adapters = [_read_rate(each, "rate", place) for each in _tables(fields, "adapters", place)]
    others = _tables(fields, "parts", place)
    devices = _tables(fields, "device", place)
    parts = [_device_part(device, place) for device in devices]
    if len(devices) > MOST_DEVICES or len(others) > _MOST_PARTS or len(wires) > _MOST_WIRES:
        raise FileError(f"{place} has more parts than any machine", hint=_HINT)
    graph = {
        "title": name,
        "parts": [*parts, *others],
        "wires": wires,
        "peer_to_peer": fields.pop("peer_to_peer", True),
        "findings": fields.pop("findings", []),
    }
    fields |= {"devices": devices, "adapters": adapters}
    try:
        topology = Topology.model_validate(graph)
        machine = Machine.model_validate(fields | {"topology": topology})
    except ValidationError as error:
        first = error.errors()[0]
        spot = ".".join(str(step) for step in first["loc"])
        raise FileError(f"{place}: {spot}: {first['msg']}", hint=_HINT) from error
    _check(machine, place)
    return machine


def _tables(fields: dict[str, Any], key: str, place: str) -> list[dict[str, Any]]:
    entries = fields.pop(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FileError(f"{place}: {key} is no list of tables", hint=_HINT)
    return entries


def _read_rate(entry: dict[str, Any], field: str, place: str) -> dict[str, Any]:
    """`entry` with a rate as bytes per second."""
    if not isinstance(entry.get(field), str):
        return entry
    try:
        return entry | {field: parse_rate(entry[field])}
    except BadQuantity as error:
        raise FileError(f"{place}: {field}: {error.message}", hint=error.hint) from error


def _device_part(device: dict[str, Any], place: str) -> dict[str, Any]:
    """The vertex of a device."""
    sizes = {}
    for field in ("memory", "free"):
        value = device.get(field)
        try:
            sizes[field] = parse_size(value) if isinstance(value, str) else value
        except BadQuantity as error:
            raise FileError(f"{place}: {field}: {error.message}", hint=error.hint) from error
    model = device.get("gpu") or device.get("reported", "")
    return {
        "name": device.get("part"),
        "kind": "gpu",
        "model": model,
        "bus": device.get("bus", ""),
        **sizes,
    }


def _check(machine: Machine, place: str) -> None:
    """Refuses parts that are there twice, and links to parts that are not there."""
    names = [part.name for part in machine.topology.parts]
    known = set(names)
    if len(known) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FileError(f"{place}: part {twice!r} is there twice", hint=_HINT)
    for wire in machine.topology.wires:
        missing = [end for end in (wire.one, wire.other) if end not in known]
        if missing or wire.one == wire.other:
            raise FileError(
                f"{place}: a link from {wire.one!r} to {wire.other!r}, but there is no part "
                f"{missing[0]!r}"
                if missing
                else f"{place}: a link from {wire.one!r} to itself",
                hint=_HINT,
            )
        if wire.bandwidth <= 0 or wire.lanes < 1 or wire.latency < 0:
            raise FileError(
                f"{place}: the link from {wire.one!r} to {wire.other!r} needs a bandwidth and "
                "lanes above zero",
                hint=_HINT,
            )
