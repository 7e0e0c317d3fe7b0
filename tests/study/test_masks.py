"""Masks and CBDs of real grids: areas summed over a mask are the panel's, on a projected lattice too."""

import shutil

import geopandas as gpd
import numpy as np
import pytest
import rasterio

from gistools.city.form import FormOptions
from gistools.errors import InputError, OutputError
from gistools.io.vectors import read_boundaries
from gistools.raster.zones import label_zones
from gistools.study.form import measure_form, open_form_grids
from gistools.study.inputs import GridFiles
from gistools.study.masks import find_city_cbds, require_vector, write_cbds, write_masks

PLACES = {
    "luxembourg": ("ntl_pop_luxembourg", "lux_communes.geojson", "LAU2", "COMMUNE"),
    "california": ("ntl_pop_california", "california_counties.geojson", "fips", "name"),
}


def opened(data_dir, tmp_path, place, options):
    folder, file, code, name = PLACES[place]
    folder = data_dir / folder
    if place == "luxembourg":  # its files carry no common year in their names
        shutil.copy(folder / "F182013_stable_lights_lux.tif", tmp_path / "F182013.tif")
        shutil.copy(folder / "GHS_POP_2015_250m_mollweide_lux.tif", tmp_path / "GHS_POP_2013.tif")
        lights, people, year = tmp_path / "F18{year}.tif", tmp_path / "GHS_POP_{year}.tif", 2013
    else:
        lights, people, year = folder / "VNP46A4*t{year}_CA.tif", folder / "US-CA_ppp_{year}_1km.tif", 2018
    cities = read_boundaries(folder / file, code=code, name=name)
    grids = open_form_grids(GridFiles(str(lights)), GridFiles(str(people)), (year,), options)
    return cities, grids, year


@pytest.mark.real
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("assign", ["centre", "coverage"])
def test_areas_and_patches_of_real_masks(data_dir, tmp_path, place, assign):
    options = FormOptions(assign=assign)
    cities, grids, year = opened(data_dir, tmp_path, place, options)
    result = write_masks(cities, grids, (year,), options, tmp_path / "m", polygons=tmp_path / "p.gpkg")
    panel = measure_form(cities, grids, (year,), options).panel.set_index("city_code")
    assert result.threshold == panel["density_threshold"].iloc[0]
    grid = grids.population[year].grid
    with rasterio.open(tmp_path / "m" / f"urban_{year}.tif") as file:
        mask = file.read(1)
        row, col = (round(float(v)) for v in (grid.row(file.transform.f), grid.col(file.transform.c)))
        overviews = file.overviews(1)
    assert len(overviews) == (place == "california") * 2  # Luxembourg is a single tile
    r, c = np.nonzero((mask == 1) | (mask == 2))
    low, r, c = mask[r, c] == 1, r + row, c + col
    area = grid.cell_area_km2_at(r, c)
    zones = label_zones(cities, grid, assign=assign)
    inner = zones.interior().labels(grid.whole)[r, c]
    for kind, which in (("low", low), ("high", ~low)):
        whole = which & (inner >= 0)
        found = np.bincount(inner[whole], area[whole], len(zones.codes))
        if zones.edges is not None:
            edges = {(a, b): k for k, (a, b) in enumerate(zip(r.tolist(), c.tolist(), strict=True)) if which[k]}
            for a, b, z, f in zip(*zones.edges, strict=True):
                k = edges.get((int(a), int(b)))
                found[z] += 0.0 if k is None else area[k] * f
        np.testing.assert_allclose(found, panel[f"{kind}_area_km2"].fillna(0), rtol=1e-11, atol=1e-12)
    patches = gpd.read_file(tmp_path / "p.gpkg")
    assert patches.is_valid.all()
    found = patches.groupby("city_code")["area_km2"].agg(["size", "max"])
    some = panel.loc[found.index]
    assert (panel["patches"] > 0).sum() == len(found)
    np.testing.assert_array_equal(found["size"], some["patches"])
    np.testing.assert_allclose(found["max"], some["largest_patch_km2"], rtol=1e-12)


@pytest.mark.real
def test_cbds_of_luxembourg(data_dir, tmp_path):
    options = FormOptions()
    cities, grids, year = opened(data_dir, tmp_path, "luxembourg", options)
    result = find_city_cbds(cities, grids, (year,), options)
    panel = measure_form(cities, grids, (year,), options).panel
    for name in ("cbd_lon", "cbd_lat", "cbd_light", "cbd_ties"):
        np.testing.assert_array_equal(result.cbds[name].to_numpy(float), panel[name], err_msg=name)
    assert result.cbds["cbd_rule"].tolist() == panel["cbd_rule"].tolist()
    write_cbds(result, tmp_path / "c.geojson")
    assert len(gpd.read_file(tmp_path / "c.geojson")) == len(cities)
    assert result.to_dict()["without_cbd"] == result.missing == 0


def test_outputs_are_judged_first(tmp_path):
    with pytest.raises(InputError, match=r"vectors are written as \.gpkg"):
        require_vector(tmp_path / "a.csv")
    require_vector(tmp_path / "a.csv", tables=True)
    with pytest.raises(InputError, match="tables are written as"):
        require_vector(tmp_path / "a.txt", tables=True)
    with pytest.raises(OutputError):
        require_vector(type(tmp_path)("/proc/nowhere/a.gpkg"))
