"""Links between the devices themselves: NVLink pairs and switches, xGMI. Topology layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.catalog import Catalog
from planner.catalog.schema import Gpu
from planner.errors import FileError
from planner.topology.importers.seen import Dump, Pair
from planner.topology.kinds import groups
from planner.topology.parts import Part, Wire
from planner.topology.rates import NvLinks, nvlinks, xgmi

_HINT = "check that the table is whole and of one machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleUp:
    """What joins the devices beside PCIe."""

    switches: tuple[Part, ...]
    wires: tuple[Wire, ...]
    findings: tuple[str, ...]


def scale_up(
    dump: Dump,
    gpus: Mapping[str, Gpu | None],
    names: Mapping[str, str],
    catalog: Catalog,
    where: str,
) -> ScaleUp:
    """Wires of NVLink and xGMI, with the switches that the counts imply.

    Devices are on a switch where their links to all peers together are more than they have; else
    the links go from device to device.

    Args:
        dump: what was read.
        gpus: catalog row of each device, by label; None where unknown.
        names: part name of each label.
        catalog: the link rows.
        where: the file, for messages.

    Raises:
        FileError: counts that neither a switch nor direct links explain.
    """
    labels = [device.label for device in dump.devices]
    links = {label: nvlinks(catalog, gpus[label]) for label in labels}
    switches: list[Part] = []
    wires: list[Wire] = []
    findings: list[str] = []
    pairs = {(pair.one, pair.other): pair.count for pair in dump.pairs if pair.kind == "NV"}
    on_switch = {link.device: link.count for link in dump.beside if link.kind == "nvswitch"}
    if on_switch:
        _add_switch(on_switch, names, links, switches, wires)
    for members in groups(labels, list(pairs)):
        counts = _counts(members, pairs)
        if all(sum(counts[label].values()) <= links[label].count for label in members):
            wires += _direct(members, counts, names, links)
            continue
        lanes = {label: max(counts[label].values()) for label in members}
        _check_switch(members, counts, lanes, where)
        _add_switch(lanes, names, links, switches, wires)
        findings += _weak(lanes)
    wires += _xgmi(dump, gpus, names, catalog)
    findings += _loners(labels, dump.pairs, on_switch)
    findings += _assumed(links, wires, names, gpus)
    return ScaleUp(switches=tuple(switches), wires=tuple(wires), findings=tuple(findings))


def _counts(
    members: Sequence[str], pairs: Mapping[tuple[str, str], int]
) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {label: {} for label in members}
    for (one, other), count in pairs.items():
        if one in counts and other in counts:
            counts[one][other] = counts[other][one] = count
    return counts


def _direct(
    members: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    names: Mapping[str, str],
    links: Mapping[str, NvLinks],
) -> list[Wire]:
    return [
        Wire(
            one=names[one],
            other=names[other],
            medium="nvlink",
            bandwidth=counts[one][other] * min(links[one].each, links[other].each),
            lanes=counts[one][other],
            link=links[one].row,
        )
        for i, one in enumerate(members)
        for other in members[i + 1 :]
        if counts[one].get(other)
    ]


def _check_switch(
    members: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    lanes: Mapping[str, int],
    where: str,
) -> None:
    """Refuses counts that one switch does not explain."""
    for i, one in enumerate(members):
        for other in members[i + 1 :]:
            printed, expected = counts[one].get(other, 0), min(lanes[one], lanes[other])
            if printed != expected:
                raise FileError(
                    f"{where}: {one} to {other} has {printed} NVLinks; on the switch that the "
                    f"others share it would have {expected}",
                    hint=_HINT,
                )


def _add_switch(
    lanes: Mapping[str, int],
    names: Mapping[str, str],
    links: Mapping[str, NvLinks],
    switches: list[Part],
    wires: list[Wire],
) -> None:
    name = f"nvswitch{len(switches)}"
    switches.append(Part(name=name, kind="switch"))
    wires += [
        Wire(
            one=names[label],
            other=name,
            medium="nvlink",
            bandwidth=count * links[label].each,
            lanes=count,
            link=links[label].row,
        )
        for label, count in lanes.items()
    ]


def _weak(lanes: Mapping[str, int]) -> list[str]:
    most = max(lanes.values())
    return [
        f"{label.lower()} has {count} NVLinks to the switch, others have {most}: links are down"
        for label, count in lanes.items()
        if count < most
    ]


def _loners(
    labels: Sequence[str], pairs: Sequence[Pair], on_switch: Mapping[str, int]
) -> list[str]:
    """Devices without a link of their own among devices that have one."""
    for kind, word in (("NV", "NVLink"), ("XGMI", "xGMI link")):
        linked = {end for pair in pairs if pair.kind == kind for end in (pair.one, pair.other)}
        linked |= {*on_switch} if kind == "NV" else set()
        alone = [label for label in labels if label not in linked]
        if linked and alone:
            others = f"though {len(linked)} other devices have"
            return [
                f"{label.lower()} has no {word}, {others}: a faulty link, or none fitted; groups "
                "of devices that talk much should leave it out"
                for label in alone
            ]
    return []


def _assumed(
    links: Mapping[str, NvLinks],
    wires: Sequence[Wire],
    names: Mapping[str, str],
    gpus: Mapping[str, Gpu | None],
) -> list[str]:
    linked = {wire.one for wire in wires if wire.medium == "nvlink"}
    linked |= {wire.other for wire in wires if wire.medium == "nvlink"}
    if any(links[label].assumed and names[label] in linked for label in links):
        each = min(link.each for link in links.values())
        return [f"NVLink generation unknown: {each / 1e9:.0f} GB/s a link and direction assumed"]
    unknown = any(wire.medium == "xgmi" for wire in wires) and None in gpus.values()
    return ["xGMI generation unknown: the slowest known, 50 GB/s, assumed"] if unknown else []


def _xgmi(
    dump: Dump, gpus: Mapping[str, Gpu | None], names: Mapping[str, str], catalog: Catalog
) -> list[Wire]:
    wires = []
    for pair in dump.pairs:
        if pair.kind == "XGMI":
            rate = xgmi(catalog, gpus[pair.one])
            wires.append(
                Wire(
                    one=names[pair.one],
                    other=names[pair.other],
                    medium="xgmi",
                    bandwidth=rate.bandwidth * pair.count,
                    latency=rate.latency,
                    lanes=pair.count,
                    link=rate.link,
                )
            )
    return wires
