"""Memory of networks with a state, or with a part left out of blocks, against llama-server's table.

Model and cache are equal to the MiB. Compute is never under; where one device hands over to the
next in the middle of a Mamba block, a few tables are up to a tenth over.
"""

from __future__ import annotations

import functools
import json
import random

import pytest

from planner.engines.llama_cpp import rules
from planner.model.gguf import read_gguf
from planner.model.gguf_recurrent import HYBRIDS
from planner.model.huggingface import architecture_from_config
from planner.model.weights import gguf_weights
from tests.engine.server import BUILD
from tests.engine.test_llama_architectures import compare, random_case
from tests.reality.llama_tables import settings_of
from tests.reality.tables import table

pytestmark = pytest.mark.engine

MIX = "Q4_K_M"
MOST_OVER = 1.1


@functools.cache
def networks():
    """Name to network, of all rows whose GGUF architecture is in `HYBRIDS`."""
    found = {}
    for row in table("model_parameters.csv"):
        network = architecture_from_config(json.loads(row["config"]))
        if network.gguf_name in HYBRIDS and not network.residual_attention:
            found[row["id"]] = network
    return found


def one_per_architecture():
    return {network.gguf_name: network for network in networks().values()}


def agree(ours, theirs):
    """Whether model and cache are equal, and compute at least the engine's and not far over."""
    return all(
        our[:2] == their[:2] and their[2] <= our[2] <= their[2] * MOST_OVER + 1
        for our, their in zip(ours, theirs, strict=True)
    )


def write(folder, network):
    from tests.engine.sparse_gguf import write_sparse_gguf

    return write_sparse_gguf(folder / "model.gguf", network, gguf_weights(network, MIX))


def test_all_architectures_with_a_state_have_a_network() -> None:
    assert set(one_per_architecture()) == set(HYBRIDS)


@pytest.mark.parametrize("name", sorted(one_per_architecture()))
def test_the_table_of_every_architecture_is_met(rpc_servers, tmp_path, name) -> None:
    network = one_per_architecture()[name]
    path, choice = write(tmp_path, network), random.Random(name)
    for flags in ("-c 8192 -fa on -np 1", "-c 8192 -fa off -np 2", None):
        split, arguments = random_case(choice, len(network.layers) + 1)
        arguments = flags or arguments
        if rules.illegal(network, settings_of(arguments, BUILD), len(split)):
            arguments = "-c 3000 -fa on -np 4 -kvu"
        ours, theirs = compare(rpc_servers, path, network, split, arguments)
        assert agree(ours, theirs), (split, arguments, ours, theirs)


@pytest.mark.parametrize("name", sorted(one_per_architecture()))
def test_a_file_is_read_as_the_network_it_was_written_from(tmp_path, name) -> None:
    network = one_per_architecture()[name]
    read = read_gguf(write(tmp_path, network)).architecture()
    assert read.assumptions == ()
    assert (read.gguf_name, read.hidden, read.tied) == (name, network.hidden, network.tied)
    for ours, theirs in zip(read.layers, network.layers, strict=True):
        assert (ours.mixer, ours.network, ours.mtp) == (theirs.mixer, theirs.network, theirs.mtp)


@pytest.mark.full
def test_random_splits_and_settings_are_met_and_most_are_equal(rpc_servers, tmp_path) -> None:
    choice = random.Random(20261125)
    equal = compared = 0
    for _ in range(150):
        network = networks()[choice.choice(sorted(networks()))]
        split, arguments = random_case(choice, len(network.layers) + 1)
        if rules.illegal(network, settings_of(arguments, BUILD), len(split)):
            continue
        path = write(tmp_path, network)
        ours, theirs = compare(rpc_servers, path, network, split, arguments)
        assert agree(ours, theirs), (network.gguf_name, split, arguments, ours, theirs)
        compared += len(ours)
        equal += sum(our == their for our, their in zip(ours, theirs, strict=True))
    assert compared > 400
    assert equal >= 0.97 * compared
