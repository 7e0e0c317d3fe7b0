"""Undevelopable land against a slow count of every cell, and the sums that must agree."""

import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod
from raster_factory import MOLLWEIDE, UTM_48N, cities, source

from gistools.errors import GridError, InputError, TableError
from gistools.grid import WGS84, Grid
from gistools.raster import undevelopable as module
from gistools.raster.land_cover import LAND_COVERS, land_cover
from gistools.raster.tasks import Execution
from gistools.raster.undevelopable import TerrainOptions, undevelopable_share
from gistools.raster.undevelopable_tables import COLUMNS, PART_COLUMNS
from gistools.raster.zones import label_zones

GEOD = Geod(ellps="WGS84")
RINGS = (5.0, 10.0, 20.0, 30.0, 50.0)
AREAS = ["area_km2", "steep_km2", "water_km2", "sea_km2", "undevelopable_km2", "unknown_km2"]


def at(*places, codes="abcdefgh"):
    return pd.DataFrame(
        {
            "city_code": list(codes[: len(places)]),
            "cbd_lon": [float(p[0]) for p in places],
            "cbd_lat": [float(p[1]) for p in places],
        }
    )


def degrees(shape=(120, 130), cell=0.01, west=103.4, north=31.2):
    return Grid(WGS84, Affine(cell, 0, west, 0, -cell, north), shape)


def rough(grid, seed=0, gaps=0.03, steep=1):
    """Mountains, plains and gaps; classes of land, lakes and gaps."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(grid.shape)
    z = 300 + steep * (1500 * np.sin(cols / 9.0) * np.cos(rows / 7.0) + rng.normal(0, 150, grid.shape))
    known = rng.random(grid.shape) > gaps
    cover = rng.choice([10, 40, 50, 80, 90, 0], grid.shape, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05]).astype(np.uint8)
    return source(z, grid, known, "dem.tif"), source(cover, grid, name="cover.tif")


def slow_slope(dem):
    """Percent, cell by cell: neighbours that lack lie on the line through the centre; steps by geodesics."""
    grid, z = dem.grid, np.where(dem.valid, dem.values, np.nan)
    out = np.full(grid.shape, np.nan)
    for i, j in np.argwhere(dem.valid):
        near = np.full((3, 3), np.nan)
        for a in range(3):
            for b in range(3):
                r, c = i + a - 1, j + b - 1
                if 0 <= r < grid.height and 0 <= c < grid.width:
                    near[a, b] = z[r, c]
        for pairs in (((0, 1), (1, 0)), ((0, 0), (0, 2))):
            for a, b in pairs:
                one, other = near[a, b], near[2 - a, 2 - b]
                side = [near[a, 1] + near[1, b] - z[i, j], near[2 - a, 1] + near[1, 2 - b] - z[i, j]]
                if (a, b) in ((0, 1), (1, 0)):
                    side = [z[i, j], z[i, j]]
                if np.isnan(one):
                    near[a, b] = 2 * z[i, j] - other if not np.isnan(other) else side[0]
                if np.isnan(other):
                    near[2 - a, 2 - b] = 2 * z[i, j] - one if not np.isnan(one) else side[1]
        lon, lat = grid.lonlat([i, i, i - 1, i + 1], [j - 1, j + 1, j, j])
        first, back, d = GEOD.inv(lon[[0, 2]], lat[[0, 2]], lon[[1, 3]], lat[[1, 3]])
        az = first + ((back + 180 - first + 180) % 360 - 180) / 2  # its direction halfway, at the cell
        # ground vectors of two steps, and the gradient that gives the differences along both
        steps = np.column_stack([d * np.sin(np.deg2rad(az)), d * np.cos(np.deg2rad(az))])
        weight = np.array([1, 2, 1])
        rise = np.array([weight @ (near[:, 2] - near[:, 0]), weight @ (near[2] - near[0])]) / 4
        out[i, j] = 100 * np.hypot(*np.linalg.solve(steps, rise))
    return out


def slow(dem, cover, place, slope, *, wet=(80, 90), nodata=(0,), sea="nodata", sectors=8):
    """Sums of one circle by their definition, over rings and over sectors."""
    grid = dem.grid
    lon, lat = grid.lonlat(*np.indices(grid.shape))
    azimuth, _, metres = GEOD.inv(np.full(grid.shape, place[0]), np.full(grid.shape, place[1]), lon, lat)
    km = metres / 1000
    azimuth[km < 1e-6] = 0  # the place itself
    area = np.broadcast_to(grid.cell_area_km2(grid.whole), grid.shape)
    ocean = ~dem.valid if sea == "nodata" else dem.valid & (dem.values <= 0) if sea == "below-zero" else False
    steep = ~np.isnan(slope) & (slope > 15) & ~ocean
    water = np.isin(cover.values, wet)
    out = steep | water | ocean
    unknown = ~out & (np.isnan(slope) | np.isin(cover.values, nodata))
    kinds = dict(zip(AREAS, (np.full(grid.shape, True), steep, water, ocean, out, unknown), strict=True))
    rows = []
    for low, high in zip((-1, *RINGS[:-1]), RINGS, strict=True):
        rows.append((km > low) & (km <= high))
    for k in range(sectors):
        turn = (azimuth - k * 360 / sectors + 180 / sectors) % 360
        rows.append((km <= RINGS[-1]) & (turn < 360 / sectors))
    return pd.DataFrame([{name: area[here & kind].sum() for name, kind in kinds.items()} for here in rows])


@pytest.mark.parametrize(
    ("grid", "places"),
    [
        (degrees((60, 65), 0.02), [(104.0, 30.6), (103.7, 30.3)]),
        (degrees((45, 70), 0.04, 178.6, 68.0), [(180.0, 67.1), (-179.7, 67.3)]),  # across the antimeridian
        (degrees((50, 65), 0.04, 20.0, 79.0), [(21.3, 78.0), (22.0, 78.4)]),  # far north
        (Grid(UTM_48N, Affine(1800, 0, 3e5, 0, -1800, 3.4e6), (55, 58)), [(103.4, 30.3)]),
        (Grid(MOLLWEIDE, Affine(2200, 0, 9.87e6, 0, -2200, 4.52e6), (55, 65)), [(114.1, 37.0)]),
    ],
    ids=["degrees", "antimeridian", "north", "UTM", "Mollweide"],
)
def test_areas_against_a_slow_count(grid, places):
    dem, cover = rough(grid, steep=2)
    found = undevelopable_share(dem, at(*places), land_cover=cover, classes=land_cover("worldcover"))
    slope = slow_slope(dem)
    for k, place in enumerate(places):
        parts = found.parts[found.parts["city_code"] == "abc"[k]]
        expected = slow(dem, cover, place, slope)
        assert (expected["steep_km2"] > 0).all()
        np.testing.assert_allclose(parts[AREAS], expected, rtol=1e-9, atol=1e-9)
        row = found.table.iloc[k]
        np.testing.assert_allclose(row[AREAS].astype(float), expected.iloc[:5].sum(), rtol=1e-9)
        share = row["undevelopable_km2"] / (row["area_km2"] - row["unknown_km2"])
        assert row["undevelopable_share"] == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("name", LAND_COVERS)
def test_water_wetland_and_gaps_of_every_product(name):
    grid, product = degrees((60, 65), 0.02), land_cover(name)
    codes = [*(product.codes or {10, 190, 220, *product.wet}), *product.nodata]
    cover = source(np.random.default_rng(1).choice(codes, grid.shape).astype(np.uint8), grid, name="cover.tif")
    dem = source(np.zeros(grid.shape), grid, np.ones(grid.shape, bool), "dem.tif")
    row = undevelopable_share(dem, at((104.0, 30.6)), land_cover=cover, classes=product).table.iloc[0]
    flat = np.zeros(grid.shape)
    expected = slow(dem, cover, (104.0, 30.6), flat, wet=tuple(product.wet), nodata=tuple(product.nodata))
    np.testing.assert_allclose(row[AREAS].astype(float), expected.iloc[:5].sum(), rtol=1e-9)
    assert min(row["water_km2"], row["unknown_km2"]) > 0


def test_rings_and_sectors_each_add_up_to_the_disc_and_the_disc_to_the_circle():
    dem, cover = rough(degrees((260, 300), 0.005))
    found = undevelopable_share(dem, at((104.1, 30.55)), land_cover=cover, classes=land_cover("worldcover"))
    row = found.table.iloc[0]
    for part in ("ring", "sector"):
        sums = found.parts[found.parts["part"] == part][[*AREAS, "cells", "edge_cells", "outside_km2"]].sum()
        np.testing.assert_allclose(sums, row[sums.index].astype(float), rtol=1e-12)
    assert row["outside_km2"] == 0
    # 7853.94 km2: cells along the edge err either way
    assert row["circle_km2"] == pytest.approx(7853.941, abs=1e-3)
    assert row["area_km2"] == pytest.approx(row["circle_km2"], rel=5e-4)
    assert row["note"].endswith("km2 lack slope or land cover")


def test_steep_and_wet_land_counts_once():
    grid = degrees()
    x = np.arange(130) * 1000.0
    steep = source(np.tile(0.5 * x, (120, 1)), grid)  # about 50 % everywhere
    lake = source(np.full(grid.shape, 80, np.uint8), grid)
    found = undevelopable_share(steep, at((104.0, 30.6)), land_cover=lake, classes=land_cover([80])).table.iloc[0]
    assert found["steep_km2"] == found["water_km2"] == found["undevelopable_km2"] == found["area_km2"]
    assert found["undevelopable_share"] == 1.0
    assert found["blocked_arc_deg"] == found["longest_blocked_arc_deg"] == 360


def test_the_limit_of_the_slope_is_strict():
    grid = Grid(CRS.from_proj4("+proj=tmerc +lon_0=0 +ellps=WGS84"), Affine(50, 0, -2500, 0, -50, 2500), (100, 100))
    z = np.tile(grid.x(np.arange(100)), (100, 1))
    for rise, over in ((0.1499999, False), (0.1500001, True)):
        found = undevelopable_share(source(rise * z, grid), at((0, 0)), options=TerrainOptions(radius_km=2, rings=()))
        assert (found.table["undevelopable_share"][0] == 1.0) == over
    flat = undevelopable_share(
        source(0 * z, grid), at((0, 0)), options=TerrainOptions(radius_km=2, rings=(), max_slope=0)
    )
    assert flat.table["undevelopable_share"][0] == 0.0


def test_what_is_sea():
    grid = degrees()
    z = np.full(grid.shape, 5.0)
    z[:, :60] = -3000 * np.sin(np.arange(60)) ** 2 - 1  # a rough sea bed is no steep land
    z[100:, 100:] = np.nan
    dem, cbd = source(z, grid), at((104.02, 30.6))
    land = label_zones(cities([shapely.box(104.0, 20, 110, 40)]), grid)
    none, gaps, zero = (
        undevelopable_share(dem, cbd, options=TerrainOptions(sea=sea)).table.iloc[0]
        for sea in ("none", "nodata", "below-zero")
    )
    shore = undevelopable_share(dem, cbd, land=land, options=TerrainOptions(sea="land")).table.iloc[0]
    assert none["sea_km2"] == 0
    assert none["unknown_km2"] == pytest.approx(gaps["sea_km2"])
    assert gaps["unknown_km2"] == 0
    assert zero["sea_km2"] == shore["sea_km2"]
    assert zero["sea_km2"] / zero["area_km2"] == pytest.approx(0.475, abs=0.01)
    # the shore itself falls to the sea bed: at most one column of land cells is steep
    assert 0 <= zero["steep_km2"] < 110
    assert none["steep_km2"] > 3000
    assert zero["blocked_arc_deg"] == 135  # south-west, west and north-west
    cover = source(np.full(grid.shape, 40), grid)
    slow_zero = slow(dem, cover, (104.02, 30.6), slow_slope(dem), sea="below-zero")
    np.testing.assert_allclose(zero[AREAS].astype(float), slow_zero.iloc[:5].sum(), rtol=1e-9, atol=1e-9)


def test_land_cover_of_another_lattice_goes_by_the_cell_that_holds_the_centre():
    grid = degrees((60, 60), 0.02)
    fine = degrees((300, 300), 0.004)
    classes = np.random.default_rng(2).choice([10, 80], fine.shape).astype(np.uint8)
    dem, cbd = source(np.zeros(grid.shape), grid), at((104.0, 30.6))
    far = undevelopable_share(dem, cbd, land_cover=source(classes, fine), classes=land_cover("worldcover"))
    same = undevelopable_share(dem, cbd, land_cover=source(classes[2::5, 2::5], grid), classes=land_cover("80"))
    assert far.table["water_km2"][0] == same.table["water_km2"][0] > 0
    assert any("reads one of its cells in 25" in note for note in far.notes)


def test_sectors_that_are_mostly_blocked():
    grid = degrees((120, 120), 0.01, 103.4, 31.2)
    lon, lat = grid.lonlat(*np.indices(grid.shape))
    turn = np.rad2deg(np.arctan2((lon - 104) * np.cos(np.deg2rad(lat)), lat - 30.6)) % 360
    wet = (turn > 295) | (turn < 95)  # 160 degrees across north
    cover = source(np.where(wet, 80, 10).astype(np.uint8), grid)
    found = undevelopable_share(
        source(np.zeros(grid.shape), grid),
        at((104.0, 30.6)),
        land_cover=cover,
        classes=land_cover("worldcover"),
        options=TerrainOptions(sectors=36, rings=()),
    )
    row = found.table.iloc[0]
    assert row["blocked_arc_deg"] == row["longest_blocked_arc_deg"] == 160
    assert row["undevelopable_share"] == pytest.approx(160 / 360, abs=0.002)
    parts = found.parts
    assert parts.loc[parts["part"] == "sector", "undevelopable_share"].max() == 1.0
    assert parts.loc[parts["part"] == "sector", ["from_deg", "to_deg"]].iloc[0].tolist() == [355.0, 5.0]


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from([64, 128, 256]),
    st.sampled_from([1_000, 20_000, 500_000]),
    st.integers(1, 4),
    st.sampled_from(["degrees", "UTM"]),
)
def test_neither_workers_nor_slabs_change_a_bit(rows, cells, workers, kind):
    grid = degrees() if kind == "degrees" else Grid(UTM_48N, Affine(900, 0, 3e5, 0, -900, 3.4e6), (150, 160))
    dem, cover = rough(grid, seed=5)
    cbds = at((103.6, 30.3), (103.7, 30.35), (103.9, 30.1))
    given_all = {"land_cover": cover, "classes": land_cover("worldcover")}
    first = undevelopable_share(dem, cbds, **given_all)
    before = module._SLAB_ROWS, module._PIECE_CELLS
    module._SLAB_ROWS, module._PIECE_CELLS = rows, cells
    try:
        again = undevelopable_share(dem, cbds, **given_all, execution=Execution(workers, memory_gb=0.02))
    finally:
        module._SLAB_ROWS, module._PIECE_CELLS = before
    pd.testing.assert_frame_equal(first.table, again.table, check_exact=True)
    pd.testing.assert_frame_equal(first.parts, again.parts, check_exact=True)
    assert first.classes_found == again.classes_found == (10, 40, 50, 80, 90)


def test_places_beyond_the_heights_keep_their_rows():
    dem, _ = rough(degrees(), gaps=0)
    cbds = at((104.0, 30.6), (103.4, 30.6), (103.2, 30.6), (90.0, 20.0), (np.nan, np.nan))
    found = undevelopable_share(dem, cbds)
    table = found.table.set_index("city_code")
    assert table["note"].tolist() == [
        "",
        "50.0 % of its circle lies beyond the heights",
        table.loc["c", "note"],
        "its circle lies beyond the heights",
        "it has no CBD",
    ]
    assert table.loc["c", "note"].startswith("the CBD lies beyond the heights; ")
    assert table.loc["b", "outside_km2"] == pytest.approx(table.loc["b", "circle_km2"] / 2, rel=2e-3)
    missing = table.loc["b", "circle_km2"] - table.loc["b", "area_km2"]
    assert table.loc["b", "outside_km2"] == pytest.approx(missing, rel=5e-3)
    assert table.loc[["d", "e"], ["area_km2", "undevelopable_share", "blocked_arc_deg"]].isna().all(axis=None)
    assert table.loc["d", "outside_km2"] == pytest.approx(table.loc["d", "circle_km2"])
    assert len(found.parts) == 5 * 13
    assert found.parts.set_index("city_code").loc[["d", "e"], "steep_km2"].isna().all()
    assert any(note.startswith("1 of 5 cities have a circle without a cell of the heights") for note in found.notes)
    assert any(note.startswith("1 of 5 cities have no CBD") for note in found.notes)
    assert any(note.startswith("2 of 5 cities have a circle partly beyond the heights: b, c") for note in found.notes)


def test_a_doubled_column_of_a_globe_counts_once():
    single = Grid(WGS84, Affine(0.5, 0, -180, 0, -0.5, 20), (80, 720))
    double = Grid(WGS84, Affine(0.5, 0, -180, 0, -0.5, 20), (80, 721))
    cbds, options = at((179.9, 1.0)), TerrainOptions(radius_km=300, rings=(100, 300))
    a, b = (undevelopable_share(source(np.zeros(g.shape), g), cbds, options=options).table for g in (single, double))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert a["area_km2"][0] == pytest.approx(a["circle_km2"][0], rel=0.03)


def test_cells_larger_than_the_circle_do_not_overflow():
    grid = Grid(WGS84, Affine(2, 0, 99, 0, -2, 1), (4, 4))
    found = undevelopable_share(
        source(np.zeros(grid.shape), grid),
        at((100.0, 0.0), (101.0, 0.0)),
        options=TerrainOptions(radius_km=1, rings=()),
    ).table
    assert found["area_km2"][0] == pytest.approx(float(grid.cell_area_km2_at(0, 0)), rel=1e-9)
    assert found["note"].tolist() == ["", "its circle holds no cell centre"]


def test_cities_whose_cbd_moves_have_a_row_a_year():
    dem, _ = rough(degrees())
    cbds = at((104.0, 30.6), (103.9, 30.6)).assign(city_code="a", year=[2010, 2011])
    table = undevelopable_share(dem, cbds).table
    assert table[["city_code", "year"]].values.tolist() == [["a", 2010], ["a", 2011]]
    assert table["steep_km2"].nunique() == 2


def test_tables_say_what_they_hold():
    dem, _ = rough(degrees())
    found = undevelopable_share(dem, at((104.0, 30.6)))
    assert list(found.table) == ["city_code", *COLUMNS]
    assert list(found.parts) == ["city_code", *PART_COLUMNS]
    assert found.table.attrs["units"]["steep_km2"] == "km2"
    assert found.parts.attrs["labels"]["from_deg"].startswith("first azimuth")
    rings = found.parts[found.parts["part"] == "ring"]
    assert rings[["from_km", "to_km"]].values.tolist() == [[0, 5], [5, 10], [10, 20], [20, 30], [30, 50]]


def test_classes_that_never_occur_are_said():
    grid = degrees()
    cover = source(np.full(grid.shape, 7, np.uint8), grid, name="modis.tif")
    notes = undevelopable_share(
        source(np.zeros(grid.shape), grid), at((104.0, 30.6)), land_cover=cover, classes=land_cover("80,90")
    ).notes
    assert notes == (
        "none of the classes 80, 90 of water and wetland occurs around any CBD in modis.tif, which holds 7 there; "
        "is it the right product?",
    )


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"cbds": at((104, 30.6)).drop(columns="cbd_lat")}, TableError, "no column 'cbd_lat'"),
        ({"cbds": at((104, 30.6), (104, 30.7), codes="aa")}, TableError, "more than one row for city_code a"),
        ({"cbds": at((411_000, 3_400_000))}, TableError, "not degrees of longitude and latitude"),
        ({"cbds": at((10, 10))}, GridError, "no circle of 50 km around a CBD holds a cell of dem.tif"),
        ({"cbds": at((np.nan, 30.6))}, TableError, "no row of the table of CBDs has both a cbd_lon and a cbd_lat"),
        ({"classes": land_cover("igbp")}, InputError, "needed together"),
        ({"options": TerrainOptions(sea="land")}, InputError, "polygons of the land are needed together"),
        (
            {
                "land_cover": source(np.ones((3, 3)), degrees((3, 3), west=10), name="c.tif"),
                "classes": land_cover("1"),
            },
            GridError,
            r"the land cover c\.tif .* do not overlap",
        ),
    ],
)
def test_wrong_input_is_one_sentence(change, kind, said):
    given_all = {"cbds": at((104.0, 30.6))} | change
    dem, _ = rough(degrees())
    with pytest.raises(kind, match=said) as error:
        undevelopable_share(dem, given_all.pop("cbds"), **given_all)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rings": (10, 5)}, "rings are 10, 5"),
        ({"rings": (10, 60)}, "the ring of 60 km reaches past the radius of 50 km"),
        ({"radius_km": 0}, "radius_km is 0"),
        ({"radius_km": 5000}, "at most 1000"),
        ({"sectors": 0}, "sectors is 0"),
        ({"sea": "blue"}, "sea is 'blue'"),
        ({"max_slope": -1}, "max_slope is -1"),
    ],
)
def test_options_are_judged(options, said):
    with pytest.raises(InputError, match=said):
        TerrainOptions(**options)


def test_the_radius_ends_the_rings():
    assert TerrainOptions(radius_km=60).ring_edges == (5, 10, 20, 30, 50, 60)
    assert TerrainOptions(rings=()).ring_edges == (50,)
