"""Large files made to hurt: refused under a second of processor time and 200 MB of memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.model.checkpoint_files import container, put

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc for peak memory")

READ = """
import json, re, sys, time
from pathlib import Path
from planner.errors import FileError
from planner.model.checkpoint import read_checkpoint
from planner.model.config_file import read_config
folder = Path(sys.argv[1])
start = time.process_time()
try:
    (read_config if folder.suffix else read_checkpoint)(folder)
except FileError as error:
    print(json.dumps({
        "message": error.message,
        "seconds": time.process_time() - start,
        "kib": int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]),
    }))
"""


def refused(path: Path) -> str:
    """What a fresh process says of the checkpoint or config at `path`, within the limits."""
    run = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )
    answer = json.loads(run.stdout)
    assert answer["seconds"] < 1
    assert answer["kib"] * 1024 < 200e6
    message: str = answer["message"]
    return message


def entries(count: int) -> bytes:
    """The inside of a header of `count` tensors of one byte."""
    return b",".join(
        b'"%d":{"dtype":"I8","shape":[],"data_offsets":[%d,%d]}' % (each, each, each + 1)
        for each in range(count)
    )


HEADERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a name of 60 MB": (lambda: b'{"' + b"a" * 60_000_000 + b'":1}', "no key"),
    "a name of escapes": (lambda: b'{"' + b'\\"' * 30_000_000 + b'":1}', "no key"),
    "a name without end": (lambda: b'{"' + b"a" * 60_000_000, "no key"),
    "spaces": (lambda: b"{" + b" " * 60_000_000, "no key"),
    "lists in lists": (lambda: b'{"a":' + b"[" * 60_000_000, "no object"),
    "objects in objects": (lambda: b'{"a":' * 12_000_000, "no object"),
    "a list of lists": (lambda: b'{"a":{"shape":[' + b"[]," * 20_000_000 + b"]}}", "no object"),
    "metadata without end": (
        lambda: b'{"__metadata__":{' + b'"":"",' * 10_000_000 + b"}}",
        "metadata '' is there twice",
    ),
    "many keys of metadata": (
        lambda: b'{"__metadata__":{' + b",".join(b'"%d":""' % i for i in range(20_000)) + b"}}",
        "more than 10,000 keys",
    ),
    "metadata of escapes": (
        lambda: b'{"__metadata__":{"a":"' + b'\\"' * 30_000_000 + b'"}}',
        "no string",
    ),
    "tensors, the last cut off": (lambda: b"{" + entries(100_000) + b"}", "is cut off"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_costs_little(tmp_path: Path, name: str) -> None:
    build, message = HEADERS[name]
    data = 99_999 if name.startswith("tensors") else 0
    (tmp_path / "model.safetensors").write_bytes(container(build(), data))
    assert message in refused(tmp_path)


@pytest.mark.full
def test_more_tensors_than_any_file_has_cost_little_memory(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(container(b"{" + entries(200_001) + b"}", 0))
    assert "more than 200,000 tensors" in refused(tmp_path)


def test_headers_longer_than_the_limit_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write((2**31).to_bytes(8, "little"))
        file.truncate(2**32)
    assert "a header of 2,147,483,648 bytes; at most 64,000,000 are read" in refused(tmp_path)


INDEXES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a name of 100 MB": (lambda: b'{"weight_map":{"' + b"a" * 80_000_000 + b'":1}}', "no key"),
    "lists in lists": (lambda: b'{"metadata":' + b"[" * 80_000_000, "nested too deep"),
    "a list of lists": (lambda: b'{"metadata":[' + b"[]," * 27_000_000, "is no index"),
    "a missing file": (
        lambda: b'{"weight_map":{' + b'"a":"b.safetensors",' * 4_000_000,
        "b.safetensors, which is not in the folder",
    ),
    "tensors, the last without end": (
        lambda: (
            b'{"weight_map":{'
            + b",".join(b'"%d":"a.safetensors"' % each for each in range(300_000))
        ),
        "no comma or brace",
    ),
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_hostile_index_costs_little(tmp_path: Path, name: str) -> None:
    build, message = INDEXES[name]
    put(tmp_path / "a.safetensors", {"a": 1})
    (tmp_path / "model.safetensors.index.json").write_bytes(build())
    assert message in refused(tmp_path)


CONFIGS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a list of lists": (lambda: b'{"a":[' + b"[]," * 1_390_000, "Expecting value"),
    "many keys": (
        lambda: b"{" + b",".join(b'"%d":0' % each for each in range(350_000)),
        "Expecting",
    ),
    "objects in objects": (lambda: b'{"a":' * 800_000, "nested more than 64 levels deep"),
    "one key again": (lambda: b"{" + b",".join([b'"":0'] * 800_000) + b"}", "there twice"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_hostile_config_costs_little(tmp_path: Path, name: str) -> None:
    build, message = CONFIGS[name]
    path = tmp_path / "config.json"
    path.write_bytes(build())
    assert message in refused(path)
