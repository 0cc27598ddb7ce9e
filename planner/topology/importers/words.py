"""Small readers the importers share: colours off, bus ids, amounts of memory, link speeds."""

from __future__ import annotations

import re

from planner.errors import FileError
from planner.topology.importers.seen import SeenDevice
from planner.units import MIB

MOST_DEVICES = 128
"""More devices than any machine has; a text that names more is none of one machine."""
MOST_MEMORY = 2**46
"""Bytes; more than any device or host has."""

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_BUS = re.compile(r"(?:([0-9a-fA-F]{1,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")
_SPEED = re.compile(r"(\d{1,3}(?:\.\d{1,2})?) ?GT/s(?: PCIe)?")
_MEMORY = re.compile(r"(\d{1,15}) ?(B|KiB|MiB|GiB|kB)")
_FACTOR = {"B": 1, "kB": 2**10, "KiB": 2**10, "MiB": MIB, "GiB": 2**30}
_GENERATIONS = {"2.5": 1, "5": 2, "8": 3, "16": 4, "32": 5, "64": 6}
"""Transfers per second of a PCIe lane, in thousands of millions, to its generation."""


def plain(text: str) -> str:
    """`text` with the colours and underlines of a terminal taken off, and bare line ends."""
    return _COLOUR.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def bus_id(text: str) -> str:
    """A PCI bus id as `0000:18:00.0`, in lower case; empty where `text` is none."""
    match = _BUS.fullmatch(text.strip())
    if match is None:
        return ""
    domain = (match[1] or "0").lstrip("0").lower().rjust(4, "0")
    return f"{domain}:{match[2]}:{match[3]}.{match[4]}".lower()


def memory(text: str) -> int | None:
    """Bytes written as `81559 MiB`; None where no amount stands there, e.g. `[N/A]`."""
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        return None
    amount = int(match[1]) * _FACTOR[match[2]]
    return amount if amount <= MOST_MEMORY else None


def count(text: str, most: int = 10_000) -> int | None:
    """A small whole number, or None."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(most)):
        return None
    return int(digits) if int(digits) <= most else None


def generation(speed: str) -> int | None:
    """PCIe generation of `16 GT/s` or `32.0 GT/s PCIe`; None where it says nothing of the kind."""
    match = _SPEED.fullmatch(speed.strip())
    if match is None:
        return None
    return _GENERATIONS.get(match[1].rstrip("0").rstrip(".") if "." in match[1] else match[1])


def refuse_crowd(devices: int, where: str) -> None:
    """Refuses more devices than any machine has.

    Raises:
        FileError: there are more than `MOST_DEVICES`.
    """
    if devices > MOST_DEVICES:
        raise FileError(
            f"{where}: {devices} devices; no machine has more than {MOST_DEVICES}",
            hint="give the output of one machine",
        )


def refuse_twice(devices: tuple[SeenDevice, ...], where: str) -> None:
    """Refuses two devices with one number or one bus id.

    Raises:
        FileError: there are such.
    """
    for what, keys in (
        ("GPU", [str(device.index) for device in devices]),
        ("bus id", [device.bus for device in devices if device.bus]),
    ):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise FileError(
                f"{where}: {what} {twice[0]} is there twice",
                hint="give the output of one run on one machine",
            )
