"""Points held against polygons: inside, near, far; against a search along the whole border."""

import doctest
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.errors import CrsError, InputError, TableError
from gistools.grid import GEOD, geodesic_km
from gistools.parcels.validation import (
    OUTSIDE_CITY,
    OUTSIDE_PROVINCE,
    UNCHECKED,
    CityPolygons,
    bare_names,
    check_points,
    same_city,
)

CITIES = gpd.GeoDataFrame(
    {
        "city_code": ["420100", "420200", "110000", "130600"],
        "city_name": ["武汉市", "黄石市", "北京市", "保定市"],
        "province": ["湖北省", "湖北省", "北京市", "河北省"],
    },
    geometry=[
        shapely.box(*b) for b in ((114, 30, 115, 31), (115, 30, 116, 31), (116, 39, 117, 41), (115, 38, 116, 39))
    ],
    crs=4326,
)


def points(rows):
    return pd.DataFrame(rows, columns=["lon", "lat", "city_code", "city", "province"])


def test_verdicts():
    table = points(
        [
            (114.5, 30.5, "420100", "武汉市", "湖北省"),  # inside
            (115.015, 30.5, "420100", "武汉市", "湖北省"),  # 1.4 km out: within the tolerance
            (115.5, 30.5, "420100", "武汉市", "湖北省"),  # in the neighbour
            (121.5, 31.2, "420100", "武汉市", "湖北省"),  # nowhere
            (115.5, 30.5, "", "", "湖北省"),  # only the province is stated
            (116.5, 40.0, "", "", "湖北省"),
            (116.5, 40.0, "110105", "", ""),  # a district's code stands for its city
            (114.5, 30.5, "", "武汉", "湖北"),  # short names
            (114.5, 30.5, "999999", "无名市", "无名省"),
            (np.nan, 30.5, "420100", "武汉市", "湖北省"),
        ]
    )
    found = check_points(table, CITIES)
    expected = ["", "", OUTSIDE_CITY, OUTSIDE_CITY, "", OUTSIDE_PROVINCE, "", "", UNCHECKED, UNCHECKED]
    assert found["verdict"].tolist() == expected
    assert found["found_in"].tolist() == ["", "", "420200", "", "", "110000", "", "", "", ""]
    assert found["km_outside"].iloc[[0, 4, 6, 7]].tolist() == [0, 0, 0, 0]
    assert found["km_outside"].iloc[1] == pytest.approx(GEOD.inv(115.015, 30.5, 115, 30.5)[2] / 1000, rel=1e-4)
    assert found["km_outside"].iloc[8:].isna().all()
    strict = check_points(table, CITIES, tolerance_km=0)["verdict"]
    assert strict.iloc[1] == OUTSIDE_CITY


def test_projected_boundaries_give_the_same():
    table = points([(115.2, 30.5, "420100", "", ""), (114.5, 30.9, "420100", "", "")])
    degrees = CITIES.assign(geometry=shapely.segmentize(CITIES.geometry.array, 0.005))
    metres = check_points(table, degrees.to_crs(32650))
    pd.testing.assert_frame_equal(metres, check_points(table, degrees), rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.floats(-1.2, 2.2), st.floats(-1.2, 2.2), st.floats(-60, 60))
def test_the_distance_is_that_of_a_search_along_the_border(x, y, south):
    polygon = shapely.box(100, south, 101, south + 1)
    cities = CITIES.iloc[:1].set_geometry(gpd.GeoSeries([polygon], crs=4326))
    lon, lat = np.array([100 + x]), np.array([south + y])
    km = CityPolygons(cities).km_outside(lon, lat, np.zeros(1, int))[0]
    border = shapely.get_coordinates(shapely.segmentize(polygon.exterior, 0.0001))
    nearest = geodesic_km(np.full(len(border), lon[0]), np.full(len(border), lat[0]), *border.T).min()
    if shapely.intersects_xy(polygon, lon[0], lat[0]):
        assert km == 0
    else:
        assert nearest * (1 - 1e-3) - 0.006 <= km  # the search goes by steps of 11 m <= nearest * (1 + 5e-3) + 0.06
        if nearest < 100:
            assert km == pytest.approx(nearest, rel=1e-3, abs=0.06)


def test_cities_are_found_by_code_then_by_name():
    polygons = CityPolygons(CITIES)
    units = pd.DataFrame(
        {
            "city_code": ["420100", "110000", "110100", "4201", "", "", "", ""],
            "city": ["", "", "", "", "黄石", "黄石市", "黄石市", "无名"],
            "province": ["", "", "", "", "湖北省", "", "河北省", "湖北省"],
        }
    )
    assert polygons.positions(units).tolist() == [0, 2, 2, 0, 1, 1, -1, -1]
    twice = pd.concat([CITIES, CITIES.iloc[[1]].assign(city_code="360000", province="江西省")])
    named = pd.DataFrame({"city_code": [""] * 2, "city": ["黄石市"] * 2, "province": ["江西", ""]})
    assert CityPolygons(twice).positions(named).tolist() == [4, -1]  # without its province the name is not settled


def test_a_shared_border_belongs_to_the_first():
    assert CityPolygons(CITIES).holding([115.0, 114.2, 0.0], [30.5, 30.5, 0.0]).tolist() == [0, 0, -1]


def test_codes_of_one_city():
    left = pd.Series(["110000", "110100", "420106", "429004", "429004", "4201", "", "wuhan", "420100"])
    right = pd.Series(["110228", "110000", "420111", "429004", "429005", "420100", "420100", "420100", "420200"])
    assert same_city(left, right).tolist() == [True, True, True, True, False, True, True, True, False]


def test_names_without_their_rank():
    names = [
        "广西壮族自治区",
        "内蒙古自治区",
        "新疆维吾尔自治区",
        "宁夏回族自治区",
        "锡林郭勒盟",
        "大兴安岭地区",
        "上海市",
    ]
    assert bare_names(pd.Series(names)).tolist() == ["广西", "内蒙古", "新疆", "宁夏", "锡林郭勒", "大兴安岭", "上海"]


def test_refusals():
    table = points([(114.5, 30.5, "420100", "武汉市", "湖北省")])
    with pytest.raises(CrsError, match="no CRS"):
        check_points(table, CITIES.set_crs(None, allow_override=True))
    with pytest.raises(TableError, match="city_code"):
        check_points(table, CITIES.drop(columns="city_code"))
    with pytest.raises(InputError, match="tolerance"):
        check_points(table, CITIES, tolerance_km=-1)


def test_the_pages_worked_check():
    page = Path(__file__).parents[2] / "docs" / "methods" / "geocoding.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert (failed, tried) == (0, 6)
