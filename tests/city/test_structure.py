"""Population around the CBD, variation of density, and the gradient of density with distance."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import MOLLWEIDE, lonlat_grid, source, zones_of

from gistools.city.structure import central_population, density_gradient, density_variation
from gistools.errors import InputError
from gistools.grid import GEOD, WGS84, Grid, geodesic_km
from gistools.raster.zonal import UrbanCells, scan_year


def cbds_at(grid, cells):
    """A table of CBDs in the order of the cities; None for a city without."""
    row = np.array([-1 if cell is None else cell[0] for cell in cells])
    col = np.array([-1 if cell is None else cell[1] for cell in cells])
    lon, lat = grid.lonlat(row, col)
    missing = row < 0
    return pd.DataFrame(
        {"row": row, "col": col, "cbd_lon": np.where(missing, np.nan, lon), "cbd_lat": np.where(missing, np.nan, lat)}
    )


def distances(grid, cell):
    lon, lat = grid.lonlat(*np.indices(grid.shape))
    return geodesic_km(*grid.lonlat(*cell), lon, lat)


# ---------------------------------------------------------------- central population


def test_the_circle_is_inclusive():
    grid = lonlat_grid((5, 5))
    count = np.arange(25.0).reshape(5, 5)
    zones = zones_of(np.zeros((5, 5), int), grid)
    # the radius is exactly the distance to the east neighbour's centre: it is in, north and south (0.924 km away,
    # not 0.804) are not
    radius = float(distances(grid, (2, 0))[2, 1])
    central = central_population(source(count), zones, cbds_at(grid, [(2, 0)]), radius_km=radius)
    assert central.cells.tolist() == [2.0]
    assert central.population.tolist() == [10.0 + 11.0]
    area = grid.cell_area_km2(grid.whole)
    assert central.area_km2[0] == pytest.approx(2 * area[2, 0], rel=1e-13)
    less = central_population(source(count), zones, cbds_at(grid, [(2, 0)]), radius_km=np.nextafter(radius, 0))
    assert less.population.tolist() == [10.0]


def test_only_the_citys_own_cells_count():
    grid = lonlat_grid((5, 5))
    labels = np.zeros((5, 5), int)
    labels[:, 3:] = 1
    labels[0] = -1
    central = central_population(
        source(np.ones((5, 5))), zones_of(labels, grid), cbds_at(grid, [(2, 2), (2, 4)]), radius_km=1.0
    )
    # a cross of five cells, of which the east arm is the other city's; one whose east arm lies off the grid
    assert central.population.tolist() == [4.0, 4.0]


def test_area_counts_without_data_and_population_is_missing_where_nothing_is_known():
    grid = lonlat_grid((3, 6))
    count = np.ones((3, 6))
    count[1, 1] = np.nan
    count[:, 3:] = np.nan
    labels = np.repeat([[0, 0, 0, 1, 1, 1]], 3, axis=0)
    central = central_population(
        source(count), zones_of(labels, grid), cbds_at(grid, [(1, 1), (1, 4)]), radius_km=1.0
    )
    area = grid.cell_area_km2(grid.whole)[:, 0]
    assert central.population[0] == 4.0
    assert central.area_km2 == pytest.approx(np.full(2, area[0] + 3 * area[1] + area[2]), rel=1e-12)
    assert np.isnan(central.population[1])


def test_without_cbd_all_is_missing_and_the_others_are_not_shifted():
    grid = lonlat_grid((3, 6))
    labels = np.repeat([[0, 0, 0, 1, 1, 1]], 3, axis=0)
    central = central_population(
        source(np.ones((3, 6))), zones_of(labels, grid), cbds_at(grid, [None, (1, 4)]), radius_km=1.0
    )
    assert np.isnan(central.population[0])
    assert np.isnan(central.area_km2[0])
    assert central.population[1] == 5.0
    none = central_population(source(np.ones((3, 6))), zones_of(labels, grid), cbds_at(grid, [None, None]))
    assert np.isnan(none.population).all()


@pytest.mark.parametrize(
    "grid",
    [
        lonlat_grid((60, 70)),
        lonlat_grid((60, 160), north=78.0),
        lonlat_grid((60, 70), cell=1 / 240, north=0.1),
        Grid(MOLLWEIDE, Affine(250, 0, 436_750, 0, -250, 5_892_750), (60, 70)),
        Grid(MOLLWEIDE, Affine(1000, 0, 7_900_000, 0, -1000, 8_000_000), (60, 70)),
    ],
    ids=["30N", "78N", "equator", "Luxembourg", "sheared"],
)
@pytest.mark.parametrize("radius", [0.5, 3.0, 7.5])
def test_against_distances_to_every_cell(grid, radius):
    rng = np.random.default_rng(1)
    count = rng.gamma(0.5, 1000, grid.shape)
    labels = np.where(np.indices(grid.shape)[1] < grid.width // 3, 0, 1)
    cells = [(3, 2), (30, grid.width // 3 + 1)]
    central = central_population(source(count, grid), zones_of(labels, grid), cbds_at(grid, cells), radius_km=radius)
    area = np.broadcast_to(grid.cell_area_km2(grid.whole), grid.shape)
    for k, cell in enumerate(cells):
        inside = (distances(grid, cell) <= radius) & (labels == k)
        assert central.cells[k] == inside.sum()
        assert central.population[k] == pytest.approx(count[inside].sum(), rel=1e-12)
        assert central.area_km2[k] == pytest.approx(area[inside].sum(), rel=1e-12)


def test_parts_of_cells_count_by_their_part():
    grid = lonlat_grid((1, 4))
    fractions = np.array([[[1, 1, 0.25, 0]], [[0, 0, 0.5, 1.0]]])
    zones = zones_of([[0, 0, 1, 1]], grid, fractions)
    central = central_population(
        source(np.array([[8.0, 4, 2, 1]])), zones, cbds_at(grid, [(0, 1), (0, 3)]), radius_km=0.9
    )
    assert central.population.tolist() == [8 + 4 + 0.5, 0.5 * 2 + 1]
    area = grid.cell_area_km2(grid.whole)[0, 0]
    assert central.area_km2 == pytest.approx([2.25 * area, 1.5 * area], rel=1e-13)


@pytest.mark.parametrize("others", [False, True])
def test_a_cbd_far_from_its_city_has_nobody_around_it_whatever_the_other_cities(others):
    grid = lonlat_grid((3, 60))
    labels = np.full((3, 60), -1)
    labels[:, :5], labels[:, 50:] = 0, 1
    cells = [(1, 30), (1, 55) if others else (1, 31)]
    central = central_population(source(np.ones((3, 60))), zones_of(labels, grid), cbds_at(grid, cells), radius_km=3)
    assert central.cells[0] == 0
    assert central.population[0] == 0
    assert (central.cells[1] > 0) == others
    # a city that holds no cell has no central population, not one of zero
    zones = zones_of(labels, grid)
    nowhere = replace(zones, codes=("a", "b", "c"), outside_share=np.zeros(3))
    central = central_population(source(np.ones((3, 60))), nowhere, cbds_at(grid, [*cells, (1, 2)]), radius_km=3)
    assert np.isnan(central.population).tolist() == [False, False, True]


def test_a_radius_of_nothing_is_refused():
    grid = lonlat_grid((1, 1))
    with pytest.raises(InputError, match="radius_km is 0, but must be above zero"):
        central_population(source(np.ones((1, 1))), zones_of([[0]], grid), cbds_at(grid, [(0, 0)]), radius_km=0)


# ---------------------------------------------------------------- variation and gradient


def urban(grid, zone, population, *, inside=None):
    row, col = (part.ravel() for part in np.indices(grid.shape))
    n = len(row)
    return UrbanCells(
        row,
        col,
        np.asarray(zone).ravel(),
        np.ones(n),
        np.ones(n, bool) if inside is None else np.asarray(inside).ravel(),
        grid.cell_area_km2_at(row, col),
        np.asarray(population, float).ravel(),
        np.full(n, 60.0),
    )


def test_variation_divides_by_n_not_by_n_minus_one():
    grid = lonlat_grid((1, 4))
    area = grid.cell_area_km2(grid.whole)[0, 0]
    cells = urban(grid, [[0, 0, 0, 1]], np.array([[1000, 2000, 6000, 5000]]) * area)
    got = density_variation(cells, 3)
    # mean 3000, deviations -2000, -1000, 3000: sqrt(14e6 / 3) / 3000
    assert got.plain[0] == pytest.approx(np.sqrt(14e6 / 3) / 3000, rel=1e-12)
    assert got.plain[1] == 0.0
    assert np.isnan(got.plain[2])
    assert got.weighted[:2] == pytest.approx(got.plain[:2], rel=1e-12)


def test_weighted_variation_weighs_by_area():
    grid = lonlat_grid((3, 1), cell=10.0, north=85.0)  # areas differ much from row to row
    area = grid.cell_area_km2(grid.whole)[:, 0]
    density = np.array([1000.0, 2000.0, 4000.0])
    got = density_variation(urban(grid, [[0], [0], [0]], (density * area)[:, None]), 1)
    mean = np.average(density, weights=area)
    assert got.weighted[0] == pytest.approx(
        np.sqrt(np.average((density - mean) ** 2, weights=area)) / mean, rel=1e-12
    )
    assert got.plain[0] == pytest.approx(density.std() / density.mean(), rel=1e-12)


def gradient(grid, zone, density, cbds, **options):
    row, col = (part.ravel() for part in np.indices(grid.shape))
    population = np.asarray(density) * np.broadcast_to(grid.cell_area_km2(grid.whole), grid.shape)
    return density_gradient(urban(grid, zone, population, **options), grid.lonlat(row, col), cbds)


def test_an_exponential_city_gives_its_gradient():
    grid = lonlat_grid((40, 40))
    density = 20_000 * np.exp(-0.13 * distances(grid, (17, 22)))
    got = gradient(grid, np.zeros(grid.shape, int), density, cbds_at(grid, [(17, 22)]))
    assert got.slope[0] == pytest.approx(-0.13, rel=1e-10)
    assert got.std_error[0] == pytest.approx(0, abs=1e-12)
    assert got.r2[0] == pytest.approx(1, abs=1e-12)
    assert got.cells[0] == 1600


@given(st.integers(0, 10_000), st.integers(3, 12))
@settings(max_examples=30, deadline=None)
def test_against_least_squares_by_the_design_matrix(seed, width):
    rng = np.random.default_rng(seed)
    grid = lonlat_grid((4, width))
    density = rng.gamma(2, 2000, grid.shape)
    got = gradient(grid, np.zeros(grid.shape, int), density, cbds_at(grid, [(0, 0)]))
    x, y = distances(grid, (0, 0)).ravel(), np.log(density).ravel()
    design = np.column_stack([np.ones_like(x), x])
    beta, rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    covariance = rss[0] / (len(x) - 2) * np.linalg.inv(design.T @ design)
    assert got.slope[0] == pytest.approx(beta[1], rel=1e-9, abs=1e-12)
    assert got.std_error[0] == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-9)
    assert got.r2[0] == pytest.approx(1 - rss[0] / ((y - y.mean()) ** 2).sum(), rel=1e-9, abs=1e-12)


def test_fewer_than_three_cells_no_cbd_and_one_distance_have_no_gradient():
    grid = lonlat_grid((1, 9))
    zone = [[0, 0, 1, 1, 1, 2, 2, 2, 3]]
    density = [[2e3, 3e3, 2e3, 3e3, 5e3, 2e3, 3e3, 4e3, 1e3]]
    cbds = cbds_at(grid, [(0, 0), (0, 2), None, (0, 8)])
    got = gradient(grid, zone, density, cbds)
    assert np.isnan(got.slope).tolist() == [True, False, True, True]
    assert np.isnan(got.std_error).tolist() == [True, False, True, True]
    assert got.cells.tolist() == [2, 3, 0, 1]
    # three cells at one distance from a CBD that lies elsewhere: nothing varies
    ring = UrbanCells(
        *(np.zeros(3, int) for _ in range(3)),
        np.ones(3),
        np.ones(3, bool),
        np.ones(3),
        np.array([1e3, 2e3, 3e3]),
        np.ones(3),
    )
    lon, lat, _ = GEOD.fwd([104.0] * 3, [30.0] * 3, [0, 120, 240], [5000.0] * 3)
    got = density_gradient(
        ring, (np.array(lon), np.array(lat)), pd.DataFrame({"cbd_lon": [104.0], "cbd_lat": [30.0]})
    )
    assert np.isnan(got.slope[0])
    # nor a millimetre from one
    lon, lat, _ = GEOD.fwd([104.0] * 3, [30.0] * 3, [0, 120, 240], [5000.0, 5000.001, 4999.999])
    got = density_gradient(
        ring, (np.array(lon), np.array(lat)), pd.DataFrame({"cbd_lon": [104.0], "cbd_lat": [30.0]})
    )
    assert np.isnan(got.slope[0])


def test_three_cells_have_a_gradient_and_an_error():
    grid = lonlat_grid((1, 3))
    got = gradient(grid, [[0, 0, 0]], [[4000.0, 3000.0, 1500.0]], cbds_at(grid, [(0, 0)]))
    assert got.slope[0] < 0
    assert got.std_error[0] > 0


def test_border_cells_of_another_city_are_no_points_of_the_line():
    grid = lonlat_grid((1, 5))
    density = [[5e3, 4e3, 3e3, 2e3, 9e9]]
    inside = [[True, True, True, True, False]]
    with_border = gradient(grid, [[0] * 5], density, cbds_at(grid, [(0, 0)]), inside=inside)
    without = gradient(lonlat_grid((1, 4)), [[0] * 4], [density[0][:4]], cbds_at(grid, [(0, 0)]))
    assert with_border.slope[0] == pytest.approx(without.slope[0], rel=1e-12)


def test_density_that_does_not_vary_has_a_flat_line_and_no_r2():
    grid = Grid(WGS84, Affine(0.01, 0, 0, 0, -0.01, 0.005), (1, 4))
    got = gradient(grid, [[0] * 4], [[2048.0] * 4], cbds_at(grid, [(0, 0)]))
    assert got.slope[0] == pytest.approx(0, abs=1e-12)
    assert np.isnan(got.r2[0])


def test_scan_and_structure_work_together_across_slabs(monkeypatch):
    from gistools.raster import zonal

    grid = lonlat_grid((30, 30))
    density = 30_000 * np.exp(-0.2 * distances(grid, (14, 14)))
    count = density * np.broadcast_to(grid.cell_area_km2(grid.whole), grid.shape)
    zones = zones_of(np.zeros(grid.shape, int), grid)
    monkeypatch.setattr(zonal, "_SLAB_ROWS", 4)
    scan = scan_year(source(np.full(grid.shape, 60, "uint8")), source(count), zones)
    got = density_gradient(scan.urban, grid.lonlat(scan.urban.row, scan.urban.col), cbds_at(grid, [(14, 14)]))
    assert got.slope[0] == pytest.approx(-0.2, rel=1e-9)
