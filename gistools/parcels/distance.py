"""Where parcels lie: the city that holds each, and its geodesic distance to that city's CBD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely
from pyproj import Transformer

from gistools.checks import listed, require_columns, require_numeric, require_unique
from gistools.errors import TableError
from gistools.grid import WGS84, geodesic_km, same_crs
from gistools.parcels.dates import years_of
from gistools.parcels.status import LOCATED, passing
from gistools.parcels.values import as_numbers, code_text, text_values

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

NO_COORDINATES = "no coordinates"
IMPOSSIBLE = "impossible coordinates"
OUTSIDE = "outside every city"
NO_CITY = "no city"
NO_CBD = "its city has no CBD"
UNKNOWN_CITY = "its city is not among the CBDs"
NO_YEAR = "its year is not among the CBDs"

REASONS = (NO_COORDINATES, IMPOSSIBLE, OUTSIDE, NO_CITY, UNKNOWN_CITY, NO_YEAR, NO_CBD)

# No parcel of a city's land market lies so far from its centre: the point, or the code, is of another city.
FAR_KM = 300.0


def locate_parcels(parcels: pd.DataFrame, boundaries: gpd.GeoDataFrame) -> pd.DataFrame:
    """Find the city that holds each parcel.

    Parameters
    ----------
    parcels : DataFrame
        ``lon``, ``lat`` (degrees, WGS 84), numbers or text.
    boundaries : GeoDataFrame
        ``city_code`` and polygons, any CRS. A point on a shared border goes to the first city of the file.

    Returns
    -------
    DataFrame
        A copy with ``lon`` and ``lat`` as numbers, ``city_code`` and ``status``; no row is dropped, and rows an
        earlier step has set aside keep its reason.

    Raises
    ------
    TableError
        If the coordinates' columns lack, or most coordinates are swapped or look like projected ones.

    Examples
    --------
    >>> import geopandas as gpd
    >>> city = gpd.GeoDataFrame({"city_code": ["420100"]}, geometry=[shapely.box(114, 30, 115, 31)], crs=4326)
    >>> parcels = pd.DataFrame({"lon": ["114.3", "", "120"], "lat": ["30.6", "30.1", "30"]})
    >>> locate_parcels(parcels, city)[["city_code", "status"]].values.tolist()
    [['420100', 'located'], [nan, 'no coordinates'], [nan, 'outside every city']]
    """
    require_columns(parcels, ["lon", "lat"], "the parcel table")
    lon, lat, known, possible = _coordinates(parcels)
    points = shapely.points(lon[possible], lat[possible])
    if not same_crs(boundaries.crs, WGS84):
        move = Transformer.from_crs(WGS84, boundaries.crs, always_xy=True)
        points = shapely.points(*move.transform(lon[possible], lat[possible]))
    point, polygon = shapely.STRtree(boundaries.geometry.array).query(points, predicate="intersects")
    first = np.full(len(points), -1)
    order = np.lexsort((-polygon, point))  # the first of the file is written last
    first[point[order]] = polygon[order]
    city = np.full(len(parcels), -1)
    city[possible] = first
    codes = boundaries["city_code"].astype(str).to_numpy(object)
    ok = passing(parcels)
    status = np.select([~known, ~possible, city < 0], [NO_COORDINATES, IMPOSSIBLE, OUTSIDE], LOCATED).astype(object)
    if not ok.all():  # what an earlier step set aside keeps its reason
        status[~ok] = parcels["status"].to_numpy(object)[~ok]
    return parcels.assign(
        lon=lon,
        lat=lat,
        city_code=pd.Series(np.where(city >= 0, codes[city], None), index=parcels.index).astype("str"),
        status=status,
    )


def _coordinates(parcels: pd.DataFrame) -> tuple[NDArray, NDArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Longitudes and latitudes as numbers, where both are given, and where they can be a place."""
    lon, lat = as_numbers(parcels["lon"]), as_numbers(parcels["lat"])
    known = np.isfinite(lon) & np.isfinite(lat)
    beyond = known & ((np.abs(lon) > 180) | (np.abs(lat) > 90))
    if beyond.sum() > known.sum() / 2:
        swapped = (np.abs(lat[known]) <= 180).all() and (np.abs(lon[known]) <= 90).all()
        raise TableError(
            f"lon and lat of the parcel table run to {np.nanmax(np.abs(lon)):.0f} and "
            f"{np.nanmax(np.abs(lat)):.0f}: "
            + (
                "they look like latitudes and longitudes, so the two columns are swapped; exchange them"
                if swapped
                else "they are not degrees of longitude and latitude (WGS 84); convert them first"
            )
        )
    return lon, lat, known, known & ~beyond & ~((lon == 0) & (lat == 0))


def distance_to_cbd(parcels: pd.DataFrame, cbds: pd.DataFrame) -> pd.DataFrame:
    """Geodesic distance of each parcel to the CBD of its own city.

    Parameters
    ----------
    parcels : DataFrame
        ``lon``, ``lat`` (degrees, WGS 84) and ``city_code``; as :func:`locate_parcels` gives it.
    cbds : DataFrame
        ``city_code``, ``cbd_lon``, ``cbd_lat``: a table of CBDs or a panel. Where a city's CBD moves from year to
        year, the parcels need a column ``year``.

    Returns
    -------
    DataFrame
        A copy with ``distance_km`` (missing where it cannot be measured) and ``status`` (why); no row is dropped.

    Raises
    ------
    TableError
        If columns lack or hold no degrees or years, or CBDs move and the parcels have no year.

    Examples
    --------
    >>> parcels = pd.DataFrame({"city_code": ["a", "b"], "lon": [114.31, 114.0], "lat": [30.5, 30.5]})
    >>> cbds = pd.DataFrame({"city_code": ["a"], "cbd_lon": [114.30], "cbd_lat": [30.5]})
    >>> distance_to_cbd(parcels, cbds)[["distance_km", "status"]].round(3).values.tolist()
    [[0.96, 'located'], [nan, 'its city is not among the CBDs']]
    """
    require_columns(parcels, ["lon", "lat", "city_code"], "the parcel table")
    require_columns(cbds, ["city_code", "cbd_lon", "cbd_lat"], "the table of CBDs")
    require_numeric(cbds, ["cbd_lon", "cbd_lat"], "the table of CBDs")
    cbds = cbds.assign(cbd_lon=as_numbers(cbds["cbd_lon"]), cbd_lat=as_numbers(cbds["cbd_lat"]))
    far = (cbds["cbd_lon"].abs() > 180) | (cbds["cbd_lat"].abs() > 90)
    if far.any():
        first = cbds.loc[far].iloc[0]
        raise TableError(
            f"the table of CBDs puts city {first['city_code']} at {first['cbd_lon']:.10g}, {first['cbd_lat']:.10g}: "
            "these are not degrees of longitude and latitude (WGS 84); convert them first"
        )
    cbds["city_code"] = code_text(cbds["city_code"])
    nameless = int(cbds["city_code"].isna().sum())
    if nameless:
        raise TableError(f"the table of CBDs has {nameless} rows without city_code; fill or remove them")
    keys = ["city_code"]
    cities = set(cbds["city_code"])
    places = cbds[["city_code", "cbd_lon", "cbd_lat"]].drop_duplicates()
    # a city that is dark in some years has the CBD of the others
    placed = places.dropna()
    places = pd.concat([placed, places[~places["city_code"].isin(placed["city_code"])]])
    if places["city_code"].duplicated().any():
        moving = places.loc[places["city_code"].duplicated(), "city_code"].unique()
        if "year" not in cbds.columns or "year" not in parcels.columns:
            raise TableError(
                f"the CBD of city {listed(moving)} has more than one place; give one CBD a city, or a panel and "
                "parcels that both have a column 'year'"
            )
        keys = ["city_code", "year"]
        places = cbds[[*keys, "cbd_lon", "cbd_lat"]].drop_duplicates()
        require_unique(places, keys, "the table of CBDs")
        for table, what in ((places, "the table of CBDs"), (parcels, "the parcel table")):
            _require_years(table["year"], what)
        places = places.assign(year=years_of(places["year"]))
        places = places[places["year"].notna()]  # a year that is empty is not that of a parcel without one
    left = parcels[keys].copy()
    if "year" in keys:
        left["year"] = years_of(left["year"])
    left["city_code"] = code_text(left["city_code"])
    nowhere = left["city_code"].isna().to_numpy()
    found = left.merge(places, on=keys, how="left", indicator=True)
    lon, lat, known, possible = _coordinates(parcels)
    distance = geodesic_km(
        np.where(possible, lon, np.nan),
        np.where(possible, lat, np.nan),
        found["cbd_lon"].to_numpy(np.float64),
        found["cbd_lat"].to_numpy(np.float64),
    )
    absent = (found["_merge"] == "left_only").to_numpy()
    named = left["city_code"].isin(cities).to_numpy()
    ok = passing(parcels)
    before = parcels["status"].mask(ok, LOCATED) if "status" in parcels else pd.Series(LOCATED, index=parcels.index)
    status = np.select(
        [
            ok & ~known,
            ok & ~possible,
            ok & nowhere,
            ok & absent & ~named,
            ok & absent,
            ok & found["cbd_lon"].isna().to_numpy(),
        ],
        [NO_COORDINATES, IMPOSSIBLE, NO_CITY, UNKNOWN_CITY, NO_YEAR, NO_CBD],
        before.to_numpy(object),
    )
    return parcels.assign(distance_km=np.where(ok, distance, np.nan), status=status)


def _require_years(values: pd.Series, what: str) -> None:
    unread = values[np.isnan(years_of(values)) & text_values(values).is_valid().to_numpy(zero_copy_only=False)]
    if len(unread):
        raise TableError(f"{what}, column 'year', holds {unread.iloc[0]!r} where a year is needed")


def far_parcels(measured: pd.DataFrame) -> tuple[str, ...]:
    """Say which parcels lie too far from their CBD to belong to it.

    Parameters
    ----------
    measured : DataFrame
        As :func:`distance_to_cbd` gives it.

    Returns
    -------
    tuple of str
        A note, or nothing.

    Raises
    ------
    TableError
        If more than half of the distances exceed :data:`FAR_KM`.

    Examples
    --------
    >>> parcels = pd.DataFrame({"city_code": ["a", "a", "b"], "distance_km": [3.0, 2.0, 900.0], "status": "located"})
    >>> far_parcels(parcels)[0].partition(";")[0]
    '1 of 3 parcels lie more than 300 km from the CBD of their city (900 km in b)'
    """
    located = measured[(measured["status"] == LOCATED) & measured["distance_km"].notna()]
    far = located[located["distance_km"] > FAR_KM]
    if not len(far):
        return ()
    worst = far.iloc[int(far["distance_km"].to_numpy().argmax())]
    said = (
        f"{len(far):,} of {len(located):,} parcels lie more than {FAR_KM:g} km from the CBD of their city "
        f"({worst['distance_km']:,.0f} km in {worst['city_code']}); check their coordinates (sign, datum) and codes, "
        "and the table of CBDs; gistools parcels geocode --check-coordinates holds points against their city"
    )
    if len(far) > len(located) / 2:
        raise TableError(said)
    return (said,)


def parcels_by_city_year(parcels: pd.DataFrame) -> pd.DataFrame:
    """Parcels of each city and year: how many, and how far from the CBD they lie on average.

    Parameters
    ----------
    parcels : DataFrame
        ``city_code``, ``year``, ``distance_km``, ``status``.

    Returns
    -------
    DataFrame
        ``city_code``, ``year``, ``parcels`` (located ones), ``parcel_distance_km`` (their mean distance).
    """
    years = years_of(parcels["year"])
    located = parcels.assign(year=years)[(parcels["status"] == LOCATED).to_numpy() & ~np.isnan(years)]
    grouped = located.groupby(["city_code", "year"])["distance_km"].agg(parcels="size", parcel_distance_km="mean")
    return grouped.reset_index().astype({"year": "int64"})


def funnel(parcels: pd.DataFrame) -> pd.DataFrame:
    """How many records each reason set aside.

    Parameters
    ----------
    parcels : DataFrame
        With ``status``.

    Returns
    -------
    DataFrame
        ``step``, ``removed``, ``kept``, ``reason``, from all records to those with a distance.
    """
    counts = parcels["status"].value_counts()
    left = len(parcels)
    rows = [{"step": "records", "removed": 0, "kept": left, "reason": ""}]
    steps = [
        ("with coordinates", (NO_COORDINATES, IMPOSSIBLE)),
        ("inside a city", (OUTSIDE, NO_CITY)),
        ("distance to the CBD", (UNKNOWN_CITY, NO_YEAR, NO_CBD)),
    ]
    own = {LOCATED, *(reason for _, reasons in steps for reason in reasons)}
    earlier = tuple(reason for reason in counts.index if reason not in own)
    if earlier:
        steps.insert(0, ("passed the earlier steps", earlier))
    for step, reasons in steps:
        removed = {reason: int(counts.get(reason, 0)) for reason in reasons}
        left -= sum(removed.values())
        said = "; ".join(f"{reason}: {number}" for reason, number in removed.items() if number)
        rows.append({"step": step, "removed": sum(removed.values()), "kept": left, "reason": said})
    return pd.DataFrame(rows)
