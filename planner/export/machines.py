"""What the launch files of every target ask of a plan's machines: names, addresses, devices.

Everything a plan file says is checked here before it gets near a script.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from planner.catalog.load import load_catalog
from planner.errors import EngineError, RequestError, UnknownName
from planner.plan import ClusterNode, Device, Plan

LOOPBACK = "127.0.0.1"
VISIBLE_VARIABLE = {"cuda": "CUDA_VISIBLE_DEVICES", "rocm": "HIP_VISIBLE_DEVICES"}
"""Device family to the variable that names the GPUs a process may see."""
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)


def check_fits(plan: Plan, *, force: bool) -> None:
    """Refuses a plan that does not fit, unless told otherwise.

    Raises:
        EngineError: it does not fit.
    """
    if plan.verdict == "no" and not force:
        raise EngineError(
            "the plan does not fit its devices: its launch files would fail",
            hint="make a plan that fits, or add --force",
        )


def script_name(machine: str) -> str:
    """File name of a machine's start script."""
    return f"start-{machine}.sh"


def check_name(machine: str) -> None:
    """Refuses a machine whose name cannot be part of a file name.

    Raises:
        EngineError: it cannot.
    """
    if _FILE_NAME.fullmatch(machine) is None:
        raise EngineError(
            f"machine {machine!r} cannot be part of a file name",
            hint="rename its node type: letters, digits, '.', '_' and '-'",
        )


def cluster_entry(plan: Plan, machine: str) -> ClusterNode:
    """The cluster row of a machine: `dgx-spark-pair-1b` is one of `dgx-spark-pair`.

    Raises:
        EngineError: there is none.
    """
    for entry in plan.cluster:
        if re.fullmatch(re.escape(entry.node_type) + r"-[0-9]+[a-z]?", machine):
            return entry
    raise EngineError(
        f"machine {machine!r} is of no node type of the plan's cluster",
        hint="make the plan again; 'plan verify' checks a plan",
    )


def family_of(entry: ClusterNode) -> str:
    """Software family of a row's devices; looked up where the plan does not note it."""
    return entry.family or load_catalog().gpu(entry.gpu).family


def devices_per_machine(entry: ClusterNode) -> int:
    """Devices of one machine of a node, which may be several linked machines."""
    return max(entry.gpus_per_node // max(entry.machines, 1), 1)


def number_on_machine(entry: ClusterNode, device: Device) -> int:
    """Which device of its machine: the number after the last dot of its id counts a node's.

    Raises:
        EngineError: the id has no number.
    """
    index = device.id.rpartition(".")[2]
    if re.fullmatch(r"[0-9]{1,4}", index) is None:
        raise EngineError(
            f"device {device.id!r} has no number", hint="make the plan again; ids are NODE.NUMBER"
        )
    return int(index) % devices_per_machine(entry)


def check_hosts(plan: Plan, machines: Iterable[str], hosts: Mapping[str, str]) -> None:
    """Refuses addresses of machines the plan does not have, and what is no address.

    Args:
        plan: the plan; idle machines of it may have addresses too.
        machines: those that get a script, named first in the hint.
        hosts: machine to address.

    Raises:
        UnknownName: a machine the plan does not have.
        RequestError: an address that is none.
    """
    known = tuple(dict.fromkeys((*machines, *(device.node for device in plan.devices))))
    for name, address in hosts.items():
        if name not in known:
            raise UnknownName("host", name, known, hint="the plan has " + ", ".join(known))
        _check_address(name, address)


def _check_address(name: str, address: str) -> None:
    """Refuses what is neither an IPv4 address nor a host name.

    llama.cpp's RPC servers listen on IPv4 only (run with build b10434: a name or `::1` is refused).
    """
    hint = f"write e.g. --host {name}=10.0.0.11: an IPv4 address, or a name that resolves to one"
    labels = address.split(".")
    if not all(_HOST_LABEL.fullmatch(label) for label in labels) or len(address) > 253:
        raise RequestError(f"--host {name}: not an address: {address!r}", hint=hint)
    if labels[-1].isdecimal():
        try:
            number = ipaddress.IPv4Address(address)
        except ValueError as error:
            raise RequestError(f"--host {name}: not an address: {address!r}", hint=hint) from error
        if number.is_unspecified or number.is_multicast:
            raise RequestError(
                f"--host {name}: {address} is no single machine's address", hint=hint
            )
