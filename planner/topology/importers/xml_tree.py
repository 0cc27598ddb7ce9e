"""XML that may be hostile, as a tree of bounded size: no entities, no nesting without end.

A document type that only names a file (`SYSTEM "nvsmi_device_v12.dtd"`) is let through and not
fetched; one with declarations of its own is refused before they are read, so no entity can grow or
reach a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from planner.errors import FileError

MOST_ELEMENTS = 200_000
DEEPEST = 64
LONGEST_TEXT = 1_000
"""Characters that are kept of the text of an element."""
_HINT = "give the file as the tool wrote it"


@dataclass
class Element:
    """One element: its name, attributes, text directly in it, and elements in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def get(self, name: str) -> str:
        """An attribute, or the empty string."""
        return self.attributes.get(name, "")

    def child(self, tag: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.tag == tag), None)

    def all(self, tag: str) -> list[Element]:
        """Children of that name."""
        return [child for child in self.children if child.tag == tag]

    def words(self, *path: str) -> str:
        """Text at the end of a path of child names, or the empty string."""
        found: Element | None = self
        for tag in path:
            found = found.child(tag) if found is not None else None
        return found.text.strip() if found is not None else ""

    def walk(self) -> Iterator[Element]:
        """This element and all in it, in document order."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))


def parse(text: str, where: str) -> Element:
    """The outermost element of `text`.

    Raises:
        FileError: no well-formed XML, declarations in its document type, or too large or too deep.
    """
    reader = _Reader(where)
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise FileError(
            f"{where}: not well-formed XML: line {error.lineno}: {reason}", hint=_HINT
        ) from error
    if reader.root is None:
        raise FileError(f"{where}: no XML element in it", hint=_HINT)
    return reader.root


class _Reader:
    """Builds the tree while the parser reads."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.root: Element | None = None
        self.open: list[Element] = []
        self.elements = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if self.elements > MOST_ELEMENTS or len(self.open) >= DEEPEST:
            raise FileError(f"{self.where}: more XML than any such file has", hint=_HINT)
        element = Element(tag=tag, attributes=attributes)
        if self.open:
            self.open[-1].children.append(element)
        elif self.root is None:
            self.root = element
        self.open.append(element)

    def end(self, tag: str) -> None:
        del tag
        self.open.pop()

    def data(self, text: str) -> None:
        element = self.open[-1] if self.open else None
        if element is not None and not element.children and len(element.text) < LONGEST_TEXT:
            element.text += text[:LONGEST_TEXT]

    def doctype(self, name: str, system: str | None, public: str | None, inside: bool) -> None:
        del name, system, public
        if inside:
            raise FileError(f"{self.where}: its document type declares things", hint=_HINT)
