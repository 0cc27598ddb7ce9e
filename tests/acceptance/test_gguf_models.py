"""GGUF files as MODEL, from the command line: whole, in parts, cut off, and beside the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.catalog import load_catalog
from planner.model.huggingface import architecture_from_config
from planner.model.weights import gguf_weights
from tests.acceptance.command_line import plan

gguf = pytest.importorskip("gguf", reason="the gguf package of the test extra is not installed")
np = pytest.importorskip("numpy", reason="numpy of the test extra is not installed")


def network():
    return architecture_from_config(load_catalog().model("qwen3-0.6b").config)


def write_header(path: Path, changed: dict[str, str] | None = None) -> int:
    """The header of a Q4_K_M file of Qwen3 0.6B, as `gguf` writes it; returns its tensor bytes."""
    architecture = network()
    weights = gguf_weights(architecture, "Q4_K_M")
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_file_type(15)
    writer.add_context_length(architecture.context_length)
    writer.add_embedding_length(architecture.hidden)
    writer.add_block_count(architecture.depth)
    layer = architecture.layers[0]
    writer.add_feed_forward_length(layer.feed_forward.intermediate)
    writer.add_head_count(layer.attention.heads)
    writer.add_head_count_kv(layer.attention.kv_heads)
    writer.add_key_length(layer.attention.head_dim)
    writer.add_value_length(layer.attention.head_dim)
    total = 0
    for tensor in weights.tensors:
        kind = gguf.GGMLQuantizationType[(changed or {}).get(tensor.name, tensor.type)]
        shape = tensor.shape[::-1]
        weights_of_block, size = gguf.GGML_QUANT_SIZES[kind]
        elements = 1
        for length in shape:
            elements *= length
        total += elements // weights_of_block * size
        stored = gguf.quant_shape_to_byte_shape(shape, kind) if kind > 1 else shape
        writer.add_tensor_info(
            tensor.name,
            stored,
            np.dtype(np.uint8 if kind > 1 else np.float32),
            elements // weights_of_block * size,
            raw_dtype=kind,
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return total


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_header_alone_gives_a_plan_of_the_files_own_tensors_that_verifies(folder: Path) -> None:
    total = write_header(folder / "own.gguf", {"token_embd.weight": "Q8_0"})
    ran = plan("own.gguf --budget 9000 --json -o plan.json")
    assert ran.code == 0, ran.err
    answer = ran.answer
    assert (answer["model"]["quant"], answer["model"]["file_bytes"]) == ("own", total)
    assert answer["download"]["repository"] is None
    assert not any("would need to be made" in text for text in answer["warnings"])
    assert any(
        text.startswith("weights: the file as it is: Q4_K_M") for text in answer["assumptions"]
    )
    assert plan("verify plan.json --json").answer["same_catalog"] is True
    rule = gguf_weights(network(), "Q4_K_M").total_bytes
    assert total > rule
    facts = plan("facts own.gguf --json").answer
    assert facts["comparison"] == {
        "format": "Q4_K_M",
        "bytes": rule,
        "difference": total - rule,
        "tensors": 310,
        "differing": 1,
    }


def test_a_standard_file_is_equal_to_its_mix_and_plans_as_the_catalogs_model(folder: Path) -> None:
    write_header(folder / "standard.gguf")
    assert "equal to Q4_K_M to the byte" in plan("facts standard.gguf").out
    own = plan("evaluate standard.gguf --node dgx-spark:1 --json").answer
    known = plan("evaluate qwen3-0.6b --quant Q4_K_M --node dgx-spark:1 --json").answer
    assert own["devices"] == known["devices"]
    assert own["performance"] == known["performance"]


def test_another_quantization_of_a_file_goes_by_the_rules_and_says_so(folder: Path) -> None:
    write_header(folder / "own.gguf", {"token_embd.weight": "Q8_0"})
    answer = plan("evaluate own.gguf --quant Q8_0 --devices 1 --json").answer
    assert answer["model"]["file_bytes"] == gguf_weights(network(), "Q8_0").total_bytes
    assert any("not the file's own tensors" in text for text in answer["assumptions"])
    assert any("would need to be made" in text for text in answer["warnings"])


def test_requirements_of_a_file_list_it_among_the_mixes(folder: Path) -> None:
    total = write_header(folder / "own.gguf", {"token_embd.weight": "Q8_0"})
    page = plan("requirements own.gguf --json").answer
    assert page["recommended"] == "own"
    (own,) = [row for row in page["quantizations"] if row["quant"] == "own"]
    assert (own["true"]["file_bytes"], own["nominal"]) == (total, None)
    assert plan("requirements own.gguf --method nominal").code == 0


def test_the_launch_files_name_the_file(folder: Path) -> None:
    write_header(folder / "own model.gguf")
    assert plan("'own model.gguf' --budget 9000 -o plan.json").code == 0
    assert plan("export llama.cpp plan.json -o launch").code == 0
    assert "MODEL=/models/own_model.gguf" in (folder / "launch" / "devices.env").read_text()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--config own.gguf", "--config own.gguf: not a config.json"),
        ("--gguf c.json", "--gguf c.json: not a GGUF file"),
        ("--safetensors own.gguf", "not a folder with config.json and *.safetensors"),
        ("--gguf nope.gguf", "there is no file or folder ./nope.gguf"),
    ],
)
def test_facts_of_a_file_of_another_kind_than_said_are_refused(
    folder: Path, option: str, says: str
) -> None:
    write_header(folder / "own.gguf")
    config = Path(__file__).parent / "configs" / "tied-2b.json"
    (folder / "c.json").write_text(config.read_text())
    ran = plan(f"facts {option}")
    assert (ran.code, ran.out) == (3, "")
    assert says in ran.err


def test_facts_need_one_model(folder: Path) -> None:
    assert plan("facts").code == 2
    assert plan("facts kimi-k2 --gguf x.gguf").code == 2
    write_header(folder / "own.gguf")
    assert plan("facts --gguf own.gguf").code == 0


def test_a_gguf_file_is_not_for_vllm(folder: Path) -> None:
    write_header(folder / "own.gguf")
    done = plan("evaluate own.gguf --engine vllm --quant BF16 --node hgx-h100-8:1")
    assert done.code == 3
    assert "it is a GGUF file" in done.err
    assert "--engine llama.cpp" in done.err
