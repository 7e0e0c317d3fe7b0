"""The audit of a city-year as one offline page: its cells, its CBD step by step, and every number's reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gistools.city.audit import Check, CityAudit
from gistools.grid import GEOD, Grid, Window
from gistools.output._city_ground import CBD, CityGround, draw_cells, finish_city
from gistools.output._fonts import drawable
from gistools.output._numbers import number
from gistools.output._style import GREY, INK, PALETTE, figure_png, finish, style
from gistools.output.figures import plot_gradients
from gistools.output.maps import plot_city
from gistools.output.report import (
    Block,
    CheckRow,
    Checks,
    Facts,
    Figure,
    Heading,
    Link,
    Notes,
    Paragraph,
    Section,
    Table,
    render_report,
)

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

# Cells inside, on the outline, and within the circle; those of both are drawn as within it.
_MEMBER_COLOURS = ("#d5e3ee", "#7fa6c4", "#f2b45a", "#c57a1c")
_MEMBER_NAMES = ("of the city", "of the city, on its outline", "within the circle", "within it, on the outline")
_DIGITS = 6


def plot_city_cells(audit: CityAudit, grid: Grid, *, boundary: gpd.GeoDataFrame | None = None, title: str) -> Drawing:
    """Draw which cells count for a city, and which of them tie for its CBD.

    Parameters
    ----------
    audit : CityAudit
        With at least one cell.
    grid : Grid
        The lattice of its cells.
    boundary : GeoDataFrame, optional
        The city's row of the boundaries.
    title : str

    Returns
    -------
    Figure
        Two panels in an equal-area projection about the city: its cells by what they count for, with the circle about
        the CBD; and the cells that tie for the brightest, those of the largest clusters told apart.
    """
    cells = audit.cells
    window = Window(
        max(int(cells["row"].min()) - 2, 0),
        min(int(cells["row"].max()) + 3, grid.height),
        max(int(cells["col"].min()) - 2, 0),
        min(int(cells["col"].max()) + 3, grid.width),
    )
    part = grid.crop(window)
    at = (cells["row"].to_numpy() - window.row0, cells["col"].to_numpy() - window.col0)
    member = np.full(window.shape, np.nan)
    member[at] = cells["border"].to_numpy(int) + 2 * cells["in_circle"].to_numpy(int)
    light = np.full(window.shape, np.nan)
    light[at] = cells["light"]
    ground = CityGround(boundary, part)
    centre = ground.point((audit.decision.lon, audit.decision.lat))
    bounds = ground.bounds(part)
    aspect = min(max((bounds[3] - bounds[1]) / (bounds[2] - bounds[0]), 0.45), 1.6)
    with style():
        figure = Drawing(figsize=(9.5, 4.3 * aspect + 1.5))
        left, right = figure.subplots(1, 2)
        norm = BoundaryNorm([-0.5, 0.5, 1.5, 2.5, 3.5], 4)
        mesh = draw_cells(left, ground, part, member, "Greys", norm, under="white")
        mesh.set_cmap(ListedColormap(_MEMBER_COLOURS))
        left.set_facecolor("white")
        left.set_title(f"What each cell counts for, {audit.year}")
        handles: list[Any] = [
            Patch(facecolor=colour, edgecolor=GREY, linewidth=0.4, label=name)
            for k, (colour, name) in enumerate(zip(_MEMBER_COLOURS, _MEMBER_NAMES, strict=True))
            if (member == k).any()
        ]
        if centre is not None:
            handles.append(Line2D([], [], markersize=10, label="CBD", **CBD))  # type: ignore[arg-type]
            left.plot(*_circle(audit, ground), color=INK, linewidth=1.1, linestyle=(0, (4, 2)), zorder=6)
        _legend(left, handles)

        seen = light[np.isfinite(light)]
        low, top = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
        draw_cells(right, ground, part, light, "Greys_r", Normalize(low, max(top, low + 1e-9)), under="black")
        right.set_title(f"Brightest cells, {audit.deciding_year}")
        handles = []
        ties = audit.decision.ties
        for wanted, colour, name in (
            (False, PALETTE[5], "ties, in a smaller cluster"),
            (True, PALETTE[1], "ties, in a cluster of the largest size"),
        ):
            some = ties[ties["candidate"] == wanted]
            if len(some):
                spots = np.array([ground.point(place) for place in some[["lon", "lat"]].to_numpy()])
                right.scatter(spots[:, 0], spots[:, 1], s=16, marker="s", color=colour, linewidth=0, zorder=7)
                handles.append(
                    Line2D([], [], marker="s", color=colour, linestyle="none", label=f"{name} ({len(some)})")
                )
        _legend(right, handles)
        for axes in (left, right):
            finish_city(axes, ground, centre, bounds, outline=INK, veil=True)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _circle(audit: CityAudit, ground: CityGround) -> tuple[list[float], list[float]]:
    """The circle of the radius about the CBD, in the projection of the ground."""
    azimuth = np.arange(0.0, 362.0, 2.0)
    lon, lat = (np.full(len(azimuth), part) for part in (audit.decision.lon, audit.decision.lat))
    lon, lat, _ = GEOD.fwd(lon, lat, azimuth, np.full(len(azimuth), 1000 * audit.options.radius_km))
    points = [ground.point(place) for place in zip(lon, lat, strict=True)]
    return [p[0] for p in points if p is not None], [p[1] for p in points if p is not None]


def _legend(axes: Any, handles: list[Any]) -> None:
    if handles:
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            borderaxespad=1.0,
            ncols=2,
            columnspacing=1.2,
            handlelength=1.4,
        )


def audit_page(
    audit: CityAudit,
    *,
    grid: Grid,
    name: str = "",
    clip: xr.Dataset | None = None,
    boundary: gpd.GeoDataFrame | None = None,
    cells_file: str | None = None,
    meta: Mapping[str, str] | None = None,
) -> str:
    """Write the audit of a city-year as one HTML page.

    Parameters
    ----------
    audit : CityAudit
    grid : Grid
        The lattice of its cells.
    name : str
        The city's name.
    clip : Dataset, optional
        As :func:`gistools.city.clip.city_clip` gives it; for maps of lights, density and classes.
    boundary : GeoDataFrame, optional
        The city's row of the boundaries.
    cells_file : str, optional
        File beside the page that holds the table of cells, for a link.
    meta : mapping of str to str, optional
        What stands below the title: label and text.

    Returns
    -------
    str
        HTML without any script and with its pictures inside; every text is escaped.
    """
    title = f"{name} ({audit.code})" if name and name != audit.code else audit.code
    sections = [
        Section("In brief", _brief(audit)),
        Section("Maps", _maps(audit, grid, clip, boundary, title)),
        Section("The CBD, step by step", _cbd(audit)),
        Section("Every column and its reason", _columns(audit)),
        Section("Density and distance", _gradient(audit, title)),
        Section("Cells", _cells(audit, cells_file)),
    ]
    shown = [section for section in sections if section.blocks]
    return render_report(f"Audit of {title}, {audit.year}", shown, meta=dict(meta or {}))


def _brief(audit: CityAudit) -> list[Block]:
    compared = [check for check in audit.checks if check.agrees is not None]
    wrong = audit.mismatches
    blocks: list[Block] = []
    if wrong:
        said = tuple(
            f"{check.column}: the panel says {_text(check.value, 12)}, the cells say {_text(check.recomputed, 12)}"
            for check in wrong
        )
        blocks.append(Notes(said, "failure", f"{len(wrong)} of {len(compared)} columns do not agree with the cells"))
    found = {check.column: check for check in audit.checks}
    index = found["sprawl_index"]
    blocks.append(
        Facts(
            (
                ("Columns that agree", f"{len(compared) - len(wrong)} of {len(compared)}", "panel and cells"),
                ("Cells", number(dict(audit.counts)["cells of the city"]), "of the city"),
                ("Urban cells", number(dict(audit.counts)["urban"]), _text(found["urban_area_km2"].value) + " km2"),
                ("Sprawl index", _text(index.value), index.unit),
                ("Density threshold", _text(audit.threshold), "persons per km2"),
                ("CBD", audit.decision.rule, f"{audit.decision.tied} tied, {audit.deciding_year}"),
            )
        )
    )
    note = found["note"].value
    if note:
        blocks.append(Notes((str(note),), "warning", "The panel's note"))
    blocks.append(
        Paragraph(
            "Each number of the panel was counted again from the table of this city's cells, by other code than "
            "that which made the panel. Numbers agree if they differ by less than a billionth."
        )
    )
    return blocks


def _maps(
    audit: CityAudit, grid: Grid, clip: xr.Dataset | None, boundary: gpd.GeoDataFrame | None, title: str
) -> list[Block]:
    blocks: list[Block] = []
    where = (audit.decision.lon, audit.decision.lat)
    if clip is not None:
        figure = plot_city(clip, boundary=boundary, cbd=where, title=f"{title}, {audit.year}")
        blocks.append(
            Figure(figure_png(figure), "Lights, population density, and urban cells by density class; star: the CBD.")
        )
    if len(audit.cells):
        figure = plot_city_cells(audit, grid, boundary=boundary, title=f"{title}: cells")
        radius = f"{audit.options.radius_km:g} km"
        blocks.append(
            Figure(
                figure_png(figure),
                f"Left: the cells that count for the city, the dashed circle of {radius} about the CBD and the "
                f"cells with their centre in it. Right: the light of {audit.year} in grey, and the cells that tie "
                f"for the brightest of {audit.deciding_year}.",
            )
        )
    return blocks


def _cbd(audit: CityAudit) -> list[Block]:
    decision = audit.decision
    blocks: list[Block] = [Notes(tuple(decision.steps), heading=f"In {audit.deciding_year}:")]
    if len(decision.clusters) > 1:
        blocks.append(
            Table(
                decision.clusters.rename(columns={"highest_density": "highest density, persons per km2"}),
                "Clusters of tied cells, the largest first",
            )
        )
    if len(decision.ties) > 1:
        ties = decision.ties.assign(
            candidate=decision.ties["candidate"].map({True: "yes", False: "no"}),
            chosen=decision.ties["chosen"].map({True: "CBD", False: ""}),
        )
        places = {"lon": 6, "lat": 6, "density": 1, "population": 1}
        blocks.append(Table(ties, "The tied cells", places))
    return blocks


def _columns(audit: CityAudit) -> list[Block]:
    rows = tuple(
        CheckRow(
            check.column,
            check.unit,
            check.meaning,
            "not in the panel" if check.value is None else _text(check.value, _digits(check)),
            _text(check.recomputed, _digits(check)),
            check.agrees,
            check.formula,
            tuple((name, _text(part)) for name, part in check.ingredients),
        )
        for check in audit.checks
    )
    return [Checks(rows, "The panel's number, the same number counted from the cells, and what it is made of")]


def _gradient(audit: CityAudit, title: str) -> list[Block]:
    own = audit.cells[audit.cells["urban"] & audit.cells["inside"] & audit.cells["distance_km"].notna()]
    if not len(own):
        return []
    slope = next(check.recomputed for check in audit.checks if check.column == "gradient")
    figure = plot_gradients(
        {audit.code: own[["distance_km", "density"]]},
        {audit.code: float(slope)},
        names={audit.code: title},
        title="Density and distance to the CBD",
    )
    return [
        Figure(figure_png(figure), "Each point is an urban cell; the line is fitted to them and is the gradient.")
    ]


def _cells(audit: CityAudit, cells_file: str | None) -> list[Block]:
    threshold = next(check for check in audit.checks if check.column == "density_threshold")
    parts = "; ".join(f"{name} {_text(part)}" for name, part in threshold.ingredients)
    counts = pd.DataFrame(audit.counts, columns=["cells", "count"])
    blocks: list[Block] = [
        Table(counts, "Cells by kind", fold_after=30),
        Heading("The density threshold"),
        Paragraph(
            f"{_text(audit.threshold)} persons per km2: {threshold.formula}{f' ({parts})' if parts else ''}. Low is "
            "below it, high at or above."
        ),
        Heading("Options"),
        Table(pd.DataFrame(_options(audit), columns=["option", "value"]), "What the panel was measured with"),
    ]
    if cells_file is not None:
        blocks += [
            Heading("All cells"),
            Link(f"The table of all {len(audit.cells):,} cells: {cells_file}", quote(cells_file)),
        ]
    return blocks


def _options(audit: CityAudit) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), str(value)) for name, value in asdict(audit.options).items() if value is not None
    ]


def _digits(check: Check) -> int:
    """Digits to show: where two numbers differ, enough to see it."""
    return 12 if check.agrees is False else _DIGITS


def _text(value: object, digits: int = _DIGITS) -> str:
    """A number to so many digits, whole ones whole; a text as it is."""
    if isinstance(value, str):
        return value or "–"
    return number(value, digits=digits)
