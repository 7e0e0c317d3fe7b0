"""Inputs judged before any work: every fault is a sentence, a bad year does not lose the good ones."""

import numpy as np
import pytest
from affine import Affine
from raster_factory import ARC30, MOLLWEIDE, cell_box, cities, lonlat_grid, write_raster

from gistools.errors import BoundaryError, InputError
from gistools.grid import Grid
from gistools.raster.lights import DMSP, CompositeSource
from gistools.study.inputs import GridFiles, Problem, check_boundaries, open_grids

RNG = np.random.default_rng(0)
LIGHT = RNG.integers(0, 64, (60, 60)).astype("uint8")
COUNT = RNG.gamma(1, 900, (60, 60)).astype("int32")


@pytest.fixture
def folder(tmp_path):
    for year in (2011, 2012, 2013):
        write_raster(tmp_path / f"F18{year}.tif", LIGHT)
        write_raster(tmp_path / f"pop{year}.tif", COUNT, nodata=-9999)
    return tmp_path


def opened(folder, years=(2011, 2012, 2013), lights="F18{year}.tif", population="pop{year}.tif", **options):
    return open_grids(
        lights and GridFiles(lights, options.pop("light_product", "auto"), folder),
        population and GridFiles(population, options.pop("count_product", "auto"), folder),
        years,
        **options,
    )


def only_problem(folder, words, **options):
    grids = opened(folder, **options)
    assert grids.years == [2011, 2013]
    (problem,) = grids.problems
    assert problem.year == 2012
    assert words in problem.message
    return problem


def test_good_grids_have_no_problem(folder):
    grids = opened(folder)
    assert grids.problems == []
    assert grids.years == [2011, 2012, 2013]
    assert grids.saturated == 63
    assert [part for part, _ in grids.files[2012]] == ["lights", "population"]
    assert [p.name for p in grids.products[2012]] == [DMSP.name, "population counts of no known product"]
    assert grids.notes[0] == "lights and population share one lattice"


def test_years_can_be_dropped(folder):
    grids = opened(folder)
    grids.drop([2012])
    assert grids.years == [2011, 2013]
    assert sorted(grids.lights) == sorted(grids.population) == [2011, 2013]


def test_a_missing_year_is_set_aside_with_the_years_there_are(folder):
    (folder / "pop2012.tif").unlink()
    problem = only_problem(folder, "there are files for 2011, 2013")
    assert str(problem).startswith("population 2012: no file matches ")
    assert str(Problem("boundaries", "x")) == "boundaries: x"


def test_no_year_at_all_is_refused(folder):
    with pytest.raises(
        InputError, match=r"^lights: no file matches .* for the year 1999, 2000; there are files for 2011"
    ):
        opened(folder, (1999, 2000))
    for year in (2011, 2012, 2013):
        (folder / f"pop{year}.tif").write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"^population 2011: .*pop2011\.tif cannot be opened .*\(and so 2 more years\)$"
    ):
        opened(folder)
    with pytest.raises(InputError, match=r"^\S*pop2011\.tif cannot be opened"):
        opened(folder, (2011,))


def flawed(values=COUNT, name="pop2012.tif", **options):
    def make(folder):
        write_raster(folder / name, values, **options)

    return make


def cut(folder):
    path = folder / "pop2012.tif"
    path.write_bytes(path.read_bytes()[:3000])


SENTINEL = np.where(np.indices((60, 60))[0] < 4, 2147483647, COUNT)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "the file is cut short or damaged"),
        (lambda folder: (folder / "pop2012.tif").write_text("<html>"), "cannot be opened as a raster"),
        (flawed(crs=None), "has no CRS"),
        (flawed(transform=Affine(900, 0, 3e5, 0, -900, 3.4e6)), "its CRS is wrong"),
        (flawed(crs="EPSG:32648"), "look like degrees: its CRS is wrong"),
        (flawed(transform=Affine(ARC30, 0, -70, 0, -ARC30, 30)), "do not overlap"),
        (flawed(grid=Grid(MOLLWEIDE, Affine(1000, 0, 4e5, 0, -1000, 5e6), (60, 60))), "do not overlap"),
        (flawed(np.stack([COUNT, COUNT])), "has 2 bands"),
        (flawed(transform=Affine(ARC30, 1e-3, 104, 1e-3, -ARC30, 30)), "rotated"),
        (flawed(transform=Affine(ARC30, 0, 104, 0, ARC30, 29.5)), "rows do not run from north to south"),
        (flawed(tags={"units": "persons per square km"}), "says it holds densities"),
        (flawed(COUNT.astype("float32") * 200), "these look like densities"),
        (flawed(SENTINEL), "no-data value that is not tagged"),
        (
            flawed(np.where(LIGHT == 7, 64, LIGHT), "F182012.tif"),
            "digital numbers of DMSP-OLS stable lights end at 63",
        ),
        (
            flawed(np.where(LIGHT == 7, 255, LIGHT).astype("int16"), "F182012.tif"),
            "or it has a no-data value that is not tagged",
        ),
        (flawed(LIGHT, "F182012.tif", crs=None), "has no CRS"),
    ],
)
def test_one_bad_year_is_set_aside_in_one_sentence(folder, spoil, words):
    spoil(folder)
    problem = only_problem(folder, words)
    assert "\n" not in problem.message
    assert "2012.tif" in problem.message


def test_densities_by_name_are_refused_unless_the_product_says_counts(folder):
    for year in (2011, 2012, 2013):
        write_raster(folder / f"density{year}.tif", COUNT)
    with pytest.raises(InputError, match="says it holds densities"):
        opened(folder, population="density{year}.tif")
    assert opened(folder, population="density{year}.tif", count_product="counts").problems == []


def test_tags_of_every_tile_are_read(folder):
    east = lonlat_grid((60, 60), west=104.5)
    write_raster(folder / "a2012.tif", COUNT)
    write_raster(folder / "b2012.tif", COUNT, east, tags={"description": "population density"})
    with pytest.raises(InputError, match=r"b2012\.tif says it holds densities"):
        opened(folder, (2012,), lights=None, population="[ab]{year}.tif")


def test_negative_sentinels_are_no_people_and_no_problem(folder):
    flawed(np.where(np.indices((60, 60))[0] < 4, -2147483647, COUNT))(folder)
    grids = opened(folder)
    assert grids.problems == []
    block = grids.population[2012].read(lonlat_grid((60, 60)).whole)
    assert not block.is_valid()[:4].any()


def test_satellites_are_composited_and_tiles_joined(folder):
    write_raster(folder / "F162012.tif", LIGHT)
    grids = opened(folder, lights="F*{year}.tif")
    assert isinstance(grids.lights[2012], CompositeSource)
    assert "2012: lights are the composite of F16, F18" in grids.notes
    assert len(grids.files[2012]) == 3


def test_satellites_on_two_lattices_are_a_problem_of_that_year(folder):
    write_raster(folder / "F162012.tif", LIGHT, lonlat_grid((60, 60), west=104.004))
    grids = opened(folder, lights="F*{year}.tif")
    assert [problem.year for problem in grids.problems] == [2012]
    assert "not on one lattice" in grids.problems[0].message


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (
            lonlat_grid((60, 60), west=104 - ARC30 / 2, north=30 + ARC30 / 2),
            "shifted by 0.500 and 0.500 of a light cell",
        ),
        (lonlat_grid((120, 120), cell=ARC30 / 2), "0.5 x 0.5 light cells"),
        (lonlat_grid((20, 20), cell=3 * ARC30), "3 x 3 light cells"),
        (Grid(MOLLWEIDE, Affine(1000, 0, 9_520_000, 0, -1000, 3_660_000), (90, 90)), "ESRI:54009 by mean"),
    ],
)
def test_other_lattices_are_aligned_and_reported(folder, grid, words):
    write_raster(folder / "pop2012.tif", np.full(grid.shape, 100, "int32"), grid)
    grids = opened(folder, (2012,))
    assert grids.problems == []
    assert words in grids.notes[0]


def test_years_on_two_lattices_are_reported(folder):
    write_raster(folder / "pop2012.tif", COUNT, lonlat_grid((60, 60), west=104 - ARC30 / 2))
    assert (
        "the grids of different years lie on different lattices; each year is measured on its own"
        in opened(folder).notes
    )


@pytest.mark.parametrize(("cell", "word"), [(ARC30 / 10, "10 times finer"), (ARC30 * 10, "10 times coarser")])
def test_uneven_resolutions_are_warned_about(folder, cell, word):
    write_raster(folder / "pop2012.tif", np.ones((6, 6), "int32"), lonlat_grid((6, 6), cell=cell))
    assert any(word in note for note in opened(folder, (2012,)).notes)


def test_notes_on_sensors_and_thresholds(folder):
    for year in (2011, 2012, 2013):
        write_raster(folder / f"VNL_{year}.tif", LIGHT.astype("float32"))
        write_raster(folder / f"landscan{year}.tif", COUNT)
    notes = opened(folder, lights="VNL_{year}.tif", population="landscan{year}.tif").notes
    assert any("choose --min-light for this product" in note for note in notes)
    assert any("LandScan's methods and inputs change" in note for note in notes)
    notes = opened(folder, lights="VNL_{year}.tif", min_light=1.5).notes
    assert not any("choose --min-light" in note for note in notes)


def test_sensors_that_differ_have_no_common_saturation(folder):
    write_raster(folder / "F18VNL_2012.tif", LIGHT.astype("float32"))
    (folder / "F182012.tif").unlink()
    grids = opened(folder, lights="F18*{year}.tif")
    assert grids.saturated is None
    assert any("the series mixes" in note for note in grids.notes)


def test_either_grid_may_be_left_out(folder):
    assert opened(folder, population=None).years == [2011, 2012, 2013]
    assert opened(folder, lights=None).years == [2011, 2012, 2013]


def test_cities_are_laid_over_the_grids(folder):
    grids = opened(folder)
    grid = lonlat_grid((60, 60))
    assert check_boundaries(cities([cell_box(grid, 0, 60, 0, 60)]), grids) == []
    notes = check_boundaries(
        cities(
            [
                cell_box(grid, 0, 30, 0, 30),
                cell_box(grid, 0, 30, 100, 130),
                cell_box(grid, 40, 50, 50, 80),
                cell_box(grid, 40.6, 41.4, 3.6, 4.4),
            ]
        ),
        grids,
    )
    assert notes == [
        "1 of 4 cities lie outside the grid; their rows are missing: 000002",
        "1 of 4 cities reach past the grid; only their part inside it is measured: 000003",
        "1 of 4 cities are smaller than a cell and hold no cell centre; their rows are missing: 000004",
    ]
    with pytest.raises(BoundaryError, match="none of the 1 polygons touches the grid"):
        check_boundaries(cities([cell_box(grid, 0, 30, 100, 130)]), grids)
    with pytest.raises(BoundaryError, match="city polygons overlap: 000001 and 000002"):
        check_boundaries(cities([cell_box(grid, 0, 30, 0, 30), cell_box(grid, 0, 30, 10, 40)]), grids)
