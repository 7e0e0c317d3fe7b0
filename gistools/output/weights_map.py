"""Figures of weights: links on a map, numbers of neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy import sparse

from gistools.output._fonts import drawable
from gistools.output._geography import (
    equal_area_crs,
    line_paths,
    polygon_path,
    project,
    province_outlines,
    to_projection,
)
from gistools.output._style import GREY, PALETTE, finish, style
from gistools.output.spatial_maps import frame
from gistools.weights import city_points, neighbour_counts
from gistools.weights.graph import weights_matrix

if TYPE_CHECKING:
    import pandas as pd
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_connectivity", "plot_neighbours"]

_VERTICES = 60_000
# More links a city than these make one dark cloud of any map.
_MOST_LINKS = 12
_STRONGEST = 4


def plot_connectivity(cities: pd.DataFrame, w: Graph | PysalW, *, title: str) -> Figure:
    """Draw who is whose neighbour: a line for each linked pair of cities.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        ``city_code`` with polygons, whose outlines are drawn too, or points, as
        :func:`gistools.weights.city_points` takes them. The same cities as `w`.
    w : Graph or W
    title : str

    Returns
    -------
    Figure
        In Lambert's azimuthal equal-area projection. Cities without a neighbour are marked. Of weights with more than
        twelve links a city only the four largest of each city are drawn; the legend says so.

    Raises
    ------
    WeightsError
        If cities and weights are not the same.

    Examples
    --------
    >>> import pandas as pd
    >>> from gistools.weights import knn_weights
    >>> line = pd.DataFrame({"city_code": ["a", "b", "c"], "lon": [100.0, 101.0, 103.0], "lat": 30.0})
    >>> figure = plot_connectivity(line, knn_weights(line, k=1), title="Nearest neighbour")
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['3 cities', '2 linked pairs']
    """
    points = city_points(cities)
    matrix = weights_matrix(w, points.index)
    shown, said = _drawn(matrix)
    alone = np.diff(matrix.indptr) + np.bincount(matrix.indices, minlength=len(points)) == 0
    polygons = isinstance(cities, gpd.GeoDataFrame) and bool((cities.geom_type != "Point").any())
    crs = equal_area_crs(points["lon"], points["lat"])
    with style():
        figure = Figure(figsize=(7.2, 7.2))
        axes = figure.subplots()
        bounds: tuple[float, ...] | None = None
        if polygons:
            ground, _ = project(cities, vertices=_VERTICES)
            crs, bounds = ground.crs, tuple(ground.total_bounds)
            _draw_outlines(axes, ground)
        x, y = to_projection(crs, points["lon"], points["lat"])
        if bounds is None:
            bounds = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
            room = 0.03 * max(bounds[2] - bounds[0], bounds[3] - bounds[1], 1.0)
            bounds = (bounds[0] - room, bounds[1] - room, bounds[2] + room, bounds[3] + room)
        width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
        figure.set_size_inches(7.2, float(np.clip(7.2 * height / width, 2.6, 9.5)) + 0.9)
        i, j = shown
        ends = np.stack([np.column_stack([x[i], y[i]]), np.column_stack([x[j], y[j]])], axis=1)
        thin = float(np.clip(60.0 / np.sqrt(max(len(i), 1)), 0.25, 1.2))
        axes.add_collection(LineCollection(list(ends), colors=PALETTE[0], linewidths=thin, alpha=0.7, zorder=3))
        size = float(np.clip(2500.0 / max(len(points), 1), 2.0, 18.0))
        axes.scatter(x[~alone], y[~alone], s=size, color="#222222", linewidths=0, zorder=4)
        handles = [
            _dot(f"{len(points):,} cities", "#222222"),
            Line2D([], [], color=PALETTE[0], linewidth=1.2, label=said),
        ]
        if alone.any():
            axes.scatter(
                x[alone], y[alone], s=4 * size, facecolors="none", edgecolors=PALETTE[1], linewidths=1.4, zorder=5
            )
            handles.append(_dot(f"without a neighbour ({int(alone.sum())})", PALETTE[1], hollow=True))
        frame(axes, bounds)
        figure.legend(handles=handles, loc="outside lower left", ncols=3)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _drawn(matrix: sparse.csr_array) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], str]:
    """Return the pairs to draw, each once, and what the legend says of them."""
    pairs = _pairs(matrix)
    if matrix.nnz <= _MOST_LINKS * matrix.shape[0]:
        return pairs, f"{len(pairs[0]):,} linked pairs"
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    rank = np.arange(matrix.nnz) - matrix.indptr[rows]
    largest = order[rank < _STRONGEST]
    part = sparse.csr_array((matrix.data[largest], (rows[largest], matrix.indices[largest])), shape=matrix.shape)
    return _pairs(part), f"the {_STRONGEST} largest weights of each city, of {len(pairs[0]):,} linked pairs"


def _pairs(matrix: sparse.csr_array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    either = sparse.triu(sparse.coo_array(matrix + matrix.T), 1).tocoo()
    return either.row.astype(np.intp), either.col.astype(np.intp)


def _draw_outlines(axes: Axes, ground: gpd.GeoDataFrame) -> None:
    axes.add_collection(
        PathCollection(
            [polygon_path(geometry) for geometry in ground.geometry],
            facecolors="#f3f1ec",
            edgecolors="#cfcabd",
            linewidths=0.4,
            zorder=1,
        )
    )
    axes.add_collection(LineCollection(line_paths(province_outlines(ground)), colors=GREY, linewidths=0.8, zorder=2))


def _dot(label: str, colour: str, *, hollow: bool = False) -> Line2D:
    face = "none" if hollow else colour
    return Line2D([], [], linestyle="", marker="o", markersize=6 if hollow else 4, color=colour, markerfacecolor=face,
                  label=label)  # fmt: skip


def plot_neighbours(w: Graph | PysalW, *, title: str) -> Figure:
    """Draw how many cities have how many neighbours.

    Parameters
    ----------
    w : Graph or W
    title : str

    Returns
    -------
    Figure
        A bar for each number of neighbours, or for each of up to thirty classes of numbers; a line at the mean.

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix
    >>> w = graph_from_matrix([[0, 1, 1], [1, 0, 0], [1, 0, 0]], "abc")
    >>> [int(bar.get_height()) for bar in plot_neighbours(w, title="Neighbours").axes[0].patches]
    [0, 2, 1]
    """
    counts = neighbour_counts(w).to_numpy()
    step = max(1, -(-(int(counts.max()) + 1) // 30))
    edges = np.arange(0, counts.max() + step + 1, step)
    heights, _ = np.histogram(counts, bins=edges)
    with style():
        figure = Figure(figsize=(6.4, 3.4))
        axes = figure.subplots()
        axes.bar(edges[:-1] + (step - 1) / 2, heights, width=0.85 * step, color=PALETTE[0])
        axes.axvline(counts.mean(), color=GREY, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.set_xlabel(f"neighbours of a city (mean {counts.mean():.2f}, {counts.min()} to {counts.max()})")
        axes.set_ylabel("cities")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, axis="y")
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)
