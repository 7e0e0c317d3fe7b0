"""Names are drawn where a font holds them, and give way to a readable spelling where none does."""

from pathlib import Path

import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure

from gistools.output import _fonts
from gistools.output._style import figure_png, style

FAMILY = "Two Characters"


@pytest.fixture
def without_chinese(monkeypatch):
    """A machine without any Chinese font."""
    monkeypatch.setattr(_fonts, "CJK_FAMILIES", ())
    monkeypatch.setattr(_fonts, "_FILE_MARKS", ())
    _fonts.forget_fonts()
    yield
    monkeypatch.undo()
    _fonts.forget_fonts()


def make_font(path: Path) -> Path:
    """A font that holds 武 and 汉 as squares of ink, and nothing else."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    box = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "wu", "han"])
    builder.setupCharacterMap({ord("武"): "wu", ord("汉"): "han"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "wu": box, "han": box})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", "wu", "han"), (1000, 0)))
    builder.setupHorizontalHeader(ascent=880, descent=-120)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def with_chinese(monkeypatch, tmp_path):
    """A machine where a font with two Chinese characters was installed after Matplotlib made its list."""
    path = make_font(tmp_path / "two-cjk.ttf")
    monkeypatch.setattr(_fonts, "CJK_FAMILIES", ("No Such Font", FAMILY))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path), str(tmp_path / "gone-cjk.ttf")])
    _fonts.forget_fonts()
    yield
    monkeypatch.undo()
    manager = font_manager.fontManager
    manager.ttflist = [entry for entry in manager.ttflist if entry.name != FAMILY]
    manager._findfont_cached.cache_clear()
    _fonts.forget_fonts()


CITIES = pd.DataFrame(
    {
        "city_code": ["420100", "420200", "420300", "420400"],
        "city_name": ["武汉", "黄石", None, "_A\nb"],
        "city_name_en": ["Wuhan", None, "Shiyan", None],
        "province": ["湖北", "湖北", "武汉", "武汉"],
    }
)


def test_without_a_font_names_give_way_to_latin_names_and_codes(without_chinese):
    assert _fonts.font_families() == (_fonts.LATIN_FAMILY,)
    assert _fonts.city_labels(CITIES) == {"420100": "Wuhan", "420200": "420200", "420300": "Shiyan", "420400": "_A b"}
    assert _fonts.count_undrawable(CITIES["city_name"]) == 3  # the line break cannot be drawn either


def test_with_a_font_names_are_drawn(with_chinese):
    assert _fonts.font_families() == (_fonts.LATIN_FAMILY, FAMILY)
    labels = _fonts.city_labels(CITIES)
    assert labels["420100"] == "武汉"
    assert labels["420200"] == "420200"  # 黄 and 石 are not in this font


def test_provinces_keep_different_names_without_a_font(without_chinese):
    labels = _fonts.province_labels(CITIES)
    assert labels == {"湖北": "codes 420100 to 420200", "武汉": "codes 420300 to 420400"}
    latin = _fonts.province_labels(CITIES.assign(province_en=["Hubei", "Hubei", "Wuhan", "Wuhan"]))
    assert latin == {"湖北": "Hubei", "武汉": "Wuhan"}


def test_a_figure_drawn_with_the_font_can_be_saved_outside_the_style(with_chinese):
    """Every text keeps its families; a warning about a missing glyph would be an error here."""

    def picture(text: str) -> bytes:
        with style():
            figure = Figure(figsize=(2, 1))
            figure.text(0.5, 0.5, text)
        figure.savefig(Path("/dev/null"), format="png")
        return figure_png(figure)

    assert picture("武汉") != picture("")
    assert picture("武汉") == picture("汉武")  # the test's font draws both as the same box


def test_the_last_resort_has_no_squares(without_chinese):
    assert _fonts.drawable("武汉", None, float("nan"), pd.NA, "") == "??"
    assert _fonts.drawable() == ""


def test_a_formula_in_a_name_is_text():
    with style():
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, r"$\undefined{$ 5")
    figure_png(figure)


def test_bold_titles_only_where_every_family_has_them(with_chinese):
    assert _fonts.title_weight() == "normal"
