"""Models on a hub: what is fetched, what is kept, and every way it can go wrong."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.errors import FileError, RequestError
from planner.model import hub_remote, hub_server
from planner.model.checkpoint import read_checkpoint
from planner.model.gguf import read_gguf
from planner.model.hub import HubName, fetch_model, parse_hub_name
from planner.model.hub_cache import cache_folder
from planner.units import MIB
from tests.acceptance.command_line import ROOT
from tests.fuzz.gguf_bytes import (
    ARRAY,
    F32,
    STRING,
    UINT32,
    container,
    entry,
    small,
    tensor,
    text,
    uint32,
)
from tests.unit.model.checkpoint_files import header
from tests.unit.model.fake_hub import COMMIT, PIECE, FakeHub, serving

pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")

DATA_BYTES = 1_000_000
"""More than the data of the small GGUF model."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("PLANNER_CACHE", str(tmp_path / "cache"))
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield served


def shard(tensors: int, number: int, data: int) -> bytes:
    """The beginning of a shard of `tensors` tensors, `data` bytes each."""
    entries = {
        f"model.layers.{number}.experts.{i}.weight": {
            "dtype": "U8",
            "shape": [data],
            "data_offsets": [i * data, (i + 1) * data],
        }
        for i in range(tensors)
    }
    text = header(entries)
    return len(text).to_bytes(8, "little") + text


def put_checkpoint(hub: FakeHub, shards: int, tensors: int, data: int) -> int:
    """A checkpoint with an index; returns the bytes of its headers."""
    weight_map: dict[str, str] = {}
    headers = 0
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        start = shard(tensors, number, data)
        hub.put(name, start, len(start) + tensors * data)
        headers += len(start)
        weight_map |= {f"model.layers.{number}.experts.{i}.weight": name for i in range(tensors)}
    hub.put("config.json", b'{"model_type": "llama"}')
    hub.put("model.safetensors.index.json", json.dumps({"weight_map": weight_map}).encode())
    hub.put("tokenizer.json", b"", 20_000_000)
    hub.put("consolidated.safetensors", b"", 700_000_000)
    return headers


def put_gguf(hub: FakeHub, name: str, start: bytes | None = None) -> None:
    raw = small() if start is None else start
    hub.put(name, raw, len(raw) + DATA_BYTES)


def test_sixty_shards_of_600_gb_bring_only_their_headers(hub: FakeHub) -> None:
    headers = put_checkpoint(hub, shards=60, tensors=1000, data=10_000_000)
    folder = fetch_model("owner/name")
    checkpoint = read_checkpoint(folder)
    assert checkpoint.bytes == 600_000_000_000
    assert len(checkpoint.files) == 60
    assert len(checkpoint.tensors) == 60_000
    assert (folder / "config.json").read_bytes() == b'{"model_type": "llama"}'
    whole = sum(hub.files[name].size for name in ("config.json", "model.safetensors.index.json"))
    assert headers <= hub.sent - whole <= headers + 60 * PIECE
    assert not {path.rpartition("/")[2] for path in hub.asked} & {
        "tokenizer.json",
        "consolidated.safetensors",
    }
    if hasattr(os, "statvfs"):
        kept = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
        assert kept < 2 * (headers + whole)
    assert hub.tokens == {"Bearer hf_secret"}


def test_a_commit_is_fetched_once(hub: FakeHub) -> None:
    put_checkpoint(hub, shards=2, tensors=3, data=100)
    first = fetch_model("owner/name")
    hub.asked.clear()
    assert fetch_model("owner/name") == first
    assert hub.asked == ["/api/models/owner/name"]


def test_a_new_commit_is_fetched_anew(hub: FakeHub) -> None:
    hub.put("config.json", b"{}")
    first = fetch_model("owner/name")
    hub.commit = COMMIT[::-1]
    hub.put("config.json", b'{"a": 1}')
    second = fetch_model("owner/name")
    assert (first / "config.json").read_bytes() == b"{}"
    assert (second / "config.json").read_bytes() == b'{"a": 1}'


def test_a_revision_is_asked_for_and_kept_apart(hub: FakeHub) -> None:
    hub.put("config.json", b"{}")
    fetch_model("owner/name", revision="refs/pr/1")
    assert hub.asked[0] == "/api/models/owner/name/revision/refs/pr/1"


def test_offline_takes_what_was_fetched(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    put_checkpoint(hub, shards=2, tensors=3, data=100)
    online = fetch_model("owner/name")
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch_model("owner/name") == online
    assert hub.asked == []


def test_offline_names_what_is_missing(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    put_checkpoint(hub, shards=2, tensors=3, data=100)
    folder = fetch_model("owner/name")
    (folder / "model-00002-of-00002.safetensors").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileError, match=r"owner/name/model-00002-of-00002.* was not fetched"):
        fetch_model("owner/name")
    with pytest.raises(FileError, match="owner/other was not fetched") as caught:
        fetch_model("owner/other")
    assert "config.json" in caught.value.hint
    assert hub.asked.count("/api/models/owner/other") == 0


@pytest.mark.parametrize("ranges", [True, False])
def test_one_gguf_file_is_read_up_to_its_data(hub: FakeHub, ranges: bool) -> None:
    hub.ranges = ranges
    put_gguf(hub, "model-Q4_K_M.gguf")
    put_gguf(hub, "mmproj-F16.gguf")
    path = fetch_model("owner/name")
    model = read_gguf(path)
    assert len(model.tensors) == 21
    assert not model.data_complete
    assert path.stat().st_size == min(t.offset for t in model.tensors)


def test_a_long_gguf_header_is_fetched_in_growing_parts(hub: FakeHub) -> None:
    words = b"".join(uint32(3) + bytes(4) + b"abc" for _ in range(500_000))
    array = entry("tokenizer.ggml.merges", 9, uint32(8) + (500_000).to_bytes(8, "little") + words)
    put_gguf(hub, "model.gguf", small(array))
    assert len(read_gguf(fetch_model("owner/name")).tensors) == 21
    assert hub.asked.count(f"/owner/name/resolve/{COMMIT}/model.gguf") <= 6
    assert hub.sent < 2 * len(small(array))


def test_all_parts_of_a_split_gguf_are_fetched(hub: FakeHub) -> None:
    for number in range(3):
        split = [entry("split.count", UINT32, uint32(3)), entry("split.no", UINT32, uint32(number))]
        raw = small(*split)
        if number:
            raw = container(split, [tensor(f"blk.{number}.attn_norm.weight.x", (32,), F32, 0)])
        put_gguf(hub, f"Q4_K_M/big-Q4_K_M-{number + 1:05}-of-00003.gguf", raw)
    path = fetch_model("owner/name", file="q4_k_m")
    assert path.name == "big-Q4_K_M-00001-of-00003.gguf"
    assert len(read_gguf(path).tensors) == 23


def test_one_of_several_gguf_models_must_be_chosen(hub: FakeHub) -> None:
    for label in ("Q4_K_M", "UD-Q4_K_XL", "IQ4_XS", "BF16"):
        put_gguf(hub, f"model-{label}.gguf")
    hub.put("config.json", b"{}")
    with pytest.raises(RequestError, match="holds 4 GGUF models") as several:
        fetch_model("owner/name")
    assert "BF16, IQ4_XS, Q4_K_M, UD-Q4_K_XL" in several.value.hint
    with pytest.raises(RequestError, match="no GGUF model 'Q4_K_S'") as none:
        fetch_model("owner/name", file="Q4_K_S")
    assert "did you mean Q4_K_M" in none.value.hint
    for wanted in ("ud-q4_k_xl", "model-UD-Q4_K_XL", "model-UD-Q4_K_XL.gguf"):
        assert fetch_model("owner/name", file=wanted).name == "model-UD-Q4_K_XL.gguf"


def test_two_models_of_one_quantization_are_named_by_file(hub: FakeHub) -> None:
    put_gguf(hub, "a-Q8_0.gguf")
    put_gguf(hub, "b-Q8_0.gguf")
    with pytest.raises(RequestError, match="2 GGUF models of Q8_0") as caught:
        fetch_model("owner/name", file="Q8_0")
    assert "a-Q8_0.gguf, b-Q8_0.gguf" in caught.value.hint
    assert fetch_model("owner/name", file="b-Q8_0.gguf").name == "b-Q8_0.gguf"


def test_a_missing_part_is_named(hub: FakeHub) -> None:
    put_gguf(hub, "big-Q8_0-00001-of-00002.gguf")
    with pytest.raises(FileError, match=r"lacks big-Q8_0-00002-of-00002.gguf"):
        fetch_model("owner/name")


@pytest.mark.parametrize(
    ("status", "code", "message", "hint"),
    [
        (401, "", "does not exist on .*, or is private or gated", "HF_TOKEN"),
        (401, "GatedRepo", "is gated", "HF_TOKEN"),
        (403, "", "is gated", "HF_TOKEN"),
        (404, "", "owner/name does not exist", "spelling"),
        (429, "", "answered 429", "wait a while"),
        (500, "", "answered 500", "try again"),
        (302, "", "answered 302", "try again"),
    ],
)
def test_refusals_say_what_to_do(
    hub: FakeHub, status: int, code: str, message: str, hint: str
) -> None:
    hub.status, hub.error_code = status, code
    with pytest.raises(FileError, match=message) as caught:
        fetch_model("owner/name")
    assert hint in caught.value.hint
    assert "\x1b" not in caught.value.message


def test_no_network_is_one_error_within_seconds(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(FileError, match="cannot fetch owner/name") as caught:
            fetch_model("owner/name")
    assert time.monotonic() - start < 30
    assert "HF_HUB_OFFLINE" in caught.value.hint


def test_a_silent_server_is_given_up(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_server, "_READ_SECONDS", 0.2)
    hub.pause = 1.0
    with pytest.raises(FileError, match="ReadTimeout"):
        fetch_model("owner/name")


def test_a_request_has_an_end(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_server, "_REQUEST_SECONDS", -1.0)
    with pytest.raises(FileError, match="did not arrive within"):
        fetch_model("owner/name")


def test_a_model_has_a_limit_in_all(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_server, "_TOTAL_LIMIT", 100)
    put_checkpoint(hub, shards=2, tensors=3, data=100)
    with pytest.raises(FileError, match="of headers"):
        fetch_model("owner/name")


@pytest.mark.parametrize(
    ("head", "cut", "message"),
    [
        ({}, 5, "cannot fetch owner/name/config.json"),
        ({}, 0, "cannot fetch owner/name/config.json"),
        ({"content-length": "5"}, 5, "ended at byte 5 of 101"),
        ({"content-range": "bytes 7-100/101"}, None, "was sent from byte 7, not 0"),
        ({"content-range": "bytes 0-100/*"}, None, "did not say which part"),
        ({"content-range": "nonsense"}, None, "did not say which part"),
        ({"content-range": "bytes 0-100/99999999999999999"}, None, "is said to have"),
        ({"content-range": "bytes 0-100/9999999"}, None, "ended at byte 101 of 65,536"),
        ({"content-encoding": "gzip"}, None, "compressed"),
    ],
)
def test_a_bad_answer_is_refused_and_leaves_nothing_behind(
    hub: FakeHub, head: dict[str, str], cut: int | None, message: str
) -> None:
    hub.put("config.json", b"{" + b" " * 99 + b"}")
    hub.head, hub.cut_files = head, cut
    with pytest.raises(FileError, match=re.escape(message)) as caught:
        fetch_model("owner/name")
    assert caught.value.hint
    assert not [path for path in cache_files() if "revisions" not in path.parts]


def test_a_file_that_changes_its_length_is_refused(hub: FakeHub) -> None:
    hub.put("config.json", b" " * 200_000)
    hub.changing = True
    with pytest.raises(FileError, match="is said to have"):
        fetch_model("owner/name")


def test_a_length_must_be_said(hub: FakeHub) -> None:
    hub.put("config.json", b"{}", 2)
    hub.ranges = hub.sizes = False
    folder = fetch_model("owner/name")
    assert (folder / "config.json").read_bytes() == b"{}"
    hub.commit = "a" * 40
    hub.put("model.safetensors", shard(2, 0, MIB), 10 * MIB)
    with pytest.raises(FileError, match=r"did not say how long owner/name/model.safetensors is"):
        fetch_model("owner/name")


@pytest.mark.parametrize(
    "listed",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"sha": "main", "siblings": []}',
        b'{"sha": "../../../../../../../../../../tmp/aaaaaaaaaaa", "siblings": []}',
        b'{"sha": 1, "siblings": []}',
        b'{"sha": "%s", "siblings": 7}' % COMMIT.encode(),
        b'{"sha": "%s", "siblings": [null]}' % COMMIT.encode(),
        b'{"sha": "%s", "siblings": [{}]}' % COMMIT.encode(),
        b'{"sha": "%s", "sha": "", "siblings": []}' % COMMIT.encode(),
        b"[" * 100_000,
        b'{"sha": NaN}',
    ],
)
def test_a_listing_that_is_none_is_refused(hub: FakeHub, listed: bytes) -> None:
    hub.listed = listed
    with pytest.raises(FileError, match="the hub's answer is no list of files"):
        fetch_model("owner/name")
    assert cache_files() == []


def test_a_listing_has_a_limit(hub: FakeHub) -> None:
    hub.listed = b" " * (4 * MIB + 1)
    with pytest.raises(FileError, match="has more than 4 MiB"):
        fetch_model("owner/name")


@pytest.mark.parametrize(
    "name",
    [
        "../config.json",
        "../../out.gguf",
        "/tmp/out.gguf",
        "a/../../out.gguf",
        "a//out.gguf",
        "./out.gguf",
        ".hidden.gguf",
        "C:out.gguf",
        "a\\out.gguf",
        "out\n.gguf",
        "out\u202e.gguf",
        "a/b/c/d/e.gguf",
        "x" * 300 + ".gguf",
        "",
        7,
        None,
        ["a.gguf"],
    ],
)
def test_names_that_lead_elsewhere_are_not_taken(hub: FakeHub, name: object) -> None:
    siblings = [{"rfilename": name}, {"rfilename": "config.json"}]
    hub.put("config.json", b"{}")
    hub.listed = json.dumps({"sha": COMMIT, "siblings": siblings}).encode()
    folder = fetch_model("owner/name")
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    with pytest.raises(RequestError, match="no GGUF model"):
        fetch_model("owner/name", file="out.gguf")


def test_an_index_that_names_a_file_elsewhere_is_refused(hub: FakeHub) -> None:
    put_checkpoint(hub, shards=1, tensors=1, data=8)
    hub.put("model.safetensors.index.json", b'{"weight_map": {"a": "../../x.safetensors"}}')
    with pytest.raises(FileError, match="no safetensors file of the folder"):
        fetch_model("owner/name")


@pytest.mark.parametrize(
    ("name", "start", "size", "message"),
    [
        ("model.safetensors", (2**62).to_bytes(8, "little"), 10**9, "a header of 4,611,"),
        ("model.safetensors", (2**25).to_bytes(8, "little"), 100, "a header of 33,554,432"),
        ("model.safetensors", b"abc", 3, "3 bytes long"),
        ("model.safetensors", b"", 0, "0 bytes long"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n", 130, "Git LFS"),
        ("config.json", b"{}", 5 * MIB, "at most 4 MiB"),
        ("model.safetensors.index.json", b"{}", 90 * MIB, "at most 80 MiB"),
        ("x.gguf", b"GGUF\3\0\0\0" + b"\xff" * 16, 10**12, "it claims"),
        ("x.gguf", b"junk" * 10, 10**9, "no GGUF file"),
        ("x.gguf", small()[:2000], 2000, "it ends at byte 2,000"),
        ("x.gguf", small(), len(small()), "is cut off"),
        ("x.gguf", b"", 0, "no GGUF file"),
    ],
)
def test_hostile_files_are_refused(
    hub: FakeHub, name: str, start: bytes, size: int, message: str
) -> None:
    hub.put(name, start, size)
    if name.startswith("model"):
        hub.put("config.json", b"{}")
    with pytest.raises(FileError, match=message):
        fetch_model("owner/name")
    assert hub.sent < MIB
    assert name not in {path.name for path in cache_files()}


def test_a_gguf_header_without_end_is_given_up(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_remote, "HEADER_LIMIT", 4 * MIB)
    words = (2_000_000).to_bytes(8, "little") + text("a" * 50) * 200_000
    hub.put("model.gguf", container([entry("a", ARRAY, uint32(STRING) + words)]), 10**12)
    with pytest.raises(FileError, match="more than 4 MiB before its data"):
        fetch_model("owner/name")
    assert hub.sent < 10 * MIB


def test_too_many_files_are_no_model(hub: FakeHub) -> None:
    hub.put("config.json", b"{}")
    for number in range(1001):
        hub.put(f"model-{number:05}.safetensors", b"")
    with pytest.raises(FileError, match="has 1,001 files"):
        fetch_model("owner/name")


def test_a_repository_without_a_model_is_said_so(hub: FakeHub) -> None:
    hub.put("README.md", b"hello")
    with pytest.raises(FileError, match=r"neither a config.json nor GGUF files"):
        fetch_model("owner/name")


@pytest.mark.parametrize("name", ["", "name", "a/b/c", "../b", "a/..", "a/b?x", "a/b#", "a/b\n"])
def test_other_names_are_no_repositories(hub: FakeHub, name: str) -> None:
    with pytest.raises(RequestError, match="is no name on a hub"):
        fetch_model(name)
    assert hub.asked == []


@pytest.mark.parametrize(
    "address", ["huggingface.co", "ftp://x", "http://", "http://a b", "file:///x"]
)
def test_an_endpoint_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(RequestError, match="HF_ENDPOINT"):
        fetch_model("owner/name")


def test_without_the_extra_the_package_is_named(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileError, match="needs the package huggingface_hub") as caught:
        fetch_model("owner/name")
    assert "pip install 'gpu-deployment-planner[hub]'" in caught.value.hint


def test_a_cache_that_cannot_be_written_is_named(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLANNER_CACHE", str(tmp_path / "file"))
    hub.put("config.json", b"{}")
    with pytest.raises(FileError, match="cannot write") as caught:
        fetch_model("owner/name")
    assert "PLANNER_CACHE" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("owner/name", HubName("owner/name")),
        ("owner/name:Q4_K_M", HubName("owner/name", None, "Q4_K_M")),
        (
            "owner/name:Q4_K_M/a-00001-of-00002.gguf",
            HubName("owner/name", None, "Q4_K_M/a-00001-of-00002.gguf"),
        ),
        ("owner/name@v1.0:Q8_0", HubName("owner/name", "v1.0", "Q8_0")),
        ("name", None),
        ("models/config.json", None),
        ("models/a.gguf", None),
        ("./owner/name", None),
        ("owner/name\n", None),
    ],
)
def test_names_of_models_on_a_hub(text: str, named: HubName | None) -> None:
    assert parse_hub_name(text) == named


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANNER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/c/gpu-deployment-planner")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path("~/.cache/gpu-deployment-planner").expanduser()


def test_the_library_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, planner.cli.app, planner.model.hub; "
        "sys.exit(bool({'huggingface_hub', 'httpx', 'httpx2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def cache_files() -> list[Path]:
    """The files in the cache, of any kind."""
    folder = Path(os.environ["PLANNER_CACHE"])
    return sorted(path for path in folder.rglob("*") if path.is_file())
