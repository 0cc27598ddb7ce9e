"""The machine this runs on: asks NVML, else the tools installed, and merges the answers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from planner.catalog import Catalog
from planner.errors import FileError
from planner.inventory import Inventory
from planner.services.inventory import DEFAULT_NAME, Told, gathered, machine
from planner.topology.importers import nvml
from planner.topology.importers.detect import LARGEST, read
from planner.topology.importers.seen import Dump

_QUERY = (
    "index,name,pci.bus_id,pci.device_id,memory.total,memory.free,"
    "pcie.link.gen.max,pcie.link.width.current,pcie.link.width.max"
)
_TIME_LIMIT = 60
"""Seconds; a driver in trouble can hang for ever."""
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One thing to run."""

    words: tuple[str, ...]
    devices: bool
    """Whether it lists the devices; else it adds to them."""


COMMANDS = (
    Command(words=("nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv"), devices=True),
    Command(words=("nvidia-smi", "topo", "-m"), devices=False),
    Command(words=("nvidia-smi", "topo", "-p2p", "r"), devices=False),
    Command(words=("nvidia-smi", "-L"), devices=False),
    Command(words=("rocm-smi", "-a", "--json"), devices=True),
    Command(words=("rocm-smi", "--showtopo"), devices=False),
    Command(words=("amd-smi", "topology", "--json"), devices=False),
    Command(words=("lstopo", "--whole-io", "--of", "xml"), devices=False),
)
"""Asked in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How the machine is asked; tests hand in their own."""

    module: Callable[[], ModuleType | None]
    """The module `pynvml`, if installed."""
    find: Callable[[str], str | None]
    """Path of a program, if installed."""
    run: Callable[[Sequence[str]], tuple[int, str]]
    """Exit code and output of a command."""
    meminfo: Callable[[], str]
    """Text of /proc/meminfo; empty where there is none."""


def _module() -> ModuleType | None:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml  # type: ignore[no-any-return]


def _run(words: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no answer in {_TIME_LIMIT} seconds"
    except OSError as error:
        return -1, error.strerror or "it cannot be run"
    return done.returncode, done.stdout[:LARGEST].decode("utf-8", "replace")


def _meminfo() -> str:
    return _MEMINFO.read_text() if _MEMINFO.is_file() else ""


THIS_MACHINE = Ways(module=_module, find=shutil.which, run=_run, meminfo=_meminfo)


def scan(
    catalog: Catalog, told: Told, ways: Ways = THIS_MACHINE
) -> tuple[Inventory, tuple[str, ...]]:
    """The inventory of one machine, and what could not be asked.

    Raises:
        FileError: nothing that was asked knows a GPU.
    """
    missing: list[str] = []
    found = _ask_nvml(ways, missing)
    for command in COMMANDS:
        if found and found[0].format == nvml.FORMAT and command.words[0] == "nvidia-smi":
            continue
        found += _ask(command, ways, missing)
    if not any(dump.devices for dump in found):
        raise FileError(
            "no GPU found on this machine: " + "; ".join(missing),
            hint="install nvidia-ml-py or the tools of the driver, or import their output",
        )
    text = ways.meminfo()
    if text:
        found += read(text, str(_MEMINFO))
    kept = _agreeing(found, catalog, told, missing)
    return gathered([machine(DEFAULT_NAME, kept, catalog, told)]), tuple(missing)


def _ask_nvml(ways: Ways, missing: list[str]) -> list[Dump]:
    module = ways.module()
    if module is None:
        missing.append("package nvidia-ml-py (module pynvml) is not installed")
        return []
    try:
        module.nvmlInit()
        try:
            dump = nvml.read(module)
        finally:
            module.nvmlShutdown()
    except module.NVMLError as error:
        missing.append(f"NVML: {error}")
        return []
    return [dump] if dump.devices else []


def _ask(command: Command, ways: Ways, missing: list[str]) -> list[Dump]:
    program, said = command.words[0], " ".join(command.words[:3])
    if ways.find(program) is None:
        if f"{program} is not installed" not in missing:
            missing.append(f"{program} is not installed")
        return []
    code, output = ways.run(command.words)
    if code != 0:
        first = next((line for line in output.splitlines() if line.strip()), f"exit code {code}")
        missing.append(f"'{said}' failed: {first.strip()[:120]}")
        return []
    try:
        return [*read(output, said)]
    except FileError as error:
        missing.append(error.message)
        return []


def _agreeing(
    found: Sequence[Dump], catalog: Catalog, told: Told, missing: list[str]
) -> list[Dump]:
    """Dumps from the first on that describe one machine; what contradicts them is left out."""
    kept: list[Dump] = []
    for dump in found:
        try:
            if any(each.devices for each in (*kept, dump)):
                machine(DEFAULT_NAME, [*kept, dump], catalog, told)
        except FileError as error:
            missing.append(f"left out {dump.format}: {error.message}")
            continue
        kept.append(dump)
    return kept
