"""Maps: a measure of all cities, one city's lights, density and urban mask, and its years side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib import patheffects
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gistools.city.urban import HIGH, LOW, NOT_URBAN
from gistools.errors import GridError, InputError
from gistools.grid import Grid, Window, grid_of
from gistools.output._city_ground import CBD, NO_DATA, CityGround, colour_bar, draw_cells, finish_city
from gistools.output._fonts import city_labels, drawable
from gistools.output._geography import (
    line_paths,
    polygon_path,
    project,
    province_outlines,
    require_cities,
    scale_bar,
    values_by_city,
)
from gistools.output._interactive import interactive_map
from gistools.output._numbers import SCHEMES, Classes, Scheme, classify
from gistools.output._style import GREY, INK, MISSING_HATCH, bare, figure_png, finish, ramp, save_figure, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = [
    "SCHEMES",
    "Scheme",
    "classify",
    "figure_png",
    "interactive_map",
    "plot_choropleth",
    "plot_city",
    "plot_city_years",
    "save_figure",
]

# Not urban, low and high density: told apart by the colour-blind and in grey.
CLASS_COLOURS = ("#f3f1ec", "#f2b45a", "#7a1f5c")
CLASS_NAMES = ("not urban", "urban, low density", "urban, high density")
_OUTLINE = "#ffffff"
_MAP_VERTICES = 60_000
_DIMMEST = 0.1  # nW/cm2/sr, where the colours of radiance begin


def plot_choropleth(
    cities: gpd.GeoDataFrame,
    values: pd.Series | pd.DataFrame,
    *,
    title: str,
    unit: str = "",
    scheme: Scheme = "quantiles",
    k: int = 5,
    breaks: Sequence[float] | None = None,
    labels: bool = False,
    palette: str = "YlGnBu",
) -> Figure:
    """Draw a measure of every city as a map of coloured classes.

    Parameters
    ----------
    cities : GeoDataFrame
        ``city_code``, polygons with a CRS; ``province`` for outlines; ``city_name``, ``city_name_en`` for labels.
    values : Series or DataFrame
        Indexed by ``city_code``. The columns of a DataFrame become panels that share one set of classes, so that
        years can be compared; their names become the panels' titles.
    title : str
    unit : str
        Heads the legend.
    scheme : {"quantiles", "equal-interval", "natural-breaks"}
    k : int
        Classes, 2 to 9.
    breaks : sequence of float, optional
        Edges between classes instead of a scheme.
    labels : bool
        Write the names of cities where there is room, the largest polygons first.
    palette : str
        A colour map of Matplotlib's.

    Returns
    -------
    Figure
        In Lambert's azimuthal equal-area projection about the country. The legend counts the cities of each class,
        by panel; cities without a value are hatched and counted.

    Raises
    ------
    InputError
        If no city has a value, or a value has no city.

    Examples
    --------
    >>> cells = shapely.box([100, 101], [30, 30], [101, 102], [31, 31])
    >>> cities = gpd.GeoDataFrame({"city_code": ["1", "2"]}, geometry=cells, crs=4326)
    >>> figure = plot_choropleth(cities, pd.Series({"1": 0.3, "2": 0.6}), title="Sprawl index", unit="0 to 1")
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['0.300 (1)', '0.600 (1)']
    """
    require_cities(cities)
    table = values_by_city(cities, values)
    classes = classify(table.to_numpy(), scheme=scheme, k=k, breaks=breaks)
    ground, _ = project(cities, vertices=_MAP_VERTICES)
    west, south, east, north = ground.total_bounds
    aspect = (north - south) / (east - west)
    panels = len(table.columns)
    across = min(panels, 2 if aspect < 1.6 else 3)
    down = -(-panels // across)
    # a tall country alone would fill more than a screen
    width = min(7.2, max(5.2, 7.5 / aspect)) if panels == 1 else 10.5
    height = down * (width / across * min(aspect, 1.5) + 0.35) + 1.0
    with style():
        figure = Figure(figsize=(width, height))
        grid = figure.subplots(down, across, squeeze=False)
        paths = [polygon_path(geometry) for geometry in ground.geometry]
        provinces = line_paths(province_outlines(ground))
        colours = ramp(len(classes), palette)
        for axes, column in zip(grid.flat, table.columns, strict=False):
            found = classes.of(table[column].to_numpy())
            _draw_polygons(axes, paths, found, colours)
            axes.add_collection(LineCollection(provinces, colors="#444444", linewidths=0.9, zorder=4))
            _frame(axes, (west, south, east, north))
            if panels > 1:
                axes.set_title(drawable(column), fontsize=10)
        for axes in grid.flat[panels:]:
            axes.set_visible(False)
        if labels:
            for axes in grid.flat[:panels]:
                _label_cities(figure, axes, ground)
        counts = [classes.of(table[column].to_numpy()) for column in table.columns]
        _class_legend(figure, classes, counts, colours, drawable(unit))
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _draw_polygons(axes: Axes, paths: Sequence[Any], found: NDArray[np.intp], colours: Sequence[str]) -> None:
    width = 0.5 if len(paths) < 120 else 0.25
    for k, colour in enumerate(colours):
        chosen = [paths[i] for i in np.flatnonzero(found == k).tolist()]
        axes.add_collection(PathCollection(chosen, facecolors=colour, edgecolors="white", linewidths=width, zorder=2))
    without = [paths[i] for i in np.flatnonzero(found < 0).tolist()]
    axes.add_collection(
        PathCollection(
            without, facecolors="#f4f4f4", edgecolors="#9a9a9a", hatch=MISSING_HATCH, linewidths=width, zorder=1
        )
    )


def _frame(axes: Axes, bounds: tuple[float, float, float, float]) -> None:
    """Set the limits of a map and put its scale bar below it."""
    west, south, east, north = bounds
    width, height = east - west, north - south
    bar = 0.07 * max(height, 0.5 * width)
    axes.set_xlim(west - 0.01 * width, east + 0.01 * width)
    axes.set_ylim(south - bar, north + 0.01 * height)
    bare(axes)
    scale_bar(axes, width, left=west, bottom=south - 0.92 * bar)


def _class_legend(
    figure: Figure, classes: Classes, counts: Sequence[NDArray[np.intp]], colours: Sequence[str], unit: str
) -> None:
    """Name the classes with the cities in each, by panel."""

    def named(label: str, k: int) -> str:
        return f"{label} ({' | '.join(str(int((found == k).sum())) for found in counts)})"

    handles = [
        Patch(facecolor=colour, edgecolor="#bbbbbb", linewidth=0.4, label=named(label, k))
        for k, (colour, label) in enumerate(zip(colours, classes.labels(), strict=True))
    ]
    if any((found < 0).any() for found in counts):
        handles.append(
            Patch(facecolor="#f4f4f4", edgecolor="#9a9a9a", hatch=MISSING_HATCH, label=named("no value", -1))
        )
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=min(len(handles), 3 if len(counts) == 1 else 6),
        title=f"{unit} (number of cities)" if unit else "(number of cities)",
        alignment="left",
        title_fontsize=8.5,
        handlelength=1.6,
        handleheight=1.0,
        columnspacing=1.4,
    )


def _label_cities(figure: Figure, axes: Axes, ground: gpd.GeoDataFrame) -> None:
    """Write names where there is room; the largest polygons come first."""
    names = city_labels(ground)
    figure.draw_without_rendering()
    points = shapely.get_coordinates(shapely.point_on_surface(np.asarray(ground.geometry.array)))
    taken: list[Any] = []
    halo = [patheffects.withStroke(linewidth=2.4, foreground="white")]
    order = np.argsort(-shapely.area(np.asarray(ground.geometry.array)), kind="stable")
    for i in order:
        name = names[str(ground["city_code"].iloc[i])]
        text = axes.text(
            points[i, 0],
            points[i, 1],
            name,
            ha="center",
            va="center",
            fontsize=7,
            color=INK,
            path_effects=halo,
            zorder=6,
        )
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)


def _layers(clip: xr.Dataset) -> tuple[dict[str, NDArray], Grid]:
    """Values of a clip's layers, and their lattice."""
    lacking = [name for name in ("lights", "density", "density_class") if name not in clip]
    if lacking:
        raise GridError(f"the clip has no layer {lacking[0]!r}; it needs lights, density and density_class")
    grid = grid_of(clip["density_class"])
    values = {name: np.asarray(clip[name].values, np.float64) for name in ("lights", "density", "density_class")}
    for name, layer in values.items():
        if layer.shape != grid.shape:
            raise GridError(f"the layer {name!r} has shape {layer.shape}, but density_class has {grid.shape}")
    return values, grid


def plot_city(
    clip: xr.Dataset,
    *,
    boundary: Any = None,
    cbd: Any = None,
    title: str,
    like: Iterable[xr.Dataset] = (),
) -> Figure:
    """Draw a city: its lights, its population density, and its urban mask by density class.

    Parameters
    ----------
    clip : Dataset, dims (y, x)
        ``lights``, ``density`` (persons per km2) and ``density_class`` (0, 1, 2) on one lattice with a CRS, as
        rioxarray keeps it; NaN where there is no data.
    boundary : GeoDataFrame, GeoSeries or polygon, optional
        Of the city; a polygon in degrees. What lies outside is veiled.
    cbd : (lon, lat), or a row with ``cbd_lon`` and ``cbd_lat``, optional
    title : str
    like : iterable of Dataset
        Clips of other years: the colours reach as far as the highest value of all, so that years can be compared.

    Returns
    -------
    Figure
        Three panels in an equal-area projection about the city, each with a scale bar; cells keep their true
        shape, nothing is resampled. Radiance, whose few brightest cells outshine a city, has a log scale.

    Raises
    ------
    GridError
        If a layer lacks or the layers differ in shape.
    """
    layers, grid = _layers(clip)
    ground = CityGround(boundary, grid)
    centre = ground.point(cbd)
    west, south, east, north = ground.bounds(grid)
    aspect = min(max((north - south) / (east - west), 0.45), 1.6)
    with style():
        figure = Figure(figsize=(11.0, 3.3 * aspect + 1.5))
        left, middle, right = figure.subplots(1, 3)
        clips = [clip, *like]
        unit = drawable(clip["lights"].attrs.get("units", ""))
        most = _highest(clips, "lights")
        if unit.startswith("nW") and most > _DIMMEST:
            lights = np.where(layers["lights"] < _DIMMEST, _DIMMEST / 2, layers["lights"])
            drawn = draw_cells(left, ground, grid, lights, "inferno", LogNorm(_DIMMEST, most), under="black")
            colour_bar(figure, left, drawn, f"{unit}, log scale", log_range=(_DIMMEST, most))
        else:
            norm = Normalize(0, max(most, 1e-9))
            drawn = draw_cells(left, ground, grid, layers["lights"], "inferno", norm, under="black")
            colour_bar(figure, left, drawn, unit or "light")
        left.set_title("Lights")

        density = np.where(layers["density"] < 1, 0.5, layers["density"])  # empty cells are white, not missing
        top = max(_highest(clips, "density"), 10.0)
        drawn = draw_cells(middle, ground, grid, density, "YlGnBu", LogNorm(1.0, top), under="white")
        colour_bar(figure, middle, drawn, "persons per km2, log scale", log_range=(1.0, top))
        middle.set_title("Population density")

        classes = layers["density_class"]
        _draw_classes(right, ground, grid, classes)
        right.set_title("Urban cells of low and high density")
        low, high = _urban_area(classes, grid, ground)
        # where the others have their colour bars
        names = right.legend(
            handles=_class_handles(
                [CLASS_NAMES[0], f"low: {low:,.0f} km2", f"high: {high:,.0f} km2"], centre is not None
            ),
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            borderaxespad=1.0,
            ncols=2,
            columnspacing=1.2,
            handlelength=1.4,
        )
        names.set_in_layout(False)
        for axes in (left, middle, right):
            dark = axes is left
            outline = _OUTLINE if dark else INK
            finish_city(axes, ground, centre, (west, south, east, north), outline=outline, veil=not dark)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def plot_city_years(clips: Mapping[int, xr.Dataset], *, boundary: Any = None, cbd: Any = None, title: str) -> Figure:
    """Draw a city's urban mask by density class, one small map a year.

    Parameters
    ----------
    clips : mapping of year to Dataset
        As in :func:`plot_city`.
    boundary : GeoDataFrame, GeoSeries or polygon, optional
    cbd : (lon, lat), a row, or a mapping of year to either, optional
    title : str

    Returns
    -------
    Figure
        Each map is headed by its year and the urban area inside the boundary.

    Raises
    ------
    InputError
        If there is no clip.
    """
    if not clips:
        raise InputError("there is no clip to draw; give at least one year")
    years = sorted(clips)
    ground = CityGround(boundary, _layers(clips[years[0]])[1])
    bounds = ground.bounds(_layers(clips[years[0]])[1])
    aspect = min(max((bounds[3] - bounds[1]) / (bounds[2] - bounds[0]), 0.45), 1.6)
    across = min(len(years), 4)
    down = -(-len(years) // across)
    by_year = isinstance(cbd, Mapping) and "cbd_lon" not in cbd
    with style():
        figure = Figure(figsize=(max(2.6 * across, 5.2), down * (2.5 * aspect + 0.4) + 0.8))
        places = figure.subplots(down, across, squeeze=False)
        centres = [ground.point(cbd.get(year) if by_year else cbd) for year in years]
        for axes, year, centre in zip(places.flat, years, centres, strict=False):
            layers, grid = _layers(clips[year])
            _draw_classes(axes, ground, grid, layers["density_class"])
            finish_city(axes, ground, centre, bounds, outline=INK, veil=True)
            area = sum(_urban_area(layers["density_class"], grid, ground))
            axes.set_title(f"{year}: {area:,.0f} km2 urban", fontsize=9.5)
        for axes in places.flat[len(years) :]:
            axes.set_visible(False)
        figure.legend(
            handles=_class_handles(CLASS_NAMES, any(centre is not None for centre in centres)),
            loc="outside lower left",
            ncols=4,
            columnspacing=1.2,
            handlelength=1.4,
        )
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _highest(clips: Iterable[xr.Dataset], layer: str) -> float:
    """The highest value of a layer, 0 where there is none."""
    values = [np.asarray(clip[layer].values, np.float64) for clip in clips]
    return max(float(np.max(v, where=np.isfinite(v), initial=0.0)) for v in values)


def _draw_classes(axes: Axes, ground: CityGround, grid: Grid, classes: NDArray) -> None:
    norm = BoundaryNorm([NOT_URBAN - 0.5, LOW - 0.5, HIGH - 0.5, HIGH + 0.5], 3)
    x, y = ground.mesh(grid)
    axes.set_facecolor(NO_DATA)
    axes.pcolormesh(x, y, np.ma.masked_invalid(classes), cmap=ListedColormap(CLASS_COLOURS), norm=norm, zorder=1)


def _urban_area(classes: NDArray, grid: Grid, ground: CityGround) -> tuple[float, float]:
    """Area of low and high cells whose centre lies in the boundary, km2."""
    inside = np.ones(grid.shape, bool)
    if ground.polygon is not None:
        x, y = ground.mesh(grid)
        # the middle of the four corners is the centre, to a part in millions of a cell
        centre = [0.25 * (v[:-1, :-1] + v[1:, :-1] + v[:-1, 1:] + v[1:, 1:]) for v in (x, y)]
        inside = shapely.contains_xy(ground.polygon, *centre)
    area = np.broadcast_to(grid.cell_area_km2(Window(0, grid.height, 0, grid.width)), grid.shape)
    return float(area[inside & (classes == LOW)].sum()), float(area[inside & (classes == HIGH)].sum())


def _class_handles(names: Sequence[str], with_cbd: bool) -> list[Any]:
    handles: list[Any] = [
        Patch(facecolor=colour, edgecolor=GREY, linewidth=0.4, label=name)
        for colour, name in zip(CLASS_COLOURS, names, strict=True)
    ]
    if with_cbd:
        handles.append(Line2D([], [], markersize=10, label="CBD", **CBD))  # type: ignore[arg-type]
    return handles
