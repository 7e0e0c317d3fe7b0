"""What a grid is, from its file: products, lattices and the values seen, on made and real grids."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from raster_factory import ARC30, MOLLWEIDE, lonlat_grid, write_raster

from gistools.errors import FileMissingError, InputError
from gistools.grid import WGS84, Grid
from gistools.study.describe import describe_grids, lattice


def one(path, **options):
    (found,) = describe_grids([path], **options).grids
    return found


def test_dmsp_by_hand(tmp_path):
    values = np.zeros((600, 30), "uint8")  # more rows than a slab
    values[0, :4] = [63, 63, 10, 255]
    grid = lonlat_grid((600, 30), west=104 - ARC30 / 2, north=30 + ARC30 / 2)
    path = write_raster(tmp_path / "F182012.v4c_web.stable_lights.avg_vis.tif", values, grid)
    found = one(path)
    assert (found["product"], found["satellite"], found["year"]) == ("DMSP-OLS stable lights", "F18", 2012)
    assert (found["units"], found["crs"], found["dtype"]) == ("digital number, 0 to 63", "EPSG:4326", "uint8")
    assert (found["rows"], found["cols"], found["cells"], found["valid_cells"]) == (600, 30, 18000, 17999)
    assert (found["nodata_tagged"], found["nodata_assumed"]) == (None, 255)
    assert (found["min"], found["max"], found["sum"]) == (0, 63, 136)
    assert found["zero_share"] == (17999 - 3) / 17999
    assert found["saturated_share"] == 2 / 17999
    assert found["missing_share"] == pytest.approx(1 / 18000)
    assert found["lattice"] == "cell centres on multiples of 1/120 degree"
    assert found["cell_size"] == pytest.approx([ARC30, ARC30])
    assert found["extent"]["west"] == pytest.approx(104 - ARC30 / 2)
    notes = " ".join(found["notes"])
    assert "ends in 2013 (for later years take the harmonised series" in notes
    assert "elvidge2014 (light > 10 is then a raw 12 and above), none in elvidge2009, liu2012" in notes
    assert "255 is taken for no data" in notes


@pytest.mark.parametrize(
    ("name", "dtype", "product", "year", "note"),
    [
        ("F182013.v4c_web.stable_lights.avg_vis.tif", "uint8", "DMSP-OLS stable lights", 2013, "no published calibr"),
        ("Harmonized_DN_NTL_2015_simVIIRS.tif", "uint8", "harmonised lights (Li and Zhou)", 2015, ""),
        ("SVDNB_npp_20140101-20140131_75N060E_vcmslcfg.tif", "float32", "VIIRS-DNB nighttime lights", 2014, ""),
        ("VNP46A4_t2017_CA.tif", "float32", "NASA Black Marble VNP46", 2017, ""),
        ("landscan-global-2012.tif", "int32", "LandScan", 2012, ""),
        ("GHS_POP_E2015_GLOBE_R2019A_54009_250.tif", "float64", "GHS-POP", 2015, ""),
        ("US-CA_ppp_2017_1km.tif", "float32", "WorldPop", 2017, ""),
        ("calibrated_F152007.tif", "float32", "calibrated DMSP-OLS lights", 2007, "ends in 2013"),
        ("lights_09.tif", "uint8", "DMSP-OLS stable lights", None, "states no product"),
        ("elevation.tif", "float32", "a raster of no known product", None, "its units are not known"),
        ("ppp_on_dmsp_1999.tif", "float32", "DMSP-OLS stable lights", 1999, "states no product, or two"),
    ],
)  # fmt: skip
def test_products_and_years(tmp_path, name, dtype, product, year, note):
    found = one(write_raster(tmp_path / name, np.ones((3, 3), dtype)))
    assert (found["product"], found["year"]) == (product, year)
    assert note in " ".join(found["notes"])


def test_values_beyond_the_product_are_counted_not_refused(tmp_path):
    path = write_raster(tmp_path / "F162009.tif", np.array([[63, 64, 200, 0]], "uint8"))
    found = one(path)
    assert found["max"] == 200
    assert any(note.startswith("2 cells exceed 63") for note in found["notes"])
    path = write_raster(tmp_path / "viirs_2014.tif", np.array([[-0.5, 2, np.nan]], "float32"))
    found = one(path)
    assert (found["negative_cells"], found["sum"], found["valid_cells"]) == (1, 1.5, 2)
    assert found["saturated_share"] is None
    # counts below zero are no people
    found = one(write_raster(tmp_path / "landscan-global-2001.tif", np.array([[-9999, 7]], "int32")))
    assert (found["sum"], found["valid_cells"]) == (7, 1)


def test_a_grid_without_data_has_no_values(tmp_path):
    found = describe_grids([write_raster(tmp_path / "viirs_2014.tif", np.full((2, 2), -9.0), nodata=-9)])
    assert [found.grids[0][name] for name in ("min", "max", "sum", "zero_share")] == [None] * 4
    assert "values" not in found.summary()


def test_lattices():
    def of(step, shift, shape=(2, 2)):
        return lattice(Grid(WGS84, Affine(1 / step, 0, 5 + shift / step, 0, -1 / step, 50 + shift / step), shape))

    assert of(120, 0) == "cell edges on multiples of 1/120 degree"
    assert of(120, 0.5) == "cell centres on multiples of 1/120 degree"
    assert of(240, 0) == "cell edges on multiples of 1/240 degree"
    assert "edges lie +0.200 cells east and +0.200 cells north" in of(120, 0.2)
    assert of(100, 0) == "cells of 36 x 36 arc-seconds, of no lattice of 30 arc-seconds"
    assert lattice(Grid(MOLLWEIDE, Affine(250, 0, 0, 0, -250, 0), (2, 2))) == "not in degrees"
    # pixel sizes cut after ten digits drift over a globe, and are on the lattice still
    globe = Grid(WGS84, Affine(0.0083333333, 0, -180.00416666665, 0, -0.0083333333, 75.00416666665), (16801, 43201))
    assert lattice(globe) == "cell centres on multiples of 1/120 degree"


def test_files_that_cannot_be_read_are_named_beside_the_others(tmp_path):
    good = write_raster(tmp_path / "F162009.tif", np.ones((2, 2), "uint8"))
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"no")
    result = describe_grids([good, bad])
    assert len(result.grids) == 1
    assert "cannot be opened as a raster" in result.failures[0]
    with pytest.raises(InputError, match="cannot be opened"):
        describe_grids([bad])
    with pytest.raises(FileMissingError):
        describe_grids([tmp_path / "none.tif"])
    with pytest.raises(InputError, match="product 'dsmp' is not known"):
        describe_grids([good], product="dsmp")
    assert one(good, product="landscan")["units"] == "persons (ambient)"


@pytest.mark.real
@pytest.mark.parametrize(
    ("path", "product", "satellite", "year", "lies"),
    [
        ("ntl_pop_luxembourg/F182013_stable_lights_lux.tif", "DMSP-OLS stable lights", "F18", 2013, "centres"),
        (
            "ntl_pop_fixtures/sao_tome_DMSP_OLS_1992_stable_lights.tif",
            "DMSP-OLS stable lights",
            None,
            1992,
            "centres",
        ),
        ("ntl_pop_fixtures/sao_tome_VIIRS_201401_vcmcfg.tif", "VIIRS-DNB nighttime lights", None, 2014, "1/240"),
        ("ntl_pop_luxembourg/GHS_POP_2015_250m_mollweide_lux.tif", "GHS-POP", None, 2015, "not in degrees"),
        ("ntl_texas/txlights.tif", "DMSP-OLS stable lights", None, None, "off the lattice"),
        ("ntl_pop_california/US-CA_ppp_2017_1km.tif", "WorldPop", None, 2017, "off the lattice"),
    ],
)
def test_real_grids(data_dir, path, product, satellite, year, lies):
    found = one(data_dir / path)
    assert (found["product"], found["satellite"], found["year"]) == (product, satellite, year)
    assert lies in found["lattice"]
    with rasterio.open(data_dir / path) as file:
        seen = file.read(1, masked=True).compressed().astype(float)
    assert found["valid_cells"] == len(seen)
    assert (found["min"], found["max"]) == (seen.min(), seen.max())
    assert found["sum"] == pytest.approx(seen.sum(), rel=1e-9)
    assert found["zero_share"] == pytest.approx((seen == 0).mean(), abs=1e-12)
