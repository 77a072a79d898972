"""Small XML files from anywhere: elements and their text, no DTD, no entities of their own, nothing fetched."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import List, Optional
from xml.parsers import expat

from fullconv.lib.dataset.errors import DatasetError

MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS = 1 << 24, 32, 200_000
"""A file with more is no annotation of a picture."""


@dataclass
class Element:
    """name, text inside of it (stripped), elements inside of it in their order."""

    name: str
    text: str = ""
    children: List[Element] = field(default_factory=list)

    def all(self, name: str) -> List[Element]:
        """The children of a name."""
        return [child for child in self.children if child.name == name]

    def find(self, path: str) -> Optional[Element]:
        """The first element at `a/b/c` below this one; None where there is none."""
        here: Optional[Element] = self
        for name in path.split("/"):
            here = next(iter(here.all(name)), None) if here is not None else None
        return here


class _Refused(Exception):
    """A part of XML that could make a reader expand, fetch or recurse without end."""


class _Builder:
    """Puts elements together as expat meets them."""

    def __init__(self) -> None:
        self.open: List[Element] = [Element("")]
        # Pieces of text by depth, joined at the end: adding each to what there is takes time with its square.
        self.texts: List[List[str]] = [[]]
        self.count = 0

    def start(self, name: str, _: dict) -> None:
        if len(self.open) > MAX_DEPTH:
            raise _Refused(f"elements inside of each other, more than {MAX_DEPTH} deep")
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise _Refused(f"more than {MAX_ELEMENTS} elements")
        element = Element(name)
        self.open[-1].children.append(element)
        self.open.append(element)
        self.texts.append([])

    def end(self, _: str) -> None:
        element = self.open.pop()
        element.text = "".join(self.texts.pop()).strip()

    def text(self, text: str) -> None:
        self.texts[-1].append(text)


def read_xml(path: str) -> Element:
    """The root element of a file.

    Raises DatasetError: no such file, too large, not XML, or with a DTD, from which entities that grow without end or
    name other files would come.
    """
    if not os.path.isfile(path):
        raise DatasetError(f"{path}: no such annotation file")
    if os.path.getsize(path) > MAX_BYTES:
        raise DatasetError(f"{path}: {os.path.getsize(path)} bytes are too many for the annotation of one image")
    with open(path, "rb") as file:
        data = file.read()
    builder, parser = _Builder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse_dtd
    try:
        parser.Parse(data, True)
    except _Refused as error:
        raise DatasetError(f"{path}: refused, it has {error}: write it anew, as labelling tools do") from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DatasetError(f"{path}: not an XML file ({error}): write it again") from None
    return builder.open[0].children[0]


def _refuse_dtd(*_: object) -> None:
    raise _Refused("a DTD (<!DOCTYPE or <!ENTITY)")
