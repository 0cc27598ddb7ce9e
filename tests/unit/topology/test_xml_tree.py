"""Hostile XML is refused before it costs anything."""

from __future__ import annotations

import pytest

from planner.errors import FileError
from planner.topology.importers.detect import read
from planner.topology.importers.xml_tree import DEEPEST, MOST_ELEMENTS, parse

BOMB = """<?xml version="1.0"?>
<!DOCTYPE bomb [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<system>&b;</system>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "its document type declares things"),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>', "declares things"),
        ("<x>&a;</x>", "not well-formed XML: line 1: undefined entity"),
        ("<x><y></x>", "not well-formed XML: line 1: mismatched tag"),
        ("<x>", "not well-formed XML"),
        ("<a>" * (DEEPEST + 1), "more XML than any such file has"),
        ("<a>" + "<b/>" * MOST_ELEMENTS + "</a>", "more XML than any such file has"),
        ("<!-- nothing -->", "not well-formed XML: line 1: no element found"),
        ("<x>\ud800</x>", "not well-formed XML"),
    ],
)
def test_it_is_refused(text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        parse(text, "dump")


def test_a_document_type_that_only_names_a_file_is_let_through() -> None:
    root = parse('<!DOCTYPE topology SYSTEM "hwloc2.dtd"><topology><a b="c">d</a></topology>', "x")
    assert (root.tag, root.words("a"), root.children[0].get("b")) == ("topology", "d", "c")
    assert [element.tag for element in root.walk()] == ["topology", "a"]


def test_xml_of_another_kind_is_refused() -> None:
    with pytest.raises(FileError, match="XML of <html>, which is no known format"):
        read("<html/>", "dump")
