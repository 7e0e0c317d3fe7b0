"""What the cells of a land-market record say: text, numbers with units, limits of the floor-area ratio."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gistools.checks import closest
from gistools.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Cells that say nothing, whoever wrote them: Excel, pandas, databases, and clerks.
_NOTHING = frozenset({"", "nan", "none", "null", "nat", "<na>", "n/a", "#n/a", "na", "-", "--", "—", "——", "/", "无"})

# What one unit is in hectares; names as NFKC leaves them in lower case (㎡ and m² are m2).
AREA_UNITS: dict[str, float] = {
    **dict.fromkeys(("公顷", "ha", "hm2", "hectare", "hectares"), 1.0),
    **dict.fromkeys(("平方米", "平米", "m2", "sqm", "sq.m", "squaremetres", "squaremeters"), 1e-4),
    **dict.fromkeys(("万平方米", "万平米", "万m2"), 1.0),
    **dict.fromkeys(("亩", "市亩", "mu"), 1 / 15),
    "万亩": 10_000 / 15,
    **dict.fromkeys(("平方公里", "平方千米", "km2"), 100.0),
}
# What one unit is in 10,000 yuan.
PRICE_UNITS: dict[str, float] = {
    **dict.fromkeys(("万元", "万", "万元人民币", "人民币万元", "10kyuan", "10000yuan"), 1.0),
    **dict.fromkeys(("元", "元人民币", "人民币元", "yuan", "rmb", "cny"), 1e-4),
    **dict.fromkeys(("亿元", "亿"), 1e4),
    "millionyuan": 100.0,
}

_PLAIN = r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(rf"(?P<number>[+-]?(?:{_DIGITS})(?:e[+-]?\d+)?)(?P<unit>[^\d\s].*)?")


def text_values(values: pd.Series) -> pa.Array:
    """Cells as text without blanks around them; cells that say nothing (``""``, ``NaN``, ``—``, ``无``) are null.

    Parameters
    ----------
    values : Series
        Of any kind. Whole numbers are written without a decimal point.

    Returns
    -------
    pyarrow.Array of string

    Examples
    --------
    >>> text_values(pd.Series([" 一级 ", "", "—", None, 110000.0], dtype=object)).to_pylist()
    ['一级', None, None, None, '110000']
    """
    if isinstance(values.dtype, pd.StringDtype) or pd.api.types.is_string_dtype(values):
        array = pa.array(values, type=pa.string(), from_pandas=True)
    else:
        cells = zip(values.astype(object), values.isna(), strict=True)
        array = pa.array([None if missing else _written(cell) for cell, missing in cells], pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    array = pc.utf8_trim_whitespace(array)
    # Excel's mark that digits are text
    array = pc.utf8_trim_whitespace(pc.utf8_ltrim(array, characters="'\ufeff"))
    said = pc.invert(pc.is_in(pc.utf8_lower(array), value_set=pa.array(sorted(_NOTHING))))
    return pc.if_else(pc.fill_null(said, False), array, pa.scalar(None, pa.string()))


def _written(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def code_text(values: pd.Series) -> pd.Series:
    """Codes as text: no blanks around them, and no ``.0`` where a spreadsheet took them for numbers.

    Parameters
    ----------
    values : Series
        Codes of cities or ids, of any kind.

    Returns
    -------
    Series of str
        On the same index; missing where there is none.

    Examples
    --------
    >>> code_text(pd.Series(["110000.0", " 010100", "", None, "a.0"])).tolist()
    ['110000', '010100', nan, nan, 'a.0']
    """
    text = pc.replace_substring_regex(text_values(values), r"^(\d+)\.0+$", r"\1")
    return text.to_pandas().astype("str").set_axis(values.index)


def map_values(text: pa.Array, function: Callable[[str], Any], missing: Any, dtype: Any) -> NDArray:
    """Answer of a function for every cell, asked once for each different text.

    Parameters
    ----------
    text : pyarrow.Array of string
    function : callable
        Takes a text.
    missing : object
        The answer where there is no text.
    dtype : dtype
        Of the answers.

    Returns
    -------
    array

    Examples
    --------
    >>> map_values(pa.array(["a", None, "bb", "a"]), len, 0, np.int64).tolist()
    [1, 0, 2, 1]
    """
    encoded = pc.dictionary_encode(text)
    answers = np.empty(len(encoded.dictionary) + 1, dtype=dtype)
    for k, value in enumerate(encoded.dictionary.to_pylist()):
        answers[k] = function(value)
    answers[-1] = missing
    codes = pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return answers[codes]


def as_numbers(values: pd.Series) -> NDArray[np.float64]:
    """Read numbers from a column of text: full-width digits and thousands' commas are understood.

    Parameters
    ----------
    values : Series
        Numbers or text.

    Returns
    -------
    array of float
        NaN where there is no number.

    Examples
    --------
    >>> as_numbers(pd.Series(["１１６．５", " 39.9 ", "1,204.5", "", "unknown", None])).tolist()
    [116.5, 39.9, 1204.5, nan, nan, nan]
    """
    return _with_units(values, {}, 1.0)


def areas_ha(values: pd.Series, unit: str = "公顷") -> NDArray[np.float64]:
    """Read areas and give them in hectares.

    Parameters
    ----------
    values : Series
        Numbers or text: ``"2.5"``, ``"25,000平方米"``, ``"３亩"``.
    unit : str
        Of bare numbers: a name of `AREA_UNITS`.

    Returns
    -------
    array of float, ha
        NaN where there is no area. 1 mu is 1/15 ha.

    Raises
    ------
    InputError
        If `unit` is not known.

    Examples
    --------
    >>> areas_ha(pd.Series(["2.5", "25,000㎡", "１５亩", "0.3平方公里", "12万元"])).tolist()
    [2.5, 2.5, 1.0, 30.0, nan]
    >>> areas_ha(pd.Series(["25000", "2.5公顷"]), unit="平方米").tolist()
    [2.5, 2.5]
    """
    return _with_units(values, AREA_UNITS, _factor(unit, AREA_UNITS))


def prices_10k_yuan(values: pd.Series, unit: str = "万元") -> NDArray[np.float64]:
    """Read prices and give them in 10,000 yuan.

    Parameters
    ----------
    values : Series
        Numbers or text: ``"1,313.61"``, ``"1.2亿元"``. A price by area (``元/平方米``) is not a price of the land.
    unit : str
        Of bare numbers: a name of `PRICE_UNITS`.

    Returns
    -------
    array of float, 10,000 yuan
        NaN where there is no price.

    Raises
    ------
    InputError
        If `unit` is not known.

    Examples
    --------
    >>> prices_10k_yuan(pd.Series(["1,313.61", "1.2亿元", "￥５０００００元", "300元/平方米"])).tolist()
    [1313.61, 12000.0, 50.0, nan]
    """
    return _with_units(values, PRICE_UNITS, _factor(unit, PRICE_UNITS))


def _factor(unit: str, units: Mapping[str, float]) -> float:
    name = plain_text(unit)
    if name not in units:
        raise InputError(
            f"{unit!r} is not a unit of this quantity{closest(name, units)}; known are {', '.join(units)}"
        )
    return units[name]


def plain_text(text: str) -> str:
    """A text for comparing: NFKC (full-width letters and digits become plain), lower case, no blanks."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text)).lower()


def _with_units(values: pd.Series, units: Mapping[str, float], bare: float) -> NDArray[np.float64]:
    """Numbers times the factor of the unit they carry; of the column's own where they are bare."""
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return np.full(len(values), np.nan)
    if pd.api.types.is_numeric_dtype(values):
        return _finite(bare * values.to_numpy(np.float64, na_value=np.nan))
    text = text_values(values)
    numbers, rest = _plain_numbers(text)
    numbers *= bare

    def read(cell: str) -> float:
        match = _NUMBER.fullmatch(re.sub(r"^(rmb|cny|人民币|¥)", "", plain_text(cell)))
        if match is None:
            return np.nan
        unit = match["unit"]
        factor = bare if unit is None else units.get(unit)
        return np.nan if factor is None else float(match["number"].replace(",", "")) * factor

    others = map_values(rest, read, np.nan, np.float64)
    return _finite(np.where(np.isnan(numbers), others, numbers))


def _finite(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers with NaN in the place of infinite ones, as 1e400 reads: one of them would spoil every sum."""
    return np.where(np.isinf(numbers), np.nan, numbers)


def _plain_numbers(text: pa.Array) -> tuple[NDArray[np.float64], pa.Array]:
    """Cells that are plain numbers, the quick way, and the text of the others."""
    plain = pc.fill_null(pc.match_substring_regex(text, _PLAIN), False)
    nothing = pa.scalar(None, pa.string())
    numbers = pc.cast(pc.if_else(plain, text, nothing), pa.float64())
    return (
        pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False).copy(),
        pc.if_else(plain, nothing, text),
    )


# Words of a limit; longer ones first, "≤" of whatever is left to read last.
_SIGNS = (
    (r"[（(\[【](?:不?含[^）)\]】]*|include[sd]?|inclusive)[）)\]】]", ""),
    (r"大于或?等于|不小于|不低于|不少于|不得低于|不得小于|atleast|nolessthan|notlessthan|≧|⩾|>=|=>", "≥"),
    (
        r"小于或?等于|不大于|不高于|不超过|不多于|不得超过|不得高于|不得大于|atmost|nomorethan|notmorethan|notexceeding|upto|≦|⩽|<=|=<",
        "≤",
    ),
    (r"大于|高于|超过", ">"),
    (r"小于|低于", "<"),
    (r"建筑容积率|容积率|plotratio|far|r(?![a-z])", "x"),
    (r"并且|同时|而且|and|[且并和、，,;；&]", "&"),
    (r"[~～∼至到—–－−]+|-{2,}", "-"),
)
_N = r"(\d+(?:\.\d+)?%?)"
_RANGE = re.compile(rf"x?{_N}-{_N}")
_BARE = re.compile(rf"x?{_N}")
_BETWEEN = re.compile(rf"{_N}([<≤>≥])x([<≤>≥]){_N}")
_ONE = re.compile(rf"x?([<≤>≥]){_N}|{_N}(?:\(含\))?(以上|以下|以内)")


def floor_area_limits(values: pd.Series, bare: str = "upper") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read limits of the floor-area ratio.

    Parameters
    ----------
    values : Series
        Numbers or text as records write it: ``"2.5"``, ``"≤2.5"``, ``"不大于2.5"``, ``"1.0-2.5"``, ``"1<r≤2.5"``,
        ``"2.5（含）"``, ``"大于1并且小于2.5"``, ``"250%"``.
    bare : str
        What a number without a sign is: the ``"upper"`` limit or the ``"lower"`` one.

    Returns
    -------
    lower, upper : arrays of float
        NaN where the text gives no such limit. A text with two limits of one side (``"住宅≤2，商业≤3"``) gives
        none: it is not known which is meant.

    Examples
    --------
    >>> lower, upper = floor_area_limits(pd.Series(["2.5", "≥1.0", "1<R≤２．５", "大于1并且小于2.5", "详见合同"]))
    >>> lower.tolist(), upper.tolist()
    ([nan, 1.0, 1.0, 1.0, nan], [2.5, nan, 2.5, 2.5, nan])
    """
    if bare not in ("upper", "lower"):
        raise InputError(f"bare is {bare!r}, but must be one of upper, lower")
    nothing = np.full(len(values), np.nan)
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return nothing, nothing.copy()
    if pd.api.types.is_numeric_dtype(values):
        numbers, rest = _finite(values.to_numpy(np.float64, na_value=np.nan)), None
    else:
        numbers, rest = _plain_numbers(text_values(values))
        numbers = _finite(numbers)
    limits = {"lower": nothing, "upper": nothing.copy()}
    limits[bare] = numbers
    if rest is not None and rest.null_count < len(rest):
        pairs = map_values(rest, lambda cell: complex(*_limits(cell, bare)), complex(np.nan, np.nan), np.complex128)
        found = rest.is_valid().to_numpy(zero_copy_only=False)
        limits["lower"] = np.where(found, pairs.real, limits["lower"])
        limits["upper"] = np.where(found, pairs.imag, limits["upper"])
    return limits["lower"], limits["upper"]


def _limits(cell: str, bare: str) -> tuple[float, float]:
    """Lower and upper limit of one text."""
    text = plain_text(cell)
    for words, sign in _SIGNS:
        text = re.sub(words, sign, text)
    text = re.sub(r"^x[:=]", "x", text)
    text = re.sub(r"(?<=[\d%])(?=[<≤>≥]\d)", "&", text)  # 不低于1不高于2.5
    if match := _BARE.fullmatch(text):
        value = _ratio(match[1])
        return (value, np.nan) if bare == "lower" else (np.nan, value)
    if match := _RANGE.fullmatch(text):
        return _ratio(match[1]), _ratio(match[2])
    if match := _BETWEEN.fullmatch(text):
        first, left, right, second = match.groups()
        if left in "<≤" and right in "<≤":
            return _ratio(first), _ratio(second)
        if left in ">≥" and right in ">≥":
            return _ratio(second), _ratio(first)
        return np.nan, np.nan
    found: dict[str, float] = {}
    for part in re.split(r"&|(?<=以上)|(?<=以下)|(?<=以内)", text):
        if not part:
            continue
        match = _ONE.fullmatch(part)
        if match is None:
            return np.nan, np.nan
        side = "lower" if (match[1] or match[4]) in (">", "≥", "以上") else "upper"
        if side in found:
            return np.nan, np.nan
        found[side] = _ratio(match[2] or match[3])
    return found.get("lower", np.nan), found.get("upper", np.nan)


def _ratio(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)
