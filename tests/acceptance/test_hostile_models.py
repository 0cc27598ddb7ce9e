"""Files made to harm, given as MODEL: one clear error, little memory, never a traceback."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.model.checkpoint_index import INDEX
from tests.acceptance.peak_memory import Ended, ended
from tests.fuzz.gguf_bytes import (
    ARRAY,
    F32,
    STRING,
    UINT32,
    UINT64,
    array,
    container,
    entry,
    small,
    tensor,
    text,
    uint32,
    uint64,
)
from tests.unit.model.checkpoint_files import SMALL, header, one
from tests.unit.model.checkpoint_files import container as safetensors

MIB = 2**20
MEMORY_LIMIT = 200 * MIB
OPTIONS = ("--quant", "Q4_K_M", "--budget", "300000")
READ = """
import sys
from pathlib import Path
from planner.cli.output import error
from planner.errors import PlannerError
from planner.model.checkpoint import read_checkpoint
try:
    read_checkpoint(Path(sys.argv[1]))
except PlannerError as problem:
    sys.exit(error(problem, as_json=False))
"""
"""Reads the headers of a checkpoint's folder as the command line would."""

NAN = struct.pack("<f", float("nan"))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}

Made = Callable[[Path], Path]


def gguf(raw: bytes, size: int | None = None) -> Made:
    """A file of `raw`, with a hole after it up to `size`."""
    return file("x.gguf", raw, size)


def file(name: str, raw: bytes, size: int | None = None) -> Made:
    def made(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(raw)
        if size is not None:
            os.truncate(path, size)
        return path

    return made


def config(**changes: Any) -> Made:
    """A config.json of a Llama with some fields changed."""
    return file("config.json", json.dumps(LLAMA | changes).encode())


def checkpoint(name: str, raw: bytes, size: int | None = None) -> Made:
    """A folder with a whole config.json and one file more."""

    def made(folder: Path) -> Path:
        config()(folder)
        (folder / "model.safetensors").write_bytes(safetensors(header(SMALL), 29))
        file(name, raw, size)(folder)
        return folder

    return made


def special(name: str, make: Callable[[Path], object], give: str = "") -> Made:
    """What `make` puts at `name`; MODEL is `give`, or it."""

    def made(folder: Path) -> Path:
        make(folder / name)
        return folder / (give or name)

    return made


def link(name: str, target: str) -> Made:
    return special(name, lambda path: path.symlink_to(target))


def out_of_the_folder(name: str) -> Made:
    def made(folder: Path) -> Path:
        (folder / "secret").write_bytes(small() + bytes(MIB))
        (folder / "inner").mkdir()
        (folder / "inner" / name).symlink_to(folder / "secret")
        return folder / "inner" / name

    return made


def one_of_two_parts(folder: Path) -> Path:
    path = folder / "x-00001-of-00002.gguf"
    path.write_bytes(small(entry("split.count", UINT32, uint32(2))))
    return path


def parts_that_are_the_same(folder: Path) -> Path:
    one_of_two_parts(folder)
    (folder / "x-00002-of-00002.gguf").symlink_to("x-00001-of-00002.gguf")
    return folder / "x-00001-of-00002.gguf"


def keyed(key: str, value: bytes) -> Made:
    """The small GGUF model with four bytes after a key changed."""
    raw = small()
    place = raw.index(key.encode()) + len(key) + 4
    return gguf(raw[:place] + value + raw[place + len(value) :], 10 * MIB)


WHOLE = small()
INDEXED = json.dumps({"weight_map": {"absent": "model.safetensors"}}).encode()

MODELS: dict[str, Made] = {
    **{f"gguf cut at {n}": gguf(WHOLE[:n]) for n in (0, 3, 4, 8, 20, 30, 100, 2000)},
    "gguf cut before its end": gguf(WHOLE[:-1]),
    "gguf of 2^60 tensors": gguf(container(tensor_count=2**60), 2**40),
    "gguf of 2^60 keys": gguf(container(key_count=2**60), 2**40),
    "gguf of 30,000 tensors that are not there": gguf(container(tensor_count=30_000), 2**40),
    "gguf key of 2^63 bytes": gguf(container([uint64(2**63) + b"key"]), 2**40),
    "gguf string of 2^63 bytes": gguf(container([entry("a", STRING, uint64(2**63))]), 2**40),
    "gguf string of a terabyte": gguf(container([entry("a", STRING, uint64(2**39))]), 2**40),
    "gguf array of 2^60 numbers": gguf(container([array("a", UINT64, 2**60, b"")]), 2**40),
    "gguf array of 2^60 strings": gguf(container([array("a", STRING, 2**60, b"")]), 2**40),
    "gguf array of arrays of arrays": gguf(
        container([array("a", ARRAY, 1, (uint32(ARRAY) + uint64(1)) * 100_000)])
    ),
    "gguf without metadata": gguf(container([], [tensor("a", (4,), F32, 0)]), MIB),
    "gguf of an architecture that is none": gguf(
        container([entry("general.architecture", STRING, text("\x1b[31mllama"))])
    ),
    "gguf that names no architecture": gguf(container([entry("general.name", STRING, text("x"))])),
    "gguf big-endian": gguf(b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + bytes(100)),
    "gguf magic swapped": gguf(b"FUGG" + bytes(100)),
    "gguf tensor of negative size": gguf(container([], [tensor("a", (2**64 - 4,), F32, 0)])),
    "gguf tensor of no size": gguf(container([], [tensor("a", (0,), F32, 0)])),
    "gguf tensor of 2^120 elements": gguf(container([], [tensor("a", (2**60, 2**60), F32, 0)])),
    "gguf with 2^32-1 blocks": keyed("llama.block_count", uint32(2**32 - 1)),
    "gguf with no blocks": keyed("llama.block_count", uint32(0)),
    "gguf with 2^32-1 heads": keyed("llama.attention.head_count", uint32(2**32 - 1)),
    "gguf with no heads": keyed("llama.attention.head_count", uint32(0)),
    "gguf with NaN for a size": keyed("llama.embedding_length", NAN),
    "gguf one of two parts": one_of_two_parts,
    "gguf parts that are the same": parts_that_are_the_same,
    "gguf of junk": gguf(bytes(range(256)) * 40),
    "gguf of zeros": gguf(b"", 2**40),
    "gguf Git LFS pointer": gguf(POINTER),
    "gguf web page": gguf(b"<!doctype html><title>Not found</title>"),
    "gguf link out of its folder": out_of_the_folder("x.gguf"),
    "gguf link to a device": link("x.gguf", "/dev/zero"),
    "gguf link to nothing": link("x.gguf", "nothing"),
    "gguf link to itself": link("x.gguf", "x.gguf"),
    "folder named x.gguf": special("x.gguf", Path.mkdir),
    "pipe named x.gguf": special("x.gguf", os.mkfifo),
    "device": lambda _: Path("/dev/zero"),
    "endless device": lambda _: Path("/dev/urandom"),
    "nothing there": lambda folder: folder / "x.gguf",
    "empty folder": lambda folder: folder,
    "config of 2 GB": file("config.json", b'{"model_type": "llama", "a": "', 2 * 10**9),
    "config empty": file("config.json", b""),
    "config of junk": file("config.json", bytes(range(256)) * 40),
    "config of 100,000 brackets": file("config.json", b"[" * 100_000),
    "config nested 5,000 times": file(
        "config.json", b'{"text_config":' * 5000 + b"1" + b"}" * 5000
    ),
    "config of 4 MB of nulls": file("config.json", b'{"a":[' + b"null," * 800_000 + b"1]}"),
    "config a list": file("config.json", b"[1]"),
    "config a key twice": file("config.json", b'{"model_type": "llama", "model_type": "gpt2"}'),
    "config cut": file("config.json", json.dumps(LLAMA).encode()[:-40]),
    "config UTF-16": file("config.json", json.dumps(LLAMA).encode("utf-16")),
    "config Git LFS pointer": file("config.json", POINTER),
    "config of no model": file("config.json", b"{}"),
    "config of an unknown type": config(model_type="\x1b[31munknown", mystery_layers=3),
    "config NaN for a size": config(hidden_size=float("nan")),
    "config infinite size": config(hidden_size=float("inf")),
    "config negative size": config(hidden_size=-4096),
    "config negative vocabulary": config(vocab_size=-1),
    "config size a text": config(hidden_size="4096"),
    "config size a list": config(hidden_size=[4096]),
    "config size a fraction": config(hidden_size=4096.5),
    "config no layers": config(num_hidden_layers=0),
    "config 10^12 layers": config(num_hidden_layers=10**12),
    "config 10^9 layers": config(num_hidden_layers=10**9),
    "config 10^400 layers": config(num_hidden_layers=10**400),
    "config 10^300 for a size": config(hidden_size=10**300),
    "config 2^70 for a size": config(hidden_size=2**70),
    "config no heads": config(num_attention_heads=0),
    "config 10^30 of context": config(max_position_embeddings=10**30),
    "config 10^12 heads": config(num_attention_heads=10**12, head_dim=1),
    "config a list of layers too short": config(
        model_type="gemma3_text", layer_types=["full_attention"] * 5
    ),
    "config link out of its folder": out_of_the_folder("config.json"),
    "config a pipe": special("config.json", os.mkfifo),
    "config a folder": special("config.json", Path.mkdir),
    "safetensors file alone": file("model.safetensors", one()),
    "config more experts used than there are": config(
        model_type="mixtral", num_local_experts=8, num_experts_per_tok=9
    ),
}

CHECKPOINTS: dict[str, Made] = {
    "checkpoint header of 2^63 bytes": checkpoint("model.safetensors", uint64(2**63), 2**40),
    "checkpoint header of 2 GB": checkpoint("model.safetensors", uint64(2**31), 2**32),
    "checkpoint empty": checkpoint("model.safetensors", b""),
    "checkpoint of junk": checkpoint("model.safetensors", bytes(range(256)) * 40),
    "checkpoint Git LFS pointer": checkpoint("model.safetensors", POINTER),
    "checkpoint cut": checkpoint("model.safetensors", safetensors(header(SMALL), 12)),
    "checkpoint negative size": checkpoint("model.safetensors", one(shape=[-4])),
    "checkpoint NaN for a size": checkpoint("model.safetensors", one(shape=[float("nan")])),
    "checkpoint of 2^62 elements": checkpoint("model.safetensors", one(shape=[2**62])),
    "checkpoint nested": checkpoint("model.safetensors", safetensors(b"[" * 100_000, 0)),
    "checkpoint index of 2 GB": checkpoint(INDEX, b'{"weight_map": {', 2 * 10**9),
    "checkpoint index leads out": checkpoint(INDEX, b'{"weight_map": {"a": "../x.safetensors"}}'),
    "checkpoint index leads to itself": checkpoint(
        INDEX, json.dumps({"weight_map": {"a": INDEX}}).encode()
    ),
    "checkpoint index names what is not there": checkpoint(INDEX, INDEXED),
}


def refused(end: Ended) -> None:
    """Asserts that the end is one clear error."""
    assert end.code in (2, 3), end
    assert end.err.startswith("error: "), end
    assert "\n\nhint: " in end.err, end
    assert "Traceback" not in end.err
    assert "\x1b" not in end.err
    assert len(end.err) < 2000
    assert end.memory < MEMORY_LIMIT


@pytest.mark.parametrize("case", MODELS)
def test_a_hostile_model_is_one_error(case: str, tmp_path: Path) -> None:
    model = MODELS[case](tmp_path)
    refused(ended(["-m", "planner", "solve", str(model), *OPTIONS]))


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_hostile_checkpoint_is_one_error(case: str, tmp_path: Path) -> None:
    refused(ended(["-c", READ, str(CHECKPOINTS[case](tmp_path))]))


def test_the_files_they_are_made_of_are_read(tmp_path: Path) -> None:
    """Without the change that makes them hostile, so that no case is refused for another reason."""
    for made in (config(), gguf(WHOLE, 10 * MIB)):
        end = ended(["-m", "planner", "solve", str(made(tmp_path)), *OPTIONS])
        assert end.code == 0, end
        (tmp_path / "config.json").unlink(missing_ok=True)
    assert ended(["-c", READ, str(checkpoint("x", b"")(tmp_path))]).code == 0
