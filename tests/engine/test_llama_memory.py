"""Our memory per device against the table the real llama-server prints, to the MiB."""

from __future__ import annotations

import random

import pytest

from tests.engine.comparison import tables
from tests.engine.server import BUILD
from tests.reality.llama_tables import (
    Case,
    architecture_of,
    memory_of,
    settings_of,
)

pytestmark = pytest.mark.engine

MODELS = {
    "kimi-k2": "Q4_K_M",
    "llama-3.1-70b": "Q4_K_M",
    "qwen3-235b": "Q4_K_M",
    "gpt-oss-120b": "MXFP4_MOE",
    "gemma3-27b": "Q4_K_M",
}


def even_split(slots: int, devices: int) -> tuple[int, ...]:
    """Slots per device, the larger parts first."""
    part, rest = divmod(slots, devices)
    return tuple(part + (device < rest) for device in range(devices))


def compare(servers, sparse_model, model, split, arguments):
    """(ours, theirs) in MiB of every device and the host."""
    quant = MODELS[model]
    case = Case(model, quant, split, arguments, (), (0, 0, 0))
    memory = memory_of(case, settings_of(arguments, BUILD))
    ours, theirs = tables(servers, sparse_model(model, quant), memory, split, arguments)
    return list(zip(ours, theirs, strict=True))


@pytest.mark.parametrize("context", [4096, 32768, 131072])
@pytest.mark.parametrize("devices", [2, 4, 8])
@pytest.mark.parametrize("model", MODELS)
def test_every_figure_is_the_printed_mib_on_even_splits(
    rpc_servers, sparse_model, model, devices, context
):
    split = even_split(len(architecture_of(model).layers) + 1, devices)
    rows = compare(rpc_servers, sparse_model, model, split, f"-np 1 -fa on -c {context}")
    assert [ours for ours, _ in rows] == [theirs for _, theirs in rows]


@pytest.mark.parametrize(
    "arguments",
    [
        "-c 32768 -np 4 -no-kvu -fa on",
        "-c 32768 -np 4 -kvu -fa on",
        "-c 32768 -fa on",
        "-c 5000 -np 3 -fa on",
        "-c 32768 -np 1 -fa off",
        "-c 32768 -np 1 -fa on -ub 2048 -b 2048",
        "-c 32768 -np 1 -fa on -ctk q8_0 -ctv q8_0",
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_every_figure_is_the_printed_mib_under_other_settings(
    rpc_servers, sparse_model, model, arguments
):
    split = even_split(len(architecture_of(model).layers) + 1, 4)
    rows = compare(rpc_servers, sparse_model, model, split, arguments)
    assert [ours for ours, _ in rows] == [theirs for _, theirs in rows]


@pytest.mark.full
def test_random_splits_and_settings_are_the_printed_mib(rpc_servers, sparse_model):
    choice = random.Random(20261125)
    compared = 0
    for _ in range(150):
        model = choice.choice(list(MODELS))
        architecture = architecture_of(model)
        slots = len(architecture.layers) + 1
        devices = choice.randint(2, 8)
        cuts = sorted(choice.sample(range(1, slots), devices - 1))
        split = tuple(stop - start for start, stop in zip([0, *cuts], [*cuts, slots], strict=True))
        cache = choice.choice(["f16", "f16", "q8_0", "q4_0"])
        arguments = (
            f"-c {choice.choice([3000, 8192, 20000, 65536, 131072])} "
            f"-ub {choice.choice([64, 256, 512, 2048])} -b 2048 -np {choice.choice([1, 2, 4, 8])} "
            f"{choice.choice(['-kvu', '-no-kvu'])} -ctk {cache} -ctv {cache} "
            f"-fa {'on' if cache != 'f16' else choice.choice(['on', 'off'])}"
        )
        for ours, theirs in compare(rpc_servers, sparse_model, model, split, arguments):
            assert ours == theirs, (model, split, arguments)
            compared += 1
    assert compared > 400
