"""Land transactions as the land market's web pages give them: Chinese headers, free text, dirt and doubles."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from gistools.grid import GEOD, geodesic_km
from gistools.study.sample._parameters import Parameters
from gistools.study.sample._places import Places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# cap = effect of the city-year + AREA ha + DISTANCE km + MODE + GRADE + a normal shock
AREA_EFFECT, DISTANCE_EFFECT, SHOCK = -0.02, -0.03, 0.2
MODE_EFFECT = {"挂牌出让": 0.0, "拍卖出让": 0.10, "招标出让": -0.05}
MODE_SHARE = (0.7, 0.2, 0.1)
GRADE_EFFECT = {"一级": 0.0, "二级": -0.05, "三级": -0.10, "四级": -0.20, "五级": -0.30}
OTHER_MODES = ("协议出让", "划拨")
HOUSING = ("普通商品住房用地", "中低价位、中小套型普通商品住房用地", "高档住宅用地", "城镇住宅用地")
OTHER_USES = ("工业用地", "商服用地", "公共设施用地", "仓储用地")

# What is wrong with a row, and how often. One thing a row, so that the counts do not hang on the order of rules.
# Land beyond COUNTY_KM of the CBD lies in a county, not in the city's districts.
STATUS = {
    "clean": 0.775,
    "other_mode": 0.10,
    "other_use": 0.10,
    "outside_districts": 0.0,
    "unreadable_number": 0.01,
    "implausible_far": 0.01,
    "bad_date": 0.005,
}
COUNTY_KM = 17.0
DOUBLED_SHARE = 0.02
NO_COORDINATES, WRONG_COORDINATES = 0.12, 0.005
FEWEST, MOST = 8, 24  # rows of a city-year

_STREETS = (
    *("解放", "人民", "建设", "中山", "和平", "胜利", "新华", "文化"),
    *("长江", "黄河", "迎宾", "滨河", "工业", "学府", "光明", "友谊"),
)
_ROADS = ("路", "大道", "街")
_ESTATES = ("锦绣", "阳光", "御景", "翰林", "江南", "金色", "滨江", "世纪", "紫薇", "东方")
_ENDINGS = ("花园", "家园", "华府", "新城", "名苑")
_SIDES = ("北", "东", "南", "西")

_PARCELS = 500


def draw_parcels(places: Places, centres: FloatArray, parameters: Parameters) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Draw the transactions of the panel's years.

    Parameters
    ----------
    places : Places
    centres : array of float, shape (n, 2)
        Longitude and latitude of each city's CBD; the caps fall with the geodesic distance from it.
    parameters : Parameters

    Returns
    -------
    table : DataFrame
        As the file holds it: every column text, empty text where nothing is known.
    truth : dict
        How many rows of each kind, the parameters of the caps, and the index of every city and year.
    """
    rng = parameters.generator(_PARCELS)
    years = np.array(parameters.panel_years)
    n, t = len(places), len(years)
    effects = (2.8 + rng.uniform(-0.6, 0.6, n))[:, None] + 0.03 * np.arange(t) + rng.normal(0, 0.05, (n, t))
    # larger cities sell more land
    many = np.clip(MOST - 4 * np.log(places.ranks + 1.0), FEWEST, MOST)[:, None] * rng.uniform(0.8, 1.2, (n, t))
    city, year = (np.repeat(index.ravel(), np.rint(many).astype(int).ravel()) for index in np.indices((n, t)))
    draws = _draw(rng, places, centres, city)
    cap = (
        effects[city, year]
        + AREA_EFFECT * draws["area"]
        + DISTANCE_EFFECT * draws["distance"]
        + np.array(list(MODE_EFFECT.values()))[draws["mode"]]
        + np.array(list(GRADE_EFFECT.values()))[draws["grade"]]
        + SHOCK * np.clip(rng.standard_normal(len(city)), -3, 3)
    ).round(2)
    table = _write_rows(rng, places, city, years[year], draws, cap)
    status = np.array(list(STATUS))[rng.choice(len(STATUS), len(city), p=list(STATUS.values()))]
    status[draws["district"] == 5] = "outside_districts"
    table = _spoil(rng, table, status)
    where = _coordinates(rng, table)

    used = (status == "clean") & (where == "given")
    farr = _index(effects, used, city, year, draws)
    doubles = rng.choice(np.flatnonzero(status == "clean"), max(1, round(DOUBLED_SHARE * len(city))), replace=False)
    table = pd.concat([table, table.iloc[doubles]], ignore_index=True)
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    truth = {
        "rows": len(table),
        "status": {**{name: int((status == name).sum()) for name in STATUS}, "duplicate": len(doubles)},
        "coordinates_of_clean_rows": dict(sorted(Counter(where[status == "clean"].tolist()).items())),
        "far_limit": {
            "equation": "cap = city-year effect + area (ha) + distance to the CBD (km) + mode + grade + shock",
            "area": AREA_EFFECT,
            "distance": DISTANCE_EFFECT,
            "mode": MODE_EFFECT,
            "grade": GRADE_EFFECT,
            "sigma": SHOCK,
        },
        "farr_rule": "cap at distance 0, mean area and shares of mode and grade of the clean rows with coordinates",
        "farr": [
            {
                "city_code": places.codes[i],
                "year": int(years[k]),
                "farr": float(farr[i, k]),
                "parcels": int((used & (city == i) & (year == k)).sum()),
            }
            for i in range(n)
            for k in range(t)
        ],
    }
    return table, truth


def _draw(
    rng: np.random.Generator, places: Places, centres: FloatArray, city: NDArray[np.int64]
) -> dict[str, NDArray]:
    """Draw where each parcel lies, how large it is, how it was sold and how its land is graded."""
    count = len(city)
    bearing = rng.uniform(0, 360, count)
    away = np.minimum(rng.exponential(6.0, count), 20.0)
    lon, lat = _places_inside(places, centres, city, bearing, away)
    distance = geodesic_km(centres[city, 0], centres[city, 1], lon, lat)
    # the middle district, then north, east, south and west of it; far out begins the county
    sector = 1 + np.floor(((bearing + 45) % 360) / 90).astype(int)
    district = np.where(distance < 2.5, 0, np.where(distance > COUNTY_KM, 5, sector))
    grade = np.clip(np.floor(distance / 4 + rng.uniform(-0.5, 0.5, count)), 0, len(GRADE_EFFECT) - 1).astype(int)
    return {
        "lon": lon,
        "lat": lat,
        "distance": distance,
        "district": district,
        "grade": grade,
        "mode": rng.choice(len(MODE_EFFECT), count, p=MODE_SHARE),
        "area": np.clip(np.exp(rng.normal(1.0, 0.8, count)), 0.2, 15).round(4),
    }


def _places_inside(
    places: Places, centres: FloatArray, city: NDArray[np.int64], bearing: FloatArray, away: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Points at a bearing and a distance (km) from the CBD; those beyond the border are drawn in."""
    away = away.copy()
    polygons = places.polygons[city]
    outside = np.ones(len(city), bool)
    lon, lat = np.empty(len(city)), np.empty(len(city))
    while outside.any():
        start = centres[city[outside]]
        x, y, _ = GEOD.fwd(start[:, 0], start[:, 1], bearing[outside], 1000 * away[outside])
        lon[outside], lat[outside] = np.round(x, 6), np.round(y, 6)
        outside = ~shapely.contains_xy(polygons, lon, lat)
        away[outside] *= 0.7
    return lon, lat


def _write_rows(
    rng: np.random.Generator,
    places: Places,
    city: NDArray[np.int64],
    year: NDArray[np.int64],
    draws: dict[str, NDArray],
    cap: FloatArray,
) -> pd.DataFrame:
    """Write every transaction as the web page would."""
    count = len(city)
    day = pd.to_datetime(year.astype(str)) + pd.to_timedelta(rng.integers(0, 365, count), unit="D")
    price = draws["area"] * cap * np.exp(rng.normal(7.0, 0.4, count) - 0.05 * draws["distance"])
    realised = cap * rng.uniform(0.8, 1.0, count)
    form = rng.integers(0, 100, (4, count))
    words = rng.integers(0, 1000, (6, count))
    modes, grades = list(MODE_EFFECT), list(GRADE_EFFECT)
    rows = []
    for k in range(count):
        name, district = places.names[city[k]], places.districts[city[k]][draws["district"][k]]
        region = (places.provinces[city[k]], name, district)
        street = _STREETS[words[0, k] % len(_STREETS)] + _ROADS[words[1, k] % len(_ROADS)]
        other = words[0, k] + 1 + words[2, k] % (len(_STREETS) - 1)
        crossing = _STREETS[other % len(_STREETS)] + _ROADS[words[3, k] % len(_ROADS)]
        estate = _ESTATES[words[4, k] % len(_ESTATES)] + _ENDINGS[words[5, k] % len(_ENDINGS)]
        rows.append(
            {
                "电子监管号": f"{places.codes[city[k]][:4]}{draws['district'][k] + 1:02d}{year[k]}B{k:05d}",
                "行政区": name + district,
                "项目名称": f"{estate}{'' if form[0, k] % 3 else '（' + str(1 + words[0, k] % 4) + '期）'}",
                "项目位置": _address(form[0, k], region, street, crossing, words[1, k]),
                "面积": _area(form[1, k], float(draws["area"][k])),
                "土地用途": HOUSING[form[2, k] % len(HOUSING)],
                "供地方式": modes[draws["mode"][k]],
                "土地级别": grades[draws["grade"][k]],
                "成交价格": f"{price[k]:,.2f}" if form[1, k] % 10 == 0 else f"{price[k]:.4f}",
                "约定容积率下限": "1.0" if form[2, k] < 60 else "",
                "约定容积率上限": f"{cap[k]:.2f}",
                "实际容积率": f"{realised[k]:.2f}" if form[2, k] % 5 else "",
                "签订日期": _date(form[3, k], day[k]),
                "经度": f"{draws['lon'][k]:.6f}",
                "纬度": f"{draws['lat'][k]:.6f}",
            }
        )
    return pd.DataFrame(rows)


def _address(form: int, names: tuple[str, str, str], street: str, crossing: str, number: int) -> str:
    province, city, district = names
    if form < 55:
        return f"{province}{city}{district}{street}{1 + number % 300}号"
    if form < 75:
        return f"{city}{district}{street}以{_SIDES[number % 4]}、{crossing}以{_SIDES[(number + 1) % 4]}"
    if form < 90:
        return f"{city}{district}{street}与{crossing}交叉口{_SIDES[number % 4]}侧"
    return f"{district}{street}{1 + number % 300}号"


def _area(form: int, hectares: float) -> str:
    """Hectares, mostly bare; now and then with the unit, in square metres or in mu (1/15 ha)."""
    if form < 92:
        return f"{hectares:.4f}"
    if form < 96:
        return f"{hectares:.4f}公顷"
    if form < 99:
        return f"{10000 * hectares:.0f}平方米"
    return f"{15 * hectares:.3f}亩"


def _date(form: int, day: pd.Timestamp) -> str:
    if form < 70:
        return f"{day.year}年{day.month:02d}月{day.day:02d}日"
    if form < 90:
        return f"{day:%Y-%m-%d}"
    return f"{day.year}/{day.month}/{day.day}"


def _spoil(rng: np.random.Generator, table: pd.DataFrame, status: NDArray) -> pd.DataFrame:
    """Make the rows what their status says."""
    table = table.copy()

    def put(kind: str, column: str, choices: tuple[str, ...]) -> None:
        rows = np.flatnonzero(status == kind)
        table.loc[rows, column] = np.array(choices)[rng.integers(0, len(choices), len(rows))]

    put("other_mode", "供地方式", OTHER_MODES)
    put("other_use", "土地用途", OTHER_USES)
    put("unreadable_number", "约定容积率上限", ("详见合同", "—", "按规划"))
    put("implausible_far", "约定容积率上限", ("0", "-1", "99", "250"))
    put("bad_date", "签订日期", ("", "1900-01-01", "2099年12月31日", "不详"))
    return table


def _coordinates(rng: np.random.Generator, table: pd.DataFrame) -> NDArray:
    """Leave some coordinates empty and swap a few; say which (changes the table)."""
    luck = rng.uniform(0, 1, len(table))
    where = np.where(
        luck < NO_COORDINATES, "empty", np.where(luck < NO_COORDINATES + WRONG_COORDINATES, "swapped", "given")
    )
    table.loc[where == "empty", ["经度", "纬度"]] = ""
    swapped = np.flatnonzero(where == "swapped")
    table.loc[swapped, ["经度", "纬度"]] = table.loc[swapped, ["纬度", "经度"]].to_numpy()
    return where


def _index(
    effects: FloatArray, used: NDArray[np.bool_], city: NDArray, year: NDArray, draws: dict[str, NDArray]
) -> FloatArray:
    """Cap of each city-year at distance 0, at the mean area and the shares of mode and grade of the rows used."""
    typical = AREA_EFFECT * draws["area"][used].mean()
    typical += np.array(list(MODE_EFFECT.values()))[draws["mode"][used]].mean()
    typical += np.array(list(GRADE_EFFECT.values()))[draws["grade"][used]].mean()
    sold = np.zeros(effects.shape, bool)
    sold[city[used], year[used]] = True
    return np.where(sold, effects + typical, np.nan)
