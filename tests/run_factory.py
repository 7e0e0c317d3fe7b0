"""Writes a small run as `gistools run` leaves it: 12 cities that tile, 3 years, all files of the layout."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from affine import Affine

from gistools.city.form import COLUMNS
from gistools.grid import WGS84, Grid, Window, geodesic_km
from gistools.io.geotiff import write_geotiff
from gistools.io.tables import write_table
from gistools.output.figures import moran_points

HOSTILE = "<script>alert(1)</script>"
YEARS = (2001, 2006, 2007)
THRESHOLD = 3000.0
ACROSS, DOWN = 4, 3
_CELL = 1 / 120


def make_cities(seed: int = 0) -> gpd.GeoDataFrame:
    """Twelve quadrilaterals that share their corners; one has a hostile name, most have Chinese ones."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(103 + 0.5 * np.arange(ACROSS + 1), 34 + 0.4 * np.arange(DOWN + 1))
    x[:, 1:-1] += rng.uniform(-0.1, 0.1, (DOWN + 1, ACROSS - 1))
    y[1:-1] += rng.uniform(-0.08, 0.08, (DOWN - 1, ACROSS + 1))
    rows = []
    for i in range(DOWN):
        for j in range(ACROSS):
            ring = [(x[a, b], y[a, b]) for a, b in ((i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j))]
            rows.append({"province": "云岭" if j < 2 else "松川", "geometry": shapely.Polygon(ring)})
    cities = gpd.GeoDataFrame(rows, crs=4326)
    n = len(cities)
    names = [f"柳{c}市" for c in "川泽桥岭溪浦原湾渡屏湖峡"]
    names[3], names[4] = HOSTILE, "$x_1$ & \\LaTeX"
    cities.insert(0, "city_code", [f"{170100 + 100 * k:06d}" for k in range(n)])
    cities.insert(1, "city_name", names)
    return cities


def links(cities: gpd.GeoDataFrame) -> pd.DataFrame:
    """Contiguity, rows standardised."""
    shapes = np.asarray(cities.geometry.array)
    touch = shapely.intersects(shapes[:, None], shapes[None, :])
    np.fill_diagonal(touch, False)
    i, j = np.nonzero(touch)
    codes = cities["city_code"].to_numpy()
    return pd.DataFrame({"focal": codes[i], "neighbor": codes[j], "weight": 1 / touch.sum(1)[i]})


def make_clip(city: shapely.Polygon, growth: float) -> tuple[np.ndarray, Grid, tuple[float, float]]:
    """Lights, density and class around a city whose density falls with distance, and its CBD."""
    west, south, east, north = city.bounds
    col0, row0 = int(np.floor(west / _CELL)) - 3, int(np.floor((90 - north) / _CELL)) - 3
    shape = (int((north - south) / _CELL) + 7, int((east - west) / _CELL) + 7)
    grid = Grid(WGS84, Affine(_CELL, 0, col0 * _CELL, 0, -_CELL, 90 - row0 * _CELL), shape)
    middle = city.representative_point()
    row, col = int(grid.row(middle.y)), int(grid.col(middle.x))
    cbd = (float(grid.x(col)), float(grid.y(row)))
    lon, lat = grid.x(np.arange(shape[1]))[None, :], grid.y(np.arange(shape[0]))[:, None]
    km = geodesic_km(cbd[0], cbd[1], lon, lat)
    density = 9000 * growth * np.exp(-0.16 * km) * np.random.default_rng(7).lognormal(0, 0.15, shape)
    lights = np.clip(90 * growth * np.exp(-0.13 * km), 0, 63)
    classes = np.where((lights > 10) & (density > 1000), np.where(density < THRESHOLD, 1, 2), 0)
    lights[:2, :2] = np.nan
    return np.stack([lights, density, classes]).astype(np.float32), grid, cbd


def make_panel(cities: gpd.GeoDataFrame, seed: int = 1) -> pd.DataFrame:
    """The panel, its form columns measured on the clips."""
    rng = np.random.default_rng(seed)
    rows = []
    for k, city in enumerate(cities.itertuples()):
        for t, year in enumerate(YEARS):
            (_, density, classes), grid, cbd = make_clip(city.geometry, 0.5 + 0.06 * k + 0.15 * t)
            row = dict.fromkeys(COLUMNS, np.nan)
            i, j = np.nonzero(classes > 0)
            lon, lat = grid.lonlat(i, j)
            own = shapely.contains_xy(city.geometry, lon, lat)
            i, j, lon, lat = i[own], j[own], lon[own], lat[own]
            area = np.broadcast_to(grid.cell_area_km2(Window(0, *grid.shape[:1], 0, grid.shape[1])), grid.shape)[i, j]
            people, low = density[i, j] * area, classes[i, j] == 1
            sp, sa = area[low].sum() / area.sum(), people[low].sum() / people.sum()
            slope = np.polyfit(geodesic_km(*cbd, lon, lat), np.log(density[i, j]), 1)[0]
            row |= {
                "area_km2": 1800.0,
                "population": 1.2 * people.sum(),
                "light_mean": 12.0 + k + t,
                "light_sum": 3e4,
                "ln_light": np.log(12.0 + k + t),
                "urban_area_km2": area.sum(),
                "urban_population": people.sum(),
                "urban_density": people.sum() / area.sum(),
                "density_threshold": THRESHOLD,
                "sprawl_index": np.sqrt(sp * sa),
                "cbd_lon": cbd[0],
                "cbd_lat": cbd[1],
                "cbd_light": 63.0,
                "cbd_ties": 12.0,
                "central_density": 7000.0,
                "suburban_share": 0.6,
                "density_cv": 0.5,
                "gradient": slope,
                "gradient_se": 0.002,
                "gradient_r2": 0.9,
                "patches": 1.0,
                "largest_patch_km2": area.sum(),
                "urban_cells": float(len(i)),
                "cells": 2400.0,
                "cbd_rule": "cluster",
                "note": "",
            }
            if k == 11:
                row |= {"sprawl_index": np.nan, "urban_cells": 0.0, "gradient": np.nan, "note": "no urban cell"}
            if k == 10:
                row |= {
                    "urban_cells": 4.0 + t,
                    "note": f"few urban cells ({4 + t}): shares and gradient rest on few cells",
                }
            treated = float(k % 3 == 0 and year >= 2006)
            row |= {"treated": treated, "ln_output": 4 + 0.1 * t + 0.3 * k + 0.08 * treated + rng.normal(0, 0.05)}
            rows.append(
                {"city_code": city.city_code, "city_name": city.city_name, "province": city.province, "year": year}
                | row
            )
    panel = pd.DataFrame(rows)
    panel.attrs = {
        "units": {name: unit for name, (unit, _) in COLUMNS.items()} | {"treated": "0 or 1", "ln_output": "ln"},
        "labels": {name: meaning for name, (_, meaning) in COLUMNS.items()} | {"ln_output": "log of output"},
    }
    return panel


def make_fits() -> list[dict]:
    """Three fits in the JSON of the contract."""

    def term(name: str, estimate: float, error: float, p: float) -> dict:
        return {
            "term": name,
            "estimate": estimate,
            "std_error": error,
            "statistic": estimate / error,
            "p_value": p,
            "ci_low": estimate - 1.96 * error,
            "ci_high": estimate + 1.96 * error,
        }

    common = {
        "outcome": "ln_output",
        "n": 36,
        "clusters": None,
        "effects": "city,year",
        "r2": 0.981,
        "r2_within": 0.412,
        "r2_adjusted": 0.971,
        "loglik": 61.2345,
        "options": {},
        "dropped": [],
        "warnings": [],
    }
    did = common | {"model": "pooled", "name": "DID", "weights": None, "n_effective": 36, "correction": "none"}
    did["terms"] = [term("treated", 0.1012, 0.0402, 0.012)]
    spatial = common | {"weights": "contiguity", "n_effective": 24, "correction": "transformation", "sigma2": 0.0021}
    sar = spatial | {
        "model": "sar",
        "name": "spatial DID (SAR)",
        "terms": [term("treated", 0.0853, 0.0383, 0.026), term("rho", 0.38, 0.11, 0.0005)],
    }
    sdm = spatial | {
        "model": "sdm",
        "name": "spatial DID (SDM)",
        "terms": [
            term("treated", 0.0795, 0.0371, 0.032),
            term("W_treated", 0.0402, 0.06, 0.5),
            term("rho", 0.41, 0.12, 0.0006),
        ],
        "warnings": ["rho is hardly told apart from year effects"],
    }
    for fit, parts in ((sar, (0.0882, 0.0491, 0.1373)), (sdm, (0.0861, 0.1165, 0.2026))):
        fit["effects_decomposition"] = [
            term("treated", value, 0.04, 0.03) | {"effect": effect, "std_error_sim": 0.041}
            for effect, value in zip(("direct", "indirect", "total"), parts, strict=True)
        ]
    return [sar, sdm, did]


STUDY = """\
name: 合成国 & <b>three years</b>
seed: 7
years: [2001, 2006, 2007]
boundaries: {file: /data/cities.gpkg, code: city_code}
lights: {files: "/data/F*{year}*.tif", product: auto}
population: {files: "/data/{year}.tif", product: auto}
form: {min_light: 10.0, min_density: 1000.0, threshold: auto, base_year: 2001, cbd_ties: cluster-density,
  cbd_year: base, radius_km: 3.0, assign: centre, align: mean}
weights:
- {name: contiguity, kind: contiguity, rook: false}
moran: {columns: [sprawl_index, ln_output], permutations: 99}
models:
- {name: DID, model: pooled, outcome: ln_output, x: [treated], effects: [city, year]}
"""


def make_run(folder: Path) -> Path:
    """Write every file a run writes before its report."""
    folder.mkdir(parents=True, exist_ok=True)
    cities = make_cities()
    panel = make_panel(cities)
    adjacency = links(cities)
    cities.to_parquet(folder / "cities.parquet", index=False)
    write_table(panel, folder / "panel.parquet")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    (folder / "models.json").write_text(json.dumps(make_fits(), ensure_ascii=False), encoding="utf-8")
    (folder / "weights").mkdir(exist_ok=True)
    adjacency.to_parquet(folder / "weights" / "contiguity.parquet", index=False)
    for code, geometry in zip(cities["city_code"].iloc[[0, 9]], cities.geometry.iloc[[0, 9]], strict=True):
        k = list(cities["city_code"]).index(code)
        for t, year in enumerate(YEARS):
            bands, grid, _ = make_clip(geometry, 0.5 + 0.06 * k + 0.15 * t)
            write_geotiff(folder / "clips" / f"{code}_{year}.tif", bands, grid, nodata=float("nan"))
    for name, table in _tables(cities, panel, adjacency).items():
        write_table(table, folder / f"{name}.csv")
    (folder / "manifest.json").write_text(json.dumps(_manifest(), ensure_ascii=False), encoding="utf-8")
    return folder


def _tables(cities: gpd.GeoDataFrame, panel: pd.DataFrame, adjacency: pd.DataFrame) -> dict[str, pd.DataFrame]:
    by_year = panel.groupby("year")
    national = by_year.agg(
        cities=("city_code", "size"),
        population_in_cities=("population", "sum"),
        urban_cells=("urban_cells", "sum"),
        urban_area_km2=("urban_area_km2", "sum"),
        urban_population=("urban_population", "sum"),
        density_threshold=("density_threshold", "first"),
        mean_sprawl_index=("sprawl_index", "mean"),
    ).reset_index()
    national["cities_without_urban_cells"], national["cities_with_few_urban_cells"] = 1, 1
    national["population_in_window"], national["largest_light"] = national["population_in_cities"] * 1.1, 63.0
    moran = []
    for column in ("sprawl_index", "ln_output"):
        for year in YEARS:
            of_year = panel[panel["year"] == year].set_index("city_code")
            points = moran_points(of_year[column].fillna(of_year[column].mean()), adjacency)
            i = float(points["z"] @ points["lag"] / (points["z"] @ points["z"]))
            moran.append(
                {"weights": "contiguity", "column": column, "year": year, "moran_i": i, "expected": -1 / 11}
                | {
                    "variance_norm": 0.03,
                    "z_norm": (i + 1 / 11) / 0.17,
                    "p_norm": 0.04,
                    "z_rand": (i + 1 / 11) / 0.16,
                }
                | {"p_rand": 0.03, "p_sim": 0.02, "alternative": "two-sided"}
            )
    codebook = [
        {
            "column": c,
            "unit": u,
            "meaning": m,
            "source": "grids",
            "rows": len(panel),
            "missing": int(panel[c].isna().sum()),
        }
        for c, (u, m) in COLUMNS.items()
    ]
    weights = {
        "name": "contiguity",
        "kind": "contiguity",
        "units": 12,
        "links": len(adjacency),
        "mean_neighbours": len(adjacency) / 12,
    }
    weights |= {
        "min_neighbours": 3,
        "max_neighbours": 8,
        "islands": "",
        "components": 1,
        "density": len(adjacency) / 132,
    }
    base = {
        "varied": "chosen",
        "min_light": 10.0,
        "min_density": 1000.0,
        "threshold_rule": "auto",
        "cbd_ties": "cluster-density",
    }
    base |= {
        "density_threshold": 3000.0,
        "urban_cells": 4200,
        "cities_without_urban_cells": 1,
        "mean_sprawl_index": 0.42,
        "rank_correlation": 1.0,
    }
    sensitivity = [
        base,
        base | {"varied": "min_light", "min_light": 8.0, "mean_sprawl_index": 0.431, "rank_correlation": 0.99},
        base | {"varied": "min_density", "min_density": 500.0, "mean_sprawl_index": 0.55, "rank_correlation": 0.94},
        base | {"varied": "min_density", "min_density": 1500.0, "mean_sprawl_index": 0.33, "rank_correlation": 0.95},
        base | {"varied": "cbd_ties", "cbd_ties": "cluster-centroid"},
    ]
    funnel = [("records", 0, 500, ""), ("with coordinates", 30, 470, "no coordinates: 28; impossible: 2")]
    funnel += [("inside a city", 12, 458, "outside every city: 12"), ("distance to the CBD", 8, 450, "no CBD: 8")]
    joins = {
        "table": "yearbook",
        "rows": 39,
        "matched": 36,
        "only_in_table": 3,
        "only_in_panel": 0,
        "examples": "999999",
    }
    truth = [
        ("sprawl_index, 36 city-years", 0.42, 0.42, np.nan, "the same everywhere"),
        ("spatial DID (SDM): treated", 0.08, 0.0795, 0.0371, "within three standard errors (0.0)"),
    ]
    return {
        "national": national,
        "moran": pd.DataFrame(moran),
        "codebook": pd.DataFrame(codebook),
        "weights": pd.DataFrame([weights]),
        "sensitivity": pd.DataFrame(sensitivity).assign(year=2001),
        "parcels_funnel": pd.DataFrame(funnel, columns=["step", "removed", "kept", "reason"]),
        "joins": pd.DataFrame([joins]),
        "truth": pd.DataFrame(truth, columns=["quantity", "truth", "estimate", "std_error", "within"]),
        "panel": panel,
    }


def _manifest() -> dict:
    lights, people = "DMSP-OLS stable lights", "LandScan"
    return {
        "gistools": "0.1.0",
        "started": "2026-01-05T10:00:00+00:00",
        "finished": "2026-01-05T10:01:12+00:00",
        "seed": 7,
        "inputs": [
            {
                "role": "lights 2001",
                "path": "/data/F152001.v4b_web.stable_lights.avg_vis.tif",
                "sha256": "ab" * 32,
                "bytes": 123456,
            }
        ],
        "products": {
            "lights": dict.fromkeys(map(str, YEARS), lights),
            "population": dict.fromkeys(map(str, YEARS), people),
        },
        "citations": ["DMSP-OLS Nighttime Lights Time Series, Version 4. NOAA's National Geophysical Data Center"],
        "notes": [f"city {HOSTILE} was measured like any other"],
        "years": {"2001": {"status": "measured", "message": ""}, "2006": {"status": "taken over", "message": ""}}
        | {
            "2007": {"status": "measured", "message": ""},
            "2008": {"status": "failed", "message": "F162008.tif is cut short"},
        },
        "failures": [{"part": "year 2008", "year": 2008, "message": "F162008.tif is cut short"}],
        "versions": {"python": "3.11.9", "numpy": "2.4.0"},
    }
