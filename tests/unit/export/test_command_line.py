"""llama-server's arguments from settings and a split."""

from __future__ import annotations

import pytest

from planner.engines.llama_cpp.command_line import (
    device_name,
    server_arguments,
    split_arguments,
)
from planner.errors import EngineError
from tests.unit.report import example


def test_every_argument_of_a_server_is_set():
    expected = "-c 131072 -np 1 -ub 512 -b 2048 -fa on -ctk f16 -ctv f16 -ngl 62 -ts 31,31 -fit off"
    assert " ".join(server_arguments(example.ENGINE, (31, 31))) == expected


def test_all_slots_are_offloaded():
    assert split_arguments((6, 8, 7)) == ("-ngl", "21", "-ts", "6,8,7")


@pytest.mark.parametrize("slots", [(), (1,) * 16, (3, 0, 4), (-1, 2)])
def test_a_split_the_engine_cannot_do_is_refused(slots):
    with pytest.raises(EngineError):
        split_arguments(slots)


def test_fifteen_devices_are_the_most():
    assert split_arguments((1,) * 15)[1] == "15"


def test_devices_are_named_by_family():
    assert [device_name(family, 2) for family in ("cuda", "rocm", "metal", "sycl")] == [
        "CUDA2",
        "ROCm2",
        "MTL2",
        "SYCL2",
    ]
    with pytest.raises(EngineError, match="'other'"):
        device_name("other", 0)
