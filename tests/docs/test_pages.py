"""README, docs and examples say what the planner does: run anew, every output and table agrees."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import generate
from docs.console import ROOT
from planner.catalog import load_catalog

PAGES = generate.pages()
README = ROOT / "README.md"
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
CODE = re.compile(r"```.*?```", re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def block(path: Path, language: str) -> str:
    """The first block of a language on a page."""
    found = re.search(rf"^```{language}\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def anchors(path: Path) -> set[str]:
    """The names of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", path.read_text()), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in kept}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_is_what_its_commands_and_tables_give(page: Path) -> None:
    assert generate.page_text(page) == page.read_text(), "run `python -m docs.generate`"


def test_every_folder_of_pages_is_looked_at() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    assert sorted(pages) == sorted(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(CODE.sub("", page.read_text())):
        if target.startswith("http"):
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), anchor


def test_readme_shows_the_main_job_with_its_proof() -> None:
    text = README.read_text()
    shown = text.partition("$ plan kimi-k2 --quant Q4_K_M --budget 300000\n")[2].partition("```")[0]
    assert re.search(r"^Cheapest: \d+x .*\$[\d,]+", shown, re.MULTILINE)
    assert re.search(r"^Optimal: \$[\d,]+, and nothing below", shown, re.MULTILINE)
    assert 20 <= shown.count("\n") <= 45


def test_readme_sets_up_with_two_commands_which_the_checks_run() -> None:
    first, second = block(README, "sh").splitlines()
    made = "python3.11 -m venv .venv && .venv/bin/pip install -q -c constraints.txt "
    assert first == made + ". && .venv/bin/plan kimi-k2 --quant Q4_K_M --budget 300000"
    assert second == made + "-e '.[test]' && .venv/bin/pytest"
    for number, command, script in (("1", first, "run"), ("2", second, "test")):
        printed = subprocess.run(
            [ROOT / ".ci/readme-command", number], check=True, capture_output=True, text=True
        )
        assert printed.stdout == command + "\n"
        assert f'bash -c "$(.ci/readme-command {number})"' in (ROOT / ".ci" / script).read_text()


def test_readme_s_python_runs_and_prints_the_price_and_the_slots() -> None:
    code = block(README, "python")
    assert len(code.strip().splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    price, slots = re.fullmatch(r"([\d.]+) \[([\d, ]+)\]\n", done.stdout).groups()
    assert 0 < float(price) <= 300_000
    assert sum(map(int, slots.split(", "))) == 62


def test_readme_s_toml_is_a_catalog_that_changes_one_price(tmp_path: Path) -> None:
    overlay = tmp_path / "price.toml"
    overlay.write_text(block(README, "toml"))
    rows, shipped = load_catalog((overlay,)), load_catalog()
    assert rows.overridden == ("price mac-studio-m5u-256",)
    changed = {name for name, row in rows.prices.items() if row != shipped.prices[name]}
    assert changed == {"mac-studio-m5u-256"}
    assert len(overlay.read_text().splitlines()) == 8
