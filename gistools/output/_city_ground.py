"""The ground of a city map: its own projection, its boundary, cells in their true shape, the frame around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib import colormaps, patheffects
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pyproj import Transformer

from gistools.errors import BoundaryError, InputError
from gistools.grid import WGS84, Grid
from gistools.output._geography import equal_area_crs, line_paths, polygon_path, scale_bar, to_projection
from gistools.output._style import bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from numpy.typing import NDArray

NO_DATA = "#d9d9d9"
CBD = {"marker": "*", "color": "#00a0d6", "markeredgecolor": "black", "markeredgewidth": 0.7, "linestyle": "none"}


class CityGround:
    """A city's own projection (km about its middle) and its boundary in it."""

    def __init__(self, boundary: Any, grid: Grid) -> None:
        outline = _lonlat_geometry(boundary)
        corners = np.array(grid.bounds)
        lon, lat = grid.to_wgs84(corners[[0, 2]], corners[[1, 3]])
        if outline is not None:
            points = shapely.get_coordinates(outline)
            lon, lat = points[:, 0], points[:, 1]
        self.crs = equal_area_crs(lon, lat)
        self.outline: list[NDArray] = []
        self.polygon: shapely.Geometry | None = None
        if outline is not None:
            self.polygon = shapely.transform(
                outline, lambda xy: np.stack(to_projection(self.crs, xy[:, 0], xy[:, 1]), axis=1) / 1000
            )
            self.outline = line_paths([shapely.boundary(self.polygon)])
        self._meshes: dict[Any, tuple[NDArray, NDArray]] = {}

    def point(self, cbd: Any) -> tuple[float, float] | None:
        """Where a CBD lies in this projection, km; None where there is none."""
        place = _point(cbd)
        if place is None:
            return None
        x, y = to_projection(self.crs, *place)
        return float(x) / 1000, float(y) / 1000

    def mesh(self, grid: Grid) -> tuple[NDArray, NDArray]:
        """Corners of the cells of a grid in this projection, km; shape (rows + 1, cols + 1)."""
        key = (grid.crs.to_wkt(), tuple(grid.transform), grid.shape)
        if key not in self._meshes:
            x = grid.transform.c + np.arange(grid.width + 1) * grid.transform.a
            y = grid.transform.f + np.arange(grid.height + 1) * grid.transform.e
            transformer = Transformer.from_crs(grid.crs, self.crs, always_xy=True)
            east, north = transformer.transform(*np.meshgrid(x, y))
            self._meshes[key] = (np.asarray(east) / 1000, np.asarray(north) / 1000)
        return self._meshes[key]

    def bounds(self, grid: Grid) -> tuple[float, float, float, float]:
        """What a map shows: the city and a margin, or the whole grid without a boundary."""
        x, y = self.mesh(grid)
        box = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
        if self.polygon is None:
            return box
        west, south, east, north = shapely.bounds(self.polygon)
        margin = 0.04 * max(east - west, north - south)
        return (
            max(box[0], west - margin),
            max(box[1], south - margin),
            min(box[2], east + margin),
            min(box[3], north + margin),
        )


def _lonlat_geometry(boundary: Any) -> shapely.Geometry | None:
    """Return a boundary in WGS 84: a GeoDataFrame or GeoSeries of any CRS, or a geometry in degrees."""
    if boundary is None:
        return None
    if isinstance(boundary, (gpd.GeoDataFrame, gpd.GeoSeries)):
        if boundary.crs is None:
            raise InputError("the boundary has no CRS; set it with boundary.set_crs('EPSG:4326')")
        return shapely.union_all(np.asarray(boundary.to_crs(WGS84).geometry.array))
    if not isinstance(boundary, shapely.Geometry):
        raise BoundaryError(
            f"the boundary is a {type(boundary).__name__}; give a GeoDataFrame or a polygon in degrees"
        )
    return boundary


def _point(cbd: Any) -> tuple[float, float] | None:
    """Return longitude and latitude of a CBD, or None where there is none."""
    if cbd is None:
        return None
    if isinstance(cbd, (pd.Series, Mapping)):
        cbd = (cbd["cbd_lon"], cbd["cbd_lat"])
    lon, lat = (float(value) for value in cbd)
    return (lon, lat) if np.isfinite(lon) and np.isfinite(lat) else None


def draw_cells(
    axes: Axes, ground: CityGround, grid: Grid, values: NDArray, palette: str, norm: Normalize, *, under: str
) -> QuadMesh:
    """Draw cells by colour; those without data show the grey behind them."""
    x, y = ground.mesh(grid)
    axes.set_facecolor(NO_DATA)
    colours = colormaps[palette].with_extremes(under=under)
    return axes.pcolormesh(x, y, np.ma.masked_invalid(values), cmap=colours, norm=norm, zorder=1)


def colour_bar(
    figure: Figure, axes: Axes, drawn: QuadMesh, label: str, log_range: tuple[float, float] | None = None
) -> None:
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.85, aspect=28, pad=0.03)
    bar.outline.set_linewidth(0.4)
    if log_range is not None:
        first, last = (int(np.floor(np.log10(end))) for end in log_range)
        ticks = [10.0**power for power in range(first, last + 1)]
        bar.set_ticks(ticks, labels=[f"{tick:,.0f}" if tick >= 1 else f"{tick:g}" for tick in ticks])
        bar.minorticks_off()
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def finish_city(
    axes: Axes,
    ground: CityGround,
    cbd: tuple[float, float] | None,
    bounds: tuple[float, float, float, float],
    *,
    outline: str,
    veil: bool,
) -> None:
    """Veil what lies outside the boundary, draw boundary and CBD, set the frame."""
    west, south, east, north = bounds
    if ground.polygon is not None:
        reach = max(east - west, north - south)
        outside = shapely.difference(
            shapely.box(west - reach, south - reach, east + reach, north + reach), shapely.make_valid(ground.polygon)
        )
        axes.add_collection(
            PathCollection(
                [polygon_path(outside)],
                facecolors="white" if veil else "black",
                alpha=0.6 if veil else 0.45,
                linewidths=0,
                zorder=3,
            )
        )
        # a dark rim, so that a white line shows on bright lights
        rim = [] if veil else [patheffects.withStroke(linewidth=2.2, foreground="black")]
        axes.add_collection(
            LineCollection(ground.outline, colors=outline, linewidths=1.0, zorder=4, path_effects=rim)
        )
    if cbd is not None:
        axes.plot(*cbd, markersize=11, zorder=8, **CBD)  # type: ignore[arg-type]
    width, height = east - west, north - south
    bar = 0.09 * max(width, height)
    axes.set_xlim(west, east)
    axes.set_ylim(south - bar, north)
    bare(axes)
    # the strip below the map carries the scale bar on white
    axes.add_patch(Rectangle((west, south - bar), width, bar, facecolor="white", edgecolor="none", zorder=7))
    scale_bar(axes, width, left=west + 0.01 * width, bottom=south - 0.85 * bar, unit_m=1000.0)
