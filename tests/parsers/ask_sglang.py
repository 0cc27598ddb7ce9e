"""SGLang's own verdict on command lines: its parser, and how it resolves and checks the arguments.

Runs as a process of its own: JSON questions on standard input, answers and the parser's options on
standard output. No weights, no tokenizer, no device: `--device cuda` is given. What SGLang refuses
only when it loads a model (heads and widths that do not divide) is not seen here.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
import traceback
import types
from collections.abc import Sequence
from typing import Any
from unittest import mock

import sglang  # noqa: F401
import transformers  # noqa: F401

from tests.parsers.options import options

REFUSALS = (ValueError, NotImplementedError, AssertionError)
"""What SGLang raises for what it does not take; anything else is a fault of the question."""
IMAGES = (
    "torchvision",
    "torchvision.io",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "torchvision.transforms.v2",
    "torchvision.transforms.v2.functional",
)
"""Modules that SGLang imports for models with images and never uses here."""


class Unused(types.ModuleType):
    """A module that has any name."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return mock.MagicMock()


def without_images() -> None:
    """Put empty modules where torchvision is not installed; its wheels fit one build of torch."""
    if importlib.util.find_spec("torchvision") is not None:
        return
    for name in IMAGES:
        module = Unused(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module


def stages(arguments: Sequence[str]) -> list[int]:
    """Layers of every stage, after parsing, resolving and checking the arguments.

    Raises:
        ValueError, NotImplementedError, AssertionError: SGLang refuses.
    """
    from sglang.srt.arg_groups.overrides import model_config_of, resolving_view
    from sglang.srt.arg_groups.validation_hook import check_server_args
    from sglang.srt.distributed.utils import get_pp_indices
    from sglang.srt.server_args import prepare_server_args

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found = prepare_server_args([*arguments, "--device", "cuda", "--log-level", "error"])
    except SystemExit as error:
        raise ValueError(said.getvalue().strip().splitlines()[-1]) from error
    found.resolve_once()
    check_server_args(found)
    layers = model_config_of(found).num_hidden_layers
    count = resolving_view(found).pp_size
    bounds = [get_pp_indices(layers, stage, count) for stage in range(count)]
    return [stop - start for start, stop in bounds]


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Why SGLang refuses, in its words, or the layers of every stage."""
    with mock.patch.dict(os.environ, question["environment"]):
        try:
            return {"refusal": "", "stages": stages(question["arguments"])}
        except REFUSALS as error:
            lines = str(error).splitlines() or [_place(error)]
            return {"refusal": lines[0], "stages": []}


def _place(error: Exception) -> str:
    """What can be said of an assertion without words: the file and line it stands in."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {os.path.basename(last.filename)}: {last.line}"


def main() -> None:
    """Answer all questions."""
    without_images()
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser()
    ServerArgs.add_cli_args(parser)
    answers = [answer(question) for question in json.load(sys.stdin)]
    print(json.dumps({"answers": answers, "options": options(parser)}))


if __name__ == "__main__":
    main()
