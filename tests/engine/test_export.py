"""The exported scripts, run on the real llama.cpp: the plan's memory comes out, and failures show.

Only devices.env is edited (loopback endpoints, the CPU as device, a sparse model file) and
LLAMA_EXTRA set, as a user would to try a plan on one machine.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from planner import accounting
from planner.accounting import Assigned, body
from planner.catalog.load import load_catalog
from planner.export.llama_cpp import export_llama_cpp
from planner.plan import Plan
from planner.request import PlanRequest
from planner.solver.answer import solve
from planner.subject import subject_of_request
from planner.units import MIB
from tests.engine.server import ATTEMPTS, ENVIRONMENT, RPC_SERVER, SERVER, free_port, read_table
from tests.unit.report import example

pytestmark = pytest.mark.engine
TABLE_FLAGS = "-fit on -lv 4"
"""After the script's own `-fit off`: print the memory table."""
LISTEN_LIMIT = 20.0
"""Seconds until servers listen and scripts end on a busy machine."""


def plan_by_hand(request: PlanRequest, split: list[tuple[str, int, int, int]]) -> Plan:
    """A plan with this split: node type, number, device of the node, slots."""
    catalog = load_catalog()
    subject = subject_of_request(request, catalog, request.quant)
    assigned, first = [], 0
    for node, number, index, slots in split:
        stop = first + slots
        assigned.append(Assigned(node=node, number=number, index=index, first=first, stop=stop))
        first = stop
    assert first == subject.slots
    parts = body(
        subject, catalog, assigned, None, example.solver(0), input_tokens=request.input_tokens
    )
    fields = {name: getattr(parts, name) for name in type(parts).model_fields}
    return example.plan(
        **fields,
        request=request,
        model=accounting.summary(subject),
        engine=accounting.engine_of(subject),
    )


def free_ports(count: int) -> list[int]:
    """Free loopback ports below those the system gives to clients."""
    found: list[int] = []
    for port in random.Random(os.getpid() + time.monotonic_ns()).sample(range(20000, 32000), 500):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


class Folder:
    """Exported files of a plan, with devices.env set to this machine's loopback."""

    def __init__(self, plan: Plan, folder: Path, model: Path) -> None:
        self.devices = sorted(
            (device for device in plan.devices if device.slots), key=lambda device: device.stage
        )
        machines = dict.fromkeys(device.node for device in self.devices)
        self.scripts = [folder / f"start-{machine}.sh" for machine in machines]
        export_llama_cpp(plan, folder, {}, force=True)
        ports = free_ports(len(self.devices))
        self.endpoints = [f"127.0.0.1:{port}" for port in ports]
        settings = {
            "MODEL": str(model),
            "LLAMA_SERVER": str(SERVER),
            "RPC_SERVER": str(RPC_SERVER),
            "HTTP_PORT": str(free_port()),
        }
        for number, endpoint in enumerate(self.endpoints, 1):
            settings |= {f"DEVICE_{number}": "CPU", f"ENDPOINT_{number}": endpoint}
        path = folder / "devices.env"
        path.write_text(edited(path.read_text(), settings))

    @contextlib.contextmanager
    def others(self) -> Iterator[list[subprocess.Popen[bytes]]]:
        """The scripts of all machines but the head, their servers listening."""
        running = [start(script) for script in self.scripts[1:]]
        try:
            for device, endpoint in zip(self.devices, self.endpoints, strict=True):
                if device.node != self.devices[0].node:
                    wait_until_listening(endpoint)
            yield running
        finally:
            for process in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def edited(text: str, settings: Mapping[str, str]) -> str:
    """`text` of a devices.env with these values; each must be there once."""
    for name, value in settings.items():
        text, count = re.subn(rf"(?m)^{name}=.*$", f"{name}={value}", text)
        assert count == 1, name
    return text


def start(script: Path) -> subprocess.Popen[bytes]:
    """A script running in a session of its own."""
    return subprocess.Popen(
        [script],
        env={**ENVIRONMENT, "LLAMA_EXTRA": TABLE_FLAGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def listens(endpoint: str) -> bool:
    address, _, port = endpoint.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((address, int(port))) == 0


def wait_until_listening(endpoint: str) -> None:
    deadline = time.monotonic() + LISTEN_LIMIT
    while not listens(endpoint):
        assert time.monotonic() < deadline, f"nothing listens at {endpoint}"
        time.sleep(0.05)


def table_of(plan: Plan, folder: Path, model: Path) -> list[tuple[int, int, int]]:
    """Model, context and compute of every device, MiB, as the engine prints them."""
    for attempt in range(ATTEMPTS):
        files = Folder(plan, folder / str(attempt), model)
        with files.others():
            rows = read_table([str(files.scripts[0])], {**ENVIRONMENT, "LLAMA_EXTRA": TABLE_FLAGS})
        if len(rows) == len(files.devices) + 1:
            break
    assert [row.title for row in rows[:-1]] == files.endpoints
    return [(row.model_mib, row.context_mib, row.compute_mib) for row in rows[:-1]]


def planned(plan: Plan) -> list[tuple[int, int, int]]:
    """The same of the plan."""
    budgets = [device.budget for device in plan.devices if device.slots]
    return [
        (budget.weights // MIB, budget.kv_cache // MIB, budget.compute // MIB) for budget in budgets
    ]


def test_the_default_plans_scripts_show_the_plans_model_and_context(tmp_path, sparse_model):
    request = PlanRequest(model="kimi-k2", quant="Q4_K_M", budget=Decimal(300_000))
    plan = solve(request, load_catalog())
    assert isinstance(plan, Plan)
    table = table_of(plan, tmp_path, sparse_model("kimi-k2", "Q4_K_M"))
    assert [row[:2] for row in table] == [row[:2] for row in planned(plan)]


def test_an_uneven_split_over_three_machines_with_an_idle_device_keeps_order_and_settings(
    tmp_path, sparse_model
):
    request = PlanRequest(
        model="gpt-oss-120b",
        quant="MXFP4_MOE",
        engine_build="b10434",
        context=30_000,
        concurrency=2,
        kv_type="q8_0",
        ubatch=256,
    )
    split = [
        ("rtx-pro-6000-x4", 1, 0, 4),
        ("rtx-pro-6000-x4", 1, 1, 0),
        ("rtx-pro-6000-x4", 1, 2, 9),
        ("dgx-spark-pair", 1, 0, 5),
        ("dgx-spark-pair", 1, 1, 11),
        ("rtx-pro-6000-x4", 2, 3, 8),
    ]
    plan = plan_by_hand(request, split)
    table = table_of(plan, tmp_path, sparse_model("gpt-oss-120b", "MXFP4_MOE"))
    assert len(set(table)) == len(table) == 5
    assert table == planned(plan)


def test_one_machine_needs_one_script_only(tmp_path, sparse_model):
    request = PlanRequest(model="llama-3.1-70b", quant="Q4_K_M", context=8192)
    plan = plan_by_hand(request, [("rtx-pro-6000-x2", 1, 0, 41), ("rtx-pro-6000-x2", 1, 1, 40)])
    table = table_of(plan, tmp_path, sparse_model("llama-3.1-70b", "Q4_K_M"))
    assert [row[:2] for row in table] == [row[:2] for row in planned(plan)]


def test_a_server_that_dies_ends_its_machine_and_the_head_names_the_endpoint(
    tmp_path, sparse_model
):
    request = PlanRequest(model="llama-3.1-70b", quant="Q4_K_M", context=8192)
    split = [("dgx-spark", 1, 0, 30), ("dgx-spark", 2, 0, 30), ("dgx-spark", 3, 0, 21)]
    plan = plan_by_hand(request, split)
    files = Folder(plan, tmp_path, sparse_model("llama-3.1-70b", "Q4_K_M"))
    with files.others() as (second, third):
        kill_server_of(third)
        assert b"has ended" in third.communicate(timeout=LISTEN_LIMIT)[0]
        assert third.returncode != 0
        began = time.monotonic()
        head = start(files.scripts[0])
        said = head.communicate(timeout=30)[0].decode()
        assert time.monotonic() - began < 30
        assert head.returncode not in (0, None)
        assert f"no ggml-rpc-server answers at {files.endpoints[2]} " in said
        assert not listens(files.endpoints[0])
        assert second.poll() is None


def test_stopping_a_script_stops_its_servers(tmp_path, sparse_model):
    request = PlanRequest(model="llama-3.1-70b", quant="Q4_K_M", context=8192)
    split = [("dgx-spark", 1, 0, 41), ("rtx-pro-6000-x2", 1, 0, 20), ("rtx-pro-6000-x2", 1, 1, 20)]
    plan = plan_by_hand(request, split)
    files = Folder(plan, tmp_path, sparse_model("llama-3.1-70b", "Q4_K_M"))
    with files.others() as (other,):
        other.send_signal(signal.SIGTERM)
        other.communicate(timeout=LISTEN_LIMIT)
        assert other.returncode == 128 + signal.SIGTERM
        assert not any(listens(endpoint) for endpoint in files.endpoints)


def kill_server_of(script: subprocess.Popen[bytes]) -> None:
    """Kill the one rpc-server a script has started."""
    children = Path(f"/proc/{script.pid}/task/{script.pid}/children").read_text().split()
    servers = [
        int(child)
        for child in children
        if Path(f"/proc/{child}/comm").read_text().startswith(RPC_SERVER.name[:15])
    ]
    (server,) = servers
    os.kill(server, signal.SIGKILL)
