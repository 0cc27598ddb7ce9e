"""What NVML itself says, through the module `pynvml` of the package nvidia-ml-py.

The module is handed in, so that nothing here needs it to be installed.
"""

from __future__ import annotations

from typing import Any

from planner.topology.importers.seen import Dump, Pair, PeerStatus, SeenDevice, Slice
from planner.topology.importers.words import bus_id

FORMAT = "NVML"
_LEVELS = {10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
"""nvmlGpuTopologyLevel_t: single switch, multiple switches, host bridge, node, system."""
_MOST_LINKS = 36
_STATUS = {0: "OK", 1: "CNS", 2: "GNS", 3: "TNS", 4: "DR", 5: "NS"}
"""nvmlGpuP2PStatus_t."""
_NODE_WORDS, _NODE_SCOPE = 4, 0
"""Words of 64 nodes; NVML_AFFINITY_SCOPE_NODE."""
_READ = 0
"""NVML_P2P_CAPS_INDEX_READ."""


def read(nvml: Any) -> Dump:
    """The devices that NVML knows and what links them.

    Args:
        nvml: the module `pynvml`, initialized.
    """
    handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    devices = tuple(_device(nvml, handle, index) for index, handle in enumerate(handles))
    links = [_links(nvml, handle) for handle in handles]
    pairs: list[Pair] = []
    peers: list[PeerStatus] = []
    for i, one in enumerate(handles):
        for j in range(i + 1, len(handles)):
            shared = _shared_links(links[i], links[j], devices[i], devices[j])
            ends = {"one": devices[i].label, "other": devices[j].label}
            level = _ask(nvml, "nvmlDeviceGetTopologyCommonAncestor", one, handles[j])
            if shared:
                pairs.append(Pair(**ends, kind="NV", count=shared))
            elif level in _LEVELS:
                pairs.append(Pair.model_validate(ends | {"kind": _LEVELS[level]}))
            status = _ask(nvml, "nvmlDeviceGetP2PStatus", one, handles[j], _READ)
            if status is not None:
                peers.append(PeerStatus(**ends, status=_STATUS.get(status, "U")))
    return Dump(
        format=FORMAT,
        devices=devices,
        pairs=tuple(pairs),
        peers=tuple(peers),
        links_known=len(pairs) == len(handles) * (len(handles) - 1) // 2,
    )


def _ask(nvml: Any, function: str, *arguments: Any) -> Any:
    """What a function of NVML returns; None where this device or driver does not know it."""
    asked = getattr(nvml, function, None)
    if asked is None:
        return None
    try:
        return asked(*arguments)
    except nvml.NVMLError:
        return None


def _device(nvml: Any, handle: Any, index: int) -> SeenDevice:
    memory = _ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    pci = _ask(nvml, "nvmlDeviceGetPciInfo", handle)
    code = getattr(pci, "pciDeviceId", 0)
    up = _links(nvml, handle)
    return SeenDevice(
        index=index,
        bus=bus_id(_text(getattr(pci, "busId", ""))),
        name=_text(_ask(nvml, "nvmlDeviceGetName", handle) or ""),
        pci=f"{code & 0xFFFF:04x}:{code >> 16:04x}" if code else "",
        memory=memory.total if memory is not None else None,
        free=memory.free if memory is not None else None,
        silent=memory is None,
        place=_place(nvml, handle),
        generation=_ask(nvml, "nvmlDeviceGetMaxPcieLinkGeneration", handle),
        width=_ask(nvml, "nvmlDeviceGetCurrPcieLinkWidth", handle) or None,
        full_width=_ask(nvml, "nvmlDeviceGetMaxPcieLinkWidth", handle) or None,
        nvlinks=len(up) or None,
        slices=_slices(nvml, handle),
    )


def _place(nvml: Any, handle: Any) -> str:
    """NUMA nodes whose memory is near, as `nvidia-smi topo -m` names them."""
    masks = _ask(nvml, "nvmlDeviceGetMemoryAffinity", handle, _NODE_WORDS, _NODE_SCOPE)
    bits = [
        64 * i + bit for i, mask in enumerate(masks or ()) for bit in range(64) if mask >> bit & 1
    ]
    return "NUMA " + ",".join(map(str, bits)) if bits else ""


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _links(nvml: Any, handle: Any) -> list[str]:
    """Bus id at the other end of every NVLink that is up."""
    ends = []
    for link in range(_MOST_LINKS):
        if _ask(nvml, "nvmlDeviceGetNvLinkState", handle, link) == 1:
            remote = _ask(nvml, "nvmlDeviceGetNvLinkRemotePciInfo", handle, link)
            ends.append(bus_id(_text(getattr(remote, "busId", ""))))
    return ends


def _shared_links(mine: list[str], theirs: list[str], one: SeenDevice, other: SeenDevice) -> int:
    """NVLinks from device to device, or through switches that both are on."""
    direct = mine.count(other.bus) if other.bus else 0
    if direct:
        return direct
    switches = {bus for bus in mine if bus != one.bus} & {bus for bus in theirs if bus != other.bus}
    both = [sum(bus in switches for bus in ends) for ends in (mine, theirs)]
    return min(both)


def _slices(nvml: Any, handle: Any) -> tuple[Slice, ...]:
    most = _ask(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0
    found = []
    for number in range(most):
        part = _ask(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
        if part is None:
            continue
        memory = _ask(nvml, "nvmlDeviceGetMemoryInfo", part)
        instance = _ask(nvml, "nvmlDeviceGetGpuInstanceId", part)
        found.append(
            Slice(
                instance="" if instance is None else str(instance),
                memory=memory.total if memory is not None else None,
                free=memory.free if memory is not None else None,
            )
        )
    return tuple(found)
