"""The tool that runs console blocks: it notices what changed, and what failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import generate
from docs.console import ROOT, WrongExit, abridged, is_same, refreshed

OUTPUT = ["one", "", "Two  of it", "a", "b", "", "three", "", "four", "c"]


def console(*lines: str) -> str:
    return "\n".join(["before", "```console", *lines, "```", "after"])


def test_output_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    old = console("$ echo new", "old", "$ printf 'x\\ny\\n'", "-")
    new = console("$ echo new", "new", "$ printf 'x\\ny\\n'", "x", "y")
    assert refreshed(old, tmp_path) == new
    assert refreshed(new, tmp_path) == new


def test_output_that_is_not_shown_stays_away(tmp_path: Path) -> None:
    text = console("$ echo a > file", "$ echo b")
    assert refreshed(text, tmp_path) == text
    assert (tmp_path / "file").read_text() == "a\n"


def test_other_blocks_are_not_run(tmp_path: Path) -> None:
    text = console("$ echo a").replace("console", "sh").replace("echo", "false;")
    assert refreshed(text, tmp_path) == text


def test_a_failing_command_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(WrongExit, match="exit 3"):
        refreshed(console("$ (exit 3)"), tmp_path)


def test_a_page_may_say_that_a_command_fails(tmp_path: Path) -> None:
    text = console("$ (exit 3)", "$ echo $?", "0")
    assert refreshed(text, tmp_path) == console("$ (exit 3)", "$ echo $?", "3")


def test_errors_are_shown_and_wall_time_is_not(tmp_path: Path) -> None:
    text = console("$ plan gpt-osss", "-", "$ echo $?", "-")
    hint = "hint: did you mean 'gpt-oss-20b' or 'gpt-oss-120b'?"
    lines = ["error: unknown model 'gpt-osss'", "", hint]
    assert refreshed(text, tmp_path) == console("$ plan gpt-osss", *lines, "$ echo $?", "2")
    command = "$ echo 'took 1.5 s' >&2; echo yes"
    assert refreshed(console(command, "-"), tmp_path) == console(command, "yes")


@pytest.mark.parametrize(
    ("keep", "lines"),
    [
        (["^"], ["one", "..."]),
        (["Two"], ["...", "Two  of it", "a", "b", "..."]),
        (["Two 2"], ["...", "Two  of it", "a", "..."]),
        (["^", "Two", "four"], ["one", "", "Two  of it", "a", "b", "...", "four", "c"]),
    ],
)
def test_only_the_wanted_sections_are_kept(keep: list[str], lines: list[str]) -> None:
    assert abridged(OUTPUT, keep) == lines


def test_a_section_that_is_gone_is_noticed() -> None:
    with pytest.raises(ValueError, match="five"):
        abridged(OUTPUT, ["^", "five"])


def test_only_ages_seconds_and_digests_may_differ() -> None:
    assert is_same("price (85 days old)", "price (9 days old)")
    assert is_same("Proof  0.11 deterministic s, seed 1", "Proof  3 deterministic s, seed 1")
    assert not is_same("Proof  0.11 deterministic s, seed 1", "Proof  0.11 deterministic s, seed 2")
    assert not is_same("$27,872", "$27,873")


def test_a_changed_table_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "commands.md"
    text = (ROOT / "docs/commands.md").read_text()
    page.write_text(text.replace("`--budget USD`", "`--budget EUR`"))
    monkeypatch.setattr(generate, "pages", lambda: [page])
    ((path, new),) = generate.stale()
    assert path == page
    assert new == text
