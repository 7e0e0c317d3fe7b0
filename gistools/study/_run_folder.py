"""What a run left in its folder, read back for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import xarray as xr
import yaml
from pyproj import CRS

from gistools.checks import require_columns, require_numeric, require_unique
from gistools.errors import ConfigError, FileMissingError, GridError, TableError
from gistools.grid import WGS84, Grid
from gistools.io.tables import as_text, read_table
from gistools.io.vectors import read_vector
from gistools.io.weights import read_adjacency
from gistools.raster.lights import PRODUCTS

if TYPE_CHECKING:
    from shapely import Geometry

T = TypeVar("T", list[dict[str, Any]], dict[str, Any])

CLIP_LAYERS = ("lights", "density", "density_class")
# Of these, maps and series show the first that has values.
MAIN_MEASURES = ("sprawl_index", "urban_density", "population", "light_mean")


@dataclass(frozen=True)
class RunFolder:
    """A run: its panel and cities, and whatever else it wrote.

    The configuration is kept as the plain mapping that stands in the file: the report prints it, and a run of
    another version of the package can still be reported.
    """

    folder: Path
    panel: pd.DataFrame
    cities: gpd.GeoDataFrame
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]
    fits: tuple[dict[str, Any], ...]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.config.get("name") or self.folder.resolve().name)

    @property
    def years(self) -> list[int]:
        """Years of the panel."""
        return sorted(int(year) for year in self.panel["year"].unique())

    @property
    def main_measure(self) -> str | None:
        """The measure maps and series show: the sprawl index, or the first there is."""
        return next((column for column in MAIN_MEASURES if self.has(column)), None)

    def has(self, column: str) -> bool:
        """Whether some city-year has a value of a column."""
        return (
            column in self.panel
            and pd.api.types.is_numeric_dtype(self.panel[column])
            and bool(np.isfinite(self.panel[column].to_numpy(np.float64, na_value=np.nan)).any())
        )

    def of_year(self, year: int) -> pd.DataFrame:
        """Rows of one year, indexed by city code."""
        return self.panel[self.panel["year"] == year].set_index("city_code")

    def boundary(self, code: str) -> Geometry:
        """Polygon of a city in degrees."""
        return self.cities.geometry[self.cities["city_code"] == code].iloc[0]

    def clips(self) -> dict[str, dict[int, xr.Dataset]]:
        """Cells around chosen cities, by code and year; read anew at each call.

        Raises
        ------
        GridError
            If a file cannot be read or has not three bands.
        """
        found: dict[str, dict[int, xr.Dataset]] = {}
        known = set(self.cities["city_code"])
        units = _light_units(self.manifest)
        for path in sorted((self.folder / "clips").glob("*.tif")):
            code, _, year = path.stem.rpartition("_")
            if code in known and year.isdigit():
                found.setdefault(code, {})[int(year)] = _read_clip(path, units)
        return found

    def weights(self, name: str) -> pd.DataFrame | None:
        """Links of weights, or None if they were not written."""
        path = self.folder / "weights" / f"{name}.parquet"
        return read_adjacency(path) if path.is_file() else None


def read_run(folder: Path) -> RunFolder:
    """Read what a run wrote; every file but the panel and the cities may be missing.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    RunFolder

    Raises
    ------
    FileMissingError
        If the folder holds no run.
    InputError
        If a file cannot be read.
    """
    for name in ("panel.parquet", "cities.parquet"):
        if not (folder / name).is_file():
            raise FileMissingError(
                f"there is no {name} in {folder}, so there is nothing to report; run the study first (gistools run)"
            )
    panel = read_table(folder / "panel.parquet")
    require_columns(panel, ["city_code", "year"], "panel.parquet")
    require_unique(panel, ["city_code", "year"], "panel.parquet")
    require_numeric(panel, ["year"], "panel.parquet")
    attrs, panel.attrs = panel.attrs, {}  # pandas would copy them deeply at every step
    cities = read_vector(folder / "cities.parquet")
    require_columns(cities, ["city_code"], "cities.parquet")
    cities = cities.assign(city_code=as_text(cities["city_code"]))
    if cities.crs is not None:
        cities = cities.to_crs(WGS84)
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        if path.stem != "panel" and path.stat().st_size:
            tables[path.stem] = read_table(
                path, text=("city_code", "islands", "examples", "step", "reason", "column")
            )
    fits = _read_json(folder / "models.json", list)
    return RunFolder(
        folder=folder,
        panel=panel,
        cities=cities,
        config=_read_config(folder),
        manifest=_read_json(folder / "manifest.json", dict),
        fits=tuple(fits),
        tables=tables,
        units=attrs.get("units", {}),
        labels=attrs.get("labels", {}),
    )


def _read_json(path: Path, kind: type[T]) -> T:
    """Read a list or mapping; an empty one where there is no file."""
    if not path.is_file():
        return kind()
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TableError(f"{path} is not JSON ({error}); delete it, or run the study again") from error
    if not isinstance(value, kind):
        raise TableError(f"{path} is not what a run writes there; delete it, or run the study again")
    return value


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "study.yaml"
    if not path.is_file():
        return {}
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML; run the study again") from error
    return config if isinstance(config, dict) else {}


def _light_units(manifest: Mapping[str, Any]) -> str:
    """Unit of the lights, where all years are of one known product."""
    named = set((manifest.get("products", {}).get("lights") or {}).values())
    units = {product.units for product in PRODUCTS.values() if product.name in named}
    return units.pop() if len(units) == 1 else ""


def _read_clip(path: Path, units: str) -> xr.Dataset:
    import rioxarray  # noqa: F401  (registers the accessor)

    try:
        with rasterio.open(path) as file:
            bands, crs, transform = file.read(masked=True), file.crs, file.transform
    except rasterio.errors.RasterioError as error:
        raise GridError(f"{path} cannot be read as a raster; delete it, or run the study again") from error
    if len(bands) != len(CLIP_LAYERS) or crs is None:
        raise GridError(
            f"{path} has {len(bands)} bands and {'a' if crs else 'no'} CRS, but a clip has three bands (lights, "
            "density, density class) and a CRS; delete it, or run the study again"
        )
    grid = Grid(CRS.from_user_input(crs), transform, bands.shape[1:])
    layers = np.ma.filled(bands.astype(np.float64), np.nan)
    coords = {"y": grid.y(np.arange(grid.height)), "x": grid.x(np.arange(grid.width))}
    clip = xr.Dataset({name: (("y", "x"), layer) for name, layer in zip(CLIP_LAYERS, layers, strict=True)}, coords)
    clip["lights"].attrs["units"] = units
    return cast("xr.Dataset", clip.rio.write_crs(crs).rio.write_transform(transform))
