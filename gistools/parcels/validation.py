"""Whether points lie where their records say: inside the stated city, or at least the stated province."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely

from gistools.checks import require_columns, require_positive
from gistools.errors import CrsError
from gistools.grid import WGS84, geodesic_km, same_crs

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import ArrayLike, NDArray

OUTSIDE_CITY = "outside its city"
OUTSIDE_PROVINCE = "outside its province"
UNCHECKED = "not checked"

# Borders of cities are drawn with errors of hundreds of metres, and new towns are built on them.
TOLERANCE_KM = 2.0

_MUNICIPALITIES = ("11", "12", "31", "50")
_ENDINGS = r"(?:市|地区|盟|特别行政区|省|维吾尔自治区|壮族自治区|回族自治区|自治区)$"


def same_city(left: pd.Series, right: pd.Series) -> NDArray[np.bool_]:
    """Tell which pairs of official codes name one city; a code that is not official (six digits) is never judged.

    Parameters
    ----------
    left, right : Series of str
        Codes of four or six digits; 110100 and 110105 are Beijing, 110000, as 420106 is Wuhan, 420100. A county
        directly under a province (429004) is a city of its own.

    Returns
    -------
    array of bool
        True also where either code is not official or empty: nothing is known against it.

    Examples
    --------
    >>> same_city(pd.Series(["110000", "4201", "429004", "wuhan"]), pd.Series(["110105", "420106", "429005", "1"]))
    array([ True,  True, False,  True])
    """
    one, other = _city_of(left), _city_of(right)
    return ((one == other) | (one == "") | (other == "")).to_numpy(bool)


def _city_of(codes: pd.Series) -> pd.Series:
    """The city of an official code, empty for others."""
    text = codes.fillna("").astype("str").str.strip()
    official = text.str.fullmatch(r"\d{6}|\d{4}")
    text = text.str.ljust(6, "0").where(official, "")
    capital = text.str[:2].isin(_MUNICIPALITIES)
    own = text.str[2:4] == "90"  # counties directly under a province
    city = text.where(own, text.str[:4] + "00").where(~capital, text.str[:2] + "0000")
    return city.where(text != "", "")


class CityPolygons:
    """City polygons to hold points against.

    Parameters
    ----------
    boundaries : GeoDataFrame
        ``city_code``, polygons with a CRS; ``city_name`` and ``province`` where known.

    Raises
    ------
    TableError, CrsError
        If the codes or the CRS lack.
    """

    def __init__(self, boundaries: gpd.GeoDataFrame) -> None:
        require_columns(boundaries, ["city_code"], "the boundaries")
        if boundaries.crs is None:
            raise CrsError("the boundaries have no CRS; set it, for example cities.set_crs('EPSG:4326')")
        lonlat = boundaries if same_crs(boundaries.crs, WGS84) else boundaries.to_crs(WGS84)
        self.geometry: NDArray = np.array(lonlat.geometry.array, dtype=object)
        shapely.prepare(self.geometry)
        blank = pd.Series("", index=boundaries.index)
        self.codes = boundaries["city_code"].astype("str").reset_index(drop=True)
        self.names, self.provinces = (
            boundaries.get(column, blank).fillna("").astype("str").reset_index(drop=True)
            for column in ("city_name", "province")
        )
        self._tree = shapely.STRtree(self.geometry)

    def positions(self, units: pd.DataFrame) -> NDArray[np.int64]:
        """Find the polygon of each stated city.

        Parameters
        ----------
        units : DataFrame
            ``city_code``, ``city`` and ``province``; a code that is not among the polygons' gives way to the name, if
            one polygon alone has it in that province.

        Returns
        -------
        array of int
            Row of the boundaries, -1 where the city is not stated or not among them.
        """
        by_code = pd.Series(self.codes.index, index=self.codes).groupby(level=0).first()
        official = pd.Series(self.codes.index, index=_city_of(self.codes)).drop("", errors="ignore")
        official = official[~official.index.duplicated(keep=False)]
        found = units["city_code"].map(by_code)
        found = found.fillna(_city_of(units["city_code"]).map(official))
        province, known = bare_names(units["province"]), bare_names(self.provinces)
        name = bare_names(units["city"])
        keyed = pd.Series(self.names.index, index=known + "/" + bare_names(self.names))
        keyed = keyed[~keyed.index.duplicated(keep=False) & (bare_names(self.names) != "").to_numpy()]
        alone = pd.Series(self.names.index, index=bare_names(self.names)).drop("", errors="ignore")
        alone = alone[~alone.index.duplicated(keep=False)]
        by_name = (province + "/" + name).map(keyed)
        unsaid = (province == "") | bool((known == "").all())
        by_name = by_name.fillna(name.where(unsaid).map(alone))
        return found.fillna(by_name).fillna(-1).to_numpy(np.int64)

    def holding(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int64]:
        """Find the polygon that holds each point, -1 for none; the first of the file on a shared border."""
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        position = np.full(len(lon), -1)
        point, polygon = self._tree.query(shapely.points(lon, lat), predicate="intersects")
        order = np.lexsort((-polygon, point))
        position[point[order]] = polygon[order]
        return position

    def km_outside(self, lon: ArrayLike, lat: ArrayLike, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Measure how far points lie outside a polygon of their own.

        Parameters
        ----------
        lon, lat : array of float
            Degrees, WGS 84.
        positions : array of int
            The polygon of each, as :meth:`positions` gives it.

        Returns
        -------
        array of float
            Kilometres to the nearest point of the border, geodesic; 0 inside, NaN without a polygon or coordinates.
            The nearest point is sought on a plane whose degrees of longitude are as short as at the point's latitude,
            so that the distance is never too short, and too long by less than 0.1 % within 100 km.
        """
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        km = np.full(len(lon), np.nan)
        judged = (positions >= 0) & np.isfinite(lon) & np.isfinite(lat)
        rows = np.flatnonzero(judged)
        inside = shapely.intersects_xy(self.geometry[positions[rows]], lon[rows], lat[rows])
        km[rows[inside]] = 0.0
        outside = rows[~inside]
        for position in np.unique(positions[outside]):
            mine = outside[positions[outside] == position]
            km[mine] = _km_to(self.geometry[position], lon[mine], lat[mine])
        return km

    def km_outside_province(self, lon: ArrayLike, lat: ArrayLike, provinces: pd.Series) -> NDArray[np.float64]:
        """Measure how far points lie outside the cities of their stated province; NaN where it is not among them."""
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        km = np.full(len(lon), np.nan)
        known, wanted = bare_names(self.provinces).to_numpy(object), bare_names(provinces).to_numpy(object)
        for province in set(known) - {""}:
            rows = np.flatnonzero((wanted == province) & np.isfinite(lon) & np.isfinite(lat))
            if len(rows):
                whole = shapely.union_all(self.geometry[known == province])
                shapely.prepare(whole)
                inside = shapely.intersects_xy(whole, lon[rows], lat[rows])
                km[rows[inside]] = 0.0
                km[rows[~inside]] = _km_to(whole, lon[rows[~inside]], lat[rows[~inside]])
        return km


def _km_to(polygon: shapely.Geometry, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Geodesic distance from points outside a polygon to its nearest point."""
    km = np.empty(len(lon))
    # points within a fifth of a degree of latitude share one plane
    bands = np.round(lat * 5).astype(np.int64)
    for band in np.unique(bands):
        mine = bands == band
        shrink = np.array([np.cos(np.radians(lat[mine].mean())), 1.0])
        plane = shapely.transform(polygon, lambda xy, s=shrink: xy * s)
        points = shapely.points(lon[mine] * shrink[0], lat[mine])
        near = shapely.get_coordinates(shapely.shortest_line(points, plane)).reshape(-1, 2, 2)[:, 1] / shrink
        km[mine] = geodesic_km(lon[mine], lat[mine], near[:, 0], near[:, 1])
    return km


def check_points(
    points: pd.DataFrame, boundaries: gpd.GeoDataFrame | CityPolygons, *, tolerance_km: float = TOLERANCE_KM
) -> pd.DataFrame:
    """Hold points against the city, or where no city is stated the province, that their records state.

    Parameters
    ----------
    points : DataFrame
        ``lon``, ``lat`` (degrees, WGS 84), ``city_code``, ``city``, ``province`` (text, empty where not stated).
    boundaries : GeoDataFrame or CityPolygons
    tolerance_km : float
        How far outside a point may lie.

    Returns
    -------
    DataFrame
        By the index of `points`: ``verdict`` (empty for a point in its place, or :data:`OUTSIDE_CITY`,
        :data:`OUTSIDE_PROVINCE`, :data:`UNCHECKED`), ``km_outside`` and ``found_in`` (code of the polygon that holds
        a point outside its own; empty for none).

    Examples
    --------
    >>> import geopandas as gpd
    >>> cities = gpd.GeoDataFrame(
    ...     {"city_code": ["420100", "420200"], "city_name": ["武汉市", "黄石市"], "province": ["湖北省"] * 2},
    ...     geometry=[shapely.box(114, 30, 115, 31), shapely.box(115, 30, 116, 31)], crs=4326)
    >>> points = pd.DataFrame({"lon": [114.5, 115.5, 115.01], "lat": [30.5, 30.5, 30.5], "city_code": "420100",
    ...                        "city": "武汉市", "province": "湖北省"})
    >>> check_points(points, cities)["verdict"].tolist()
    ['', 'outside its city', '']
    """
    require_columns(points, ["lon", "lat", "city_code", "city", "province"], "the points")
    require_positive(tolerance_km, "the tolerance", zero=True)
    polygons = boundaries if isinstance(boundaries, CityPolygons) else CityPolygons(boundaries)
    lon, lat = points["lon"].to_numpy(np.float64), points["lat"].to_numpy(np.float64)
    position = polygons.positions(points)
    km = polygons.km_outside(lon, lat, position)
    of_province = np.isnan(km)
    km[of_province] = polygons.km_outside_province(
        lon[of_province], lat[of_province], points["province"][of_province]
    )
    far = km > tolerance_km
    verdict = np.select([far & of_province, far, np.isnan(km)], [OUTSIDE_PROVINCE, OUTSIDE_CITY, UNCHECKED], "")
    holder = np.full(len(points), -1)
    holder[far] = polygons.holding(lon[far], lat[far])
    codes = np.append(polygons.codes.to_numpy(object), "")
    return pd.DataFrame(
        {"verdict": verdict.astype(object), "km_outside": km, "found_in": codes[holder]}, index=points.index
    )


def bare_names(names: pd.Series) -> pd.Series:
    """Take the word for their rank off names of cities and provinces.

    Examples
    --------
    >>> bare_names(pd.Series(["武汉市", "广西壮族自治区", "武汉", None])).tolist()
    ['武汉', '广西', '武汉', '']
    """
    return names.fillna("").astype("str").str.strip().str.replace(_ENDINGS, "", regex=True)
