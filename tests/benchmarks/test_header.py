"""How long the header of a very large file takes: a process of its own, its time and its memory.

Run with `pytest -m benchmark -s`. Asserts nothing about time: machines differ and are busy.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

from planner.catalog.load import load_catalog
from planner.model.gguf_header import TYPE_NAMES
from planner.model.huggingface import architecture_from_config
from planner.model.weights import gguf_weights
from tests.acceptance.peak_memory import ended
from tests.fuzz.gguf_bytes import STRING, UINT32, array, container, entry, tensor, text

RUNS = 7
SECONDS, MEGABYTES = 0.3, 100
"""What is aimed at on two quiet cores, the start of Python and imports not in the time."""

READ = """
import sys, time
from pathlib import Path
from planner.model.gguf import read_gguf
start = time.perf_counter()
model = read_gguf(Path(sys.argv[1]))
seconds = time.perf_counter() - start
print(len(model.tensors), model.total_bytes, seconds)
"""
pytestmark = pytest.mark.benchmark


def write(path: Path, vocabulary: int) -> None:
    """Kimi K2 in Q4_K_M: a header with a vocabulary, and a hole for the data."""
    network = architecture_from_config(load_catalog().model("kimi-k2").config)
    numbers = {name: number for number, name in TYPE_NAMES.items()}
    tensors, offset = [], 0
    for each in gguf_weights(network, "Q4_K_M").tensors:
        tensors.append(tensor(each.name, each.shape, numbers[each.type], offset))
        offset += -(-each.bytes // 32) * 32
    words = b"".join(text(f"word {number}") for number in range(vocabulary))
    entries = [
        entry("general.architecture", STRING, text("deepseek2")),
        array("tokenizer.ggml.tokens", STRING, vocabulary, words),
        array("tokenizer.ggml.merges", STRING, vocabulary, words),
        array("tokenizer.ggml.token_type", UINT32, vocabulary, bytes(4 * vocabulary)),
    ]
    raw = container(entries, tensors)
    path.write_bytes(raw)
    os.truncate(path, -(-len(raw) // 32) * 32 + offset)


def measured(path: Path) -> tuple[int, int, float, float]:
    """Tensors, their bytes, seconds and the peak of the process in MB."""
    end = ended(["-c", READ, str(path)])
    assert end.code == 0, end
    tensors, size, seconds = end.out.split()
    return int(tensors), int(size), float(seconds), end.memory / 1e6


@pytest.mark.parametrize("vocabulary", [0, 163_840])
def test_header_of_600_gb(vocabulary: int, tmp_path: Path) -> None:
    path = tmp_path / "kimi-k2.gguf"
    write(path, vocabulary)
    runs = [measured(path) for _ in range(RUNS)]
    assert {(tensors, size) for tensors, size, _, _ in runs} == {(1096, runs[0][1])}
    seconds = statistics.median(seconds for _, _, seconds, _ in runs)
    peak = max(peak for _, _, _, peak in runs)
    print(
        f"\nheader of {runs[0][1] / 1e9:.0f} GB, 1,096 tensors, {vocabulary:,} words: "
        f"median {seconds:.3f} s of {RUNS}, {seconds / SECONDS:.2f} x the {SECONDS} s aimed at; "
        f"peak {peak:.0f} MB, {peak / MEGABYTES:.2f} x the {MEGABYTES} MB aimed at"
    )
