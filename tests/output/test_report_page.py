"""The report page: escaped, offline, folded where long, its pictures inside."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Drawing
from run_factory import HOSTILE, make_fits

from gistools.errors import InputError
from gistools.output.figures import figure_png
from gistools.output.report import (
    Facts,
    Figure,
    Formula,
    Heading,
    Link,
    ModelTable,
    Notes,
    Paragraph,
    Section,
    Table,
    render_report,
)
from gistools.output.tables import regression_table

PNG = figure_png(Drawing(figsize=(2, 1)))
FITS = make_fits()
TABLE = pd.DataFrame(
    {HOSTILE: [HOSTILE, None], "count": [12345, 2013], "share": [0.12345, np.nan], "yes": [True, False]}
)
SECTIONS = [
    Section(
        HOSTILE,
        [
            Heading(HOSTILE),
            Paragraph(HOSTILE),
            Formula(HOSTILE, HOSTILE),
            Facts(((HOSTILE, HOSTILE, HOSTILE),)),
            Notes((HOSTILE,), "failure", HOSTILE),
            Notes((HOSTILE,), "note", HOSTILE),
            Table(TABLE, HOSTILE),
            Figure(PNG, '"><script>alert(2)</script>'),
            Link(HOSTILE, "map.html?<script>"),
            ModelTable(regression_table(FITS, names=[HOSTILE, "b", "c"]), HOSTILE),
        ],
    ),
    Section("Second", []),
    Section("Second", []),
]


class Elements(HTMLParser):
    """Elements of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page():
    return render_report(HOSTILE, SECTIONS, meta={HOSTILE: HOSTILE})


def test_no_text_becomes_markup(page):
    found = Elements(page)
    tags = {tag for tag, _ in found.elements}
    assert "script" not in tags
    assert not any(name.startswith("on") for _, attrs in found.elements for name in attrs)
    assert found.text.count("alert(1)") >= 12


def test_nothing_is_asked_of_any_network(page):
    for tag, attrs in Elements(page).elements:
        assert tag not in ("link", "iframe", "object", "embed", "form", "base")
        for name in ("src", "href", "action", "srcset", "data", "poster", "background"):
            if name in attrs:
                assert re.match(r"#|data:image/png;base64,|map\.html", attrs[name]), (tag, attrs[name][:60])
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page


def test_the_contents_lead_to_every_section(page):
    found = Elements(page).elements
    ids = [attrs["id"] for tag, attrs in found if tag == "section"]
    assert ids == ["script-alert-1-script", "second", "second-2"]
    assert [attrs["href"] for tag, attrs in found if tag == "a" and attrs["href"][0] == "#"] == [f"#{i}" for i in ids]


def test_pictures_are_inside_whole_and_described(page):
    (image,) = (attrs for tag, attrs in Elements(page).elements if tag == "img")
    assert base64.b64decode(image["src"].split(",")[1]) == PNG
    assert image["alt"] == '"><script>alert(2)</script>'


def test_numbers_are_rounded_for_reading_and_missing_ones_empty():
    page = render_report("T", [Section("S", [Table(TABLE, decimals={"share": 1})])], meta={})
    rows = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert rows[1:] == ["12,345", "0.1", "yes", "", "2,013", "", "no"]
    assert 'class="num">12,345' in page


def test_years_are_not_parted_like_counts():
    table = pd.DataFrame({"year": [2013], "start_year": [2006], "years": [1500], "cells": [2013]})
    page = render_report("T", [Section("S", [Table(table)])], meta={})
    assert re.findall(r"<td[^>]*>(.*?)</td>", page) == ["2013", "2006", "1,500", "2,013"]


def test_long_texts_break_between_words_and_hashes_anywhere():
    table = pd.DataFrame({"text": ["no coordinates: 460; impossible: 18", "ab" * 32, "short"]})
    page = render_report("T", [Section("S", [Table(table)])], meta={})
    assert re.findall(r'<td class="(\w+)">', page) == ["wrap", "hash", "short"]


def test_long_tables_fold_and_an_index_with_a_name_is_a_column():
    frame = pd.DataFrame({"x": range(20)}, index=pd.Index(range(20), name="row"))
    page = render_report("T", [Section("S", [Table(frame, "Many"), Table(frame.head(3), "Few")])], meta={})
    assert page.count("<details>") == 1
    assert "<summary>Many (20 rows)</summary>" in page
    assert page.count(">row</th>") == 2


def test_a_report_is_the_same_each_time(page):
    assert render_report(HOSTILE, SECTIONS, meta={HOSTILE: HOSTILE}) == page


@pytest.mark.parametrize("path", ["https://example.org/", "//example.org", "javascript:alert(1)", "/etc/passwd"])
def test_links_lead_to_files_beside_the_report_alone(path):
    with pytest.raises(InputError, match="files beside it"):
        Link("x", path)


def test_what_is_no_picture_and_no_tone_is_refused():
    with pytest.raises(InputError, match="PNG"):
        Figure(b"<svg/>", "x")
    with pytest.raises(InputError, match="tone is 'error'"):
        Notes(("x",), "error")
