"""Which formats a text holds, and what each part of it says: one text, one `Dump` or several.

A paste of several commands is cut at lines that show a command; a part nobody knows is passed over
as long as another is known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from planner.errors import FileError
from planner.topology.importers import (
    amd_smi,
    lstopo,
    meminfo,
    nccl_xml,
    nvidia_smi_query,
    nvidia_smi_text,
    nvidia_smi_topo,
    nvidia_smi_xml,
    rocm_smi,
)
from planner.topology.importers.seen import Dump
from planner.topology.importers.words import plain
from planner.topology.importers.xml_tree import Element, parse
from planner.units import MIB

LARGEST = 16 * MIB
"""Bytes of a file; the longest sample there is has 180 kB."""

_HINT = (
    "known are nvidia-smi topo -m, topo -p2p, --query-gpu csv, -q, -q -x, -L and nvlink -s, NCCL "
    "topology XML, rocm-smi, amd-smi topology, lstopo XML and /proc/meminfo"
)
_COMMAND = re.compile(
    r"\s*(?:#\s*)?(?:[^\s$#]{0,60}[$#]\s+)?(?:sudo )?(?:nvidia-smi|rocm-smi|amd-smi|cat|lstopo)\b.*"
)
_Reader = Callable[[str, str], Dump]
_TEXTS: tuple[tuple[Callable[[str], bool], _Reader], ...] = (
    (nvidia_smi_topo.holds, nvidia_smi_topo.read),
    (nvidia_smi_topo.holds_peers, nvidia_smi_topo.read_peers),
    (nvidia_smi_query.holds, nvidia_smi_query.read),
    (nvidia_smi_text.holds_list, nvidia_smi_text.read_list),
    (nvidia_smi_text.holds_query, nvidia_smi_text.read_query),
    (rocm_smi.holds, rocm_smi.read),
    (amd_smi.holds, amd_smi.read),
    (meminfo.holds, meminfo.read),
)
_XML: dict[str, Callable[[Element, str], Dump]] = {
    nvidia_smi_xml.ROOT: nvidia_smi_xml.read,
    nccl_xml.ROOT: nccl_xml.read,
    nccl_xml.GRAPH_ROOT: nccl_xml.read_graph,
    lstopo.ROOT: lstopo.read,
}


def read(text: str, where: str) -> tuple[Dump, ...]:
    """What `text` says: one dump for each format in it, the first of its kind.

    Args:
        text: output of a tool, or of several.
        where: name of the file, for messages.

    Raises:
        FileError: no known format, or one that cannot be read.
    """
    bare = plain(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"))
    start = bare.lstrip()[:1]
    if start == "<":
        return (_xml(bare.lstrip(), where),)
    if start in ("{", "["):
        return (_json(bare, where),)
    dumps: dict[str, Dump] = {}
    for part in _parts(bare):
        for holds, reader in _TEXTS:
            if holds(part):
                dump = reader(part, where)
                dumps.setdefault(dump.format, dump)
    if not dumps:
        raise FileError(f"{where}: no format known", hint=_HINT)
    return tuple(dumps.values())


def decoded(content: bytes, where: str) -> str:
    """The text in `content`: UTF-8, or UTF-16 with its mark as PowerShell writes it.

    Raises:
        FileError: it is neither.
    """
    coding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(coding)
    except UnicodeDecodeError as error:
        raise FileError(f"{where} is no text in UTF-8 or UTF-16", hint=_HINT) from error


def _parts(text: str) -> list[str]:
    """`text` cut before every line that shows a command."""
    parts: list[list[str]] = [[]]
    for line in text.split("\n"):
        if _COMMAND.fullmatch(line) and not line.startswith("#####"):
            parts.append([])
        else:
            parts[-1].append(line)
    return ["\n".join(part) for part in parts if any(part)]


def _xml(text: str, where: str) -> Dump:
    root = parse(text, where)
    reader = _XML.get(root.tag)
    if reader is None:
        raise FileError(f"{where}: XML of <{root.tag[:40]}>, which is no known format", hint=_HINT)
    return reader(root, where)


def _json(text: str, where: str) -> Dump:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply"
        if isinstance(error, json.JSONDecodeError):
            reason = f"line {error.lineno}: {error.msg}"
        raise FileError(f"{where}: not JSON: {reason}", hint=_HINT) from error
    if rocm_smi.holds_json(content):
        return rocm_smi.read_json(content, where)
    if amd_smi.holds_json(content):
        return amd_smi.read_json(content, where)
    raise FileError(f"{where}: JSON of no known format", hint=_HINT)
