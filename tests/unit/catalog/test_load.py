"""Reading catalogs: overlays win and are named, mistakes are said with file, table and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.catalog import load_catalog
from planner.errors import CatalogError, UnknownName
from planner.units import MIB

GPU = """
[[gpu]]
name = "{name}"
title = "A card"
vendor = "acme"
family = "cuda"
architecture = "anvil"
nominal_memory = "80 GB"
usable_memory = "{usable}"
memory_bandwidth = "3350 GB/s"
source = "the box"
checked = 2026-11-25
"""


BUILD = """
[[engine_build]]
name = "x"
engine = "{engine}"
source = "mine"
checked = 2026-11-25
"""


def overlay(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return path


def test_an_overlay_adds_a_row(tmp_path: Path) -> None:
    catalog = load_catalog((overlay(tmp_path, GPU.format(name="acme-1", usable="81000 MiB")),))
    assert catalog.gpu("acme-1").usable_memory == 81_000 * MIB
    assert catalog.overridden == ()


def test_an_overlay_replaces_a_row_and_says_so(tmp_path: Path) -> None:
    overlay(tmp_path, GPU.format(name="h100-sxm-80", usable="81000 MiB"))
    catalog = load_catalog((tmp_path,))
    assert catalog.gpu("h100-sxm-80").usable_memory == 81_000 * MIB
    assert catalog.overridden == ("gpu h100-sxm-80",)
    assert catalog.digest != load_catalog().digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[gpu", ("mine.toml", "cannot read")),
        ("[[gpus]]\nname = 'x'\n", ("mine.toml", "unknown table 'gpus'")),
        ("gpu = 1\n", ("mine.toml", "unknown table 'gpu'")),
        (GPU.format(name="x", usable="81G"), ("[[gpu]] 'x'", "usable_memory", "81G")),
        (GPU.format(name="x", usable="1 GB") + "colour = 'red'\n", ("[[gpu]] 'x'", "colour")),
        ("[[gpu]]\nname = 'x'\n", ("[[gpu]] 'x'", "required")),
        (BUILD.format(engine="llama.cpp"), ("[[engine_build]] 'x'", "max_devices")),
        (
            BUILD.format(engine="vllm") + "max_devices = 8\n",
            ("[[engine_build]] 'x'", "max_devices"),
        ),
    ],
)
def test_a_broken_overlay_says_what_and_where(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog((overlay(tmp_path, text),))
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint


def test_an_overlay_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no catalog files"):
        load_catalog((tmp_path / "nowhere",))


def test_an_unknown_node_comes_with_near_names() -> None:
    with pytest.raises(UnknownName) as caught:
        load_catalog().node("dgx-h10")
    assert "dgx-h100" in caught.value.near
