"""Fixtures around the real llama.cpp of the test extra."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from planner.catalog.load import load_catalog
from planner.model.huggingface import architecture_from_config
from planner.model.weights import gguf_weights


@pytest.fixture(scope="session")
def rpc_servers() -> Iterator[object]:
    """Eight loopback devices (`tests.engine.server.RpcServers`)."""
    from tests.engine.server import RpcServers

    with RpcServers(8) as servers:
        yield servers


@pytest.fixture(scope="session")
def sparse_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Path of a sparse GGUF file of a catalog model in a mix, written once."""
    from tests.engine.sparse_gguf import write_sparse_gguf

    folder = tmp_path_factory.mktemp("gguf")

    @functools.cache
    def path(model: str, mix: str) -> Path:
        architecture = architecture_from_config(load_catalog().model(model).config)
        weights = gguf_weights(architecture, mix)
        return write_sparse_gguf(folder / f"{model}-{mix}.gguf", architecture, weights)

    return path
