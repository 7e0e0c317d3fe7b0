"""Vector features by city: how many points, how long the lines, how large the polygons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
import shapely
from pyproj import CRS, Transformer

from gistools.checks import listed, require_columns
from gistools.errors import CrsError, InputError, TableError
from gistools.grid import GEOD, WGS84, crs_name, geodesic_km, same_crs

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

Kind = Literal["points", "lines", "polygons"]
KINDS: tuple[Kind, ...] = ("points", "lines", "polygons")

# What each kind is measured by, and its density.
MEASURES: dict[Kind, tuple[tuple[str, str, str], ...]] = {
    "points": (
        ("count", "points", "points in the city"),
        ("count_per_km2", "points per km2", "points over the city's area"),
    ),
    "lines": (
        ("count", "lines", "lines with a part in the city"),
        ("length_km", "km", "geodesic length of lines inside the city"),
        ("length_km_per_km2", "km per km2", "length of lines over the city's area"),
    ),
    "polygons": (
        ("count", "polygons", "polygons with a part in the city"),
        ("area_km2", "km2", "geodesic area of polygons inside the city"),
        ("area_share", "km2 per km2", "area of polygons over the city's area"),
    ),
}
# More groups than this are no kinds of features.
_MOST_KINDS = 200
# A date that begins with its year.
_DATE = r"^(\d{4})(?:[-/.年T ]\D*\d.*|年)$"
# Of a feature, the part below which what it shares with a city is a touch of their borders.
_TOUCH = 1e-9


class Parts(NamedTuple):
    """Parts of features in cities: which feature, which city (-1: outside all), and how much (points, km or km2)."""

    feature: NDArray
    city: NDArray
    size: NDArray


def count_features(
    features: gpd.GeoDataFrame,
    boundaries: gpd.GeoDataFrame,
    *,
    by: str | None = None,
    year_from: str | None = None,
    years: Sequence[int] | None = None,
    repair: bool = False,
) -> pd.DataFrame:
    """Count points, measure lines and polygons inside each city.

    Parameters
    ----------
    features : GeoDataFrame
        Points, lines or polygons, of one kind, in any CRS. Each point of a multipoint counts.
    boundaries : GeoDataFrame
        ``city_code`` (unique) and valid polygons, any CRS. Membership is decided in their CRS; what lies on a
        shared border goes to the first city of the file.
    by : str, optional
        A column of kinds: every measure is also given for each kind (``count_temple``), ``unknown`` where it is
        missing.
    year_from : str, optional
        A column with the year or the date from which on a feature exists; the table then has a row for each city and
        year, and counts what exists from that year or before.
    years : sequence of int, optional
        The years of that table.
    repair : bool
        Mend invalid features by GEOS' structural method instead of refusing them.

    Returns
    -------
    DataFrame
        ``city_code`` (and ``year``); for points ``count``, ``count_per_km2``; for lines ``count``, ``length_km``,
        ``length_km_per_km2``; for polygons ``count``, ``area_km2``, ``area_share``. Lengths and areas are geodesic
        on WGS 84, of what lies inside the city; a line or polygon counts in every city that holds a part of it.
        ``attrs["units"]`` and ``attrs["labels"]`` say what columns are; ``attrs["counts"]`` has ``features``,
        ``empty``, ``undated``, ``repaired``, ``outside`` (features with no part in any city) and ``size_outside``
        (points, km or km2 beyond all cities).

    Raises
    ------
    InputError
        If geometries are of several kinds or invalid, or a year is none.
    CrsError
        If either has no CRS.

    Notes
    -----
    Lines and polygons are cut at city borders along straight edges in the CRS of the boundaries; what is cut out is
    measured along geodesics between its vertices [1]_.

    References
    ----------
    .. [1] Karney, C. F. F. (2013), Algorithms for geodesics, Journal of Geodesy 87, 43-55.

    Examples
    --------
    >>> import geopandas as gpd
    >>> halves = gpd.GeoDataFrame(
    ...     {"city_code": ["west", "east"]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], crs=4326
    ... )
    >>> sites = gpd.GeoDataFrame(
    ...     {"since": [2001, 2003, 2003]}, geometry=gpd.points_from_xy([0.5, 1.0, 1.5], [0.5, 0.5, 0.5]), crs=4326
    ... )
    >>> count_features(sites, halves, year_from="since", years=[2002, 2003])[["city_code", "year", "count"]]
      city_code  year  count
    0      west  2002      1
    1      east  2002      0
    2      west  2003      2
    3      east  2003      1
    >>> road = gpd.GeoDataFrame(geometry=[shapely.LineString([(0.5, 0), (2.5, 0)])], crs=4326)
    >>> count_features(road, halves)["length_km"].round(3).tolist()
    [55.66, 111.319]
    """
    columns = [name for name in (by, year_from) if name is not None]
    require_columns(pd.DataFrame(features.drop(columns=features.geometry.name)), columns, "the feature table")
    if (year_from is None) != (years is None):
        raise InputError("a column of years and the years wanted go together; give both or neither")
    for table, what in ((features, "the features"), (boundaries, "the boundaries")):
        if table.crs is None:
            raise CrsError(f"{what} have no CRS; write it into the file (for example ogr2ogr -a_srs EPSG:4326)")
    geometry, kind, repaired = _judged(np.asarray(features.geometry.array), repair)
    empty = shapely.is_missing(geometry) | shapely.is_empty(geometry)
    since = _years(features, year_from)
    used = np.flatnonzero(~empty & ~np.isnan(since))
    cities = np.asarray(boundaries.geometry.array)
    moved = _moved(geometry[used], CRS.from_user_input(features.crs), CRS.from_user_input(boundaries.crs))
    parts = _MEASURE[kind](moved, cities, CRS.from_user_input(boundaries.crs))
    parts = parts._replace(feature=used[parts.feature])
    area = _geodesic_size(cities, "polygons", CRS.from_user_input(boundaries.crs))
    groups = _groups(features, by)
    table = pd.concat(
        [
            _columns(parts, kind, area, groups, None if year_from is None else since <= year, year, boundaries)
            for year in ([None] if years is None else sorted(set(years)))
        ],
        ignore_index=True,
    )
    inside = np.unique(parts.feature[parts.city >= 0])
    table.attrs.update(
        _attrs(kind, groups[1], "" if year_from is None else f", those of the year and before ({year_from})")
    )
    table.attrs["counts"] = {
        "kind": kind,
        "features": len(features),
        "empty": int(empty.sum()),
        "undated": int((~empty & np.isnan(since)).sum()),
        "repaired": repaired,
        "outside": len(used) - len(inside),
        "outside_rows": np.setdiff1d(used, inside)[:5].tolist(),
        "size_outside": float(parts.size[parts.city < 0].sum()),
    }
    return table


def _judged(geometry: NDArray, repair: bool) -> tuple[NDArray, Kind, int]:
    """Check that all features are of one kind and valid; mend them on request."""
    if shapely.has_z(geometry).any():
        geometry = shapely.force_2d(geometry)
    present = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
    if not present.any():
        raise InputError("the feature table holds no geometry; it needs points, lines or polygons")
    invalid = np.flatnonzero(present & ~shapely.is_valid(geometry))
    if len(invalid):
        if not repair:
            raise InputError(
                f"{len(invalid)} features are invalid (row {listed(invalid + 1)}: "
                f"{shapely.is_valid_reason(geometry[invalid[0]])}); mend them (QGIS: Fix geometries) or use --repair"
            )
        geometry = geometry.copy()
        geometry[invalid] = shapely.make_valid(geometry[invalid], method="structure", keep_collapsed=False)
    # a GeometryCollection (7) is of no kind
    kinds = np.array([0, 1, 1, 2, 0, 1, 2, 3])[shapely.get_type_id(geometry[present])]
    found = np.unique(kinds[~shapely.is_empty(geometry[present])])
    if len(found) != 1 or found[0] == 3:
        names = [(*KINDS, "collections")[k] for k in found]
        raise InputError(
            f"the features are {' and '.join(names)}; give points, lines or polygons in a file of their own"
        )
    return geometry, KINDS[int(found[0])], len(invalid)


def _years(features: gpd.GeoDataFrame, column: str | None) -> NDArray:
    """Year from which on each feature exists (always, without a column; NaN where it is missing)."""
    if column is None:
        return np.full(len(features), -np.inf)
    values = pd.Series(features[column])
    if pd.api.types.is_datetime64_any_dtype(values):  # as a number it would be nanoseconds
        return values.dt.year.to_numpy(np.float64, na_value=np.nan)
    if pd.api.types.is_numeric_dtype(values):
        years = values.to_numpy(np.float64, na_value=np.nan)
    else:
        text = values.astype("str").where(values.notna(), "").str.strip()
        years = pd.to_numeric(text.str.replace(_DATE, r"\1", regex=True), errors="coerce").to_numpy(np.float64)
        unread = np.flatnonzero(np.isnan(years) & (text != "").to_numpy())
        if len(unread):
            raise TableError(
                f"the feature table, column '{column}', holds {text.iloc[unread[0]]!r} (row {unread[0] + 1}) where a "
                "year or a date is needed; write it as 1961 or 1961-03-04"
            )
    years = np.where((years >= 1e7) & (years < 1e8), years // 1e4, years)  # 19610304
    odd = np.flatnonzero((years % 1 != 0) & ~np.isnan(years) | (np.abs(years) > 9999))
    if len(odd):
        raise TableError(
            f"the feature table, column '{column}', holds {values.iloc[odd[0]]} (row {odd[0] + 1}) where a year or a "
            "date is needed; write it as 1961 or 1961-03-04"
        )
    return years


def _moved(geometry: NDArray, crs: CRS, to: CRS) -> NDArray:
    """Carry features to the CRS of the boundaries."""
    if same_crs(crs, to):
        return geometry
    forward = Transformer.from_crs(crs, to, always_xy=True)
    moved = shapely.transform(geometry, lambda xy: np.column_stack(forward.transform(xy[:, 0], xy[:, 1])))
    if not np.isfinite(shapely.bounds(moved)).all():
        lost = np.flatnonzero(~np.isfinite(shapely.bounds(moved)).all(axis=1))
        raise CrsError(
            f"{len(lost)} features have no place in the boundaries' {crs_name(to)}; check that the features' CRS "
            f"({crs_name(crs)}) is true, or give the boundaries in degrees"
        )
    return np.asarray(moved)


def _points(features: NDArray, cities: NDArray, crs: CRS) -> Parts:  # noqa: ARG001  (all kinds are called alike)
    """Give each point to the first city that holds or touches it."""
    points, feature = shapely.get_parts(features, return_index=True)
    # cities are prepared once and asked for all their points
    city, point = shapely.STRtree(points).query(cities, predicate="intersects")
    first = np.full(len(points), len(cities))
    np.minimum.at(first, point, city)
    return Parts(feature, np.where(first < len(cities), first, -1), np.ones(len(points), np.int64))


def _lines(features: NDArray, cities: NDArray, crs: CRS) -> Parts:
    return _cut(features, cities, crs, "lines")


def _polygons(features: NDArray, cities: NDArray, crs: CRS) -> Parts:
    return _cut(features, cities, crs, "polygons")


def _cut(features: NDArray, cities: NDArray, crs: CRS, kind: Kind) -> Parts:
    """Cut features at city borders, city after city: no part is given twice, and what is left lies outside."""
    size = _geodesic_size(features, kind, crs)
    tree = shapely.STRtree(features)
    city, feature = tree.query(cities, predicate="intersects")
    order = np.lexsort((city, feature))
    city, feature = city[order], feature[order]
    number = np.bincount(feature, minlength=len(features))
    first = np.cumsum(number) - number
    whole_city, whole_feature = tree.query(cities, predicate="covers")
    whole = np.full(len(features), len(cities))
    np.minimum.at(whole, whole_feature, whole_city)
    # wholly in a city that no city before it touches
    at_once = (number > 0) & (whole == np.append(city, -1)[np.minimum(first, len(city))])
    parts = [Parts(np.flatnonzero(at_once), whole[at_once], size[at_once])]
    left = features.copy()
    left_size = np.where(at_once, 0.0, size)
    waiting = np.flatnonzero((number > 0) & ~at_once)
    turn = 0
    while len(waiting):
        here = city[first[waiting] + turn]
        piece = shapely.intersection(left[waiting], cities[here])
        parts.append(Parts(waiting, here, _geodesic_size(piece, kind, crs)))
        left[waiting] = shapely.difference(left[waiting], cities[here])
        left_size[waiting] = _geodesic_size(left[waiting], kind, crs)
        turn += 1
        waiting = waiting[number[waiting] > turn]
    outside = np.flatnonzero(left_size > 0)
    parts.append(Parts(outside, np.full(len(outside), -1), left_size[outside]))
    joined = Parts(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    real = joined.size > _TOUCH * size[joined.feature]
    return Parts(*(column[real] for column in joined))


def _geodesic_size(geometry: NDArray, kind: Kind, crs: CRS) -> NDArray:
    """Geodesic lengths (km) of the lines, or areas (km2) of the polygons, of each geometry; parts of others are 0."""
    parts, owner = shapely.get_parts(geometry, return_index=True)
    parts, which = shapely.get_parts(parts, return_index=True)  # those of a collection may be multiple themselves
    owner = owner[which]
    fits = np.isin(shapely.get_type_id(parts), (1, 2) if kind == "lines" else (3,))
    parts, owner = parts[fits], owner[fits]
    if kind == "lines":
        rings, part = parts, np.arange(len(parts))
    else:
        rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    lon, lat = xy.T
    if not same_crs(crs, WGS84):
        lon, lat = Transformer.from_crs(crs, WGS84, always_xy=True).transform(lon, lat)
    if kind == "lines":
        joined = ring[1:] == ring[:-1]
        step = geodesic_km(lon[:-1][joined], lat[:-1][joined], lon[1:][joined], lat[1:][joined])
        return np.bincount(owner[ring[:-1][joined]], step, len(geometry))
    bounds = np.searchsorted(ring, np.arange(len(rings) + 1))
    areas = [
        abs(GEOD.polygon_area_perimeter(lon[a:b], lat[a:b])[0]) / 1e6
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]
    # the first ring of a part is its outline, the others are holes
    hole = np.zeros(len(rings), bool)
    hole[1:] = part[1:] == part[:-1]
    return np.bincount(owner[part], np.where(hole, -1.0, 1.0) * np.array(areas, np.float64), len(geometry))


_MEASURE = {"points": _points, "lines": _lines, "polygons": _polygons}


def _groups(features: gpd.GeoDataFrame, by: str | None) -> tuple[NDArray, list[str]]:
    """The kind of each feature as a number, and the names of the kinds."""
    if by is None:
        return np.zeros(len(features), np.int64), []
    text = features[by].astype("str").where(features[by].notna(), "unknown").str.strip().replace("", "unknown")
    number, names = pd.factorize(text, sort=True)
    if len(names) > _MOST_KINDS:
        raise InputError(
            f"column '{by}' holds {len(names)} different values ({listed(names, 3)}), too many to be kinds of "
            "features; name another with --by"
        )
    return np.asarray(number), [str(name) for name in names]


def _columns(
    parts: Parts,
    kind: Kind,
    area: NDArray,
    groups: tuple[NDArray, list[str]],
    exists: NDArray | None,
    year: int | None,
    boundaries: gpd.GeoDataFrame,
) -> pd.DataFrame:
    """The rows of one year: all features, their density, and each kind."""
    cities, (group, names) = len(boundaries), groups
    counted = parts.city >= 0
    if exists is not None:
        counted &= exists[parts.feature]
    city, size, own = parts.city[counted], parts.size[counted], group[parts.feature[counted]]
    measure = MEASURES[kind][1][0] if kind != "points" else None
    columns: dict[str, NDArray] = {"count": np.bincount(city, minlength=cities)}
    if measure is not None:
        columns[measure] = np.bincount(city, size, cities)
    density = MEASURES[kind][-1][0]
    columns[density] = columns[measure or "count"] / area
    for k, name in enumerate(names):
        mine = own == k
        columns[f"count_{name}"] = np.bincount(city[mine], minlength=cities)
        if measure is not None:
            columns[f"{measure}_{name}"] = np.bincount(city[mine], size[mine], cities)
    keys: dict[str, object] = {"city_code": boundaries["city_code"].astype(str).to_numpy(object)}
    if year is not None:
        keys["year"] = year
    return pd.DataFrame({**keys, **columns})


def _attrs(kind: Kind, names: Sequence[str], dated: str) -> dict[str, dict[str, str]]:
    """Units and meanings of the columns."""
    units = {name: unit for name, unit, _ in MEASURES[kind]}
    labels = {name: label + dated for name, _, label in MEASURES[kind]}
    for name, unit, label in MEASURES[kind][:-1]:
        units |= {f"{name}_{group}": unit for group in names}
        labels |= {f"{name}_{group}": f"{label}{dated}: {group}" for group in names}
    return {"units": units, "labels": labels}
