"""Loads the catalogs with the user's overlays and says on stderr what they replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli import output

if TYPE_CHECKING:
    from planner.catalog import Catalog


def load_with(folders: Sequence[Path] | None, model: str) -> Catalog:
    """As `load`, with a row for `model` where that is a file or a folder."""
    from planner.model.source import with_model

    return with_model(load(folders), model)


def load(folders: Sequence[Path] | None) -> Catalog:
    """The shipped catalogs with `folders` on top."""
    from planner.catalog import load_catalog

    catalog = load_catalog(tuple(folders or ()))
    if catalog.overridden:
        output.note("note: your catalog replaces " + ", ".join(catalog.overridden))
    return catalog
