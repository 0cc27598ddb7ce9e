"""Long texts take seconds, not hours: repeated lines, wide tables, trees of many bridges."""

from __future__ import annotations

import time

import pytest

from planner.errors import FileError
from planner.topology.importers.detect import read

SIZE = 300_000
MOST_SECONDS = 10


def filled(text: str) -> str:
    return text * (SIZE // len(text))


@pytest.mark.parametrize(
    "text",
    [
        filled("GPU0\n"),
        filled("GPU0 X\n"),
        "GPU0 GPU1\n" + filled("GPU1 X X\n"),
        " ".join(f"GPU{number}" for number in range(SIZE // 8)),
        "index, name, memory.total [MiB]\n" + filled("0, a, 5 MiB\n"),
        "index, name\n0, " + filled("a"),
        filled("GPU 0: a (UUID: b)\n"),
        "=NVSMI LOG=\nGPU 00000000:01:00.0\n" + filled("   a\n"),
        filled("nvidia-smi\n"),
        filled(" "),
        "LINK TYPE TABLE:\n" + filled("0000:00:00.0 "),
        "<a>" + filled("x\n") + "</a>",
        "<system><cpu>" + filled('<pci class="0x060400">x</pci>') + "</cpu></system>",
        "<system><cpu>" + filled('<pci class="0x030200"/>') + "</cpu></system>",
        '<topology version="2"><object type="Machine">'
        + filled('<object type="Bridge" bridge_type="0-1"/>')
        + "</object></topology>",
        "[" * SIZE,
    ],
    ids=lambda text: text[:24].split("\n")[0],
)
def test_it_is_read_or_refused_at_once(text: str) -> None:
    start = time.process_time()
    try:
        assert read(text, "dump")
    except FileError as refusal:
        if not refusal.hint:
            pytest.fail(f"no hint: {refusal.message}")
    assert time.process_time() - start < MOST_SECONDS
