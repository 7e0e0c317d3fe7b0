"""The CBD: the brightest cell, and every stage of the rule for ties."""

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from raster_factory import MOLLWEIDE, lonlat_grid, source, zones_of
from slow_form import brightest as slow_brightest

from gistools.city.centre import find_cbds, known_cbds
from gistools.errors import InputError, TableError
from gistools.grid import Grid
from gistools.raster.zonal import scan_year


def cbd(light, count=None, labels=None, ties="cluster-density"):
    light = np.asarray(light)
    labels = np.zeros(light.shape, int) if labels is None else np.asarray(labels)
    grid = lonlat_grid(light.shape)
    zones = zones_of(labels, grid)
    scan = scan_year(source(light), None if count is None else source(np.asarray(count)), zones)
    return find_cbds(scan.brightest, grid, zones.codes, ties=ties)


def where(table, k=0):
    row = table.iloc[k]
    return int(row["row"]), int(row["col"]), int(row["cbd_ties"]), row["cbd_rule"]


def test_a_unique_brightest_cell():
    light = np.zeros((5, 5), "uint8")
    light[3, 1], light[0, 0] = 63, 62
    table = cbd(light)
    assert where(table) == (3, 1, 1, "brightest")
    grid = lonlat_grid((5, 5))
    assert table["cbd_lon"].iloc[0] == pytest.approx(float(grid.x(1)), abs=1e-12)
    assert table["cbd_lat"].iloc[0] == pytest.approx(float(grid.y(3)), abs=1e-12)
    assert table["cbd_light"].iloc[0] == 63


TIED = np.array(
    [
        [9, 0, 0, 0, 9],
        [0, 0, 0, 9, 0],
        [0, 0, 0, 9, 0],
        [9, 0, 0, 0, 0],
        [9, 9, 0, 0, 9],
    ],
    "uint8",
)


def test_the_largest_cluster_counts_whatever_the_density_elsewhere():
    # clusters: (0,0) alone; (0,4),(1,3),(2,3) by corners; (3,0),(4,0),(4,1); (4,4) alone
    density = np.full((5, 5), 100.0)
    density[0, 0] = density[4, 4] = 9000
    density[4, 1] = 500
    assert where(cbd(TIED, density)) == (4, 1, 8, "density")


def test_clusters_of_one_size_are_taken_together():
    density = np.full((5, 5), 100.0)
    density[2, 3] = 300
    assert where(cbd(TIED, density)) == (2, 3, 8, "density")
    density[3, 0] = 300.0 * lonlat_grid((5, 5)).cell_area_km2(lonlat_grid((5, 5)).whole)[3, 0] * 2
    assert where(cbd(TIED, density)) == (3, 0, 8, "density")


def test_equal_densities_go_to_the_lowest_row_then_the_lowest_column():
    light = np.array([[0, 9, 0], [9, 9, 9], [0, 0, 0]], "uint8")
    area = np.broadcast_to(lonlat_grid((3, 3)).cell_area_km2(lonlat_grid((3, 3)).whole), (3, 3))
    # one cell alone in row 0 but less dense; in row 1 two of three are equally dense
    count = np.array([[1, 10, 1], [10, 30, 30], [1, 1, 1]]) * area[1, 0]
    assert where(cbd(light, count)) == (1, 1, 4, "row-column")
    assert where(cbd(light)) == (0, 1, 4, "row-column")  # no population: all densities are unknown alike


def test_a_cell_without_population_counts_but_loses_the_tie():
    light = np.array([[9, 9, 0]], "uint8")
    assert where(cbd(light, np.array([[np.nan, 0.0, 5.0]])))[:2] == (0, 1)
    assert where(cbd(np.array([[10, 9, 0]], "uint8"), np.array([[np.nan, 0.0, 5.0]]))) == (0, 0, 1, "brightest")


def test_clusters_do_not_join_across_a_border_and_each_city_has_its_own():
    light = np.array([[9, 0, 9, 9], [0, 0, 9, 0]], "uint8")
    labels = np.array([[0, 0, 0, 1], [0, 0, 1, 1]])
    table = cbd(light, None, labels)
    # in the first city two single cells tie; across the border they would be a cluster of three
    assert where(table, 0) == (0, 0, 2, "row-column")
    assert where(table, 1) == (0, 3, 2, "row-column")


def test_a_single_cell_beside_a_lone_cluster_is_decided_by_the_cluster():
    light = np.array([[9, 0, 0, 9, 9]], "uint8")
    count = np.array([[900.0, 1, 1, 20, 10]])
    assert where(cbd(light, count)) == (0, 3, 3, "density")


def test_a_dark_city_has_no_cbd():
    labels = np.array([[0, 0, 1, 1, 2, 2, 3, 3]])
    light = np.array([[0.0, 0.0, -0.2, -0.1, np.nan, np.nan, 0.0, 1e-6]], "float32")
    table = cbd(light, None, labels)
    assert table["row"].tolist() == [-1, -1, -1, 0]
    assert table["cbd_rule"].tolist() == ["none", "none", "none", "brightest"]
    assert table["cbd_lon"].isna().tolist() == [True, True, True, False]
    assert table["cbd_ties"].tolist() == [0, 0, 0, 1]


def test_centroid_of_the_largest_cluster_snapped_to_one_of_its_cells():
    light = np.zeros((5, 7), "uint8")
    light[2, 1:6] = 9  # centroid (2, 3)
    light[0, 0] = 9
    assert where(cbd(light, ties="cluster-centroid")) == (2, 3, 6, "centroid")
    ring = np.full((3, 3), 9, "uint8")
    ring[1, 1] = 0  # the centroid is no cell of the cluster: four are equally near
    assert where(cbd(ring, ties="cluster-centroid")) == (0, 1, 8, "row-column")


def test_centroid_weighted_by_population():
    light = np.full((1, 5), 9, "uint8")
    assert where(cbd(light, np.array([[0, 0, 0, 10, 30]]), ties="population-weighted")) == (
        0,
        4,
        5,
        "population-weighted",
    )
    # without any people in the cluster all cells weigh alike
    assert where(cbd(light, np.zeros((1, 5)), ties="population-weighted"))[:2] == (0, 2)
    assert where(cbd(light, np.full((1, 5), np.nan), ties="population-weighted"))[:2] == (0, 2)


def test_people_outside_the_largest_cluster_do_not_pull_the_centroid():
    light = np.array([[9, 9, 9, 0, 9]], "uint8")
    assert where(cbd(light, np.array([[5, 1, 1, 0, 1000]]), ties="population-weighted"))[:2] == (0, 0)


def test_unknown_rules_are_refused():
    with pytest.raises(InputError, match="cbd_ties is 'brightness', but must be one of cluster-density"):
        cbd(TIED, ties="brightness")


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 5))
@settings(max_examples=120, deadline=None)
def test_against_the_slow_rule(seed, height, width, number, levels):
    rng = np.random.default_rng(seed)
    light = rng.integers(0, levels + 1, (height, width)).astype(float)
    light[rng.random(light.shape) < 0.1] = np.nan
    labels = rng.integers(-1, number, light.shape)
    # few levels of density, in cells of one area by row: ties reach the rows and columns
    grid = lonlat_grid(light.shape)
    count = rng.integers(0, 3, light.shape) * np.broadcast_to(grid.cell_area_km2(grid.whole), light.shape)
    count[rng.random(light.shape) < 0.2] = np.nan
    area = grid.cell_area_km2(grid.whole)
    table = cbd(light, count, labels)
    for k in range(len(table)):
        cells = [tuple(c) for c in np.argwhere((labels == k) & np.isfinite(light)).tolist()]
        slow = slow_brightest(cells, light, count / area)
        row = table.iloc[k]
        if slow["cell"] is None:
            assert row["row"] == -1
        else:
            assert (row["row"], row["col"]) == slow["cell"]
            assert row["cbd_ties"] == slow["ties"]
            assert row["cbd_light"] == slow["light"]


# ---------------------------------------------------------------- a table of known CBDs

ZONES = zones_of([[0, 0], [1, 1]], lonlat_grid((2, 2)))
KNOWN = pd.DataFrame({"city_code": ["000002", "000001"], "cbd_lon": [104.012, 104.001], "cbd_lat": [29.99, 29.995]})


def test_equal_counts_tie_in_density_on_a_projected_grid():
    """Areas of its cells differ by rounding, so the order of the cells decides, not the density."""
    grid = Grid(CRS.from_epsg(6933), Affine(1000, 0, 1_000_000, 0, -1000, 4_000_000), (1, 48))  # cylindrical
    count = np.full(grid.shape, 2000, "int32")
    zones = zones_of(np.zeros(grid.shape, int), grid)
    scan = scan_year(source(np.full(grid.shape, 63, "uint8"), grid), source(count, grid), zones)
    cbd = find_cbds(scan.brightest, grid, zones.codes).iloc[0]
    assert (cbd["row"], cbd["col"], cbd["cbd_ties"], cbd["cbd_rule"]) == (0, 0, 48, "row-column")


def test_known_cbds_are_put_in_order_and_keep_their_coordinates():
    table = known_cbds(KNOWN, ZONES.grid, ZONES)
    assert table.index.tolist() == ["000001", "000002"]
    assert table["cbd_lon"].tolist() == [104.001, 104.012]
    assert table[["row", "col"]].to_numpy().tolist() == [[0, 0], [1, 1]]
    assert set(table["cbd_rule"]) == {"table"}


def test_other_columns_of_the_table_may_be_empty():
    assert len(known_cbds(KNOWN.assign(remark=None), ZONES.grid, ZONES)) == 2


def test_known_cbds_on_a_projected_grid():
    from affine import Affine

    grid = Grid(MOLLWEIDE, Affine(1000, 0, 9_570_000, 0, -1000, 3_620_000), (4, 4))
    zones = zones_of(np.zeros((4, 4), int), grid)
    lon, lat = grid.lonlat(2, 3)
    table = known_cbds(
        pd.DataFrame({"city_code": ["000001"], "cbd_lon": [float(lon)], "cbd_lat": [float(lat)]}), grid, zones
    )
    assert table[["row", "col"]].iloc[0].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (KNOWN.iloc[:1], "no coordinates for city 000001; add them or use --cbd-ties"),
        (KNOWN.assign(cbd_lat=[np.nan, 29.995]), "no coordinates for city 000002"),
        (KNOWN.assign(cbd_lon=[4.0, 104.001]), "the CBD of city 000002 lies outside the grid"),
        (pd.concat([KNOWN, KNOWN]), "more than one row for city_code"),
        (KNOWN.rename(columns={"cbd_lon": "lon"}), "has no column 'cbd_lon'"),
        (KNOWN.assign(cbd_lon="east"), "column 'cbd_lon', holds 'east' where a number is needed"),
    ],
)
def test_tables_of_cbds_are_judged(table, words):
    with pytest.raises(TableError, match=words):
        known_cbds(table, ZONES.grid, ZONES)
