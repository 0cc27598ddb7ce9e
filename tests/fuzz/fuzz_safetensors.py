"""Fuzzes the readers of safetensors headers and indexes: `python -m tests.fuzz.fuzz_safetensors`.

Each input is a valid file changed a few times. The reader must return tensors that fill the data,
the same the safetensors library reads, or raise FileError with a hint; anything else is a fault.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import safetensors

from planner.errors import FileError
from planner.model.checkpoint import read_checkpoint
from planner.model.checkpoint_index import INDEX, parse_index
from planner.model.safetensors import DTYPE_BITS, StoredTensor, header_length, parse_header
from tests.fuzz.command_line import ends_of, hinted, main
from tests.unit.model.checkpoint_files import SMALL, container, header

INPUTS = 50_000
SHARDS = ("a.safetensors", "b.safetensors")
TOKENS = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud800", b"null", b"true"),
    *(b"NaN", b"-1", b"0", b"1e9", b"1.0", b"9" * 30, b"9223372036854775807", b"[" * 2000),
    *(b"\0", b"\xff", b" " * 100, b"x" * 9000, b'"__metadata__":{}', b'"dtype":"BF16"'),
    *(b'"shape":[]', b'"data_offsets":[0,16]', b'"weight_map":{}', b'"../x"', b'"a.safetensors"'),
    *(b"version https://git-lfs", b'"norm.weight":', b"16", b"24", b"28", b"4", b"2"),
]


def changed(raw: bytes, choice: random.Random) -> bytes:
    """`raw` after no to four random edits, mostly small ones."""
    edited = bytearray(raw)
    for _ in range(choice.choice([0, 1, 1, 1, 2, 4])):
        place = choice.randint(0, len(edited))
        length = choice.choice([0, 1, 1, 1, 2, 8, 40])
        match choice.randrange(5):
            case 0:
                edited[place : place + length] = choice.randbytes(length)
            case 1:
                edited[place : place + length] = choice.choice(TOKENS)
            case 2:
                del edited[place:]
            case 3:
                source = choice.randint(0, len(edited))
                edited[place:place] = edited[source : source + choice.randint(1, 80)]
            case _:
                del edited[place : place + length]
    return bytes(edited)


def made(choice: random.Random) -> tuple[dict[str, Any], int]:
    """A header of up to five tensors in any order, and the bytes of its data."""
    listed: list[tuple[str, Any]] = []
    end = 0
    for number in range(choice.randint(0, 5)):
        dtype = choice.choice(list(DTYPE_BITS))
        shape = [choice.randint(0, 9) for _ in range(choice.randint(0, 3))]
        start, end = end, end + math.prod(shape) * DTYPE_BITS[dtype] // 8
        entry = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
        listed.append((f"{choice.choice('aé.')}{number}", entry))
    if choice.random() < 0.3:
        listed.append(("__metadata__", {"format": "pt", "ä": '"}'}))
    choice.shuffle(listed)
    return dict(listed), end


def read(raw: bytes) -> tuple[StoredTensor, ...]:
    """The tensors of a whole file in memory."""
    length = header_length(raw[:8], len(raw), "f")
    return parse_header(raw[8 : 8 + length], len(raw) - 8 - length, "f", "f")


def one_file(choice: random.Random) -> str:
    """Reads one changed file; what came of it."""
    entries, data = made(choice)
    text = json.dumps(entries, indent=choice.choice([None, 1]), ensure_ascii=False).encode()
    if choice.random() < 0.7:  # the length fits the changed header
        text = changed(text, choice)
        raw = container(text, data)
    else:
        raw = changed(container(text, data), choice)
    try:
        tensors = read(raw)
    except FileError as error:
        return hinted(error, "file refused")
    assert sum(tensor.bytes for tensor in tensors) == len(raw) - 8 - int.from_bytes(
        raw[:8], "little"
    )
    theirs = {name: found["shape"] for name, found in safetensors.deserialize(raw)}
    assert theirs == {tensor.name: list(tensor.shape) for tensor in tensors}, raw
    return "file read"


def one_index(choice: random.Random) -> str:
    """Reads one changed index; what came of it."""
    weight_map = {name: choice.choice(SHARDS) for name in SMALL}
    content = {"metadata": {"total_size": 29}, "weight_map": weight_map}
    raw = changed(json.dumps(content, indent=choice.choice([None, 2])).encode(), choice)
    try:
        index = parse_index(raw, set(SHARDS), "index")
    except FileError as error:
        return hinted(error, "index refused")
    parsed = json.loads(raw)
    assert parsed["weight_map"] == dict(index.files), raw
    return "index read"


def one_folder(choice: random.Random, folder: Path) -> str:
    """Reads a folder of a changed file and perhaps a changed index; what came of it."""
    raw = container(header(SMALL), 29)
    (folder / SHARDS[0]).write_bytes(changed(raw, choice) if choice.random() < 0.7 else raw)
    index = json.dumps({"weight_map": dict.fromkeys(list(SMALL)[1:], SHARDS[0])}).encode()
    (folder / INDEX).write_bytes(changed(index, choice) if choice.random() < 0.7 else index)
    try:
        checkpoint = read_checkpoint(folder)
    except FileError as error:
        return hinted(error, "folder refused")
    size = (folder / SHARDS[0]).stat().st_size
    assert checkpoint.bytes < size
    return "folder read"


def fuzz(inputs: int, seed: int) -> Counter[str]:
    """Reads `inputs` inputs, the same ones for a seed; how many came to which end."""
    with TemporaryDirectory() as name:

        def one(choice: random.Random, number: int) -> str:
            if number % 20 == 0:
                return one_folder(choice, Path(name))
            return one_index(choice) if number % 4 == 1 else one_file(choice)

        return ends_of(one, inputs, seed)


if __name__ == "__main__":
    main(fuzz, __doc__, INPUTS)
