"""The one-pass engine: equal to whole arrays, the same bits for any workers, nothing lost at the cuts."""

import weakref
from dataclasses import dataclass, fields
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import (
    cell_box,
    cities,
    lonlat_grid,
    source,
    wiggly_tessellation,
    write_raster,
    zones_of,
)
from raster_strategies import city_labels

from gistools.errors import GridError, InputError
from gistools.grid import ArraySource, Block
from gistools.io.rasters import open_raster
from gistools.raster import zonal
from gistools.raster.align import align
from gistools.raster.lights import DMSP, CompositeSource
from gistools.raster.population import COUNTS
from gistools.raster.tasks import Execution, run_tasks
from gistools.raster.zonal import CityTotals, scan_year
from gistools.raster.zones import label_zones

LIGHT_TYPES = {"uint8": 255, "float32": np.nan, "float64": np.nan, "int16": -9}
COUNT_TYPES = {"int32": -2147483647, "int16": -1, "uint16": 65535, "float32": np.nan, "float64": -200.0, "int64": -9}


@st.composite
def years(draw):
    """Grids of one year over cities, by centre or by coverage."""
    rng, number, labels = draw(city_labels())
    shape = labels.shape
    fractions = None
    if draw(st.booleans()):
        fractions = np.stack([(labels == k).astype(float) for k in range(number)])
        edge = rng.random(shape) < 0.4
        shares = rng.dirichlet(np.ones(number + 1), shape)
        shares = np.moveaxis(shares[..., :number] * (rng.random((*shape, number)) < 0.7), -1, 0)
        edge &= shares.sum(axis=0) > 0
        fractions = np.where(edge, shares, fractions)
    light_type = draw(st.sampled_from(sorted(LIGHT_TYPES)))
    light = rng.integers(0, draw(st.sampled_from([2, 12, 64])), shape).astype(light_type)
    if light_type.startswith("float") and draw(st.booleans()):
        light = (light - 3.5).astype(light_type)  # negative radiance
    seen = rng.random(shape) > draw(st.sampled_from([0.0, 0.3, 1.0]))
    light[~seen] = LIGHT_TYPES[light_type]
    count_type = draw(st.sampled_from(sorted(COUNT_TYPES)))
    count = rng.integers(0, draw(st.sampled_from([3, 2000, 60_000 if "16" not in count_type else 30_000])), shape)
    count = count.astype(count_type)
    counted = rng.random(shape) > draw(st.sampled_from([0.0, 0.3, 1.0]))
    count[~counted] = COUNT_TYPES[count_type]
    grid = lonlat_grid(shape)
    zones = zones_of(labels, grid, fractions)
    zones = (
        zones
        if len(zones.codes) == number
        else zones_of(labels, grid, np.stack([(labels == k) * 1.0 for k in range(number)]))
    )
    return (
        zones,
        labels,
        fractions,
        (light, seen),
        (count, counted),
        draw(st.sampled_from([0.0, 5.0, 10.0])),
        draw(st.sampled_from([0.0, 1000.0, 2500.0])),
    )


@given(years(), st.integers(1, 5), st.sampled_from([1, 2, 4]))
@settings(max_examples=120, deadline=None)
def test_scan_against_whole_arrays(case, rows, workers):
    zones, labels, fractions, (light, seen), (count, counted), min_light, min_density = case
    weight = (
        np.stack([(labels == k).astype(float) for k in range(len(zones.codes))]) if fractions is None else fractions
    )
    with mock.patch.object(zonal, "_SLAB_ROWS", rows):
        scan = scan_year(
            source(light, valid=seen),
            source(count, valid=counted),
            zones,
            min_light=min_light,
            min_density=min_density,
            saturated=11,
            pick=np.nonzero(np.ones(light.shape, bool)),
            execution=Execution(workers),
        )
    totals = scan.totals
    bright, people = np.where(seen, light, 0).astype(float), np.where(counted, count, 0).astype(float)
    close = {"rtol": 1e-12, "atol": 1e-9}
    np.testing.assert_allclose(totals.light_cells, (weight * seen).sum((1, 2)), **close)
    np.testing.assert_allclose(totals.light_sum, (weight * bright).sum((1, 2)), **close)
    np.testing.assert_allclose(totals.light_dark, (weight * (seen & (light == 0))).sum((1, 2)), **close)
    np.testing.assert_allclose(totals.light_saturated, (weight * (seen & (light >= 11))).sum((1, 2)), **close)
    np.testing.assert_allclose(totals.population_cells, (weight * counted).sum((1, 2)), **close)
    np.testing.assert_allclose(totals.population, (weight * people).sum((1, 2)), **close)

    area = np.broadcast_to(zones.grid.cell_area_km2(zones.grid.whole), light.shape)
    urban = seen & counted & (bright > min_light) & (people / area > min_density)
    rows_, cols_, zone_ = np.nonzero(np.moveaxis(weight, 0, -1) * urban[..., None])
    cells = scan.urban
    assert list(zip(cells.row, cells.col, cells.zone, strict=True)) == list(zip(rows_, cols_, zone_, strict=True))
    np.testing.assert_allclose(cells.weight, weight[zone_, rows_, cols_], rtol=1e-15)
    assert np.array_equal(cells.inside, labels[rows_, cols_] == zone_)
    assert np.array_equal(cells.area_km2, area[rows_, cols_])
    assert np.array_equal(cells.population, people[rows_, cols_])
    assert np.array_equal(cells.light, bright[rows_, cols_])

    found = scan.brightest
    expected = []
    for k in range(len(zones.codes)):
        mine = (labels == k) & seen & (bright > 0)
        top = bright[mine].max() if mine.any() else np.inf
        expected += [(r, c, k) for r, c in np.argwhere(mine & (bright == top))]
    assert list(zip(found.row, found.col, found.zone, strict=True)) == sorted(expected)
    inside = counted[found.row, found.col]
    assert np.array_equal(np.isfinite(found.density), inside)
    np.testing.assert_allclose(found.density[inside], (people / area)[found.row, found.col][inside])

    # every cell was asked for; cells beside the labelled window are not read
    assert scan.picked_light.shape == (light.size,)
    in_cities = (weight > 0).any(axis=0).ravel()
    np.testing.assert_array_equal(scan.picked_light[in_cities], np.where(seen, light, np.nan).ravel()[in_cities])


def a_country(seed=0, shape=(180, 220)):
    rng = np.random.default_rng(seed)
    grid = lonlat_grid(shape, west=103.5, north=30.4)
    boundaries = cities(wiggly_tessellation((103.6, 29.1, 105.2, 30.3), 14, seed=seed))
    light = rng.integers(0, 64, (shape[0] + 1, shape[1] + 1)).astype("uint8")
    light[rng.random(light.shape) < 0.5] = 0
    count = np.where(rng.random(shape) < 0.1, -9999, rng.gamma(0.5, 2000, shape)).astype("float32")
    half = lonlat_grid(light.shape, west=103.5 - 1 / 240, north=30.4 + 1 / 240)
    return boundaries, grid, source(light, half, light != 7), source(count, grid, count >= 0)


def same_bits(a, b):
    for field in fields(CityTotals):
        assert getattr(a.totals, field.name).tobytes() == getattr(b.totals, field.name).tobytes()
    for left, right in zip([*a.urban, *a.brightest], [*b.urban, *b.brightest], strict=True):
        assert left.tobytes() == right.tobytes()
    assert a.population_in_window == b.population_in_window
    assert a.largest_count == b.largest_count
    assert a.largest_light == b.largest_light


@pytest.mark.parametrize("assign", ["centre", "coverage"])
def test_any_number_of_workers_gives_the_same_bits(assign, monkeypatch):
    boundaries, grid, lights, people = a_country()
    zones = label_zones(boundaries, grid, assign=assign)
    monkeypatch.setattr(zonal, "_SLAB_ROWS", 7)
    tasks = []
    monkeypatch.setattr(zonal, "run_tasks", lambda f, t, **o: tasks.append(len(t)) or run_tasks(f, t, **o))
    scans = [
        scan_year(align(lights, grid), people, zones, saturated=63, execution=Execution(n)) for n in (1, 2, 4, None)
    ]
    assert set(tasks) == {tasks[0]}
    assert tasks[0] > 20
    for other in scans[1:]:
        same_bits(scans[0], other)


def test_a_cluster_by_address_gives_the_same_bits(tmp_path, monkeypatch):
    from distributed import LocalCluster

    boundaries, grid, lights, people = a_country(seed=2, shape=(60, 80))
    zones = label_zones(boundaries, grid, assign="coverage")
    light_file = write_raster(tmp_path / "F182013.tif", lights.values % 64, lights.grid)
    count_file = write_raster(tmp_path / "pop.tif", people.values, grid, nodata=-9999)
    sources = align(open_raster(light_file, DMSP), grid), open_raster(count_file, COUNTS)
    monkeypatch.setattr(zonal, "_SLAB_ROWS", 16)
    here = scan_year(*sources, zones, execution=Execution(1))
    calls = []
    # over TCP, so that tasks are serialised as for a worker on another machine
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:
        execution = Execution(scheduler=cluster.scheduler_address)
        there = scan_year(*sources, zones, execution=execution, progress=lambda done, of: calls.append((done, of)))
        same_bits(here, there)
        assert calls == [(k, 4) for k in range(5)]
        count_file.write_bytes(count_file.read_bytes()[:2000])
        with pytest.raises(GridError, match=r"pop\.tif changed while it was read"):
            scan_year(*sources, zones, execution=execution)


@pytest.mark.parametrize("assign", ["centre", "coverage"])
@pytest.mark.parametrize("rows", [1, 3, 64, 1000])
def test_results_do_not_hang_on_where_the_slabs_are_cut(assign, rows, monkeypatch):
    boundaries, grid, lights, people = a_country(seed=1)
    zones = label_zones(boundaries, grid, assign=assign)
    whole = scan_year(align(lights, grid), people, zones, saturated=63)
    monkeypatch.setattr(zonal, "_SLAB_ROWS", rows)
    cut = scan_year(align(lights, grid), people, zones, saturated=63)
    for field in fields(CityTotals):
        np.testing.assert_allclose(getattr(cut.totals, field.name), getattr(whole.totals, field.name), rtol=1e-13)
    for left, right in zip([*cut.urban, *cut.brightest], [*whole.urban, *whole.brightest], strict=True):
        np.testing.assert_array_equal(left, right)
    # the window is that of the cities' rows and columns: with narrow slabs it hugs them
    assert cut.population_in_window <= whole.population_in_window * (1 + 1e-12)


@pytest.mark.parametrize(
    ("cells", "block_rows", "heights"),
    [
        (4000, 1, [100, 100, 100]),
        (4000, 64, [64, 64, 64, 64, 44]),  # whole tiles
        (400, 64, [64, 64, 64, 64, 44]),  # but one at least
        (2_000_000, 128, [300]),
        (2_000_000, 21_600, [300]),  # a file of one strip has no tiles to speak of
    ],
)
def test_slabs_hold_so_many_cells_and_whole_tiles(cells, block_rows, heights):
    zones = zones_of(np.zeros((300, 40), int), lonlat_grid((300, 40)))
    assert [slab[0].shape[0] for slab in zonal._slabs(zones, cells, block_rows)] == heights


@dataclass(frozen=True)
class Watched:
    """A source that keeps account of the blocks alive at a time."""

    inner: ArraySource
    alive: list
    most: list

    @property
    def grid(self):
        return self.inner.grid

    name = "watched"

    def read(self, window):
        block = self.inner.read(window)
        copy = block.values.copy()
        self.alive.append(copy.nbytes)
        self.most.append(sum(self.alive))
        weakref.finalize(copy, self.alive.remove, copy.nbytes)
        return Block(copy, block.valid)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_limit_on_memory_is_obeyed(workers):
    grid = lonlat_grid((600, 400))
    count = np.arange(240_000).reshape(600, 400) % 977
    zones = zones_of(np.zeros((600, 400), int), grid)
    most = {}
    for memory in (None, 4e-4):
        watched = Watched(source(count), [], [])
        scan = scan_year(None, watched, zones, execution=Execution(workers, memory_gb=memory))
        assert scan.totals.population[0] == count.sum()
        most[memory] = max(watched.most)
    # blocks of eight bytes a cell are a sixth of what a slab takes
    assert most[4e-4] <= 4e5 / 6 * 1.1
    assert most[None] > 4 * most[4e-4]
    assert Execution(workers, memory_gb=1.0).in_flight(0.4e9) == min(2, 2 * workers)
    with pytest.raises(InputError, match="memory is -1"):
        Execution(memory_gb=-1)


@pytest.mark.parametrize("assign", ["centre", "coverage"])
@pytest.mark.parametrize("dtype", ["int32", "float64"])
def test_counts_are_conserved_over_a_partition(assign, dtype):
    rng = np.random.default_rng(3)
    grid = lonlat_grid((150, 160), west=103.7, north=30.1)  # all of it within the tessellation
    boundaries = cities(wiggly_tessellation((103, 28, 106, 31), 30, seed=4, amplitude=0.01))
    count = rng.gamma(0.3, 5000, grid.shape).astype(dtype)
    zones = label_zones(boundaries, grid, assign=assign)
    scan = scan_year(None, source(count, grid), zones)
    assert (zones.labels(grid.whole) >= 0).all()
    tolerance = 1e-12 if assign == "centre" else 1e-7  # exactextract's fractions have 32 bits
    assert scan.totals.population.sum() == pytest.approx(count.sum(dtype=float), rel=tolerance)
    assert scan.population_in_window == pytest.approx(count.sum(dtype=float), rel=1e-12)


def test_two_satellites_are_scanned_as_their_composite():
    f15 = source(np.array([[10, 20, 0, 30, 12]], "uint8"), valid=[[1, 1, 1, 0, 1]])
    f16 = source(np.array([[13, 0, 9, 30, 11]], "uint8"))
    count = source(np.full((1, 5), 5000))
    scan = scan_year(CompositeSource((f15, f16)), count, zones_of([[0] * 5], lonlat_grid((1, 5))))
    # 11.5, dark, dark, missing, 11.5
    assert scan.totals.light_sum.tolist() == [23.0]
    assert scan.totals.light_cells.tolist() == [4.0]
    assert scan.totals.light_dark.tolist() == [2.0]
    assert scan.urban.col.tolist() == [0, 4]
    assert scan.brightest.col.tolist() == [0, 4]


def test_either_grid_may_be_left_out():
    zones = zones_of([[0, 0, 1]], lonlat_grid((1, 3)))
    lights = scan_year(source(np.array([[3, 5, 0]], "uint8")), None, zones)
    assert lights.has_light
    assert not lights.has_population
    assert lights.totals.light_sum.tolist() == [8.0, 0.0]
    assert lights.brightest.col.tolist() == [1]
    assert len(lights.urban.row) == 0
    people = scan_year(None, source(np.array([[3, 5, 7]])), zones)
    assert people.totals.population.tolist() == [8.0, 7.0]
    assert people.largest_light == -np.inf
    assert len(people.urban.row) == len(people.brightest.row) == 0


def test_cities_without_cells_give_an_empty_scan():
    grid = lonlat_grid((10, 10))
    zones = label_zones(cities([cell_box(grid, 2.6, 3.4, 2.6, 3.4)]), grid)
    calls = []
    scan = scan_year(
        source(np.ones((10, 10), "uint8")), source(np.ones((10, 10))), zones, progress=lambda *c: calls.append(c)
    )
    assert scan.totals.population.tolist() == [0.0]
    assert len(scan.urban.row) == 0
    assert calls == [(0, 0)]


def test_grids_off_the_lattice_of_the_cities_are_refused():
    zones = zones_of([[0, 0]], lonlat_grid((1, 2)))
    shifted = source(np.zeros((1, 2)), lonlat_grid((1, 2), west=104.004), name="F182013.tif")
    with pytest.raises(GridError, match=r"F182013\.tif .* is not on the lattice of the cities .*align it first"):
        scan_year(shifted, None, zones)


@pytest.mark.parametrize("options", [{"min_light": -1}, {"min_density": np.nan}])
def test_thresholds_are_judged(options):
    with pytest.raises(InputError, match="must be zero or more"):
        scan_year(None, source(np.zeros((1, 2))), zones_of([[0, 0]], lonlat_grid((1, 2))), **options)


def test_progress_counts_slabs(monkeypatch):
    monkeypatch.setattr(zonal, "_SLAB_ROWS", 2)
    calls = []
    zones = zones_of(np.zeros((7, 3), int), lonlat_grid((7, 3)))
    scan_year(None, source(np.zeros((7, 3))), zones, execution=Execution(1), progress=lambda *c: calls.append(c))
    assert calls == [(k, 4) for k in range(5)]


# ---------------------------------------------------------------- peers on one file


@pytest.fixture
def country_file(tmp_path):
    boundaries, grid, _, people = a_country(seed=6)
    path = write_raster(tmp_path / "pop.tif", people.values, grid, nodata=-9999)
    return boundaries, path


def test_sums_by_centre_agree_with_rasterstats(country_file):
    rasterstats = pytest.importorskip("rasterstats", reason="rasterstats is not installed (group bench)")
    boundaries, path = country_file
    people = open_raster(path, COUNTS)
    scan = scan_year(None, people, label_zones(boundaries, people.grid))
    # in a temporary UTM-free call: rasterstats reads the file itself, cell by centre
    peer = rasterstats.zonal_stats(list(boundaries.geometry), str(path), stats=["sum", "count"], all_touched=False)
    assert scan.totals.population_cells.tolist() == [row["count"] for row in peer]
    # rasterstats sums in 32 bits
    np.testing.assert_allclose(scan.totals.population, [row["sum"] for row in peer], rtol=1e-5)


def test_sums_by_coverage_agree_with_exactextract(country_file):
    from exactextract import exact_extract

    boundaries, path = country_file
    people = open_raster(path, COUNTS)
    scan = scan_year(None, people, label_zones(boundaries, people.grid, assign="coverage"))
    peer = exact_extract(str(path), boundaries, ["sum", "count"], output="pandas")
    np.testing.assert_allclose(scan.totals.population, peer["sum"], rtol=1e-7)
    np.testing.assert_allclose(scan.totals.population_cells, peer["count"], rtol=1e-7)
