"""No prefix, shuffle or mutation of a dump ends in a traceback: it is imported or refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import FileError
from planner.inventory import from_toml, to_toml
from planner.report.inventory import render
from planner.services.inventory import gathered
from tests.reality.topo.samples import NAMES, content, imported

SMALL = [name for name in NAMES if len(content(name)) < 15_000]
LARGE = [name for name in NAMES if name not in SMALL]
WORDS = (
    *("X", "NV18", "NV1", "PIX", "SYS", "NODE", "GPU0", "GPU7", "NIC0", "N/A", "[N/A]", "-1", "0"),
    *("9" * 400, "0000:00:00.0", "<gpu>", "</pci>", "<!ENTITY x 'y'>", "&x;", "\x00", "\ud800"),
    *('"', "[", "{", "}", ",", "\t", "\n", "\x1b[4m", "99999999999999 MiB", "\N{SNOWMAN}"),
)


def survives(text: str) -> None:
    """Imports `text`, draws it and writes it, or sees it refused with a hint."""
    try:
        found = gathered([imported(text, "dump")])
    except FileError as refusal:
        if not (refusal.message and refusal.hint):
            pytest.fail(f"refused without a word: {refusal!r}")
        return
    assert render(found)
    assert from_toml(to_toml(found), "rig.toml") == found


def prefixes(text: str, count: int) -> list[str]:
    return [text[: len(text) * step // count] for step in range(count)]


def shuffled(text: str, seed: int) -> str:
    lines = text.split("\n")
    random.Random(seed).shuffle(lines)
    return "\n".join(lines)


def mutated(text: str, seed: int) -> str:
    """`text` with a few words put in, characters changed, and lines doubled or dropped."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(4):
            case 0:
                text = text[:at] + rng.choice(WORDS) + text[at:]
            case 1:
                text = text[:at] + rng.choice(WORDS) + text[at + rng.randint(1, 12) :]
            case 2:
                lines = text.split("\n")
                del lines[rng.randrange(len(lines))]
                text = "\n".join(lines)
            case _:
                lines = text.split("\n")
                lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                text = "\n".join(lines)
    return text


def changed(text: str, count: int) -> list[str]:
    return [
        *prefixes(text, count),
        *(shuffled(text, seed) for seed in range(count)),
        *(mutated(text, seed) for seed in range(2 * count)),
    ]


@pytest.mark.parametrize("name", SMALL)
def test_a_small_dump_changed_is_imported_or_refused(name: str) -> None:
    for text in changed(content(name), 25):
        survives(text)


@pytest.mark.parametrize("name", LARGE)
def test_a_large_dump_changed_is_imported_or_refused(name: str) -> None:
    for text in changed(content(name), 6):
        survives(text)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(name=st.sampled_from(SMALL), seed=st.integers(0, 2**32), cut=st.integers(0, 20_000))
def test_a_dump_cut_and_changed_is_imported_or_refused(name: str, seed: int, cut: int) -> None:
    survives(mutated(content(name)[:cut], seed))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    text=st.lists(st.sampled_from((*WORDS, "GPU1", " ", "  ", "# $ nvidia-smi -q"))).map("".join)
)
def test_words_of_dumps_in_any_order_are_imported_or_refused(text: str) -> None:
    survives(text)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_and_many_changes_are_imported_or_refused(name: str) -> None:
    text = content(name)
    every = range(0, len(text), 1 if len(text) < 15_000 else 501)
    for end in every:
        survives(text[:end])
    for seed in range(300):
        survives(mutated(text, seed))
        survives(shuffled(text, seed))
