"""Headers of safetensors files: what they list, against the library, and every way to be broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import FileError
from planner.model.safetensors import DTYPE_BITS, StoredTensor, parse_header, read_header
from tests.unit.model.checkpoint_files import SMALL, container, header, one


def parse(raw: bytes) -> tuple[StoredTensor, ...]:
    length = int.from_bytes(raw[:8], "little")
    return parse_header(raw[8 : 8 + length], len(raw) - 8 - length, "f", "f")


def refused(tmp_path: Path, raw: bytes) -> str:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    with pytest.raises(FileError) as caught:
        read_header(path)
    assert caught.value.hint
    return caught.value.message.removeprefix(f"{path} ")


def test_a_header_lists_its_tensors_in_the_order_of_their_data(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    entries = dict(reversed(SMALL.items()))
    path.write_bytes(container(header(entries), 29))
    assert read_header(path) == (
        StoredTensor("embed.weight", "BF16", (4, 2), 8, 0, 16, "x.safetensors"),
        StoredTensor("norm.weight", "F32", (2,), 2, 16, 8, "x.safetensors"),
        StoredTensor("packed", "F4", (2, 4), 8, 24, 4, "x.safetensors"),
        StoredTensor("none", "I64", (0, 3), 0, 28, 0, "x.safetensors"),
        StoredTensor("scalar", "U8", (), 1, 28, 1, "x.safetensors"),
    )


def test_a_file_written_by_the_library_reads_the_same(tmp_path: Path) -> None:
    arrays = {
        f"layers.{layer}.{name}": numpy.zeros(shape, dtype)
        for layer in range(20)
        for name, shape, dtype in [
            ("q", (64, 32), numpy.float16),
            ("norm", (64,), numpy.float32),
            ("ids", (3, 1, 5), numpy.int64),
            ("packed", (7,), numpy.uint8),
            ("scalar", (), numpy.float64),
        ]
    }
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(arrays, path, metadata={"format": "np"})
    read = {t.name: (t.shape, t.bytes) for t in read_header(path)}
    assert read == {name: (array.shape, array.nbytes) for name, array in arrays.items()}


@pytest.mark.parametrize("dtype", sorted(DTYPE_BITS))
def test_every_dtype_has_the_bits_the_library_gives_it(dtype: str) -> None:
    raw = one(dtype=dtype, shape=[8], data_offsets=[0, DTYPE_BITS[dtype]], data=DTYPE_BITS[dtype])
    ((name, found),) = safetensors.deserialize(raw)
    assert (name, found["shape"]) == ("a", [8])
    assert parse(raw) == (StoredTensor("a", dtype, (8,), 8, 0, DTYPE_BITS[dtype], "f"),)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = container(header(SMALL), 29)
    for length in range(len(whole)):
        refused(tmp_path, whole[:length])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (one(data=3), "is no whole safetensors file: it is cut off: 3 bytes where the header"),
        (one(data=5), "is no whole safetensors file: it has more data"),
        (one(shape=[-4]), "no whole numbers"),
        (one(shape=[4.0]), "no whole numbers"),
        (one(shape=[True, 4]), "no whole numbers"),
        (one(shape=[float("nan")]), "NaN is no JSON number"),
        (one(shape=[float("inf")]), "Infinity is no JSON number"),
        (one(shape=[2**63]), "no whole numbers"),
        (one(shape=["4"]), "no whole numbers"),
        (one(shape=None), "no whole numbers"),
        (one(shape=[2**40, 2**40]), "more elements than a file can hold"),
        (one(shape=[1] * 65), "65 dimensions"),
        (one(shape=[1] * 5000), "no object of at most 4096 bytes"),
        (one(shape=[5]), "4 bytes for 5 elements of U8"),
        (one(dtype="F4", shape=[7], data_offsets=[0, 4]), "4 bytes for 7 elements of F4"),
        (one(dtype="Q4_K"), "unknown dtype 'Q4_K'"),
        (one(dtype=["U8"]), "not just dtype"),
        (one(data_offsets=[4, 0]), "-4 bytes"),
        (one(data_offsets=[0]), "no whole numbers"),
        (one(data_offsets=[-4, 0]), "no whole numbers"),
        (one(data_offsets=[4, 8], data=8), "leaves a gap before it, at byte 4"),
        (one(data_offsets=[2**62, 2**62 + 4]), "leaves a gap"),
        (one(more=1), "not just dtype, shape and data_offsets"),
        (one(shape=[[4]]), "no whole numbers"),
        (one(name=""), "no name of a tensor"),
        (one(name="a\nb"), "no name of a tensor: 'a\\nb'"),
        (one(name="\ud800"), "surrogates not allowed"),
        (one(name="x" * 1025), "no name of a tensor"),
        (one(name="x" * 9000), "no key at byte 1"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"", "0 bytes long"),
        (bytes(7), "7 bytes long"),
        (bytes(8), "no object at byte 0"),
        ((2**63).to_bytes(8, "little") + b"{}", "a header of 9,223,372,036,854,775,808 bytes"),
        (b"\xff" * 20, "a header of 18,446,744,073,709,551,615 bytes"),
        ((100).to_bytes(8, "little") + b"{}", "a header of 100 bytes in a file of 10"),
        (container(b"[]", 0), "no object at byte 0"),
        (container(b'{"a":1}', 0), "no object of at most"),
        (container(b'{"a":{}}', 0), "not just dtype"),
        (container(b'{"a":{} "b":{}}', 0), "not just dtype"),
        (container(b"{} x", 0), "more text at byte 2"),
        (container(b'{"\xff":{}}', 0), "can't decode"),
        (container(b'{"__metadata__":{"a":1}}', 0), "no string"),
        (container(b'{"__metadata__":{"a":"","a":""}}', 0), "metadata 'a' is there twice"),
        (container(b'{"__metadata__":{},"__metadata__":{}}', 0), "'__metadata__' is there twice"),
        (container(b'{"a":' + b"[" * 100_000 + b"}", 0), "no object of at most"),
        (container(b'{"a":' * 100_000, 0), "no object of at most"),
        (container(b'{"a":{"dtype":' + b"[" * 4000 + b"}}", 0), "nested too deep"),
        (container(b'{"a":{"dtype":"U8","dtype":"U8"}}', 0), "key 'dtype' is there twice"),
        (container(b'{"a":{"shape":[' + b"9" * 4000 + b"]}}", 0), "not just dtype"),
    ],
)
def test_a_broken_file_is_refused_with_what_is_wrong(
    tmp_path: Path, raw: bytes, message: str
) -> None:
    assert message in refused(tmp_path, raw)


def test_a_tensor_that_is_there_twice_or_overlaps_is_refused(tmp_path: Path) -> None:
    entry = b'{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'
    assert "'a' is there twice" in refused(
        tmp_path, container(b'{"a":%b,"a":%b}' % (entry, entry), 4)
    )
    assert "'b' overlaps the tensor before it, at byte 0" in refused(
        tmp_path, container(b'{"a":%b,"b":%b}' % (entry, entry), 4)
    )


ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPE_BITS, "F4", "U8", "nonsense"]),
        "shape": st.lists(st.integers(-1, 6), max_size=3),
    }
)


@settings(max_examples=300, deadline=None)
@given(
    entries=st.lists(ENTRY, max_size=4),
    gap=st.integers(-1, 2),
    data=st.integers(-1, 1),
    seed=st.data(),
)
def test_the_library_and_we_agree_on_what_is_a_file(
    entries: list[dict[str, Any]], gap: int, data: int, seed: st.DataObject
) -> None:
    end = 0
    listed: dict[str, Any] = {}
    for number, entry in enumerate(entries):
        elements = 1
        for size in entry["shape"]:
            elements *= size
        start = max(end + (gap if number == 1 else 0), 0)
        end = max(start + elements * DTYPE_BITS.get(entry["dtype"], 8) // 8, 0)
        listed[f"t{number}"] = entry | {"data_offsets": [start, end]}
    names = seed.draw(st.permutations(sorted(listed)))
    raw = container(header({name: listed[name] for name in names}), max(end + data, 0))
    try:
        theirs = {name: found["shape"] for name, found in safetensors.deserialize(raw)}
    except safetensors.SafetensorError:
        with pytest.raises(FileError):
            parse(raw)
    else:
        assert {t.name: list(t.shape) for t in parse(raw)} == theirs


@settings(max_examples=500, deadline=None)
@given(place=st.integers(0, 500), byte=st.integers(0, 255), drop=st.integers(0, 3))
def test_what_we_read_of_a_changed_file_the_library_reads_too(
    place: int, byte: int, drop: int
) -> None:
    raw = bytearray(container(header(SMALL), 29))
    place %= len(raw)
    raw[place : place + drop] = bytes([byte])
    try:
        ours = {t.name: list(t.shape) for t in parse(bytes(raw))}
    except FileError:
        return  # the library may be less strict: names, keys of metadata
    theirs = {name: found["shape"] for name, found in safetensors.deserialize(bytes(raw))}
    assert ours == theirs


def test_names_with_escapes_and_other_alphabets_are_kept() -> None:
    raw = one(name='lägen."x"\\é')
    assert "\\u00e4" in json.dumps('lägen."x"\\é')
    assert parse(raw)[0].name == 'lägen."x"\\é'
