"""Kinds of records: how land was transferred, what it is for, whether it lies in municipal districts, its grade."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gistools.parcels.divisions import china_divisions
from gistools.parcels.values import map_values, plain_text, text_values

# Kinds a rule tells apart; NOTHING where the cell is empty.
NOTHING, KEPT_KIND, OTHER, MIXED, UNKNOWN = range(5)

MODES = ("招标", "拍卖", "挂牌", "招拍挂", "tender", "bidding", "auction", "listing")
# Text that names one of the modes but is no grant by it.
_NO_GRANT = re.compile(r"租赁|协议|划拨|流拍|未成交|中止|终止|lease|agreement|failed")
_MODE_NAMES = {
    "招标": "招标出让",
    "拍卖": "拍卖出让",
    "挂牌": "挂牌出让",
    "tender": "招标出让",
    "bidding": "招标出让",
    "auction": "拍卖出让",
    "listing": "挂牌出让",
}

# Every category of housing of the land market's lists holds one of these; its codes for them are 07, 071 to 077.
USES = ("住宅", "住房", "居住", "residential", "housing", "dwelling")
_USE_CODE = re.compile(r"07[1-7]?")
_NO_HOUSING = re.compile(r"非住宅|非居住|non-?residential")
_MIXED = re.compile(
    r"商住|住商|混合|综合|mixed|商业|商服|商务|金融|办公|写字|零售|批发|旅馆|酒店|餐饮|娱乐|工业|工矿|仓储|科研|科教|教育|医疗|医卫"
    r"|文体|设施|commerc|office|retail|hotel|industr|warehouse"
)

# Districts' and zones' words. A zone may also lie in a county; 地区, 林区 and 特区 end like districts and are none.
_ZONE = re.compile(
    r"(?:开发区|高新区|经开区|产业区|园区|新区|示范区|保税区|管理区|度假区|风景区|实验区|试验区|合作区|加工区|功能区|集聚区)$"
)
_OWN_LEVEL = re.compile(r"(?:市)?(?:市本级|本级|市辖区)$")
_ELSEWHERE = re.compile(
    r"(?:县|旗|州|盟|省|自治区|地区|神农架林区|六枝特区|特别行政区|county|banner|prefecture|province)$"
)
_MUNICIPALITIES = ("110000", "120000", "310000", "500000")  # directly under the state
_WHOLE_CITIES = ("东莞市", "中山市", "嘉峪关市", "儋州市", "三沙市")  # prefecture-level, without districts


def transfer_modes(values: pd.Series, kept: Iterable[str] = MODES) -> tuple[NDArray[np.int8], NDArray[np.object_]]:
    """Tell which records were granted by one of the kept modes, and name the modes alike.

    Parameters
    ----------
    values : Series
        Text of the column 供地方式.
    kept : iterable of str
        Words of the modes to keep.

    Returns
    -------
    kinds : array of int8
        `KEPT_KIND`, `OTHER` or, without text, `NOTHING`.
    names : array of object
        招标出让, 拍卖出让 or 挂牌出让 however the record writes it; other texts as they are.

    Examples
    --------
    >>> kinds, names = transfer_modes(pd.Series(["挂牌出让", "listing", "网上挂牌", "协议出让", "挂牌租赁", ""]))
    >>> kinds.tolist(), names.tolist()
    ([1, 1, 1, 2, 2, 0], ['挂牌出让', '挂牌出让', '挂牌出让', '协议出让', '挂牌租赁', None])
    """
    words = tuple(plain_text(word) for word in kept)

    def kind(cell: str) -> int:
        text = plain_text(cell)
        listed = any(word in text for word in words)
        # a mode the user asks for is kept although it is none of the three
        return KEPT_KIND if listed and not (_NO_GRANT.search(text) and not _asked(text, words)) else OTHER

    def name(cell: str) -> str:
        text = plain_text(cell)
        named = {long for word, long in _MODE_NAMES.items() if word in text}
        return named.pop() if len(named) == 1 and not _NO_GRANT.search(text) else cell

    text = text_values(values)
    return map_values(text, kind, NOTHING, np.int8), map_values(text, name, None, object)


def _asked(text: str, words: Iterable[str]) -> bool:
    return any(word in text and _NO_GRANT.search(word) for word in words)


def land_uses(values: pd.Series, kept: Iterable[str] = USES) -> NDArray[np.int8]:
    """Tell which records are for the kept uses alone, for these and others, or for others.

    Parameters
    ----------
    values : Series
        Text of the column 土地用途, or its codes.
    kept : iterable of str
        Words of the uses to keep. By default those of housing, of every kind.

    Returns
    -------
    array of int8
        `KEPT_KIND`, `MIXED` (商住用地, 住宅及商业), `OTHER` or, without text, `NOTHING`.

    Examples
    --------
    >>> land_uses(pd.Series(["普通商品住房用地", "072", "商住用地", "工业用地", "农村宅基地", ""])).tolist()
    [1, 1, 3, 2, 2, 0]
    """
    words = tuple(plain_text(word) for word in kept)
    housing = set(words) >= {plain_text(word) for word in USES}

    def kind(cell: str) -> int:
        text = plain_text(cell)
        if housing and _USE_CODE.fullmatch(text):
            return KEPT_KIND
        listed = any(word in text for word in words)
        if housing and _NO_HOUSING.search(text):
            return OTHER
        # what names a kept use is taken out, so that 商业 asked for does not make itself mixed
        rest = functools.reduce(lambda left, word: left.replace(word, ""), words, text)
        if listed:
            return MIXED if _MIXED.search(rest) else KEPT_KIND
        return MIXED if housing and re.search(r"商住|住商|混合|mixed", text) else OTHER

    return map_values(text_values(values), kind, NOTHING, np.int8)


@functools.cache
def municipalities() -> frozenset[str]:
    """Names of the cities of prefecture level and above: the four municipalities and the prefecture-level cities.

    Returns
    -------
    frozenset of str
        All that were such cities in some year from 2000 on, under each of their names.

    Examples
    --------
    >>> {"武汉市", "上海市", "襄樊市"} <= municipalities(), "昆山市" in municipalities()
    (True, False)
    """
    units = china_divisions().table
    whole = (units["level"] == "city") | units["code"].isin(_MUNICIPALITIES)
    return frozenset(units.loc[whole & units["name"].str.endswith("市"), "name"])


def municipal_districts(values: pd.Series) -> NDArray[np.int8]:
    """Tell which records lie in the districts of a city, by the text of their administrative district.

    Parameters
    ----------
    values : Series
        Text of the column 行政区, with or without province and city before it.

    Returns
    -------
    array of int8
        `KEPT_KIND`: districts (区), a city's own level (市本级, 市辖区), its development zones. `OTHER`: counties
        (县), county-level cities, banners (旗) and their zones, prefectures and provinces. `UNKNOWN`: no such word.
        `NOTHING`: no text.

    Examples
    --------
    >>> texts = ["武汉市江岸区", "浦东新区", "武汉市本级", "长沙县", "苏州市昆山市", "土默特左旗", "江岸", None]
    >>> municipal_districts(pd.Series(texts)).tolist()
    [1, 1, 1, 2, 2, 2, 4, 0]
    """
    return map_values(text_values(values), _district, NOTHING, np.int8)


def _district(cell: str) -> int:
    text = plain_text(cell).strip("()")
    text = re.sub(r"^[^市县]{2,8}?(?:省|自治区)(?=.)", "", text)  # the province before
    if own := _OWN_LEVEL.search(text):
        head = text[: own.start()]
        if head in ("", "市"):
            return KEPT_KIND
        text = head if head.endswith(("市", "州", "县", "区", "旗", "盟")) else f"{head}市"
    if _ELSEWHERE.search(text):
        return OTHER
    if text.endswith("市"):
        return KEPT_KIND if text in municipalities() else OTHER
    if zone := _ZONE.search(text):
        return _zone(text[: zone.start()])
    if text.endswith(("区", "district")):
        return KEPT_KIND
    town = text.endswith(("镇", "乡", "街道")) and text.startswith(_WHOLE_CITIES)
    return KEPT_KIND if town else UNKNOWN


def _zone(before: str) -> int:
    """A development zone: of a city, or of the county or county-level city named before it."""
    if re.search(r"[县旗](?!区)", before):  # 赣县区 is a district
        return OTHER
    city = re.match(r"(.+?市)(.+市)?", before)
    if city is None:
        return KEPT_KIND
    return OTHER if city[2] or city[1] not in municipalities() else KEPT_KIND


_GRADE = re.compile(r"(?:第)?([一二三四五六七八九十]{1,3}|\d{1,2}|[ivx]{1,5})级?(?:地|地段|土地)?")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
_CHINESE = "零一二三四五六七八九"


def land_grades(values: pd.Series) -> NDArray[np.object_]:
    """Name the grades of land alike: 一级 for 1, 1级, Ⅰ级 and 一级地; other texts stay as they are.

    Parameters
    ----------
    values : Series
        Text of the column 土地级别, or numbers.

    Returns
    -------
    array of object
        None where there is no text.

    Examples
    --------
    >>> land_grades(pd.Series(["一级", "Ⅱ级", "3", "十二级", "12", "未定级", ""])).tolist()
    ['一级', '二级', '三级', '十二级', '十二级', '未定级', None]
    """

    def name(cell: str) -> str:
        match = _GRADE.fullmatch(plain_text(cell))
        if match is None:
            return cell
        text = match[1]
        if text in _ROMAN:
            text = str(_ROMAN.index(text) + 1)
        if not text.isdigit():
            return cell if text[0] in "ivx" else f"{text}级"
        number = int(text)
        if not 1 <= number <= 99:
            return cell
        tens, ones = divmod(number, 10)
        spelt = ("" if tens == 0 else "十" if tens == 1 else _CHINESE[tens] + "十") + (_CHINESE[ones] if ones else "")
        return f"{spelt}级"

    return map_values(text_values(values), name, None, object)
