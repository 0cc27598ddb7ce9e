"""Command line of llama-server: from settings and a split to arguments.

Flags only; which device has which name, and where it answers, is known on the machines. The names
are those of `llama-server --help` of builds b10434 and b11434.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.engines.llama_cpp.rules import MAX_DEVICES
from planner.errors import EngineError
from planner.plan import LlamaCpp

DEVICE_PREFIX = {"cuda": "CUDA", "rocm": "ROCm", "metal": "MTL", "sycl": "SYCL"}
"""Device family to what the backend calls its devices, a number following."""


def device_name(family: str, index: int) -> str:
    """What llama.cpp calls device `index` of a machine: `CUDA0`, `ROCm1`, `MTL0`.

    Raises:
        EngineError: llama.cpp has no backend for the family.
    """
    if family not in DEVICE_PREFIX:
        raise EngineError(
            f"llama.cpp has no backend for devices of family '{family}'",
            hint="it runs on " + ", ".join(DEVICE_PREFIX),
        )
    return f"{DEVICE_PREFIX[family]}{index}"


def server_arguments(engine: LlamaCpp, slots: Sequence[int]) -> tuple[str, ...]:
    """llama-server's arguments for a layer split, without model, devices and addresses.

    Automatic fitting is off: the plan has decided.

    Args:
        engine: the settings, each of which becomes a flag.
        slots: `-ts`: layers, MTP blocks and the output slot of each device, in device order.
    """
    return (*settings_arguments(engine), *split_arguments(slots), "-fit", "off")


def settings_arguments(engine: LlamaCpp) -> tuple[str, ...]:
    """The flags that set context, slots, batches, attention and cache.

    `-np N` divides `-c` into N private windows in both builds. K and V have one type: a latent
    cache takes no other.
    """
    arguments = ["-c", str(engine.context), "-np", str(engine.slots)]
    arguments += ["-ub", str(engine.ubatch), "-b", str(engine.batch)]
    arguments += ["-fa", "on" if engine.flash_attention else "off"]
    arguments += ["-ctk", engine.kv_type, "-ctv", engine.kv_type]
    if engine.swa_full:
        arguments.append("--swa-full")
    return tuple(arguments)


def split_arguments(slots: Sequence[int]) -> tuple[str, ...]:
    """`-ngl` and `-ts` that put just `slots` slots on each device and nothing on the host.

    With whole layer counts that sum to all slots the engine's single-precision rule gives them
    back unchanged.

    Raises:
        EngineError: no device, more than the engine takes, or one without a slot.
    """
    if not 1 <= len(slots) <= MAX_DEVICES:
        raise EngineError(
            f"llama.cpp takes 1 to {MAX_DEVICES} devices, not {len(slots)}",
            hint="plan with larger devices, e.g. --only them",
        )
    if min(slots) < 1:
        raise EngineError(
            f"-ts {','.join(map(str, slots))}: every device needs at least one slot",
            hint="leave idle devices out of the split",
        )
    return ("-ngl", str(sum(slots)), "-ts", ",".join(map(str, slots)))
