"""Features by city: equal to an overlay, to pyproj's geodesics, and to counting by hand; no part is lost or twice."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from raster_factory import UTM_48N, cities, wiggly_tessellation

from gistools.city.features import count_features
from gistools.errors import CrsError, InputError, TableError

GEOD = Geod(ellps="WGS84")
HALVES = cities([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], ["west", "east"])


def frame(shapes, crs=4326, **columns):
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


def country(seed=0):
    return cities(wiggly_tessellation((103.6, 29.1, 105.2, 30.3), 14, seed=seed))


def scattered(rng, number):
    return rng.uniform(103.4, 105.4, number), rng.uniform(28.9, 30.5, number)


def test_points_on_a_shared_border_go_to_the_first_city():
    points = frame(shapely.points([(0.5, 0.5), (1, 0.3), (1, 1), (2, 0), (3, 3)]))
    table = count_features(points, HALVES)
    assert table["count"].tolist() == [3, 1]
    other = count_features(points, HALVES.iloc[::-1])
    assert other["count"].tolist() == [3, 1]
    assert other["city_code"].tolist() == ["east", "west"]
    assert table.attrs["counts"] == {
        "kind": "points",
        "features": 5,
        "empty": 0,
        "undated": 0,
        "repaired": 0,
        "outside": 1,
        "outside_rows": [4],
        "size_outside": 1,
    }
    area = abs(GEOD.geometry_area_perimeter(HALVES.geometry[0])[0]) / 1e6
    assert table["count_per_km2"].iloc[0] == pytest.approx(3 / area, rel=1e-12)


def test_each_point_of_a_multipoint_counts():
    points = frame([shapely.MultiPoint([(0.2, 0.2), (0.4, 0.4), (1.5, 0.5), (9, 9)])])
    table = count_features(points, HALVES)
    assert table["count"].tolist() == [2, 1]
    assert table.attrs["counts"]["outside"] == 0
    assert table.attrs["counts"]["size_outside"] == 1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_points_against_every_pair(seed):
    rng = np.random.default_rng(seed)
    boundaries = country(seed % 3)
    lon, lat = scattered(rng, 200)
    # some on vertices that cities share
    corners = shapely.get_coordinates(boundaries.geometry.array)
    corners = corners[rng.integers(0, len(corners), 40)]
    points = shapely.points(np.r_[lon, corners[:, 0]], np.r_[lat, corners[:, 1]])
    expected = np.zeros(len(boundaries), int)
    for point in points:
        held = np.flatnonzero(shapely.intersects(boundaries.geometry.array, point))
        if len(held):
            expected[held[0]] += 1
    assert count_features(frame(points), boundaries)["count"].tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["lines", "polygons"])
def test_parts_against_an_overlay(kind):
    rng = np.random.default_rng(4)
    boundaries = country()
    lon, lat = scattered(rng, 150)
    if kind == "lines":
        steps = rng.normal(0, 0.15, (150, 6, 2)).cumsum(axis=1)
        shapes = shapely.linestrings(np.stack([lon, lat], -1)[:, None] + steps)
    else:
        shapes = shapely.buffer(shapely.points(lon, lat), rng.uniform(0.01, 0.2, 150), quad_segs=3)
        shapes[::3] = shapely.difference(shapes[::3], shapely.buffer(shapely.points(lon, lat), 0.005)[::3])  # holes
    features = frame(shapes, n=np.arange(150))
    table = count_features(features, boundaries)
    column = {"lines": "length_km", "polygons": "area_km2"}[kind]

    def size(shape):
        if kind == "lines":
            return GEOD.geometry_length(shape) / 1000
        shape = shapely.normalize(shape)  # outlines one way round, holes the other
        return abs(GEOD.geometry_area_perimeter(shape)[0]) / 1e6

    pieces = gpd.overlay(features, boundaries, how="intersection", keep_geom_type=True)
    pieces["size"] = [size(shape) for shape in pieces.geometry]
    expected = pieces.groupby("city_code")["size"].sum().reindex(table["city_code"], fill_value=0)
    # an overlay gives a line in a sliver between two borders (a millimetre here) to both cities
    np.testing.assert_allclose(table[column], expected, rtol=1e-8)
    number = pieces.groupby("city_code")["n"].nunique().reindex(table["city_code"], fill_value=0)
    assert table["count"].tolist() == number.tolist()
    # nothing is lost: what is inside and what is outside is all there is
    whole = sum(size(shape) for shape in shapes)
    assert table[column].sum() + table.attrs["counts"]["size_outside"] == pytest.approx(whole, rel=1e-6)
    beyond = set(range(150)) - set(pieces["n"])
    assert table.attrs["counts"]["outside"] == len(beyond)
    density = {"lines": "length_km_per_km2", "polygons": "area_share"}[kind]
    area = np.array([size(shape) for shape in boundaries.geometry]) if kind == "polygons" else None
    if area is not None:
        np.testing.assert_allclose(table[density], table[column] / area, rtol=1e-9)


def test_a_line_along_a_shared_border_counts_once():
    road = frame([shapely.LineString([(1, -1), (1, 2)]), shapely.LineString([(0.5, 0.5), (1, 0.5), (1, 0.75)])])
    table = count_features(road, HALVES)
    one = GEOD.line_length([1, 1], [0, 1]) / 1000
    other = GEOD.line_length([0.5, 1, 1], [0.5, 0.5, 0.75]) / 1000
    assert table["length_km"].tolist() == pytest.approx([one + other, 0], rel=1e-12)
    assert table["count"].tolist() == [2, 0]
    beyond = GEOD.line_length([1, 1], [-1, 2]) / 1000 - one
    assert table.attrs["counts"]["size_outside"] == pytest.approx(beyond, rel=1e-9)


def test_kinds_and_years():
    sites = frame(
        shapely.points([(0.1, 0.5), (0.2, 0.5), (0.3, 0.5), (1.5, 0.5), (1.6, 0.5), (0.5, 0.5)]),
        kind=["temple", "pagoda", "temple", None, " temple ", "tomb"],
        since=[2001, 2003, 2005, 2001, 2004, None],
    )
    table = count_features(sites, HALVES, by="kind", year_from="since", years=[2003, 2001, 2004])
    assert table["year"].tolist() == [2001, 2001, 2003, 2003, 2004, 2004]
    west, east = (table[table["city_code"] == code] for code in ("west", "east"))
    assert west["count"].tolist() == [1, 2, 2]
    assert west["count_temple"].tolist() == [1, 1, 1]
    assert west["count_pagoda"].tolist() == [0, 1, 1]
    assert east["count_unknown"].tolist() == [1, 1, 1]
    assert east["count_temple"].tolist() == [0, 0, 1]
    assert west["count_tomb"].tolist() == [0, 0, 0]
    assert table.attrs["counts"]["undated"] == 1
    assert table.attrs["units"]["count_temple"] == "points"
    assert count_features(sites, HALVES, by="kind")["count_tomb"].tolist() == [1, 0]


HERITAGE = ("1961-03-04", "1982-02-23", "1988-01-13", "1996-11-20", "2001-06-25", "2006-05-25", "2013-03-05")


@pytest.mark.parametrize(
    "write",
    [
        lambda dates: pd.to_datetime(pd.Series(dates)),
        lambda dates: pd.to_datetime(pd.Series(dates)).dt.date,
        lambda dates: [int(date[:4]) for date in dates],
        lambda dates: [int(date.replace("-", "")) for date in dates],
        lambda dates: [f" {date.replace('-', '')}" for date in dates],
        lambda dates: [date[:4] for date in dates],
        lambda dates: [f"{date[:4]}年" for date in dates],
        lambda dates: [f"{date[:4]}年{int(date[5:7])}月{int(date[8:])}日" for date in dates],
        lambda dates: [date.replace("-", "/") for date in dates],
        lambda dates: [f"{date}T00:00:00" for date in dates],
    ],
)
def test_dates_count_from_their_year_on(write):
    """The batches of heritage sites: each adds to the stock from the year of its list on."""
    sites = frame(shapely.points([(0.1 + 0.01 * k, 0.5) for k in range(7)]), listed=write(list(HERITAGE)))
    table = count_features(sites, HALVES, year_from="listed", years=[1960, 1961, 1995, 2007, 2012, 2013])
    assert table.loc[table["city_code"] == "west", "count"].tolist() == [0, 1, 3, 6, 6, 7]
    assert table.attrs["labels"]["count"] == "points in the city, those of the year and before (listed)"


def test_a_missing_date_is_counted_and_no_year_is_refused():
    sites = frame(shapely.points([(0.1, 0.5), (0.2, 0.5)]), listed=pd.to_datetime(["1961-03-04", None]))
    table = count_features(sites, HALVES, year_from="listed", years=[2000])
    assert table["count"].tolist() == [1, 0]
    assert table.attrs["counts"]["undated"] == 1
    blank = count_features(sites.assign(listed=["1961", " "]), HALVES, year_from="listed", years=[2000])
    assert (blank["count"].tolist(), blank.attrs["counts"]["undated"]) == ([1, 0], 1)
    for wrong in (196103, 1961.5, "第一批", "4.3.1961", "1961-"):
        bad = sites.assign(listed=pd.Series([2001, wrong], dtype=object if isinstance(wrong, str) else None))
        with pytest.raises(TableError, match=r"'listed', holds .*\(row 2\) where a year or a date is needed"):
            count_features(bad, HALVES, year_from="listed", years=[2000])
    old = frame([shapely.Point(0.1, 0.5)], built=[-200])  # before our era
    assert count_features(old, HALVES, year_from="built", years=[2000])["count"].tolist() == [1, 0]


def test_another_crs_gives_the_same():
    rng = np.random.default_rng(2)
    boundaries = country()
    lon, lat = scattered(rng, 400)
    points = frame(shapely.points(lon, lat))
    plots = frame(shapely.buffer(shapely.points(lon, lat), 0.01))
    for features, column in ((points, "count"), (plots, "area_km2")):
        plain = count_features(features, boundaries)[column]
        moved = count_features(features.to_crs(UTM_48N), boundaries)[column]
        np.testing.assert_allclose(moved, plain, rtol=1e-9)
        both = count_features(features.to_crs(UTM_48N), boundaries.to_crs(UTM_48N))[column]
        np.testing.assert_allclose(both, plain, rtol=1e-4)  # straight edges are others in another plane


def test_empty_geometry_is_counted_and_left_out():
    features = frame([shapely.Point(0.5, 0.5), None, shapely.Point()])
    table = count_features(features, HALVES)
    assert table["count"].tolist() == [1, 0]
    assert table.attrs["counts"]["empty"] == 2
    assert table.attrs["counts"]["outside"] == 0


def test_invalid_features_are_refused_or_mended():
    bow = shapely.Polygon([(0.1, 0.1), (0.3, 0.3), (0.3, 0.1), (0.1, 0.3)])
    features = frame([shapely.box(0.5, 0.5, 0.6, 0.6), bow])
    with pytest.raises(InputError, match=r"1 features are invalid \(row 2: Self-intersection"):
        count_features(features, HALVES)
    table = count_features(features, HALVES, repair=True)
    assert table["count"].tolist() == [2, 0]
    assert table.attrs["counts"]["repaired"] == 1
    mended = shapely.make_valid(bow, method="structure")
    area = abs(GEOD.geometry_area_perimeter(shapely.normalize(mended))[0])
    area += abs(GEOD.geometry_area_perimeter(shapely.normalize(features.geometry[0]))[0])
    assert table["area_km2"].iloc[0] == pytest.approx(area / 1e6, rel=1e-9)


def test_what_is_refused():
    points = frame([shapely.Point(0.5, 0.5)], kind=["a"], year=["soon"])
    with pytest.raises(InputError, match="the features are points and lines; give"):
        count_features(frame([shapely.Point(0, 0), shapely.LineString([(0, 0), (1, 1)])]), HALVES)
    with pytest.raises(InputError, match="the features are collections"):
        count_features(frame([shapely.GeometryCollection([shapely.Point(0, 0)])]), HALVES)
    with pytest.raises(InputError, match="holds no geometry"):
        count_features(frame([None]), HALVES)
    with pytest.raises(TableError, match=r"has no column 'knid'; did you mean 'kind'\?"):
        count_features(points, HALVES, by="knid")
    with pytest.raises(TableError, match=r"column 'year', holds 'soon' \(row 1\) where a year or a date is needed"):
        count_features(points, HALVES, year_from="year", years=[2001])
    with pytest.raises(InputError, match="go together"):
        count_features(points, HALVES, years=[2001])
    with pytest.raises(CrsError, match="the features have no CRS"):
        count_features(frame([shapely.Point(0, 0)], crs=None), HALVES)
    many = frame(shapely.points(np.linspace(0.1, 0.9, 300), 0.5), id=np.arange(300))
    with pytest.raises(InputError, match="column 'id' holds 300 different values"):
        count_features(many, HALVES, by="id")


@pytest.mark.real
def test_beijing_parcels_in_their_own_districts(data_dir):
    folder = data_dir / "beijing_land"
    districts = gpd.read_file(folder / "Beijingdistricts.gpkg")
    districts["geometry"] = shapely.make_valid(districts.geometry.array, method="structure", keep_collapsed=False)
    districts["city_code"] = districts["id1"].astype(int).astype(str)
    parcels = gpd.read_file(folder / "landprice.gpkg")
    table = count_features(parcels, districts, by="fyear")
    own = parcels["district.id.x"].astype(int).astype(str).value_counts()
    assert table["count"].tolist() == own.reindex(table["city_code"], fill_value=0).tolist()
    assert table["count"].tolist() == districts["counts"].tolist()
    assert table["count"].sum() == 1117
    assert table["count_2003"].sum() == 500
    assert table.attrs["counts"]["outside"] == 0


@pytest.mark.real
def test_luxembourg_communes_in_themselves(data_dir):
    communes = gpd.read_file(data_dir / "ntl_pop_luxembourg/lux_communes.geojson")
    communes["city_code"] = communes["LAU2"]
    table = count_features(communes[["geometry"]], communes)
    # each fills itself, but for slivers of borders cut to six decimals
    np.testing.assert_allclose(table["area_share"], 1, atol=1e-3)
    true = pd.Series([abs(GEOD.geometry_area_perimeter(shape)[0]) / 1e6 for shape in communes.geometry])
    inside = table["area_km2"].sum() + table.attrs["counts"]["size_outside"]
    assert inside == pytest.approx(true.sum(), rel=1e-6)
