"""A config.json from disk: nesting resolved by the documented precedence, broken files refused."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import FactsError, FileError
from planner.model.config_file import (
    CONFIG_LIMIT,
    NESTED,
    OUTER_FIELDS,
    flatten,
    parse_config,
    read_config,
    read_config_json,
)

FLAT = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32}
TEXT = {"model_type": "qwen3", "hidden_size": 2048, "num_hidden_layers": 40}
VISION = {"hidden_size": 1152, "num_hidden_layers": 27}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    return path


def refused(path: Path) -> str:
    with pytest.raises(FileError) as caught:
        read_config(path)
    assert caught.value.hint
    return caught.value.message


def test_a_flat_config_is_kept_whole(tmp_path: Path) -> None:
    content = FLAT | {"quantization_config": {"bits": 4}, "vision_config": VISION, "x": [None, 1.5]}
    assert read_config(written(tmp_path, content)) == content


@pytest.mark.parametrize(
    "nested",
    [
        {"text_config": TEXT},
        {"llm_config": TEXT},
        {"language_config": TEXT},
        {"thinker_config": {"text_config": TEXT}},
        {"thinker_config": {"text_config": TEXT, "vision_config": VISION}},
        {"thinker_config": TEXT},
        {"llm_config": TEXT, "text_config": VISION},
        {"text_config": TEXT, "language_config": VISION},
        {"thinker_config": {"text_config": TEXT}, "talker_config": {"text_config": VISION}},
        {"llm_config": None, "text_config": TEXT},
        {"llm_config": {}, "text_config": TEXT},
    ],
)
def test_the_language_network_is_found_wherever_it_lies(nested: dict[str, Any]) -> None:
    flat = flatten({"model_type": "wrapper", **nested})
    flat.pop("vision_config", None)
    assert flat == TEXT


def test_dimensions_outside_are_the_towers_and_never_taken() -> None:
    outer = VISION | {"num_attention_heads": 16, "patch_size": 14, "model_type": "vlm"}
    flat = flatten(outer | {"text_config": {"hidden_size": 2048}})
    assert flat == {"hidden_size": 2048, "model_type": "vlm"}


@pytest.mark.parametrize("field", OUTER_FIELDS)
def test_what_holds_for_the_whole_comes_from_outside_unless_the_network_has_it(field: str) -> None:
    inner = {"hidden_size": 1}
    assert flatten({field: "outer", "text_config": inner})[field] == "outer"
    assert flatten({field: "outer", "text_config": inner | {field: None}})[field] == "outer"
    assert flatten({field: "outer", "text_config": inner | {field: "own"}})[field] == "own"
    assert flatten({field: False, "text_config": inner})[field] is False
    middle = {field: "middle", "text_config": inner}
    assert flatten({field: "outer", "thinker_config": middle})[field] == "middle"


def test_an_own_false_is_not_overruled_by_an_outer_true() -> None:
    flat = flatten(
        {"tie_word_embeddings": True, "text_config": TEXT | {"tie_word_embeddings": False}}
    )
    assert flat["tie_word_embeddings"] is False


@pytest.mark.parametrize("part", [[], "x", 5, True, [TEXT]])
@pytest.mark.parametrize("key", NESTED)
def test_a_nested_part_that_is_no_object_is_refused(key: str, part: Any) -> None:
    with pytest.raises(FactsError, match=f"'{key}' is ") as caught:
        flatten(FLAT | {key: part})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "Expecting value"),
        (b"null", "a JSON NoneType, not an object"),
        (b"[1]", "a JSON list, not an object"),
        (b'{"a":1', "Expecting"),
        (b'{"a":1}x', "Extra data"),
        (b'{"a":NaN}', "NaN is no JSON number"),
        (b'{"a":' + b"9" * 5000 + b"}", "digits"),
        (b'{"a":1,"a":1}', "key 'a' is there twice"),
        (b'{"b":{"a":1,"a":2}}', "key 'a' is there twice"),
        (b'{"a":"\xff"}', "can't decode"),
        (b'{"a":"\\ud800"}', "half a character in '\\ud800'"),
        (b'{"\\ud800":1}', "half a character"),
        (b'{"a":' * 100_000, "nested more than 64 levels"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested more than 64 levels"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ],
)
def test_a_broken_config_is_refused_with_what_is_wrong(raw: bytes, message: str) -> None:
    with pytest.raises(FileError) as caught:
        parse_config(raw, "config.json")
    assert message in caught.value.message
    assert caught.value.hint


def test_a_config_with_a_byte_order_mark_and_other_alphabets_is_read() -> None:
    content = {"id2label": {"0": "größe 😀"}}
    raw = b"\xef\xbb\xbf" + json.dumps(content, ensure_ascii=False).encode()
    assert parse_config(raw, "config.json") == content
    assert parse_config(json.dumps(content).encode(), "config.json") == content


def test_infinity_is_read_as_published_configs_have_it() -> None:
    """Nemotron-H: the upper limit of its time steps. No dimension may be a float anyway."""
    limits = parse_config(b'{"time_step_limit":[0.0,Infinity]}', "config.json")
    assert limits == {"time_step_limit": [0.0, math.inf]}


def test_a_config_cut_off_anywhere_is_refused() -> None:
    raw = json.dumps(FLAT | {"text_config": TEXT}).encode()
    for length in range(len(raw)):
        with pytest.raises(FileError):
            parse_config(raw[:length], "config.json")


def test_what_is_no_file_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m" / "config.json"
    assert "cannot read" in refused(path)
    path.parent.mkdir()
    assert "is a folder" in refused(path.parent)
    assert "cannot read" in refused(Path("a\0b"))
    os.mkfifo(path)
    assert "is a pipe" in refused(path)
    path.unlink()
    written(tmp_path, FLAT)
    path.symlink_to("../config.json")
    assert "is a link to a file outside its folder" in refused(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(path)


def test_two_gigabytes_are_refused_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(2**31)
    assert "has 2,147,483,648 bytes; such a file has at most 4 MiB" in refused(path)
    with path.open("wb") as file:
        file.truncate(CONFIG_LIMIT + 1)
    assert "at most 4 MiB" in refused(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("ab_é", max_size=3), below),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc", max_size=3), JSON, max_size=5))
def test_every_json_object_is_read_as_it_is(content: dict[str, Any]) -> None:
    assert parse_config(json.dumps(content).encode(), "c") == content


@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, 8))
def test_changed_bytes_are_read_or_refused(junk: bytes, place: int, drop: int) -> None:
    raw = bytearray(json.dumps(FLAT | {"text_config": TEXT}).encode())
    raw[place : place + drop] = junk
    try:
        content = parse_config(bytes(raw), "c")
    except FileError as error:
        said = ("is no config.json", "is a Git LFS pointer")
        assert any(text in error.message for text in said)  # noqa: PT017 - either way is right
    else:
        assert content == json.loads(raw.decode("utf-8-sig"))


def test_the_raw_config_keeps_its_nested_parts(tmp_path: Path) -> None:
    content = {"model_type": "vlm", "text_config": TEXT}
    assert read_config_json(written(tmp_path, content)) == content
