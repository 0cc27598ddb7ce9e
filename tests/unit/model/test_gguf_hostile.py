"""GGUF files made to harm: each is refused with a clear error, at once and in little memory."""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
from pathlib import Path

import pytest

from planner.errors import FactsError, FileError, PlannerError
from planner.model.gguf import read_gguf
from tests.fuzz.gguf_bytes import (
    ARRAY,
    BOOL,
    F32,
    STRING,
    UINT8,
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

MIB = 2**20
ONE = tensor("a", (4,), F32, 0)

BROKEN = {
    "empty": (b"", "begins with b''"),
    "three bytes": (b"GGU", "begins with b'GGU'"),
    "magic only": (b"GGUF", "ends at byte 4"),
    "no counts": (b"GGUF" + uint32(3), "within the counts"),
    "other file": (b"\x7fELF" + bytes(100), "no GGUF file"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "version 1": (container(start=b"GGUF" + uint32(1)), "version 1;"),
    "version 4": (container(start=b"GGUF" + uint32(4)), "version 4;"),
    "version 0": (container(start=b"GGUF" + uint32(0)), "version 0;"),
    "big-endian": (container(start=b"GGUF" + struct.pack(">I", 3)), "big-endian"),
    "swapped magic": (container(start=b"FUGG" + uint32(3)), "big-endian"),
    "2^60 tensors": (container(tensor_count=2**60), "claims 1,152,921,504,606,846,976 tensors"),
    "2^64-1 keys": (container(key_count=2**64 - 1), "metadata keys"),
    "too many tensors": (container(tensor_count=40_000) + bytes(2 * MIB), "32,768 tensors"),
    "too many keys": (container(key_count=20_000) + bytes(2 * MIB), "16,384 metadata keys"),
    "key of 2^63 bytes": (container([uint64(2**63) + b"k" * 60]), "key of 9,223,372,036"),
    "empty key": (container([entry("", UINT8, b"\1") + bytes(9)]), "key of 0 bytes"),
    "key not text": (container([entry(b"\xff\xfe", UINT8, b"\1")]), "no printable text"),
    "key with a line end": (container([entry("a\nb", UINT8, b"\1")]), "no printable text"),
    "key twice": (container([entry("a", UINT8, b"\1")] * 2), "'a' is there twice"),
    "string of 2^63 bytes": (
        container([entry("a", STRING, uint64(2**63) + b"x")]),
        "within the text of 'a'",
    ),
    "string of 9 MiB": (
        container([entry("a", STRING, text(b"x" * (9 * MIB)))]),
        "8,388,608 bytes of text",
    ),
    "unknown value type": (container([entry("a", 13, bytes(8))]), "unknown type 13"),
    "unknown item type": (container([array("a", 99, 1, bytes(8))]), "unknown type 99"),
    "array of arrays": (
        container([array("a", ARRAY, 1, (uint32(ARRAY) + uint64(1)) * 1000)]),
        "array of arrays",
    ),
    "array of 2^61 numbers": (container([array("a", UINT64, 2**61, bytes(64))]), "within 2,305"),
    "array of 2^60 strings": (container([array("a", STRING, 2**60, bytes(64))]), "strings of 'a'"),
    "strings past the end": (
        container([array("a", STRING, 2000, (uint64(2**64 - 1) + bytes(8)) * 1000)]),
        "within the strings",
    ),
    "too many items": (
        container([array(f"a{i}", UINT8, 1024, bytes(1024)) for i in range(300)]),
        "262,144 items of arrays",
    ),
    "too many strings": (
        container([array("a", STRING, 2_100_000, bytes(8 * 2_100_000))]),
        "2,000,000 strings",
    ),
    "bad alignment": (container([entry("general.alignment", UINT32, uint32(3))], [ONE]), "power"),
    "alignment 0": (container([entry("general.alignment", UINT32, uint32(0))], [ONE]), "power"),
    "alignment text": (container([entry("general.alignment", STRING, text("32"))], [ONE]), "power"),
    "alignment 2^31": (
        container([entry("general.alignment", UINT32, uint32(2**31))], [ONE]),
        "power",
    ),
    "no dimensions": (container([], [tensor("a", (), F32, 0) + bytes(8)]), "has 0 dimensions"),
    "five dimensions": (container([], [tensor("a", (1,) * 5, F32, 0)]), "has 5 dimensions"),
    "2^32-1 dimensions": (
        container([], [text("a") + uint32(2**32 - 1) + bytes(64)]),
        "has 4294967295 dimensions",
    ),
    "no elements": (container([], [tensor("a", (4, 0), F32, 0)]), "has the shape 4 x 0"),
    "negative": (container([], [tensor("a", (2**64 - 4,), F32, 0)]), "has the shape 184467"),
    "huge": (container([], [tensor("a", (2**32, 2**32), F32, 0)]), "has the shape 4294967296 x"),
    "no blocks": (container([], [tensor("a", (255,), 12, 0)]), "no whole number of Q4_K"),
    "unknown storage type": (container([], [tensor("a", (4,), 38, 0)]), "type number 38"),
    "removed storage type": (container([], [tensor("a", (4,), 4, 0)]), "type number 4"),
    "tensor twice": (container([], [ONE, tensor("a", (4,), F32, 32)]), "'a' is there twice"),
    "offset beyond": (container([], [tensor("a", (4,), F32, 2**63)]), "at byte 9,223,372,036"),
    "overlap": (container([], [ONE, tensor("b", (4,), F32, 0)]), "at byte 0 of the data, not 32"),
    "tensor name empty": (container([], [tensor("", (4,), F32, 0) + bytes(9)]), "of 0 bytes"),
    "tensor name long": (container([], [tensor("a" * 128, (4,), F32, 0)]), "of 128 bytes"),
    "tensor name no text": (container([], [tensor(b"\xc3", (4,), F32, 0)]), "no printable"),
    "split text": (container([entry("split.count", STRING, text("60"))]), "'split.count' is '60'"),
    "split yes": (container([entry("split.count", BOOL, b"\1")]), "'split.count' is 'True'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_at_once(tmp_path: Path, case: str) -> None:
    raw, message = BROKEN[case]
    path = tmp_path / "model.gguf"
    path.write_bytes(raw)
    start = time.process_time()
    with pytest.raises((FileError, FactsError)) as caught:
        read_gguf(path)
    assert time.process_time() - start < 1
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_header_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    whole = small()
    for end in [*range(0, len(whole), 61), *range(len(whole) - 200, len(whole))]:
        path.write_bytes(whole[:end])
        with pytest.raises(FileError):
            read_gguf(path)
    path.write_bytes(whole)
    assert not read_gguf(path).data_complete


def largest() -> list[bytes]:
    """Headers as large as is read."""
    wide = "\U0001f600" + "a" * 100
    return [
        container([], [tensor(f"{wide}{i}", (1,) * 4, F32, 32 * i) for i in range(32_768)]),
        container([entry("a", STRING, text("\U0001f600" + "a" * (8 * MIB - 100)))]),
        container([array("a", STRING, 2_000_000, bytes(16_000_000))]),
        container([entry(f"{i}", UINT64, uint64(2**60 + i)) for i in range(16_384)]),
        container([array(f"{i}", UINT64, 1024, uint64(2**60 + i) * 1024) for i in range(256)]),
    ]


@pytest.mark.parametrize("case", range(5))
def test_the_largest_headers_are_read_in_a_second(tmp_path: Path, case: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(largest()[case])
    start = time.process_time()
    read_gguf(path)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("case", [0, 1, 3, 4])
def test_the_largest_headers_take_little_memory(tmp_path: Path, case: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(largest()[case])
    tracemalloc.start()
    try:
        read_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 100 * MIB
    finally:
        tracemalloc.stop()


def test_strings_far_apart_in_a_hole_are_not_read_for_long(tmp_path: Path) -> None:
    """Each length lies a chunk away from the one before."""
    path = tmp_path / "model.gguf"
    count, step = 6000, 70_000
    head = container([array("a", STRING, 1_000_000, b"")])
    with path.open("wb") as file:
        file.write(head)
        for _ in range(count):
            file.write(uint64(step))
            file.seek(step, os.SEEK_CUR)
        file.truncate(2**40)
    start = time.process_time()
    with pytest.raises(FileError, match="268,435,456 bytes of header"):
        read_gguf(path)
    assert time.process_time() - start < 1


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "device.gguf").symlink_to("/dev/zero")
    for name in ("pipe.gguf", "folder.gguf", "device.gguf", "missing.gguf", "nul\0.gguf"):
        with pytest.raises(FileError) as caught:
            read_gguf(tmp_path / name)
        assert caught.value.hint, name


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.gguf").write_bytes(small())
    (inside / "model.gguf").symlink_to(tmp_path / "secret.gguf")
    with pytest.raises(FileError, match="link to a file outside"):
        read_gguf(inside / "model.gguf")
    (inside / "real.gguf").write_bytes(small())
    (inside / "near.gguf").symlink_to("real.gguf")
    assert read_gguf(inside / "near.gguf").tensors


METADATA = {
    "architecture a number": (entry("general.architecture", UINT32, uint32(1)), "missing"),
    "no architecture": (entry("other", UINT32, uint32(1)), "'general.architecture' is missing"),
    "no block count": (entry("general.architecture", STRING, text("llama")), "block_count"),
    "unknown": (entry("general.architecture", STRING, text("x" * 999)), "architecture 'xxx"),
}


@pytest.mark.parametrize("case", METADATA)
def test_absent_metadata_is_named(tmp_path: Path, case: str) -> None:
    raw, message = METADATA[case]
    path = tmp_path / "model.gguf"
    path.write_bytes(container([raw], [ONE]))
    model = read_gguf(path)
    with pytest.raises(FactsError, match=message) as caught:
        model.architecture()
    assert len(caught.value.message) < 300
    with pytest.raises(PlannerError, match="no rule for what tensor 'a' is part of"):
        model.weights()
