"""A folder of safetensors files: which belong to the checkpoint, and what does not match."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy
import pytest
import safetensors.numpy

from planner.errors import FileError
from planner.model.checkpoint import Checkpoint, read_checkpoint
from planner.model.checkpoint_index import parse_index
from tests.unit.model.checkpoint_files import SMALL, container, header, put, put_index

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def refused(folder: Path) -> FileError:
    with pytest.raises(FileError) as caught:
        read_checkpoint(folder)
    assert caught.value.hint
    return caught.value


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """Two shards and their index."""
    put(tmp_path / FIRST, {"a": 10, "b": 5})
    put(tmp_path / SECOND, {"c": 7})
    put_index(tmp_path, {"a": FIRST, "b": FIRST, "c": SECOND}, total_size=22)
    return tmp_path


def names(checkpoint: Checkpoint) -> list[str]:
    return [tensor.name for tensor in checkpoint.tensors]


def test_totals_are_summed_over_all_tensors(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(container(header(SMALL), 29))
    checkpoint = read_checkpoint(tmp_path)
    assert (checkpoint.bytes, checkpoint.elements) == (29, 19)
    assert list(checkpoint.bytes_by_dtype().items()) == [
        ("BF16", 16),
        ("F32", 8),
        ("F4", 4),
        ("U8", 1),
        ("I64", 0),
    ]
    assert list(checkpoint.elements_by_dtype().items()) == [
        ("BF16", 8),
        ("F4", 8),
        ("F32", 2),
        ("U8", 1),
        ("I64", 0),
    ]


def test_sixty_shards_written_by_the_library_sum_to_what_was_written(tmp_path: Path) -> None:
    weight_map = {}
    for shard in range(1, 61):
        file = f"model-{shard:05}-of-00060.safetensors"
        arrays = {
            f"layers.{shard}.{name}": numpy.zeros((shard, 8), numpy.float16) for name in "qkvo"
        }
        safetensors.numpy.save_file(arrays, tmp_path / file)
        weight_map |= dict.fromkeys(arrays, file)
    total = sum(4 * shard * 8 * 2 for shard in range(1, 61))
    unindexed = read_checkpoint(tmp_path)
    put_index(tmp_path, weight_map, total_size=total)
    indexed = read_checkpoint(tmp_path)
    assert len(indexed.files) == 60
    assert indexed.bytes == indexed.stated_bytes == total
    assert indexed.tensors == unindexed.tensors
    assert indexed.bytes_by_dtype() == {"F16": total}


def test_the_index_says_which_files_are_read(sharded: Path) -> None:
    put(sharded / "consolidated.safetensors", {"a": 10, "b": 5, "c": 7})
    checkpoint = read_checkpoint(sharded)
    assert checkpoint.files == (FIRST, SECOND)
    assert names(checkpoint) == ["a", "b", "c"]
    assert checkpoint.extra_files == ("consolidated.safetensors",)
    assert checkpoint.stated_bytes == checkpoint.bytes == 22


def test_without_an_index_model_safetensors_is_the_checkpoint(tmp_path: Path) -> None:
    put(tmp_path / "model.safetensors", {"a": 10})
    put(tmp_path / "consolidated.safetensors", {"x": 10})
    checkpoint = read_checkpoint(tmp_path)
    assert names(checkpoint) == ["a"]
    assert checkpoint.extra_files == ("consolidated.safetensors",)
    assert checkpoint.stated_bytes is None


def test_tensors_the_index_does_not_name_are_counted_and_told(sharded: Path) -> None:
    put_index(sharded, {"a": FIRST, "c": SECOND})
    checkpoint = read_checkpoint(sharded)
    assert checkpoint.extra_tensors == ("b",)
    assert checkpoint.bytes == 22


def test_a_missing_shard_is_named(sharded: Path) -> None:
    (sharded / SECOND).unlink()
    assert f"names {SECOND}, which is not in the folder" in refused(sharded).message
    (sharded / "model.safetensors.index.json").unlink()
    assert f"lacks {SECOND}" in refused(sharded).message


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": FIRST, "zz": SECOND}, f"has 'zz' in {SECOND}; it is in none of the files"),
        ({"a": SECOND, "c": SECOND}, f"has 'a' in {SECOND}; it is in none of the files"),
        ({"a": SECOND, "b": FIRST}, f"has 'a' in {SECOND}; it is in {FIRST}"),
        ({"a": "../x"}, "'../x', which is no safetensors file of the folder"),
        ({"a": "../x.safetensors"}, "'../x.safetensors', which is no safetensors file"),
        ({"a": "/etc/passwd"}, "'/etc/passwd', which is no safetensors file"),
        ({"a": "a\0.safetensors"}, "which is no safetensors file of the folder"),
        ({"a": "x" * 5000}, "which is no safetensors file of the folder"),
        ({"a": "model.safetensors.index.json"}, "which is no safetensors file of the folder"),
        ({"a\n": FIRST}, "no name of a tensor"),
        ({}, "no 'weight_map' with tensors"),
    ],
)
def test_an_index_that_does_not_match_is_refused(
    sharded: Path, weight_map: dict[str, str], message: str
) -> None:
    put_index(sharded, weight_map)
    assert message in refused(sharded).message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no object at byte 0"),
        (b"[]", "no object at byte 0"),
        (b"{}", "no 'weight_map'"),
        (b'{"weight_map":null}', "no object at byte 14"),
        (b'{"weight_map":{"a":1}}', "no string at byte 19"),
        (b'{"weight_map":{"a":"f.safetensors","a":"f.safetensors"}}', "'a' is there twice"),
        (b'{"weight_map":{"a":"f.safetensors"},"weight_map":{}}', "'weight_map' is there twice"),
        (b'{"weight_map":{"a":"f.safetensors"}', "no comma or brace"),
        (b'{"weight_map":{"a":"f.safetensors"}}}', "more text"),
        (b'{"metadata":{"total_size":NaN},"weight_map":{}}', "NaN"),
        (b'{"metadata":' + b"[" * 60_000, "nested too deep"),
        (b'{"metadata":{"a":1,"a":2}}', "'a' is there twice"),
        (b'{"metadata":"' + b"x" * 70_000 + b'"}', "Unterminated string"),
        (b'{"\xff":1}', "can't decode"),
        (b'{"metadata":{"\x8c":1}}', "can't decode"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
    ],
)
def test_a_broken_index_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(FileError) as caught:
        parse_index(text, {"f.safetensors"}, "index")
    assert message in caught.value.message
    assert caught.value.hint


def test_an_index_longer_than_any_is_refused_before_reading(sharded: Path) -> None:
    with (sharded / "model.safetensors.index.json").open("wb") as file:
        file.truncate(2**31)
    assert "has 2,147,483,648 bytes; such a file has at most 80 MiB" in refused(sharded).message


def test_an_index_with_spaces_and_other_keys_is_read() -> None:
    text = json.dumps(
        {"weight_map": {"ä": "f.safetensors"}, "metadata": {"total_size": 5, "é": [1.5, None]}},
        indent=2,
        ensure_ascii=False,
    )
    index = parse_index(f"\n {text}\n".encode(), {"f.safetensors"}, "index")
    assert (dict(index.files), index.stated_bytes) == ({"ä": "f.safetensors"}, 5)


@pytest.mark.parametrize("size", [True, -1, 1.5, "5", None])
def test_a_total_size_that_is_no_size_is_none(size: object) -> None:
    text = json.dumps({"metadata": {"total_size": size}, "weight_map": {"a": "f.safetensors"}})
    assert parse_index(text.encode(), {"f.safetensors"}, "index").stated_bytes is None


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "x.safetensors", {"a": 1})
    put(tmp_path / "y.safetensors", {"a": 1})
    assert "'a' is in x.safetensors and in y.safetensors" in refused(tmp_path).message


def test_folders_without_a_checkpoint_are_refused(tmp_path: Path) -> None:
    assert "no safetensors files" in refused(tmp_path).message
    assert "cannot read the folder" in refused(tmp_path / "absent").message
    put(tmp_path / "model.safetensors", {})
    assert "have no tensors" in refused(tmp_path).message
    assert "Not a directory" in refused(tmp_path / "model.safetensors").message
    assert "cannot read the folder" in refused(Path("a\0b")).message


def test_a_checkpoint_of_absurdly_many_shards_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "m-000001-of-999999.safetensors", {"a": 1})
    assert "999,999 files" in refused(tmp_path).message


def test_links_lead_no_further_than_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    put(tmp_path / "secret.safetensors", {"a": 1})
    put(folder / "weights.bin", {"a": 1})
    link = folder / "model.safetensors"
    link.symlink_to("weights.bin")
    assert names(read_checkpoint(folder)) == ["a"]
    for target in ["../secret.safetensors", "/dev/zero", "/etc/passwd", "gone", link.name]:
        link.unlink()
        link.symlink_to(target)
        refused(folder)
    (tmp_path / "other").symlink_to(folder)
    link.unlink()
    put(link, {"b": 1})
    assert names(read_checkpoint(tmp_path / "other")) == ["b"]


def test_the_links_of_a_hub_cache_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "models--a--b" / "snapshots" / "0123abc"
    blobs = tmp_path / "models--a--b" / "blobs"
    folder.mkdir(parents=True)
    blobs.mkdir()
    put(blobs / "f00d", {"a": 1})
    (folder / "model.safetensors").symlink_to("../../blobs/f00d")
    assert names(read_checkpoint(folder)) == ["a"]


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    os.mkfifo(path)
    assert "is a pipe, socket or device" in refused(tmp_path).message
    path.unlink()
    path.mkdir()
    assert "is a folder" in refused(tmp_path).message
