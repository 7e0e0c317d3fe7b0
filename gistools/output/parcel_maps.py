"""Maps of parcels: coloured by what is measured of them, or flagged because they lie outside their city."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from gistools.checks import require_columns
from gistools.errors import InputError
from gistools.output._fonts import drawable
from gistools.output._geography import (
    line_paths,
    polygon_path,
    project,
    province_outlines,
    require_cities,
    scale_bar,
    to_projection,
)
from gistools.output._interactive import _page, _plot, _rings, _text
from gistools.output._style import PALETTE, bare, finish, save_figure, style

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["flagged_map", "plot_flagged", "plot_parcels", "save_figure"]

_VERTICES = 60_000
_GROUND, _BORDER = "#f3f1ec", "#cfcabd"
_MARKS = ("o", "^", "s", "D", "v")
_COLUMNS = ["rejected_lon", "rejected_lat", "status"]


def plot_parcels(
    cities: gpd.GeoDataFrame,
    parcels: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    cbds: pd.DataFrame | None = None,
    title: str,
) -> Figure:
    """Draw parcels as points, coloured by measures, one panel a measure.

    Parameters
    ----------
    cities : GeoDataFrame
        ``city_code`` and polygons with a CRS: the country, or a city to look at closely.
    parcels : DataFrame
        ``lon``, ``lat`` (degrees, WGS 84) and the measures. Parcels without a point or beyond the frame of the cities
        are not drawn, and are counted.
    columns : mapping of str to str
        Measures and what stands at their colour bars. Colours end at the 2nd and 98th percentiles.
    cbds : DataFrame, optional
        ``cbd_lon``, ``cbd_lat``, drawn as stars.
    title : str

    Returns
    -------
    Figure
        In Lambert's azimuthal equal-area projection about the cities.

    Raises
    ------
    TableError
        If a column lacks.
    InputError
        If no parcel lies in the frame.

    Examples
    --------
    >>> import geopandas, pandas, shapely
    >>> cities = geopandas.GeoDataFrame({"city_code": ["1"]}, geometry=[shapely.box(100, 30, 101, 31)], crs=4326)
    >>> parcels = pandas.DataFrame({"lon": [100.4, 100.6], "lat": 30.5, "far_max": [2.0, 3.0]})
    >>> figure = plot_parcels(cities, parcels, {"far_max": "legal cap"}, title="Parcels")
    >>> figure.axes[0].get_title(loc="left")
    '2 parcels'
    """
    require_cities(cities)
    require_columns(parcels, ["lon", "lat", *columns], "the parcels")
    ground, _ = project(cities, vertices=_VERTICES)
    west, south, east, north = ground.total_bounds
    x, y = to_projection(ground.crs, parcels["lon"].to_numpy(float), parcels["lat"].to_numpy(float))
    seen = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    if not seen.any():
        raise InputError("no parcel lies in the frame of the cities, so there is nothing to draw")
    width, height = east - west, north - south
    aspect = min(max(height / width, 0.5), 1.5)
    with style():
        figure = Figure(figsize=(5.4 * len(columns), 5.4 * aspect + 1.0))
        panels = figure.subplots(1, len(columns), squeeze=False)[0]
        for axes, (column, label) in zip(panels, columns.items(), strict=True):
            _draw_ground(axes, ground)
            values = parcels[column].to_numpy(float)
            shown = seen & np.isfinite(values)
            if shown.any():
                low, high = np.percentile(values[shown], [2, 98])
                order = np.flatnonzero(shown)[np.argsort(values[shown], kind="stable")]  # the highest on top
                points = axes.scatter(
                    x[order], y[order], c=values[order], s=_point_size(len(order)), cmap="viridis",
                    vmin=low, vmax=max(high, low + 1e-9), linewidths=0, zorder=3,
                )  # fmt: skip
                figure.colorbar(points, ax=axes, shrink=0.6, extend="both", label=drawable(label))
            if cbds is not None:
                at = to_projection(ground.crs, cbds["cbd_lon"].to_numpy(float), cbds["cbd_lat"].to_numpy(float))
                axes.scatter(*at, marker="*", s=46, color="#c0392b", edgecolors="white", linewidths=0.5, zorder=4)
            left_out = int((~shown).sum())
            axes.set_title(
                f"{shown.sum():,} parcels" + (f", {left_out:,} not shown" if left_out else ""), fontsize=10
            )
            bar = 0.07 * max(height, 0.5 * width)
            axes.set_xlim(west - 0.02 * width, east + 0.02 * width)
            axes.set_ylim(south - bar, north + 0.02 * height)
            bare(axes)
            scale_bar(axes, width, left=west, bottom=south - 0.92 * bar)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _point_size(count: int) -> float:
    """Area of a point so that many do not hide each other."""
    return float(np.clip(6000 / max(count, 1), 1.0, 16.0))


def _draw_ground(axes: Axes, ground: gpd.GeoDataFrame) -> None:
    axes.add_collection(
        PathCollection(
            [polygon_path(geometry) for geometry in ground.geometry],
            facecolors=_GROUND,
            edgecolors=_BORDER,
            linewidths=0.5,
            zorder=1,
        )
    )
    axes.add_collection(LineCollection(line_paths(province_outlines(ground)), colors="#8a8a8a", linewidths=0.8))


def plot_flagged(cities: gpd.GeoDataFrame, flagged: pd.DataFrame, *, title: str) -> Figure:
    """Draw points that were not used, by the reason why, over the cities.

    Parameters
    ----------
    cities : GeoDataFrame
        ``city_code`` and polygons with a CRS.
    flagged : DataFrame
        ``rejected_lon``, ``rejected_lat`` (degrees, WGS 84) and ``status``, as
        :func:`gistools.parcels.geocode.geocode` gives them.
    title : str

    Returns
    -------
    Figure
        In Lambert's azimuthal equal-area projection about the cities; points beyond them widen the map.

    Raises
    ------
    TableError
        If a column lacks.

    Examples
    --------
    >>> import geopandas, pandas, shapely
    >>> cities = geopandas.GeoDataFrame({"city_code": ["1"]}, geometry=[shapely.box(100, 30, 101, 31)], crs=4326)
    >>> points = pandas.DataFrame({"rejected_lon": [101.5], "rejected_lat": [30.5], "status": ["outside its city"]})
    >>> figure = plot_flagged(cities, points, title="Flagged")
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['outside its city (1)']
    """
    require_cities(cities)
    require_columns(flagged, _COLUMNS, "the flagged records")
    ground, _ = project(cities, vertices=_VERTICES)
    x, y = to_projection(ground.crs, flagged["rejected_lon"].to_numpy(float), flagged["rejected_lat"].to_numpy(float))
    west, south, east, north = ground.total_bounds
    west, east = np.nanmin([west, *x]), np.nanmax([east, *x])
    south, north = np.nanmin([south, *y]), np.nanmax([north, *y])
    width, height = east - west, north - south
    aspect = min(max(height / width, 0.4), 1.6)
    with style():
        figure = Figure(figsize=(7.2, 7.2 * aspect + 1.0))
        axes = figure.subplots()
        _draw_ground(axes, ground)
        status = flagged["status"].to_numpy(object)
        for k, reason in enumerate(sorted(set(status))):
            mine = status == reason
            axes.scatter(
                x[mine],
                y[mine],
                s=26,
                marker=_MARKS[k % len(_MARKS)],
                color=PALETTE[(k + 1) % len(PALETTE)],
                edgecolors="white",
                linewidths=0.5,
                zorder=3,
                label=f"{drawable(reason)} ({mine.sum():,})",
            )
        bar = 0.07 * max(height, 0.5 * width)
        axes.set_xlim(west - 0.02 * width, east + 0.02 * width)
        axes.set_ylim(south - bar, north + 0.02 * height)
        bare(axes)
        scale_bar(axes, width, left=west, bottom=south - 0.92 * bar)
        if len(flagged):
            figure.legend(loc="outside lower left", ncols=2, alignment="left")
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def flagged_map(cities: gpd.GeoDataFrame, flagged: pd.DataFrame, *, title: str) -> str:
    """Make an interactive map of points that were not used, as one offline HTML page.

    Parameters
    ----------
    cities : GeoDataFrame
        As for :func:`plot_flagged`, with ``city_name`` and ``province`` where known.
    flagged : DataFrame
        As for :func:`plot_flagged`; ``parcel_id``, ``address`` and ``geocode_note`` are shown where they are there.
    title : str

    Returns
    -------
    str
        HTML with scripts, styles and data inside.

    Raises
    ------
    TableError
        If a column lacks.
    """
    import bokeh.models
    from bokeh.document import Document

    models: Any = bokeh.models
    require_cities(cities)
    require_columns(flagged, _COLUMNS, "the flagged records")
    ground, tolerance = project(cities, vertices=_VERTICES)
    codes = ground["city_code"].astype(str).tolist()
    names = ground["city_name"] if "city_name" in ground else ground["city_code"]
    stated: dict[Any, int] = (
        flagged["city_code"].astype(str).value_counts().to_dict() if "city_code" in flagged else {}
    )
    parts = [_rings(geometry) for geometry in ground.geometry]
    source = models.ColumnDataSource(
        {
            "xs": [[[ring[0] for ring in part] for part in city] for city in parts],
            "ys": [[[ring[1] for ring in part] for part in city] for city in parts],
            "name": [_text(name, code) for name, code in zip(names, codes, strict=True)],
            "code": codes,
            "province": [_text(p, "") for p in ground["province"]] if "province" in ground else [""] * len(codes),
            "paint": [_GROUND] * len(codes),
            "hatch": [" "] * len(codes),
            "shown": [f"{stated.get(code, 0):,} flagged records" for code in codes],
        }
    )
    plot = _plot(ground, source, None)
    x, y = to_projection(ground.crs, flagged["rejected_lon"].to_numpy(float), flagged["rejected_lat"].to_numpy(float))
    said = {
        name: [_text(value, "") for value in flagged[name]] if name in flagged else [""] * len(flagged)
        for name in ("parcel_id", "address", "status", "geocode_note")
    }
    points = plot.scatter(
        "x",
        "y",
        source=models.ColumnDataSource({"x": np.round(x).tolist(), "y": np.round(y).tolist(), **said}),
        size=8,
        fill_color="#D55E00",
        line_color="white",
    )
    tips = [("Parcel", "@parcel_id"), ("Address", "@address"), ("Why", "@status"), ("Found", "@geocode_note")]
    plot.add_tools(models.HoverTool(renderers=[points], tooltips=tips, attachment="below"))
    reasons = flagged["status"].value_counts()
    document = Document()
    document.add_root(models.Div(text=html.escape("; ".join(f"{why}: {many:,}" for why, many in reasons.items()))))
    document.add_root(plot)
    about = [
        "Dots are points that were found for an address but not used: they lie outside the city or province that the "
        "record states. Hover for the record; drag, scroll or pinch to move and zoom. The page works without a "
        "network."
    ]
    if tolerance:
        about.append(f"Borders are simplified with a tolerance of {tolerance / 1000:.2g} km.")
    return _page(document, title, about)
