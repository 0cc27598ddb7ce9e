"""Token counts that follow from llama.cpp's flags."""

from __future__ import annotations

import pytest

from planner.engines.llama_cpp.settings import Settings


def settings(**fields) -> Settings:
    return Settings(**{"context": 4096, "rpc_pipelines": True, "mtp_has_kv": False, **fields})


@pytest.mark.parametrize(
    ("fields", "cells", "streams"),
    [
        ({"context": 4096}, 4096, 1),
        ({"context": 5000}, 5120, 1),
        ({"context": 8192, "slots": 4}, 2048, 4),
        ({"context": 8192, "slots": 4, "unified": True}, 8192, 1),
        ({"context": 5000, "slots": 3}, 1792, 3),
    ],
)
def test_private_slots_share_the_pool_equally_in_steps_of_256_cells(fields, cells, streams):
    assert settings(**fields).cells() == cells
    assert settings(**fields).streams == streams


@pytest.mark.parametrize(
    ("fields", "cells"),
    [
        ({"context": 131072}, 1536),
        ({"context": 131072, "slots": 4, "unified": True}, 4608),
        ({"context": 131072, "slots": 4}, 1536),
        ({"context": 1280}, 1280),
        ({"context": 131072, "ubatch": 64}, 1280),
        ({"context": 131072, "swa_full": True}, 131072),
    ],
)
def test_a_window_keeps_itself_and_one_step_per_sequence(fields, cells):
    assert settings(**fields).cells(1024) == cells


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({}, 512),
        ({"slots": 3}, 513),
        ({"ubatch": 2048, "batch": 1024}, 1024),
        ({"ubatch": 2048, "context": 300}, 300),
    ],
)
def test_a_step_is_clamped_and_rounded_up_to_the_slots(fields, rows):
    assert settings(**fields).rows == rows
