"""Datums: published points, other packages, Amap's own answers, exact inverses, and where the shift applies."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pyproj import Geod

from gistools.errors import InputError
from gistools.grid import geodesic_km
from gistools.parcels.datum import (
    DATUMS,
    INVERSE_ERROR_M,
    bd09_to_gcj02,
    bd09_to_wgs84,
    convert_datum,
    gcj02_region,
    gcj02_to_bd09,
    gcj02_to_wgs84,
    in_shifted_region,
    wgs84_to_bd09,
    wgs84_to_gcj02,
)

REFERENCE = Path(__file__).parents[1] / "reference"
INLAND = {"lon": st.floats(100, 118), "lat": st.floats(26, 40)}  # all of it inside the region
AROUND = {"lon": st.floats(72, 137), "lat": st.floats(10, 54)}


def metres(a: tuple, b: tuple) -> np.ndarray:
    return np.asarray(geodesic_km(*a, *b)) * 1000


# Published points -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wgs84", "gcj02", "decimals"),
    [
        # googollee/eviltransform, go/transform_test.go: Shanghai, Shenzhen, Beijing
        ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597), 9),
        ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766), 9),
        ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069), 9),
        # wandergis/coordtransform, test/app.js
        ((116.404, 39.915), (116.41024449916938, 39.91640428150164), 9),
        # caijun/geoChina, wgs2gcj: Beijing railway station
        ((116.42079, 39.90105), (116.42703, 39.90245), 4),
    ],
)
def test_published_pairs_of_wgs84_and_gcj02(wgs84: tuple, gcj02: tuple, decimals: int) -> None:
    assert_allclose(wgs84_to_gcj02(*wgs84), gcj02, rtol=0, atol=10.0**-decimals)
    assert_allclose(gcj02_to_wgs84(*gcj02), wgs84, rtol=0, atol=10.0**-decimals)


# hujiulong/gcoord, test/fixtures/china-cities.json: GCJ-02 and BD-09 as published, seven decimals.
CITIES = {
    "Zhumadian": (114.022306, 33.0115324, 114.0287781, 33.0176697),
    "Shaoyang": (111.4677938, 27.2388981, 111.4742271, 27.2451662),
    "Xingtai": (114.5048503, 37.0705911, 114.5113116, 37.0766797),
    "Nagqu": (92.0512438, 31.4762063, 92.0576832, 31.4824421),
    "Liangshan": (102.2673386, 27.8816151, 102.2738428, 27.8876621),
    "Meizhou": (116.1222426, 24.2886182, 116.1287823, 24.2944828),
    "Shenyang": (123.4314787, 41.8057023, 123.438095, 41.8114013),
    "Jiuquan": (98.4943595, 39.7328234, 98.5008441, 39.7388949),
    "Xilingol": (116.0482308, 43.9334573, 116.0546232, 43.9397782),
}


def test_published_pairs_of_gcj02_and_bd09() -> None:
    pairs = np.array([*CITIES.values(), (116.404, 39.915, 116.41036949371029, 39.92133699351021)]).T
    assert metres(gcj02_to_bd09(*pairs[:2]), tuple(pairs[2:])).max() < 0.011
    assert metres(bd09_to_gcj02(*pairs[2:]), tuple(pairs[:2])).max() < 0.011
    # coordtransform's point has all its digits
    assert_allclose(np.array(gcj02_to_bd09(*pairs[:2, -1])), pairs[2:, -1], rtol=0, atol=1e-12)


def test_shift_at_the_origin_of_the_series_is_300_m_east_and_100_m_south() -> None:
    lon, lat = wgs84_to_gcj02(105.0, 35.0)  # every sine and product is zero there
    krasovsky = Geod(a=6378245.0, es=0.00669342162296594323)
    _, _, east = krasovsky.inv(105.0, 35.0, lon, 35.0)
    _, _, north = krasovsky.inv(105.0, 35.0, 105.0, lat)
    assert_allclose((east, north), (300, 100), atol=1e-3)
    assert lon > 105
    assert lat < 35


# Other packages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "tolerance_m"),
    [
        ("coord_convert", 1e-6),
        ("transbigdata", 1e-6),
        ("prcoords", 1e-6),
        ("eviltransform", 0.012),  # it takes 6378137 m for the semi-major axis
    ],
)
def test_other_packages_give_the_same_points(package: str, tolerance_m: float) -> None:
    table = pd.read_csv(REFERENCE / f"datum_{package}.csv", comment="#")
    points = (table["lon"], table["lat"])
    gcj02, bd09 = (table["gcj02_lon"], table["gcj02_lat"]), (table["bd09_lon"], table["bd09_lat"])
    assert len(table) == 200
    assert metres(wgs84_to_gcj02(*points), gcj02).max() < tolerance_m
    assert metres(wgs84_to_bd09(*points), bd09).max() < tolerance_m
    assert metres(gcj02_to_bd09(*gcj02), bd09).max() < tolerance_m
    assert metres(gcj02_to_wgs84(*gcj02), points).max() < tolerance_m
    assert metres(bd09_to_wgs84(*bd09), points).max() < tolerance_m


@pytest.mark.parametrize(
    ("package", "from_gcj02_m", "from_bd09_m"),
    [
        ("coord_convert", 1e-4, 0.2),  # iterates GCJ-02 to 1e-6 degrees; the common inverse of BD-09
        ("transbigdata", 3.5, 3.5),  # one step of GCJ-02
        ("prcoords", 0.0035, 0.02),
        ("eviltransform", 0.16, 3.5),
    ],
)
def test_inverses_of_other_packages_are_off_by_more_than_ours(
    package: str, from_gcj02_m: float, from_bd09_m: float
) -> None:
    table = pd.read_csv(REFERENCE / f"datum_{package}.csv", comment="#")
    points = (table["lon"], table["lat"])
    for datum, most in (("gcj02", from_gcj02_m), ("bd09", from_bd09_m)):
        theirs = metres((table[f"from_{datum}_lon"], table[f"from_{datum}_lat"]), points).max()
        assert 0.5 * most < theirs < most * 1.01
        ours = metres(convert_datum(*convert_datum(*points, "wgs84", datum), datum, "wgs84"), points).max()
        assert ours < INVERSE_ERROR_M


# What Amap answers ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amap() -> pd.DataFrame:
    table = pd.read_csv(REFERENCE / "datum_amap.csv", comment="#")
    table["moved"] = np.hypot(table["amap_lon"] - table["lon"], table["amap_lat"] - table["lat"]) > 1e-5
    table["inside"] = in_shifted_region(table["lon"], table["lat"])
    table["error_m"] = metres(wgs84_to_gcj02(table["lon"], table["lat"]), (table["amap_lon"], table["amap_lat"]))
    return table


def test_amap_agrees_with_the_formula_to_metres(amap: pd.DataFrame) -> None:
    inside = amap[amap["inside"]]
    assert len(inside) > 950
    assert 2 < inside["error_m"].mean() < 2.5
    assert inside["error_m"].max() < 9
    # the east, where most cities are, is far better than the west
    assert inside.loc[inside["lon"] > 112, "error_m"].mean() < 0.5
    assert inside.loc[inside["lon"] < 104, "error_m"].mean() > 3.5


def test_amap_moves_every_point_of_the_region(amap: pd.DataFrame) -> None:
    assert amap.loc[amap["inside"], "moved"].all()
    assert (~amap["inside"] & ~amap["moved"]).sum() > 150  # and the table holds points it does not move


# Exact inverses -------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(**INLAND, source=st.sampled_from(DATUMS), target=st.sampled_from(DATUMS))
def test_round_trips_are_exact(lon: float, lat: float, source: str, target: str) -> None:
    there = convert_datum(lon, lat, source, target)
    assert metres(convert_datum(*there, target, source), (lon, lat)) < INVERSE_ERROR_M
    if source != target:
        assert 15 < metres(there, (lon, lat)) < 1520


@settings(max_examples=100)
@given(**AROUND, datum=st.sampled_from(["gcj02", "bd09"]))
def test_round_trips_are_exact_everywhere_without_a_region(lon: float, lat: float, datum: str) -> None:
    there = convert_datum(lon, lat, "wgs84", datum, region="everywhere")
    assert metres(convert_datum(*there, datum, "wgs84", region="everywhere"), (lon, lat)) < INVERSE_ERROR_M
    back = convert_datum(lon, lat, datum, "wgs84", region="everywhere")
    assert metres(convert_datum(*back, "wgs84", datum, region="everywhere"), (lon, lat)) < INVERSE_ERROR_M


def test_round_trips_are_exact_at_the_kink_of_the_formula() -> None:
    # the root of |lon - 105| has no derivative at 105°E, so a step there is no contraction
    beside = np.array([0.0, *10.0 ** -np.arange(3, 14)])
    lon = np.concatenate([105 - beside, 105 + beside])
    lat = np.full(lon.size, 30.0)
    for datum in ("gcj02", "bd09"):
        back = convert_datum(*convert_datum(lon, lat, "wgs84", datum), datum, "wgs84")
        assert metres(back, (lon, lat)).max() < INVERSE_ERROR_M


@given(**INLAND, bearing=st.floats(0, 360), step=st.floats(1, 50))
def test_shifts_are_smooth(lon: float, lat: float, bearing: float, step: float) -> None:
    lon2, lat2, _ = Geod(ellps="WGS84").fwd(lon, lat, bearing, step)
    for datum in ("gcj02", "bd09"):
        apart = metres(convert_datum(lon, lat, "wgs84", datum), convert_datum(lon2, lat2, "wgs84", datum))
        # the waves of BD-09 stretch by up to 2.5 %, the root at 105°E by a few millimetres
        assert abs(apart - step) < 0.03 * step + 0.01


def test_bd09_is_its_formula_in_polar_coordinates() -> None:
    rng = np.random.default_rng(4)
    lon, lat = np.append(rng.uniform(73, 135, 500), 0.0), np.append(rng.uniform(4, 54, 500), 0.0)
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * np.pi * 3000 / 180)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * np.pi * 3000 / 180)
    polar = radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006
    assert_allclose(gcj02_to_bd09(lon, lat, region="everywhere"), polar, rtol=0, atol=1e-13)


def test_direct_conversions_are_the_steps_in_turn() -> None:
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(100, 118, 500), rng.uniform(26, 40, 500)
    assert_array_equal(wgs84_to_bd09(lon, lat), gcj02_to_bd09(*wgs84_to_gcj02(lon, lat)))
    assert_array_equal(bd09_to_wgs84(lon, lat), gcj02_to_wgs84(*bd09_to_gcj02(lon, lat)))


# Where the shift applies ----------------------------------------------------------------------------------------

MAINLAND_PLACES = {
    "Beijing": (116.391, 39.907),
    "Urumqi": (87.617, 43.826),
    "Lhasa": (91.141, 29.646),
    "Mohe": (122.54, 52.97),
    "Haikou, Hainan": (110.35, 20.02),
    "Zhoushan": (122.21, 29.99),
    "Shengsi": (122.45, 30.72),
    "Yangshan port": (122.06, 30.62),
    "Dachen islands": (121.90, 28.45),
    "Weizhou island": (109.12, 21.03),
    "Changdao": (120.73, 37.92),
    "Caofeidian port": (118.50, 38.93),
    "Lingang, Shanghai": (121.93, 30.90),
    "Pingtan": (119.78, 25.50),
    "Meizhou island": (119.13, 25.08),
    "Xiamen": (118.10, 24.46),
    "Dadeng": (118.33, 24.55),
    "Futian": (114.068, 22.522),
    "Luohu": (114.117, 22.533),
    "Shekou": (113.92, 22.48),
    "Yantian": (114.27, 22.58),
    "Shatoujiao": (114.23, 22.555),
    "Guishan island": (113.82, 22.13),
    "Gongbei": (113.55, 22.222),
    "Hengqin": (113.5101, 22.12),  # Wikipedia; the island's eastern kilometre is outside, see the README of the data
    "Wanzai": (113.52782, 22.20166),  # GeoNames 1791737
    "Dandong": (124.39, 40.12),
    "Heihe": (127.50, 50.245),
    "Ruili": (97.85, 24.01),
    "Erenhot": (111.97, 43.65),
}
OTHER_PLACES = {
    "Central, Hong Kong": (114.16, 22.28),
    "Hong Kong airport": (113.92, 22.31),
    "Sheung Shui": (114.128, 22.502),
    "Lok Ma Chau": (114.066, 22.512),
    "Lo Wu, Hong Kong side": (114.113, 22.528),
    "Tin Shui Wai": (114.00, 22.46),
    "Lau Fau Shan": (113.98, 22.47),
    "Tung Ping Chau": (114.433, 22.543),
    "Po Toi": (114.26, 22.17),
    "Macao": (113.545, 22.19),
    "Taipa": (113.56, 22.155),
    "Coloane": (113.565, 22.12),
    "Macao airport": (113.575, 22.15),
    "Taipei": (121.56, 25.04),
    "Penghu": (119.58, 23.57),
    "Kinmen": (118.37, 24.45),
    "Lieyu": (118.237, 24.431),
    "Matsu, Nangan": (119.93, 26.15),
    "Dongyin": (120.49, 26.37),
    "Seoul": (126.98, 37.57),
    "Sinuiju": (124.40, 40.09),
    "Blagoveshchensk": (127.53, 50.27),
    "Vladivostok": (131.89, 43.12),
    "Ulaanbaatar": (106.92, 47.92),
    "Zamyn-Uud": (111.90, 43.71),
    "Almaty": (76.95, 43.25),
    "Kathmandu": (85.32, 27.71),
    "Thimphu": (89.64, 27.47),
    "Muse": (97.90, 23.98),
    "Lao Cai": (103.97, 22.48),
    "Hanoi": (105.85, 21.03),
    "Tokyo": (139.69, 35.69),
    "London": (-0.13, 51.51),
    "North Pole": (0.0, 90.0),
}


def test_the_mainland_is_inside_and_others_are_outside() -> None:
    inside = in_shifted_region(*np.array(list(MAINLAND_PLACES.values())).T)
    assert inside.all(), [name for name, there in zip(MAINLAND_PLACES, inside, strict=True) if not there]
    inside = in_shifted_region(*np.array(list(OTHER_PLACES.values())).T)
    assert not inside.any(), [name for name, there in zip(OTHER_PLACES, inside, strict=True) if there]


def test_outside_all_datums_are_one() -> None:
    lon, lat = np.array(list(OTHER_PLACES.values())).T
    for convert in (wgs84_to_gcj02, wgs84_to_bd09):
        assert_array_equal(convert(lon, lat), (lon, lat))
    # from a shifted datum too, but for the band of a shift's width along the edge, where Lo Wu lies
    far = ~in_shifted_region(lon, lat, "gcj02") & ~in_shifted_region(lon, lat, "bd09")
    assert far.sum() >= len(OTHER_PLACES) - 4
    for convert in (gcj02_to_wgs84, bd09_to_wgs84, gcj02_to_bd09, bd09_to_gcj02):
        assert_array_equal(convert(lon[far], lat[far]), (lon[far], lat[far]))


def test_the_edge_follows_the_published_boundary_of_hong_kong() -> None:
    # points 1 to 7 of the boundary, State Council, Order 221 of 1997: Sha Tau Kok, the pass, Deep Bay
    published = [
        ((114, 13, 34.85), (22, 32, 37.21)),
        ((114, 13, 32.40), (22, 32, 45.42)),
        ((114, 13, 36.91), (22, 32, 52.26)),
        ((114, 13, 36.86), (22, 32, 52.83)),
        ((114, 12, 24.25), (22, 33, 23.49)),
        ((113, 59, 42.20), (22, 30, 36.23)),
        ((113, 56, 52.10), (22, 28, 20.49)),
    ]
    lon, lat = (np.array(published) @ [1, 1 / 60, 1 / 3600]).T
    edge = gcj02_region().boundary
    nearest = [edge.interpolate(edge.project(shapely.Point(*point))) for point in zip(lon, lat, strict=True)]
    off = metres((lon, lat), (shapely.get_x(nearest), shapely.get_y(nearest)))
    assert off.max() < 260
    assert np.median(off) < 65


@pytest.fixture(scope="module")
def at_the_edge() -> tuple[np.ndarray, np.ndarray]:
    """Points within 1.5 km of the region's edge, on land and at sea, on both sides."""
    rng = np.random.default_rng(5)
    edge = shapely.segmentize(gcj02_region().boundary, 0.05)
    corners = shapely.get_coordinates(edge)
    picked = corners[rng.integers(0, len(corners), 4000)]
    return picked[:, 0] + rng.uniform(-0.015, 0.015, 4000), picked[:, 1] + rng.uniform(-0.013, 0.013, 4000)


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_round_trips_across_the_edge(at_the_edge: tuple, datum: str) -> None:
    lon, lat = at_the_edge
    inside = in_shifted_region(lon, lat)
    assert 0.2 < inside.mean() < 0.8
    there = convert_datum(lon, lat, "wgs84", datum)
    error = metres(convert_datum(*there, datum, "wgs84"), (lon, lat))
    # every point of the region comes back; a point just outside does too, unless a point inside is shifted onto it
    assert error[inside].max() < INVERSE_ERROR_M
    twofold = ~inside & in_shifted_region(lon, lat, datum)
    assert error[~inside & ~twofold].max() < INVERSE_ERROR_M
    assert 0 < twofold.mean() < 0.25
    back = convert_datum(lon[twofold], lat[twofold], datum, "wgs84")
    width = metres(back, (lon[twofold], lat[twofold]))
    assert width.max() < (710 if datum == "gcj02" else 1520)
    assert in_shifted_region(*back).all()


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_a_coordinate_inside_that_no_point_is_shifted_to_is_shifted_back(at_the_edge: tuple, datum: str) -> None:
    lon, lat = at_the_edge
    back = convert_datum(lon, lat, datum, "wgs84", region="everywhere")
    gap = in_shifted_region(lon, lat) & ~in_shifted_region(*back)
    assert gap.sum() > 100
    assert_array_equal(np.array(convert_datum(lon, lat, datum, "wgs84"))[:, gap], np.array(back)[:, gap])


def test_own_region_goes_before_the_mainland() -> None:
    hong_kong = shapely.box(113.8, 22.1, 114.5, 22.6)
    lon, lat = np.array([114.16, 116.4]), np.array([22.28, 39.9])
    own = np.array(wgs84_to_gcj02(lon, lat, region=hong_kong))
    everywhere = np.array(wgs84_to_gcj02(lon, lat, region="everywhere"))
    assert_array_equal(own[:, 0], everywhere[:, 0])
    assert_array_equal(own[:, 1], (lon[1], lat[1]))
    assert_array_equal(in_shifted_region(lon, lat, region=hong_kong), [True, False])
    # what a rectangle around China would do to Hong Kong and Seoul
    assert_allclose(metres(tuple(own[:, 0]), (114.16, 22.28)), 595, atol=5)
    assert_allclose(metres(wgs84_to_gcj02(126.98, 37.57, region="everywhere"), (126.98, 37.57)), 460, atol=10)


# Shapes and errors ----------------------------------------------------------------------------------------------


def test_shapes_and_missing_values_are_kept() -> None:
    lon, lat = wgs84_to_gcj02(116.4, 39.9)
    assert np.shape(lon) == np.shape(lat) == ()
    grid = wgs84_to_gcj02(np.linspace(110, 118, 5)[None, :], np.linspace(30, 38, 4)[:, None])
    assert grid[0].shape == grid[1].shape == (4, 5)
    assert grid[0].dtype == np.float64
    assert_array_equal(grid[0][1, 2], wgs84_to_gcj02(114.0, 30 + 8 / 3)[0])
    assert wgs84_to_gcj02([], [])[0].shape == (0,)
    given = (np.array([np.nan, 116.4, 116.4]), np.array([39.9, np.nan, 39.9]))
    for source in DATUMS:
        for target in DATUMS:
            made = np.array(convert_datum(*given, source, target))
            assert_array_equal(np.isnan(made), [[True, True, False]] * 2)
    assert_array_equal(in_shifted_region(*given), [False, False, True])
    assert_array_equal(given[0][1:], [116.4, 116.4])  # what was given is not written to


def test_blocks_do_not_show() -> None:
    rng = np.random.default_rng(8)
    lon, lat = rng.uniform(70, 140, 40_000), rng.uniform(0, 60, 40_000)
    whole = np.array(bd09_to_wgs84(lon, lat))
    parts = np.hstack([bd09_to_wgs84(lon[k : k + 7001], lat[k : k + 7001]) for k in range(0, 40_000, 7001)])
    assert np.abs(whole - parts).max() * 111_320 < 1e-6


def test_wrong_coordinates_datums_and_regions_are_refused() -> None:
    with pytest.raises(InputError, match=r"1 of 2 points lie beyond .* the first at 39.9, 116.4"):
        wgs84_to_gcj02([116.4, 39.9], [39.9, 116.4])
    with pytest.raises(InputError, match="beyond"):
        gcj02_to_wgs84(np.inf, 30)
    with pytest.raises(InputError, match="datum is 'gcj2', but must be one of wgs84, gcj02, bd09; did you mean"):
        convert_datum(116, 39, "gcj2", "wgs84")
    with pytest.raises(InputError, match="region is 'china'"):
        wgs84_to_gcj02(116, 39, region="china")
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    for region in (bow, shapely.Point(0, 0), None, shapely.Polygon()):
        with pytest.raises(InputError, match="region must be"):
            wgs84_to_gcj02(116, 39, region=region)


def test_near_the_poles_nothing_is_shifted() -> None:
    lon, lat = np.array([20.0, 30.0, 105.0]), np.array([85.1, 90.0, -89.0])
    for source in DATUMS:
        assert_array_equal(convert_datum(lon, lat, source, "wgs84", region="everywhere"), (lon, lat))


@given(lon=st.floats(-180, 180), lat=st.floats(-84.9, 84.9))
def test_the_inverse_settles_wherever_there_are_web_maps(lon: float, lat: float) -> None:
    there = wgs84_to_gcj02(lon, lat, region="everywhere")
    if abs(there[0]) <= 180 and abs(there[1]) <= 85:
        assert metres(gcj02_to_wgs84(*there, region="everywhere"), (lon, lat)) < 3 * INVERSE_ERROR_M


def test_many_threads_may_ask_at_once():
    """GEOS crashes the process where a prepared polygon is asked from several threads: so in a process of its own."""
    program = """
import threading
from gistools.parcels.datum import convert_datum
start = threading.Barrier(16)
def ask(k):
    start.wait()
    for _ in range(50):
        convert_datum(114.0 + k / 100, 30.0, "wgs84", "gcj02")
threads = [threading.Thread(target=ask, args=(k,)) for k in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    for _ in range(5):
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
