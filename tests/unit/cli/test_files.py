"""Plans are read with one clear message for each way a file can be wrong."""

from __future__ import annotations

import io

import pytest

from planner.cli import files
from planner.errors import FileError
from tests.unit.report import example


def test_a_plan_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "plan.json"
    files.write_new(path, example.plan().model_dump_json(by_alias=True), force=False)
    assert files.read_plan(path) == example.plan()


def test_a_plan_can_come_from_stdin(monkeypatch):
    raw = io.BytesIO(example.plan().model_dump_json(by_alias=True).encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw))
    assert files.read_plan(files.Path("-")) == example.plan()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON: line 1"),
        (b"{", "is not JSON: line 1"),
        (b"[" * 100_000, "is not JSON: nested too deeply"),
        (b"\xff\xfe{}", "is not UTF-8 text"),
        (b"[]", "not a JSON object"),
        (b"{}", "holds no plan but 'something else'"),
        (b'{"kind": "infeasible"}', "holds no plan but 'infeasible'"),
        (b'{"kind": "plan"}', "has schema version None"),
        (b'{"kind": "plan", "schema_version": 2}', "has schema version 2"),
        (b'{"kind": "plan", "schema_version": 1}', "is no plan: "),
    ],
)
def test_a_file_that_is_no_plan_is_refused(tmp_path, content, message):
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        files.read_plan(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 3


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(FileError, match="cannot read"):
            files.read_plan(path)


def test_an_unknown_field_is_named(tmp_path):
    path = tmp_path / "plan.json"
    text = example.plan().model_dump_json(by_alias=True)
    path.write_text(text.replace('"verdict"', '"verdickt"', 1), encoding="utf-8")
    with pytest.raises(FileError, match="verdi"):
        files.read_plan(path)
