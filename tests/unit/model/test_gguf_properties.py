"""Any header comes back as it was written; anything else is refused, never a fault."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import FactsError, FileError
from planner.model.gguf import read_gguf
from planner.model.gguf_header import TYPE_NAMES
from planner.quantization.gguf_types import BLOCKS
from tests.fuzz.gguf_bytes import (
    ARRAY,
    STRING,
    container,
    entry,
    small,
    tensor,
    text,
    uint32,
    uint64,
)

LAYOUTS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
SAME_FOLDER = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.isprintable)
sentences = st.text(st.characters(codec="utf-8"), max_size=50)


def numbers(kind: int) -> st.SearchStrategy[Any]:
    """Values of a number type."""
    match LAYOUTS[kind]:
        case "?":
            return st.booleans()
        case "f":
            return st.floats(width=32, allow_nan=False)
        case "d":
            return st.floats(allow_nan=False)
        case layout:
            bits = 8 * struct.calcsize("<" + layout)
            low = 0 if layout.isupper() else -(2 ** (bits - 1))
            return st.integers(low, low + 2**bits - 1)


@st.composite
def values(draw: st.DrawFn) -> tuple[int, bytes, Any]:
    """Type number, bytes and value of one metadata value."""
    kind = draw(st.sampled_from([STRING, ARRAY, *LAYOUTS]))
    if kind == STRING:
        sentence = draw(sentences)
        return kind, text(sentence), sentence
    if kind != ARRAY:
        number = draw(numbers(kind))
        return kind, struct.pack("<" + LAYOUTS[kind], number), number
    item = draw(st.sampled_from([STRING, *LAYOUTS]))
    items = draw(st.lists(sentences if item == STRING else numbers(item), max_size=5))
    raw = b"".join(
        text(each) if item == STRING else struct.pack("<" + LAYOUTS[item], each) for each in items
    )
    return kind, uint32(item) + uint64(len(items)) + raw, tuple(items)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, tuple[int, ...]]:
    """Type number and shape of a tensor."""
    number = draw(st.sampled_from(list(TYPE_NAMES)))
    row = BLOCKS[TYPE_NAMES[number]].weights * draw(st.integers(1, 100))
    return number, (row, *draw(st.lists(st.integers(1, 1000), max_size=3)))


@SAME_FOLDER
@given(
    metadata=st.dictionaries(names.map("x.{}".format), values(), max_size=8),
    listed=st.dictionaries(names, shapes(), max_size=8),
    power=st.integers(0, 12),
)
def test_what_is_written_comes_back(
    tmp_path: Path,
    metadata: dict[str, tuple[int, bytes, Any]],
    listed: dict[str, tuple[int, tuple[int, ...]]],
    power: int,
) -> None:
    alignment = 2**power
    entries = [entry(key, kind, raw) for key, (kind, raw, _) in metadata.items()]
    entries.append(entry("general.alignment", 4, uint32(alignment)))
    tensors, sizes, offset = [], [], 0
    for name, (number, shape) in listed.items():
        tensors.append(tensor(name, shape, number, offset))
        block = BLOCKS[TYPE_NAMES[number]]
        sizes.append(math.prod(shape) // block.weights * block.bytes)
        offset += math.ceil(sizes[-1] / alignment) * alignment
    path = tmp_path / "model.gguf"
    path.write_bytes(container(entries, tensors))
    model = read_gguf(path)
    assert dict(model.metadata) == {
        **{key: value for key, (_, _, value) in metadata.items()},
        "general.alignment": alignment,
    }
    assert [(each.name, each.type, each.shape) for each in model.tensors] == [
        (name, TYPE_NAMES[number], shape) for name, (number, shape) in listed.items()
    ]
    assert [each.bytes for each in model.tensors] == sizes
    assert model.data_complete is not bool(listed)


def ends_well(path: Path) -> None:
    """Asserts that a file is read, or refused with a hint."""
    try:
        model = read_gguf(path)
        model.weights()
        model.architecture()
    except (FileError, FactsError) as error:
        refused = error
    else:
        return
    assert refused.hint


@SAME_FOLDER
@given(counts=st.tuples(st.integers(0, 4), st.integers(0, 4)), raw=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path: Path, counts: tuple[int, int], raw: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(container(tensor_count=counts[0], key_count=counts[1]) + raw)
    ends_well(path)


@SAME_FOLDER
@given(data=st.data())
def test_any_changed_byte_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(small())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.gguf"
    path.write_bytes(raw)
    ends_well(path)
