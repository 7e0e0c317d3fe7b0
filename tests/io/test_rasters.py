"""Rasters from files: found by pattern and year, judged when opened, no data by every rule, tiles as one grid."""

import hashlib
import pickle
import threading

import numpy as np
import pytest
import rasterio
from affine import Affine
from raster_factory import ARC30, MOLLWEIDE, UTM_48N, lonlat_grid, spoil_block, write_raster

from gistools.errors import CrsError, FileMissingError, GistoolsError, GridError, InputError
from gistools.grid import Grid, GridSource, Window
from gistools.io.rasters import (
    TiledSource,
    close_rasters,
    file_hash,
    missing_years,
    open_raster,
    open_tiles,
    probe,
    raster_facts,
    read_grid,
    year_files,
)
from gistools.raster.lights import DMSP, RADIANCE, VIIRS
from gistools.raster.population import COUNTS, LANDSCAN

RNG = np.random.default_rng(0)


# ---------------------------------------------------------------- patterns


def test_files_by_year_satellite_and_wildcard(tmp_path):
    for name in ("F152001.v4.tif", "F162004.v4.tif", "F152004.v4.tif", "2001.tif", ".F152001.tif", "x2004y.tif"):
        (tmp_path / name).touch()
    found = year_files(str(tmp_path / "F*{year}*.tif"), [2001, 2004, 2005])
    assert {year: [p.name for p in paths] for year, paths in found.items()} == {
        2001: ["F152001.v4.tif"],
        2004: ["F152004.v4.tif", "F162004.v4.tif"],
        2005: [],
    }
    assert [p.name for p in year_files("{sat}{year}.v4.tif", [2004], folder=tmp_path)[2004]] == [
        "F152004.v4.tif",
        "F162004.v4.tif",
    ]
    assert [p.name for p in year_files("{year}.tif", [2001], folder=tmp_path)[2001]] == ["2001.tif"]
    assert [p.name for p in year_files("x????y.tif", [2013], folder=tmp_path)[2013]] == ["x2004y.tif"]


def test_the_year_may_stand_in_a_folder_and_folders_may_hold_brackets(tmp_path):
    folder = tmp_path / "grids [v1]" / "2001"
    folder.mkdir(parents=True)
    (folder / "pop.tif").touch()
    found = year_files("{year}/*.tif", [2001, 2002], folder=tmp_path / "grids [v1]")
    assert [p.name for p in found[2001]] == ["pop.tif"]
    assert found[2002] == []
    assert len(year_files("**/pop.tif", [2001], folder=tmp_path)[2001]) == 1


def test_patterns_that_cannot_be_meant_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds \{yaer\}; a pattern may hold \{year\}, \{sat\}"):
        year_files(str(tmp_path / "{yaer}.tif"), [2001])
    with pytest.raises(InputError, match=r"must hold \{year\}, for 2 years are asked for"):
        year_files(str(tmp_path / "pop.tif"), [2001, 2002])


def test_missing_years_are_named_beside_those_there_are(tmp_path):
    for year in (2001, 2003):
        (tmp_path / f"F16{year}.tif").touch()
    pattern = str(tmp_path / "F{sat}{year}.tif").replace("F{sat}", "{sat}")
    said = missing_years(pattern, year_files(pattern, [2001, 2002]))
    assert said is not None
    assert "for the year 2002" in said
    assert said.endswith("there are files for 2001, 2003")
    assert missing_years(pattern, year_files(pattern, [2001])) is None
    gone = str(tmp_path / "gone" / "{year}.tif")
    assert f"there is no folder {tmp_path / 'gone'}" in str(missing_years(gone, year_files(gone, [2001])))


# ---------------------------------------------------------------- judging


def test_what_is_no_raster_is_refused(tmp_path):
    path = write_raster(tmp_path / "a.tif", RNG.integers(0, 9, (300, 300)).astype("uint8"))
    whole = path.read_bytes()
    for content in (b"", b"<html>sign in</html>", whole[:50]):
        path.write_bytes(content)
        with pytest.raises(GridError, match=r"a\.tif cannot be opened as a raster: .*fetch it again"):
            open_raster(path)
    with pytest.raises(FileMissingError, match=r"there is no file .*b\.tif"):
        raster_facts(tmp_path / "b.tif")


def test_a_file_cut_short_is_found_by_the_probe(tmp_path):
    path = write_raster(tmp_path / "a.tif", RNG.integers(0, 9, (300, 300)).astype("int32"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    source = open_raster(path)
    with pytest.raises(GridError, match=r"cannot be read at rows \d+ to \d+: the file is cut short or damaged"):
        probe(source)


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_a_damaged_block_is_named_by_its_rows_and_the_rest_can_be_read(tmp_path, compress):
    values = RNG.integers(0, 4000, (256, 64)).astype("int32")
    path = write_raster(tmp_path / "a.tif", values, compress=compress, tiled=True, blockxsize=64, blockysize=64)
    spoil_block(path, 0, 1)
    source = open_raster(path)
    assert np.array_equal(source.read(Window(0, 64, 0, 64)).values, values[:64])
    with pytest.raises(GridError, match=r"a\.tif cannot be read at rows 64 to 127"):
        source.read(Window(64, 128, 0, 64))
    # the handle is opened anew and goes on
    assert np.array_equal(source.read(Window(192, 256, 0, 64)).values, values[192:])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"crs": None}, CrsError, r"a\.tif has no CRS; .*gdal_edit\.py -a_srs EPSG:4326 a\.tif"),
        ({"transform": Affine(900, 0, 3e5, 0, -900, 3.4e6)}, CrsError, "lie in degrees, but they run to 3400000"),
        ({"crs": "EPSG:32648"}, CrsError, "lie in metres .*look like degrees: its CRS is wrong"),
        ({"crs": "ESRI:54009"}, CrsError, "lie in metres .*look like degrees: its CRS is wrong"),
        ({"transform": Affine(ARC30, 0, 30, 0, -ARC30, 104)}, CrsError, "lie in degrees, but they run to 104"),
        ({"transform": Affine(ARC30, 1e-4, 104, 0, -ARC30, 30)}, GridError, "rotated"),
        ({"transform": Affine(ARC30, 0, 104, 0, ARC30, 29)}, GridError, "rows do not run from north to south"),
    ],
)
def test_lattices_that_cannot_be_right_are_refused(tmp_path, options, error, words):
    path = write_raster(tmp_path / "a.tif", np.zeros((4, 5), "uint8"), **options)
    with pytest.raises(error, match=words):
        open_raster(path)


def test_a_raster_without_georeference_is_refused_in_our_words(tmp_path):
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write_raster(tmp_path / "a.tif", np.zeros((4, 5), "uint8"), transform=Affine.identity())
    with pytest.raises(GridError, match="does not say where its cells lie"):
        open_raster(path)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write_raster(tmp_path / "b.tif", np.zeros((4, 5), "uint8"), crs=None, transform=Affine.identity())
    with pytest.raises(CrsError, match="has no CRS"):  # and no warning of rasterio's
        open_raster(path)


def test_complex_numbers_are_refused(tmp_path):
    with pytest.raises(GridError, match=r"c\.tif holds complex numbers"):
        open_raster(write_raster(tmp_path / "c.tif", np.ones((2, 2), "complex64")))


def test_several_bands_are_refused(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.zeros((3, 4, 5), "uint8"))
    with pytest.raises(GridError, match=r"a\.tif has 3 bands, .*gdal_translate -b 1"):
        open_raster(path)


@pytest.mark.parametrize("west", [-180.0, 0.0, 180.0])
def test_global_lattices_in_either_convention_are_taken(tmp_path, west):
    grid = lonlat_grid((18, 36), cell=10.0, west=west, north=90.0)
    if west == 180.0:
        grid = lonlat_grid((18, 18), cell=10.0, west=west, north=90.0)
    path = write_raster(tmp_path / "a.tif", np.zeros(grid.shape, "uint8"), grid)
    assert open_raster(path).grid.same_as(grid)


@pytest.mark.parametrize(
    "grid",
    [
        lonlat_grid((4, 5)),
        Grid(MOLLWEIDE, Affine(250, 0, 436_750, 0, -250, 5_892_750), (4, 5)),
        Grid(UTM_48N, Affine(1000, 0, 250_000, 0, -1000, 3_400_000), (4, 5)),
    ],
    ids=["lonlat", "mollweide", "utm"],
)
def test_lattice_and_values_are_those_of_the_file(tmp_path, grid):
    values = np.arange(20, dtype="float32").reshape(4, 5)
    source = open_raster(write_raster(tmp_path / "a.tif", values, grid))
    assert isinstance(source, GridSource)
    assert source.name == "a.tif"
    assert source.grid.same_as(grid)
    assert np.array_equal(source.read(grid.whole).values, values)
    assert np.array_equal(source.read(Window(1, 3, 2, 5)).values, values[1:3, 2:5])


def test_ascii_grid_is_read_like_any_raster(tmp_path):
    (tmp_path / "pop.asc").write_text(
        "ncols 3\nnrows 2\nxllcorner 104\nyllcorner 30\ncellsize 0.5\nNODATA_value -9999\n1 2 -9999\n4 5 6\n"
    )
    (tmp_path / "pop.prj").write_text(lonlat_grid((1, 1)).crs.to_wkt("WKT1_ESRI"))
    source = open_raster(tmp_path / "pop.asc", LANDSCAN)
    assert source.grid.bounds == pytest.approx((104, 30, 105.5, 31))
    assert source.read(source.grid.whole).is_valid().tolist() == [[True, True, False], [True, True, True]]


# ---------------------------------------------------------------- no data


def block(tmp_path, values, product, **options):
    source = open_raster(write_raster(tmp_path / "a.tif", np.asarray(values), **options), product)
    got = source.read(source.grid.whole)
    return got.values, got.is_valid().tolist()


def test_255_is_no_data_in_digital_numbers_even_untagged(tmp_path):
    _, valid = block(tmp_path, np.array([[0, 63, 255]], "uint8"), DMSP)
    assert valid == [[True, True, False]]


def test_a_tagged_zero_is_honoured_beside_255(tmp_path):
    _, valid = block(tmp_path, np.array([[0, 63, 255]], "uint8"), DMSP, nodata=0)
    assert valid == [[False, True, False]]


def test_255_is_a_value_of_radiance_and_of_float_files(tmp_path):
    _, valid = block(tmp_path, np.array([[0, 255]], "uint8"), RADIANCE)
    assert valid == [[True, True]]
    with pytest.raises(GridError, match="holds a value of 255"):
        block(tmp_path, np.array([[0, 255]], "float32"), DMSP)


def test_digital_numbers_above_63_are_refused_with_the_file(tmp_path):
    for dtype in ("uint8", "int16", "float32"):
        with pytest.raises(GridError, match=r"a\.tif holds a value of 64, but the digital numbers .*end at 63"):
            block(tmp_path, np.array([[0, 63, 64]], dtype), DMSP)


def test_negative_radiance_is_valid(tmp_path):
    values, valid = block(tmp_path, np.array([[-0.15, 0, 12.5, np.nan]], "float32"), VIIRS)
    assert valid == [[True, True, True, False]]
    assert values[0, 0] == np.float32(-0.15)


def test_float32_tag_that_is_cut_off_matches_its_cells(tmp_path):
    # -3.4e38 has no exact float32: the tag holds the cut-off number, the cells the rounded one
    lowest = np.float32(-3.4e38)
    _, valid = block(tmp_path, np.array([[lowest, -0.15, 3]], "float32"), VIIRS, nodata=-3.4e38)
    assert valid == [[False, True, True]]


@pytest.mark.parametrize("dtype", ["int32", "int16", "float32", "float64"])
@pytest.mark.parametrize("tag", [None, -9999])
def test_negative_counts_are_never_people(tmp_path, dtype, tag):
    lowest = {"int16": -32768}.get(dtype, -2147483647)
    _, valid = block(tmp_path, np.array([[-9999, lowest, -1, 0, 7]], dtype), LANDSCAN, nodata=tag)
    assert valid == [[False, False, False, True, True]]


@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_the_largest_number_of_two_bytes_is_no_people(tmp_path, dtype):
    """Of a 30 arc-second cell 65535 persons would pass for a crowd."""
    full = np.iinfo(dtype).max
    cells = np.array([[5, full]], dtype)
    with pytest.raises(GridError, match=rf"a\.tif holds {full}, the largest number of its type \({dtype}\)"):
        block(tmp_path, cells, LANDSCAN)
    assert block(tmp_path, cells, LANDSCAN, nodata=full)[1] == [[True, False]]
    assert block(tmp_path, cells, RADIANCE)[0].tolist() == cells.tolist()


def test_positive_tags_of_counts_are_honoured(tmp_path):
    _, valid = block(tmp_path, np.array([[65535, 0, 7]], "uint16"), COUNTS, nodata=65535)
    assert valid == [[False, True, True]]
    _, valid = block(tmp_path, np.array([[2147483647, 0, 7]], "int32"), COUNTS, nodata=2147483647)
    assert valid == [[False, True, True]]


def test_nan_tag_and_infinite_cells(tmp_path):
    _, valid = block(tmp_path, np.array([[np.nan, np.inf, 1]], "float32"), COUNTS, nodata=np.nan)
    assert valid == [[False, False, True]]


def test_a_block_where_all_is_valid_needs_no_mask(tmp_path):
    source = open_raster(write_raster(tmp_path / "a.tif", np.array([[0, 7]], "int32"), nodata=-9999), LANDSCAN)
    assert source.read(source.grid.whole).valid is None


# ---------------------------------------------------------------- tiles


def tiles(tmp_path, values, size, **options):
    grid = lonlat_grid(values.shape)
    paths = []
    for r in range(0, values.shape[0], size):
        for c in range(0, values.shape[1], size):
            window = Window(r, min(r + size, values.shape[0]), c, min(c + size, values.shape[1]))
            part = values[window.row0 : window.row1, window.col0 : window.col1]
            paths.append(write_raster(tmp_path / f"t{r}_{c}.tif", part, grid.crop(window), **options))
    return grid, paths


def test_tiles_are_one_grid_in_any_order(tmp_path):
    values = RNG.integers(0, 60, (50, 70)).astype("int32")
    grid, paths = tiles(tmp_path, values, 20, nodata=3)
    source = open_tiles(paths[::-1], COUNTS)
    assert isinstance(source, TiledSource)
    assert source.grid.same_as(grid)
    for window in (grid.whole, Window(7, 45, 13, 61), Window(0, 1, 0, 1), Window(20, 40, 20, 40)):
        got = source.read(window)
        part = values[window.row0 : window.row1, window.col0 : window.col1]
        assert np.array_equal(got.values[got.is_valid()], part[part != 3])
        assert np.array_equal(got.is_valid(), part != 3)


def test_a_missing_tile_has_no_data(tmp_path):
    values = np.ones((40, 40), "int32")
    _, paths = tiles(tmp_path, values, 20)
    source = open_tiles([paths[0], paths[3]], COUNTS)
    valid = source.read(source.grid.whole).is_valid()
    assert valid.sum() == 800
    assert valid[:20, :20].all()
    assert valid[20:, 20:].all()


def test_where_tiles_overlap_by_an_edge_the_first_counts(tmp_path):
    grid = lonlat_grid((10, 20))
    first = write_raster(tmp_path / "a.tif", np.full((10, 11), 1, "int32"), grid.crop(Window(0, 10, 0, 11)))
    second = write_raster(tmp_path / "b.tif", np.full((10, 10), 2, "int32"), grid.crop(Window(0, 10, 10, 20)))
    source = open_tiles([first, second], COUNTS)
    assert source.grid.shape == (10, 20)
    assert source.read(grid.whole).values[0].tolist() == [1] * 11 + [2] * 9


def test_one_file_is_no_set_of_tiles(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.zeros((2, 2), "uint8"))
    assert open_tiles([path]).name == "a.tif"


@pytest.mark.parametrize(
    "other",
    [
        {"grid": lonlat_grid((10, 10), west=105.003)},
        {"grid": lonlat_grid((10, 10), cell=ARC30 / 2, west=105)},
        {"grid": Grid(UTM_48N, Affine(1000, 0, 5e5, 0, -1000, 3e6), (10, 10))},
        {"values": np.zeros((10, 10), "float32"), "grid": lonlat_grid((10, 10), west=105)},
    ],
    ids=["shifted", "finer", "crs", "dtype"],
)
def test_files_that_are_no_tiles_of_one_lattice_are_refused(tmp_path, other):
    values = other.get("values", np.zeros((10, 10), "uint8"))
    a = write_raster(tmp_path / "a.tif", np.zeros((10, 10), "uint8"), lonlat_grid((10, 10)))
    b = write_raster(tmp_path / "b.tif", values, other["grid"])
    with pytest.raises(GridError, match=r"a\.tif and b\.tif match one year but are not tiles of one lattice"):
        open_tiles([a, b])


def test_two_files_of_one_place_are_refused(tmp_path):
    grid = lonlat_grid((10, 10))
    a = write_raster(tmp_path / "a.tif", np.zeros((10, 10), "uint8"), grid)
    b = write_raster(tmp_path / "b.tif", np.zeros((10, 10), "uint8"), grid)
    with pytest.raises(GridError, match="cover the same place; narrow the file pattern"):
        open_tiles([a, b])


# ---------------------------------------------------------------- handles, labels, hashes


def test_sources_travel_and_threads_have_handles_of_their_own(tmp_path):
    values = RNG.integers(0, 255, (200, 100)).astype("uint8")
    source = open_raster(write_raster(tmp_path / "a.tif", values))
    again = pickle.loads(pickle.dumps(source))
    got = {}

    def read(k):
        got[k] = again.read(Window(k * 50, k * 50 + 50, 0, 100)).values
        close_rasters()

    threads = [threading.Thread(target=read, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(np.concatenate([got[k] for k in range(4)]), values)


def test_many_files_may_be_open_and_a_closed_one_can_be_replaced(tmp_path):
    # more than are kept open
    paths = [write_raster(tmp_path / f"{k}.tif", np.full((2, 2), k, "uint8")) for k in range(40)]
    sources = [open_raster(path) for path in paths]
    for _ in range(2):
        assert [int(s.read(s.grid.whole).values[0, 0]) for s in sources] == list(range(40))
    close_rasters()
    write_raster(tmp_path / "39.tif", np.full((2, 2), 99, "uint8"))
    with pytest.raises(GridError, match=r"39\.tif changed while it was read; run again when it is whole"):
        sources[39].read(sources[39].grid.whole)  # what was judged is another file
    assert open_raster(paths[39]).read(sources[39].grid.whole).values[0, 0] == 99
    close_rasters()


@pytest.mark.parametrize(
    ("dtype", "got"),
    [
        ("uint8", "float32"),
        ("int16", "float32"),
        ("float32", "float32"),
        ("int32", "float64"),
        ("float64", "float64"),
    ],
)
def test_labelled_grid_is_lazy_with_missing_as_nan(tmp_path, dtype, got):
    values = np.arange(600 * 4).reshape(600, 4) % 60
    values[0, 0] = 55
    path = write_raster(tmp_path / "a.tif", values.astype(dtype), nodata=55)
    array = read_grid(path, COUNTS, year=2001)
    assert array.chunks is not None
    assert array.dtype == got
    assert array.attrs == {"units": "persons", "product": COUNTS.name, "source": "a.tif", "year": 2001}
    np.testing.assert_array_equal(array.values, np.where(values == 55, np.nan, values))
    assert array.rio.crs.to_epsg() == 4326
    part = read_grid(path, COUNTS, window=Window(100, 103, 1, 3))
    np.testing.assert_array_equal(part.values, np.where(values == 55, np.nan, values)[100:103, 1:3])
    np.testing.assert_allclose(part["y"], array["y"][100:103])
    np.testing.assert_allclose(part["x"], array["x"][1:3])


def test_a_large_count_survives_the_labelled_grid(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.array([[16_777_217]], "int32"))
    assert read_grid(path, COUNTS).values[0, 0] == 16_777_217  # float32 would lose the last unit


def test_hash_of_a_file_and_of_a_folder(tmp_path):
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "w001001.adf").write_bytes(b"abc")
    (tmp_path / "grid" / "hdr.adf").write_bytes(b"def")
    assert file_hash(tmp_path / "grid" / "w001001.adf") == hashlib.sha256(b"abc").hexdigest()
    first = file_hash(tmp_path / "grid")
    assert file_hash(tmp_path / "grid") == first
    (tmp_path / "grid" / "hdr.adf").write_bytes(b"deg")
    assert file_hash(tmp_path / "grid") != first
    with pytest.raises(GistoolsError, match="cannot be read: No such file"):
        file_hash(tmp_path / "gone")


def test_scaled_values_are_refused_not_read_as_stored(tmp_path):
    path = write_raster(tmp_path / "lights.tif", np.ones((4, 4), "int16"))
    with rasterio.open(path, "r+") as file:
        file.scales = (0.1,)
    with pytest.raises(GridError, match=r"lights\.tif keeps its values scaled \(0\.1 x stored \+ 0\); .*-unscale"):
        open_raster(path)


def test_a_mask_of_the_files_own_counts_as_no_data(tmp_path):
    path = write_raster(tmp_path / "lights.tif", np.arange(16, dtype="uint8").reshape(4, 4), nodata=None)
    mask = np.full((4, 4), 255, "uint8")
    mask[1:3, 1] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    source = open_raster(path)
    assert source.masked
    block = source.read(Window(0, 4, 0, 3))
    assert np.array_equal(block.is_valid(), mask[:, :3] > 0)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 1e-300, 1e-9])
def test_lattices_of_no_numbers_or_no_size_are_refused(tmp_path, scale):
    path = write_raster(tmp_path / "a.tif", np.zeros((4, 5), "uint8"), transform=Affine(scale, 0, 104, 0, -ARC30, 30))
    with pytest.raises(GridError, match=r"a\.tif.*(does not say where its cells lie|which no raster of cities has)"):
        open_raster(path)


def test_a_cell_size_cut_after_some_digits_is_the_part_of_a_degree_that_was_meant(tmp_path):
    text = "ncols 3\nnrows 2\nxllcorner 103.99583333333\nyllcorner 30\ncellsize 0.00833333333\n1 2 3\n4 5 6\n"
    (tmp_path / "pop.asc").write_text(text)
    (tmp_path / "pop.prj").write_text(lonlat_grid((1, 1)).crs.to_wkt("WKT1_ESRI"))
    t = open_raster(tmp_path / "pop.asc").grid.transform
    assert (t.a, t.c, t.e, t.f) == (1 / 120, 24959 / 240, -1 / 120, 30 + 1 / 60)
    (tmp_path / "pop.asc").write_text(text.replace("0.00833333333", "0.00834"))  # another lattice stays what it is
    assert open_raster(tmp_path / "pop.asc").grid.transform.a == 0.00834
