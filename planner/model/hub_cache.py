"""What was fetched from a hub, by commit, in the user's cache folder. Model layer.

`CACHE/hub/HOST/OWNER--NAME/COMMIT/` holds files, `.../revisions/NAME` the listing last seen of a
branch or tag. Files appear whole or not at all. CACHE is `PLANNER_CACHE`, else
`gpu-deployment-planner` in `XDG_CACHE_HOME` or `~/.cache`. The cache of `huggingface_hub` is left
alone: it holds whole files, and these are only their beginnings.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from planner.errors import FileError
from planner.model.hub_files import LISTING_LIMIT, Listing, parse_listing
from planner.model.local_file import read_whole

_NAME = "gpu-deployment-planner"
_DEFAULT_REVISION = "main"


def cache_folder() -> Path:
    """The user's folder for what can be fetched again."""
    own = os.environ.get("PLANNER_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(shared) if os.path.isabs(shared) else Path("~/.cache").expanduser()
    return base / _NAME


class RepositoryCache:
    """What was fetched of one repository of one hub."""

    def __init__(self, endpoint: str, repository: str) -> None:
        host = quote(urlsplit(endpoint).netloc.rpartition("@")[2], safe="")
        self._folder = cache_folder() / "hub" / host / repository.replace("/", "--")

    def commit(self, listing: Listing) -> Path:
        """The folder of a commit's files; it need not be there."""
        return self._folder / listing.commit

    def listing(self, revision: str | None) -> Listing | None:
        """What was last seen of `revision`; None if it never was.

        Raises:
            FileError: what was kept cannot be read.
        """
        path = self._kept(revision)
        if not path.exists():
            return None
        return parse_listing(read_whole(path, LISTING_LIMIT), str(path))

    def keep(self, revision: str | None, listing: Listing) -> None:
        """Remembers what is seen of `revision`.

        Raises:
            FileError: it cannot be written.
        """
        siblings = [{"rfilename": file} for file in listing.files]
        text = json.dumps({"sha": listing.commit, "siblings": siblings})
        with written(self._kept(revision)) as file:
            file.write(text.encode())

    def _kept(self, revision: str | None) -> Path:
        name = quote(revision or _DEFAULT_REVISION, safe="").replace(".", "%2E")
        return self._folder / "revisions" / name


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when all of it was written.

    Raises:
        FileError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    except OSError as error:
        raise _cannot(path, error) from error
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot(path, error) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _cannot(path: Path, error: OSError) -> FileError:
    return FileError(
        f"cannot write {path}: {error.strerror}",
        hint="set PLANNER_CACHE to a folder with space that you may write to",
    )
