"""Parcels: the city that holds each, and the geodesic distance to its CBD."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Geod

from gistools.errors import TableError
from gistools.parcels.distance import (
    IMPOSSIBLE,
    NO_CBD,
    NO_CITY,
    NO_COORDINATES,
    NO_YEAR,
    OUTSIDE,
    distance_to_cbd,
    far_parcels,
    funnel,
    locate_parcels,
    parcels_by_city_year,
)
from gistools.parcels.status import LOCATED

CITIES = gpd.GeoDataFrame(
    {"city_code": ["0101", "0102"]}, geometry=[shapely.box(114, 30, 115, 31), shapely.box(115, 30, 116, 31)], crs=4326
)
CBDS = pd.DataFrame({"city_code": ["0101", "0102"], "cbd_lon": [114.5, np.nan], "cbd_lat": [30.5, np.nan]})


def test_every_record_keeps_a_status_and_its_place() -> None:
    parcels = pd.DataFrame(
        {
            "parcel_id": list("abcdefg"),
            "lon": ["114.2", "115.4", "", "30.5", "113", "0", "115"],
            "lat": ["30.2", "30.6", "30", "114.2", "30", "0", "30.5"],
        }
    )
    located = locate_parcels(parcels, CITIES)
    assert located["parcel_id"].tolist() == list("abcdefg")
    # a point on the shared border goes to the first city; swapped coordinates cannot be latitudes
    assert located["status"].tolist() == [LOCATED, LOCATED, NO_COORDINATES, IMPOSSIBLE, OUTSIDE, IMPOSSIBLE, LOCATED]
    assert located["city_code"].fillna("").tolist() == ["0101", "0102", "", "", "", "", "0101"]
    measured = distance_to_cbd(located, CBDS)
    assert measured["status"].tolist() == [LOCATED, NO_CBD, NO_COORDINATES, IMPOSSIBLE, OUTSIDE, IMPOSSIBLE, LOCATED]
    assert measured["distance_km"].notna().tolist() == [True, False, False, False, False, False, True]
    steps = funnel(measured)
    assert steps["kept"].tolist() == [7, 4, 3, 2]
    assert steps["removed"].sum() + steps["kept"].iloc[-1] == len(parcels)


def test_records_set_aside_earlier_keep_their_reason_and_are_counted_first() -> None:
    parcels = pd.DataFrame(
        {"lon": [114.2, 114.2, 113.0], "lat": 30.2, "status": ["duplicate", "kept", "kept"]}, index=[5, 6, 7]
    )
    measured = distance_to_cbd(locate_parcels(parcels, CITIES), CBDS)
    assert measured["status"].tolist() == ["duplicate", LOCATED, OUTSIDE]
    assert measured["distance_km"].notna().tolist() == [False, True, False]
    steps = funnel(measured)
    assert steps[["step", "removed", "kept", "reason"]].values.tolist()[:2] == [
        ["records", 0, 3, ""],
        ["passed the earlier steps", 1, 2, "duplicate: 1"],
    ]
    assert steps["kept"].iloc[-1] == 1


def test_boundaries_may_lie_in_another_crs() -> None:
    points = pd.DataFrame({"lon": [114.2, 115.9], "lat": [30.2, 30.9]})
    plane = locate_parcels(points, CITIES.to_crs(32650))
    assert plane["city_code"].tolist() == ["0101", "0102"]


@given(lon=st.floats(-179, 179), lat=st.floats(-80, 80), east=st.floats(-1, 1), north=st.floats(-1, 1))
def test_distance_is_the_geodesic_of_proj(lon: float, lat: float, east: float, north: float) -> None:
    assume(lon + east or lat + north)  # 0, 0 is what a failed geocoder writes, and no place
    parcels = pd.DataFrame({"city_code": ["1"], "lon": [lon + east], "lat": [lat + north]})
    cbds = pd.DataFrame({"city_code": ["1"], "cbd_lon": [lon], "cbd_lat": [lat]})
    expected = Geod(ellps="WGS84").inv(lon, lat, lon + east, lat + north)[2] / 1000
    assert distance_to_cbd(parcels, cbds)["distance_km"].iloc[0] == pytest.approx(expected, abs=1e-9)


def test_a_cbd_that_moves_is_matched_by_year() -> None:
    cbds = pd.DataFrame(
        {"city_code": ["1", "1"], "year": [2009, 2010], "cbd_lon": [114.0, 114.1], "cbd_lat": [30.0, 30.0]}
    )
    parcels = pd.DataFrame({"city_code": ["1"] * 3, "year": [2009, 2010, 2011], "lon": 114.0, "lat": 30.0})
    measured = distance_to_cbd(parcels, cbds)
    assert measured["distance_km"].iloc[0] == 0
    assert measured["distance_km"].iloc[1] == pytest.approx(9.65, abs=0.01)
    assert measured["status"].iloc[2] == NO_YEAR
    assert funnel(measured)["reason"].iloc[-1] == "its year is not among the CBDs: 1"
    with pytest.raises(TableError, match="more than one place"):
        distance_to_cbd(parcels.drop(columns="year"), cbds)
    # the same place in every year is one place
    still = cbds.assign(cbd_lon=114.0)
    # a city that is dark in one year has one place all the same
    dark = pd.concat([still, pd.DataFrame({"city_code": ["1"], "year": [2011]})])
    assert distance_to_cbd(parcels.drop(columns="year"), dark)["distance_km"].tolist() == [0, 0, 0]
    assert distance_to_cbd(parcels.drop(columns="year"), still)["distance_km"].tolist() == [0, 0, 0]


def test_projected_coordinates_are_refused() -> None:
    parcels = pd.DataFrame({"lon": [450940.7, 451000.0], "lat": [4419772.8, 4419000.0]})
    with pytest.raises(TableError, match="not degrees"):
        locate_parcels(parcels, CITIES)


def test_city_years_count_located_parcels_only() -> None:
    parcels = pd.DataFrame(
        {
            "city_code": ["1", "1", "1", "2"],
            "year": pd.array([2009, 2009, None, 2009], dtype="Int64"),
            "distance_km": [1.0, 3.0, 5.0, np.nan],
            "status": [LOCATED, LOCATED, LOCATED, OUTSIDE],
        }
    )
    table = parcels_by_city_year(parcels)
    assert table.to_numpy().tolist() == [["1", 2009, 2, 2.0]]


@pytest.mark.real
def test_published_distances_of_beijing_parcels(data_dir) -> None:
    """The distances are planar in a projection whose CBD was fitted: the geodesic agrees to its scale factor."""
    folder = data_dir / "beijing_land"
    parcels = pd.read_csv(folder / "beijing_land_parcels.csv")
    cbds = pd.DataFrame({"city_code": ["110000"], "cbd_lon": [116.42626], "cbd_lat": [39.91001]})
    measured = distance_to_cbd(parcels.assign(city_code="110000"), cbds)
    published = parcels["Dcbd_"] / 1000
    assert len(measured) == 1117
    # the projection's scale at 0.57 degrees from its meridian is within 4e-5 of one; the point has five decimals
    assert (measured["distance_km"] - published).abs().max() < 0.003


def test_swapped_columns_are_refused() -> None:
    """Though some latitudes pass for longitudes, and one record may be swapped itself."""
    parcels = pd.DataFrame({"lon": [30.2, 30.4, 114.2], "lat": [114.2, 114.3, 30.2]})
    with pytest.raises(TableError, match="are not degrees"):
        locate_parcels(parcels, CITIES)
    with pytest.raises(TableError, match="the two columns are swapped; exchange them"):
        locate_parcels(parcels.iloc[:2], CITIES)


PARCELS = pd.DataFrame({"city_code": ["0101"], "year": [2009], "lon": [114.2], "lat": [30.2]})
MOVING = pd.DataFrame(
    {"city_code": ["0101", "0101"], "year": [2009, 2010], "cbd_lon": [114.0, 114.1], "cbd_lat": [30.0, 30.0]}
)


@pytest.mark.parametrize(
    ("parcels", "cbds", "words"),
    [
        (PARCELS, CBDS.assign(cbd_lon="east"), "the table of CBDs, column 'cbd_lon', holds 'east'"),
        (PARCELS, CBDS.assign(cbd_lon=5e5), "puts city 0101 at 500000, 30.5: these are not degrees"),
        (PARCELS, MOVING.assign(year=["this", "next"]), "the table of CBDs, column 'year', holds 'this'"),
        (PARCELS, CBDS.assign(city_code=None), "2 rows without city_code"),
        (PARCELS.assign(year="soon"), MOVING, "the parcel table, column 'year', holds 'soon'"),
        (PARCELS, MOVING.assign(year=2009), "more than one row for city_code and year 0101/2009"),
    ],
)
def test_cbds_and_years_that_cannot_be_used_are_refused(
    parcels: pd.DataFrame, cbds: pd.DataFrame, words: str
) -> None:
    with pytest.raises(TableError, match=words):
        distance_to_cbd(parcels, cbds)


def test_years_as_text_find_their_cbd() -> None:
    measured = distance_to_cbd(PARCELS.assign(year="2009"), MOVING.assign(year=MOVING["year"].astype(float)))
    assert measured["status"].tolist() == [LOCATED]
    assert measured["year"].tolist() == ["2009"]
    spelt = distance_to_cbd(PARCELS.assign(year="2009年"), MOVING)
    assert spelt["distance_km"].tolist() == measured["distance_km"].tolist()
    assert parcels_by_city_year(spelt)["year"].tolist() == [2009]


def test_codes_that_a_spreadsheet_took_for_numbers_find_their_cbd() -> None:
    exact = distance_to_cbd(PARCELS.assign(city_code="101"), CBDS.assign(city_code="101"))
    for code in (101, 101.0, "101.0", " 101 "):
        for mine, theirs in ((code, "101"), ("101", code)):
            found = distance_to_cbd(PARCELS.assign(city_code=mine), CBDS.assign(city_code=theirs))
            assert found["distance_km"].tolist() == exact["distance_km"].tolist()


def test_a_parcel_without_a_city_belongs_to_none() -> None:
    parcels = pd.concat([PARCELS, PARCELS.assign(city_code=None), PARCELS.assign(city_code=" ")], ignore_index=True)
    measured = distance_to_cbd(parcels, CBDS)
    assert measured["status"].tolist() == [LOCATED, NO_CITY, NO_CITY]
    assert measured["distance_km"].isna().tolist() == [False, True, True]
    table = funnel(measured).set_index("step")
    assert table.loc["inside a city", "removed"] == 2
    assert table["removed"].sum() + table["kept"].iloc[-1] == 3


def test_distances_longer_than_a_city_are_spoken_of_and_refused_where_they_are_most() -> None:
    parcels = pd.concat([PARCELS] * 3, ignore_index=True)
    parcels.loc[0, "lon"] *= -1
    (note,) = far_parcels(distance_to_cbd(parcels, CBDS))
    assert note.startswith("1 of 3 parcels lie more than 300 km")
    assert far_parcels(distance_to_cbd(parcels[1:], CBDS)) == ()
    parcels["lon"] = -parcels["lon"].abs()
    with pytest.raises(TableError, match="3 of 3 parcels lie more than 300 km"):
        far_parcels(distance_to_cbd(parcels, CBDS))


def test_coordinates_are_judged_although_the_table_names_the_city() -> None:
    parcels = pd.DataFrame(
        {"city_code": ["1"] * 6, "lon": [114.1, 0, 500, 114.1, "", 114.2], "lat": [30.0, 0, 30, 95, 30, 30.0]}
    )
    cbds = pd.DataFrame({"city_code": ["1"], "cbd_lon": [114.0], "cbd_lat": [30.0]})
    measured = distance_to_cbd(parcels, cbds)
    bad = [IMPOSSIBLE, IMPOSSIBLE, IMPOSSIBLE, NO_COORDINATES]
    assert measured["status"].tolist() == [LOCATED, *bad, LOCATED]
    assert np.isnan(measured["distance_km"]).tolist() == [False, True, True, True, True, False]
    with pytest.raises(TableError, match="swapped"):
        distance_to_cbd(parcels.iloc[[0, 5]].rename(columns={"lon": "lat", "lat": "lon"}), cbds)
