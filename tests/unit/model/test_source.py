"""MODEL as a file or folder: what becomes of it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.catalog import load_catalog
from planner.errors import FactsError, FileError, PlannerError, UnknownName
from planner.model.gguf import read_gguf
from planner.model.own_quantization import OWN, bits_per_weight, file_type
from planner.model.source import with_model
from planner.request import PlanRequest
from planner.subject import subject_of_request
from tests.fuzz import gguf_bytes

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "_name_or_path": "somebody/Small",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 4096,
    "vocab_size": 1000,
    "tie_word_embeddings": False,
}


@pytest.fixture
def catalog():
    return load_catalog()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_in(folder: Path, name: str = "config.json", **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps({**CONFIG, **changes}))
    return path


def gguf_at(path: Path, *more: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes.small(*more))
    return path


def split_at(folder: Path, stem: str, count: int) -> None:
    """The small network in `count` parts, all tensors in the first."""
    for number in range(count):
        more = [
            gguf_bytes.entry("split.count", gguf_bytes.UINT32, gguf_bytes.uint32(count)),
            gguf_bytes.entry("split.no", gguf_bytes.UINT32, gguf_bytes.uint32(number)),
        ]
        raw = gguf_bytes.small(*more) if number == 0 else gguf_bytes.container(more)
        (folder / f"{stem}-{number + 1:05}-of-{count:05}.gguf").write_bytes(raw)


def test_a_name_of_the_catalogs_changes_nothing(catalog, folder):
    config_in(folder / "kimi-k2")
    assert with_model(catalog, "kimi-k2") is catalog
    assert with_model(catalog, "MoonshotAI/Kimi-K2-Instruct") is catalog


def test_a_dot_before_the_name_is_the_folder(catalog, folder):
    config_in(folder / "kimi-k2")
    row = with_model(catalog, "./kimi-k2").model("./kimi-k2")
    assert (row.name, row.parameters) == ("kimi-k2-file", 2 * 1000 * 256 + 256 + 2 * 590336)


@pytest.mark.parametrize("text", ["model/config.json", "model", "./model", "model/"])
def test_a_config_or_its_folder_becomes_a_row_that_answers_to_the_text(catalog, folder, text):
    config_in(folder / "model")
    row = with_model(catalog, text).model(text)
    assert (row.name, row.title, row.publisher) == ("model", "model", "somebody")
    assert (row.recommended, row.repositories, row.file) == ("Q4_K_M", (), "")


def test_a_config_under_another_name_is_called_by_it(catalog, folder):
    config_in(folder, "tiny one.json")
    assert with_model(catalog, "tiny one.json").model("tiny one.json").name == "tiny-one"


def test_a_snapshot_of_a_hugging_face_cache_is_called_as_the_model(catalog, folder):
    home = folder / "models--somebody--Small-1B" / "snapshots" / "0123abcd"
    config_in(home)
    assert with_model(catalog, str(home)).model(str(home)).name == "Small-1B"


@pytest.mark.parametrize("text", ["a.gguf", "./a.gguf", "sub", "sub/x-00002-of-00003.gguf"])
def test_a_gguf_file_or_any_part_of_it_becomes_a_row(catalog, folder, text):
    gguf_at(folder / "a.gguf")
    (folder / "sub").mkdir()
    split_at(folder / "sub", "x", 3)
    derived = with_model(catalog, text)
    row = derived.model(text)
    assert (row.recommended, row.config) == (OWN, {})
    assert row.name == ("x" if "sub" in text else "a")
    assert derived.quantization(OWN).rank > max(q.rank for q in catalog.quantizations.values())


def test_a_projector_beside_a_model_is_no_second_model(catalog, folder):
    gguf_at(folder / "m" / "a.gguf")
    gguf_at(folder / "m" / "mmproj-f16.gguf")
    assert with_model(catalog, "m").model("m").name == "a"


def test_the_own_quantization_says_type_and_bits(catalog, folder):
    kind = gguf_bytes.entry("general.file_type", gguf_bytes.UINT32, gguf_bytes.uint32(15))
    file = read_gguf(gguf_at(folder / "a.gguf", kind))
    weights, norms = 2 * 256 * 32 + 2 * (3 * 256 * 512 + 2 * 256 * 256 + 2 * 256 * 128), 5 * 256
    assert bits_per_weight(file) == pytest.approx((4.5 * weights + 32 * norms) / (weights + norms))
    quality = with_model(catalog, "a.gguf").quantization(OWN).quality
    assert quality == "the file as it is: Q4_K_M, 4.53 bits per weight"
    assert file_type(read_gguf(gguf_at(folder / "b.gguf"))) == "no file type"


def test_the_digest_covers_what_was_read_and_not_where(catalog, folder):
    config_in(folder / "one" / "m")
    config_in(folder / "two" / "m")
    config_in(folder / "three" / "m", vocab_size=1001)
    one, two, three = (with_model(catalog, f"{n}/m").digest for n in ("one", "two", "three"))
    assert one == two != three != catalog.digest
    gguf_at(folder / "one" / "g.gguf")
    gguf_at(folder / "two" / "g.gguf")
    name = gguf_bytes.entry("general.name", gguf_bytes.STRING, gguf_bytes.text("Other"))
    gguf_at(folder / "three" / "g.gguf", name)
    one, two, three = (with_model(catalog, f"{n}/g.gguf").digest for n in ("one", "two", "three"))
    assert one == two != three


def test_a_title_comes_from_the_files_own_name(catalog, folder):
    name = gguf_bytes.entry("general.name", gguf_bytes.STRING, gguf_bytes.text("Small One"))
    gguf_at(folder / "g.gguf", name)
    assert with_model(catalog, "g.gguf").model("g.gguf").title == "Small One"


@pytest.mark.parametrize("text", ["./nope", "../nope", "/nope", "~nobody/x", "x.gguf", "x.JSON"])
def test_what_looks_like_a_path_and_is_not_there_is_a_missing_file(catalog, folder, text):
    with pytest.raises(FileError, match="there is no file or folder") as caught:
        with_model(catalog, text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["nope", "nope-7b", "", "a\nb", "a\0b", "x" * 5000])
def test_any_other_word_is_an_unknown_model(catalog, folder, text):
    with pytest.raises(UnknownName) as caught:
        with_model(catalog, text)
    assert caught.value.hint


ENCODERS = [
    {"architectures": ["BertForMaskedLM"]},
    {"is_encoder_decoder": True},
    {"use_bidirectional_attention": True},
    {"type_vocab_size": 2},
]


@pytest.mark.parametrize("change", ENCODERS)
def test_a_network_that_writes_no_text_is_refused_by_the_field_that_says_so(
    catalog, folder, change
):
    config_in(folder, **change)
    with pytest.raises(FactsError, match=f"writes no text: .*{next(iter(change))}"):
        subject_of_request(
            PlanRequest(model="config.json"), with_model(catalog, "config.json"), "Q4_K_M"
        )


def test_an_encoder_whose_layers_we_do_not_know_is_refused_as_one(catalog, folder):
    config_in(folder, model_type="deberta", type_vocab_size=2)
    with pytest.raises(FactsError, match=r"config.json: the network writes no text"):
        with_model(catalog, "config.json")


def test_attention_of_pictures_to_later_ones_is_no_encoder(catalog, folder):
    config_in(folder, use_bidirectional_attention="vision")
    assert with_model(catalog, "config.json").model("config.json").parameters


def write_folders(folder: Path) -> None:
    for name in ("empty", "tensors", "several"):
        (folder / name).mkdir()
    (folder / "tensors" / "model.safetensors").write_bytes(b"")
    for name in "abcde":
        gguf_at(folder / "several" / f"{name}.gguf")
    (folder / "text.txt").write_text("hello")
    (folder / "cut.gguf").write_bytes(gguf_bytes.small()[:500])
    (folder / "cut.json").write_text('{"model_type": "lla')
    (folder / "bare.json").write_text('{"model_type": "llama"}')
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "dead.json").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("empty", "empty has no config.json and no"),
        ("tensors", "tensors has safetensors files and no config.json"),
        ("tensors/model.safetensors", "has the tensors of a model and not its layers"),
        ("several", "several has 5 models: a.gguf, b.gguf, c.gguf and 2 more"),
        ("text.txt", "text.txt is no config.json"),
        ("cut.gguf", "cut.gguf is no readable GGUF file"),
        ("cut.json", "cut.json is no config.json"),
        ("bare.json", "bare.json: config has no"),
        ("link.json", "link.json is a link to a file outside its folder"),
        ("dead.json", "cannot read dead.json"),
    ],
)
def test_what_holds_no_model_is_refused_in_one_message(catalog, folder, text, says):
    write_folders(folder)
    with pytest.raises(PlannerError, match=says) as caught:
        with_model(catalog, text)
    assert caught.value.exit_code == 3
    assert caught.value.hint
