"""Maps of spatial statistics: clusters of local Moran's I, spillovers that cities receive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gistools.checks import listed, require_columns
from gistools.errors import BoundaryError, InputError, TableError
from gistools.output._fonts import drawable
from gistools.output._geography import (
    line_paths,
    polygon_path,
    project,
    province_outlines,
    require_cities,
    scale_bar,
    values_by_city,
)
from gistools.output._numbers import classify
from gistools.output._style import FORMATS, INK, MISSING_HATCH, bare, finish, ramp, save_figure, style

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["CLUSTER_COLOURS", "plot_clusters", "plot_spillovers", "require_figure_extension", "save_figure"]

_VERTICES = 60_000
# Red and blue, dark where neighbours are alike, pale where they differ (ColorBrewer's RdBu): told apart by the
# colour-blind, and alike from unlike in grey.
CLUSTER_COLOURS = {"HH": "#b2182b", "LL": "#2166ac", "HL": "#f4a582", "LH": "#92c5de", "none": "#f0f0f0"}
_CLUSTERS = {
    "HH": "high among high",
    "LL": "low among low",
    "HL": "high among low",
    "LH": "low among high",
    "none": "no cluster",
}
_MISSING = "no value or no neighbour"


def require_figure_extension(path: str | Path) -> None:
    """Refuse a file that is no figure, before the work that would fill it.

    Raises
    ------
    InputError
    """
    if Path(path).suffix not in FORMATS:
        raise InputError(f"{path}: figures are written as {listed(FORMATS)}, by extension")


def plot_clusters(
    cities: gpd.GeoDataFrame,
    local: pd.DataFrame,
    *,
    title: str,
    note: str = "",
    unit: str = "city_code",
    time: str = "year",
) -> Figure:
    """Draw the clusters of local Moran's I, one panel a year.

    Parameters
    ----------
    cities : GeoDataFrame
        ``city_code`` and polygons with a CRS; ``province`` for outlines.
    local : DataFrame
        Local statistics of :func:`gistools.spatial.moran.moran_by_year`: the keys, ``quadrant`` and ``cluster``.
    title : str
    note : str
        Stands below the map, for example how clusters were tested.
    unit, time : str
        Names of the keys in `local`; without the time column there is one panel.

    Returns
    -------
    Figure
        In Lambert's azimuthal equal-area projection. The legend counts the cities of each kind, by panel; cities that
        could not be tested, or have no row, are hatched.

    Raises
    ------
    TableError
        If a column lacks.
    BoundaryError
        If a city of `local` has no polygon.

    Examples
    --------
    >>> import geopandas, shapely
    >>> cells = shapely.box([100, 101, 102], 30, [101, 102, 103], 31)
    >>> cities = geopandas.GeoDataFrame({"city_code": ["1", "2", "3"]}, geometry=cells, crs=4326)
    >>> local = pd.DataFrame({"city_code": ["1", "2"], "quadrant": ["HH", "LL"], "cluster": ["HH", "none"]})
    >>> figure = plot_clusters(cities, local, title="Clusters")
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['high among high (1)', 'no cluster (1)', 'no value or no neighbour (1)']
    """
    require_cities(cities)
    require_columns(local, [unit, "quadrant", "cluster"], "the local statistics")
    codes = pd.Index(cities["city_code"].astype(str))
    beyond = pd.Index(local[unit].astype(str)).difference(codes, sort=False)
    if len(beyond):
        raise BoundaryError(f"{len(beyond)} cities of the local statistics have no polygon: {listed(beyond)}")
    years = sorted(local[time].unique()) if time in local.columns else [None]
    found = []
    for year in years:
        part = local if year is None else local[local[time] == year]
        if part[unit].duplicated().any():
            raise TableError("the local statistics hold several rows of a city; choose one column and weights")
        tested = part["cluster"].where(part["quadrant"].notna())
        found.append(pd.Series(tested.to_numpy(object), index=part[unit].astype(str)).reindex(codes).to_numpy(object))
    present = [name for name in _CLUSTERS if any((kinds == name).any() for kinds in found)]
    missing = any(pd.isna(kinds).any() for kinds in found)
    with style():
        figure, panels, ground = _panels(cities, len(years))
        for axes, kinds, year in zip(panels, found, years, strict=True):
            colours = [CLUSTER_COLOURS.get(kind) if isinstance(kind, str) else None for kind in kinds]
            _draw(axes, ground, colours)
            if year is not None:
                axes.set_title(drawable(str(year)), fontsize=10)

        def counted(label: str, chosen: Sequence[NDArray[np.bool_]]) -> str:
            return f"{label} ({' | '.join(str(int(each.sum())) for each in chosen)})"

        handles = [
            Patch(
                facecolor=CLUSTER_COLOURS[name],
                edgecolor="#bbbbbb",
                linewidth=0.4,
                label=counted(_CLUSTERS[name], [kinds == name for kinds in found]),
            )
            for name in present
        ]
        if missing:
            handles.append(_missing_patch(counted(_MISSING, [pd.isna(kinds) for kinds in found])))
        _legend(figure, handles, note)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def plot_spillovers(
    cities: gpd.GeoDataFrame,
    received: pd.Series,
    treated: pd.Series,
    *,
    title: str,
    unit: str = "",
    k: int = 5,
    note: str = "",
) -> Figure:
    """Draw the effect each city receives from the treatment of others.

    Parameters
    ----------
    cities : GeoDataFrame
        ``city_code`` and polygons with a CRS; ``province`` for outlines.
    received : Series
        Indexed by city code: of one year of :func:`gistools.spatial.spillovers.spillovers_received`.
    treated : Series
        Indexed by city code; what is not zero is treated, and outlined.
    title : str
    unit : str
        Heads the legend.
    k : int
        Classes of equal counts; effects of both signs are classed on either side of zero.
    note : str
        Stands below the map.

    Returns
    -------
    Figure
        In Lambert's azimuthal equal-area projection.

    Raises
    ------
    InputError
        If no city has a value.

    Examples
    --------
    >>> import geopandas, shapely
    >>> cells = shapely.box([100, 101, 102], 30, [101, 102, 103], 31)
    >>> cities = geopandas.GeoDataFrame({"city_code": ["1", "2", "3"]}, geometry=cells, crs=4326)
    >>> received = pd.Series({"1": 0.02, "2": 0.01, "3": 0.0})
    >>> figure = plot_spillovers(cities, received, pd.Series({"1": 0, "2": 1, "3": 0}), title="Spillovers")
    >>> [text.get_text() for text in figure.legends[0].get_texts()][-1]
    'treated (1)'
    """
    require_cities(cities)
    values = values_by_city(cities, received).to_numpy()[:, 0]
    dose = values_by_city(cities, treated).to_numpy()[:, 0]
    given = np.isfinite(dose) & (dose != 0)
    breaks = _breaks(values[np.isfinite(values)], k)
    classes = classify(values[:, None], breaks=breaks) if breaks is not None else classify(values[:, None], k=k)
    found = classes.of(values)
    shades = _shades(len(classes), breaks)
    with style():
        figure, panels, ground = _panels(cities, 1)
        _draw(panels[0], ground, [shades[kind] if kind >= 0 else None for kind in found])
        paths = [polygon_path(geometry) for geometry in ground.geometry[given]]
        panels[0].add_collection(PathCollection(paths, facecolors="none", edgecolors=INK, linewidths=1.3, zorder=5))
        handles = [
            Patch(
                facecolor=shade, edgecolor="#bbbbbb", linewidth=0.4, label=f"{label} ({int((found == kind).sum())})"
            )
            for kind, (shade, label) in enumerate(zip(shades, classes.labels(), strict=True))
        ]
        if (found < 0).any():
            handles.append(_missing_patch(f"no value ({int((found < 0).sum())})"))
        handles.append(Patch(facecolor="none", edgecolor=INK, linewidth=1.3, label=f"treated ({int(given.sum())})"))
        _legend(figure, handles, note, head=f"{unit} (number of cities)" if unit else "(number of cities)")
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _breaks(values: NDArray[np.float64], k: int) -> list[float] | None:
    """Edges of classes on either side of zero, where values have both signs."""
    if not ((values > 0).any() and (values < 0).any()):
        return None
    below, above = values[values < 0], values[values > 0]
    share = int(np.clip(round(k * len(below) / len(values)), 1, k - 1)) if k > 1 else 1
    edges = [
        *np.quantile(below, np.arange(1, share) / share),
        0.0,
        *np.quantile(above, np.arange(1, k - share) / max(k - share, 1)),
    ]
    return sorted(set(map(float, edges)))


def _shades(classes: int, breaks: list[float] | None) -> list[str]:
    """Return one colour a class: two ramps that part at zero, or a single one."""
    if breaks is None:
        return ramp(classes, "YlGnBu")
    negative = sum(edge <= 0 for edge in breaks)
    return [*reversed(ramp(negative, "Blues")), *ramp(classes - negative, "Oranges")]


def _panels(cities: gpd.GeoDataFrame, count: int) -> tuple[Figure, list[Axes], gpd.GeoDataFrame]:
    """Return a figure with axes for maps of the same cities, and the cities in their projection."""
    ground, _ = project(cities, vertices=_VERTICES)
    west, south, east, north = ground.total_bounds
    aspect = (north - south) / (east - west)
    across = 1 if count == 1 else min(count, 3 if count > 4 or aspect >= 1.6 else 2)
    down = -(-count // across)
    width = min(7.2, max(5.2, 7.5 / aspect)) if count == 1 else 10.5
    figure = Figure(figsize=(width, down * (width / across * min(aspect, 1.5) + 0.35) + 1.0))
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, grid[:count], ground


def _draw(axes: Axes, ground: gpd.GeoDataFrame, colours: Sequence[str | None]) -> None:
    """Fill the cities, hatch those without a colour, and frame the map."""
    width = 0.5 if len(ground) < 120 else 0.25
    paths = [polygon_path(geometry) for geometry in ground.geometry]
    known = [k for k, colour in enumerate(colours) if colour is not None]
    axes.add_collection(
        PathCollection(
            [paths[k] for k in known],
            facecolors=[str(colours[k]) for k in known],
            edgecolors="#a8a8a8",
            linewidths=width,
            zorder=2,
        )
    )
    axes.add_collection(
        PathCollection(
            [path for path, colour in zip(paths, colours, strict=True) if colour is None],
            facecolors="#f4f4f4",
            edgecolors="#9a9a9a",
            hatch=MISSING_HATCH,
            linewidths=width,
            zorder=1,
        )
    )
    provinces = line_paths(province_outlines(ground))
    axes.add_collection(LineCollection(provinces, colors="#444444", linewidths=0.9, zorder=4))
    frame(axes, tuple(ground.total_bounds))


def frame(axes: Axes, bounds: tuple[float, ...]) -> None:
    """Set the limits of a map in metres and put its scale bar below it."""
    west, south, east, north = bounds
    width, height = east - west, north - south
    bar = 0.07 * max(height, 0.5 * width)
    axes.set_xlim(west - 0.01 * width, east + 0.01 * width)
    axes.set_ylim(south - bar, north + 0.01 * height)
    bare(axes)
    scale_bar(axes, width, left=west, bottom=south - 0.92 * bar)


def _missing_patch(label: str) -> Patch:
    return Patch(facecolor="#f4f4f4", edgecolor="#9a9a9a", hatch=MISSING_HATCH, label=label)


def _legend(figure: Figure, handles: Sequence[Patch], note: str, head: str = "") -> None:
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=min(len(handles), 3),
        title=drawable("\n".join(filter(None, [note, head]))) or None,
        alignment="left",
        title_fontsize=8.5,
        handlelength=1.6,
        handleheight=1.0,
        columnspacing=1.4,
    )
