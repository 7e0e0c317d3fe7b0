"""Heights, land cover, land and CBDs from files: opened, judged, and measured as the calculation does."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS
from raster_factory import lonlat_grid, write_raster

from gistools.errors import CrsError, GridError, InputError, TableError
from gistools.grid import WGS84, ArraySource, Grid
from gistools.raster.land_cover import land_cover
from gistools.raster.terrain import slope
from gistools.raster.undevelopable import TerrainOptions, undevelopable_share
from gistools.study.terrain import (
    cbd_places,
    find_tiles,
    measure_undevelopable,
    open_heights,
    open_land_cover,
    read_land,
    write_slope,
)

GRID = lonlat_grid((120, 130), cell=0.01, west=103.4, north=31.2)
CBDS = pd.DataFrame({"city_code": ["010"], "cbd_lon": [104.0], "cbd_lat": [30.6]})
HILLS = (600 + 400 * np.sin(np.arange(130) / 5.0) + 5 * np.arange(120)[:, None]).astype(np.float32)


def heights(folder, values=HILLS, name="dem.tif", **profile):
    return str(write_raster(folder / name, values, GRID, **profile))


def tiles(folder):
    """The hills as four tiles."""
    for i, rows in enumerate((slice(0, 50), slice(50, 120))):
        for j, cols in enumerate((slice(0, 70), slice(70, 130))):
            corner = GRID.transform @ Affine.translation(cols.start, rows.start)
            write_raster(folder / f"dem_{i}{j}.tif", HILLS[rows, cols], transform=corner, crs=4326)
    return str(folder / "dem_*.tif")


def test_tiles_are_one_grid(tmp_path):
    whole, notes = open_heights(heights(tmp_path, name="whole.tif"))
    parts, _ = open_heights(tiles(tmp_path))
    assert parts.grid.same_as(GRID)
    options = TerrainOptions()
    a, b = (undevelopable_share(dem, CBDS, options=options).table for dem in (whole, parts))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert a["edge_cells"][0] == 0
    assert notes == ["heights are taken for metres: no unit is stated in whole.tif (--z-factor 0.3048 if it is feet)"]


def test_measuring_files_is_measuring_arrays(tmp_path):
    cover = np.random.default_rng(0).choice([10, 50, 80], GRID.shape).astype(np.uint8)
    classes = land_cover("worldcover")
    write_raster(tmp_path / "cover.tif", cover, GRID)
    files = measure_undevelopable(
        heights(tmp_path), CBDS, TerrainOptions(), land_cover=str(tmp_path / "cover.tif"), classes=classes
    )
    arrays = undevelopable_share(ArraySource(GRID, HILLS), CBDS, land_cover=ArraySource(GRID, cover), classes=classes)
    pd.testing.assert_frame_equal(files.found.table, arrays.table, check_exact=True)
    told = files.to_dict()
    assert told["product"] == "ESA WorldCover"
    assert told["wet_classes"] == [80, 90, 95]
    assert told["rows"][0]["undevelopable_share"] == arrays.table["undevelopable_share"][0] > 0.3


def test_units_of_heights(tmp_path):
    path = heights(tmp_path)
    with rasterio.open(path, "r+") as file:
        file.units = ("m",)
    assert open_heights(path)[1] == []
    with rasterio.open(path, "r+") as file:
        file.units = ("ft",)
    with pytest.raises(InputError, match=r"dem\.tif says its heights are in feet \(ft\); give --z-factor 0\.3048"):
        open_heights(path)
    assert open_heights(path, z_factor=0.3048)[1] == []
    # or the CRS says it
    crs = CRS("EPSG:4326+5773")
    assert open_heights(heights(tmp_path, name="geoid.tif", crs=crs.to_wkt()))[1] == []


def spoilt(value):
    values = HILLS.copy()
    values[:3, :3] = value
    return values


@pytest.mark.parametrize(
    ("values", "profile", "kind", "said"),
    [
        (spoilt(-9999), {}, GridError, "dem.tif holds -9999 .* not tagged; tag it"),
        (spoilt(29_000), {}, GridError, "holds a height of 29000 m, above the highest mountain"),
        (np.stack([HILLS, HILLS]), {}, GridError, "has 2 bands"),
        (HILLS, {"crs": None}, CrsError, "has no CRS"),
        (HILLS, {"crs": 32648}, CrsError, "look like degrees"),
    ],
)
def test_heights_that_are_none_are_refused(tmp_path, values, profile, kind, said):
    path = heights(tmp_path, values, **profile)
    with pytest.raises(kind, match=said) as error:
        open_heights(path)
    assert "\n" not in str(error.value)


def test_untagged_voids_below_the_sea_are_no_data(tmp_path):
    source, _ = open_heights(heights(tmp_path, spoilt(-32768)))
    assert (~source.read(GRID.whole).is_valid()).sum() == 9


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no file matches --dem"):
        find_tiles(str(tmp_path / "*.tif"), "--dem")
    with pytest.raises(InputError, match="terrain has no years"):
        find_tiles("dem_{year}.tif", "--dem")


def test_land_cover_is_judged(tmp_path):
    codes = np.full(GRID.shape, 17, np.uint8)
    path = str(write_raster(tmp_path / "lc.tif", codes, GRID))
    assert open_land_cover(path, land_cover("igbp")).grid.same_as(GRID)
    with pytest.raises(GridError, match=r"lc\.tif holds the class 17, which ESA WorldCover does not have"):
        open_land_cover(path, land_cover("worldcover"))
    share = str(write_raster(tmp_path / "share.tif", np.full(GRID.shape, 0.25, np.float32), GRID))
    with pytest.raises(GridError, match=r"share\.tif holds 0\.25, which is no class"):
        open_land_cover(share, land_cover("80"))


def test_land_cover_and_classes_come_together(tmp_path):
    dem = heights(tmp_path)
    with pytest.raises(InputError, match="given without --classes"):
        measure_undevelopable(dem, CBDS, TerrainOptions(), land_cover="x.tif")
    with pytest.raises(InputError, match="given without --land-cover"):
        measure_undevelopable(dem, CBDS, TerrainOptions(), classes=land_cover("80"))


def test_a_strange_class_between_the_probes_is_found(tmp_path):
    grid = lonlat_grid((700, 700), cell=0.002, west=103.3, north=31.3)
    codes = np.full(grid.shape, 10, np.uint8)
    codes[182, 252] = 33  # of the 25 in a cell of the heights, the one at its centre
    write_raster(tmp_path / "lc.tif", codes, grid)
    with pytest.raises(GridError, match="class 33"):
        measure_undevelopable(
            heights(tmp_path),
            CBDS,
            TerrainOptions(),
            land_cover=str(tmp_path / "lc.tif"),
            classes=land_cover("worldcover"),
        )


def test_land_polygons(tmp_path):
    east = [shapely.box(104.0, 20, 107, 40), shapely.box(106, 20, 120, 40)]  # pieces may overlap
    gpd.GeoDataFrame(geometry=east, crs=4326).to_file(tmp_path / "land.gpkg")
    labels = read_land(tmp_path / "land.gpkg", GRID).labels(GRID.whole)
    assert ((labels == 0) == (GRID.x(np.arange(130)) >= 104.0)).all()
    result = measure_undevelopable(
        heights(tmp_path), CBDS, TerrainOptions(sea="land"), land=tmp_path / "land.gpkg"
    ).found.table
    assert result["sea_km2"][0] / result["area_km2"][0] == pytest.approx(0.5, abs=0.01)
    gpd.GeoDataFrame(geometry=[shapely.Point(104, 30)], crs=4326).to_file(tmp_path / "points.gpkg")
    with pytest.raises(InputError, match=r"points\.gpkg holds no polygon"):
        read_land(tmp_path / "points.gpkg", GRID)


def test_places_of_a_panel():
    panel = pd.DataFrame(
        {
            "city_code": ["a", "a", "b", "b", "c"],
            "year": [2010, 2011, 2010, 2011, 2010],
            "cbd_lon": [104.0, 104.0, np.nan, 105.0, np.nan],
            "cbd_lat": [30.0, 30.0, np.nan, 31.0, np.nan],
        }
    )
    places = cbd_places(panel)
    assert places["city_code"].tolist() == ["a", "b", "c"]
    assert places["cbd_lon"].tolist()[:2] == [104.0, 105.0]
    assert "year" not in places
    moving = panel.assign(cbd_lon=[104.0, 104.5, np.nan, 105.0, np.nan])
    assert cbd_places(moving)[["city_code", "year"]].values.tolist() == panel[["city_code", "year"]].values.tolist()
    with pytest.raises(TableError, match="the CBD of city a has more than one place; give one CBD a city"):
        cbd_places(moving.drop(columns="year"))


def test_a_slope_file_holds_the_slope(tmp_path):
    values = HILLS.copy()
    values[40, 40] = np.nan
    source = slope(open_heights(heights(tmp_path, values, nodata=np.nan))[0])
    result = write_slope(source, tmp_path / "new" / "slope.tif")
    block = source.read(GRID.whole)
    with rasterio.open(tmp_path / "new" / "slope.tif") as file:
        written = file.read(1)
        assert file.dtypes == ("float32",)
        assert np.isnan(file.nodata)
        assert file.tags()["units"] == "percent"
        assert Grid(WGS84, file.transform, file.shape).same_as(GRID)
    np.testing.assert_array_equal(written, np.where(block.is_valid(), block.values, np.nan).astype(np.float32))
    told = result.to_dict()
    assert (told["cells"], told["without_height"], told["without_slope"]) == (15_600, 1, 0)
    assert told["edge_cells"] == 2 * (120 + 130) - 4 + 8
    assert told["largest"] == block.values[block.is_valid()].max()
