"""vLLM's own verdict on command lines: its parser and the engine config it builds.

Runs as a process of its own: JSON questions on standard input, answers and the parser's options on
standard output. No weights, no tokenizer, no device. The package for CPUs is asked, so what depends
on the platform is not checked: kernels, number of devices, default block sizes. It refuses expert
balancing whatever the layout; for such a question it is told to be on a GPU.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

from vllm.distributed.utils import get_pp_indices
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.platforms import current_platform
from vllm.utils.argparse_utils import FlexibleArgumentParser

from tests.parsers.options import options

REFUSALS = (ValueError, NotImplementedError, AssertionError)
"""What vLLM raises for what it does not take; anything else is a fault of the question."""


def parsed(parser: FlexibleArgumentParser, arguments: Sequence[str]) -> Any:
    """The namespace of the arguments of `vllm serve`.

    Raises:
        ValueError: the parser exits; the text is the last it prints.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found = parser.parse_args(list(arguments))
    except SystemExit as error:
        raise ValueError(said.getvalue().strip().splitlines()[-1]) from error
    validate_parsed_serve_args(found)
    found.model = found.model_tag or found.model
    return found


def stages(parser: FlexibleArgumentParser, arguments: Sequence[str]) -> list[int]:
    """Layers of every stage, after building the engine config.

    Raises:
        ValueError, NotImplementedError, AssertionError: vLLM refuses.
    """
    found = parsed(parser, arguments)
    config = AsyncEngineArgs.from_cli_args(found).create_engine_config(headless=found.headless)
    layers = config.model_config.get_total_num_hidden_layers()
    count = config.parallel_config.pipeline_parallel_size
    bounds = [get_pp_indices(layers, stage, count) for stage in range(count)]
    return [stop - start for start, stop in bounds]


def answer(parser: FlexibleArgumentParser, question: dict[str, Any]) -> dict[str, Any]:
    """Why vLLM refuses, in its words, or the layers of every stage."""
    with mock.patch.dict(os.environ, question["environment"]), balancing(question["arguments"]):
        try:
            return {"refusal": "", "stages": stages(parser, question["arguments"])}
        except REFUSALS as error:
            lines = str(error).splitlines() or [type(error).__name__]
            reason = next((line.strip() for line in lines[1:] if line.strip()), lines[0])
            return {"refusal": reason, "stages": []}


@contextlib.contextmanager
def balancing(arguments: Sequence[str]) -> Iterator[None]:
    """As on a GPU where expert balancing is asked for."""
    if "--enable-eplb" not in arguments:
        yield
        return
    with mock.patch.object(type(current_platform), "is_cuda_alike", return_value=True):
        yield


def main() -> None:
    """Answer all questions."""
    parser = make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    answers = [answer(parser, question) for question in json.load(sys.stdin)]
    print(json.dumps({"answers": answers, "options": options(parser)}))


if __name__ == "__main__":
    main()
