"""The page: whole, and without anything from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import perceptum as pc
from perceptum.evaluation.charts import histogram, line_chart
from perceptum.evaluation.page import report
from perceptum.problems import Curve

VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Keeps what a page opens and closes, its texts, and what it links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.texts, self.sources = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "action", "data", "poster")]

    def handle_startendtag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="session")
def found(problem, drive, counts):
    def fails_once(ego_pose, calls=[]):  # noqa: B006
        calls.append(0)
        if len(calls) == 2:
            raise RuntimeError("<script>alert(1)</script>")
        return 74.0

    models = [counts("steady & good", lambda ego_pose: 75.0), counts("<b>wild</b>", fails_once)]
    return pc.evaluate(problem, drive, models)


def test_the_page_is_whole_and_links_to_nothing(found):
    page = report(found, {3: b"\x89PNG"})
    outline = Outline(page)
    assert outline.open == []
    assert all(source.startswith("data:image/png;base64,") for source in outline.sources)
    assert "<script" not in page
    assert not re.search(r"https?://|url\(|@import", page)


def test_the_page_says_all_that_the_evaluation_does(found):
    texts = Outline(report(found)).texts
    for wanted in ("steady & good", "<b>wild</b>", "Classes", "Curves", "sorted errors", "reading and building"):
        assert any(wanted in text for text in texts), wanted
    assert any("The models were not judged on the same frames" in text for text in texts)
    assert any("<script>alert(1)</script>" in text for text in texts)
    assert any("1 answer that could not be judged" in text for text in texts)


def test_charts_are_xml_with_gaps_where_a_value_is_not_known():
    x = np.arange(5.0)
    svg = line_chart("a < b", {"m": Curve(x, np.array([0, 1, np.nan, 1, 0.5]), "x", "y")}, {"m": "red"})
    path = ElementTree.fromstring(svg).find("path")
    assert path is not None
    assert re.sub("[^ML]", "", path.get("d")) == "MLML"
    for values in ({"m": [1.0, 1.0]}, {"m": []}, {"m": [1.0, 5.0], "n": [2.0]}):
        ElementTree.fromstring(histogram("times", values, dict.fromkeys(values, "red"), "ms"))
