"""Fuzzes the reader of GGUF headers: `python -m tests.fuzz.fuzz_gguf`.

Each input is a valid file changed a few times, every tenth a model in two parts. The reader must
return tensors that lie in the file where it says the data is complete, or raise FileError or
FactsError with a hint; so must the weights and the architecture made of what was read.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from planner.errors import FactsError, FileError
from planner.model.gguf import GgufFile, read_gguf
from planner.quantization.gguf_types import tensor_bytes
from tests.fuzz.command_line import ends_of, hinted, main
from tests.fuzz.gguf_bytes import (
    ARRAY,
    BOOL,
    F32,
    STRING,
    UINT8,
    UINT32,
    UINT64,
    array,
    container,
    entry,
    small,
    tensor,
    text,
    uint32,
    uint64,
)

INPUTS = 100_000
NUMBERS = (0, 1, 2, 3, 4, 31, 32, 255, 1024, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
WIDE = (*NUMBERS, 2**32, 2**60, 2**61, 2**63 - 1, 2**63, 2**64 - 1)
TOKENS = (
    *(b"GGUF", b"FUGG", uint32(2), uint32(3), b"\0\0\0\3", b"\0", b"\xff", b"\xc3", b"\n", b"."),
    *(uint32(kind) for kind in (UINT8, BOOL, STRING, ARRAY, UINT64)),
    *(text(key) for key in ("general.alignment", "split.count", "llama.block_count", "a", "")),
    *(text(name) for name in ("output.weight", "blk.0.attn_q.weight", "blk.9.nextn.enorm.weight")),
    *(b"deepseek2", b"gemma3", b"qwen3moe", b"blk.1.", b"_exps", b"_shexp", b"nextn.", b"_norm"),
)


def changed(raw: bytes, choice: random.Random) -> bytes:
    """`raw` after no to four random edits, mostly of whole numbers and words."""
    edited = bytearray(raw)
    for _ in range(choice.choice([0, 1, 1, 1, 2, 4])):
        place = choice.randint(0, len(edited))
        match choice.randrange(7):
            case 0:
                edited[place : place + 4] = uint32(choice.choice(NUMBERS))
            case 1:
                edited[place : place + 8] = uint64(choice.choice(WIDE))
            case 2:
                token = choice.choice(TOKENS)
                edited[place : place + len(token) * choice.randint(0, 1)] = token
            case 3:
                del edited[place:]
            case 4:
                edited[place : place + 1] = choice.randbytes(1)
            case 5:
                source = choice.randint(0, len(edited))
                edited[place:place] = edited[source : source + choice.randint(1, 80)]
            case _:
                del edited[place : place + choice.choice([1, 4, 8, 40])]
    return bytes(edited)


def with_other_numbers(raw: bytes, choice: random.Random) -> bytes:
    """`raw` with the value after one word of it, or the word, changed to one of the same size."""
    edited = bytearray(raw)
    words = (b"_count", b"_length", b"_kv", b"_weight", b".weight", b"architecture", b"type")
    word = choice.choice(words)
    places = [place for place in range(24, len(raw)) if raw.startswith(word, place)]
    if not places:
        return changed(raw, choice)
    place = choice.choice(places)
    if choice.random() < 0.2:
        edited[place] = choice.randrange(256)
    else:
        place += len(word) + choice.choice([0, 4, 4, 4, 12, 20, 24])
        edited[place : place + 4] = uint32(choice.choice(NUMBERS))
    return bytes(edited)


def made(choice: random.Random) -> bytes:
    """A valid header of any keys and tensors, or of a whole network."""
    if choice.random() < 0.5:
        more = entry("general.alignment", UINT32, uint32(32))
        heads = array("llama.attention.key_length", UINT32, 2, uint32(64) * 2)
        return small(*choice.sample([more, heads], choice.randint(0, 2)))
    entries = [
        choice.choice(
            [
                entry(f"k{index}", UINT8, b"\7"),
                entry(f"k{index}", UINT64, uint64(choice.choice(WIDE))),
                entry(f"k{index}", STRING, text("ä" * choice.randint(0, 40))),
                array(f"k{index}", BOOL, 3, b"\0\1\1"),
                array(f"k{index}", STRING, 2, text("a") + text("")),
                array(f"k{index}", STRING, 1500, text("ab") * 1500),
                array(f"k{index}", UINT32, 2000, uint32(index) * 2000),
            ]
        )
        for index in range(choice.randint(0, 6))
    ]
    tensors = [tensor(f"t{i}", (8, i + 1), F32, 32 * i * (i + 1) // 2) for i in range(3)]
    return container(entries, tensors[: choice.randint(0, 3)])


def checked(model: GgufFile, sizes: dict[str, int]) -> None:
    """Asserts what holds of every model that is read."""
    ends = dict.fromkeys(sizes, 0)
    names = set()
    for each in model.tensors:
        assert each.bytes == tensor_bytes(each.type, each.shape), each
        assert each.offset >= ends[each.file], each
        ends[each.file] = each.offset + each.bytes
        names.add(each.name)
    assert len(names) == len(model.tensors)
    complete = all(end <= sizes[name] for name, end in ends.items())
    assert model.data_complete is complete


def read(path: Path, sizes: dict[str, int]) -> str:
    """Reads one model; what came of it."""
    try:
        model = read_gguf(path)
    except (FileError, FactsError) as error:
        return hinted(error, "file refused")
    checked(model, sizes)
    try:
        weights = model.weights()
    except FactsError as error:
        return hinted(error, "names refused")
    assert weights.total_bytes == model.total_bytes
    try:
        architecture = model.architecture()
    except FactsError as error:
        return hinted(error, "metadata refused")
    return "network differs" if architecture.assumptions else "network read"


def one_file(choice: random.Random, folder: Path) -> str:
    """Reads one changed file; what came of it."""
    change = choice.choice([changed, with_other_numbers])
    raw = change(made(choice), choice) + bytes(choice.choice([0, 0, 1000]))
    path = folder / "model.gguf"
    path.write_bytes(raw)
    return read(path, {path.name: len(raw)})


def one_pair(choice: random.Random, folder: Path) -> str:
    """Reads a model in two parts, of which some are changed; what came of it."""
    sizes = {}
    for number in range(2):
        split = [entry("split.count", UINT32, uint32(2)), entry("split.no", UINT8, bytes([number]))]
        if number == 0:
            raw = small(*split)
        else:
            raw = container(split, [tensor("rope_freqs.weight", (32,), F32, 0)])
        if choice.random() < 0.5:
            raw = changed(raw, choice)
        path = folder / f"model-{number + 1:05}-of-00002.gguf"
        path.write_bytes(raw)
        sizes[path.name] = len(raw)
    return "split " + read(folder / choice.choice(list(sizes)), sizes)


def fuzz(inputs: int, seed: int) -> Counter[str]:
    """Reads `inputs` inputs, the same ones for a seed; how many came to which end."""
    with TemporaryDirectory() as name:

        def one(choice: random.Random, number: int) -> str:
            kind = one_pair if number % 10 == 0 else one_file
            return kind(choice, Path(name))

        return ends_of(one, inputs, seed)


if __name__ == "__main__":
    main(fuzz, __doc__, INPUTS)
