"""Statistics by city: equal to brute force over whole arrays, to NumPy, exactextract and rasterstats."""

import doctest
import pickle
from pathlib import Path
from unittest import mock

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import MOLLWEIDE, cell_box, cities, lonlat_grid, source, wiggly_tessellation, zones_of
from raster_strategies import city_labels

from gistools.errors import GridError, InputError
from gistools.grid import Grid, Window
from gistools.io.rasters import open_raster
from gistools.io.vectors import read_boundaries
from gistools.raster import gather, statistics
from gistools.raster.lights import DMSP
from gistools.raster.population import WORLDPOP
from gistools.raster.statistics import STATISTICS, quantile_level, zonal_statistics
from gistools.raster.tasks import Execution
from gistools.raster.zones import label_zones

PLAIN = [name for name in STATISTICS if name not in ("qNN", "fractions")]
EVERY = [*PLAIN, "q5", "q50", "q97.5", "q0", "q100", "fractions"]
KINDS = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64")


def slow_quantile(x, w, level):
    """Akinshin's weighted type 7, by its definition: expectation over a window of the cumulated weights."""
    order = np.argsort(x, kind="stable")
    x, w = x[order], w[order]
    n = w.sum() ** 2 / (w**2).sum()
    t = np.concatenate([[0], np.cumsum(w) / w.sum()])

    def cdf(at):
        return np.clip((at - (n - 1) * level / n) * n, 0, 1)

    return float((np.diff(cdf(t)) * x).sum())


def slow(values, valid, share, weight):
    """Every statistic of every city by definition, one city at a time over the whole array."""
    rows = []
    for part in share:
        with_value = (part > 0) & valid
        inside = with_value & np.isfinite(weight)
        x, f = values[inside].astype(np.float64), part[inside]
        w = f * weight[inside]
        row = dict.fromkeys([*PLAIN, "q5", "q50", "q97_5", "q0", "q100"], np.nan)
        row |= {"count": f.sum(), "missing": part[(part > 0) & ~inside].sum(), "variety": len(np.unique(x))}
        row["classes"] = {}
        if len(x):
            row |= {"min": x.min(), "max": x.max(), "range": x.max() - x.min(), "weight": w.sum()}
            row["sum"] = (w * x).sum()
        if len(x) and w.sum() > 0:
            mean = (w * x).sum() / w.sum()
            variance = (w * (x - mean) ** 2).sum() / w.sum()
            row |= {"mean": mean, "variance": variance, "std": variance**0.5}
            row["cv"] = variance**0.5 / mean if mean else np.nan
            for name, level in (
                ("median", 0.5),
                ("q5", 0.05),
                ("q50", 0.5),
                ("q97_5", 0.975),
                ("q0", 0),
                ("q100", 1),
            ):
                row[name] = np.quantile(x, level) if (w == 1).all() else slow_quantile(x, w, level)
            total = {v: w[x == v].sum() for v in np.unique(x).tolist() if w[x == v].sum() > 0}
            row["classes"] = {v: found / w.sum() for v, found in total.items()}
            # weights added up in another order may differ in the last digit: all that could be meant
            row["majority"] = [v for v, found in total.items() if found >= max(total.values()) * (1 - 1e-12)]
            row["minority"] = [v for v, found in total.items() if found <= min(total.values()) * (1 + 1e-12)]
        rows.append(row)
    return rows


@st.composite
def grids(draw):
    """A grid over cities, by centre or by coverage, with or without weights."""
    rng, number, labels = draw(city_labels())
    shape = labels.shape
    share = np.stack([(labels == k).astype(float) for k in range(number)])
    covered = draw(st.booleans())
    if covered:
        parts = np.moveaxis(rng.dirichlet(np.ones(number + 1), shape)[..., :number], -1, 0)
        parts = parts * (rng.random(parts.shape) < 0.7)
        share = np.where((rng.random(shape) < 0.4) & (parts.sum(axis=0) > 0), parts, share)
    grid = lonlat_grid(shape)
    zones = zones_of(labels, grid, share)
    if not covered:
        zones = statistics.replace(zones, edges=None)
    kind = draw(st.sampled_from(KINDS))
    most = draw(st.sampled_from([2, 6, 100]))
    values = rng.integers(0, most, shape)
    if kind[0] in "if" and draw(st.booleans()):
        values = values - most // 2
    values = values.astype(kind)
    valid = rng.random(shape) > draw(st.sampled_from([0.0, 0.3, 1.0]))
    if kind[0] == "f":
        values[~valid] = np.nan
    weight = {"none": 1.0, "area": grid.cell_area_km2(grid.whole)}.get(
        how := draw(st.sampled_from(["none", "area", "grid"]))
    )
    given_weight = None if how == "none" else "area"
    if how == "grid":
        weight = rng.integers(0, 3, shape) * rng.random()
        weight[rng.random(shape) < 0.2] = np.nan
        given_weight = source(weight, grid, name="weights.tif")
    return source(values, grid, valid), valid, zones, share, np.broadcast_to(weight, shape), given_weight


@given(grids(), st.sampled_from([64, 1, 3]), st.sampled_from([1, 3]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_statistic_against_brute_force(case, rows, workers, in_groups):
    grid, valid, zones, share, weight, given_weight = case
    with (
        mock.patch.object(statistics, "slab_rows", return_value=rows),
        mock.patch.object(gather, "_TALLY", 4_000_000 if in_groups else 0),
    ):
        table = zonal_statistics(grid, zones, EVERY, weight=given_weight, execution=Execution(workers))
    for k, row in enumerate(slow(grid.values, valid, share, weight)):
        seen = table.iloc[k]
        for name in ("majority", "minority"):
            assert np.isnan(seen[name]) if np.all(np.isnan(row[name])) else seen[name] in row[name], name
        for name, true in row.items():
            if name not in ("majority", "minority", "classes"):
                np.testing.assert_allclose(seen[name], true, rtol=2e-12, atol=1e-11, err_msg=name)
        shares = {float(name[6:]): seen[name] for name in table if name.startswith("share_") and seen[name] > 0}
        assert shares.keys() == row["classes"].keys()
        np.testing.assert_allclose([shares[v] for v in row["classes"]], [*row["classes"].values()], rtol=1e-12)
    counts = table.attrs["counts"]
    assert counts["cells"] == pytest.approx((share * (valid & np.isfinite(weight))).sum(), rel=1e-12)
    assert counts["weightless"] == pytest.approx((share * (valid & ~np.isfinite(weight))).sum(), rel=1e-12)


def test_ties_of_classes_and_the_definition_of_quantiles():
    grid = lonlat_grid((1, 8))
    zones = label_zones(cities([cell_box(grid, 0, 1, 0, 8)]), grid)
    row = zonal_statistics(
        source([[1, 1, 2, 2, 3, 3, 5, 5]], grid), zones, ["majority", "minority", "q25", "median", "variety"]
    ).iloc[0]
    assert row.tolist()[1:] == [5, 1, 1.75, 2.5, 4]
    # one cell of weight 3 tells as much as three: 0 0 0 9 with Kish's 16 / 10 = 1.6 cells
    weights = source(np.array([[3.0, 1, 0, 0, 0, 0, 0, 0]]), grid)
    row = zonal_statistics(source([[0, 9, 9, 9, 9, 9, 9, 9]], grid), zones, ["mean", "median"], weight=weights).iloc[
        0
    ]
    # the window of the median runs from 0.3 / 1.6 to 1.3 / 1.6: a tenth of it lies beyond 3 / 4
    assert row["mean"] == 2.25
    assert row["median"] == pytest.approx(9 * (1.3 - 1.2))


def test_the_worked_check_of_the_docs():
    page = Path(__file__).parents[2] / "docs" / "methods" / "zonal.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried) == (0, 16)


def a_country(kind="float32", shape=(180, 220), seed=0):
    rng = np.random.default_rng(seed)
    grid = lonlat_grid(shape, west=103.5, north=30.4)
    boundaries = cities(wiggly_tessellation((103.6, 29.1, 105.2, 30.3), 14, seed=seed))
    values = rng.gamma(0.5, 2000, shape).astype(kind)
    return boundaries, grid, source(values, grid, rng.random(shape) > 0.1)


@pytest.mark.parametrize("assign", ["centre", "coverage"])
@pytest.mark.parametrize("weight", [None, "area"])
def test_the_same_bits_for_any_workers_slabs_and_groups(assign, weight):
    boundaries, grid, values = a_country()
    zones = label_zones(boundaries, grid, assign=assign)
    wanted = [name for name in PLAIN if name not in ("majority", "minority", "variety")] + ["q5", "q97.5"]

    def found(workers=1, rows=64, memory=2.0):
        with mock.patch.object(statistics, "slab_rows", return_value=rows):
            return zonal_statistics(
                values, zones, wanted, weight=weight, execution=Execution(workers, memory_gb=memory)
            )

    plain = found()
    cells = zones.cells().max() + 400
    each = 8 if weight is None else 24  # bytes for a cell: twice its value and its weight
    other = [found(4), found(2, rows=7), found(3, rows=512), found(2, memory=2 * cells * each / 1e9)]
    assert other[-1].attrs["counts"]["passes"] > 1
    for table in other:
        pd.testing.assert_frame_equal(table, plain, check_exact=True)


def test_tasks_travel_to_other_processes():
    boundaries, grid, values = a_country()
    zones = label_zones(boundaries, grid, assign="coverage")
    plain = zonal_statistics(values, zones, ["mean", "q50"], weight="area")

    def abroad(function, tasks, *, read, **_options):
        carried = [pickle.loads(pickle.dumps((function, task, read))) for task in tasks]
        return [pickle.loads(pickle.dumps(there(task, reading(task)))) for there, task, reading in carried]

    with mock.patch.object(statistics, "run_tasks", abroad):
        pd.testing.assert_frame_equal(zonal_statistics(values, zones, ["mean", "q50"], weight="area"), plain)


def test_only_the_blocks_of_cities_are_read():
    boundaries, grid, values = a_country()
    few = boundaries.iloc[[2]]
    read = []

    class Watched:
        def __init__(self):
            self.grid, self.name = grid, "watched"

        def read(self, window):
            read.append(window)
            return values.read(window)

    zones = label_zones(few, grid)
    zonal_statistics(Watched(), zones, ["mean", "q50"], execution=Execution(1))
    inner = zones.window
    assert all(
        inner.row0 <= w.row0 and w.row1 <= inner.row1 and inner.col0 <= w.col0 and w.col1 <= inner.col1 for w in read
    )
    assert sum(w.shape[0] for w in read[1:]) == inner.row1 - inner.row0


def test_cities_that_do_not_fit_the_memory_are_done_in_groups():
    boundaries, grid, values = a_country("uint16")
    zones = label_zones(boundaries, grid)
    one = zonal_statistics(values, zones, ["q50", "count"])
    limit = zones.cells().max() * 4.04 / 1e9
    several = zonal_statistics(values, zones, ["q50", "count"], execution=Execution(memory_gb=limit))
    assert 3 < several.attrs["counts"].pop("passes") <= 14
    one.attrs["counts"].pop("passes")
    pd.testing.assert_frame_equal(several, one, check_exact=True)
    assert several.attrs == one.attrs
    with pytest.raises(
        InputError, match=r"city 0000\d\d has .* cells, whose values take .* GB, more than the memory"
    ):
        zonal_statistics(values, zones, ["q50"], execution=Execution(memory_gb=zones.cells().max() * 3 / 1e9))


def test_spread_does_not_cancel():
    grid = lonlat_grid((100, 100))
    noise = np.random.default_rng(1).normal(size=grid.shape)
    zones = label_zones(cities([cell_box(grid, 0, 100, 0, 100)]), grid)
    far = 2.0**27 + noise  # in sums of squares nothing of the noise would be left
    with mock.patch.object(statistics, "slab_rows", return_value=16):
        std = zonal_statistics(source(far, grid), zones, ["std"])["std"].iloc[0]
    assert std == pytest.approx((far - 2.0**27).std(), rel=1e-9)


def test_whole_numbers_are_summed_exactly():
    grid = lonlat_grid((2, 3))
    zones = label_zones(cities([cell_box(grid, 0, 2, 0, 3)]), grid)
    values = source(np.array([[2**53, 1, 1], [1, 1, -(2**53)]]), grid)
    assert zonal_statistics(values, zones, ["sum"])["sum"].iloc[0] == 4


def test_cities_without_cells_keep_their_rows():
    grid = lonlat_grid((10, 10))
    places = [cell_box(grid, 0, 5, 0, 10), cell_box(grid, 20, 25, 0, 5), cell_box(grid, 6.6, 6.9, 6.6, 6.9)]
    values = np.full((10, 10), np.nan)
    values[6:] = 3
    table = zonal_statistics(source(values, grid), label_zones(cities(places), grid), EVERY)
    assert table["count"].tolist() == [0, 0, 0]
    assert table["missing"].tolist() == [50, 0, 0]
    assert table["variety"].tolist() == [0, 0, 0]
    assert table.drop(columns=["city_code", "count", "missing", "variety"]).isna().all(axis=None)


@pytest.mark.parametrize("exact", [True, False])
def test_against_exactextract(exact):
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    grid = lonlat_grid((60, 70), cell=1 / 128)
    rng = np.random.default_rng(5)
    values = rng.permutation(60 * 70).reshape(60, 70) / 7
    values[rng.random((60, 70)) < 0.05] = np.nan
    classes = rng.integers(1, 9, (60, 70)).astype("uint8")
    shapes = wiggly_tessellation((104.05, 29.56, 104.5, 29.95), 9, seed=3)
    if exact:  # along the cells' edges there are no fractions, and both define quantiles alike
        shapes = [cell_box(grid, r, r + 20, c, c + 35) for r in (0, 20, 40) for c in (0, 35)]
    boundaries = cities(shapes)
    zones = label_zones(boundaries, grid, assign="coverage")
    west, south, east, north = grid.bounds

    def theirs(array, wanted, name, weights=None):
        options = {"xmin": west, "ymin": south, "xmax": east, "ymax": north, "srs_wkt": grid.crs.to_wkt()}
        raster = NumPyRasterSource(array, name=name, **options)
        heavy = None if weights is None else NumPyRasterSource(weights, name="w", **options)
        return exact_extract(raster, boundaries, wanted, weights=heavy, output="pandas")

    names = {"count": "count", "sum": "sum", "mean": "mean", "min": "min", "max": "max", "std": "stdev"}
    names |= {"variance": "variance", "cv": "coefficient_of_variation"}
    ours = zonal_statistics(source(values, grid), zones, [*names, "q5", "median", "q97.5"])
    known = theirs(values, [*names.values(), "quantile(q=0.05)", "median", "quantile(q=0.975)"], "v")
    for name, their in names.items():
        np.testing.assert_allclose(ours[name], known[their], rtol=1e-9, err_msg=name)
    quantiles = ours[["q5", "median", "q97_5"]].to_numpy(), known.iloc[:, -3:].to_numpy()
    # elsewhere both interpolate between the same neighbours (about 3 apart), by other weights
    np.testing.assert_allclose(*quantiles, **({"rtol": 1e-12} if exact else {"atol": 5}))

    ours = zonal_statistics(source(classes, grid), zones, ["majority", "minority", "variety", "fractions"])
    known = theirs(classes, ["majority", "minority", "variety", "unique", "frac"], "c")
    for name in ("majority", "minority", "variety"):
        assert ours[name].tolist() == known[name].tolist()
    for k in range(len(boundaries)):
        share = dict(zip(known["unique"].iloc[k].tolist(), known["frac"].iloc[k].tolist(), strict=True))
        for value in range(1, 9):
            assert ours[f"share_{value}"].iloc[k] == pytest.approx(share.get(value, 0), rel=1e-9)

    weights = rng.random((60, 70))
    weights[rng.random((60, 70)) < 0.05] = np.nan
    both = np.isfinite(values) & np.isfinite(weights)
    ours = zonal_statistics(source(values, grid), zones, ["mean", "sum"], weight=source(weights, grid))
    known = theirs(np.where(both, values, np.nan), ["weighted_mean", "weighted_sum"], "v", np.where(both, weights, 0))
    np.testing.assert_allclose(ours["mean"], known["weighted_mean"], rtol=1e-9)
    np.testing.assert_allclose(ours["sum"], known["weighted_sum"], rtol=1e-9)


def test_against_rasterstats():
    rasterstats = pytest.importorskip("rasterstats")
    boundaries, grid, values = a_country("int32")
    array = np.where(values.valid, values.values, -1)
    names = {"count": "count", "sum": "sum", "mean": "mean", "min": "min", "max": "max", "std": "std"}
    names |= {"range": "range", "median": "median", "q10": "percentile_10", "q97.5": "percentile_97.5"}
    names |= {"variety": "unique", "missing": "nodata"}
    ours = zonal_statistics(values, label_zones(boundaries, grid), [*names])
    known = pd.DataFrame(
        rasterstats.zonal_stats(boundaries, array, affine=grid.transform, nodata=-1, stats=[*names.values()])
    )
    for name, their in names.items():
        np.testing.assert_allclose(ours[name.replace(".", "_")], known[their], rtol=1e-12, err_msg=name)


def test_area_weights_of_a_projected_grid():
    from affine import Affine

    grid = Grid(MOLLWEIDE, Affine(1000, 0, 8_000_000, 0, -1000, 4_000_000), (40, 50))
    values = np.arange(2000.0).reshape(40, 50)
    zones = label_zones(cities([cell_box(grid, 3, 30, 5, 44)], crs=MOLLWEIDE), grid)
    row = zonal_statistics(source(values, grid), zones, ["mean", "weight"], weight="area").iloc[0]
    area = grid.cell_area_km2(Window(3, 30, 5, 44))
    assert row["weight"] == pytest.approx(zones.area_km2()[0], rel=1e-12)
    assert row["mean"] == pytest.approx(np.average(values[3:30, 5:44], weights=area), rel=1e-12)


def test_what_is_refused():
    grid = lonlat_grid((4, 4))
    zones = label_zones(cities([cell_box(grid, 0, 4, 0, 4)]), grid)
    values = source(np.arange(16.0).reshape(4, 4) / 2, grid, name="rain.tif")
    for names, words in (
        (["maen"], "'maen' is not known; did you mean 'mean'"),
        (["qNN"], "'qNN' is not known"),
        (["q101"], "from q0 to q100"),
        (["mean", "sum", "mean"], "mean is named twice"),
        ([], "no statistic is named"),
    ):
        with pytest.raises(InputError, match=words):
            zonal_statistics(values, zones, names)
    with pytest.raises(GridError, match="not on the lattice of the cities"):
        zonal_statistics(source(np.zeros((4, 5))), zones, ["mean"])
    with pytest.raises(GridError, match=r"rain\.tif holds 0.5, so it is no map of classes"):
        zonal_statistics(values, zones, ["fractions"])
    with pytest.raises(GridError, match=r"w\.tif holds -1 where weights are needed"):
        zonal_statistics(values, zones, ["mean"], weight=source(np.full((4, 4), -1), grid, name="w.tif"))
    many = source(np.arange(400).reshape(20, 20), name="height.tif")
    with pytest.raises(GridError, match=r"height.tif holds 400 values and more, so it is no map"):
        zonal_statistics(many, label_zones(cities([cell_box(many.grid, 0, 20, 0, 20)]), many.grid), ["fractions"])
    assert quantile_level("q7") == 0.07


@pytest.mark.real
def test_luxembourg_light_of_its_own_authors(data_dir):
    folder = data_dir / "ntl_pop_luxembourg"
    communes = gpd.read_file(folder / "lux_communes.geojson")
    lights = open_raster(folder / "F182013_stable_lights_lux.tif", DMSP)
    zones = label_zones(read_boundaries(folder / "lux_communes.geojson", code="LAU2"), lights.grid)
    table = zonal_statistics(lights, zones, ["sum", "missing"])
    assert table["sum"].tolist() == communes["light_level"].tolist()
    assert table["sum"].sum() == 109847
    assert table["missing"].sum() == 0


@pytest.mark.real
def test_california_people_by_any_rule(data_dir, cases_dir):
    folder = data_dir / "ntl_pop_california"
    people = open_raster(folder / "US-CA_ppp_2017_1km.tif", WORLDPOP)
    counties = read_boundaries(folder / "california_counties.geojson", code="fips")
    known = pd.read_csv(cases_dir / "raster/california_2017_2018/expected.csv", dtype={"city_code": str})
    known = known[known["year"] == 2017].set_index("city_code")
    for assign, column in (("centre", "population"), ("coverage", "population_cov")):
        table = zonal_statistics(people, label_zones(counties, people.grid, assign=assign), ["sum"])
        np.testing.assert_allclose(table["sum"], known[column].reindex(table["city_code"]), rtol=1e-7)
