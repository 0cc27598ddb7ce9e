"""What llama.cpp is planned with."""

from __future__ import annotations

import pytest

from planner.catalog import load_catalog
from planner.errors import EngineError
from planner.request import PlanRequest
from planner.subject import subject_of_request


def test_a_build_of_another_engine_is_refused_by_name() -> None:
    request = PlanRequest(model="llama-3.2-1b", quant="Q4_K_M", engine_build="0.32.0")
    with pytest.raises(EngineError, match=r"0\.32\.0 is a build of vllm") as caught:
        subject_of_request(request, load_catalog(), "Q4_K_M")
    assert "--engine vllm" in caught.value.hint


def test_a_build_says_how_many_devices_one_process_uses() -> None:
    request = PlanRequest(model="llama-3.2-1b", quant="Q4_K_M")
    assert subject_of_request(request, load_catalog(), "Q4_K_M").max_devices == 15
