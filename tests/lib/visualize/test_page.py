"""The page of pictures: whole, escaped, sorted, and no picture overwrites another."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from fullconv.lib.visualize.page import Picture, write_page

GREY = np.full((60, 80, 3), 128, dtype=np.uint8)


class Page(HTMLParser):
    """Links, and the qualities and names of the figures, in order."""

    def __init__(self, text):
        super().__init__()
        self.links, self.names, self.qualities, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[key] for key in ("href", "src") if key in values]
        if tag == "figure":
            self.names.append(values["data-name"])
            self.qualities.append(float(values["data-quality"]))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_nothing_is_overwritten_when_names_repeat(tmp_path):
    names = ["x/a.jpg", "y/a.jpg", "A.png", "..", "ü?.jpg"]
    page = write_page(tmp_path, (Picture(name, GREY, "") for name in names), "<title>")
    links = set(Page(page.read_text()).links)
    assert len(links) == len(names) == len(list((tmp_path / "images").iterdir()))
    assert "&lt;title&gt;" in page.read_text() and not Page(page.read_text()).open


def test_worst_first_then_by_name(tmp_path):
    judged = [("b", 1.0), ("a", 1.0), ("c <&>", 0.25), ("d", None)]
    page = write_page(tmp_path, (Picture(name, GREY, "<found>", q) for name, q in judged), "t")
    content = Page(page.read_text())
    assert content.names == ["c <&>", "a", "b", "d"] and content.qualities == [0.25, 1, 1, 1]
    assert not content.open and "<found>" not in page.read_text() and "c <&>" not in page.read_text()


def test_an_empty_page(tmp_path):
    assert "0 pictures" in write_page(tmp_path, [], "nothing").read_text()
