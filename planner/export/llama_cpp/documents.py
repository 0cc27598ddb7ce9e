"""devices.env, which people edit, and README.txt, which says in what order to start."""

from __future__ import annotations

import re
from pathlib import PurePath

from planner import units
from planner.export import shell
from planner.export.llama_cpp.machines import Machine, Served
from planner.export.machines import LOOPBACK, VISIBLE_VARIABLE, script_name
from planner.model.own_quantization import OWN
from planner.plan import Plan

HTTP_PORT = 8080
"""llama-server's default port."""
WAIT_SECONDS = 20
"""How long the head waits for the servers of the other machines."""


def settings(plan: Plan, machines: tuple[Machine, ...], title: str) -> str:
    """devices.env: the weight file, programs, addresses and devices, each explained."""
    head = machines[0]
    blocks = [
        shell.comment(
            f"Settings of the start scripts of {title}",
            "Read by sh: NAME=value without spaces around '='; quote a value that has any.",
            "The same file goes to every machine.",
        ),
        shell.comment(
            f"Weight file on {head.name}; of a file in parts the first (...-00001-of-...)."
        )
        + "\n"
        + shell.assignment("MODEL", _weight_file(plan)),
        shell.comment(
            f"llama.cpp's programs, build {plan.engine.build} on every machine: names or paths."
        )
        + "\nLLAMA_SERVER=llama-server\nRPC_SERVER=ggml-rpc-server",
        shell.comment(
            "More flags, split at spaces. LLAMA_EXTRA is for llama-server; it comes last and wins.",
            "RPC_EXTRA is for ggml-rpc-server (-c keeps weights on disk for the next start).",
            "Taken from the environment unless set here:",
            "LLAMA_EXTRA='--metrics'",
            "RPC_EXTRA='-c'",
        ),
        _addresses(head, several=len(machines) > 1),
        *(_machine_block(machine) for machine in machines),
    ]
    return "\n\n".join(blocks) + "\n"


def _weight_file(plan: Plan) -> str:
    name = f"{plan.model.name}-{plan.model.quant}"
    if plan.model.quant == OWN:
        name = PurePath(plan.request.model).name.removesuffix(".gguf")
    return f"/models/{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.gguf"


def _addresses(head: Machine, *, several: bool) -> str:
    """Where things listen, and why on loopback unless told otherwise."""
    lines = [
        "Addresses are 127.0.0.1, this machine only, unless given with --host NAME=ADDRESS.",
        "Whoever reaches llama-server can use it; --api-key in LLAMA_EXTRA asks for a key.",
    ]
    if several:
        lines += [
            "The RPC protocol has neither authentication nor encryption: whoever reaches a port of",
            "ggml-rpc-server controls it. Use addresses of a private network, or stay on 127.0.0.1",
            "and forward each port to the head, there: ssh -N -L PORT:127.0.0.1:PORT MACHINE",
        ]
    lines.append("The head waits WAIT_SECONDS for the ggml-rpc-servers it is told of.")
    values = [("HTTP_HOST", head.address), ("HTTP_PORT", str(HTTP_PORT))]
    values.append(("WAIT_SECONDS", str(WAIT_SECONDS)))
    return "\n".join([shell.comment(*lines), *(shell.assignment(*value) for value in values)])


def _machine_block(machine: Machine) -> str:
    """One machine's devices in pipeline order."""
    if machine.head:
        lines = [
            f"{machine.name}, the head; devices are numbered in pipeline order. DEVICE is what",
            "'llama-server --list-devices' calls it. ENDPOINT is empty where llama-server uses",
            "the device itself; with ADDRESS:PORT its machine starts a ggml-rpc-server for it.",
            "An ENDPOINT without DEVICE is served by somebody else.",
        ]
    else:
        lines = [f"{machine.name}: one ggml-rpc-server per device, at ENDPOINT (ADDRESS:PORT)."]
    block = [shell.comment(*lines)]
    if machine.family in VISIBLE_VARIABLE:
        block.append(shell.comment("Its GPUs, by number on the PCI bus; device names count these."))
        visible = ",".join(map(str, machine.visible))
        block.append(shell.assignment(f"VISIBLE_{machine.number}", visible))
    for served in machine.served:
        block += [
            shell.comment(f"{served.device.id}: {_part(served)}"),
            shell.assignment(f"DEVICE_{served.number}", served.name),
            shell.assignment(f"ENDPOINT_{served.number}", served.endpoint or ""),
        ]
    return "\n".join(block)


def _part(served: Served) -> str:
    """The device's part of the model, and what it plans to hold."""
    device = served.device
    budget = device.budget
    first, last = device.first_layer, device.last_layer
    layers = (
        "" if first is None else f"layer {first}" if first == last else f"layers {first}-{last}"
    )
    part = " and ".join(filter(None, [layers, "the output" if device.output else ""]))
    held = f"weights {units.mib(budget.weights)} MiB, cache {units.mib(budget.kv_cache)} MiB"
    return f"{part or 'no layer that runs'}; {held}"


def readme(plan: Plan, machines: tuple[Machine, ...], title: str) -> str:
    """README.txt: what to do, in order."""
    head, others = machines[0], machines[1:]
    build = shell.one_line(plan.engine.build)
    with_rpc = " with RPC" if others else ""
    steps = [
        f"Install llama.cpp {build}{with_rpc} on every machine; all must have the same build.",
        f"Fetch the weights to {head.name} and set MODEL in devices.env.",
        "Check devices and addresses in devices.env; it says what each line means.",
        "Copy this folder to every machine.",
    ]
    steps += [
        f"On {machine.name}: {shell.one_line(machine.setting_command)}"
        for machine in machines
        if machine.setting_command is not None
    ]
    steps += [f"On {machine.name}: ./{script_name(machine.name)}" for machine in others]
    waits = f" (it waits {WAIT_SECONDS} s for the others)" if others else ""
    steps.append(f"On {head.name}, the head, last: ./{script_name(head.name)}{waits}")
    lines = [f"Launch files of {title}", ""]
    lines += [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    lines += [
        "",
        f"llama-server then answers at http://{head.address}:{HTTP_PORT} (OpenAI's API under /v1).",
        "A script ends, and stops what it started, when one of its servers ends or on Ctrl-C.",
    ]
    if any(machine.address == LOOPBACK for machine in others):
        lines += [
            "",
            "Machines without --host NAME=ADDRESS are reached on 127.0.0.1: for forwarded ports,",
            "or tests on one machine. The RPC protocol has no authentication and no encryption and",
            "must not be reachable from outside a private network.",
        ]
    return "\n".join(lines) + "\n"
