"""Nothing is overwritten unasked, and files that cannot be written say so."""

from __future__ import annotations

import stat

import pytest

from planner.errors import EngineError, FileError
from planner.export.llama_cpp import export_llama_cpp, files
from tests.unit.export.plans import HEAD, plan


def test_the_files_are_written_as_they_are_and_only_scripts_can_run(tmp_path):
    folder = tmp_path / "new" / "folder"
    paths = export_llama_cpp(plan(), folder, {}, force=False)
    assert {path.name: path.read_text() for path in paths} == files(plan(), {})
    for path in paths:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.suffix == ".sh" else 0o644)


def test_nothing_is_overwritten_or_added_without_force(tmp_path):
    (tmp_path / "README.txt").write_text("mine")
    with pytest.raises(FileError, match=r"README\.txt exists") as caught:
        export_llama_cpp(plan(), tmp_path, {}, force=False)
    assert "--force" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["README.txt"]
    assert (tmp_path / "README.txt").read_text() == "mine"


def test_a_dangling_link_counts_as_a_file(tmp_path):
    (tmp_path / "devices.env").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileError, match=r"devices\.env exists"):
        export_llama_cpp(plan(), tmp_path, {}, force=False)


def test_force_writes_over_old_files(tmp_path):
    export_llama_cpp(plan(), tmp_path, {}, force=False)
    export_llama_cpp(plan(), tmp_path, {HEAD: "10.1.2.3"}, force=True)
    assert "HTTP_HOST=10.1.2.3" in (tmp_path / "devices.env").read_text()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(FileError, match="cannot write"):
        export_llama_cpp(plan(), path, {}, force=False)
    with pytest.raises(FileError, match="cannot write"):
        export_llama_cpp(plan(), path / "below", {}, force=False)


def test_a_plan_that_does_not_fit_is_written_only_with_force(tmp_path):
    short = plan(verdict="no")
    with pytest.raises(EngineError, match="does not fit"):
        export_llama_cpp(short, tmp_path, {}, force=False)
    assert list(tmp_path.iterdir()) == []
    assert export_llama_cpp(short, tmp_path, {}, force=True)
