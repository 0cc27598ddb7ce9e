"""settings.env, which people edit, and README.txt, which says in what order to start."""

from __future__ import annotations

import re
from itertools import groupby

from planner import units
from planner.export import shell
from planner.export.machines import LOOPBACK, VISIBLE_VARIABLE, script_name
from planner.export.serving.dialect import Dialect
from planner.export.serving.machines import Deployment, Machine
from planner.export.serving.scripts import SETTINGS
from planner.plan import Device, Plan

HTTP_PORT = 8080
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def settings(plan: Plan, deployment: Deployment, dialect: Dialect, title: str) -> str:
    """settings.env: the checkpoint, the program, addresses and devices, each explained."""
    blocks = [
        shell.comment(
            f"Settings of the start scripts of {title}",
            "Read by sh: NAME=value without spaces around '='; quote a value that has any.",
            "The same file goes to every machine.",
        ),
        shell.comment(
            "The checkpoint: a folder, at the same path on every machine, or a repository of the",
            "Hugging Face hub, which every machine then downloads.",
        )
        + "\n"
        + shell.assignment("MODEL", _model(plan)),
        shell.comment(
            f"{dialect.title}'s program, version {deployment.engine.build} on every machine: a name"
            " or a path."
        )
        + "\n"
        + shell.assignment("ENGINE", dialect.program),
        shell.comment(
            "More flags, split at spaces; they come last and win. Some models need",
            "--trust-remote-code, which runs code of their repository.",
            "Taken from the environment unless set here:",
            "ENGINE_EXTRA='--trust-remote-code'",
        ),
        _http_block(deployment.machines[0]),
    ]
    if deployment.several:
        blocks.append(_ports_block(deployment, dialect))
    blocks += [
        _machine_block(machine, several=deployment.several) for machine in deployment.machines
    ]
    return "\n\n".join(blocks) + "\n"


def _model(plan: Plan) -> str:
    """The repository the plan names, or a folder to put the checkpoint into."""
    repository = plan.download.repository if plan.download is not None else None
    if repository is not None and _REPOSITORY.fullmatch(repository):
        return repository
    return "/models/" + re.sub(r"[^A-Za-z0-9._-]", "_", f"{plan.model.name}-{plan.model.quant}")


def _http_block(head: Machine) -> str:
    comment = shell.comment(
        "Where requests are answered: 127.0.0.1, this machine only, unless given with",
        f"--host {head.name}=ADDRESS. Whoever reaches it can use it; --api-key in ENGINE_EXTRA",
        "asks for a key.",
    )
    values = [("HTTP_HOST", head.address), ("HTTP_PORT", str(HTTP_PORT))]
    return "\n".join([comment, *(shell.assignment(*value) for value in values)])


def _ports_block(deployment: Deployment, dialect: Dialect) -> str:
    """Ports of the head that these machines use, and why the network must be private."""
    lines = [
        shell.comment(
            "Ports of the head for the other machines. The machines open more ports to each other,",
            "which the system chooses, and nothing between them is encrypted or asks for a key:",
            "whoever reaches these ports controls them. Use addresses of a private network only.",
        )
    ]
    for port in dialect.ports:
        if any(port.reference in argument for own in deployment.own for argument in own):
            lines += [shell.comment(port.purpose), shell.assignment(port.name, str(port.number))]
    return "\n".join(lines)


def _machine_block(machine: Machine, *, several: bool) -> str:
    """One machine's part of the model, where it is reached, and its devices."""
    name = f"{machine.name}, the head" if machine.head else machine.name
    count = len(machine.devices)
    lines = [shell.comment(f"{name}: {count} device{'s' if count > 1 else ''}")]
    for _, part in groupby(machine.devices, lambda device: (device.replica, device.stage)):
        lines.append(shell.comment(_part(tuple(part))))
    if several:
        lines += [
            shell.comment(
                "Where the other machines reach it, and through which network interface (empty:",
                "NCCL chooses).",
            ),
            shell.assignment(f"ADDRESS_{machine.number}", machine.address),
            shell.assignment(f"INTERFACE_{machine.number}", ""),
        ]
    lines += [
        shell.comment(f"Its GPUs, by number on the PCI bus ({VISIBLE_VARIABLE[machine.family]})."),
        shell.assignment(f"VISIBLE_{machine.number}", ",".join(map(str, machine.visible))),
    ]
    return "\n".join(lines)


def _part(devices: tuple[Device, ...]) -> str:
    """What devices of one stage hold: layers, and the fullest one's weights."""
    first, last = devices[0].first_layer, devices[0].last_layer
    layers = f"layer {first}" if first == last else f"layers {first}-{last}"
    output = " and the output" if devices[0].output else ""
    weights = max(device.budget.weights for device in devices)
    return (
        f"replica {devices[0].replica}, stage {devices[0].stage}: {layers}{output} on"
        f" {len(devices)}; weights {units.mib(weights)} MiB each"
    )


def readme(deployment: Deployment, dialect: Dialect, title: str) -> str:
    """README.txt: what to do, in order."""
    head, others = deployment.machines[0], deployment.machines[1:]
    build = shell.one_line(deployment.engine.build)
    steps = [
        f"Install {dialect.title} {build} on every machine; all must have the same version.",
        f"Set MODEL in {SETTINGS}: a hub repository, or a folder that every machine has.",
        f"Check devices{' and addresses' if others else ''} in {SETTINGS}; it says what each line"
        " means.",
        "Copy this folder to every machine.",
    ]
    steps += [
        f"On {machine.name}: {shell.one_line(machine.setting_command)}"
        for machine in deployment.machines
        if machine.setting_command is not None
    ]
    steps.append(f"On {head.name}{', the head' if others else ''}: ./{script_name(head.name)}")
    steps += [f"On {machine.name}: ./{script_name(machine.name)}" for machine in others]
    lines = [f"Launch files of {title}", ""]
    lines += [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    lines += [
        "",
        f"{'The head' if others else 'It'} then answers at http://{head.address}:{HTTP_PORT}"
        " (OpenAI's API under /v1).",
        "A script becomes the engine: it ends with its status, and Ctrl-C stops both.",
    ]
    if others:
        lines += ["The machines wait for each other. " + dialect.stopping]
    if any(machine.address == LOOPBACK for machine in deployment.machines) and others:
        lines += [
            "",
            "Machines without --host NAME=ADDRESS have the address 127.0.0.1, at which no other",
            f"machine reaches them: set ADDRESS_n in {SETTINGS} to addresses of a private network.",
        ]
    return "\n".join(lines) + "\n"
