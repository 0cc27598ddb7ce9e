"""MODEL on a hub, from the command line: a plan, or one clear error and exit code 3 (or 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command_line import plan
from tests.acceptance.test_hostile_models import LLAMA
from tests.fuzz.gguf_bytes import small
from tests.unit.model.fake_hub import FakeHub, serving

pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")

SOLVE = "solve {} --quant Q4_K_M --budget 300000 --json"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield served


def test_a_config_on_a_hub_is_planned_and_planned_again_without_network(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put("config.json", json.dumps(LLAMA).encode())
    online = plan(SOLVE.format("owner/name"))
    assert online.code == 0, online.err
    assert online.answer["kind"] == "plan"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    asked = len(hub.asked)
    assert plan(SOLVE.format("owner/name")).out == online.out
    assert len(hub.asked) == asked


def test_one_of_several_gguf_files_is_planned(hub: FakeHub) -> None:
    for label in ("Q4_K_M", "Q8_0"):
        hub.put(f"model-{label}.gguf", small(), 10_000_000)
    several = plan(SOLVE.format("owner/name"))
    assert several.code == 2
    assert "Q4_K_M, Q8_0" in several.answer["hint"]
    chosen = plan("requirements owner/name:Q8_0 --json")
    assert chosen.code == 0, chosen.err


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_what_a_hub_does_not_give_is_exit_code_3(hub: FakeHub, status: int) -> None:
    hub.status = status
    ran = plan(SOLVE.format("owner/name"))
    assert ran.code == 3
    assert ran.answer["kind"] == "error"
    assert "Traceback" not in ran.err


def test_no_network_is_exit_code_3(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    ran = plan("solve owner/name --budget 300000")
    assert ran.code == 3
    assert ran.err.startswith(
        "error: cannot fetch owner/name from http://127.0.0.1:1: ConnectError"
    )
    assert "hint: " in ran.err
