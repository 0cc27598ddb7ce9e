"""The start script of one machine: settings and addresses, then the engine in its place."""

from __future__ import annotations

from planner.export import shell
from planner.export.machines import VISIBLE_VARIABLE
from planner.export.parts import IPV4_OF, opening
from planner.export.serving.dialect import Dialect
from planner.export.serving.machines import Deployment, Machine

SETTINGS = "settings.env"
RESOLVE = """
resolve() { # name of a setting, its value: the address into `found`
    found=$(ipv4_of "$2") || found=''
    [ -n "$found" ] || die "$2 has no IPv4 address here: set $1 in settings.env"
}
"""
"""Engines bind to the address they tell the others, so it must be a number."""
LOOPBACK_CHECK = """\
case $head in
127.*) say "ADDRESS_1 is $head, which other machines do not reach: set it in settings.env" ;;
esac"""
MODEL_CHECK = """\
case $MODEL in
/*) [ -e "$MODEL" ] || die "no model at $MODEL: set MODEL in settings.env" ;;
esac"""


def script(deployment: Deployment, machine: Machine, dialect: Dialect, title: str) -> str:
    """The start script of one machine; it becomes the engine and ends with its status."""
    task = "answers requests" if machine.head else "works for the head"
    lines = ["#!/bin/sh", shell.comment(f"Starts {machine.name}: {task}.", title)]
    beginning = opening(SETTINGS, "ENGINE_EXTRA")
    if deployment.several:
        beginning += IPV4_OF + RESOLVE
    lines += [shell.assignment("machine", machine.name), beginning]
    if machine.setting_command is not None:
        needed = f"the planned memory needs: {shell.one_line(machine.setting_command)}"
        lines += ["# shellcheck disable=SC2016", shell.command(["say", needed])]
    lines += _device_lines(machine)
    if deployment.several:
        lines += _network_lines(machine, dialect)
    lines += [
        f"export {shell.assignment(name, value)}"
        for name, value in dialect.environment(deployment.layout).items()
    ]
    lines += ['need "$ENGINE" ENGINE', MODEL_CHECK]
    if machine.head:
        ready = "http://$HTTP_HOST:$HTTP_PORT once the weights are loaded"
        lines.append(f'say "{dialect.title} starts: {ready}"')
    return "\n".join([*lines, *_engine_lines(deployment, machine, dialect)]) + "\n"


def _device_lines(machine: Machine) -> list[str]:
    lines = [f'export {VISIBLE_VARIABLE[machine.family]}="$VISIBLE_{machine.number}"']
    return ["export CUDA_DEVICE_ORDER=PCI_BUS_ID", *lines] if machine.family == "cuda" else lines


def _network_lines(machine: Machine, dialect: Dialect) -> list[str]:
    """Addresses of head and machine, and the interface between them where one is named."""
    own, interface = f"ADDRESS_{machine.number}", f"INTERFACE_{machine.number}"
    return [
        'resolve ADDRESS_1 "$ADDRESS_1"',
        "head=$found",
        LOOPBACK_CHECK,
        f'resolve {own} "${own}"',
        f'export {dialect.host_variable}="$found"',
        f'if [ -n "${interface}" ]; then',
        f'    export NCCL_SOCKET_IFNAME="${interface}" GLOO_SOCKET_IFNAME="${interface}"',
        "fi",
    ]


def _engine_lines(deployment: Deployment, machine: Machine, dialect: Dialect) -> list[str]:
    """The engine with the plan's settings, instead of the script."""
    own = deployment.own[machine.number - 1]
    last = [shell.expanded(own)] if own else []
    if machine.head:
        last.append('--host "$HTTP_HOST" --port "$HTTP_PORT"')
    elif dialect.followers_listen:
        last.append('--host "$found" --port "$HTTP_PORT"')
    return [
        "# shellcheck disable=SC2086",
        f'exec "$ENGINE" {dialect.model} \\',
        f"    {shell.command(deployment.common)} \\",
        f"    {' '.join([*last, '${ENGINE_EXTRA-}'])}",
    ]
