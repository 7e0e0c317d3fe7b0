"""The interactive map: one HTML file that asks nothing of any network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import jinja2
import numpy as np
import pandas as pd
import shapely

from gistools.checks import listed, require_columns, require_unique
from gistools.errors import InputError
from gistools.output._geography import line_paths, project, province_outlines, require_cities, to_projection
from gistools.output._numbers import Scheme, classify
from gistools.output._style import ramp

if TYPE_CHECKING:
    from bokeh.document import Document
    from numpy.typing import NDArray

# Vertices of all polygons together: about a megabyte of coordinates.
_VERTICES = 40_000
# Names Bokeh gives to elements and models: random ones, and numbers that go on as long as the process lives. A
# city's name cannot look like the latter, for quotation marks within texts are escaped.
_ELEMENT = re.compile(r"(?<=[\"'])[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(?=[\"'])")
_MODEL = re.compile(r'(?<!\\)((?:"id":|data-root-id=)")(p\d+)(?=")')
_ROOTS = re.compile(r'(?<!\\)"roots":\{[^{}]*\},"root_ids":\[[^\[\]]*\]')


def interactive_map(
    cities: gpd.GeoDataFrame,
    panel: pd.DataFrame,
    columns: Sequence[str],
    *,
    title: str,
    units: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    scheme: Scheme = "quantiles",
    k: int = 6,
) -> str:
    """Make an interactive map of several measures and years as one offline HTML page.

    Parameters
    ----------
    cities : GeoDataFrame
        ``city_code``, polygons with a CRS; ``city_name`` and ``province`` where known.
    panel : DataFrame
        ``city_code``, ``year`` and the columns; with ``cbd_lon``, ``cbd_lat``, CBDs are drawn as points.
    columns : sequence of str
        Measures to choose from; the first is shown at the start, in the last year. A column without any value is
        left out and named on the page.
    title : str
    units, labels : mapping of str to str, optional
        By column; by default ``panel.attrs["units"]`` and ``panel.attrs["labels"]``.
    scheme : {"quantiles", "equal-interval", "natural-breaks"}
    k : int
        Classes of a measure, the same in all years.

    Returns
    -------
    str
        HTML with scripts, styles and data inside. A policy in its head forbids the browser any request. Polygons
        are simplified together, so that neighbours still touch; the page says by how much.

    Raises
    ------
    TableError
        If a column is not in the panel or a city-year stands twice.
    InputError
        If no column has a value.
    """
    require_cities(cities)
    require_columns(panel, ["city_code", "year", *columns], "the panel")
    require_unique(panel, ["city_code", "year"], "the panel")
    units = units if units is not None else panel.attrs.get("units", {})
    labels = labels if labels is not None else panel.attrs.get("labels", {})
    empty = [
        column for column in columns if not np.isfinite(panel[column].to_numpy(np.float64, na_value=np.nan)).any()
    ]
    shown = [column for column in columns if column not in empty]
    if not shown:
        raise InputError(f"no column has a value to map ({listed(columns) or 'none was named'})")
    ground, tolerance = project(cities, vertices=_VERTICES)
    about = [
        "Lambert azimuthal equal-area projection about the country. Hover for names and values; drag, scroll or "
        "pinch to move and zoom. The page works without a network.",
        (
            f"Polygons are simplified with a tolerance of {tolerance / 1000:.2g} km, all together, so that "
            "neighbours still touch: they serve for looking, not for measuring."
            if tolerance
            else "Polygons are drawn as given."
        ),
    ]
    if {"cbd_lon", "cbd_lat"} <= set(panel.columns):
        about.insert(1, "The dots are the CBDs of the year.")
    if empty:
        about.append(f"Left out, for no city has a value: {', '.join(empty)}.")
    document = _document(ground, panel, shown, units, labels, scheme, k)
    return _page(document, title, about)


def _document(
    ground: gpd.GeoDataFrame,
    panel: pd.DataFrame,
    columns: Sequence[str],
    units: Mapping[str, str],
    labels: Mapping[str, str],
    scheme: Scheme,
    k: int,
) -> Document:
    import bokeh.models
    from bokeh.document import Document
    from bokeh.layouts import row

    models: Any = bokeh.models  # its types lack half of the models

    codes = ground["city_code"].astype(str).tolist()
    years = sorted(int(year) for year in panel["year"].unique())
    keyed = panel.assign(city_code=panel["city_code"].astype(str))

    def by_year(name: str) -> list[NDArray]:
        wide = keyed.pivot_table(name, "city_code", "year", dropna=False).reindex(index=codes, columns=years)
        return list(wide.to_numpy(np.float64).T)

    values, uppers, colours, classes = [], [], [], []
    for name in columns:
        of_years = by_year(name)
        found = classify(np.concatenate(of_years), scheme=scheme, k=k)
        values.append([_plain(year) for year in of_years])
        uppers.append(found.edges[1:].tolist())
        colours.append(ramp(len(found)))
        classes.append(found.labels())

    polygons = [_rings(geometry) for geometry in ground.geometry]
    names = ground["city_name"] if "city_name" in ground else ground["city_code"]
    source = models.ColumnDataSource(
        {
            "xs": [[[ring[0] for ring in part] for part in city] for city in polygons],
            "ys": [[[ring[1] for ring in part] for part in city] for city in polygons],
            "name": [_text(name, code) for name, code in zip(names, codes, strict=True)],
            "code": codes,
            "province": [_text(p, "") for p in ground["province"]] if "province" in ground else [""] * len(codes),
            "paint": ["#f4f4f4"] * len(codes),
            "hatch": [" "] * len(codes),
            "shown": [""] * len(codes),
        }
    )
    centres, centre_years = None, []
    if {"cbd_lon", "cbd_lat"} <= set(panel.columns):
        light = by_year("cbd_light") if "cbd_light" in panel else [np.full(len(codes), np.nan)] * len(years)
        for lon, lat, bright in zip(by_year("cbd_lon"), by_year("cbd_lat"), light, strict=True):
            x, y = to_projection(ground.crs, lon, lat)
            centre_years.append([_plain(np.round(x)), _plain(np.round(y)), _plain(bright)])
        nowhere = [np.nan] * len(codes)
        centres = models.ColumnDataSource(
            {"x": nowhere, "y": nowhere, "light": [""] * len(codes), "name": source.data["name"]}
        )

    options = [(name, _option(name, units, labels)) for name in columns]
    select = models.Select(
        title="Measure", value=columns[0], options=options, sizing_mode="stretch_width", max_width=460
    )
    slider = None
    if len(years) > 1:
        slider = models.Slider(
            title="Year",
            start=0,
            end=len(years) - 1,
            step=1,
            value=len(years) - 1,
            format=models.CustomJSTickFormatter(args={"years": years}, code="return String(years[Math.round(tick)])"),
            sizing_mode="stretch_width",
            max_width=320,
        )
    show = models.CustomJS(
        args={
            "select": select,
            "slider": slider,
            "cities": source,
            "centres": centres,
            "centre_years": centre_years,
            "names": list(columns),
            "labels": [_label(name, labels) for name in columns],
            "units": [str(units.get(name, "")) for name in columns],
            "values": values,
            "uppers": uppers,
            "colours": colours,
            "classes": classes,
            "years": years,
        },
        code=_template("map.js"),
    )
    select.js_on_change("value", show)
    controls = [select]
    if slider is not None:
        slider.js_on_change("value", show)
        controls.append(slider)
    document = Document()
    document.add_root(row(*controls, sizing_mode="stretch_width", spacing=24))
    document.add_root(_plot(ground, source, centres))
    document.js_on_event("document_ready", show)
    return document


def _plot(ground: gpd.GeoDataFrame, source: Any, centres: Any) -> Any:
    """Draw polygons, province outlines, CBDs and a scale bar."""
    import bokeh.models
    import bokeh.plotting

    models: Any = bokeh.models
    figure: Any = bokeh.plotting.figure
    west, south, east, north = ground.total_bounds
    plot = figure(
        match_aspect=True,
        sizing_mode="scale_width",
        width=1000,
        height=int(np.clip(960 * (north - south) / (east - west), 450, 900)),
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        toolbar_location="right",
        outline_line_color=None,
    )
    plot.axis.visible = False
    plot.grid.visible = False
    plot.toolbar.logo = None
    areas = plot.multi_polygons(
        xs="xs",
        ys="ys",
        source=source,
        fill_color="paint",
        line_color="#ffffff",
        line_width=0.5,
        hatch_pattern="hatch",
        hatch_color="#9a9a9a",
        hatch_weight=0.5,
        hatch_scale=8,
        hover_line_color="#222222",
        hover_fill_color="paint",
        hover_line_width=1.5,
    )
    outlines = line_paths(province_outlines(ground))
    if outlines:
        plot.multi_line(
            xs=[np.round(line[:, 0]).astype(int).tolist() for line in outlines],
            ys=[np.round(line[:, 1]).astype(int).tolist() for line in outlines],
            line_color="#444444",
            line_width=0.9,
        )
    tips = [("City", "@name"), ("Code", "@code"), ("Value", "@shown")]
    if any(source.data["province"]):
        tips.insert(2, ("Province", "@province"))
    plot.add_tools(models.HoverTool(renderers=[areas], tooltips=tips, point_policy="follow_mouse"))
    if centres is not None:
        points = plot.scatter("x", "y", source=centres, size=4, fill_color="#D55E00", line_color="white")
        plot.add_tools(
            models.HoverTool(
                renderers=[points], tooltips=[("CBD of", "@name"), ("Light", "@light")], attachment="below"
            )
        )
    plot.add_layout(
        models.ScaleBar(
            range=plot.x_range,
            unit="m",
            dimensional=models.Metric(
                base_unit="m", exclude=["Mm", "Gm", "Tm", "Pm", "Em", "Zm", "Ym", "Rm", "Qm", "hm", "dam"]
            ),
            bar_length=0.15,
            location="bottom_left",
            border_line_color=None,
        )
    )
    return plot


def _rings(geometry: shapely.Geometry) -> list[list[tuple[list[int], list[int]]]]:
    """Parts of a polygon, each an outer ring and its holes, as whole metres."""
    parts = []
    for part in shapely.get_parts(geometry):
        rings = [np.round(shapely.get_coordinates(ring)).astype(int) for ring in shapely.get_rings(part)]
        parts.append([(ring[:, 0].tolist(), ring[:, 1].tolist()) for ring in rings])
    return parts


def _plain(values: NDArray) -> list[float | None]:
    """Numbers with seven digits, None where missing: JSON knows no NaN."""
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in values]


def _text(value: object, instead: str) -> str:
    return instead if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _label(name: str, labels: Mapping[str, str]) -> str:
    """What a column means, as the heading of the legend."""
    label = str(labels.get(name) or name.replace("_", " "))
    return label[:1].upper() + label[1:]


def _option(name: str, units: Mapping[str, str], labels: Mapping[str, str]) -> str:
    label = _label(name, labels)
    label = label if len(label) <= 70 else label[:69].rstrip() + "…"
    return f"{label} ({units[name]})" if units.get(name) else label


@cache
def _template(name: str) -> str:
    return (resources.files("gistools.output") / "templates" / name).read_text(encoding="utf-8")


def _page(document: Document, title: str, about: Sequence[str]) -> str:
    from bokeh.embed import file_html
    from bokeh.resources import Resources

    template = jinja2.Environment(autoescape=False).from_string(_template("map.html.j2"))  # noqa: S701  (as Bokeh's)
    html = file_html(
        document,
        Resources(mode="inline"),
        title=title,
        template=template,
        template_variables={"about": list(about)},
    )
    # numbered anew, the same map gives the same bytes
    elements: dict[str, str] = {}
    models: dict[str, str] = {}
    html = _ELEMENT.sub(lambda found: elements.setdefault(found[0], f"map-{len(elements) + 1}"), html)
    html = _MODEL.sub(lambda found: found[1] + models.setdefault(found[2], f"m{len(models) + 1}"), html)
    return _ROOTS.sub(lambda found: re.sub(r'(?<=")p\d+(?=")', lambda name: models[name[0]], found[0]), html)
