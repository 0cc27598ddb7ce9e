"""Several dumps of one machine as one: what one leaves out, another says.

Devices are told by bus id where both dumps print it, else by number. The first dump that says a
thing is believed; what two say differently of links is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.errors import FileError
from planner.topology.importers import nccl_xml, nvidia_smi_topo
from planner.topology.importers.seen import Beside, Dump, Pair, SeenDevice, Slice

_HINT = "files of several machines need their names: NAME=FILE"
_OWN = ("NV", "XGMI")


def merge(dumps: Sequence[Dump], where: str) -> Dump:
    """One dump that says what all of them say.

    Raises:
        FileError: no devices in any, no dump that describes them, numbers of devices that differ,
            a device one dump does not know, or links that differ.
    """
    with_devices = [dump for dump in dumps if dump.devices]
    if not with_devices:
        raise FileError(
            f"{where}: no devices in it", hint="add the output of nvidia-smi, rocm-smi or lstopo"
        )
    if all(dump.format == nccl_xml.GRAPH for dump in with_devices):
        raise FileError(
            f"{where}: an NCCL graph says which rings were found, not what links the devices",
            hint="give the topology: NCCL_TOPO_DUMP_FILE=topo.xml writes it on the machine",
        )
    ordered = sorted(with_devices, key=_rank)
    base = ordered[0]
    aligned = [_aligned(dump, base, where) for dump in ordered]
    tree = next((dump for dump in aligned if dump.tree), None)
    adapters = tree or next((dump for dump in aligned if dump.adapters), aligned[0])
    return Dump(
        format=", ".join(dict.fromkeys(dump.format for dump in aligned)),
        devices=tuple(
            _joined([dump.devices[number] for dump in aligned])
            for number in range(len(base.devices))
        ),
        adapters=adapters.adapters,
        pairs=_pairs(aligned, tree, where),
        tree=tree.tree if tree else (),
        beside=_beside(aligned),
        peers=next((dump.peers for dump in aligned if dump.peers), ()),
        host_memory=next((d.host_memory for d in dumps if d.host_memory is not None), None),
        host_free=next((d.host_free for d in dumps if d.host_free is not None), None),
        links_known=any(dump.links_known for dump in aligned),
        findings=tuple(dict.fromkeys(note for dump in aligned for note in dump.findings)),
    )


def _rank(dump: Dump) -> int:
    """Tools of the driver first, whose numbers people use; then those with bus ids."""
    driver = dump.format.startswith(("NVML", "nvidia-smi", "rocm-smi", "amd-smi"))
    buses = all(device.bus for device in dump.devices)
    peers = dump.format == nvidia_smi_topo.PEERS
    return (0 if driver and buses else 1 if driver and not peers else 2) + (not driver)


def _aligned(dump: Dump, base: Dump, where: str) -> Dump:
    """`dump` with its devices in the order and under the numbers of `base`."""
    if len(dump.devices) != len(base.devices):
        raise FileError(
            f"{where}: {base.format} has {len(base.devices)} devices, {dump.format} has "
            f"{len(dump.devices)}",
            hint=_HINT,
        )
    by_bus = all(device.bus for device in (*dump.devices, *base.devices))
    mine = {device.bus if by_bus else device.label: device for device in dump.devices}
    found: list[SeenDevice] = []
    renamed: dict[str, str] = {}
    for device in base.devices:
        key = device.bus if by_bus else device.label
        other = mine.get(key)
        if other is None:
            raise FileError(f"{where}: {dump.format} has no device {key}", hint=_HINT)
        renamed[other.label] = device.label
        found.append(other.model_copy(update={"index": device.index}))
    return _renamed(dump, found, renamed)


def _renamed(dump: Dump, devices: Sequence[SeenDevice], names: Mapping[str, str]) -> Dump:
    """`dump` with every label changed along."""

    def ends(value: Any) -> Any:
        changed = {"one": names.get(value.one, value.one)}
        return value.model_copy(update=changed | {"other": names.get(value.other, value.other)})

    return dump.model_copy(
        update={
            "devices": tuple(devices),
            "pairs": tuple(ends(pair) for pair in dump.pairs),
            "peers": tuple(ends(peer) for peer in dump.peers),
            "beside": tuple(
                link.model_copy(update={"device": names.get(link.device, link.device)})
                for link in dump.beside
            ),
            "tree": tuple(
                branch.model_copy(update={"name": names.get(branch.name, branch.name)})
                for branch in dump.tree
            ),
        }
    )


def _joined(seen: Sequence[SeenDevice]) -> SeenDevice:
    """One device as several dumps describe it."""
    first = seen[0]
    fields: dict[str, Any] = {
        name: _said(name, seen)
        for name in SeenDevice.model_fields
        if name not in ("slices", "memory", "free", "silent")
    }
    fields["slices"] = _slices([s.slices for s in seen if s.slices])
    told = next((s for s in seen if s.free is not None), None)
    told = told or next((s for s in seen if s.memory is not None), first)
    fields |= {"memory": told.memory, "free": told.free}
    fields["silent"] = told.memory is None and any(s.silent for s in seen)
    return SeenDevice.model_validate(fields)


def _said(field: str, seen: Sequence[SeenDevice]) -> Any:
    """The first value of a field that says something."""
    values = [getattr(each, field) for each in seen]
    return next((value for value in values if value), values[0])


def _slices(lists: Sequence[tuple[Slice, ...]]) -> tuple[Slice, ...]:
    """Slices by position: one tool prints their names, another their memory."""
    if not lists:
        return ()
    longest = max(lists, key=len)
    same = [slices for slices in lists if len(slices) == len(longest)]
    return tuple(
        Slice(
            profile=next((s.profile for s in at if s.profile), ""),
            instance=next((s.instance for s in at if s.instance), ""),
            memory=next((s.memory for s in at if s.memory is not None), None),
            free=next((s.free for s in at if s.free is not None), None),
        )
        for at in zip(*same, strict=True)
    )


def _beside(dumps: Sequence[Dump]) -> tuple[Beside, ...]:
    """Links to switches and hosts; a table that has the links of pairs has those to switches."""
    links = next((dump.beside for dump in dumps if dump.beside), ())
    paired = any(pair.kind == "NV" for dump in dumps for pair in dump.pairs)
    return tuple(link for link in links if link.kind == "c2c" or not paired)


def _pairs(dumps: Sequence[Dump], tree: Dump | None, where: str) -> tuple[Pair, ...]:
    """Links of the devices' own from every dump; the rest from the first table, if no tree.

    Raises:
        FileError: two dumps that show such links differ on one.
    """
    own: dict[tuple[str, str], Pair] = {}
    teller = ""
    for dump in dumps:
        switched = any(link.kind == "nvswitch" for link in dump.beside)
        if not dump.links_known or not dump.pairs or switched:
            continue
        found = [pair for pair in dump.pairs if pair.kind in _OWN]
        mine = {_ordered((pair.one, pair.other)): pair for pair in found}
        if teller and _counts(mine) != _counts(own):
            raise FileError(
                f"{where}: {teller} and {dump.format} show different links of the devices",
                hint=_HINT,
            )
        own, teller = own or mine, teller or dump.format
    table = next((dump for dump in dumps if dump.pairs and not dump.tree), None)
    rest = [p for p in table.pairs if p.kind not in _OWN] if table and tree is None else []
    return (*own.values(), *rest)


def _counts(pairs: Mapping[tuple[str, str], Pair]) -> dict[tuple[str, str], tuple[str, int]]:
    """What both dumps must say; tools count xGMI links differently."""
    return {key: (pair.kind, pair.count if pair.kind == "NV" else 1) for key, pair in pairs.items()}


def _ordered(key: tuple[str, str]) -> tuple[str, str]:
    one, other = sorted(key, key=lambda label: int(label[3:]))
    return one, other
