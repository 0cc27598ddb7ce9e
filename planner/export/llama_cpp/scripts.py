"""The start script of one machine: the shared parts, then what this machine does, line by line."""

from __future__ import annotations

from planner.engines.llama_cpp.command_line import server_arguments
from planner.export import shell
from planner.export.llama_cpp import parts
from planner.export.llama_cpp.machines import Machine, Served, engine_of
from planner.export.machines import VISIBLE_VARIABLE
from planner.export.parts import IPV4_OF, opening
from planner.plan import Plan

SETTINGS = "devices.env"
_SERVER_CHECK = (
    '[ -n "$servers" ] ||\n'
    '    die "no ggml-rpc-server to start: set DEVICE_n and ENDPOINT_n in devices.env"'
)
_MODEL_CHECK = '[ -r "$MODEL" ] || die "no weight file $MODEL: set MODEL in devices.env"'


def script(plan: Plan, machine: Machine, machines: tuple[Machine, ...], title: str) -> str:
    """The start script of one machine of `machines`."""
    task = "runs llama-server" if machine.head else "serves its devices to the head"
    lines = ["#!/bin/sh", shell.comment(f"Starts {machine.name}: {task}.", title)]
    if machine.setting_command is not None:
        lines.append(shell.comment(f"The planned memory needs: {machine.setting_command}"))
    beginning = opening(SETTINGS, "LLAMA_EXTRA and RPC_EXTRA") + parts.PROLOGUE + IPV4_OF
    lines += [shell.assignment("machine", machine.name), beginning + parts.SERVE]
    if machine.head:
        lines.append(parts.HEAD)
    lines += _visible_lines(machine)
    if machine.setting_command is not None:
        needed = f"the planned memory needs: {shell.one_line(machine.setting_command)}"
        lines += ["# shellcheck disable=SC2016", shell.command(["say", needed])]
    if machine.head:
        lines += ['need "$LLAMA_SERVER" LLAMA_SERVER', _MODEL_CHECK]
    lines += [f"serve {_pair(served)}" for served in machine.served]
    lines += _head_lines(plan, machines) if machine.head else [_SERVER_CHECK]
    return "\n".join([*lines, "watch"]) + "\n"


def _visible_lines(machine: Machine) -> list[str]:
    variable = VISIBLE_VARIABLE.get(machine.family)
    if variable is None:
        return []
    lines = [f'export {variable}="$VISIBLE_{machine.number}"']
    return ["export CUDA_DEVICE_ORDER=PCI_BUS_ID", *lines] if machine.family == "cuda" else lines


def _pair(served: Served) -> str:
    return f'"$DEVICE_{served.number}" "$ENDPOINT_{served.number}"'


def _head_lines(plan: Plan, machines: tuple[Machine, ...]) -> list[str]:
    """Devices in pipeline order, then the engine with the plan's settings."""
    served = [entry for machine in machines for entry in machine.served]
    arguments = server_arguments(engine_of(plan), [entry.device.slots for entry in served])
    return [
        *(f"use {_pair(entry)}" for entry in served),
        "# shellcheck disable=SC2046",
        "[ -z \"$endpoints\" ] || await $(printf '%s' \"${endpoints#,}\" | tr , ' ')",
        'say "llama-server starts: http://$HTTP_HOST:$HTTP_PORT once the weights are loaded"',
        'set -- -m "$MODEL" ${endpoints:+--rpc "${endpoints#,}"} -dev "${names#,}"',
        "# shellcheck disable=SC2086",
        f'"$LLAMA_SERVER" "$@" {shell.command(arguments)} \\',
        '    --host "$HTTP_HOST" --port "$HTTP_PORT" ${LLAMA_EXTRA-} &',
        'servers="$servers $!/llama-server"',
    ]
