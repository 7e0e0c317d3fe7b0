"""Finished years: taken over when everything is the same, measured again when anything that matters changed."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import rasterio
from raster_factory import cell_box, cities, lonlat_grid, write_raster

from gistools.city import series as form_module
from gistools.city.form import FormOptions
from gistools.errors import InputError, OutputError
from gistools.io.vectors import read_boundaries
from gistools.study import years as years_module
from gistools.study.form import measure_form, open_form_grids, write_form
from gistools.study.inputs import GridFiles
from gistools.study.years import YearFiles, boundaries_hash

GRID = lonlat_grid((40, 40))
BOUNDARIES = cities([cell_box(GRID, 0, 40, 0, 20), cell_box(GRID, 0, 40, 20, 40)])


@pytest.fixture
def country(tmp_path):
    rng = np.random.default_rng(0)
    for year in (2011, 2012, 2013):
        write_raster(tmp_path / f"F18{year}.tif", rng.integers(0, 63, (40, 40)).astype("uint8"))
        write_raster(tmp_path / f"pop{year}.tif", rng.gamma(1, 2000, (40, 40)).astype("int32"), nodata=-9999)
    return tmp_path


def run(
    folder,
    years=(2011, 2012, 2013),
    *,
    boundaries=BOUNDARIES,
    lights=True,
    population=True,
    light_product="auto",
    reuse=True,
    cbd_table=None,
    keep="kept",
    **options,
):
    options = FormOptions(**options)
    grids = open_form_grids(
        GridFiles(str(folder / "F18{year}.tif"), light_product) if lights else None,
        GridFiles(str(folder / "pop{year}.tif")) if population else None,
        years,
        options,
    )
    return measure_form(
        boundaries, grids, years, options, years_folder=folder / keep, reuse=reuse, cbd_table=cbd_table
    )


def bytes_of(folder, keep="kept"):
    return {path.name: path.read_bytes() for path in sorted((folder / keep).glob("*.parquet"))}


def change(folder, name, *, urban=False):
    """Change one cell of a raster by one: the first that is neither bright nor crowded, or the most crowded."""
    with rasterio.open(folder / name) as file:
        values, nodata = file.read(1), file.nodata
    where = values.argmax() if urban else np.flatnonzero((values > 2) & (values < 9))[0]
    values.ravel()[where] -= 1
    write_raster(folder / name, values, nodata=nodata)


def test_a_second_run_takes_every_year_over_and_gives_the_same_bytes(country):
    first = run(country)
    assert first.taken_over == []
    assert list(bytes_of(country)) == ["2011.parquet", "2012.parquet", "2013.parquet"]
    kept = bytes_of(country)
    second = run(country)
    assert second.taken_over == [2011, 2012, 2013]
    assert bytes_of(country) == kept
    pd.testing.assert_frame_equal(second.panel, first.panel, check_exact=True)
    assert second.counts == first.counts
    for name in ("csv", "parquet", "dta"):
        write_form(first, country / f"a.{name}")
        write_form(second, country / f"b.{name}")
        assert (country / f"a.{name}").read_bytes() == (country / f"b.{name}").read_bytes()


def test_years_measured_anew_have_the_same_bytes_as_kept_ones(country):
    run(country)
    kept = bytes_of(country)
    assert run(country, reuse=False).taken_over == []
    assert bytes_of(country) == kept
    # a year more beside the kept ones, as if they had been run at once
    run(country, (2011, 2012), keep="part")
    assert run(country, keep="part").taken_over == [2011, 2012]
    assert bytes_of(country, "part") == kept


def test_a_changed_raster_is_measured_again_alone(country):
    run(country)
    change(country, "pop2012.tif")
    assert run(country).taken_over == [2011, 2013]
    change(country, "F182013.tif")
    assert run(country).taken_over == [2011, 2012]


def test_a_changed_base_year_is_followed_where_its_threshold_changed(country):
    run(country)
    with rasterio.open(country / "F182011.tif") as file:
        lights = file.read(1)
    write_raster(country / "F182011.tif", np.maximum(lights, 11))  # every crowded cell is urban
    run(country)
    change(country, "pop2011.tif", urban=True)  # the threshold moves with it
    assert run(country).taken_over == []
    run(country, threshold=2000.0, keep="fixed")
    change(country, "pop2011.tif")  # neither threshold nor CBD
    assert run(country, threshold=2000.0, keep="fixed").taken_over == [2012, 2013]


@pytest.mark.parametrize(
    "changed",
    [
        {"min_light": 11.0},
        {"min_density": 1001.0},
        {"threshold": 2000.0},
        {"cbd_ties": "cluster-centroid"},
        {"cbd_year": "each"},
        {"radius_km": 2.0},
        {"assign": "coverage"},
        {"align": "nearest"},
        {"light_product": "radiance"},
        {"population": False},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_changed_option_measures_every_year_again(country, changed):
    run(country)
    again = run(country, **changed)
    assert again.taken_over == []
    assert run(country, **changed).taken_over == [2011, 2012, 2013]


def test_naming_the_base_year_that_it_was_anyway_changes_nothing(country):
    run(country)
    assert run(country, base_year=2011).taken_over == [2011, 2012, 2013]
    assert run(country, base_year=2012).taken_over != [2011, 2012, 2013]


def test_changed_boundaries_measure_every_year_again(country):
    run(country)
    moved = cities([cell_box(GRID, 0, 40, 0, 21), cell_box(GRID, 0, 40, 21, 40)])
    assert run(country, boundaries=moved).taken_over == []
    run(country)
    renamed = BOUNDARIES.assign(city_code=["000001", "000003"])
    assert run(country, boundaries=renamed).taken_over == []
    # names do not touch what is measured
    run(country)
    named = BOUNDARIES.assign(city_name=["a", "b"])
    again = run(country, boundaries=named)
    assert again.taken_over == [2011, 2012, 2013]
    assert again.panel["city_name"].unique().tolist() == ["a", "b"]


def test_hash_of_boundaries_holds_codes_shapes_and_crs():
    known = boundaries_hash(BOUNDARIES)
    assert boundaries_hash(BOUNDARIES.copy()) == known
    assert boundaries_hash(BOUNDARIES.iloc[::-1]) != known
    assert boundaries_hash(BOUNDARIES.set_crs(4490, allow_override=True)) != known


def test_another_version_measures_again(country, monkeypatch):
    run(country)
    monkeypatch.setattr(years_module, "__version__", "0.0.0+other")
    assert run(country).taken_over == []


def test_a_table_of_cbds_is_part_of_the_key(country):
    table = pd.DataFrame({"city_code": ["000001", "000002"], "cbd_lon": [104.05, 104.25], "cbd_lat": [29.9, 29.9]})
    table.to_csv(country / "cbd.csv", index=False)
    run(country)
    with_table = run(country, cbd_table=country / "cbd.csv")
    assert with_table.taken_over == []
    assert run(country, cbd_table=country / "cbd.csv").taken_over == [2011, 2012, 2013]
    table.assign(cbd_lat=29.8).to_csv(country / "cbd.csv", index=False)
    assert run(country, cbd_table=country / "cbd.csv").taken_over == []


def test_damaged_and_foreign_files_are_measured_again(country):
    fresh = run(country)
    kept = bytes_of(country)
    (country / "kept" / "2012.parquet").write_bytes(kept["2012.parquet"][:500])
    pd.DataFrame({"a": [1]}).to_parquet(country / "kept" / "2013.parquet")
    again = run(country)
    assert again.taken_over == [2011]
    assert again.failures == []
    assert bytes_of(country) == kept
    pd.testing.assert_frame_equal(again.panel, fresh.panel)


def test_moved_rasters_of_the_same_content_are_taken_over(country):
    run(country)
    (country / "elsewhere").mkdir()
    for path in country.glob("*.tif"):
        shutil.move(path, country / "elsewhere" / path.name)
    shutil.move(country / "kept", country / "elsewhere" / "kept")
    assert run(country / "elsewhere").taken_over == [2011, 2012, 2013]


def test_years_without_light_or_without_population_are_taken_over_too(country):
    # nothing in these columns tells their type: no CBD, no threshold
    run(country, (2011,), lights=False)
    result = run(country, (2011, 2012), lights=False)
    assert result.taken_over == [2011]
    assert result.panel["population"].notna().all()
    for year in (2011, 2012):
        write_raster(country / f"F18{year}.tif", np.zeros((40, 40), "uint8"))
    run(country, (2011,), threshold=2000.0, keep="dark")
    dark = run(country, (2011, 2012), threshold=2000.0, keep="dark")
    assert dark.taken_over == [2011]
    fresh = run(country, (2011, 2012), threshold=2000.0, keep="fresh")
    pd.testing.assert_frame_equal(dark.panel, fresh.panel)
    lights = run(country, (2012, 2013), population=False, keep="lights")
    assert run(country, (2012, 2013), population=False, keep="lights").taken_over == [2012, 2013]
    assert lights.panel["light_sum"].notna().all()


PROGRAM = """
import sys, time
from pathlib import Path
from gistools.raster import zonal
from gistools.cli.main import main
slow = zonal.scan_slab
zonal._SLAB_ROWS = 64
def scan(task, blocks):
    time.sleep(0.15)
    return slow(task, blocks)
zonal.scan_slab = scan
main(sys.argv[1:])
"""


def test_a_kill_at_any_moment_leaves_whole_files_and_a_second_run_ends_with_the_same_bytes(country):
    BOUNDARIES.to_file(country / "c.gpkg")
    arguments = [
        *("city", "form", "--lights", str(country / "F18{year}.tif"), "--population", str(country / "pop{year}.tif")),
        *("--boundaries", str(country / "c.gpkg"), "--years", "2011-2013"),
    ]

    def go(keep, out):
        options = ["--keep-years", str(country / keep), "--out", str(country / out)]
        return [sys.executable, "-c", PROGRAM, *arguments, *options]

    # beside it, the whole run in this process
    write_form(run(country, keep="whole", boundaries=read_boundaries(country / "c.gpkg")), country / "whole.csv")
    running = subprocess.Popen(go("killed", "killed.csv"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((country / "killed").glob("2011.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (country / "killed.csv").exists()
    for path in (country / "killed").glob("????.parquet"):
        assert len(pd.read_parquet(path)) == 2  # whole
        assert path.read_bytes() == (country / "whole" / path.name).read_bytes()
    again = subprocess.run(go("killed", "killed.csv"), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (country / "killed.csv").read_bytes() == (country / "whole.csv").read_bytes()
    for year in (2011, 2012, 2013):
        assert (country / "killed" / f"{year}.parquet").read_bytes() == (
            country / "whole" / f"{year}.parquet"
        ).read_bytes()


@pytest.mark.parametrize("at", [1, 2])
def test_a_full_disk_is_no_fault_of_a_year(country, monkeypatch, at):
    """It ends the work: what was kept stays, and no year is called bad."""
    save, saved = YearFiles.save, []

    def fill(self, form):
        if len(saved) >= at - 1:
            raise OutputError("the disk is full")
        save(self, form)
        saved.append(form.year)

    monkeypatch.setattr(YearFiles, "save", fill)
    with pytest.raises(OutputError, match=r"^the disk is full$"):
        run(country)
    assert sorted(int(path.stem) for path in (country / "kept").glob("*.parquet")) == sorted(saved)
    assert len(saved) == at - 1


def test_side_files_and_the_sources_of_a_mosaic_are_inputs_too(country):
    """The mosaic and the raster stay as they are, byte for byte; what they are read from changes."""
    source = country / "pop2012.tif"
    inner = source.rename(country / "inner2012.tif")
    with rasterio.open(inner) as file:
        assert file.crs.to_epsg() == 4326
        sides, origin, size = file.shape, file.transform, file.transform.a
    source.with_suffix(".vrt").write_text(
        f"""<VRTDataset rasterXSize="{sides[1]}" rasterYSize="{sides[0]}"><SRS>EPSG:4326</SRS>
        <GeoTransform>{origin.c!r}, {size!r}, 0, {origin.f!r}, 0, {origin.e!r}</GeoTransform>
        <VRTRasterBand dataType="Int32" band="1"><NoDataValue>-9999</NoDataValue><SimpleSource>
        <SourceFilename relativeToVRT="1">inner2012.tif</SourceFilename><SourceBand>1</SourceBand>
        </SimpleSource></VRTRasterBand></VRTDataset>"""
    )
    options = FormOptions()

    def measured(year, pattern):
        grids = open_form_grids(
            GridFiles(str(country / "F18{year}.tif")), GridFiles(str(country / pattern)), (year,), options
        )
        return measure_form(BOUNDARIES, grids, (year,), options, years_folder=country / "kept")

    first = measured(2012, "pop{year}.vrt")
    assert measured(2012, "pop{year}.vrt").taken_over == [2012]
    with rasterio.open(inner, "r+") as file:
        file.write(3 * file.read(1), 1)
    again = measured(2012, "pop{year}.vrt")
    assert again.taken_over == []
    assert again.panel["population"].tolist() == pytest.approx((3 * first.panel["population"]).tolist(), rel=1e-12)

    whole = measured(2013, "pop{year}.tif")
    (country / "pop2013.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>0</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    changed = measured(2013, "pop{year}.tif")
    assert whole.taken_over == changed.taken_over == []


def test_a_raster_that_changes_while_it_is_read_sets_its_year_aside(country, monkeypatch):
    measure = form_module.measure_year

    def meddling(year, *arguments, **options):
        form = measure(year, *arguments, **options)
        if year == 2012:
            write_raster(country / "pop2012.tif", np.full((40, 40), 5, "int32"), nodata=-9999)
        return form

    monkeypatch.setattr(form_module, "measure_year", meddling)
    result = run(country)
    assert sorted(result.panel["year"].unique()) == [2011, 2013]
    assert str(result.failures[0]).endswith("pop2012.tif changed while it was read; run again when it is whole")
    assert not (country / "kept" / "2012.parquet").exists()


def test_known_cbds_and_a_known_threshold_need_no_base_year(country):
    options = FormOptions(threshold=2000.0, base_year=1999)
    files = GridFiles(str(country / "F18{year}.tif")), GridFiles(str(country / "pop{year}.tif"))
    assert open_form_grids(*files, (2012,), options, known_cbds=True).years == [2012]
    with pytest.raises(InputError, match="the base year 1999 cannot be used, and the other years need it"):
        open_form_grids(*files, (2012,), options)


def test_years_of_older_rules_are_measured_anew(country, monkeypatch):
    run(country, years=(2012,))
    monkeypatch.setattr(years_module, "RULES_VERSION", 0)
    assert run(country, years=(2012,)).taken_over == []
