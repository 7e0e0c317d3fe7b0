"""The pictures of a panel: maps of the country, series, and maps of a few cities, each written as PNG when drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely

from gistools.grid import geodesic_km, grid_of
from gistools.io.atomic import atomic_path
from gistools.output.figures import city_labels, plot_gradients, plot_series
from gistools.output.maps import Scheme, classify, figure_png, plot_choropleth, plot_city, plot_city_years
from gistools.output.report import Block, Figure, Heading
from gistools.study._report_text import short_name
from gistools.study._run_folder import RunFolder

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

# Columns of the interactive map, where they have values; outcomes of models and columns of Moran's I come first.
MAP_COLUMNS = (
    "sprawl_index",
    "urban_area_km2",
    "urban_population",
    "urban_density",
    "population",
    "light_mean",
    "central_density",
    "suburban_share",
    "density_cv",
    "gradient",
    "patches",
)
_MOST_MAP_COLUMNS = 12
_MOST_LABELS = 60
_MOST_PROVINCES = 36
_CLASSES = 5


def map_columns(run: RunFolder) -> list[str]:
    """Columns of the interactive map: the main measures, then what Moran's I and the models are about."""
    wanted = list(MAP_COLUMNS[:6])
    if "moran" in run.tables and "column" in run.tables["moran"]:
        wanted += list(run.tables["moran"]["column"])
    wanted += [str(fit.get("outcome")) for fit in run.fits]
    wanted += MAP_COLUMNS[6:]
    return [column for column in dict.fromkeys(wanted) if run.has(column)][:_MOST_MAP_COLUMNS]


class Gallery:
    """Writes each figure into a folder and hands it to the report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[Path] = []

    def draw(self, name: str, figure: Drawing, caption: str) -> Block:
        return Figure(self.write(name, figure), caption)

    def write(self, name: str, figure: Drawing) -> bytes:
        """Write a figure that the report does not show."""
        png = figure_png(figure)
        place = self.folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)}.png"
        with atomic_path(place) as path:
            path.write_bytes(png)
        self.written.append(place)
        return png


def choropleths(run: RunFolder, gallery: Gallery, column: str, unit: str) -> list[Block]:
    """Maps of a column in the first and the last year, with one set of classes."""
    years = list(dict.fromkeys([run.years[0], run.years[-1]]))
    known = [year for year in years if run.of_year(year)[column].notna().any()]
    if not known:
        return []
    values = pd.DataFrame({str(year): run.of_year(year)[column] for year in known})
    scheme = class_scheme(values.to_numpy(np.float64, na_value=np.nan))
    figure = plot_choropleth(
        run.cities,
        values,
        title=f"{short_name(column)}, {' and '.join(map(str, known))}",
        unit=unit,
        scheme=scheme,
        labels=len(run.cities) <= _MOST_LABELS,
    )
    how = (
        "Classes hold equal counts"
        if scheme == "quantiles"
        else "Classes are natural breaks, for many cities share one value"
    )
    same = f"{'; they' if scheme != 'quantiles' else ' and'} are the same in both maps" if len(known) > 1 else ""
    caption = f"{how}{same}; in brackets, how many cities are in each."
    return [gallery.draw(f"choropleth_{column}", figure, caption)]


def class_scheme(values: NDArray[np.float64]) -> Scheme:
    """Equal counts, or natural breaks where so many values are equal that equal counts leave fewer classes.

    Examples
    --------
    >>> class_scheme(np.linspace(0, 1, 20)), class_scheme(np.array([*np.linspace(0, 0.9, 10), *[1.0] * 30]))
    ('quantiles', 'natural-breaks')
    """
    found = classify(values, k=_CLASSES)
    return "quantiles" if found.distinct or len(found) == _CLASSES else "natural-breaks"


def series(run: RunFolder, gallery: Gallery, column: str, unit: str) -> list[Block]:
    """Series of a column for the country and its provinces; none of a single year."""
    if len(run.years) < 2:
        return []
    weight = "urban_area_km2" if column != "urban_area_km2" and run.has("urban_area_km2") else None
    label = short_name(column)
    blocks: list[Block] = [Heading("Over the years")]
    figure = plot_series(run.panel, column, title=f"{label} over the years", unit=unit or label, weight=weight)
    weighted = ", and the mean weighted by urban area" if weight else ""
    caption = f"{label}: mean, median and middle half of all cities{weighted}."
    blocks.append(gallery.draw(f"series_{column}", figure, caption))
    provinces = run.panel["province"].nunique() if "province" in run.panel else 0
    if 1 < provinces <= _MOST_PROVINCES:
        figure = plot_series(
            _with_latin_names(run), column, title=f"{label} by province", unit=unit or label, by_province=True
        )
        caption = "Mean of each province's cities (their number in brackets); the others in grey."
        blocks.append(gallery.draw(f"provinces_{column}", figure, caption))
    return blocks


def _with_latin_names(run: RunFolder) -> pd.DataFrame:
    """The panel with the Latin names of provinces, where the cities have them."""
    if "province_en" in run.panel or "province_en" not in run.cities:
        return run.panel
    latin = run.cities.set_index("city_code")["province_en"]
    return run.panel.assign(province_en=run.panel["city_code"].map(latin))


def city_maps(run: RunFolder, gallery: Gallery, clips: Mapping[str, Mapping[int, xr.Dataset]]) -> list[Block]:
    """Maps of cities by year, and their gradients."""
    if not clips:
        return []
    names = city_labels(run.cities)
    blocks: list[Block] = [Heading("Cities")]
    cells: dict[str, pd.DataFrame] = {}
    slopes: dict[str, float] = {}
    for code, of_city in clips.items():
        boundary, years = run.boundary(code), sorted(of_city)
        last = years[-1]
        centres = {year: _cbd(run, code, year) for year in years}
        name = _full_name(run, code)
        caption = f"{name}, {last}: lights, population density, and urban cells by density class."
        if len(years) > 1:
            caption += f" Other years, in the same colours, are in maps/city_{code}_{years[0]}.png and so on."
        for year in years:
            figure = plot_city(
                of_city[year],
                boundary=boundary,
                cbd=centres[year],
                title=f"{names[code]}, {year}",
                like=of_city.values(),
            )
            if year == last:
                blocks.append(gallery.draw(f"city_{code}_{year}", figure, caption))
            else:
                gallery.write(f"city_{code}_{year}", figure)
        if len(years) > 1:
            figure = plot_city_years(
                of_city, boundary=boundary, cbd=centres, title=f"{names[code]}: urban cells by year"
            )
            caption = f"{name}: urban cells of low and high density, year by year."
            blocks.append(gallery.draw(f"city_{code}_years", figure, caption))
        centre = centres[last]
        if centre is not None:
            cells[code] = urban_cells(of_city[last], boundary, centre)
            slopes[code] = _value(run, code, last, "gradient")
    if any(len(table) for table in cells.values()):
        figure = plot_gradients(cells, slopes, names=names, title="Density and distance to the CBD")
        caption = "Each point is an urban cell; the line has the fitted slope, the panel's density gradient."
        blocks.append(gallery.draw("gradients", figure, caption))
    return blocks


def _full_name(run: RunFolder, code: str) -> str:
    """Every name of a city, and its code: a picture may show only one of them."""
    row = run.cities[run.cities["city_code"] == code].iloc[0]
    names = [str(row[column]) for column in ("city_name", "city_name_en") if column in row and pd.notna(row[column])]
    return f"{' '.join(dict.fromkeys(names))} ({code})" if names else code


def _cbd(run: RunFolder, code: str, year: int) -> tuple[float, float] | None:
    lon, lat = (_value(run, code, year, column) for column in ("cbd_lon", "cbd_lat"))
    return (lon, lat) if np.isfinite(lon) and np.isfinite(lat) else None


def _value(run: RunFolder, code: str, year: int, column: str) -> float:
    """One number of the panel, NaN where there is none."""
    rows = run.of_year(year)
    if column not in rows or code not in rows.index:
        return float("nan")
    return float(rows[column].astype(np.float64)[code])


def urban_cells(clip: xr.Dataset, boundary: shapely.Geometry, cbd: tuple[float, float]) -> pd.DataFrame:
    """Urban cells of a city in a clip: distance from its CBD and density.

    Parameters
    ----------
    clip : Dataset
        ``density``, ``density_class`` with a CRS.
    boundary : polygon
        Degrees.
    cbd : (lon, lat)

    Returns
    -------
    DataFrame
        ``distance_km``, ``density`` (persons per km2), one row a cell whose centre lies in the boundary.
    """
    grid = grid_of(clip["density_class"])
    row, col = np.nonzero(clip["density_class"].to_numpy() > 0)
    lon, lat = grid.lonlat(row, col)
    inside = shapely.contains_xy(boundary, lon, lat)
    distance = geodesic_km(cbd[0], cbd[1], lon[inside], lat[inside])
    density = clip["density"].to_numpy()[row[inside], col[inside]]
    return pd.DataFrame({"distance_km": distance, "density": density})
