"""A calibrated series from files: every cell by hand, three steps in their order, resuming, faults of one year."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio
from raster_factory import cell_box, cities, lonlat_grid, spoil_block, write_raster

from gistools.errors import BoundaryError, CrsError, GridError, InputError, OutputError
from gistools.io.tables import read_table, write_table
from gistools.raster.calibration import published_coefficients
from gistools.raster.lights import CALIBRATED, lights_product
from gistools.study.inputs import GridFiles, open_grids, read_lights
from gistools.study.light_series import CalibrationOptions
from gistools.study.lights import calibrate_lights

GRID = lonlat_grid((150, 40))  # three slabs of tiles, where many years are held
FLIGHTS = {2006: ("F15", "F16"), 2007: ("F15", "F16"), 2008: ("F16",), 2009: ("F16",)}
RNG = np.random.default_rng(5)
RAW = {
    (name, year): (RNG.integers(0, 64, GRID.shape) * (RNG.random(GRID.shape) > 0.3)).astype("uint8")
    for year, names in FLIGHTS.items()
    for name in names
}


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for (name, year), values in RAW.items():
        write_raster(folder / f"{name}{year}.v4b_web.stable_lights.avg_vis.tif", values, GRID)
    return folder


def run(folder, out=None, years=(2006, 2007, 2008, 2009), pattern="F*{year}*.tif", **options):
    return calibrate_lights(
        GridFiles(str(folder / pattern)), years, out or folder.parent / "out", CalibrationOptions(**options)
    )


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def by_hand(name, year, model="elvidge2014"):
    """The polynomial, cell by cell."""
    row = published_coefficients(model).set_index(["satellite", "year"]).loc[(name, year)]
    dn = RAW[name, year].astype(float)
    return np.where(dn == 0, 0, np.clip(row["c0"] + row["c1"] * dn + row["c2"] * dn * dn, 0, 63))


def composite(year, parts=None):
    parts = parts or [by_hand(name, year) for name in FLIGHTS[year]]
    return np.where(np.all([p > 0 for p in parts], axis=0), np.mean(parts, axis=0), 0)


def consistent(stack):
    out = [grid.copy() for grid in stack]
    for n in range(len(out) - 1):
        for cell in np.ndindex(out[n].shape):
            if stack[n + 1][cell] == 0:
                out[n][cell] = 0
            elif n and out[n - 1][cell] > out[n][cell]:
                out[n][cell] = out[n - 1][cell]
    return out


# ---------------------------------------------------------------- the three steps


def test_intercalibration_and_composite_by_hand(series):
    result = run(series)
    for year in FLIGHTS:
        path = result.files[f"calibrated_{year}"]
        np.testing.assert_allclose(read(path), composite(year), rtol=1e-6)
        with rasterio.open(path) as file:
            assert (file.dtypes[0], file.compression.name, file.block_shapes) == ("float32", "deflate", [(64, 256)])
            assert np.isnan(file.nodata)
            assert file.transform.almost_equals(GRID.transform)
    assert result.failures == result.taken_over == []


def test_consistency_follows_on_the_composites(series):
    result = run(series, consistency=True)
    before = [composite(year) for year in FLIGHTS]
    after = consistent([grid.astype(np.float32) for grid in before])
    for year, was, want in zip(FLIGHTS, before, after, strict=True):
        got = read(result.files[f"calibrated_{year}"])
        np.testing.assert_allclose(got, want, rtol=1e-6)
        row = result.years.set_index("year").loc[year]
        assert row["darkened_cells"] == ((was > 0) & (want == 0)).sum()
        assert row["raised_cells"] == (want > was.astype(np.float32)).sum()
        assert row["light_sum"] == pytest.approx(got.astype(float).sum(), rel=1e-12)
        assert row["steps"].endswith("consistency")


def test_steps_are_each_optional(series):
    single = run(series, series.parent / "single", composite=False)
    assert sorted(p.name for p in (series.parent / "single").glob("*.tif")) == sorted(
        f"calibrated_{name}{year}.tif" for name, year in RAW
    )
    np.testing.assert_allclose(read(single.files["calibrated_F152006"]), by_hand("F15", 2006), rtol=1e-6)
    raw = run(series, series.parent / "raw_out", coefficients="none")
    parts = [RAW[name, 2006].astype(float) for name in FLIGHTS[2006]]
    np.testing.assert_array_equal(read(raw.files["calibrated_2006"]), composite(2006, parts).astype("float32"))
    assert raw.satellites["sum_before"].tolist() == raw.satellites["sum_after"].tolist()
    assert raw.years["steps"].tolist() == ["composite", "composite", "", ""]


def test_tables_hold_sums_before_and_after(series):
    result = run(series, missing="error")
    table = read_table(result.files["calibration"]).set_index(["satellite", "year"])
    assert list(table.index) == sorted(RAW, key=lambda key: (key[1], key[0]))
    for key, raw in RAW.items():
        row, after = table.loc[key], by_hand(*key)
        assert row["sum_before"] == raw.sum(dtype=float)
        assert row["sum_after"] == pytest.approx(after.sum(), rel=1e-7)
        assert (row["lit_before"], row["lit_after"]) == ((raw > 0).sum(), (after > 0).sum())
        assert row["valid_cells"] == raw.size
    assert table.loc[("F16", 2009), "raw_above_10"] == 9
    assert table.loc[("F15", 2007), "raw_above_10"] == 7
    assert result.files["figure"].read_bytes()[1:4] == b"PNG"
    years = read_table(result.files["series"])
    assert years["satellites"].tolist() == ["F15, F16", "F15, F16", "F16", "F16"]


def test_no_data_stays_no_data_in_every_step(tmp_path):
    for year, values in ((2006, [9, 255, 9]), (2007, [5, 5, 255]), (2008, [8, 8, 8])):
        write_raster(tmp_path / f"F16{year}.tif", np.array([values], "uint8"))
    result = run(
        tmp_path, tmp_path / "out", (2006, 2007, 2008), "F16{year}.tif", coefficients="none", consistency=True
    )
    grids = [read(result.files[f"calibrated_{year}"])[0] for year in (2006, 2007, 2008)]
    np.testing.assert_array_equal(grids, [[9, np.nan, 9], [9, 5, np.nan], [8, 8, 8]])
    assert result.years["valid_cells"].tolist() == [2, 2, 3]


# ---------------------------------------------------------------- coefficients


def test_a_fit_recovers_the_level_of_the_reference(tmp_path):
    reference = RAW["F16", 2008]
    write_raster(tmp_path / "F121999.tif", reference, GRID)
    write_raster(tmp_path / "F162008.tif", (reference // 3).astype("uint8"), GRID)
    cities([cell_box(GRID, 0, 90, 0, 40), cell_box(GRID, 80, 140, 0, 40)]).to_file(tmp_path / "stable.gpkg")
    options = {"coefficients": "fit", "region": tmp_path / "stable.gpkg"}
    result = run(tmp_path, tmp_path / "out", (1999, 2008), "F*{year}.tif", **options)
    first, second = result.satellites.to_dict("records")
    assert (first["model"], first["c0"], first["c1"], first["c2"]) == ("reference", 0, 1, 0)
    inside = (slice(0, 140), slice(None))
    lit = reference[inside] >= 3
    x, y = (reference // 3)[inside][lit].astype(float), reference[inside][lit].astype(float)
    np.testing.assert_allclose((second["c2"], second["c1"], second["c0"]), np.polyfit(x, y, 2), rtol=1e-7, atol=1e-9)
    assert second["cells"] == lit.sum()
    assert 0.99 < second["r2"] < 1
    assert second["se_c1"] > 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [entry["role"] for entry in manifest["inputs"]] == ["lights 1999 F12", "lights 2008 F16", "region"]


def test_regions_and_references_that_will_not_do(series, tmp_path):
    good = cities([cell_box(GRID, 0, 90, 0, 40)])
    good.to_file(tmp_path / "good.gpkg")
    good.set_geometry(good.representative_point()).to_file(tmp_path / "points.gpkg")
    fit = {"coefficients": "fit", "region": tmp_path / "good.gpkg"}
    with pytest.raises(InputError, match="no file of the reference F12 1999 matches"):
        run(series, **fit)
    with pytest.raises(BoundaryError, match=r"points.gpkg must hold valid polygons"):
        run(series, **fit | {"region": tmp_path / "points.gpkg"}, reference="F162008")
    good.set_crs(None, allow_override=True).to_parquet(tmp_path / "nowhere.parquet")
    with pytest.raises(CrsError, match=r"nowhere.parquet has no CRS"):
        run(series, **fit | {"region": tmp_path / "nowhere.parquet"}, reference="F162008")
    with pytest.raises(InputError, match="give --region FILE with --coefficients fit"):
        run(series, coefficients="fit")
    with pytest.raises(InputError, match="neither of them otherwise"):
        run(series, region=tmp_path / "good.gpkg")
    with pytest.raises(InputError, match="'F19' is not a satellite and its year"):
        run(series, reference="F19")


def test_a_loose_fit_and_a_turning_polynomial_are_named(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("F121999", "F162008"):
        write_raster(tmp_path / f"{name}.tif", rng.integers(1, 64, GRID.shape).astype("uint8"), GRID)
    cities([cell_box(GRID, 0, 150, 0, 40)]).to_file(tmp_path / "stable.gpkg")
    result = run(
        tmp_path, tmp_path / "out", (2008,), "F*{year}.tif", coefficients="fit", region=tmp_path / "stable.gpkg"
    )
    assert any("the fit of F16 2008 is loose (R2 0.00" in note for note in result.notes)
    write_table(
        pd.DataFrame({"satellite": ["F16"], "year": [2008], "c0": [0], "c1": [1.2], "c2": [-0.02]}),
        tmp_path / "c.csv",
    )
    result = run(tmp_path, tmp_path / "out", (2008,), "F*{year}.tif", coefficients=str(tmp_path / "c.csv"))
    assert any("turns at a digital number of 30.0" in note for note in result.notes)
    assert result.satellites["model"].tolist() == ["c.csv"]
    assert read(result.files["calibrated_2008"]).max() == pytest.approx(18, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coefficients": "elvdige2014"}, "did you mean 'elvidge2014'"),
        ({"missing": "guess"}, "missing is 'guess'"),
        ({"satellite": "G10"}, "--satellite holds 'G10'; write F10"),
        ({"satellite": "1992:F10,x"}, "--satellite holds 'x'"),
    ],
)
def test_options_are_judged_at_once(options, words):
    with pytest.raises(InputError, match=words):
        CalibrationOptions(**options)


# ---------------------------------------------------------------- what is recorded, and read again


def test_a_calibrated_file_is_recognised_and_says_how_it_was_made(series):
    result = run(series, consistency=True)
    path = result.files["calibrated_2007"]
    assert lights_product(path.name, "float32") is CALIBRATED
    assert lights_product("calibrated_F152007.tif", "float32") is CALIBRATED
    moved = path.with_name("mine.tif")
    shutil.copy(path, moved)
    assert read_lights(moved).attrs["product"] == CALIBRATED.name  # by its tags
    with rasterio.open(path) as file:
        tags = file.tags()
    assert tags["steps"] == "inter-calibration (elvidge2014); composite; consistency"
    assert tags["satellites"] == "F15, F16"
    assert (tags["year"], tags["units"]) == ("2007", "digital number, 0 to 63")
    assert [one["c0"] for one in json.loads(tags["coefficients"])] == [1.3606, 0.6394]
    assert tags["sources"].startswith("F152007.v4b_web")


def test_the_notes_of_a_study_say_what_its_threshold_is_raw(series):
    result = run(series)
    assert any(
        "above 10 begin at a raw digital number of 8 (F15 2006), 9 (F16 2006), 7 (F15 2007)" in n
        for n in result.notes
    )
    pattern = str(series.parent / "out" / "calibrated_{year}.tif")
    grids = open_grids(GridFiles(pattern), None, (2007, 2008), min_light=20)
    assert [p.name for p in grids.light_products.values()] == [CALIBRATED.name] * 2
    assert any(
        note.endswith("above 20 begin at a raw digital number of 16 (F15 2007), 21 (F16 2007), 20 (F16 2008)")
        for note in grids.notes
    ), grids.notes
    apart = run(series, series.parent / "apart", composite=False)
    grids = open_grids(GridFiles(str(series.parent / "apart" / "calibrated_F*{year}.tif")), None, (2007,))
    whole = grids.lights[2007].read(GRID.whole).values
    np.testing.assert_array_equal(whole, read(result.files["calibrated_2007"]))
    assert apart.years["satellites"].tolist()[:2] == ["F15", "F16"]


def test_manifest_holds_inputs_coefficients_and_outputs(series):
    run(series)
    manifest = json.loads((series.parent / "out" / "manifest.json").read_text())
    assert manifest["options"]["coefficients"] == "elvidge2014"
    assert len(manifest["inputs"]) == len(RAW)
    assert all(len(entry["sha256"]) == 64 for entry in manifest["inputs"] + manifest["outputs"])
    assert [row["satellite"] for row in manifest["coefficients"]] == ["F15", "F16", "F15", "F16", "F16", "F16"]
    assert "Elvidge" in manifest["citations"]["elvidge2014"]
    assert {entry["path"] for entry in manifest["outputs"]} == {
        "calibration.csv", "series.csv", "lights_sum.png", *(f"calibrated_{year}.tif" for year in FLIGHTS)
    }  # fmt: skip


# ---------------------------------------------------------------- resuming


def test_finished_years_of_the_same_things_are_taken_over(series):
    first = run(series)
    stamps = {year: first.files[f"calibrated_{year}"].stat().st_mtime_ns for year in FLIGHTS}
    again = run(series)
    assert again.taken_over == list(FLIGHTS)
    pd.testing.assert_frame_equal(again.satellites, first.satellites)
    pd.testing.assert_frame_equal(again.years, first.years)
    # one input changes: only its year is written anew
    write_raster(series / "F162008.v4b_web.stable_lights.avg_vis.tif", RAW["F16", 2009], GRID)
    changed = run(series)
    assert changed.taken_over == [2006, 2007, 2009]
    now = {year: first.files[f"calibrated_{year}"].stat().st_mtime_ns for year in FLIGHTS}
    assert [year for year in FLIGHTS if now[year] != stamps[year]] == [2008]
    # other steps or coefficients: all of them
    assert run(series, coefficients="none").taken_over == []
    # a damaged file is no finished year
    first.files["calibrated_2006"].write_bytes(b"II*")
    assert 2006 not in run(series, coefficients="none").taken_over


def test_consistency_takes_over_all_years_or_none(series):
    run(series, consistency=True)
    assert run(series, consistency=True).taken_over == list(FLIGHTS)
    assert run(series, consistency=True, years=(2006, 2007, 2008)).taken_over == []


# ---------------------------------------------------------------- bad input


def test_one_bad_year_does_not_lose_the_others(series):
    (series / "F162008.v4b_web.stable_lights.avg_vis.tif").write_bytes(b"no raster")
    result = run(series, years=(2006, 2008, 2010))
    assert [problem.year for problem in result.failures] == [2008, 2010]
    assert "cannot be opened as a raster" in result.failures[0].message
    assert "there are files for 2006, 2007, 2008, 2009" in result.failures[1].message
    assert result.years["year"].tolist() == [2006]


@pytest.mark.parametrize("consistency", [False, True])
def test_damage_found_on_the_way_sets_its_year_aside(series, consistency):
    path = series / "F162008.v4b_web.stable_lights.avg_vis.tif"
    big = lonlat_grid((2000, 100))
    for (name, year), values in RAW.items():
        write_raster(
            series / f"{name}{year}.v4b_web.stable_lights.avg_vis.tif",
            np.resize(values, big.shape), big, compress="deflate", blockysize=16,
        )  # fmt: skip
    spoil_block(path, 0, 30)  # not where the file is probed
    result = run(series, consistency=consistency)
    assert [problem.year for problem in result.failures] == [2008]
    assert result.years["year"].tolist() == [2006, 2007, 2009]
    assert not (series.parent / "out" / "calibrated_2008.tif").exists()
    without = run(series, series.parent / "without", years=(2006, 2007, 2009), consistency=consistency)
    for year in (2006, 2007, 2009):
        name = f"calibrated_{year}"
        np.testing.assert_array_equal(read(result.files[name]), read(without.files[name]))
    assert any("without those set aside" in note for note in result.notes) == consistency


def test_what_is_not_raw_dmsp_is_refused(tmp_path):
    values = np.ones((4, 4), "uint8")
    for name, words in (
        ("Harmonized_DN_NTL_2012_calDMSP.tif", "they are not raw digital numbers of DMSP"),
        ("calibrated_2012.tif", "they are calibrated already"),
    ):
        write_raster(tmp_path / name, values)
        with pytest.raises(InputError, match=words):
            run(tmp_path, tmp_path / "out", (2012,), name)
    write_raster(tmp_path / "lights2012.tif", values)
    with pytest.raises(InputError, match=r"does not say which satellite it is from.*--satellite F10"):
        run(tmp_path, tmp_path / "out", (2012,), "lights{year}.tif")
    said = run(tmp_path, tmp_path / "out", (2012,), "lights{year}.tif", satellite="1992-1994:F10,2012:F18")
    assert said.satellites[["satellite", "c0"]].values.tolist() == [["F18", 1.875]]
    unnamed = run(tmp_path, tmp_path / "none", (2012,), "lights{year}.tif", coefficients="none", composite=False)
    assert [p.name for p in (tmp_path / "none").glob("*.tif")] == ["calibrated_2012.tif"]
    assert unnamed.satellites["satellite"].tolist() == [""]
    write_raster(tmp_path / "F162009.tif", values)
    with pytest.raises(InputError, match="is taken for the year 2012, but its name says 2009"):
        run(tmp_path, tmp_path / "out", (2012,), "F162009.tif")


def test_years_after_the_last_say_what_to_use_instead(series):
    with pytest.raises(InputError, match=r"DMSP-OLS ends in 2013 \(for later years take the harmonised series"):
        run(series, years=(2014, 2015))


def test_consistency_needs_neighbours_on_one_lattice(series):
    with pytest.raises(InputError, match="there is one year only"):
        run(series, years=(2008,), consistency=True)
    with pytest.raises(InputError, match="2006, 2007: consistency needs one grid a year"):
        run(series, consistency=True, composite=False)
    write_raster(
        series / "F162009.v4b_web.stable_lights.avg_vis.tif", RAW["F16", 2009], lonlat_grid(GRID.shape, west=9)
    )
    with pytest.raises(GridError, match="their years cannot be made consistent"):
        run(series, consistency=True)
    gap = run(series, series.parent / "gap", years=(2006, 2008), consistency=True)
    assert any("years before 2008 are missing" in note for note in gap.notes)


def test_a_full_disk_is_named(series, small_files, capfd):
    with small_files(4000), pytest.raises(OutputError, match="cannot be written"):
        run(series)
    assert not list((series.parent / "out").glob("*.tif"))
    capfd.readouterr()


# ---------------------------------------------------------------- real grids


@pytest.mark.real
def test_luxembourg_2013_has_no_coefficient_and_may_borrow_one(data_dir, tmp_path):
    folder, pattern = data_dir / "ntl_pop_luxembourg", "F18{year}_stable_lights_lux.tif"
    with pytest.raises(InputError, match="elvidge2014 has no coefficient for F18 2013"):
        run(folder, tmp_path / "out", (2013,), pattern)
    result = run(folder, tmp_path / "out", (2013,), pattern, missing="borrow")
    (row,) = result.satellites.to_dict("records")
    raw = read(folder / "F182013_stable_lights_lux.tif").astype(float)
    want = np.where(raw > 0, 1.875 + 0.6203 * raw + 0.0052 * raw**2, 0)
    np.testing.assert_allclose(read(result.files["calibrated_2013"]), want, rtol=1e-6)
    assert row["sum_before"] == 109847  # the sum the communes' own file states
    assert row["sum_after"] == pytest.approx(want.sum(), rel=1e-7)
    assert (row["borrowed_from"], row["raw_above_10"]) == (2012, 12)
    assert row["lit_before"] == row["lit_after"] == 8265 - 3599
    assert any("that of F18 2012 is borrowed" in note for note in result.notes)


@pytest.mark.real
def test_sao_tome_needs_its_satellite_named(data_dir, tmp_path):
    folder, pattern = data_dir / "ntl_pop_fixtures", "sao_tome_DMSP_OLS_{year}_stable_lights.tif"
    with pytest.raises(InputError, match="does not say which satellite it is from"):
        run(folder, tmp_path / "out", (1992,), pattern)
    result = run(folder, tmp_path / "out", (1992,), pattern, satellite="F10")
    (row,) = result.satellites.to_dict("records")
    with rasterio.open(folder / pattern.format(year=1992)) as file:
        raw = file.read(1, masked=True).astype(float)
    want = np.clip(-2.057 + 1.5903 * raw - 0.009 * raw**2, 0, 63) * (raw > 0)
    got = np.ma.masked_invalid(read(result.files["calibrated_1992"]))
    np.testing.assert_array_equal(got.mask, raw.mask)
    np.testing.assert_allclose(got.compressed(), want.compressed(), rtol=1e-5, atol=1e-6)
    assert (row["sum_before"], row["raw_above_10"]) == (590, 8)
    assert row["sum_after"] == pytest.approx(want.sum(), rel=1e-6)
