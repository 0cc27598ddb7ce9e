"""Memory of every GGUF architecture against the table the real llama-server prints."""

from __future__ import annotations

import random

import pytest

from planner.engines.llama_cpp import rules
from planner.engines.llama_cpp.loaded import as_loaded
from planner.engines.llama_cpp.memory import SplitMemory
from planner.model.gguf import read_gguf
from planner.model.weights import gguf_weights
from tests.engine.comparison import tables
from tests.engine.server import BUILD
from tests.reality.gguf_shapes import networks, one_per_architecture
from tests.reality.llama_tables import settings_of

pytestmark = pytest.mark.engine

MIX = "Q4_K_M"
MOST_DEVICES = 6
NOT_STORED = ("unconverted_mtp", "mtp_norms", "assumptions", "layers")


@pytest.fixture
def sparse_network(tmp_path):
    """Writes the sparse file of a network."""
    from tests.engine.sparse_gguf import write_sparse_gguf

    def write(network):
        return write_sparse_gguf(tmp_path / "model.gguf", network, gguf_weights(network, MIX))

    return write


def random_case(choice, slots):
    """A split over devices and arguments, as `choice` has it."""
    devices = choice.randint(1, MOST_DEVICES)
    cuts = sorted(choice.sample(range(1, slots), devices - 1))
    split = tuple(stop - start for start, stop in zip([0, *cuts], [*cuts, slots], strict=True))
    cache = choice.choice(["f16", "f16", "q8_0", "q4_0"])
    arguments = (
        f"-c {choice.choice([3000, 8192, 20000, 65536])} -ub {choice.choice([64, 256, 512, 2048])}"
        f" -b 2048 -np {choice.choice([1, 2, 4])} {choice.choice(['-kvu', '-no-kvu'])}"
        f" -ctk {cache} -ctv {cache} -fa {'on' if cache != 'f16' else choice.choice(['on', 'off'])}"
    )
    return split, arguments


def compare(servers, path, network, split, arguments):
    """Ours and theirs in MiB, every device and the host."""
    memory = SplitMemory(network, gguf_weights(network, MIX), settings_of(arguments, BUILD))
    return tables(servers, path, memory, split, arguments)


@pytest.mark.parametrize("name", sorted(one_per_architecture()))
def test_every_figure_is_the_printed_mib(rpc_servers, sparse_network, name):
    """Two uneven splits, with flash attention and without or with a quantized cache."""
    network = one_per_architecture()[name]
    path, choice = sparse_network(network), random.Random(name)
    for flags in ("-fa on -np 1", random_case(choice, len(network.layers) + 1)[1]):
        split, _ = random_case(choice, len(network.layers) + 1)
        arguments = flags if "-c" in flags.split() else f"-c 32768 {flags}"
        if rules.illegal(network, settings_of(arguments, BUILD), len(split)):
            arguments = "-c 8192 -fa off -np 2"
        ours, theirs = compare(rpc_servers, path, network, split, arguments)
        assert ours == theirs, (split, arguments)


@pytest.mark.parametrize("name", sorted(one_per_architecture()))
def test_a_file_is_read_as_the_network_it_was_written_from(sparse_network, name):
    network = as_loaded(one_per_architecture()[name])
    read = read_gguf(sparse_network(network)).architecture()
    assert read.assumptions == ()
    assert [layer.network for layer in read.layers] == [layer.network for layer in network.layers]
    for ours, theirs in zip(read.layers, network.layers, strict=True):
        spans = theirs.mixer.model_copy(update={"qk_norm_spans_heads": False})
        assert ours.mixer in (theirs.mixer, spans)
    for field in type(network).model_fields:
        if field not in NOT_STORED and not field.startswith("mtp_own"):
            assert getattr(read, field) == getattr(network, field), field


@pytest.mark.full
def test_random_splits_and_settings_of_all_networks_are_the_printed_mib(
    rpc_servers, sparse_network
):
    choice = random.Random(20261125)
    compared = 0
    for _ in range(400):
        network = networks()[choice.choice(sorted(networks()))]
        split, arguments = random_case(choice, len(network.layers) + 1)
        if rules.illegal(network, settings_of(arguments, BUILD), len(split)):
            continue
        path = sparse_network(network)
        ours, theirs = compare(rpc_servers, path, network, split, arguments)
        assert ours == theirs, (network.gguf_name, split, arguments)
        compared += len(ours)
    assert compared > 1200
