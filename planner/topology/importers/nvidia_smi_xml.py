"""`nvidia-smi -q -x`: names, bus ids, memory, PCIe and MIG slices, as XML."""

from __future__ import annotations

from planner.errors import FileError
from planner.topology.importers.seen import Dump, SeenDevice, Slice
from planner.topology.importers.words import bus_id, count, memory, refuse_crowd, refuse_twice
from planner.topology.importers.xml_tree import Element

FORMAT = "nvidia-smi -q -x"
ROOT = "nvidia_smi_log"


def read(root: Element, where: str) -> Dump:
    """The devices in a log.

    Raises:
        FileError: no device in it, or one twice.
    """
    gpus = root.all("gpu")
    refuse_crowd(len(gpus), where)
    if not gpus:
        raise FileError(f"{where}: no <gpu> in it", hint="run 'nvidia-smi -q -x' on the machine")
    devices = tuple(_device(gpu, number) for number, gpu in enumerate(gpus))
    refuse_twice(devices, where)
    return Dump(format=FORMAT, devices=devices)


def _device(gpu: Element, position: int) -> SeenDevice:
    total = memory(gpu.words("fb_memory_usage", "total"))
    link = ("pci", "pci_gpu_link_info")
    generations = [
        count(gpu.words(*link, "pcie_gen", name), 9)
        for name in ("max_link_gen", "max_device_link_gen", "max_host_link_gen")
    ]
    known = [number for number in generations if number]
    slices = gpu.child("mig_devices")
    return SeenDevice(
        index=position,
        bus=bus_id(gpu.get("id")) or bus_id(gpu.words("pci", "pci_bus_id")),
        name=gpu.words("product_name"),
        pci=_pci(gpu.words("pci", "pci_device_id")),
        memory=total,
        free=memory(gpu.words("fb_memory_usage", "free")),
        silent=gpu.child("fb_memory_usage") is not None and total is None,
        generation=min(known) if known else None,
        width=_lanes(gpu.words(*link, "link_widths", "current_link_width"))
        or _lanes(gpu.words(*link, "link_widths", "max_link_width")),
        full_width=_lanes(gpu.words(*link, "link_widths", "max_link_width")),
        slices=tuple(_slice(part) for part in slices.all("mig_device")) if slices else (),
    )


def _slice(part: Element) -> Slice:
    return Slice(
        instance=part.words("gpu_instance_id"),
        memory=memory(part.words("fb_memory_usage", "total")),
        free=memory(part.words("fb_memory_usage", "free")),
    )


def _lanes(text: str) -> int | None:
    return count(text.removesuffix("x"), 32) or None


def _pci(text: str) -> str:
    """Vendor and device of `20B210DE`, the device first."""
    digits = text.lower()
    whole = len(digits) == 8 and all(digit in "0123456789abcdef" for digit in digits)
    return f"{digits[4:]}:{digits[:4]}" if whole else ""
