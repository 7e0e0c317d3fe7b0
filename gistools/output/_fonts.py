"""Which characters can be drawn: a Chinese font where one is installed, a readable spelling where none is.

Matplotlib draws a square, and warns, for a character its fonts lack. Every name is therefore tried before it is
drawn, and gives way to its Latin spelling or to the city's code.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib import font_manager

if TYPE_CHECKING:
    from collections.abc import Iterable

LATIN_FAMILY = "DejaVu Sans"  # comes with Matplotlib

# Families that hold Chinese, the best first. Matplotlib reads only the first face of a collection, so that
# Debian's Noto Sans CJK goes by its Japanese name; the characters are the same.
CJK_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Noto Sans CJK JP",
    "Source Han Sans",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Heiti SC",
    "STHeiti",
    "SimSun",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
_FILE_MARKS = ("cjk", "notosanssc", "sourcehan", "wqy", "msyh", "simhei", "simsun", "pingfang", "heiti", "hiragino")


@cache
def font_families() -> tuple[str, ...]:
    """Families to draw with: one for Latin letters and, if one is installed, one for Chinese.

    Returns
    -------
    tuple of str
    """
    found = _installed()
    if not found:
        _add_new_fonts()
        found = _installed()
    return (LATIN_FAMILY, *found[:1])


def _installed() -> list[str]:
    have = {entry.name for entry in font_manager.fontManager.ttflist if Path(str(entry.fname)).exists()}
    return [family for family in CJK_FAMILIES if family in have]


def _add_new_fonts() -> None:
    """Take up fonts that were installed after Matplotlib made its list, which it never does by itself."""
    listed = {str(entry.fname) for entry in font_manager.fontManager.ttflist}
    for path in sorted(font_manager.findSystemFonts()):
        name = Path(path).name.lower().replace("-", "").replace(" ", "")
        if path not in listed and any(mark in name for mark in _FILE_MARKS):
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError):  # a file that is not a font, or a broken one
                continue


@cache
def title_weight() -> str:
    """Bold, where every family has a bold face: Matplotlib complains on standard error of one that lacks."""
    bold = {entry.name for entry in font_manager.fontManager.ttflist if entry.weight in (600, 700, "bold")}
    return "bold" if bold.issuperset(font_families()) else "normal"


@cache
def _characters() -> frozenset[int]:
    """Code points that the families hold."""
    held: set[int] = set()
    for family in font_families():
        path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
        held.update(font_manager.get_font(path).get_charmap())
    return frozenset(held)


def forget_fonts() -> None:
    """Look for fonts anew at the next drawing, for example after one was installed."""
    font_families.cache_clear()
    title_weight.cache_clear()
    _characters.cache_clear()


def is_drawable(text: str) -> bool:
    r"""Whether the fonts hold every character of a text.

    Examples
    --------
    >>> is_drawable("Wuhan"), is_drawable("\ue000")
    (True, False)
    """
    held = _characters()
    return all(ord(character) in held for character in text)


def drawable(*texts: object) -> str:
    r"""Return the first text that can be drawn; if none can, the last one with a question mark for what cannot.

    Parameters
    ----------
    *texts
        A name and its stand-ins, the best first; missing and empty ones are passed over.

    Returns
    -------
    str
        On one line.

    Examples
    --------
    >>> drawable("\ue000", None, "Wuhan", "420100")
    'Wuhan'
    >>> drawable("a\ue000b")
    'a?b'
    """
    given = [" ".join(str(text).split()) for text in texts if not _is_missing(text)]
    given = [text for text in given if text]
    for text in given:
        if is_drawable(text):
            return text
    return "".join(c if is_drawable(c) else "?" for c in given[-1]) if given else ""


def _is_missing(text: object) -> bool:
    return text is None or text is pd.NA or (isinstance(text, float) and text != text)  # noqa: PLR0124  (NaN)


def city_labels(table: pd.DataFrame) -> dict[str, str]:
    r"""Name each city as it can be drawn: by its name, else by its Latin name, else by its code.

    Parameters
    ----------
    table : DataFrame
        ``city_code``, and ``city_name``, ``city_name_en`` where known; a city may have several rows.

    Returns
    -------
    dict of code to label

    Examples
    --------
    >>> city_labels(pd.DataFrame({"city_code": ["1", "2"], "city_name": ["Lhasa", "\ue000"]}))
    {'1': 'Lhasa', '2': '2'}
    """
    cities = table.drop_duplicates("city_code")
    names = [cities[column] if column in cities else [None] * len(cities) for column in ("city_name", "city_name_en")]
    return {str(code): drawable(*rest, code) for code, *rest in zip(cities["city_code"], *names, strict=True)}


def province_labels(table: pd.DataFrame) -> dict[str, str]:
    r"""Name each province as it can be drawn: by its name, its Latin name, or the codes of its cities.

    Parameters
    ----------
    table : DataFrame
        ``city_code``, ``province``, and ``province_en`` where known.

    Returns
    -------
    dict of province to label

    Examples
    --------
    >>> province_labels(pd.DataFrame({"city_code": ["420100", "420200"], "province": "\ue000"}))
    {'\ue000': 'codes 42...'}
    """
    out, ranges = {}, {}
    for province, rows in table.dropna(subset=["province"]).groupby("province", sort=False):
        latin = rows["province_en"].iloc[0] if "province_en" in rows else None
        codes = sorted(set(rows["city_code"].astype(str)))
        alike = codes[0][:2] == codes[-1][:2]  # the first two digits of a Chinese code are the province's
        out[str(province)] = drawable(
            province, latin, f"codes {codes[0][:2]}..." if alike else f"codes {codes[0]} to {codes[-1]}"
        )
        ranges[str(province)] = f"codes {codes[0]} to {codes[-1]}"
    doubled = {label for label in out.values() if list(out.values()).count(label) > 1}
    return {name: ranges[name] if label in doubled else label for name, label in out.items()}


def count_undrawable(names: Iterable[object]) -> int:
    r"""Count the names that the fonts cannot draw.

    Examples
    --------
    >>> count_undrawable(["Lhasa", "\ue000"])
    1
    """
    return sum(not is_drawable(str(name)) for name in names if not _is_missing(name))
