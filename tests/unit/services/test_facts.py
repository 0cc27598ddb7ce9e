"""What a model is made of: counts, bytes of a format, cache, files beside rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.catalog import load_catalog
from planner.errors import FactsError, RequestError, UnknownName
from planner.model.source import with_model
from planner.report.facts import render
from planner.report.terminal import plain_text
from planner.services.facts import facts
from tests.fuzz import gguf_bytes
from tests.unit.model.checkpoint_files import container, header

LLAMA = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 4096,
    "vocab_size": 1000,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
BLOCK = 2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512 + 2 * 256
TOTAL = 2 * 1000 * 256 + 256 + 2 * BLOCK


@pytest.fixture(scope="module")
def catalog():
    return load_catalog()


def of_config(catalog, folder: Path, **changes: object):
    path = folder / "config.json"
    path.write_text(json.dumps({**LLAMA, **changes}))
    return facts(str(path), with_model(catalog, str(path)))


def of_gguf(catalog, path: Path, *more: bytes, **asked):
    path.write_bytes(gguf_bytes.small(*more))
    return facts(str(path), with_model(catalog, str(path)), **asked)


def checkpoint(folder: Path, shapes: dict[str, list[int]], dtype: str = "BF16") -> None:
    """One file of tensors without data beside the config; as a hole, so that it takes no disk."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for length in shape:
            size *= length
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    path = folder / "model.safetensors"
    path.write_bytes(container(header(entries), 0))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + end)


def text_of(found) -> str:
    """The report in one line."""
    return " ".join(plain_text(render(found)).split())


def test_kimi_k2_is_counted_to_the_parameter_and_to_the_byte(catalog):
    found = facts("kimi-k2", catalog, "Q4_K_M", 8192)
    counts = found.parameters
    assert (counts.text, counts.mtp, counts.vision) == (1_026_408_232_448, 0, 0)
    assert counts.active == 32_861_500_928
    assert counts.active_without_embedding == counts.active - 163_840 * 7168
    assert counts.routed_experts == 60 * 384 * 3 * 7168 * 2048
    assert counts.routed_share == pytest.approx(0.98858, abs=1e-5)
    assert [(kind.count, kind.network) for kind in found.layers] == [
        (1, "dense 18,432"),
        (60, "8 of 384 experts of 2,048, shared 2,048"),
    ]
    assert found.cache.bytes_per_token == 70_272
    assert [(size.tokens, size.f16) for size in found.cache.sizes] == [
        (8192, 8192 * 70_272),
        (131_072, 131_072 * 70_272),
    ]
    assert found.cache.sizes[1].q8_0 == 131_072 * 61 * 576 * 34 // 32
    assert (found.format.kind, found.format.published) == ("gguf", True)
    assert found.format.bytes == 620_550_916_096


def test_the_parts_of_a_format_add_up(catalog):
    for quant in ("Q4_K_M", "FP8", "AWQ", "BF16", "EXL3-3.5bpw"):
        form = facts("qwen3-30b-a3b", catalog, quant).format
        assert form.quant == quant
        assert sum(part.bytes for part in form.components) == form.bytes
        assert sum(kind.bytes for kind in form.types) == form.bytes
        assert sum(part.parameters for part in form.components) == 30_532_122_624
        assert sum(part.tensors for part in form.components) == sum(k.tensors for k in form.types)


def test_the_declared_format_is_taken_unless_another_is_asked_for(catalog, tmp_path):
    fp8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"}
    found = of_config(catalog, tmp_path, quantization_config=fp8)
    assert (found.format.quant, found.format.published) == ("FP8", True)
    assert found.model.quantization_config == "FP8"
    scales = 4 * 2 * (2 * 2 * 2 + 2 * 1 * 2 + 3 * 2 * 4)
    assert found.format.bytes == 2 * TOTAL - 2 * (BLOCK - 512) + scales
    other = of_config(catalog, tmp_path)
    assert (other.format.quant, other.format.published) == ("Q4_K_M", False)
    assert "would need to be made" in text_of(other)


def test_a_quantization_without_rules_is_refused_by_name(catalog, tmp_path):
    with pytest.raises(FactsError, match="'quant_method' is 'magic'"):
        of_config(catalog, tmp_path, quantization_config={"quant_method": "magic"})


def test_a_gguf_file_of_a_standard_mix_is_equal_to_it_or_says_what_differs(catalog, tmp_path):
    def kind(number: int) -> bytes:
        return gguf_bytes.entry("general.file_type", gguf_bytes.UINT32, gguf_bytes.uint32(number))

    nothing = of_gguf(catalog, tmp_path / "nothing.gguf")
    assert nothing.comparison is None
    small = of_gguf(catalog, tmp_path / "small.gguf", kind(14))
    assert (small.format.quant, small.format.origin) == ("own", "file")
    assert small.comparison.format == "Q4_K_S"
    assert small.comparison.tensors == 21
    assert 0 < small.comparison.differing < 21  # a real one has its output in Q6_K
    assert small.comparison.difference == small.format.bytes - small.comparison.bytes < 0
    assert f"{small.comparison.differing} of 21 tensors are stored otherwise" in text_of(small)
    plain = of_gguf(catalog, tmp_path / "rule.gguf", kind(14), quant="Q8_0")
    assert (plain.format.quant, plain.format.origin, plain.format.published) == (
        "Q8_0",
        "rule",
        False,
    )
    assert any("not the file's own tensors" in text for text in plain.assumptions)


def test_a_checkpoint_equal_to_its_format_is_called_so(catalog, tmp_path):
    shapes = {"embed": [1000, 256], "head": [1000, 256], "norm": [256]}
    for block in range(2):
        shapes |= {f"{block}.rest": [BLOCK]}
    checkpoint(tmp_path, shapes)
    found = of_config(catalog, tmp_path)
    assert (found.stored.files, found.stored.tensors) == (1, 5)
    assert found.stored.bytes == 2 * TOTAL
    assert (found.comparison.format, found.comparison.difference) == ("BF16", 0)
    assert "equal to BF16 to the byte" in text_of(found)
    checkpoint(tmp_path, {**shapes, "buffer": [64]})
    assert of_config(catalog, tmp_path).comparison.difference == 128


def test_an_embedding_model_keeps_nothing(catalog, tmp_path):
    found = of_config(catalog, tmp_path, use_bidirectional_attention=True)
    assert not found.model.generates
    assert found.cache.bytes_per_token == 0
    assert {kind.growth for kind in found.cache.kinds} == {"nothing"}
    assert "none: the network keeps nothing" in text_of(found)


def test_a_window_bounds_what_its_layers_keep(catalog):
    found = facts("gemma3-27b", catalog)
    window, whole = found.cache.kinds
    assert (window.layers, window.window, window.growth) == (52, 1024, "window")
    assert window.window_bytes == 52 * 1024 * 2 * 16 * 128 * 2
    assert (whole.layers, whole.growth, whole.bytes_per_token) == (10, "context", 81_920)


def test_a_tower_is_counted_where_the_whole_config_is_there(catalog, tmp_path):
    path = Path(__file__).parents[2] / "acceptance" / "configs" / "nested-text-24b.json"
    found = facts(str(path), with_model(catalog, str(path)))
    assert found.parameters.vision
    assert found.parameters.total == found.parameters.text + found.parameters.vision
    assert "vision tower" in text_of(found)
    said = facts("gemma3-27b", catalog)
    assert said.parameters.vision is None
    assert said.assumptions == (
        "vision tower not counted: the catalogs have the text network only",
    )


def test_where_a_mix_has_no_rules_16_bits_are_shown_unless_it_was_asked_for(catalog):
    found = facts("minimax-text-01", catalog)
    assert (found.format.quant, found.format.kind) == ("BF16", "checkpoint")
    assert found.assumptions[0].startswith("no bytes in Q4_K_M: no list of the tensors")
    assert facts("minimax-text-01", catalog, "Q4_K_M").format is None


@pytest.mark.parametrize("context", [0, 131_073])
def test_a_context_beyond_the_window_is_refused(catalog, context):
    with pytest.raises(RequestError, match="kimi-k2 takes 1 to 131,072 tokens"):
        facts("kimi-k2", catalog, context=context)


def test_an_unknown_format_is_refused(catalog):
    with pytest.raises(UnknownName, match="unknown quant 'Q4KM'"):
        facts("kimi-k2", catalog, "Q4KM")


def test_every_model_of_the_catalogs_has_facts_that_agree_with_its_row(catalog):
    for name, row in catalog.models.items():
        found = facts(name, catalog)
        assert found.parameters.text == row.parameters, name
        assert found.format is not None, name
        weights = sum(part.parameters for part in found.format.components)
        assert weights in (row.parameters, row.parameters + found.parameters.mtp), name
        assert max(map(len, plain_text(render(found)).splitlines())) <= 110, name
